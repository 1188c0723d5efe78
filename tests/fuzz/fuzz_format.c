/* Any bytes as one line of printable text, whatever room there is for it. What a peer says in UTF-8 (RFC
 * 9003) is shown as such, and never cut inside of a character. */
#include <errno.h>

#include "tests/fuzz/fuzz.h"
#include "wire/format.h"

/* The length of a character above 0x9f, 0 when it is none: RFC 3629, section 3. */
static unsigned utf8_length(const unsigned char *c)
{
    unsigned n = *c >= 0xf0 ? 4 : *c >= 0xe0 ? 3 : 2;
    uint32_t code = *c & (0xffu >> (n + 1));
    if (*c < 0xc2 || *c > 0xf4)
        return 0;
    for (unsigned i = 1; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (c[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
    return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? n : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint8_t kind = fuzz_u8(&in);
    struct msg_format_ctx ctx = {
        .as4 = kind & 1, .add_path = {kind & 2, kind & 4}, .most_nlri = kind & 8 ? kind >> 4 : 0};
    size_t room = kind & 128 ? MSG_FORMAT_SIZE : 1u + fuzz_u8(&in);
    char *buf = malloc(room); /* of just that size, for the sanitizer */
    FUZZ_CHECK(buf);
    int rc = msg_format(in.p, in.n, &ctx, buf, room);
    FUZZ_CHECK(!rc || rc == -EBADMSG);
    FUZZ_CHECK(memchr(buf, 0, room));
    for (const unsigned char *c = (unsigned char *)buf; *c;) {
        unsigned n = *c >= ' ' && *c < 0x7f ? 1 : utf8_length(c);
        FUZZ_CHECK(n);
        c += n;
    }
    free(buf);
    return 0;
}
