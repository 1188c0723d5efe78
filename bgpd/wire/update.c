/* Decoding an UPDATE. Two passes over the attributes: the first frames them and reads only MP_REACH and
 * MP_UNREACH, since they say which routes are meant and whether RFC 7606's milder actions are possible at
 * all; the second reads the rest, unless the cache has seen the very same bytes. The result is a verdict
 * (update_action), spans of validated NLRI in the message itself, and interned attributes. With UPDATE_RESET
 * nothing else is left in it: an UPDATE is taken whole or not at all. Import checks and next-hop reachability
 * belong to the RIB. */
#include "wire/update.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/attr.h"
#include "wire/nlri.h"
#include "wire/update_cache.h"

void update_offend_why(struct update *u, enum update_action action, uint8_t subcode, uint8_t type,
                       const char *reason, const void *data, size_t len)
{
    if (u->n_offences < UPDATE_OFFENCES)
        u->offence[u->n_offences++] = (struct update_offence){(uint8_t)action, type};
    if (action <= u->action)
        return;
    u->action = action;
    u->error = bgp_error_make(BGP_ERR_UPDATE, subcode, data, len);
    u->bad_attr = type;
    u->bad_len = (uint16_t)len;
    u->reason = reason;
}

void update_offend(struct update *u, enum update_action action, uint8_t subcode, uint8_t type,
                   const void *data, size_t len)
{
    static const char *const reasons[] = {
        [BGP_ERR_UPD_MALFORMED] = "the attributes do not fit their length",
        [BGP_ERR_UPD_UNKNOWN_WELLKNOWN] = "unknown, but marked as well-known",
        [BGP_ERR_UPD_MISSING] = "missing",
        [BGP_ERR_UPD_FLAGS] = "wrong flags",
        [BGP_ERR_UPD_LENGTH] = "wrong length",
        [BGP_ERR_UPD_ORIGIN] = "undefined value",
        [BGP_ERR_UPD_NEXT_HOP] = "not the address of a host",
        [BGP_ERR_UPD_OPTIONAL] = "invalid value",
        [BGP_ERR_UPD_NLRI] = "malformed prefixes",
        [BGP_ERR_UPD_AS_PATH] = "malformed path",
    };
    const char *reason = subcode < sizeof reasons / sizeof *reasons ? reasons[subcode] : NULL;
    update_offend_why(u, action, subcode, type, reason ? reason : "malformed", data, len);
}

struct parts {
    struct nlri_span withdrawn, attrs, nlri;
};

/* RFC 4271 6.3, RFC 7606 3 b. */
static bool split(const uint8_t *body, size_t n, struct parts *out)
{
    struct wire_reader r = wire_reader(body, n);
    struct wire_reader withdrawn = wire_get_sub(&r, wire_get_u16(&r));
    struct wire_reader attrs = wire_get_sub(&r, wire_get_u16(&r));
    if (r.err)
        return false;
    out->withdrawn = (struct nlri_span){withdrawn.p, (uint32_t)wire_left(&withdrawn)};
    out->attrs = (struct nlri_span){attrs.p, (uint32_t)wire_left(&attrs)};
    out->nlri = (struct nlri_span){r.p, (uint32_t)wire_left(&r)};
    return true;
}

static void take_classic(struct pa_decoder *d, const struct parts *p)
{
    struct update *u = d->out;
    d->classic = d->reach = p->nlri.len > 0;
    if (!d->ctx->family[FAM_IPV4])
        return;
    bool add_path = d->ctx->add_path[FAM_IPV4];
    if (!nlri_check(p->withdrawn.p, p->withdrawn.len, FAM_IPV4, add_path) ||
        !nlri_check(p->nlri.p, p->nlri.len, FAM_IPV4, add_path))
        update_offend(u, UPDATE_RESET, BGP_ERR_UPD_NLRI, 0, NULL, 0);
    u->withdrawn[FAM_IPV4][0] = p->withdrawn;
    u->reach[FAM_IPV4][0] = p->nlri;
}

static void key_add(struct update_cache_key *k, const uint8_t *from, const uint8_t *to)
{
    if (from == to || k->n == UPDATE_CACHE_PIECES)
        return;
    k->piece[k->n++] = (struct nlri_span){from, (uint32_t)(to - from)};
    k->attr_len += (uint32_t)(to - from);
}

/* The first pass. The key gets everything but the multiprotocol attributes. */
static void frame(struct pa_decoder *d, const struct nlri_span *attrs, struct update_cache_key *k)
{
    struct wire_reader r = wire_reader(attrs->p, attrs->len);
    const uint8_t *from = r.p;
    struct pa_tlv t;
    int rc;
    while ((rc = pa_next(&r, &t)) > 0) {
        if (!pa_is_mp(t.type))
            continue;
        pa_decode(d, &t);
        key_add(k, from, t.start);
        from = r.p;
    }
    key_add(k, from, attrs->p + attrs->len);
    if (rc < 0) /* RFC 7606 section 4, but 3 j where the NLRI itself is cut off */
        update_offend_why(d->out, pa_is_mp(t.type) ? UPDATE_RESET : UPDATE_TREAT_AS_WITHDRAW,
                          t.type ? BGP_ERR_UPD_LENGTH : BGP_ERR_UPD_MALFORMED, t.type,
                          "cut off by the end of the attributes", t.start, t.len);
    if (!d->classic && d->mp_head.len && k->n && k->n < UPDATE_CACHE_PIECES) {
        k->piece[k->n++] = d->mp_head;
        k->head_len = d->mp_head.len;
    }
}

static void require(struct pa_decoder *d, uint8_t type)
{
    if (!pa_bit(d->seen, type)) /* RFC 7606 3 d */
        update_offend(d->out, UPDATE_TREAT_AS_WITHDRAW, BGP_ERR_UPD_MISSING, type, &type, 1);
}

/* The second pass. */
static int decode_rest(struct pa_decoder *d, const struct nlri_span *attrs)
{
    struct wire_reader r = wire_reader(attrs->p, attrs->len);
    struct pa_tlv t;
    while (pa_next(&r, &t) > 0)
        if (!pa_is_mp(t.type))
            pa_decode(d, &t);
    if (d->reach) {
        require(d, PA_ORIGIN);
        require(d, PA_AS_PATH);
    }
    if (d->classic)
        require(d, PA_NEXT_HOP);
    return pa_finish(d);
}

static int intern(struct pa_decoder *d, enum family f, int which)
{
    struct update *u = d->out;
    if (!u->reach[f][which].len)
        return 0;
    d->build.nexthop = which ? d->mp_next_hop : d->next_hop;
    /* 169.254/16 has no scope: the kernel knows it by its subnets like any other. */
    bool scoped = d->build.nexthop.af == AF_INET6 && addr_is_link_local(&d->build.nexthop);
    d->build.nexthop_scope = scoped ? d->ctx->scope : 0;
    u->attr[f][which] = attr_intern(d->ctx->attrs, &d->build);
    return u->attr[f][which] ? 0 : -ENOMEM;
}

static int decode_attrs(struct pa_decoder *d, const struct nlri_span *attrs, struct update_cache_key *k)
{
    struct update *u = d->out;
    const struct attr **only = NULL;
    unsigned announced = 0;
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int i = 0; i < 2; i++)
            if (u->reach[f][i].len) {
                only = &u->attr[f][i];
                announced++;
            }
    /* The key tells classic from multiprotocol by the head of MP_REACH, so no message with both. */
    bool cacheable = d->ctx->cache && u->action == UPDATE_OK && announced == 1 &&
                     (!d->classic || u->reach[FAM_IPV4][0].len);
    const struct attr *known = cacheable ? update_cache_find(d->ctx->cache, k) : NULL;
    if (known) {
        *only = attr_ref(known);
        return 0;
    }
    int rc = decode_rest(d, attrs);
    for (enum family f = 0; f < FAM_COUNT && !rc && u->action < UPDATE_TREAT_AS_WITHDRAW; f++)
        for (int i = 0; i < 2 && !rc; i++)
            rc = intern(d, f, i);
    if (!rc && cacheable && u->action == UPDATE_OK)
        update_cache_store(d->ctx->cache, d->ctx->attrs, k, *only);
    return rc;
}

static void find_eor(const struct pa_decoder *d, const struct parts *p, const struct update_cache_key *k)
{
    if (p->withdrawn.len || p->nlri.len || k->n || pa_bit(d->seen, PA_MP_REACH))
        return;
    if (!p->attrs.len)
        d->out->eor[FAM_IPV4] = d->ctx->family[FAM_IPV4];
    for (enum family f = 0; f < FAM_COUNT; f++)
        if (d->unreach_empty[f])
            d->out->eor[f] = true;
}

static void clear(const struct update_ctx *ctx, struct update *u)
{
    update_release(ctx, u);
    memset(u->withdrawn, 0, sizeof u->withdrawn);
    memset(u->reach, 0, sizeof u->reach);
    memset(u->eor, 0, sizeof u->eor);
}

int update_decode(const struct update_ctx *ctx, const uint8_t *body, size_t n, struct update *out)
{
    struct pa_decoder d;
    struct update_cache_key key = {.n = 0};
    struct parts parts;
    int rc = 0;
    memset(&d, 0, offsetof(struct pa_decoder, carried));
    d.ctx = ctx;
    d.out = out;
    memset(out, 0, sizeof *out);

    if (!split(body, n, &parts)) {
        update_offend(out, UPDATE_RESET, BGP_ERR_UPD_MALFORMED, 0, NULL, 0);
        return 0;
    }
    take_classic(&d, &parts);
    frame(&d, &parts.attrs, &key);
    if (out->action < UPDATE_RESET && key.n)
        rc = decode_attrs(&d, &parts.attrs, &key);
    else if (d.reach) /* no attribute at all beside the routes */
        require(&d, PA_ORIGIN);
    find_eor(&d, &parts, &key);
    free(d.scratch);

    /* RFC 7606 5.2: attributes, an error in them, and no routes: who knows what was meant. */
    if (out->action == UPDATE_TREAT_AS_WITHDRAW && !d.reach)
        out->action = UPDATE_RESET;
    if (rc) {
        out->action = UPDATE_RESET;
        out->error = bgp_error_make(BGP_ERR_CEASE, BGP_CEASE_RESOURCES, NULL, 0);
    }
    if (out->action == UPDATE_RESET)
        clear(ctx, out);
    return rc;
}

void update_release(const struct update_ctx *ctx, struct update *u)
{
    for (enum family f = 0; f < FAM_COUNT; f++)
        for (int i = 0; i < 2; i++) {
            if (u->attr[f][i])
                attr_unref(ctx->attrs, u->attr[f][i]);
            u->attr[f][i] = NULL;
        }
}
