/* The state that one speaker leaves to the next, as a stream of bytes in a memfd. One description of a struct
 * serves both directions: the same function writes a field in the old process and reads it in the new one, so
 * that the two cannot disagree. Errors are sticky, as in wire/wire.h; what is read after one is zero. */
#ifndef UNDERLAY_HANDOVER_IO_H
#define UNDERLAY_HANDOVER_IO_H

#include "prefix.h"
#include "wire/wire.h"

struct handover_io {
    int error; /* 0 or -errno; -EBADMSG: what is read is not what was written */
    bool writing;
    int fd;
    struct wire_writer w; /* over `buffer`: what is not in fd yet */
    uint8_t *buffer;
    void *map;
    size_t size;
    struct wire_reader r; /* over `map` */
};

/* fd is borrowed. 0 or -errno; hio_end in every case. */
int hio_begin_write(struct handover_io *io, int fd);
int hio_begin_read(struct handover_io *io, int fd); /* fd must be sealed; see hio_seal */
int hio_end(struct handover_io *io);                /* writes the rest; returns io->error */
int hio_seal(int fd);                               /* nobody changes it any more: 0 or -errno */

void hio_fail(struct handover_io *io);
void hio_bytes(struct handover_io *io, void *p, size_t n);
void hio_bool(struct handover_io *io, bool *v);
void hio_uint(struct handover_io *io, void *v, size_t size); /* 1, 2, 4 or 8 bytes, in host order in memory */
void hio_addr(struct handover_io *io, struct ip_addr *a);
void hio_prefix(struct handover_io *io, enum family f, struct prefix *p);
void hio_text(struct handover_io *io, char *text, size_t size); /* printable, zero-terminated within size */
/* A number of bytes and they themselves: *p and *n are written, or point into what is read. */
void hio_span(struct handover_io *io, const uint8_t **p, uint32_t *n);
const uint8_t *hio_view(struct handover_io *io, const uint8_t *p, size_t n); /* the same of a known length */

#define HIO(io, lvalue)                                                                                      \
    _Generic((lvalue), bool : hio_bool_, default : hio_uint)((io), (void *)&(lvalue), sizeof(lvalue))
static inline void hio_bool_(struct handover_io *io, void *v, size_t size)
{
    (void)size;
    hio_bool(io, v);
}

#endif
