/* Cuts JSON values out of a stream of bytes, holding one value at most: what comes from an API server is as
 * large as the cluster, and one object of it is not. Only nesting and strings are understood here; whether a
 * value is JSON is said by who parses it. */
#ifndef UNDERLAY_KUBE_JSON_CUT_H
#define UNDERLAY_KUBE_JSON_CUT_H

#include <stddef.h>

enum json_cut_mode {
    JSON_CUT_STREAM, /* values one after another: a watch */
    JSON_CUT_ITEMS,  /* one object; the elements of its member "items" are values by themselves: a list */
};
struct json_cut;
/* Values are objects; anything else in their place is refused. max: bytes of one. value gets each of them,
 * zero-terminated, and may return negative to stop. NULL: out of memory. */
struct json_cut *json_cut_new(enum json_cut_mode mode, size_t max,
                              int (*value)(void *arg, const char *text, size_t len), void *arg);
void json_cut_free(struct json_cut *c);
/* 0, -EINVAL (this cannot become JSON), -EMSGSIZE, -ENOMEM, or what value returned; then it takes no more. */
int json_cut_feed(struct json_cut *c, const char *data, size_t len);
int json_cut_end(const struct json_cut *c); /* 0, or -EINVAL in the midst of a value */
/* JSON_CUT_ITEMS, after the end: the object with "items":[] for its elements. Borrowed; NULL before. */
const char *json_cut_rest(const struct json_cut *c);

#endif
