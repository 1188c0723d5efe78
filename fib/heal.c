/* See heal.h. Two programs that undo each other's work for ever would keep both processors busy and fill the
 * log; the other one does not know better, so we are the one who slows down. */
#include "fib/heal.h"

uint32_t heal_delay(struct heal *h, uint64_t now_ms)
{
    if (!h->last_ms || now_ms - h->last_ms > HEAL_QUIET_MS)
        *h = (struct heal){.delay_ms = HEAL_FIRST_MS};
    else
        h->delay_ms = h->delay_ms * 2 > HEAL_MOST_MS ? HEAL_MOST_MS : h->delay_ms * 2;
    h->last_ms = now_ms + h->delay_ms;
    return h->delay_ms;
}

bool heal_is_news(struct heal *h)
{
    bool news = !h->told;

    h->told = true;
    return news;
}
