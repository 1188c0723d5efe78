/* Scalars of the configuration: one row a type, with how to read it, print it and compare it.
 *
 * A parser gets the text as it stands in the file, quoted or not, and says in one sentence what is wrong and
 * what would be right; the caller puts file, line and key in front. The text of a password never gets into
 * such a sentence.
 *
 * Types that fill more than their own field (asn and its kind, med and its presence, password and
 * password_file) find the others in the struct that the field is part of. Not here: anything that needs a
 * second key (config_check.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "lib/text.h"

int value_wrong(struct why *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->text, sizeof w->text, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static void store(const struct schema_key *k, void *field, uint32_t v)
{
    uint8_t v8 = (uint8_t)v;
    uint16_t v16 = (uint16_t)v;
    memcpy(field, k->size == 1 ? (void *)&v8 : k->size == 2 ? (void *)&v16 : (void *)&v, k->size);
}

static uint32_t fetch(const struct schema_key *k, const void *field)
{
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    if (k->size == 1)
        return memcpy(&v8, field, 1), v8;
    if (k->size == 2)
        return memcpy(&v16, field, 2), v16;
    return memcpy(&v32, field, 4), v32;
}

/* Decimal digits only, saturating above 32 bits. */
static bool parse_digits(const char *s, size_t n, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        if (*out <= UINT32_MAX)
            *out = *out * 10 + (uint64_t)(s[i] - '0');
    }
    return n > 0;
}

static int parse_bool(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    static const struct {
        const char *text, *meant;
    } near[] = {{"yes", "true"}, {"on", "true"},   {"True", "true"},
                {"no", "false"}, {"off", "false"}, {"False", "false"}};
    if (!strcmp(text, "true") || !strcmp(text, "false")) {
        store(k, field, text[0] == 't');
        return 0;
    }
    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        if (!strcmp(text, near[i].text))
            return value_wrong(why, "`%s` is not a boolean; did you mean %s?", text, near[i].meant);
    return value_wrong(why, "`%.40s` is not a boolean; write true or false", text);
}

static const char *format_bool(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)buf, (void)size;
    return fetch(k, field) ? "true" : "false";
}

static int parse_uint(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    uint64_t v;
    const char *off = k->flags & KEY_OFF ? ", or off" : "";
    if ((k->flags & KEY_OFF) && (!strcmp(text, "off") || !strcmp(text, "false"))) {
        store(k, field, 0);
        return 0;
    }
    if (!parse_digits(text, strlen(text), &v))
        return value_wrong(why, "`%.40s` is not a number; %u to %u%s", text, k->min, k->max, off);
    if (v < k->min || v > k->max)
        return value_wrong(why, "%.40s is out of range; %u to %u%s", text, k->min, k->max, off);
    store(k, field, (uint32_t)v);
    return 0;
}

static const char *format_uint(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    uint32_t v = fetch(k, field);
    if ((k->flags & KEY_OFF) && !v)
        return "off";
    snprintf(buf, size, "%u", v);
    return buf;
}

/* "a, b or c" */
static void join_words(const char *words, char *buf, size_t size)
{
    char word[32], next[32];
    size_t n = 0;
    buf[0] = 0;
    for (unsigned i = 0; n < size && word_at(words, i, word, sizeof word); i++) {
        bool last = !word_at(words, i + 1, next, sizeof next);
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i == 0 ? "" : last ? " or " : ", ", word);
    }
}

static int parse_word(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    unsigned i;
    char all[120];
    if (word_in(k->words, text, &i)) {
        store(k, field, i);
        return 0;
    }
    join_words(k->words, all, sizeof all);
    if (k->later && word_in(k->later, text, NULL))
        return value_wrong(why, "`%.40s` is not supported by this version yet; use %s", text, all);
    return value_wrong(why, "`%.40s` is not %s%s", text, all, k->hint ? k->hint : "");
}

static const char *format_word(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    return word_at(k->words, fetch(k, field), buf, size) ? buf : "";
}

static int duration(const char *text, uint32_t *ms, struct why *why)
{
    int err = duration_parse(text, ms);
    uint64_t plain;
    if (err == -EINVAL && parse_digits(text, strlen(text), &plain))
        return value_wrong(why, "`%.40s` has no unit; did you mean %.40ss?", text, text);
    if (err == -EINVAL)
        return value_wrong(why, "`%.40s` is not a duration; write a number and ms, s, m or h, such as 9s",
                           text);
    if (err)
        return value_wrong(why, "%.40s is too long", text);
    return 0;
}

static int parse_duration(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    uint32_t ms;
    char lo[DURATION_STRLEN], hi[DURATION_STRLEN];
    int err = duration(text, &ms, why);
    if (err)
        return err;
    if (ms < k->min || ms > k->max)
        return value_wrong(why, "%.40s is out of range; %s to %s", text, duration_format(k->min, lo),
                           duration_format(k->max, hi));
    store(k, field, ms);
    return 0;
}

/* RFC 4271 4.2: zero or at least three seconds, in two octets of whole seconds. */
static int parse_hold_time(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    uint32_t ms;
    int err = duration(text, &ms, why);
    if (err)
        return err;
    if (ms % 1000)
        return value_wrong(why, "%.40s is not in whole seconds, as BGP counts the hold time", text);
    if (ms > 0 && ms < 3000)
        return value_wrong(why, "%.40s is too short; BGP allows 3s and more, or 0s for no hold time", text);
    if (ms > k->max)
        return value_wrong(why, "%.40s is too long; 65535s at most", text);
    store(k, field, ms);
    return 0;
}

static const char *format_duration(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    return size < DURATION_STRLEN ? "" : duration_format(fetch(k, field), buf);
}

/* Strings: char *, the struct's own. */

static int take_string(void *field, const char *text)
{
    char *copy = strdup(text), *old;
    if (!copy)
        return -ENOMEM;
    memcpy(&old, field, sizeof old);
    free(old);
    memcpy(field, &copy, sizeof copy);
    return 0;
}

static bool has_control(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
            return true;
        if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9)) /* line, paragraph separator */
            return true;
    }
    return false;
}

static int parse_string(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    size_t n = strlen(text);
    if (n < k->min || n > k->max)
        return n ? value_wrong(why, "%zu bytes long; %u at most", n, k->max)
                 : value_wrong(why, "empty; give it a value");
    if (has_control(text))
        return value_wrong(why, "contains a line break or control character; keep it to one line");
    return take_string(field, text);
}

static int parse_path(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (text[0] != '/')
        return value_wrong(why, "`%.80s` is not an absolute path; start with /", text);
    return parse_string(k, field, text, why);
}

/* A file of the peer's own wins over a password of its template, and the other way round. */
static int parse_key_file(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    int err = parse_path(k, field, text, why);
    if (!err)
        explicit_bzero(outer_of(field, struct peer_config, password_file)->password, CONFIG_MAX_PASSWORD + 1);
    return err;
}

static const char *format_string(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    const char *s;
    (void)k, (void)buf, (void)size;
    memcpy(&s, field, sizeof s);
    return s ? s : "";
}

static bool equal_string(const void *a, const void *b)
{
    return !strcmp(format_string(NULL, a, NULL, 0), format_string(NULL, b, NULL, 0));
}

static void release_string(void *field)
{
    char *s;
    memcpy(&s, field, sizeof s);
    free(s);
    memset(field, 0, sizeof s);
}

static int parse_password(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    size_t n = strlen(text);
    struct peer_config *p = outer_of(field, struct peer_config, password);
    (void)k;
    if (n == 0)
        return value_wrong(why, "empty; leave the key out for a session without TCP-MD5");
    if (n > CONFIG_MAX_PASSWORD)
        return value_wrong(why, "%zu bytes long; TCP-MD5 takes %d at most", n, CONFIG_MAX_PASSWORD);
    if (!strcmp(text, "<hidden>"))
        return value_wrong(why, "hidden by `show running-config`; put the password itself here");
    if (has_control(text))
        return value_wrong(why, "contains a line break or control character");
    release_string(&p->password_file);
    explicit_bzero(p->password, sizeof p->password);
    memcpy(p->password, text, n);
    return 0;
}

static const char *format_password(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)k, (void)buf, (void)size;
    return *(const char *)field ? "<hidden>" : "";
}

static void release_password(void *field)
{
    explicit_bzero(field, CONFIG_MAX_PASSWORD + 1);
}

static int check_ifname(const char *text, struct why *why)
{
    size_t n = strlen(text);
    if (n == 0 || n > 15 || strpbrk(text, "/: \t") || has_control(text) || !strcmp(text, ".") ||
        !strcmp(text, ".."))
        return value_wrong(
            why, "`%.40s` is not the name of an interface: 1 to 15 characters, no space, slash or colon",
            text);
    return 0;
}

static int parse_ifname(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    (void)k;
    int err = check_ifname(text, why);
    return err ? err : take_string(field, text);
}

/* The same, into an array of IFNAMSIZ bytes. */
static int parse_interface(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    int err = check_ifname(text, why);
    if (!err)
        strncpy(field, text, k->size - 1u);
    return err;
}

static const char *format_interface(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)k, (void)buf, (void)size;
    return field;
}

/* AS numbers: RFC 5396 asplain and asdot. */
static int autonomous_system(const char *text, uint32_t *out, struct why *why)
{
    const char *dot = strchr(text, '.');
    uint64_t hi = 0, lo;
    size_t n = dot ? (size_t)(dot - text) : 0;
    const char *low = dot ? dot + 1 : text;
    if ((dot && !parse_digits(text, n, &hi)) || !parse_digits(low, strlen(low), &lo))
        return value_wrong(why, "`%.40s` is not an AS number; 64512 and 1.10 are", text);
    if (dot && (hi > 65535 || lo > 65535))
        return value_wrong(why, "%.40s is too large; each half of an AS number in dots is 65535 at most",
                           text);
    if (!dot && lo > UINT32_MAX)
        return value_wrong(why, "%.40s is too large; an AS number is 4294967295 at most", text);
    uint32_t asn = (uint32_t)(hi << 16 | lo);
    if (asn == 0)
        return value_wrong(
            why, "AS 0 is reserved (RFC 7607); private ones are 64512 to 65534 and 4200000000 to 4294967294");
    if (asn == 23456)
        return value_wrong(why, "AS 23456 only stands in for larger ones (RFC 6793); use your own");
    if (asn == 65535 || asn == UINT32_MAX)
        return value_wrong(why, "AS %u is reserved (RFC 7300); the last private one is %u", asn, asn - 1);
    *out = asn;
    return 0;
}

static int parse_asn(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    uint32_t asn;
    int err = autonomous_system(text, &asn, why);
    if (!err)
        store(k, field, asn);
    return err;
}

static int parse_peer_asn(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct peer_config *p = outer_of(field, struct peer_config, asn);
    (void)k;
    if (!strcmp(text, "external") || !strcmp(text, "internal")) {
        p->asn_kind = text[0] == 'e' ? ASN_EXTERNAL : ASN_INTERNAL;
        p->asn = 0; /* config_check fills in our own for internal */
        return 0;
    }
    if (text[0] >= 'a' && text[0] <= 'z')
        return value_wrong(why, "`%.40s` is not an AS number, external or internal", text);
    int err = autonomous_system(text, &p->asn, why);
    if (!err)
        p->asn_kind = ASN_NUMBER;
    return err;
}

static const char *format_peer_asn(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    const struct peer_config *p = outer_of(field, const struct peer_config, asn);
    if (p->asn_kind != ASN_NUMBER)
        return p->asn_kind == ASN_EXTERNAL ? "external" : "internal";
    return format_uint(k, field, buf, size);
}

/* max-prefixes in short: one number for each family, or off. */
static int parse_limits(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct peer_config *p = outer_of(field, struct peer_config, max_prefixes);
    struct schema_key number = *k;
    uint32_t most;
    number.size = sizeof most;
    int err = parse_uint(&number, &most, text, why);
    for (enum family f = 0; !err && f < FAM_COUNT; f++)
        p->max_prefixes.most[f] = most;
    return err;
}

/* bfd in short: as the defaults of its keys have it, or not at all. Compared and printed is only whether
 * there is BFD; the keys themselves are compared and printed one by one. */
static int parse_bfd(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct peer_config *p = outer_of(field, struct peer_config, bfd);
    bool on = !strcmp(text, "true");
    if (!on && strcmp(text, "false") != 0 && strcmp(text, "off") != 0)
        return value_wrong(why, "`%.40s` is not true, off or a mapping of interval, multiplier and strict",
                           text);
    p->bfd.on = on;
    return schema_defaults(k->sub, p);
}

static const char *format_bfd(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    (void)k, (void)buf, (void)size;
    return outer_of(field, const struct peer_config, bfd)->bfd.on ? "true" : "off";
}

static bool equal_bfd(const void *a, const void *b)
{
    return outer_of(a, const struct peer_config, bfd)->bfd.on ==
           outer_of(b, const struct peer_config, bfd)->bfd.on;
}

/* Addresses */

static int parse_router_id(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct ip_addr a;
    if (addr_parse(text, &a) || a.af != AF_INET || addr_is_unspecified(&a))
        return value_wrong(why, "`%.60s` is not a router id; write it as an IPv4 address other than 0.0.0.0",
                           text);
    store(k, field, (uint32_t)a.b[0] << 24 | (uint32_t)a.b[1] << 16 | (uint32_t)a.b[2] << 8 | a.b[3]);
    return 0;
}

static const char *format_router_id(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    uint32_t id = fetch(k, field);
    struct ip_addr a = addr_v4(id);
    return !id || size < ADDR_STRLEN ? "" : addr_format(&a, buf);
}

static int address(const char *text, struct ip_addr *a, struct why *why)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (strchr(text, '%'))
        return value_wrong(why, "`%.60s` names an interface; a peer there is given by `interface` alone",
                           text);
    if (addr_parse(text, a))
        return value_wrong(why, "`%.60s` is not an IPv4 or IPv6 address%s", text,
                           strchr(text, '/') ? "; leave the length away" : "");
    if (a->af == AF_INET6 && !memcmp(a->b, mapped, sizeof mapped))
        return value_wrong(why, "`%.60s` is an IPv4 address in IPv6 clothes; write it as IPv4", text);
    if (addr_is_multicast(a) || (a->af == AF_INET && a->b[0] >= 240))
        return value_wrong(why, "`%.60s` is not a unicast address", text);
    return 0;
}

static int parse_addr(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct ip_addr a;
    int err = address(text, &a, why);
    (void)k;
    if (err)
        return err;
    if (addr_is_unspecified(&a))
        return value_wrong(why, "`%.60s` is no host's address", text);
    if (a.af == AF_INET6 && addr_is_link_local(&a))
        return value_wrong(why,
                           "`%.60s` is link-local, on one interface only; use another address, or "
                           "`interface` for a peer there",
                           text);
    memcpy(field, &a, sizeof a);
    return 0;
}

static int parse_addr4(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (strchr(text, ':'))
        return value_wrong(why, "`%.60s` is not an IPv4 address", text);
    return parse_addr(k, field, text, why);
}

static int parse_addr6(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (!strchr(text, ':'))
        return value_wrong(why, "`%.60s` is not an IPv6 address", text);
    return parse_addr(k, field, text, why);
}

static int parse_listen(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct ip_addr a;
    int err = address(text, &a, why);
    if (!err && addr_is_unspecified(&a))
        memcpy(field, &a, sizeof a);
    return err || addr_is_unspecified(&a) ? err : parse_addr(k, field, text, why);
}

/* Which address is never left to chance: who can connect may read everything there is to see. */
static int parse_endpoint(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct endpoint e;
    memset(&e, 0, sizeof e); /* compared as bytes */
    if (strcmp(text, "off") && strcmp(text, "false")) {
        const char *colon = strrchr(text, ':');
        bool bracketed = colon && *text == '[' && colon[-1] == ']';
        size_t len = !colon ? 0 : bracketed ? (size_t)(colon - text) - 2 : (size_t)(colon - text);
        char host[ADDR_STRLEN], *end;
        unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
        if (colon == text || !strncmp(text, "*:", 2))
            return value_wrong(
                why, "says no address; 127.0.0.1%s is for this host alone, 0.0.0.0%s or [::]%s for all",
                colon, colon, colon);
        snprintf(host, sizeof host, "%.*s", (int)len, text + bracketed);
        if (!colon || len >= sizeof host || !port || port > 65535 || *end || addr_parse(host, &e.addr) ||
            bracketed != (e.addr.af == AF_INET6))
            return value_wrong(
                why, "`%.60s` is not an address with a port; 127.0.0.1:9817 and [::1]:9817 are", text);
        if (!addr_is_unspecified(&e.addr) && e.addr.af == AF_INET6 && addr_is_link_local(&e.addr))
            return value_wrong(why, "`%.60s` is link-local, on one interface only; use another address",
                               text);
        if (addr_is_multicast(&e.addr))
            return value_wrong(why, "`%.60s` is multicast; nobody can connect to it", text);
        e.port = (uint16_t)port;
    }
    (void)k;
    memcpy(field, &e, sizeof e);
    return 0;
}

static const char *format_endpoint(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    struct endpoint e;
    char host[ADDR_STRLEN];
    (void)k;
    memcpy(&e, field, sizeof e);
    if (!e.port)
        return "off";
    snprintf(buf, size, e.addr.af == AF_INET6 ? "[%s]:%u" : "%s:%u", addr_format(&e.addr, host), e.port);
    return buf;
}

static const char *format_addr(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    struct ip_addr a;
    (void)k;
    memcpy(&a, field, sizeof a);
    return !a.af || size < ADDR_STRLEN ? "" : addr_format(&a, buf);
}

/* 0, or -EINVAL with the sentence. */
static int syntax_of_prefix(const char *text, struct prefix *p, struct why *why)
{
    struct prefix host;
    char buf[PREFIX_STRLEN];
    switch (prefix_parse(text, false, p)) {
    case 0:
        return 0;
    case -ERANGE:
        return value_wrong(why, "`%.60s` is too long a prefix; /32 is the limit of IPv4, /128 of IPv6", text);
    case -EADDRNOTAVAIL:
        return value_wrong(why, "%.60s has host bits set; did you mean %s?", text, prefix_format(p, buf));
    default:
        if (!strchr(text, '/') && !prefix_parse(text, true, &host))
            return value_wrong(why, "`%.60s` has no length; did you mean %s?", text,
                               prefix_format(&host, buf));
        return value_wrong(why, "`%.60s` is not a prefix; 10.244.7.0/24 and fd00:7::/64 are", text);
    }
}

/* Whom to wait for. Loopback is left for tests and labs. */
static int parse_range(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct prefix p;
    int err = syntax_of_prefix(text, &p, why);
    (void)k;
    if (err)
        return err;
    if (p.addr.af == AF_INET6 && p.len >= 10 && addr_is_link_local(&p.addr))
        return value_wrong(why, "%.60s is link-local; use `interface` for peers there", text);
    if (p.len && (addr_is_multicast(&p.addr) || (p.addr.af == AF_INET && p.addr.b[0] >= 240)))
        return value_wrong(why, "%.60s has no addresses of hosts", text);
    memcpy(field, &p, sizeof p);
    return 0;
}

static int parse_prefix(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    struct prefix p;
    int err = syntax_of_prefix(text, &p, why);
    (void)k;
    if (err)
        return err;
    if (prefix_is_martian(&p))
        return value_wrong(why, "%.60s is never routed between hosts; nobody would accept it", text);
    if (prefix_is_default(&p))
        return value_wrong(why, "%.60s is the default route, which a node does not originate", text);
    memcpy(field, &p, sizeof p);
    return 0;
}

static const char *format_prefix(const struct schema_key *k, const void *field, char *buf, size_t size)
{
    struct prefix p;
    (void)k;
    memcpy(&p, field, sizeof p);
    return !p.addr.af || size < PREFIX_STRLEN ? "" : prefix_format(&p, buf);
}

/* FIB */

/* Numbers that other programs take for their own routes: FRR's zebra deletes what carries one of 186 to 198
 * when it starts, and takes it over when it runs. */
static int parse_protocol(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    uint32_t v;
    struct schema_key wide = *k;
    wide.size = sizeof v;
    int err = parse_uint(&wide, &v, text, why);
    if (err)
        return err;
    if (v <= 4)
        return value_wrong(why, "%u is the kernel's own (0 to 4 are); 87 is the default", v);
    if (v >= 186 && v <= 198)
        return value_wrong(
            why, "%u is one of FRR's: its zebra deletes every route that carries it; 87 is the default", v);
    if (v == 11 || v == 12 || v == 42)
        return value_wrong(
            why, "%u belongs to another routing daemon (11 zebra, 12 bird, 42 babel); 87 is the default", v);
    store(k, field, v);
    return 0;
}

static int parse_table(const struct schema_key *k, void *field, const char *text, struct why *why)
{
    if (!strcmp(text, "255"))
        return value_wrong(why, "255 is the kernel's local table; 254 is the main one");
    return parse_uint(k, field, text, why);
}

/* clang-format off */
const struct value_type type_bool = {"true or false", parse_bool, format_bool, NULL, NULL};
const struct value_type type_uint = {"a number", parse_uint, format_uint, NULL, NULL};
const struct value_type type_word = {"a word", parse_word, format_word, NULL, NULL};
const struct value_type type_duration = {"a duration such as 9s", parse_duration, format_duration, NULL, NULL};
const struct value_type type_hold_time = {"a duration such as 9s", parse_hold_time, format_duration, NULL, NULL};
const struct value_type type_string = {"text", parse_string, format_string, equal_string, release_string};
const struct value_type type_path = {"a path", parse_path, format_string, equal_string, release_string};
const struct value_type type_key_file = {"a path", parse_key_file, format_string, equal_string, release_string};
const struct value_type type_password = {"a password", parse_password, format_password, NULL, release_password};
const struct value_type type_ifname = {"the name of an interface", parse_ifname, format_string, equal_string, release_string};
const struct value_type type_interface = {"the name of an interface", parse_interface, format_interface, NULL, NULL};
const struct value_type type_asn = {"an AS number", parse_asn, format_uint, NULL, NULL};
const struct value_type type_peer_asn = {"an AS number, external or internal", parse_peer_asn, format_peer_asn, NULL, NULL};
const struct value_type type_router_id = {"an IPv4 address", parse_router_id, format_router_id, NULL, NULL};
const struct value_type type_addr = {"an address", parse_addr, format_addr, NULL, NULL};
const struct value_type type_addr4 = {"an IPv4 address", parse_addr4, format_addr, NULL, NULL};
const struct value_type type_addr6 = {"an IPv6 address", parse_addr6, format_addr, NULL, NULL};
const struct value_type type_endpoint = {"an address with a port", parse_endpoint, format_endpoint, NULL, NULL};
const struct value_type type_listen = {"an address", parse_listen, format_addr, NULL, NULL};
const struct value_type type_prefix = {"a prefix", parse_prefix, format_prefix, NULL, NULL};
const struct value_type type_range = {"a prefix", parse_range, format_prefix, NULL, NULL};
const struct value_type type_protocol = {"a number", parse_protocol, format_uint, NULL, NULL};
const struct value_type type_limits = {"a number, off, or a mapping of keys", parse_limits, NULL, NULL, NULL};
const struct value_type type_bfd = {"true, off, or a mapping of keys", parse_bfd, format_bfd, equal_bfd, NULL};
const struct value_type type_table = {"a number", parse_table, format_uint, NULL, NULL};
/* clang-format on */
