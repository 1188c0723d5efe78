/* Why not libevent's HTTP client: it holds a chunk until all of it is there, and API servers write a page of
 * 500 objects as one chunk; and its limit of a body counts a watch that goes on for hours as one body. So
 * this reads the little of RFC 9112 that a client needs, and gives the body away as it comes.
 *
 * Only two fields of a head mean anything here, how the body ends; the others are read over. A coding that
 * was not asked for is an error and not garbage further up. */
#include "kube/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state { STATUS_LINE, FIELDS, INTERIM, BODY, TO_END, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, COMPLETE };

void reply_init(struct reply *r, void (*on_status)(void *arg, unsigned status),
                int (*on_data)(void *arg, const char *data, size_t len), void *arg)
{
    memset(r, 0, offsetof(struct reply, line));
    r->on_status = on_status;
    r->on_data = on_data;
    r->arg = arg;
}

static int wrong(struct reply *r, const char *why)
{
    r->why = why;
    return -EPROTO;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK" */
static int status_line(struct reply *r)
{
    const char *l = r->line;
    if (strncmp(l, "HTTP/1.", 7) || !is_digit(l[7]) || l[8] != ' ' || !is_digit(l[9]) || !is_digit(l[10]) ||
        !is_digit(l[11]) || is_digit(l[12]) || l[9] == '0')
        return wrong(r, "the answer is not HTTP/1.1");
    unsigned status = (unsigned)atoi(l + 9);
    if (status < 200 && status != 101) {
        r->state = INTERIM;
        return 0;
    }
    r->status = status;
    r->state = FIELDS;
    return 0;
}

static const char *field_value(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

static int content_length(struct reply *r, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (!is_digit(*text) || errno || *end || (r->has_length && r->left != n))
        return wrong(r, "the answer has no sound Content-Length");
    r->has_length = true;
    r->left = n;
    return 0;
}

static int field(struct reply *r)
{
    const char *v;
    if ((v = field_value(r->line, "Content-Length")))
        return content_length(r, v);
    if ((v = field_value(r->line, "Transfer-Encoding"))) {
        if (r->chunked || strcasecmp(v, "chunked"))
            return wrong(r, "the answer has a Transfer-Encoding other than chunked");
        r->chunked = true;
    }
    if ((v = field_value(r->line, "Content-Encoding")) && strcasecmp(v, "identity"))
        return wrong(r, "the answer is compressed, which was not asked for");
    return 0;
}

/* RFC 9112 6.3 */
static void head_complete(struct reply *r)
{
    if (r->status == 204 || r->status == 304)
        r->state = COMPLETE;
    else if (r->chunked)
        r->state = CHUNK_SIZE;
    else if (!r->has_length)
        r->state = TO_END;
    else
        r->state = r->left ? BODY : COMPLETE;
    r->on_status(r->arg, r->status);
}

static int hex(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int chunk_size(struct reply *r)
{
    const char *p = r->line;
    uint64_t n = 0;
    while (hex(*p) >= 0 && n <= UINT64_MAX >> 8)
        n = n << 4 | (uint64_t)hex(*p++);
    if (p == r->line || (*p && *p != ';' && *p != ' ' && *p != '\t'))
        return wrong(r, "the answer has no sound size of a chunk");
    r->left = n;
    r->state = n ? CHUNK : TRAILER;
    return 0;
}

/* r->line is one, without its end. */
static int on_line(struct reply *r)
{
    switch ((enum state)r->state) {
    case STATUS_LINE:
        return status_line(r);
    case INTERIM:
        if (!*r->line)
            r->state = STATUS_LINE;
        return 0;
    case FIELDS:
        if (*r->line)
            return field(r);
        head_complete(r);
        return 0;
    case CHUNK_SIZE:
        return chunk_size(r);
    case CHUNK_END:
        r->state = CHUNK_SIZE;
        return *r->line ? wrong(r, "a chunk of the answer is longer than it says") : 0;
    default: /* TRAILER */
        if (!*r->line)
            r->state = COMPLETE;
        return 0;
    }
}

/* Takes bytes up to the end of a line. */
static int take_line(struct reply *r, const char **p, const char *end)
{
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));
    size_t n = (size_t)((nl ? nl : end) - *p);
    if (r->state == STATUS_LINE || r->state == FIELDS || r->state == INTERIM || r->state == TRAILER)
        r->head_bytes += n + (nl != NULL);
    if (n >= sizeof r->line - r->line_len || r->head_bytes > REPLY_HEAD_MAX)
        return wrong(r, "the head of the answer is too large");
    memcpy(r->line + r->line_len, *p, n);
    r->line_len += n;
    *p += n + (nl != NULL);
    if (!nl)
        return 0;
    if (r->line_len && r->line[r->line_len - 1] == '\r')
        r->line_len--;
    while (r->line_len && (r->line[r->line_len - 1] == ' ' || r->line[r->line_len - 1] == '\t'))
        r->line_len--;
    r->line[r->line_len] = 0;
    r->line_len = 0;
    return on_line(r);
}

static int take_data(struct reply *r, const char **p, const char *end)
{
    size_t n = (size_t)(end - *p);
    if (r->state != TO_END && n > r->left)
        n = (size_t)r->left;
    int rc = r->on_data(r->arg, *p, n);
    *p += n;
    if (rc < 0 || r->state == TO_END)
        return rc < 0 ? rc : 0;
    r->left -= n;
    if (!r->left)
        r->state = r->state == BODY ? COMPLETE : CHUNK_END;
    return 0;
}

int reply_feed(struct reply *r, const char *data, size_t len)
{
    const char *p = data, *end = data + len;
    int rc = 0;
    while (!rc && p < end && r->state != COMPLETE) {
        bool body = r->state == BODY || r->state == TO_END || r->state == CHUNK;
        rc = body ? take_data(r, &p, end) : take_line(r, &p, end);
    }
    return rc ? rc : r->state == COMPLETE;
}

int reply_end(const struct reply *r)
{
    return r->state == TO_END || r->state == COMPLETE ? 1 : -ECONNRESET;
}
