/* NLRI: checks what came in once, as a whole, so that the iterator (nlri_next in update.h) can run over it
 * without a test; writes what goes out. A prefix with bits set past its length is legal on the wire (RFC 4760
 * section 5: "the value of trailing bits is irrelevant"), so it is not an error here; the iterator masks it.
 * What the prefixes mean (martians, own ones) is the import check's business, not ours. */
#include "wire/nlri.h"

static size_t prefix_bytes(const struct prefix *p)
{
    return (p->len + 7u) / 8;
}

/* id: octets before each prefix. Inlined for both, as a table without identifiers is not to pay for them. */
static inline __attribute__((always_inline)) bool check(const uint8_t *p, size_t n, unsigned max, size_t id)
{
    const uint8_t *end = p + n;
    while (p < end) {
        if (id >= (size_t)(end - p))
            return false;
        p += id;
        unsigned bits = *p++, bytes = (bits + 7) / 8;
        if (bits > max || bytes > (size_t)(end - p))
            return false;
        p += bytes;
    }
    return true;
}

bool nlri_check(const uint8_t *p, size_t n, enum family f, bool add_path)
{
    return add_path ? check(p, n, family_bits(f), 4) : check(p, n, family_bits(f), 0);
}

unsigned nlri_fit(const struct prefix *prefixes, const uint32_t *ids, unsigned n, size_t room, size_t *bytes)
{
    size_t sum = 0, id = ids ? 4 : 0;
    unsigned i;
    for (i = 0; i < n; i++) {
        size_t one = id + 1 + prefix_bytes(&prefixes[i]);
        if (one > room - sum)
            break;
        sum += one;
    }
    *bytes = sum;
    return i;
}

void nlri_put(struct wire_writer *w, const struct prefix *prefixes, const uint32_t *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (ids)
            wire_put_u32(w, ids[i]);
        wire_put_u8(w, prefixes[i].len);
        wire_put_bytes(w, prefixes[i].addr.b, prefix_bytes(&prefixes[i]));
    }
}
