/* Annotations of the node, put into the tree of the file before it is read: whatever the file may say of a
 * router or a peer is said, checked and refused in the same words. The file's own nodes stay as they are, for
 * an alias may show them elsewhere.
 *
 * underlay.io/peers is a list as `peers` is, or in short addresses between commas or blanks, which get the
 * template that advertise.kubernetes.peer-template names. kube-router's lists have one element for each
 * address, or a single one for all. No annotation names a file: who may write one is not who may read this
 * node's disk.
 *
 * Not here: how annotations come here (kube/), and what is right for a peer (config_schema.c and others). */
#include "config_overlay.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "log.h"

#define PEERS_MOST 256 /* of one node */
#define SEPARATORS ", \t\r\n"

/* Copies */

struct config_overlay *config_overlay_new(char *const annotations[KUBE_ANNOTATION_COUNT])
{
    struct config_overlay *o = calloc(1, sizeof *o);
    for (unsigned i = 0; o && i < KUBE_ANNOTATION_COUNT; i++)
        if (annotations[i] && !(o->text[i] = strdup(annotations[i]))) {
            config_overlay_free(o);
            return NULL;
        }
    return o;
}

void config_overlay_free(struct config_overlay *o)
{
    for (unsigned i = 0; o && i < KUBE_ANNOTATION_COUNT; i++)
        free(o->text[i]);
    free(o);
}

bool config_overlay_equal(const struct config_overlay *a, const struct config_overlay *b)
{
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++) {
        const char *x = a && a->text[i] ? a->text[i] : "", *y = b && b->text[i] ? b->text[i] : "";
        if (strcmp(x, y) != 0)
            return false;
    }
    return true;
}

/* Into the tree */

struct overlay {
    struct load *ld;
    const struct config_overlay *texts;
    struct tree *tree;
    const struct node *kubernetes; /* advertise.kubernetes */
    struct node *peers[PEERS_MOST];
    unsigned n;
};

static const struct node *kubernetes_of(const struct load *ld)
{
    return node_find(node_find(ld->root, "advertise"), "kubernetes");
}

static const char *text_of(const struct node *map, const char *key)
{
    const struct node *n = node_find(map, key);
    return n && n->kind == NODE_SCALAR ? n->text : NULL;
}

/* Whether the configuration leaves anything to annotations. */
static bool is_allowed(const struct node *kubernetes)
{
    const char *wanted = text_of(kubernetes, "node-annotations");
    if (!kubernetes || (kubernetes->kind == NODE_SCALAR && strcmp(kubernetes->text, "true") != 0))
        return false;
    return !wanted || strcmp(wanted, "false") != 0;
}

/* The annotation without blanks around it, its length in *len; NULL: there is none. */
static const char *trimmed(const struct overlay *o, enum kube_annotation a, size_t *len)
{
    const char *text = a < KUBE_ANNOTATION_COUNT ? o->texts->text[a] : NULL;
    if (!text)
        return NULL;
    text += strspn(text, SEPARATORS);
    for (*len = strlen(text); *len && strchr(SEPARATORS, text[*len - 1]);)
        --*len;
    return *len ? text : NULL;
}

/* Of underlay.io's and kube-router's way to say the same, the one to be taken; COUNT: neither. */
static enum kube_annotation choose(const struct overlay *o, enum kube_annotation ours,
                                   enum kube_annotation kube_router)
{
    const char *compat = text_of(o->kubernetes, "compat");
    size_t len;
    if (trimmed(o, ours, &len))
        return ours;
    return compat && !strcmp(compat, "kube-router") && trimmed(o, kube_router, &len) ? kube_router
                                                                                     : KUBE_ANNOTATION_COUNT;
}

/* router.KEY is what the annotation says. */
static int set_router(struct overlay *o, const char *key, enum kube_annotation a, const char **origin)
{
    const struct node *router = node_find(o->ld->root, "router");
    struct load *ld = o->ld;
    size_t len;
    if (a == KUBE_ANNOTATION_COUNT || (router && router->kind != NODE_MAP && !node_is_null(router)))
        return 0; /* nothing to say, or an error anyway */
    const char *text = trimmed(o, a, &len);
    if (router && router->kind != NODE_MAP)
        router = NULL;
    struct node *with = tree_with(o->tree, router, key, tree_scalar(o->tree, text, len));
    ld->root = with ? tree_with(o->tree, ld->root, "router", with) : NULL;
    *origin = kube_annotation_names[a];
    return ld->root ? 0 : -ENOMEM;
}

static int add_peer(struct overlay *o, struct node *peer)
{
    if (!peer)
        return -ENOMEM;
    if (o->n == PEERS_MOST) {
        load_error_of(o->ld, o->ld->overlay.peers, "more than %u peers", PEERS_MOST);
        return -EINVAL;
    }
    o->peers[o->n++] = peer;
    return 0;
}

/* {address: text} with the template for those, NULL: out of memory. */
static struct node *peer_at(struct overlay *o, const char *text, size_t len)
{
    const char *template = text_of(o->kubernetes, "peer-template");
    struct node *address = tree_scalar(o->tree, text, len);
    struct node *peer = tree_with(o->tree, NULL, "address", address);
    if (peer && template)
        peer = tree_with(o->tree, peer, "template", tree_scalar(o->tree, template, strlen(template)));
    return peer;
}

static bool has_template(struct overlay *o)
{
    if (text_of(o->kubernetes, "peer-template"))
        return true;
    load_error_of(
        o->ld, o->ld->overlay.peers,
        "names a peer by its address alone, but the configuration does not say what such peers are: "
        "set advertise.kubernetes.peer-template");
    return false;
}

/* Takes the next word off *text. */
static const char *next_word(const char **text, size_t *len)
{
    const char *word = *text + strspn(*text, SEPARATORS);
    *len = strcspn(word, SEPARATORS);
    *text = word + *len;
    return *len ? word : NULL;
}

static int add_addresses(struct overlay *o, const char *text)
{
    const char *word;
    size_t len;
    int rc = has_template(o) ? 0 : -EINVAL;
    while (!rc && (word = next_word(&text, &len)))
        rc = add_peer(o, peer_at(o, word, len));
    return rc;
}

/* A list as `peers` is one; an element may be an address as well. */
static int add_list(struct overlay *o, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "annotation %s", o->ld->overlay.peers);
    struct load ld = {.name = name, .errors = o->ld->errors};
    int rc = tree_parse(&ld, text, strlen(text), o->tree);
    o->ld->failed |= ld.failed;
    o->ld->oom |= ld.oom;
    const struct node *list = o->tree->root;
    if (rc)
        return rc;
    if (list->kind != NODE_SEQ) {
        load_error_of(o->ld, o->ld->overlay.peers, "is neither a list of peers nor addresses");
        return -EINVAL;
    }
    for (unsigned i = 0; !rc && i < list->n; i++) {
        struct node *n = list->items[i];
        const struct node *file = node_find(n, "password-file");
        if (file) {
            load_error_of(o->ld, o->ld->overlay.peers,
                          "[%u].password-file: files are named in the configuration alone; put it into a "
                          "template there",
                          i);
            rc = -EINVAL;
        } else if (n->kind == NODE_SCALAR && !has_template(o)) {
            rc = -EINVAL;
        } else {
            rc = add_peer(o, n->kind == NODE_SCALAR ? peer_at(o, n->text, strlen(n->text)) : n);
        }
    }
    return rc;
}

static int add_ours(struct overlay *o)
{
    size_t len;
    const char *text = trimmed(o, KUBE_ANNOTATION_PEERS, &len);
    bool list = *text == '[' || !strncmp(text, "- ", 2) || !strncmp(text, "-\n", 2);
    return list ? add_list(o, o->texts->text[KUBE_ANNOTATION_PEERS]) : add_addresses(o, text);
}

static unsigned count_words(const char *text)
{
    unsigned n = 0;
    for (size_t len; next_word(&text, &len);)
        n++;
    return n;
}

/* key of every peer from another list of kube-router's, if there is one. */
static int set_each(struct overlay *o, enum kube_annotation a, const char *key, const char **origin)
{
    const char *name = kube_annotation_names[a], *text = o->texts->text[a] ? o->texts->text[a] : "";
    unsigned n = count_words(text);
    size_t len;
    if (!n)
        return 0;
    *origin = name;
    if (n != 1 && n != o->n) {
        load_error_of(o->ld, name, "has %u elements, but %s has %u; give one for all, or one each", n,
                      o->ld->overlay.peers, o->n);
        return -EINVAL;
    }
    struct node *value = NULL;
    for (unsigned i = 0; i < o->n; i++) {
        const char *word = !i || n > 1 ? next_word(&text, &len) : NULL;
        value = word ? tree_scalar(o->tree, word, len) : value;
        o->peers[i] = tree_with(o->tree, o->peers[i], key, value);
        if (!o->peers[i])
            return -ENOMEM;
    }
    return 0;
}

static int add_kube_routers(struct overlay *o)
{
    const char *text = o->texts->text[KUBE_ANNOTATION_KR_IPS], *word;
    struct overlay_origin *origin = &o->ld->overlay;
    size_t len;
    int rc = 0;
    while (!rc && (word = next_word(&text, &len)))
        rc = add_peer(o, peer_at(o, word, len));
    rc = rc ? rc : set_each(o, KUBE_ANNOTATION_KR_ASNS, "asn", &origin->peer_asns);
    return rc ? rc : set_each(o, KUBE_ANNOTATION_KR_PORTS, "port", &origin->peer_ports);
}

/* What a peer is known by, for a comparison of two. */
struct identity {
    struct ip_addr addr; /* af 0: not an address */
    const char *other;   /* interface or range, NULL */
};

static struct identity identity_of(const struct node *peer)
{
    const char *address = text_of(peer, "address"), *interface = text_of(peer, "interface");
    struct identity id = {.other = interface ? interface : text_of(peer, "range")};
    if (address && addr_parse(address, &id.addr))
        id.addr.af = 0;
    return id;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    return a->addr.af ? addr_equal(&a->addr, &b->addr) : a->other && b->other && !strcmp(a->other, b->other);
}

static int check_twice(struct overlay *o, const struct identity *ids)
{
    for (unsigned i = 0; i < o->n; i++)
        for (unsigned k = 0; k < i; k++)
            if (is_same(&ids[i], &ids[k])) {
                load_error_of(o->ld, o->ld->overlay.peers, "[%u]: is the same peer as [%u]; keep one", i, k);
                return -EINVAL;
            }
    return 0;
}

/* The file wins where it has the same peer. */
static void drop_known(struct overlay *o, const struct identity *ids, const struct node *file)
{
    bool known[PEERS_MOST] = {false};
    unsigned n = 0;
    for (unsigned f = 0; f < file->n; f++) {
        struct identity id = identity_of(file->items[f]);
        for (unsigned i = 0; i < o->n; i++)
            known[i] |= is_same(&ids[i], &id);
    }
    for (unsigned i = 0; i < o->n; i++) {
        const char *address = text_of(o->peers[i], "address");
        if (known[i])
            log_warn("a peer of an annotation is in the configuration as well, which wins",
                     F_STR("annotation", o->ld->overlay.peers),
                     F_STR("peer", address ? address : ids[i].other));
        else
            o->peers[n++] = o->peers[i];
    }
    o->n = n;
}

static int append_peers(struct overlay *o)
{
    static const struct node none = {.kind = NODE_SEQ};
    const struct node *file = node_find(o->ld->root, "peers");
    struct identity ids[PEERS_MOST];
    file = file ? file : &none;
    for (unsigned i = 0; i < o->n; i++)
        ids[i] = identity_of(o->peers[i]);
    int rc = check_twice(o, ids);
    if (rc || file->kind != NODE_SEQ)
        return rc; /* an error anyway */
    drop_known(o, ids, file);
    struct node **all = malloc((file->n + o->n + 1) * sizeof *all), *list = NULL;
    if (all && file->n)
        memcpy(all, file->items, file->n * sizeof *all);
    if (all) {
        memcpy(all + file->n, o->peers, o->n * sizeof *all);
        list = tree_list(o->tree, NODE_SEQ, all, file->n + o->n);
    }
    free(all);
    o->ld->overlay.first_peer = file->n;
    o->ld->root = list ? tree_with(o->tree, o->ld->root, "peers", list) : NULL;
    return o->ld->root ? 0 : -ENOMEM;
}

int overlay_apply(struct load *ld, const struct config_overlay *texts, struct tree *extra)
{
    struct overlay_origin *origin = &ld->overlay;
    struct overlay o = {.ld = ld, .texts = texts, .tree = extra, .kubernetes = kubernetes_of(ld)};
    *origin = (struct overlay_origin){.allowed = is_allowed(o.kubernetes), .first_peer = UINT_MAX};
    if (!texts || !origin->allowed)
        return 0;
    enum kube_annotation peers = choose(&o, KUBE_ANNOTATION_PEERS, KUBE_ANNOTATION_KR_IPS);
    int rc = 0;
    if (peers < KUBE_ANNOTATION_COUNT) {
        origin->peers = kube_annotation_names[peers];
        rc = peers == KUBE_ANNOTATION_PEERS ? add_ours(&o) : add_kube_routers(&o); /* parses into extra */
    }
    if (!rc && o.n)
        rc = append_peers(&o);
    if (!rc)
        rc = set_router(&o, "asn", choose(&o, KUBE_ANNOTATION_ASN, KUBE_ANNOTATION_KR_ASN), &origin->asn);
    if (!rc)
        rc = set_router(&o, "id", choose(&o, KUBE_ANNOTATION_ROUTER_ID, KUBE_ANNOTATION_COUNT),
                        &origin->router_id);
    return rc;
}

void overlay_note_files(struct load *ld)
{
    const struct node *templates = node_find(ld->root, "peer-templates");
    char buf[CONFIG_MAX_PASSWORD];
    size_t len;
    if (!ld->overlay.allowed || !ld->files || !templates || templates->kind != NODE_MAP)
        return;
    for (unsigned i = 0; i + 1 < templates->n; i += 2) {
        const char *path = text_of(templates->items[i + 1], "password-file");
        if (path && *path == '/') /* whether it can be read matters to who uses it */
            ld->files->read(ld->files->arg, path, buf, sizeof buf, &len);
    }
    explicit_bzero(buf, sizeof buf);
}
