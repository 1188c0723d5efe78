/* What the fuzz targets share. A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput; its corpus is
 * corpus/NAME. Whatever bytes come, nothing may be read or written outside of what is there (the sanitizers
 * see to that), nothing may leak, and the properties that the target checks must hold. */
#ifndef UNDERLAY_FUZZ_H
#define UNDERLAY_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Unlike assert there in every build, and found by the fuzzer. */
#define FUZZ_CHECK(what)                                                                                     \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);                        \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* The input, from the front: choices first, then the bytes under test, which end where the block of memory
 * ends. */
struct fuzz_in {
    const uint8_t *p;
    size_t n;
};
static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
    if (!in->n)
        return 0;
    in->n--;
    return *in->p++;
}
static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
    uint16_t high = fuzz_u8(in);
    return (uint16_t)(high << 8 | fuzz_u8(in));
}
/* The next piece, its length in two octets before it; the rest when that is more than there is. */
static inline struct fuzz_in fuzz_piece(struct fuzz_in *in)
{
    size_t n = fuzz_u16(in);
    struct fuzz_in piece = {in->p, n < in->n ? n : in->n};
    in->p += piece.n;
    in->n -= piece.n;
    return piece;
}
/* A zero-terminated copy, the caller's. */
static inline char *fuzz_text(const struct fuzz_in *in)
{
    char *text = malloc(in->n + 1);
    FUZZ_CHECK(text);
    if (in->n)
        memcpy(text, in->p, in->n);
    text[in->n] = 0;
    return text;
}

#endif
