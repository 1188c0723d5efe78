/* `policies` and `sets` of the configuration, and what peers make of their names; see config_policy.c. Only
 * for config*.c. */
#ifndef UNDERLAY_CONFIG_POLICY_H
#define UNDERLAY_CONFIG_POLICY_H

#include <stdio.h>

#include "config_int.h"
#include "policy.h"

/* A named list, as written: policies hold what it stands for. */
struct config_set {
    const char *kind; /* "prefixes", "communities", "as-paths" */
    char *name;
    struct policy_words words;
};

#define MAX_POLICIES 256

/* A key of `match` or `set`. */
struct policy_key {
    const char *name;
    const char *set;       /* the section of `sets` that an "@NAME" is looked up in; NULL: none */
    enum policy_cond cond; /* of `match`, else COND_NONE */
    bool list;             /* or one value by itself */
    /* One value into the rule. 0, -ENOMEM, or -EINVAL with *why. */
    int (*parse)(struct policy_rule *r, const char *text, struct why *why);
};
#define N_MATCH_KEYS 8
#define N_SET_KEYS   9
extern const struct policy_key policy_match_keys[], policy_set_keys[];

/* list: the address of a pointer to n items; grows it by one. 0 or -ENOMEM. */
int list_append(void *list, unsigned *n, size_t size, const void *item);
int words_append(struct policy_words *w, const char *text);

void config_read_policies(struct load *ld, const struct node *n, const struct path *path);
void config_read_sets(struct load *ld, const struct node *n, const struct path *path);
const struct policy *config_find_policy(const struct config *c, const char *name); /* or NULL */
void config_release_policies(struct config *c);
void config_release_sets(struct config *c);
void config_print_policies(FILE *f, const struct config *c);
void config_print_sets(FILE *f, const struct config *c);
/* When all peers are known: which of them a `match: {peer: …}` means. */
void config_check_policies(struct load *ld);
/* The policies that a peer names. The nodes are those of its keys, for errors. */
void config_check_peer_policies(struct load *ld, struct peer_config *p, const struct node *import,
                                const struct node *export, const struct path *path);

/* A scalar, quoted where it has to be (config_print.c). */
void config_print_text(FILE *f, const char *s);

extern const struct value_type type_import, type_export;

#endif
