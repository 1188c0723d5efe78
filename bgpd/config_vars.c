/* ${NODE_NAME} and ${NODE_IP} in values, so that one file serves all nodes.
 *
 * Only these two, and from the environment as a pod's downward API or EnvironmentFile= of a unit sets them:
 * any other ${…} is text, for a password may well look like that. What stands in single quotes is text in any
 * case. Not here: where in the file values are (config_yaml.c). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_int.h"

#define MOST 253 /* characters of a DNS name */

const char *vars_node_name(char buf[VARS_STRLEN])
{
    const char *name = getenv("NODE_NAME");
    if (name && *name)
        return name;
    *buf = 0;
    gethostname(buf, VARS_STRLEN - 1);
    buf[VARS_STRLEN - 1] = 0;
    for (char *p = buf; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return buf;
}

/* A value, not empty; NULL with what is wrong with the variable. */
static const char *value_of(const char *value, const char **wrong)
{
    *wrong = !value || !*value      ? "is not set in the environment of underlayd"
             : strlen(value) > MOST ? "is longer than a name can be"
                                    : NULL;
    for (const char *p = value; !*wrong && *p; p++)
        if (!isgraph((unsigned char)*p))
            *wrong = "holds what no name or address does";
    return *wrong ? NULL : value;
}

static const struct {
    const char *text;
    size_t len;
} vars[] = {{"${NODE_NAME}", 12}, {"${NODE_IP}", 10}};

static int var_at(const char *text)
{
    for (int i = 0; i < (int)(sizeof vars / sizeof *vars); i++)
        if (!strncmp(text, vars[i].text, vars[i].len))
            return i;
    return -1;
}

int vars_expand(const char *text, char **out, struct why *why)
{
    char host[VARS_STRLEN], *grown = NULL;
    const char *wrong = NULL, *at;
    size_t n;

    *out = NULL;
    for (at = text; (at = strstr(at, "${")) && var_at(at) < 0; at += 2)
        ;
    if (!at)
        return 0;
    FILE *f = open_memstream(&grown, &n);
    if (!f)
        return -ENOMEM;
    for (at = text; *at && !wrong;) {
        int i = *at == '$' ? var_at(at) : -1;
        if (i < 0) {
            fputc(*at++, f);
            continue;
        }
        const char *value = value_of(i ? getenv("NODE_IP") : vars_node_name(host), &wrong);
        if (value)
            fputs(value, f);
        else
            value_wrong(why, "%s %s", vars[i].text, wrong);
        at += vars[i].len;
    }
    if (fclose(f) || wrong) {
        free(grown);
        return wrong ? -EINVAL : -ENOMEM;
    }
    *out = grown;
    return 0;
}
