/* Regular expressions over a printed AS_PATH, as FRR has them: POSIX extended, and `_` is a boundary of an AS
 * number (the start, the end, a space, a comma, a brace or parenthesis). */
#ifndef UNDERLAY_POLICY_REGEX_H
#define UNDERLAY_POLICY_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_REGEX_MAX 200 /* characters of a pattern */

struct path_regex;
/* NULL with a text in why: what is wrong with it ("" when out of memory). */
struct path_regex *path_regex_new(const char *pattern, char *why, size_t size);
void path_regex_free(struct path_regex *r);
const char *path_regex_text(const struct path_regex *r);
/* Time and memory are linear in the length of the path. len: of path. */
bool path_regex_match(struct path_regex *r, const char *path, size_t len);

#endif
