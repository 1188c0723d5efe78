/* Router Advertisements and Solicitations from a link: what is taken can be written and read again. */
#include <errno.h>

#include "ra.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ra_msg m, again;
    uint8_t buf[RA_MAX];
    memset(&m, 0, sizeof m);
    int rc = ra_decode(data, size, &m);
    FUZZ_CHECK(!rc || rc == -ENOMSG || rc == -EBADMSG);
    if (rc)
        return 0;
    struct ip_addr source = addr_from_bytes(AF_INET6, (const uint8_t[16]){0xfe, 0x80, [15] = 1});
    ra_packet_is_valid(&m, &source, RA_HOP_LIMIT);
    for (size_t room = 0; room < RA_MAX; room++)
        FUZZ_CHECK(ra_encode(&m, buf, room) <= room);
    size_t n = ra_encode(&m, buf, sizeof buf);
    FUZZ_CHECK(n && !ra_decode(buf, n, &again));
    FUZZ_CHECK(m.type == again.type && m.hop_limit == again.hop_limit && m.flags == again.flags &&
               m.lifetime == again.lifetime && m.reachable_ms == again.reachable_ms &&
               m.retrans_ms == again.retrans_ms && m.mtu == again.mtu && m.has_lladdr == again.has_lladdr &&
               (!m.has_lladdr || !memcmp(m.lladdr, again.lladdr, sizeof m.lladdr)));
    return 0;
}
