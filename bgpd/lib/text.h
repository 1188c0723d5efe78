/* Small helpers over text that configuration and CLI share: durations, and which word was probably meant. */
#ifndef UNDERLAY_TEXT_H
#define UNDERLAY_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* "300ms", "9s", "2m", "1h", or "0". Returns 0, -EINVAL (no number, no unit), -ERANGE (does not fit 32 bits
 * of ms). */
int duration_parse(const char *text, uint32_t *ms);
#define DURATION_STRLEN 16
/* In the largest unit that divides it: "300ms", "90s", "2m"; 0 is "0s". Returns buf. */
const char *duration_format(uint32_t ms, char buf[DURATION_STRLEN]);

/* Edits between two words, a swap of neighbours counting as one; words beyond 63 bytes are infinitely far. */
unsigned text_distance(const char *a, const char *b);
/* Of n candidates (NULLs are skipped) the one that a mistyped word probably meant, or NULL. */
const char *text_closest(const char *word, const char *const *candidates, size_t n);

/* A copy in which each byte that is not part of UTF-8 is a `?`; the caller's. NULL: out of memory. */
char *text_utf8(const char *s);

#endif
