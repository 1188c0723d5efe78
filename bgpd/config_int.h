/* Between the config*.c files: the tree of positions that libyaml gives, the schema as data, and one load in
 * progress. */
#ifndef UNDERLAY_CONFIG_INT_H
#define UNDERLAY_CONFIG_INT_H

#include "config.h"

/* config_yaml.c */

enum node_kind { NODE_SCALAR, NODE_SEQ, NODE_MAP };
struct node {
    uint8_t kind; /* enum node_kind */
    bool plain;   /* a scalar without quotes */
    bool open;    /* not complete yet: an alias to it would be a loop */
    unsigned line, col;
    uint32_t weight;     /* nodes below and with this one, aliases expanded */
    unsigned n;          /* items */
    char *text;          /* scalar */
    struct node **items; /* NODE_MAP: key, value, key, value …; an alias makes a node appear in two places */
};
struct tree_chunk;
struct tree {
    struct node *root;
    struct tree_chunk *chunks; /* all that the tree consists of lies in these */
};

/* Where in the configuration, as "peers[0].bfd". name NULL: an index. */
struct path {
    const struct path *up;
    const char *name;
    unsigned index;
};

/* What of the tree comes from annotations of the node: their names, NULL where there is none. */
struct overlay_origin {
    bool allowed; /* by the configuration: router.asn may be left to them */
    const char *asn, *router_id, *peers, *peer_asns, *peer_ports;
    unsigned first_peer; /* index of the first peer that is theirs */
};

struct load {
    const char *name;
    struct config_errors *errors;
    const struct config_files *files;
    struct config *config;
    const struct node *root;
    struct overlay_origin overlay;
    unsigned quiet; /* errors that were reported elsewhere */
    bool failed, oom;
};

/* at NULL: the whole file. */
void load_error(struct load *ld, const struct node *at, const struct path *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same about an annotation as a whole. */
void load_error_of(struct load *ld, const char *annotation, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* 0, -EINVAL (reported) or -ENOMEM. tree_free in every case. */
int tree_parse(struct load *ld, const char *text, size_t len, struct tree *out);
void tree_free(struct tree *t);
/* Nodes that are in no file, in the memory of t. NULL: out of memory. */
struct node *tree_scalar(struct tree *t, const char *text, size_t len);
struct node *tree_list(struct tree *t, enum node_kind kind, struct node *const *items, unsigned n);
/* A copy of map (NULL: an empty one) in which key is value; the map itself may be in several places. */
struct node *tree_with(struct tree *t, const struct node *map, const char *key, struct node *value);
const struct node *node_find(const struct node *map,
                             const char *key); /* the value; NULL also when map is no map */
bool node_is_null(const struct node *n);
bool node_is_off(const struct node *n);

/* config_schema.c */

enum schema_shape {
    SHAPE_SCALAR,
    SHAPE_LIST,      /* of scalars: pointer at offset, count at `count` */
    SHAPE_ADD,       /* list of scalars that the type itself adds to the field */
    SHAPE_SET,       /* of words: bool[] at offset */
    SHAPE_MAP,       /* keys of `sub`, in the same struct; with a type also a single value, in short */
    SHAPE_MAPS,      /* list of `sub`: pointer at offset, count at `count` */
    SHAPE_PAIRS,     /* names to text: the same, where the two keys of `sub` are the name and the text */
    SHAPE_TEMPLATES, /* names to `sub`; applied where they are named, not stored */
    SHAPE_POLICIES,  /* config_policy.c sees to it */
    SHAPE_SETS,
};
enum {
    KEY_REQUIRED = 0x01,
    KEY_NOT_YET = 0x02, /* known, not built; only a word of `off` is accepted */
    KEY_OWN = 0x04,     /* not in a template */
    KEY_OFF = 0x08,     /* the number may be `off`, which is 0 */
    KEY_UNPRINTED = 0x10, /* names what is not printed either */
};

struct schema_key;
struct schema_section;
struct why {
    char text[200];
};

/* A kind of scalar. field points at the value (or list element). */
struct value_type {
    const char *what; /* "a duration such as 300ms, 9s or 2m" */
    /* 0, -ENOMEM, or -EINVAL with *why. */
    int (*parse)(const struct schema_key *k, void *field, const char *text, struct why *why);
    const char *(*format)(const struct schema_key *k, const void *field, char *buf, size_t size);
    bool (*equal)(const void *a, const void *b); /* NULL: memcmp */
    void (*release)(void *field);                /* NULL: nothing to do */
};
#define VALUE_STRLEN 64 /* buf of format; strings return themselves */

struct schema_key {
    const char *name;
    enum schema_shape shape;
    uint8_t flags;
    uint16_t offset, size, count; /* size: of the value, or of one element */
    const struct value_type *type;
    const struct schema_section *sub;
    uint32_t min, max;    /* numbers, ms, bytes of text, elements */
    const char *def;      /* as text; elements separated by spaces; NULL: all zero */
    const char *words;    /* the values of an enum in order, separated by spaces */
    const char *later;    /* words that are known but not built */
    const char *off;      /* for KEY_NOT_YET: words that mean what there is now */
    const char *hint;     /* added to "not one of …" */
    const char *excludes; /* the other key of a pair of which only one may be given */
    unsigned change;      /* PEER_DIFF_*, CONFIG_DIFF_*; what a change means */
};
struct schema_section {
    const struct schema_key *keys;
    unsigned n;
    uint16_t size; /* of the struct; 0: keys lie in the struct of the section above */
};
extern const struct schema_section schema_root, schema_peer;

const struct schema_key *schema_find(const struct schema_section *s, const char *name);
int schema_defaults(const struct schema_section *s, void *base); /* base is zeroed; 0 or -ENOMEM */
int schema_key_default(const struct schema_key *k, void *base);
void schema_release(const struct schema_section *s, void *base);
bool schema_equal(const struct schema_key *k, const void *a, const void *b);
static inline void *key_field(const struct schema_key *k, const void *base)
{
    return (char *)(uintptr_t)base + k->offset;
}
struct list {
    void *items;
    unsigned n;
};
struct list key_list(const struct schema_key *k, const void *base);
/* Room for n zeroed elements, instead of what was there. 0 or -ENOMEM. */
int key_list_reset(const struct schema_key *k, void *base, unsigned n);
/* Whether word is in a space-separated list; *index (may be NULL) gets its place. */
bool word_in(const char *words, const char *word, unsigned *index);
/* Copies word i of the list; false when there are not so many. */
bool word_at(const char *words, unsigned i, char *buf, size_t size);

/* config_value.c, config_vip.c */

#define outer_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
/* For parsers: the sentence, and -EINVAL to return. */
int value_wrong(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

extern const struct value_type type_bool, type_uint, type_word, type_duration, type_hold_time, type_string,
    type_path, type_key_file, type_password, type_asn, type_peer_asn, type_router_id, type_addr, type_addr4,
    type_addr6, type_listen, type_prefix, type_ifname, type_interface, type_protocol, type_table,
    type_community, type_med, type_bind, type_limits, type_range, type_bfd, type_endpoint;

/* config_kube.c */

extern const struct value_type type_kube, type_server, type_taint, type_label_key, type_label_value,
    type_unicast;
void check_kube(struct load *ld); /* fills in what is derived, reads the kubeconfig */

/* config_vars.c */

#define VARS_STRLEN 256
/* $NODE_NAME, else the host name in lower case, in buf. "": there is neither. */
const char *vars_node_name(char buf[VARS_STRLEN]);
/* *out NULL: nothing in it is to be expanded; else the text as it is meant, to be freed. 0, -EINVAL with
 * *why, -ENOMEM. */
int vars_expand(const char *text, char **out, struct why *why);

/* config_overlay.c */

/* ld->root with what the annotations say, as far as the configuration wants it; new nodes are in `extra`,
 * which lives as long as the tree. 0, -EINVAL (reported) or -ENOMEM; tree_free(extra) in every case. */
int overlay_apply(struct load *ld, const struct config_overlay *o, struct tree *extra);
/* Peers that annotations name may need the password file of any template: the caller learns of all of them.
 */
void overlay_note_files(struct load *ld);

/* config_read.c, config_check.c */

void config_read(struct load *ld);  /* root into ld->config */
void config_check(struct load *ld); /* what no single value shows; derives what is derived */

/* config_range.c: ranges, against each other and against peers with an address. list: the node of `peers`. */
void check_ranges(struct load *ld, const struct node *list, const struct path *path);

#endif
