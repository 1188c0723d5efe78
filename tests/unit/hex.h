/* Bytes from hexadecimal text with blanks between, for tables of messages. */
#ifndef UNDERLAY_TEST_HEX_H
#define UNDERLAY_TEST_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

static inline size_t hex(const char *text, uint8_t *out, size_t size)
{
    size_t n = 0;
    unsigned byte;
    int used;
    while (n < size && sscanf(text, " %2x%n", &byte, &used) == 1) {
        out[n++] = (uint8_t)byte;
        text += used;
    }
    return n;
}

#endif
