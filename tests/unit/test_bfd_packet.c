/* The BFD Control packet: RFC 5880 section 4.1 and the rules of 6.8.6 that need no session. */
#include <string.h>

#include "fib/bfd_packet.h"
#include "fibmsg.h"
#include "unit.h"

static const uint8_t good[] = {0x20 | 1, FM_BFD_UP << 6 | BFD_POLL | BFD_CONTROL_PLANE_INDEPENDENT,
                               3,        24, /* diag 1 */
                               0x11,     0x22,
                               0x33,     0x44,
                               0x55,     0x66,
                               0x77,     0x88,
                               0,        0,
                               0xC3,     0x50,
                               0,        1,
                               0x86,     0xA0,
                               0,        0,
                               0,        7};

static void a_packet_is_what_the_rfc_draws(void)
{
    struct bfd_packet p;
    uint8_t again[BFD_PACKET_LEN];

    CU_ASSERT_PTR_NULL_FATAL(bfd_packet_decode(good, sizeof good, &p));
    CU_ASSERT_EQUAL(p.diag, 1);
    CU_ASSERT_EQUAL(p.state, FM_BFD_UP);
    CU_ASSERT_EQUAL(p.flags, BFD_POLL | BFD_CONTROL_PLANE_INDEPENDENT);
    CU_ASSERT_EQUAL(p.multiplier, 3);
    CU_ASSERT_EQUAL(p.my_discriminator, 0x11223344);
    CU_ASSERT_EQUAL(p.your_discriminator, 0x55667788);
    CU_ASSERT_EQUAL(p.tx_us, 50000);
    CU_ASSERT_EQUAL(p.rx_us, 100000);
    CU_ASSERT_EQUAL(p.echo_rx_us, 7);
    bfd_packet_encode(&p, again);
    CU_ASSERT_EQUAL(memcmp(again, good, sizeof good), 0);
}

static void what_follows_the_length_is_no_matter(void)
{
    uint8_t longer[40] = {0};
    struct bfd_packet p;

    memcpy(longer, good, sizeof good);
    CU_ASSERT_PTR_NULL(bfd_packet_decode(longer, sizeof longer, &p));
    longer[3] = 30; /* that of a packet with something behind it */
    CU_ASSERT_PTR_NULL(bfd_packet_decode(longer, sizeof longer, &p));
}

static void what_must_be_discarded_is(void)
{
    static const struct {
        const char *what;
        uint8_t at, value;
    } table[] = {
        {"version 0", 0, 0},
        {"version 2", 0, 0x40},
        {"length 23", 3, 23},
        {"length 0", 3, 0},
        {"length beyond the payload", 3, 25},
        {"detect mult 0", 2, 0},
        {"multipoint", 1, FM_BFD_UP << 6 | BFD_MULTIPOINT},
        {"authentication without room for it", 1, FM_BFD_UP << 6 | BFD_AUTHENTICATION},
    };
    struct bfd_packet p;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof bad);
        bad[table[i].at] = table[i].value;
        if (!bfd_packet_decode(bad, sizeof bad, &p))
            printf("taken: %s\n", table[i].what);
        CU_ASSERT_PTR_NOT_NULL(bfd_packet_decode(bad, sizeof bad, &p));
    }
    for (size_t n = 0; n < sizeof good; n++)
        CU_ASSERT_PTR_NOT_NULL(bfd_packet_decode(good, n, &p));
}

static void authentication_is_not_in_use(void)
{
    uint8_t packet[26] = {0};
    struct bfd_packet p;

    memcpy(packet, good, sizeof good);
    packet[1] |= BFD_AUTHENTICATION;
    packet[3] = sizeof packet;
    CU_ASSERT_PTR_NOT_NULL(bfd_packet_decode(packet, sizeof packet, &p));
}

static void discriminators_are_not_zero_in_a_session(void)
{
    struct bfd_packet p = {.state = FM_BFD_DOWN, .multiplier = 3, .my_discriminator = 1}, out;
    uint8_t bytes[BFD_PACKET_LEN];

    for (uint8_t state = FM_BFD_ADMIN_DOWN; state <= FM_BFD_UP; state++) {
        p.state = state;
        p.my_discriminator = 1;
        p.your_discriminator = 0;
        bfd_packet_encode(&p, bytes);
        bool ok = !bfd_packet_decode(bytes, sizeof bytes, &out);
        CU_ASSERT_EQUAL(ok, state == FM_BFD_ADMIN_DOWN || state == FM_BFD_DOWN);
        p.my_discriminator = 0;
        p.your_discriminator = 9;
        bfd_packet_encode(&p, bytes);
        CU_ASSERT_PTR_NOT_NULL(bfd_packet_decode(bytes, sizeof bytes, &out));
    }
}

static const struct unit_case cases[] = {
    UNIT(a_packet_is_what_the_rfc_draws),
    UNIT(what_follows_the_length_is_no_matter),
    UNIT(what_must_be_discarded_is),
    UNIT(authentication_is_not_in_use),
    UNIT(discriminators_are_not_zero_in_a_session),
};
UNIT_MAIN("bfd_packet", cases)
