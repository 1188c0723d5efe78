/* The sessions of BFD as text, so that they outlive this process executing itself anew: one line names the
 * receiving sockets, one line each session, every field by its name. What cannot be, or is not all there, is
 * refused as a whole: the sessions then begin again.
 *
 * Sockets are their numbers, times those of the monotonic clock, which goes on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "fib/bfd_internal.h"

#define HEAD      "bfd-sessions 3"
#define LONGEST   2048
#define FUTURE_US (3 * (uint64_t)UINT32_MAX) /* no timer is set farther ahead */

struct field {
    const char *name;
    size_t offset;
    size_t size; /* 1, 2, 4, 8; 16: an address, in hexadecimal */
};
#define FIELD(what)                                                                                          \
    {                                                                                                        \
#what, offsetof(struct bfd_flow, what), sizeof(((struct bfd_flow *)0)->what)                         \
    }
static const struct field fields[] = {
    FIELD(name.af),
    FIELD(name.scope),
    FIELD(name.addr),
    FIELD(multihop),
    FIELD(overruled),
    FIELD(fd),
    FIELD(port),
    FIELD(terms.interval_us),
    FIELD(terms.multiplier),
    FIELD(terms.min_ttl),
    FIELD(terms.local.af),
    FIELD(terms.local.b),
    FIELD(terms.ifindex),
    FIELD(learned_ifindex),
    FIELD(session.state),
    FIELD(session.remote_state),
    FIELD(session.diag),
    FIELD(session.remote_diag),
    FIELD(session.remote_multiplier),
    FIELD(session.poll),
    FIELD(session.remote_demand),
    FIELD(session.remote_independent),
    FIELD(session.heard),
    FIELD(session.failed),
    FIELD(session.discriminator),
    FIELD(session.remote_discriminator),
    FIELD(session.tx_us),
    FIELD(session.rx_us),
    FIELD(session.tx_used_us),
    FIELD(session.rx_used_us),
    FIELD(session.remote_tx_us),
    FIELD(session.remote_rx_us),
    FIELD(session.random),
    FIELD(session.ups),
    FIELD(session.downs),
    FIELD(session.since_us),
    FIELD(session.sent_us),
    FIELD(session.next_us),
    FIELD(packets_in),
    FIELD(packets_out),
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static void write_field(FILE *out, const struct field *d, const struct bfd_flow *f)
{
    const uint8_t *p = (const uint8_t *)f + d->offset;
    uint64_t v = 0;

    fprintf(out, " %s=", d->name);
    if (d->size == 16) {
        for (unsigned i = 0; i < 16; i++)
            fprintf(out, "%02x", p[i]);
        return;
    }
    memcpy(&v, p, d->size); /* little or big endian: see below */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v >>= 8 * (sizeof v - d->size);
#endif
    fprintf(out, "%" PRIu64, v);
}

int bfd_saved_write(const struct bfd_saved *s, int fd)
{
    int copy = dup(fd);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "w");

    if (!out) {
        int rc = -errno;
        if (copy >= 0)
            close(copy);
        return rc;
    }
    fputs(HEAD, out);
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        fprintf(out, " %d", s->listeners[i]);
    fprintf(out, " %u\n", s->n_flows);
    for (unsigned i = 0; i < s->n_flows; i++) {
        fputs("session", out);
        for (unsigned k = 0; k < N_FIELDS; k++)
            write_field(out, &fields[k], s->flows[i]);
        fputc('\n', out);
    }
    int failed = ferror(out);
    return fclose(out) || failed ? -EIO : 0;
}

static bool read_hex(const char *text, uint8_t out[16])
{
    for (unsigned i = 0; i < 16; i++)
        if (strspn(text + 2 * i, "0123456789abcdef") < 2 || sscanf(text + 2 * i, "%2hhx", &out[i]) != 1)
            return false;
    return !text[32];
}

static bool read_number(const char *text, size_t size, uint8_t *out)
{
    char *end;

    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || (size < 8 && v >> 8 * size))
        return false;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v <<= 8 * (sizeof v - size);
#endif
    memcpy(out, &v, size);
    return true;
}

/* "session name=value…": every field, in the order of the table. */
static bool read_fields(char *line, struct bfd_flow *f)
{
    char *save, *word = strtok_r(line, " \n", &save);

    if (!word || strcmp(word, "session"))
        return false;
    for (unsigned k = 0; k < N_FIELDS; k++) {
        const struct field *d = &fields[k];
        size_t n = strlen(d->name);
        uint8_t *p = (uint8_t *)f + d->offset;
        word = strtok_r(NULL, " \n", &save);
        if (!word || strncmp(word, d->name, n) || word[n] != '=')
            return false;
        if (d->size == 16 ? !read_hex(word + n + 1, p) : !read_number(word + n + 1, d->size, p))
            return false;
    }
    return !strtok_r(NULL, " \n", &save);
}

static bool valid_addr(const struct ip_addr *a)
{
    return (a->af == AF_INET6 || a->af == AF_INET) && !addr_is_unspecified(a) && !addr_is_multicast(a);
}

static bool valid_us(uint32_t us)
{
    return us >= BFD_MIN_US && us <= BFD_MAX_US;
}

static bool valid_session(const struct bfd_session *s, uint64_t now_us)
{
    return s->discriminator && s->random && s->state <= FM_BFD_UP && s->remote_state <= FM_BFD_UP &&
           s->diag < 32 && s->remote_diag < 32 && s->poll <= BFD_POLL_SETTLING && valid_us(s->tx_us) &&
           valid_us(s->rx_us) && valid_us(s->tx_used_us) && valid_us(s->rx_used_us) &&
           s->since_us <= now_us && s->sent_us <= now_us &&
           (s->next_us == BFD_NEVER || s->next_us <= now_us + FUTURE_US);
}

/* A bool that is neither 0 nor 1 must not be looked at as one. */
static bool valid_bool(const bool *b)
{
    return *(const uint8_t *)b <= 1;
}

static bool valid_flow(struct bfd_flow *f, uint64_t now_us)
{
    struct bfd_session *s = &f->session;

    if (!valid_bool(&f->multihop) || !valid_bool(&f->overruled) || !valid_bool(&s->remote_demand) ||
        !valid_bool(&s->remote_independent) || !valid_bool(&s->heard) || !valid_bool(&s->failed))
        return false;
    f->peer = fm_addr(f->name.af, f->name.addr);
    s->interval_us = f->terms.interval_us;
    s->multiplier = f->terms.multiplier;
    return valid_addr(&f->peer) && !memcmp(f->peer.b, f->name.addr, sizeof f->peer.b) &&
           (!f->terms.local.af || (f->terms.local.af == f->peer.af && valid_addr(&f->terms.local))) &&
           valid_us(f->terms.interval_us) && f->terms.multiplier && f->terms.min_ttl &&
           valid_session(s, now_us) &&
           (f->fd == -1 || (f->port >= BFD_PORT_FIRST && bfd_socket_is_ours(f->fd, f->peer.af)));
}

static bool clashes(const struct bfd_saved *s, const struct bfd_flow *f)
{
    for (unsigned i = 0; i < BFD_LISTENERS; i++)
        if (f->fd >= 0 && s->listeners[i] == f->fd)
            return true;
    for (unsigned i = 0; i < s->n_flows; i++) {
        const struct bfd_flow *o = s->flows[i];
        if (o->session.discriminator == f->session.discriminator || (f->fd >= 0 && o->fd == f->fd) ||
            !memcmp(&o->name, &f->name, sizeof o->name))
            return true;
    }
    return false;
}

static bool read_head(FILE *in, struct bfd_saved *s, unsigned *n)
{
    char line[LONGEST];
    int *l = s->listeners;

    if (!fgets(line, sizeof line, in) ||
        sscanf(line, HEAD " %d %d %d %d %u\n", &l[0], &l[1], &l[2], &l[3], n) != BFD_LISTENERS + 1 ||
        *n > BFD_SESSIONS)
        return false;
    for (unsigned i = 0; i < BFD_LISTENERS; i++) {
        if (l[i] != -1 && !bfd_socket_is_ours(l[i], i & 1 ? AF_INET6 : AF_INET))
            return false;
        for (unsigned k = 0; k < i; k++)
            if (l[i] >= 0 && l[i] == l[k])
                return false;
    }
    return true;
}

static bool read_all(FILE *in, struct bfd_saved *s)
{
    uint64_t now = loop_now_us();
    char line[LONGEST];
    unsigned n;

    if (!read_head(in, s, &n) || !(s->flows = calloc(n + 1, sizeof *s->flows)))
        return false;
    while (s->n_flows < n) {
        struct bfd_flow *f = calloc(1, sizeof *f);
        if (!f)
            return false;
        if (!fgets(line, sizeof line, in) || !read_fields(line, f) || !valid_flow(f, now) || clashes(s, f)) {
            free(f);
            return false;
        }
        f->retry_us = f->report_us = BFD_NEVER;
        s->flows[s->n_flows++] = f;
    }
    return !fgets(line, sizeof line, in);
}

int bfd_saved_read(struct bfd_saved *s, int fd)
{
    *s = (struct bfd_saved){.listeners = {-1, -1, -1, -1}};
    int copy = lseek(fd, 0, SEEK_SET) < 0 ? -1 : dup(fd);
    FILE *in = copy < 0 ? NULL : fdopen(copy, "r");

    if (!in) {
        int rc = -errno;
        if (copy >= 0)
            close(copy);
        return rc;
    }
    bool ok = read_all(in, s);
    fclose(in);
    if (ok)
        return 0;
    for (unsigned i = 0; i < s->n_flows; i++)
        free(s->flows[i]);
    free(s->flows);
    return -EINVAL;
}
