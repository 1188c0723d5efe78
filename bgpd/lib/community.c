/* Text of communities. Names are the well-known ones as FRR spells them; a number works for all the others,
 * and it prints under its name when it has one. Not here: extended communities, which nobody types. */
#include "lib/community.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t value;
} names[] = {
    {"graceful-shutdown", COMMUNITY_GRACEFUL_SHUTDOWN},
    {"accept-own", COMMUNITY_ACCEPT_OWN},
    {"llgr-stale", COMMUNITY_LLGR_STALE},
    {"no-llgr", COMMUNITY_NO_LLGR},
    {"blackhole", COMMUNITY_BLACKHOLE},
    {"no-export", COMMUNITY_NO_EXPORT},
    {"no-advertise", COMMUNITY_NO_ADVERTISE},
    {"local-AS", COMMUNITY_LOCAL_AS},
    {"no-peer", COMMUNITY_NO_PEER},
    /* other spellings, read but not written */
    {"no-export-subconfed", COMMUNITY_LOCAL_AS},
    {"local-as", COMMUNITY_LOCAL_AS},
};
#define N_NAMES (sizeof names / sizeof *names)

/* Numbers between colons; returns how many (1 to 3), -EINVAL or -ERANGE. */
static int split(const char *s, uint64_t v[3])
{
    for (int n = 0; n < 3; n++) {
        size_t digits = strspn(s, "0123456789");
        if (digits == 0)
            return -EINVAL;
        v[n] = 0;
        for (size_t i = 0; i < digits; i++)
            if (v[n] <= UINT32_MAX)
                v[n] = v[n] * 10 + (uint64_t)(s[i] - '0');
        if (v[n] > UINT32_MAX)
            return -ERANGE;
        s += digits;
        if (!*s)
            return n + 1;
        if (*s++ != ':')
            return -EINVAL;
    }
    return -EINVAL;
}

int community_parse(const char *text, uint32_t *standard, uint32_t large[3])
{
    uint64_t v[3];
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strcmp(text, names[i].name) == 0) {
            *standard = names[i].value;
            return 1;
        }
    }
    int n = split(text, v);
    if (n == 3) {
        for (int i = 0; i < 3; i++)
            large[i] = (uint32_t)v[i];
        return 3;
    }
    if (n != 2)
        return n < 0 ? n : -EINVAL;
    if (v[0] > 65535 || v[1] > 65535)
        return -ERANGE;
    *standard = (uint32_t)(v[0] << 16 | v[1]);
    return 1;
}

const char *community_format(uint32_t c, char buf[COMMUNITY_STRLEN])
{
    for (size_t i = 0; i < N_NAMES; i++)
        if (names[i].value == c)
            return strcpy(buf, names[i].name);
    snprintf(buf, COMMUNITY_STRLEN, "%u:%u", c >> 16, c & 0xffff);
    return buf;
}

const char *community_format_large(const uint32_t c[3], char buf[COMMUNITY_STRLEN])
{
    snprintf(buf, COMMUNITY_STRLEN, "%u:%u:%u", c[0], c[1], c[2]);
    return buf;
}
