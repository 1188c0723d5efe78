/* Answers of an HTTP server, whole and in pieces: the same status, the same body, the same end. The first
 * byte is the length of the pieces. */
#include <errno.h>

#include "kube/reply.h"
#include "tests/fuzz/fuzz.h"

struct got {
    unsigned status;
    char *body;
    size_t len;
};

static void on_status(void *arg, unsigned status)
{
    struct got *g = arg;
    FUZZ_CHECK(!g->status && status >= 101 && status <= 999);
    g->status = status;
}

static int on_data(void *arg, const char *data, size_t len)
{
    struct got *g = arg;
    FUZZ_CHECK(g->status && len);
    g->body = realloc(g->body, g->len + len);
    FUZZ_CHECK(g->body);
    memcpy(g->body + g->len, data, len);
    g->len += len;
    return 0;
}

static int run(const uint8_t *data, size_t size, size_t n, struct got *g)
{
    struct reply r;
    int rc = 0;
    reply_init(&r, on_status, on_data, g);
    for (size_t at = 0; at < size && !rc; at += n) {
        size_t len = size - at < n ? size - at : n;
        char *piece = malloc(len);
        FUZZ_CHECK(piece);
        memcpy(piece, data + at, len);
        rc = reply_feed(&r, piece, len);
        free(piece);
    }
    FUZZ_CHECK(rc == 0 || rc == 1 || (rc == -EPROTO && r.why));
    return rc ? rc : reply_end(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    size_t n = 1 + fuzz_u8(&in) % 64u;
    struct got whole = {0}, pieces = {0};
    int rc = run(in.p, in.n, in.n + 1, &whole), rc2 = run(in.p, in.n, n, &pieces);
    FUZZ_CHECK(rc == rc2 && whole.status == pieces.status && whole.len == pieces.len);
    FUZZ_CHECK(!whole.len || !memcmp(whole.body, pieces.body, whole.len));
    free(whole.body);
    free(pieces.body);
    return 0;
}
