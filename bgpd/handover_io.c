/* See handover_io.h. Writing goes through a buffer; reading is from a mapping, which is safe because the
 * memfd is sealed: nobody can cut it short under us. Numbers are big endian, so that nothing depends on how a
 * build lays out its structs. */
#include "handover_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (256 * 1024)
#define SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int hio_begin_write(struct handover_io *io, int fd)
{
    *io = (struct handover_io){.writing = true, .fd = fd, .buffer = malloc(BUFFER)};
    io->w = wire_writer(io->buffer, io->buffer ? BUFFER : 0);
    io->error = io->buffer ? 0 : -ENOMEM;
    return io->error;
}

int hio_begin_read(struct handover_io *io, int fd)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    *io = (struct handover_io){.fd = fd};
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) || st.st_size <= 0)
        return io->error = -EBADMSG;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return io->error = -errno;
    io->map = map;
    io->size = (size_t)st.st_size;
    io->r = wire_reader(map, io->size);
    return 0;
}

static void flush(struct handover_io *io)
{
    const uint8_t *p = io->w.start;
    while (p < io->w.p && !io->error) {
        ssize_t n = write(io->fd, p, (size_t)(io->w.p - p));
        if (n < 0 && errno != EINTR)
            io->error = -errno;
        p += n > 0 ? n : 0;
    }
    io->w = wire_writer(io->buffer, io->buffer ? BUFFER : 0);
}

int hio_end(struct handover_io *io)
{
    if (io->writing)
        flush(io);
    free(io->buffer);
    if (io->map)
        munmap(io->map, io->size);
    io->buffer = NULL;
    io->map = NULL;
    return io->error;
}

int hio_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) ? -errno : 0;
}

void hio_fail(struct handover_io *io)
{
    if (!io->error)
        io->error = -EBADMSG;
}

static void put(struct handover_io *io, const uint8_t *p, size_t n)
{
    while (n && !io->error) {
        if (!wire_room(&io->w))
            flush(io);
        size_t part = n < wire_room(&io->w) ? n : wire_room(&io->w);
        wire_put_bytes(&io->w, p, part);
        p += part;
        n -= part;
    }
}

const uint8_t *hio_view(struct handover_io *io, const uint8_t *p, size_t n)
{
    if (io->writing) {
        put(io, p, n);
        return p;
    }
    if (io->error || wire_left(&io->r) < n) {
        hio_fail(io);
        return NULL;
    }
    return wire_get_bytes(&io->r, n);
}

void hio_bytes(struct handover_io *io, void *p, size_t n)
{
    const uint8_t *from = hio_view(io, p, n);
    if (io->writing || !n)
        return;
    if (from)
        memcpy(p, from, n);
    else
        memset(p, 0, n);
}

void hio_uint(struct handover_io *io, void *v, size_t size)
{
    uint8_t b[8];
    uint64_t x = 0;

    if (io->writing) {
        x = size == 1   ? *(uint8_t *)v
            : size == 2 ? *(uint16_t *)v
            : size == 4 ? *(uint32_t *)v
                        : *(uint64_t *)v;
        for (size_t i = 0; i < size; i++)
            b[i] = (uint8_t)(x >> 8 * (size - 1 - i));
        put(io, b, size);
        return;
    }
    hio_bytes(io, b, size);
    for (size_t i = 0; i < size; i++)
        x = x << 8 | b[i];
    if (size == 1)
        *(uint8_t *)v = (uint8_t)x;
    else if (size == 2)
        *(uint16_t *)v = (uint16_t)x;
    else if (size == 4)
        *(uint32_t *)v = (uint32_t)x;
    else
        *(uint64_t *)v = x;
}

void hio_bool(struct handover_io *io, bool *v)
{
    uint8_t b = io->writing ? *v : 0;
    hio_uint(io, &b, 1);
    if (b > 1)
        hio_fail(io);
    *v = b == 1;
}

void hio_addr(struct handover_io *io, struct ip_addr *a)
{
    if (!io->writing)
        *a = (struct ip_addr){0};
    hio_uint(io, &a->af, 1);
    if (a->af && a->af != AF_INET && a->af != AF_INET6) {
        hio_fail(io);
        a->af = 0;
    }
    if (a->af)
        hio_bytes(io, a->b, family_bytes(addr_family(a)));
}

void hio_prefix(struct handover_io *io, enum family f, struct prefix *p)
{
    if (!io->writing)
        *p = (struct prefix){.addr.af = family_to_af(f)};
    hio_uint(io, &p->len, 1);
    if (p->len > family_bits(f)) {
        hio_fail(io);
        p->len = 0;
    }
    hio_bytes(io, p->addr.b, (p->len + 7u) / 8);
    if (!io->writing)
        *p = prefix_make(&p->addr, p->len);
}

void hio_text(struct handover_io *io, char *text, size_t size)
{
    uint16_t n = io->writing ? (uint16_t)strnlen(text, size - 1) : 0;
    hio_uint(io, &n, sizeof n);
    if (n >= size) {
        hio_fail(io);
        n = 0;
    }
    hio_bytes(io, text, n);
    if (io->writing)
        return;
    text[n] = 0;
    for (uint16_t i = 0; i < n; i++)
        if ((uint8_t)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
}

void hio_span(struct handover_io *io, const uint8_t **p, uint32_t *n)
{
    hio_uint(io, n, sizeof *n);
    *p = hio_view(io, *p, *n);
    if (!*p)
        *n = 0;
}
