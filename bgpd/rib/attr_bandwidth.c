/* Link bandwidth, draft-ietf-idr-link-bandwidth: an extended community 40 04 (00 04 where it is transitive),
 * an AS, and bytes per second as an IEEE float. Only the relation between the paths of a prefix counts; it
 * becomes the weights of the members of a nexthop group.
 *
 * Whatever a peer writes there is a float: what is none, negative, zero or infinite is as good as absent.
 * Weights are small numbers on purpose. The kernel keeps 8 bits, and a group exists for each set of weights:
 * the smallest whole numbers that come close enough do not change with every little change of a bandwidth,
 * and paths of about the same one share the group of those that have none. */
#include <math.h>
#include <string.h>

#include "rib/attr.h"
#include "wire/msg.h"

#define BYTES_PER_WEIGHT 125000 /* 1 Mbit/s */
#define WEIGHT_MOST      255
#define CLOSE_ENOUGH     0.02f

static bool is_link_bandwidth(const uint8_t *c)
{
    return (c[0] & 0xbf) == 0 && c[1] == 0x04;
}

float attr_bandwidth(const struct attr *a)
{
    uint16_t len;
    const uint8_t *c = attr_part(a, PART_EXTENDED, &len);
    for (; len >= 8; c += 8, len -= 8) {
        uint32_t raw = (uint32_t)c[4] << 24 | (uint32_t)c[5] << 16 | (uint32_t)c[6] << 8 | c[7];
        float bandwidth;
        memcpy(&bandwidth, &raw, sizeof bandwidth);
        if (is_link_bandwidth(c) && isfinite(bandwidth) && bandwidth > 0)
            return bandwidth;
    }
    return 0;
}

uint32_t attr_weight(const struct attr *a)
{
    double weight = (double)attr_bandwidth(a) / BYTES_PER_WEIGHT + 0.5;
    return weight > ATTR_WEIGHT_MOST ? ATTR_WEIGHT_MOST : (uint32_t)weight;
}

size_t attr_put_weight(const uint8_t *extended, size_t len, uint32_t as, uint32_t weight, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        if (is_link_bandwidth(extended + i))
            continue;
        memmove(out + n, extended + i, 8);
        n += 8;
    }
    if (!weight)
        return n;
    float bandwidth = (float)weight * BYTES_PER_WEIGHT;
    uint32_t raw;
    memcpy(&raw, &bandwidth, sizeof raw);
    uint16_t as2 = as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)as; /* RFC 6793 section 9 */
    const uint8_t c[8] = {0x40,
                          0x04,
                          (uint8_t)(as2 >> 8),
                          (uint8_t)as2,
                          (uint8_t)(raw >> 24),
                          (uint8_t)(raw >> 16),
                          (uint8_t)(raw >> 8),
                          (uint8_t)raw};
    memcpy(out + n, c, sizeof c);
    return n + sizeof c;
}

/* The nearest whole number to what share of `most` is, and how far off that is, relatively. */
static uint8_t nearest(float share, unsigned most, float *off)
{
    float exact = share * (float)most;
    unsigned whole = exact < 1 ? 1 : (unsigned)(exact + 0.5f);
    float error = fabsf((float)whole - exact);
    *off = error > *off * exact ? error / exact : *off;
    return (uint8_t)(whole < WEIGHT_MOST ? whole : WEIGHT_MOST);
}

void bandwidth_to_weights(const float *bandwidth, unsigned n, uint8_t *weights)
{
    float share[ATTR_WEIGHTS_MAX], greatest = 0, least_off = INFINITY;
    unsigned best = WEIGHT_MOST;
    n = n < ATTR_WEIGHTS_MAX ? n : ATTR_WEIGHTS_MAX;
    for (unsigned i = 0; i < n; i++)
        greatest = bandwidth[i] > greatest ? bandwidth[i] : greatest;
    for (unsigned i = 0; i < n; i++) {
        share[i] = bandwidth[i] / greatest;
        share[i] = share[i] > 1.0f / WEIGHT_MOST ? share[i] : 1.0f / WEIGHT_MOST;
    }
    for (unsigned most = 1; most <= WEIGHT_MOST && least_off > CLOSE_ENOUGH; most++) {
        float off = 0;
        for (unsigned i = 0; i < n && off < least_off; i++)
            nearest(share[i], most, &off);
        if (off < least_off) {
            least_off = off;
            best = most;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        float off = 0;
        weights[i] = nearest(share[i], best, &off);
    }
}
