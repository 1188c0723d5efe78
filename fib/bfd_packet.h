/* The BFD Control packet, RFC 5880 section 4.1: bytes in, a struct out, and back. No authentication. */
#ifndef UNDERLAY_FIB_BFD_PACKET_H
#define UNDERLAY_FIB_BFD_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BFD_PACKET_LEN 24

enum bfd_packet_flag { /* the second octet, below the state */
                       BFD_POLL = 0x20,
                       BFD_FINAL = 0x10,
                       BFD_CONTROL_PLANE_INDEPENDENT = 0x08,
                       BFD_AUTHENTICATION = 0x04,
                       BFD_DEMAND = 0x02,
                       BFD_MULTIPOINT = 0x01,
};
enum bfd_diag {
    BFD_DIAG_NONE = 0,
    BFD_DIAG_EXPIRED = 1,       /* Control Detection Time Expired */
    BFD_DIAG_NEIGHBOR_DOWN = 3, /* Neighbor Signaled Session Down */
    BFD_DIAG_ADMIN_DOWN = 7,
};

struct bfd_packet {
    uint8_t diag;       /* 0..31 */
    uint8_t state;      /* enum fm_bfd_session_state */
    uint8_t flags;      /* enum bfd_packet_flag */
    uint8_t multiplier; /* Detect Mult */
    uint32_t my_discriminator, your_discriminator;
    uint32_t tx_us;      /* Desired Min TX Interval */
    uint32_t rx_us;      /* Required Min RX Interval */
    uint32_t echo_rx_us; /* Required Min Echo RX Interval; we loop nothing back: 0 */
};

/* The payload of a datagram, n octets. NULL, or which rule of RFC 5880 6.8.6 says to discard it: all those
 * that need no session, and the A bit, for none of ours uses authentication. */
const char *bfd_packet_decode(const uint8_t *data, size_t n, struct bfd_packet *out);
void bfd_packet_encode(const struct bfd_packet *p, uint8_t out[BFD_PACKET_LEN]);

#endif
