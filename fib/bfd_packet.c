/* Codec of the BFD Control packet.
 *
 * The rules of reception are in the order of RFC 5880 6.8.6 up to where a session is looked up; what a
 * session does with a packet is bfd_session.c's. */
#include "fib/bfd_packet.h"

#include "fibmsg.h"

#define VERSION       1
#define MIN_WITH_AUTH 26

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

const char *bfd_packet_decode(const uint8_t *data, size_t n, struct bfd_packet *out)
{
    if (n < BFD_PACKET_LEN)
        return "shorter than a packet";
    const uint8_t flags = data[1] & 0x3F, length = data[3];
    if (data[0] >> 5 != VERSION)
        return "version is not 1";
    if (length < (flags & BFD_AUTHENTICATION ? MIN_WITH_AUTH : BFD_PACKET_LEN))
        return "length is below the minimum";
    if (length > n)
        return "length is beyond the payload";
    if (!data[2])
        return "detect mult is zero";
    if (flags & BFD_MULTIPOINT)
        return "multipoint";
    *out = (struct bfd_packet){
        .diag = data[0] & 0x1F,
        .state = data[1] >> 6,
        .flags = flags,
        .multiplier = data[2],
        .my_discriminator = get_u32(data + 4),
        .your_discriminator = get_u32(data + 8),
        .tx_us = get_u32(data + 12),
        .rx_us = get_u32(data + 16),
        .echo_rx_us = get_u32(data + 20),
    };
    if (!out->my_discriminator)
        return "my discriminator is zero";
    if (!out->your_discriminator && out->state != FM_BFD_DOWN && out->state != FM_BFD_ADMIN_DOWN)
        return "your discriminator is zero in a session";
    if (flags & BFD_AUTHENTICATION)
        return "authentication, which is not in use";
    return NULL;
}

void bfd_packet_encode(const struct bfd_packet *p, uint8_t out[BFD_PACKET_LEN])
{
    out[0] = (uint8_t)(VERSION << 5 | (p->diag & 0x1F));
    out[1] = (uint8_t)(p->state << 6 | (p->flags & 0x3F));
    out[2] = p->multiplier;
    out[3] = BFD_PACKET_LEN;
    put_u32(out + 4, p->my_discriminator);
    put_u32(out + 8, p->your_discriminator);
    put_u32(out + 12, p->tx_us);
    put_u32(out + 16, p->rx_us);
    put_u32(out + 20, p->echo_rx_us);
}
