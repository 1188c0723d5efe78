/* Structured log: one line per event, a message and key=value fields; text or JSON; standard error or syslog.
 * Not thread safe. Never pass a secret. One logger a process, set up by main (the one piece of process-wide
 * state we allow). */
#ifndef UNDERLAY_LOG_H
#define UNDERLAY_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "prefix.h"

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG, LOG_LVL_COUNT };
enum log_format { LOG_FMT_TEXT, LOG_FMT_JSON };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

struct log_field {
    const char *key; /* NULL ends the list */
    bool optional;   /* left out when there is nothing to say: "", NULL, 0 */
    enum { LF_STR, LF_INT, LF_UINT, LF_ADDR, LF_PREFIX, LF_ERRNO } type;
    union {
        const char *s;
        int64_t i;
        uint64_t u;
        const struct ip_addr *addr;
        const struct prefix *prefix;
    } v;
};
#define F_STR(k, val)     ((struct log_field){.key = (k), .type = LF_STR, .v.s = (val)})
#define F_INT(k, val)     ((struct log_field){.key = (k), .type = LF_INT, .v.i = (val)})
#define F_UINT(k, val)    ((struct log_field){.key = (k), .type = LF_UINT, .v.u = (val)})
#define F_ADDR(k, val)    ((struct log_field){.key = (k), .type = LF_ADDR, .v.addr = (val)})
#define F_PREFIX(k, val)  ((struct log_field){.key = (k), .type = LF_PREFIX, .v.prefix = (val)})
#define F_STR_IF(k, val)  ((struct log_field){.key = (k), .optional = true, .type = LF_STR, .v.s = (val)})
#define F_UINT_IF(k, val) ((struct log_field){.key = (k), .optional = true, .type = LF_UINT, .v.u = (val)})
/* val is an errno, positive or negative; printed as its text. The key is "error". */
#define F_ERR(val) ((struct log_field){.key = "error", .type = LF_ERRNO, .v.i = (val)})

/* process: "fib" or "speaker"; borrowed for ever. */
void log_init(const char *process, enum log_level level, enum log_format format, enum log_target target);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_enabled(enum log_level level);
/* "error", "warn" (also "warning"), "info", "debug". Return 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *out);
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const char *msg, const struct log_field *fields);

/* A line from outside the fields (a library, a parser): printf style. */
void log_printf(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, msg, ...)                                                                              \
    do {                                                                                                     \
        if (log_enabled(level))                                                                              \
            log_write(level, msg, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}});      \
    } while (0)
#define log_error(msg, ...) log_at(LOG_LVL_ERROR, msg, __VA_ARGS__)
#define log_warn(msg, ...)  log_at(LOG_LVL_WARN, msg, __VA_ARGS__)
#define log_info(msg, ...)  log_at(LOG_LVL_INFO, msg, __VA_ARGS__)
#define log_debug(msg, ...) log_at(LOG_LVL_DEBUG, msg, __VA_ARGS__)

/* A token bucket for lines that a peer can cause: log_limit_ok says whether to log now; *suppressed is how
 * many were swallowed since the last one. Zero-initialise; burst 5, one more every 10 s. */
struct log_limit {
    uint64_t refill_ms;
    uint32_t tokens_used;
    uint32_t swallowed;
};
bool log_limit_ok(struct log_limit *l, uint64_t now_ms, uint32_t *suppressed);

#endif
