/* Trees of names, over glibc's tsearch: balanced, and a lookup and an ordered walk from the same nodes. A
 * walk here is a search for what comes next, so it can pause and names may come and go meanwhile, which twalk
 * does not allow. */
#include <errno.h>
#include <malloc.h>
#include <search.h>
#include <string.h>

#include "kube/store_int.h"

/* What tsearch allocates for each name: a key and two links, and malloc's own word. */
#define NODE_BYTES (4 * sizeof(void *))

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

void *store_tree_find(void *const *tree, const char *name)
{
    struct named key = {name};
    void **node = tfind(&key, tree, by_name);
    return node ? *node : NULL;
}

int store_tree_add(struct kube_store *st, void **tree, void *named)
{
    if (!tsearch(named, tree, by_name))
        return -ENOMEM;
    st->blocks += NODE_BYTES;
    return 0;
}

void store_tree_remove(struct kube_store *st, void **tree, const void *named)
{
    if (tdelete(named, tree, by_name))
        st->blocks -= NODE_BYTES;
}

/* A search that never finds, and takes down the last node at which it turned to the left: no other one is
 * nearer above the name. */
struct above {
    const char *name;
    void *nearest;
};

static int look_above(const void *key, const void *node)
{
    struct above *a = (struct above *)key; /* not const where store_tree_after has it */
    if (a->name && strcmp(a->name, ((const struct named *)node)->name) >= 0)
        return 1;
    a->nearest = (void *)node;
    return -1;
}

void *store_tree_after(void *const *tree, const char *name)
{
    struct above a = {name, NULL};
    (void)tfind(&a, tree, look_above);
    return a.nearest;
}

static void keep(void *named)
{
    (void)named;
}

void store_tree_free(void **tree)
{
    tdestroy(*tree, keep);
    *tree = NULL;
}

uint64_t block_bytes(const void *p)
{
    return p ? malloc_usable_size((void *)p) + sizeof(size_t) : 0;
}
