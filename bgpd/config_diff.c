/* What a new configuration means to a daemon that runs the old one.
 *
 * The schema's `change` column says per key what has to happen; this file only finds the keys that differ and
 * pairs the peers of both files by what they are known by. Keys that the privileged process was told once at
 * start (fib.*, control.*, listeners) are named for the operator, since nothing short of a restart applies
 * them. Not here: applying anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"

unsigned peer_config_diff(const struct peer_config *before, const struct peer_config *after, const char **key)
{
    unsigned changes = 0;
    const char *first = NULL;
    for (unsigned i = 0; i < schema_peer.n; i++) {
        const struct schema_key *k = &schema_peer.keys[i];
        if (schema_equal(k, before, after))
            continue;
        if (!first || ((k->change & PEER_DIFF_RESET) && !(changes & PEER_DIFF_RESET)))
            first = k->name;
        changes |= k->change;
    }
    if (key)
        *key = first;
    return changes;
}

/* FNV-1a. It must not change: a new build compares its digests with those of the one that ran before. */
static uint64_t digest(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* Of what is written in a configuration and not of how a build keeps it. A password has no text. */
static uint64_t digest_value(const struct schema_key *k, const struct peer_config *c)
{
    char buf[VALUE_STRLEN];
    const char *text = buf;
    size_t n;
    if (k->type == &type_password) {
        text = c->password;
        n = strlen(text);
    } else if (k->shape == SHAPE_SCALAR) {
        text = k->type->format(k, key_field(k, c), buf, sizeof buf);
        n = strlen(text);
    } else {
        n = k->size < sizeof buf ? k->size : sizeof buf; /* SHAPE_SET */
        memcpy(buf, key_field(k, c), n);
    }
    return digest(text, n);
}

uint64_t peer_config_digest(const struct peer_config *c, unsigned i, const char **key)
{
    *key = NULL;
    for (unsigned k = 0; k < schema_peer.n; k++)
        if (schema_peer.keys[k].change & PEER_DIFF_RESET && !i--) {
            *key = schema_peer.keys[k].name;
            return digest_value(&schema_peer.keys[k], c);
        }
    return 0;
}

static void diff_section(const struct schema_section *s, const void *a, const void *b, const char *name,
                         struct config_diff *out)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct schema_key *k = &s->keys[i];
        char path[64];
        snprintf(path, sizeof path, "%s%s%s", name, *name ? "." : "", k->name);
        if (k->shape == SHAPE_MAP) {
            diff_section(k->sub, a, b, path, out);
            continue;
        }
        if (!k->change || schema_equal(k, a, b))
            continue;
        out->changes |= k->change;
        size_t n = strlen(out->restart);
        if (k->change & CONFIG_DIFF_RESTART)
            snprintf(out->restart + n, sizeof out->restart - n, "%s%s", n ? ", " : "", path);
    }
}

int peer_config_cmp(const struct peer_config *a, const struct peer_config *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == PEER_BY_INTERFACE)
        return strcmp(a->interface, b->interface);
    return a->kind == PEER_BY_RANGE ? prefix_cmp(&a->range, &b->range) : addr_cmp(&a->address, &b->address);
}

static int by_identity(const void *a, const void *b)
{
    const struct peer_config *const *x = a, *const *y = b;
    return peer_config_cmp(*x, *y);
}

static const struct peer_config **sorted_peers(const struct config *c)
{
    const struct peer_config **p = malloc((c->n_peers + 1) * sizeof *p);
    for (unsigned i = 0; p && i < c->n_peers; i++)
        p[i] = &c->peers[i];
    if (p)
        qsort(p, c->n_peers, sizeof *p, by_identity);
    return p;
}

/* The same peer in the other configuration, or NULL. */
static const struct peer_config *find(const struct peer_config **sorted, unsigned n,
                                      const struct peer_config *p)
{
    const struct peer_config **hit = n ? bsearch(&p, sorted, n, sizeof *sorted, by_identity) : NULL;
    return hit ? *hit : NULL;
}

int config_diff(const struct config *before, const struct config *after, struct config_diff *out)
{
    *out = (struct config_diff){0};
    const struct peer_config **old = sorted_peers(before), **new = sorted_peers(after);
    size_t most = (size_t)before->n_peers + after->n_peers;
    out->peers = malloc((most + 1) * sizeof *out->peers);
    int err = old && new && out->peers ? 0 : -ENOMEM;
    for (unsigned i = 0; !err && i < before->n_peers; i++)
        if (!find(new, after->n_peers, &before->peers[i]))
            out->peers[out->n_peers++] = (struct config_peer_diff){.before = &before->peers[i]};
    for (unsigned i = 0; !err && i < after->n_peers; i++) {
        struct config_peer_diff d = {.after = &after->peers[i]};
        d.before = find(old, before->n_peers, d.after);
        if (d.before)
            d.changes = peer_config_diff(d.before, d.after, &d.key);
        if (!d.before || d.changes)
            out->peers[out->n_peers++] = d;
    }
    free(old);
    free(new);
    if (err) {
        config_diff_reset(out);
        return err;
    }
    diff_section(&schema_root, before, after, "", out);
    if (out->n_peers)
        out->changes |= CONFIG_DIFF_PEERS;
    return 0;
}

void config_diff_reset(struct config_diff *d)
{
    free(d->peers);
    *d = (struct config_diff){0};
}
