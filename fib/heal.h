/* Putting back what other programs take away: soon after a quiet time, slower and slower against one who does
 * it again and again, and said once for each such time. */
#ifndef UNDERLAY_FIB_HEAL_H
#define UNDERLAY_FIB_HEAL_H

#include <stdbool.h>
#include <stdint.h>

#define HEAL_FIRST_MS                                                                                        \
    50 /* not at once: the kernel reports the IPv6 routes that a link takes down before the link */
#define HEAL_MOST_MS  5000
#define HEAL_QUIET_MS 15000 /* nothing was taken away for so long: it is over */

struct heal { /* zero-initialise */
    uint64_t last_ms;
    uint32_t delay_ms;
    bool told; /* of the present time */
};

/* Something was taken away: in how many ms to put it back. To be asked once for each time that it is. */
uint32_t heal_delay(struct heal *h, uint64_t now_ms);
bool heal_is_news(struct heal *h); /* once for each time; then say it */

#endif
