/* Regular expressions over a printed AS_PATH, as FRR has them: POSIX extended, and `_` is a boundary of an AS
 * number (the start, the end, a space, a comma, a brace or parenthesis). */
#ifndef UNDERLAY_POLICY_REGEX_H
#define UNDERLAY_POLICY_REGEX_H

#include <stddef.h>

#define PATH_REGEX_MAX 200 /* characters of a pattern */

struct path_regex;
/* NULL with a text in why: what is wrong with it ("" when out of memory). */
struct path_regex *path_regex_new(const char *pattern, char *why, size_t size);
void path_regex_free(struct path_regex *r);
const char *path_regex_text(const struct path_regex *r);
/* 1 found, 0 not. A step is a few nanoseconds; there are as many as the length of the path times what of the
 * pattern is under way at once, and no memory is taken. They are subtracted from *steps, and when these do
 * not suffice, nothing is known: -E2BIG. */
int path_regex_match(struct path_regex *r, const char *path, size_t len, unsigned *steps);

#endif
