/* BFD Control packets from the network into a session: what is taken encodes to the same, the session stays
 * within the rules of its state machine and timers, and what it sends is a packet that itself would take. */
#include "fib/bfd_session.h"
#include "fibmsg.h"
#include "tests/fuzz/fuzz.h"

static void check_codec(const struct fuzz_in *in, const struct bfd_packet *p)
{
    uint8_t bytes[BFD_PACKET_LEN];
    bfd_packet_encode(p, bytes);
    for (unsigned i = 0; i < BFD_PACKET_LEN; i++)
        FUZZ_CHECK(i == 3 || bytes[i] == in->p[i]); /* the length may cover more */
}

static void check_sent(struct bfd_session *s, enum bfd_occasion why, uint64_t now)
{
    uint8_t bytes[BFD_PACKET_LEN];
    struct bfd_packet p, again;
    bfd_session_packet(s, why, now, &p);
    bfd_packet_encode(&p, bytes);
    const char *wrong = bfd_packet_decode(bytes, sizeof bytes, &again);
    /* Without the peer's discriminator only Down and AdminDown may be said. */
    FUZZ_CHECK(!wrong && !memcmp(&p, &again, sizeof p));
    FUZZ_CHECK(!(p.flags & BFD_POLL && p.flags & BFD_FINAL));
    FUZZ_CHECK(p.state == FM_BFD_UP || p.tx_us >= BFD_SLOW_US);
}

static void check_session(const struct bfd_session *s, uint64_t now)
{
    FUZZ_CHECK(s->state <= FM_BFD_UP && s->discriminator == 1 && s->random);
    FUZZ_CHECK(s->ups == s->downs + (s->state == FM_BFD_UP));
    FUZZ_CHECK(!s->failed || (s->state != FM_BFD_UP && s->state != FM_BFD_ADMIN_DOWN));
    FUZZ_CHECK(s->tx_used_us <= s->tx_us || s->state == FM_BFD_UP);
    FUZZ_CHECK(s->sent_us <= now && s->detect_from_us <= now && s->since_us <= now);
    if (s->next_us != BFD_NEVER) {
        uint64_t interval = s->tx_used_us > s->remote_rx_us ? s->tx_used_us : s->remote_rx_us;
        FUZZ_CHECK(s->next_us <= s->sent_us + interval);
    }
}

static void pass_time(struct bfd_session *s, uint64_t now, bool grant)
{
    if (bfd_session_is_overdue(s, now) && !(grant && bfd_session_grant(s, now)))
        bfd_session_expire(s, now);
    if (now >= s->next_us)
        check_sent(s, BFD_PERIODIC, now);
    FUZZ_CHECK(bfd_session_due_us(s) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    struct bfd_session s;
    struct bfd_packet p;
    uint64_t now = 1000000;
    uint8_t how = fuzz_u8(&in);
    bfd_session_init(&s, 1, 10000 + fuzz_u16(&in) * 100u, (uint8_t)(1 + how % 4), how, now);
    while (in.n) {
        uint8_t what = fuzz_u8(&in);
        now += fuzz_u16(&in) * 100u;
        pass_time(&s, now, what & 1);
        if ((what & 0xF0) == 0x10) {
            bfd_session_change(&s, 10000 + fuzz_u16(&in) * 100u, (uint8_t)(1 + fuzz_u8(&in) % 255), now);
        } else if (what == 0x20) {
            bfd_session_admin_down(&s, now);
        } else {
            struct fuzz_in piece = fuzz_piece(&in);
            if (bfd_packet_decode(piece.p, piece.n, &p))
                continue;
            check_codec(&piece, &p);
            if (bfd_session_receive(&s, &p, now))
                check_sent(&s, BFD_ANSWER, now);
            if (bfd_session_has_news(&s))
                check_sent(&s, BFD_IN_BETWEEN, now);
        }
        check_session(&s, now);
    }
    return 0;
}
