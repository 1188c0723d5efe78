/* How a row of the schema is written. For config_schema*.c. */
#ifndef UNDERLAY_CONFIG_SCHEMA_H
#define UNDERLAY_CONFIG_SCHEMA_H

#include "config_int.h"

#define SIZE_OF(S, f)  sizeof(((struct S *)0)->f)
#define AT(S, f)       .offset = offsetof(struct S, f), .size = SIZE_OF(S, f)
#define VALUE(S, f, t) .shape = SHAPE_SCALAR, .type = &type_##t, AT(S, f)
#define LIST(S, f, n, t)                                                                                     \
    .shape = SHAPE_LIST, .type = &type_##t, .offset = offsetof(struct S, f), .count = offsetof(struct S, n), \
    .size = SIZE_OF(S, f[0])
#define MAPS(S, f, n, s)                                                                                     \
    .shape = SHAPE_MAPS, .sub = &s, .offset = offsetof(struct S, f), .count = offsetof(struct S, n),         \
    .size = SIZE_OF(S, f[0])
#define SECTION(keys_, size_)                                                                                \
    {                                                                                                        \
        .keys = keys_, .n = sizeof keys_ / sizeof *keys_, .size = size_                                      \
    }
#define BETWEEN(lo, hi) .min = lo, .max = hi
#define NOT_YET(...)    .flags = KEY_NOT_YET, ##__VA_ARGS__
#define SECONDS         1000u
#define HOURS           3600000u

extern const struct schema_section schema_kube, schema_cni; /* config_schema_kube.c */

#endif
