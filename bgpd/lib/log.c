/* One line an event: text for people, JSON for collectors.
 *
 * A line is built in one buffer on the stack and written with one write(2), so that lines of the two
 * processes, which share standard error, do not mix. Much of what is logged comes from the network (shutdown
 * texts, addresses, file names), so every string is made harmless: control characters, C1 included, and bytes
 * that are not UTF-8 are escaped, a text value with anything unusual in it is quoted, and a long one is cut.
 * A field that no longer fits is left out whole, which keeps a JSON line valid.
 *
 * Under systemd (standard error is the journal's own socket) text lines carry a priority and leave the time
 * to the journal. Not here: files, rotation, threads. A line that cannot be written is dropped: a full pipe
 * never stops BGP. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define VALUE_MAX      1024 /* bytes of one value before escaping */

/* The one piece of process-wide state: see log.h. */
static struct {
    const char *process;
    enum log_level level;
    enum log_format format;
    enum log_target target;
    bool journal;
} logger = {.process = "underlay", .level = LOG_LVL_INFO};

static const struct {
    const char *name;
    int priority;
} levels[LOG_LVL_COUNT] = {
    [LOG_LVL_ERROR] = {"error", LOG_ERR},
    [LOG_LVL_WARN] = {"warn", LOG_WARNING},
    [LOG_LVL_INFO] = {"info", LOG_INFO},
    [LOG_LVL_DEBUG] = {"debug", LOG_DEBUG},
};

/* systemd.exec(5): JOURNAL_STREAM names device and inode of the journal's socket; a child whose standard
 * error was redirected still has the variable. */
static bool stderr_is_journal(void)
{
    const char *env = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    if (!env || sscanf(env, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st))
        return false;
    return st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *process, enum log_level level, enum log_format format, enum log_target target)
{
    logger.process = process;
    logger.level = level;
    logger.format = format;
    logger.target = target;
    logger.journal = stderr_is_journal();
    if (target == LOG_TO_SYSLOG)
        openlog("underlayd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_set_level(enum log_level level)
{
    logger.level = level;
}

enum log_level log_get_level(void)
{
    return logger.level;
}

bool log_enabled(enum log_level level)
{
    return level <= logger.level;
}

int log_level_parse(const char *text, enum log_level *out)
{
    if (strcmp(text, "warning") == 0)
        text = "warn";
    for (unsigned i = 0; i < LOG_LVL_COUNT; i++) {
        if (strcmp(text, levels[i].name) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

/* A line under construction; err: something did not fit. */
struct line {
    size_t n;
    bool err;
    char buf[LINE_MAX_BYTES + 2]; /* and what ends it: a brace, a newline */
};

static void put_bytes(struct line *l, const char *s, size_t n)
{
    if (l->err || n > LINE_MAX_BYTES - l->n) {
        l->err = true;
        return;
    }
    memcpy(l->buf + l->n, s, n);
    l->n += n;
}

static void put(struct line *l, const char *s)
{
    put_bytes(l, s, strlen(s));
}

static void put_format(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put_format(struct line *l, const char *fmt, ...)
{
    char tmp[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(tmp, sizeof tmp, fmt, ap);
    va_end(ap);
    put(l, tmp);
}

/* Bytes of the UTF-8 character at s (n left), 0 when it is none or a control character. */
static size_t printable_len(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool c1 = s[0] == 0xc2 && s[1] < 0xa0, overlong3 = s[0] == 0xe0 && s[1] < 0xa0;
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0, overlong4 = s[0] == 0xf0 && s[1] < 0x90;
    bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return c1 || overlong3 || surrogate || overlong4 || beyond ? 0 : len;
}

/* How to escape: free text, inside the quotes of a text value, inside a JSON string. */
enum escape { ESC_FREE, ESC_QUOTED, ESC_JSON };

static void put_escaped(struct line *l, const char *text, enum escape esc)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = strnlen(text, VALUE_MAX + 1);
    bool cut = n > VALUE_MAX;
    if (cut)
        for (n = VALUE_MAX; n > 0 && (s[n] & 0xc0) == 0x80; n--)
            ; /* back to the start of a character */
    for (size_t i = 0; i < n;) {
        size_t len = printable_len(s + i, n - i);
        if (esc != ESC_FREE && (s[i] == '"' || s[i] == '\\'))
            put_format(l, "\\%c", s[i]);
        else if (len)
            put_bytes(l, text + i, len);
        else if (s[i] == '\n' || s[i] == '\t' || s[i] == '\r')
            put(l, s[i] == '\n' ? "\\n" : s[i] == '\t' ? "\\t" : "\\r");
        else if (esc != ESC_JSON)
            put_format(l, "\\x%02x", s[i]);
        else
            put_format(l, "\\u%04x", s[i] < 0x80 ? s[i] : 0xfffd);
        i += len ? len : 1;
    }
    if (cut)
        put(l, "...");
}

static void put_json_string(struct line *l, const char *s)
{
    put(l, "\"");
    put_escaped(l, s, ESC_JSON);
    put(l, "\"");
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\' || *s == '=')
            return false;
    return true;
}

static void put_text_string(struct line *l, const char *s)
{
    bool plain = is_plain(s);
    if (!plain)
        put(l, "\"");
    put_escaped(l, s, plain ? ESC_FREE : ESC_QUOTED);
    if (!plain)
        put(l, "\"");
}

static void put_value(struct line *l, const struct log_field *f, bool json)
{
    char buf[PREFIX_STRLEN];
    const char *s = NULL;
    switch (f->type) {
    case LF_INT:
        put_format(l, "%lld", (long long)f->v.i);
        return;
    case LF_UINT:
        put_format(l, "%llu", (unsigned long long)f->v.u);
        return;
    case LF_STR:
        s = f->v.s ? f->v.s : "";
        break;
    case LF_ADDR:
        s = addr_format(f->v.addr, buf);
        break;
    case LF_PREFIX:
        s = prefix_format(f->v.prefix, buf);
        break;
    case LF_ERRNO:
        s = strerror((int)(f->v.i < 0 ? -f->v.i : f->v.i));
        break;
    }
    (json ? put_json_string : put_text_string)(l, s);
}

static bool says_nothing(const struct log_field *f)
{
    if (f->type == LF_STR)
        return !f->v.s || !*f->v.s;
    return f->type == LF_UINT && !f->v.u;
}

static void put_fields(struct line *l, const struct log_field *fields, bool json)
{
    for (const struct log_field *f = fields; f && f->key; f++) {
        size_t before = l->n;
        if (f->optional && says_nothing(f))
            continue;
        put_format(l, json ? ",\"%s\":" : " %s=", f->key);
        put_value(l, f, json);
        if (l->err) {
            l->n = before;
            l->err = false;
        }
    }
}

static void put_time(struct line *l)
{
    struct timespec ts;
    struct tm tm;
    char buf[32];
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm);
    put_format(l, "%s.%03ldZ", buf, ts.tv_nsec / 1000000);
}

static void put_text_line(struct line *l, enum log_level level, const char *msg,
                          const struct log_field *fields)
{
    if (logger.target == LOG_TO_STDERR && logger.journal) {
        put_format(l, "<%d>", levels[level].priority);
    } else if (logger.target == LOG_TO_STDERR) {
        put_time(l);
        put_format(l, " %-5s ", levels[level].name);
    }
    put_format(l, "%s: ", logger.process);
    put_escaped(l, msg, ESC_FREE);
    put_fields(l, fields, false);
}

static void put_json_line(struct line *l, enum log_level level, const char *msg,
                          const struct log_field *fields)
{
    put(l, "{\"time\":\"");
    put_time(l);
    put_format(l, "\",\"level\":\"%s\",\"process\":", levels[level].name);
    put_json_string(l, logger.process);
    put(l, ",\"msg\":");
    put_json_string(l, msg);
    put_fields(l, fields, true);
    l->buf[l->n++] = '}';
}

/* O_NONBLOCK would be for all who share the open file, a user's shell among them. A pipe that can be written
 * to has room for a page, which no line that a peer can cause exceeds. */
static void write_stderr(const char *line, size_t n)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0)
        return;
    ssize_t r = write(STDERR_FILENO, line, n);
    (void)r;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
    struct line l;
    int saved = errno; /* a log line between a failing call and the use of its errno must not hurt */
    l.n = 0;
    l.err = false;
    if (logger.format == LOG_FMT_JSON)
        put_json_line(&l, level, msg, fields);
    else
        put_text_line(&l, level, msg, fields);
    if (logger.target == LOG_TO_SYSLOG) {
        syslog(levels[level].priority, "%.*s", (int)l.n, l.buf);
    } else {
        l.buf[l.n++] = '\n';
        write_stderr(l.buf, l.n);
    }
    errno = saved;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char msg[VALUE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    log_write(level, msg, NULL);
}

#define LIMIT_BURST     5
#define LIMIT_REFILL_MS 10000

bool log_limit_ok(struct log_limit *l, uint64_t now_ms, uint32_t *suppressed)
{
    if (l->tokens_used) {
        uint64_t back = (now_ms - l->refill_ms) / LIMIT_REFILL_MS;
        l->tokens_used = back < l->tokens_used ? l->tokens_used - (uint32_t)back : 0;
        l->refill_ms += back * LIMIT_REFILL_MS;
    }
    if (!l->tokens_used)
        l->refill_ms = now_ms;
    if (l->tokens_used >= LIMIT_BURST) {
        l->swallowed++;
        return false;
    }
    l->tokens_used++;
    *suppressed = l->swallowed;
    l->swallowed = 0;
    return true;
}
