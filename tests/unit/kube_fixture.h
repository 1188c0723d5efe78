/* Objects of Kubernetes for tests: JSON with ' for ". */
#ifndef UNDERLAY_KUBE_FIXTURE_H
#define UNDERLAY_KUBE_FIXTURE_H

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static inline json_t *json_va(const char *format, va_list ap)
{
    char *text = NULL;
    json_error_t error;
    CU_ASSERT_FATAL(vasprintf(&text, format, ap) >= 0);
    for (char *at = text; (at = strchr(at, '\'')); at++)
        *at = '"';
    json_t *o = json_loads(text, 0, &error);
    if (!o)
        printf("%s in %s\n", error.text, text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    free(text);
    return o;
}

__attribute__((format(printf, 1, 2))) static inline json_t *json_of(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    json_t *o = json_va(format, ap);
    va_end(ap);
    return o;
}

#endif
