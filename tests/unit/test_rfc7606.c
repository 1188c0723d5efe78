/* RFC 7606 for every attribute that we know: what each way of being wrong has to lead to, and where that is
 * written. The faults that any attribute can have (flags, length, repeated, cut off, missing) are made from a
 * good one; what is particular to one attribute is a table of its own. The last case sees to it that no row
 * of the codec's table is left out. Messages as a whole: test_update.c. */
#include "update_fixture.h"
#include "wire/attr.h"

enum fault {
    GOOD,
    NOT_OPTIONAL,   /* the Optional bit the other way round */
    NOT_TRANSITIVE, /* the Transitive bit the other way round */
    EMPTY,          /* of length 0 */
    SHORTER,        /* the last octet of the value is not there */
    LONGER,         /* one octet more */
    TWICE,
    CUT_OFF, /* the last attribute, longer than what is left */
    MISSING,
    FAULTS
};
static const char *const fault_name[FAULTS] = {
    [GOOD] = "good",   [NOT_OPTIONAL] = "Optional bit", [NOT_TRANSITIVE] = "Transitive bit",
    [EMPTY] = "empty", [SHORTER] = "shorter",           [LONGER] = "longer",
    [TWICE] = "twice", [CUT_OFF] = "cut off",           [MISSING] = "missing"};

struct expect {
    enum update_action action;
    const char *section; /* NULL: cannot be, or says nothing */
};
#define OK(section)                                                                                          \
    {                                                                                                        \
        UPDATE_OK, section                                                                                   \
    }
#define DISCARD(section)                                                                                     \
    {                                                                                                        \
        UPDATE_ATTR_DISCARD, section                                                                         \
    }
#define WITHDRAW(section)                                                                                    \
    {                                                                                                        \
        UPDATE_TREAT_AS_WITHDRAW, section                                                                    \
    }
#define RESET(section)                                                                                       \
    {                                                                                                        \
        UPDATE_RESET, section                                                                                \
    }
#define FLAGS(what)  [NOT_OPTIONAL] = what, [NOT_TRANSITIVE] = what
#define LENGTH(what) [EMPTY] = what, [SHORTER] = what, [LONGER] = what

static const struct row {
    uint8_t type;
    enum peer_kind peer;
    const char *good;
    struct expect on[FAULTS];
} rows[] = {
    {PA_ORIGIN,
     EBGP,
     "400101 00",
     {FLAGS(WITHDRAW("3c")), [EMPTY] = WITHDRAW("4, 7.1"), [LONGER] = WITHDRAW("7.1"),
      [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4"), [MISSING] = WITHDRAW("3d")}},
    {PA_AS_PATH,
     EBGP,
     "400206 0201 0000fde9",
     {FLAGS(WITHDRAW("3c")), [EMPTY] = WITHDRAW("7.2, the peer's AS is not first"),
      [SHORTER] = WITHDRAW("7.2"), [LONGER] = WITHDRAW("7.2"), [TWICE] = DISCARD("3g"),
      [CUT_OFF] = WITHDRAW("4"), [MISSING] = WITHDRAW("3d")}},
    {PA_AS_PATH,
     IBGP,
     "400206 0201 0000fde9",
     {FLAGS(WITHDRAW("3c")), [EMPTY] = OK("4"), [SHORTER] = WITHDRAW("7.2"), [LONGER] = WITHDRAW("7.2"),
      [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4"), [MISSING] = WITHDRAW("3d")}},
    {PA_NEXT_HOP,
     EBGP,
     "400304 0a000001",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.3")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4"),
      [MISSING] = WITHDRAW("3d")}},
    {PA_MED,
     EBGP,
     "800404 00000007",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.4")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4"),
      [MISSING] = OK("RFC 4271 5.1.4: optional")}},
    {PA_LOCAL_PREF,
     IBGP,
     "400504 00000007",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.5")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4"),
      [MISSING] = OK("RFC 4271 section 5: discretionary")}},
    {PA_LOCAL_PREF,
     EBGP,
     "400504 00000007",
     {[GOOD] = DISCARD("7.5"),
      FLAGS(DISCARD("7.5")),
      LENGTH(DISCARD("7.5")),
      [TWICE] = DISCARD("7.5"),
      [CUT_OFF] = WITHDRAW("4")}},
    {PA_ATOMIC_AGGREGATE,
     EBGP,
     "400600",
     {FLAGS(DISCARD("3f")), [LONGER] = DISCARD("7.6"), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_AGGREGATOR,
     EBGP,
     "c00708 0000fde9 0a000001",
     {FLAGS(DISCARD("3f")), LENGTH(DISCARD("7.7")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_AGGREGATOR,
     OLD_EBGP,
     "c00706 fde9 0a000001",
     {FLAGS(DISCARD("3f")), LENGTH(DISCARD("7.7")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_COMMUNITIES,
     EBGP,
     "c00804 fde90001",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.8")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_ORIGINATOR_ID,
     IBGP,
     "800904 0a000001",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.9")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_ORIGINATOR_ID,
     EBGP,
     "800904 0a000001",
     {[GOOD] = DISCARD("7.9"),
      FLAGS(DISCARD("7.9")),
      LENGTH(DISCARD("7.9")),
      [TWICE] = DISCARD("7.9"),
      [CUT_OFF] = WITHDRAW("4")}},
    {PA_CLUSTER_LIST,
     IBGP,
     "800a08 0a000001 0a000002",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.10")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_CLUSTER_LIST,
     EBGP,
     "800a04 0a000001",
     {[GOOD] = DISCARD("7.10"),
      FLAGS(DISCARD("7.10")),
      LENGTH(DISCARD("7.10")),
      [TWICE] = DISCARD("7.10"),
      [CUT_OFF] = WITHDRAW("4")}},
    {PA_MP_REACH,
     EBGP,
     "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8",
     {FLAGS(RESET("5.3")), [EMPTY] = RESET("5.3"), [SHORTER] = RESET("5.3"), [LONGER] = RESET("5.3"),
      [TWICE] = RESET("3g"), [CUT_OFF] = RESET("3j")}},
    {PA_MP_UNREACH,
     EBGP,
     "800f08 0002 01 20 20010db9",
     {FLAGS(RESET("5.3")), [EMPTY] = RESET("5.3"), [SHORTER] = RESET("5.3"), [LONGER] = RESET("5.3"),
      [TWICE] = RESET("3g"), [CUT_OFF] = RESET("3j")}},
    {PA_EXTENDED_COMMUNITIES,
     EBGP,
     "c01008 0002fde900000001",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.14")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_AS4_PATH,
     OLD_EBGP,
     "c0110a 0202 0000fde9 000186a0",
     {FLAGS(WITHDRAW("3c: RFC 6793 says nothing of flags")),
      LENGTH(DISCARD("RFC 6793 section 6")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_AS4_PATH,
     EBGP,
     "c01106 0201 000186a0",
     {[GOOD] = DISCARD("RFC 6793 section 6"),
      FLAGS(DISCARD("RFC 6793 section 6")),
      LENGTH(DISCARD("RFC 6793 section 6")),
      [TWICE] = DISCARD("3g"),
      [CUT_OFF] = WITHDRAW("4")}},
    {PA_AS4_AGGREGATOR,
     OLD_EBGP,
     "c01208 000186a0 0a000001",
     {FLAGS(WITHDRAW("3c: RFC 6793 says nothing of flags")),
      LENGTH(DISCARD("RFC 6793 section 6")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_AS4_AGGREGATOR,
     EBGP,
     "c01208 000186a0 0a000001",
     {[GOOD] = DISCARD("RFC 6793 section 6"),
      FLAGS(DISCARD("RFC 6793 section 6")),
      LENGTH(DISCARD("RFC 6793 section 6")),
      [TWICE] = DISCARD("3g"),
      [CUT_OFF] = WITHDRAW("4")}},
    {PA_IPV6_EXTENDED,
     EBGP,
     "c01914 0002 20010db8000000000000000000000001 0001",
     {FLAGS(WITHDRAW("3c")), LENGTH(WITHDRAW("7.15")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_LARGE_COMMUNITIES,
     EBGP,
     "c0200c 000000010000000100000002",
     {FLAGS(WITHDRAW("3c")),
      LENGTH(WITHDRAW("RFC 8092 section 6")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
    {PA_OTC,
     EBGP,
     "c02304 0000fde9",
     {FLAGS(WITHDRAW("3c")),
      LENGTH(WITHDRAW("RFC 9234 section 5")), [TWICE] = DISCARD("3g"), [CUT_OFF] = WITHDRAW("4")}},
};
#define N_ROWS (sizeof rows / sizeof *rows)

/* A message that is good but for what is put in place of, or behind, its attributes of one type. */
static size_t base(enum peer_kind peer, uint8_t without, uint8_t *out, size_t room)
{
    const char *path = peer == EBGP       ? "400206 0201 0000fde9"
                       : peer == OLD_EBGP ? "400206 0202 fde9 5ba0"
                                          : "400200";
    const char *attrs[] = {"400101 00", path, "400304 0a000001"};
    size_t n = 0;
    for (uint8_t i = 0; i < 3; i++)
        if (without != i + 1)
            n += hex(attrs[i], out + n, room - n);
    return n;
}

static size_t spoil(const struct row *r, enum fault f, uint8_t *p, size_t room)
{
    size_t n = hex(r->good, p, room), len = p[2];
    switch (f) {
    case GOOD:
    case FAULTS:
        return n;
    case NOT_OPTIONAL:
        p[0] ^= PA_FLAG_OPTIONAL;
        return n;
    case NOT_TRANSITIVE:
        p[0] ^= PA_FLAG_TRANSITIVE;
        return n;
    case EMPTY:
        p[2] = 0;
        return 3;
    case SHORTER:
        p[2] = (uint8_t)(len - 1);
        return n - 1;
    case LONGER:
        p[2] = (uint8_t)(len + 1);
        p[n] = 0xff;
        return n + 1;
    case TWICE:
        memcpy(p + n, p, n);
        return 2 * n;
    case CUT_OFF:
        p[2] = (uint8_t)(len + 1);
        return n;
    case MISSING:
        return 0;
    }
    return 0;
}

static void decode_bytes(struct fixture *x, const uint8_t *attrs, size_t n)
{
    struct wire_writer w = wire_writer(x->body, sizeof x->body);
    static const uint8_t nlri[] = {0x18, 0x0a, 0x01, 0x00};
    update_release(&x->ctx, &x->u);
    wire_put_u16(&w, 0);
    wire_put_u16(&w, (uint16_t)n);
    wire_put_bytes(&w, attrs, n);
    wire_put_bytes(&w, nlri, sizeof nlri);
    x->len = wire_len(&w);
    CU_ASSERT_EQUAL(update_decode(&x->ctx, x->body, x->len, &x->u), 0);
}

/* What must be left after an attribute was discarded: exactly what a message without the rest would give. */
static const struct attr *without_it(struct fixture *x, const struct row *r, bool twice)
{
    uint8_t attrs[256];
    size_t n = base(r->peer, twice ? r->type : 0, attrs, sizeof attrs);
    if (twice)
        n += hex(r->good, attrs + n, sizeof attrs - n);
    decode_bytes(x, attrs, n);
    return x->u.attr[FAM_IPV4][0] ? attr_ref(x->u.attr[FAM_IPV4][0]) : NULL;
}

static bool judge(struct fixture *x, const struct row *r, enum fault f)
{
    const struct expect *e = &r->on[f];
    const struct update *u = &x->u;
    const struct attr *plain = without_it(x, r, f == TWICE);
    uint8_t attrs[256];
    size_t n = base(r->peer, r->type, attrs, sizeof attrs);
    n += spoil(r, f, attrs + n, sizeof attrs - n);
    decode_bytes(x, attrs, n);

    bool ok = u->action == e->action;
    if (e->action)
        ok &= u->error.code == BGP_ERR_UPDATE && u->bad_attr == r->type && u->reason && u->n_offences;
    else
        ok &= !u->n_offences;
    ok &=
        (u->reach[FAM_IPV4][0].len > 0) == (e->action != UPDATE_RESET); /* withdraws, too, need the routes */
    ok &= (u->attr[FAM_IPV4][0] != NULL) == (e->action < UPDATE_TREAT_AS_WITHDRAW);
    if (e->action == UPDATE_ATTR_DISCARD && !pa_is_mp(r->type))
        ok &= u->attr[FAM_IPV4][0] == plain;
    if (plain)
        attr_unref(x->attrs, plain);
    if (!ok)
        printf("      attribute %u (%s), %s, peer %d: action %d instead of %d (%s), %s\n", r->type,
               pa_name(r->type), fault_name[f], r->peer, u->action, e->action, e->section,
               u->reason ? u->reason : "no reason");
    return ok;
}

static void what_any_attribute_can_have_wrong(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < N_ROWS; i++) {
        fixture_peer(&x, rows[i].peer);
        for (enum fault f = GOOD; f < FAULTS; f++)
            if (f == GOOD || rows[i].on[f].section)
                CU_ASSERT_TRUE(judge(&x, &rows[i], f));
    }
    fixture_close(&x);
}

/* Values and lengths that one attribute alone can have wrong. */
static const struct particular {
    const char *why;
    uint8_t type;
    enum peer_kind peer;
    const char *attr;
    enum update_action action;
} particulars[] = {
    {"7.1 undefined value", PA_ORIGIN, EBGP, "400101 03", UPDATE_TREAT_AS_WITHDRAW},
    {"7.2 unrecognized segment type", PA_AS_PATH, EBGP, "400206 0501 0000fde9", UPDATE_TREAT_AS_WITHDRAW},
    {"7.2 overrun", PA_AS_PATH, EBGP, "400206 0202 0000fde9", UPDATE_TREAT_AS_WITHDRAW},
    {"7.2 underrun", PA_AS_PATH, EBGP, "400207 0201 0000fde9 02", UPDATE_TREAT_AS_WITHDRAW},
    {"7.2 segment of no AS", PA_AS_PATH, EBGP, "400208 0201 0000fde9 0200", UPDATE_TREAT_AS_WITHDRAW},
    {"7.2 not the peer's AS first", PA_AS_PATH, EBGP, "400206 0201 0000fdea", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 5065 section 5 confederation segments from outside", PA_AS_PATH, EBGP,
     "40020c 0301 0000fde9 0201 0000fde9", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 7607 AS 0", PA_AS_PATH, EBGP, "40020a 0202 0000fde9 00000000", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 7607 AS 0 in a set", PA_AS_PATH, EBGP, "40020c 0201 0000fde9 0101 00000000",
     UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: 0.0.0.0", PA_NEXT_HOP, EBGP, "400304 00000000", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: 0.1.2.3", PA_NEXT_HOP, EBGP, "400304 00010203", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: loopback", PA_NEXT_HOP, EBGP, "400304 7f000001", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: multicast", PA_NEXT_HOP, EBGP, "400304 e0000005", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: class E", PA_NEXT_HOP, EBGP, "400304 f0000001", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: broadcast", PA_NEXT_HOP, EBGP, "400304 ffffffff", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 a host that we cannot reach is no error of syntax", PA_NEXT_HOP, EBGP, "400304 cb007101",
     UPDATE_OK},
    {"7.7 of 6 from a four-octet peer", PA_AGGREGATOR, EBGP, "c00706 fde9 0a000001", UPDATE_ATTR_DISCARD},
    {"7.7 of 8 from a two-octet peer", PA_AGGREGATOR, OLD_EBGP, "c00708 0000fde9 0a000001",
     UPDATE_ATTR_DISCARD},
    {"RFC 7607 AS 0", PA_AGGREGATOR, EBGP, "c00708 00000000 0a000001", UPDATE_ATTR_DISCARD},
    {"7.14 unknown type and subtype", PA_EXTENDED_COMMUNITIES, EBGP, "c01008 7fffffffffffffff", UPDATE_OK},
    {"7.15 unknown type and subtype", PA_IPV6_EXTENDED, EBGP,
     "c01914 ffff 20010db8000000000000000000000001 0001", UPDATE_OK},
    {"RFC 6793 section 6 too short", PA_AS4_PATH, OLD_EBGP, "c01104 0201 fde9", UPDATE_ATTR_DISCARD},
    {"RFC 6793 section 6 overrun", PA_AS4_PATH, OLD_EBGP, "c01106 0202 000186a0", UPDATE_ATTR_DISCARD},
    {"RFC 6793 section 6 segment of no AS", PA_AS4_PATH, OLD_EBGP, "c01108 0201 000186a0 0200",
     UPDATE_ATTR_DISCARD},
    {"RFC 6793 section 6 segment type", PA_AS4_PATH, OLD_EBGP, "c01106 0501 000186a0", UPDATE_ATTR_DISCARD},
    {"RFC 6793 section 6 confederation segments are left out, and told", PA_AS4_PATH, OLD_EBGP,
     "c0110c 0301 00000005 0201 000186a0", UPDATE_ATTR_DISCARD},
    {"RFC 7607 AS 0", PA_AS4_PATH, OLD_EBGP, "c01106 0201 00000000", UPDATE_ATTR_DISCARD},
    {"RFC 7607 AS 0", PA_AS4_AGGREGATOR, OLD_EBGP, "c01208 00000000 0a000001", UPDATE_ATTR_DISCARD},
    {"7.11 next hop of 4 for IPv6", PA_MP_REACH, EBGP, "800e0e 0002 01 04 0a000001 00 20 20010db8",
     UPDATE_RESET},
    {"7.11 next hop of 0", PA_MP_REACH, EBGP, "800e0a 0002 01 00 00 20 20010db8", UPDATE_RESET},
    {"7.11 next hop beyond the end", PA_MP_REACH, EBGP, "800e0a 0002 01 ff 00 20 20010db8", UPDATE_RESET},
    {"5.3 of 4", PA_MP_REACH, EBGP, "800e04 0002 01 00", UPDATE_RESET},
    {"5.3 prefix longer than 128", PA_MP_REACH, EBGP,
     "800e27 0002 01 10 20010db8000000000000000000000001 00 81 20010db8000000000000000000000000",
     UPDATE_RESET},
    {"RFC 4271 6.3 no host: ::", PA_MP_REACH, EBGP,
     "800e1a 0002 01 10 00000000000000000000000000000000 00 20 20010db8", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: ::1", PA_MP_REACH, EBGP,
     "800e1a 0002 01 10 00000000000000000000000000000001 00 20 20010db8", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: multicast", PA_MP_REACH, EBGP,
     "800e1a 0002 01 10 ff020000000000000000000000000001 00 20 20010db8", UPDATE_TREAT_AS_WITHDRAW},
    {"RFC 4271 6.3 no host: IPv4-mapped", PA_MP_REACH, EBGP,
     "800e1a 0002 01 10 00000000000000000000ffff0a000001 00 20 20010db8", UPDATE_TREAT_AS_WITHDRAW},
    {"5.3 of 2", PA_MP_UNREACH, EBGP, "800f02 0002", UPDATE_RESET},
    {"5.3 prefix longer than 128", PA_MP_UNREACH, EBGP, "800f05 0002 01 ff 00", UPDATE_RESET},
    {"RFC 4271 6.3 a community nobody has defined", PA_COMMUNITIES, EBGP, "c00804 ffff1234", UPDATE_OK},
    {"RFC 9234 section 5: any AS", PA_OTC, EBGP, "c02304 00000000", UPDATE_OK},
    {"RFC 4271 section 5: unknown, optional transitive", 99, EBGP, "c06302 abcd", UPDATE_OK},
    {"RFC 4271 section 5: unknown, optional", 99, EBGP, "806302 abcd", UPDATE_OK},
    {"RFC 4271 section 5: unknown, of no length", 99, EBGP, "c06300", UPDATE_OK},
    {"3g unknown, twice", 99, EBGP, "c06301 01 c06301 02", UPDATE_ATTR_DISCARD},
    {"RFC 4271 6.3 unknown and well-known, which RFC 7606 leaves as it was", 99, EBGP, "406302 abcd",
     UPDATE_RESET},
};

static void what_is_particular_to_an_attribute(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    for (size_t i = 0; i < sizeof particulars / sizeof *particulars; i++) {
        const struct particular *p = &particulars[i];
        uint8_t attrs[256];
        fixture_peer(&x, p->peer);
        size_t n = base(p->peer, p->type, attrs, sizeof attrs);
        n += hex(p->attr, attrs + n, sizeof attrs - n);
        decode_bytes(&x, attrs, n);
        if (x.u.action != p->action || x.u.bad_attr != (p->action ? p->type : 0)) {
            printf("      attribute %u, %s: action %d, attribute %u\n", p->type, p->why, x.u.action,
                   x.u.bad_attr);
            CU_FAIL("particular");
        }
    }
    fixture_close(&x);
}

/* RFC 7606 2: "as though all contained routes had been withdrawn", of both families in one message. */
static void withdrawn_by_error_are_the_routes_of_both_families(void)
{
    struct fixture x;
    struct prefix p;
    fixture_open(&x, EBGP);
    fixture_decode(&x, "08 0b",
                   "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8"
                   "800f08 0002 01 20 20010db9 400101 07 400206 0201 0000fde9 400304 0a000001",
                   "18 0a0100 18 0a0200");
    CU_ASSERT_EQUAL(x.u.action, UPDATE_TREAT_AS_WITHDRAW);
    CU_ASSERT_TRUE(!x.u.attr[FAM_IPV4][0] && !x.u.attr[FAM_IPV6][1]);
    CU_ASSERT_EQUAL(x.u.reach[FAM_IPV4][0].len, 8);
    CU_ASSERT_TRUE(nlri_next(&x.u.reach[FAM_IPV6][1], FAM_IPV6, &p) && p.len == 32);
    CU_ASSERT_EQUAL(x.u.withdrawn[FAM_IPV4][0].len, 2); /* the ordinary ones are so all the same */
    CU_ASSERT_EQUAL(x.u.withdrawn[FAM_IPV6][1].len, 5);
    fixture_close(&x);
}

static void every_offence_of_a_message_is_listed(void)
{
    struct fixture x;
    fixture_open(&x, EBGP);
    fixture_decode(&x, "",
                   "400101 07 400206 0201 0000fde9 400304 0a000001 400601 00 400504 00000064 c00803 000000",
                   "18 0a0100");
    static const struct update_offence want[] = {{UPDATE_TREAT_AS_WITHDRAW, PA_ORIGIN},
                                                 {UPDATE_ATTR_DISCARD, PA_ATOMIC_AGGREGATE},
                                                 {UPDATE_ATTR_DISCARD, PA_LOCAL_PREF},
                                                 {UPDATE_TREAT_AS_WITHDRAW, PA_COMMUNITIES}};
    CU_ASSERT_EQUAL_FATAL(x.u.n_offences, 4);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_TRUE(x.u.offence[i].action == want[i].action && x.u.offence[i].type == want[i].type);
    CU_ASSERT_EQUAL(x.u.bad_attr, PA_ORIGIN);
    CU_ASSERT_STRING_EQUAL(x.u.reason, "undefined value");
    CU_ASSERT_EQUAL(x.u.bad_len, 4);

    char many[1024] = "400101 00 400206 0201 0000fde9 400304 0a000001 ";
    for (int i = 0; i < 3 * UPDATE_OFFENCES; i++)
        strcat(many, "400600 ");
    fixture_decode(&x, "", many, "18 0a0100");
    CU_ASSERT_EQUAL(x.u.action, UPDATE_ATTR_DISCARD);
    CU_ASSERT_EQUAL(x.u.n_offences, UPDATE_OFFENCES);
    fixture_close(&x);
}

static void no_row_of_the_table_is_left_out(void)
{
    for (unsigned type = 0; type < 256; type++) {
        bool found = false;
        for (size_t i = 0; i < N_ROWS; i++) {
            if (rows[i].type != type)
                continue;
            found = true;
            for (enum fault f = NOT_OPTIONAL; f < MISSING; f++)
                CU_ASSERT_TRUE(rows[i].on[f].section || (type == PA_ORIGIN && f == SHORTER) ||
                               (type == PA_ATOMIC_AGGREGATE && (f == EMPTY || f == SHORTER)));
        }
        CU_ASSERT_EQUAL(found, pa_name((uint8_t)type) != NULL);
    }
}

static const struct unit_case cases[] = {
    UNIT(what_any_attribute_can_have_wrong),
    UNIT(what_is_particular_to_an_attribute),
    UNIT(withdrawn_by_error_are_the_routes_of_both_families),
    UNIT(every_offence_of_a_message_is_listed),
    UNIT(no_row_of_the_table_is_left_out),
};
UNIT_MAIN("rfc7606", cases)
