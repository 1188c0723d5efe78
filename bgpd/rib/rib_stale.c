/* Long-lived stale paths, RFC 9494.
 *
 * What distinguishes them is their attributes: the community LLGR_STALE makes a path the least preferred,
 * whoever attached it, and it is what others must see. So there is no second kind of path, only a walk that
 * gives the stale paths of a family other attributes; interned, they are as few objects as before. The import
 * check is not asked again: what was accepted stays accepted.
 *
 * How long paths are stale, and when they become long-lived, is the peer's business (peer_restart.c). */
#include <string.h>

#include "lib/community.h"
#include "rib/rib_int.h"

/* A reference to a's copy with the community; NULL: out of memory, or no room in the attribute. */
static const struct attr *with_llgr_stale(struct rib *r, const struct attr *a)
{
    static const uint8_t community[4] = {0xff, 0xff, 0x00, 0x06};
    uint8_t list[1024];
    uint16_t len;
    const uint8_t *before = attr_part(a, PART_COMMUNITY, &len);
    struct attr_build b;

    if (len + sizeof community > sizeof list)
        return NULL;
    attr_to_build(r->attrs, a, &b);
    memcpy(list, before, len);
    memcpy(list + len, community, sizeof community);
    b.part[PART_COMMUNITY] = list;
    b.part_len[PART_COMMUNITY] = (uint16_t)(len + sizeof community);
    return attr_intern(r->attrs, &b);
}

/* One that cannot be marked cannot be kept either. */
void path_long_lived(struct rib *r, enum family f, struct rib_entry *e, unsigned *hints)
{
    uint32_t *link = &e->paths;
    while (*link) {
        struct rib_path *p = path_at(r, *link);
        const struct attr *a = attr_by_id(r->attrs, p->attr), *marked;
        if (r->pos >= r->sources[p->peer]->long_end[f] || !path_is_stale(r, f, p) ||
            a->flags & ATTR_LLGR_STALE) {
            link = &p->next;
        } else if (attr_has_community(a, COMMUNITY_NO_LLGR) || !(marked = with_llgr_stale(r, a))) {
            path_drop(r, f, e, link, hints);
        } else {
            *hints |= HINT_PATHS | (p->flags & PATH_BEST ? HINT_BEST : 0u) |
                      (p->flags & PATH_MULTIPATH ? HINT_FORWARDING : 0u);
            path_set_attr(r, p, marked);
            attr_unref(r->attrs, marked);
            link = &p->next;
        }
    }
}

void rib_peer_stale_long(struct rib *r, struct rib_peer *p, enum family f)
{
    struct source *s = (struct source *)p;
    if (!p->stale[f])
        return;
    s->long_end[f] = sweep_end(r);
    sweep_want(r, SWEEP_LONG_LIVED);
}
