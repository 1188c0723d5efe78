/* The file: one thing a line, words separated by blanks, text as a JSON string.
 *
 *     boot ID
 *     node "n1"
 *     annotation underlay.io/asn "65101"
 *     stale-since 81234567
 *     leaving services
 *     prefix 10.244.1.0/24 pod-cidr
 *     prefix 192.0.2.1/32 load-balancer weight 2 service "default/web"
 *
 * Lines that a version does not know are ignored, so that versions can be changed back and forth. Addresses
 * of services are believed only within the same boot: after another one no pod runs before the kubelet has
 * asked the same API server. */
#include "kube/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "configfile.h"
#include "source/source.h"

static const char heading[] =
    "# What underlayd last knew from Kubernetes; read at its start, written by it.\n";

static const struct {
    const char *word;
    uint8_t by, kinds;
} reasons[] = {
    {"pod-cidr", SOURCE_KUBE_POD_CIDR, 0},
    {"node-address", SOURCE_KUBE_NODE_ADDRESS, 0},
    {"service-cidr", SOURCE_KUBE_SERVICE_CIDR, 0},
    {"load-balancer", SOURCE_KUBE_VIP, 1 << KUBE_LOAD_BALANCER},
    {"external-ip", SOURCE_KUBE_VIP, 1 << KUBE_EXTERNAL_IP},
    {"cluster-ip", SOURCE_KUBE_VIP, 1 << KUBE_CLUSTER_IP},
};
#define N_REASONS (sizeof reasons / sizeof *reasons)

static const struct {
    const char *word;
    unsigned bit;
} leaves[] = {{"services", KUBE_SAVED_SERVICES_LEAVE}, {"node", KUBE_SAVED_NODE_LEAVES}};

const char *kube_boot_id(char buf[64])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    buf[0] = 0;
    if (f && fgets(buf, 64, f))
        buf[strcspn(buf, "\n")] = 0;
    if (f)
        fclose(f);
    return buf;
}

/* Writing */

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e || *text == '"' || *text == '\\')
            return false;
    return true;
}

/* Names of services are plain, and there are ten thousand of them. */
static void put_text(FILE *f, const char *text)
{
    if (is_plain(text)) {
        fprintf(f, "\"%s\"", text);
        return;
    }
    json_t *j = json_string(text);
    char *dump = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    fputs(dump ? dump : "\"\"", f);
    free(dump);
    json_decref(j);
}

static void put_entry(void *arg, const struct kube_entry *e)
{
    FILE *f = arg;
    char text[PREFIX_STRLEN];
    fprintf(f, "prefix %s", prefix_format(&e->prefix, text));
    for (size_t i = 0; i < N_REASONS; i++)
        if ((e->by & reasons[i].by) && (!reasons[i].kinds || (e->kinds & reasons[i].kinds)))
            fprintf(f, " %s", reasons[i].word);
    if (e->weight)
        fprintf(f, " weight %u", e->weight);
    if (e->service) {
        fputs(" service ", f);
        put_text(f, e->service);
    }
    fputc('\n', f);
}

void kube_saved_write(FILE *f, const struct kube_saved *head, const char *boot,
                      const struct kube_advertise *a)
{
    fprintf(f, "%sboot %s\nnode ", heading, boot);
    put_text(f, head->node);
    fputc('\n', f);
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        if (head->annotations[i]) {
            fprintf(f, "annotation %s ", kube_annotation_names[i]);
            put_text(f, head->annotations[i]);
            fputc('\n', f);
        }
    if (head->stale_since_ms)
        fprintf(f, "stale-since %" PRIu64 "\n", head->stale_since_ms);
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        if (head->leaving & leaves[i].bit)
            fprintf(f, "leaving %s\n", leaves[i].word);
    kube_advertise_each(a, put_entry, f);
}

/* Reading */

static char *take_text(const char *json)
{
    json_t *j = json_loads(json, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
    char *text = json_is_string(j) ? strdup(json_string_value(j)) : NULL;
    json_decref(j);
    return text;
}

static bool read_prefix(struct kube_saved *s, char *rest)
{
    struct kube_entry e = {.unconfirmed = true};
    char *word = strsep(&rest, " ");
    if (!word || prefix_parse(word, false, &e.prefix) || prefix_is_martian(&e.prefix) ||
        prefix_is_default(&e.prefix))
        return false;
    while (rest && *rest) {
        char *text = rest;
        word = strsep(&rest, " ");
        if (!strcmp(word, "weight") && rest) {
            e.weight = (uint32_t)strtoul(strsep(&rest, " "), NULL, 10);
            continue;
        }
        if (!strcmp(word, "service") && rest) {
            e.service = take_text(text + sizeof "service");
            break;
        }
        for (size_t i = 0; i < N_REASONS; i++)
            if (!strcmp(word, reasons[i].word)) {
                e.by |= reasons[i].by;
                e.kinds |= reasons[i].kinds;
            }
    }
    if (!s->same_boot || !prefix_is_host(&e.prefix))
        e.by &= (uint8_t)~SOURCE_KUBE_VIP;
    struct kube_entry *grown = e.by ? realloc(s->entries, (s->n_entries + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free((char *)e.service);
        return true;
    }
    s->entries = grown;
    s->entries[s->n_entries++] = e;
    return true;
}

static bool read_annotation(struct kube_saved *s, char *rest)
{
    const char *name = strsep(&rest, " ");
    for (unsigned i = 0; rest && i < KUBE_ANNOTATION_COUNT; i++)
        if (!strcmp(name, kube_annotation_names[i])) {
            free(s->annotations[i]);
            s->annotations[i] = take_text(rest);
            return s->annotations[i];
        }
    return false;
}

static bool read_leaving(struct kube_saved *s, const char *rest)
{
    unsigned before = s->leaving;
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        if (!strcmp(rest, leaves[i].word))
            s->leaving |= leaves[i].bit;
    return s->leaving != before;
}

static bool read_line(struct kube_saved *s, const char *boot, char *line)
{
    char *rest = line, *word = strsep(&rest, " ");
    if (!*word || *word == '#')
        return true;
    if (!rest)
        return false;
    if (!strcmp(word, "annotation"))
        return read_annotation(s, rest);
    if (!strcmp(word, "leaving"))
        return read_leaving(s, rest);
    if (!strcmp(word, "prefix"))
        return read_prefix(s, rest);
    if (!strcmp(word, "boot")) {
        s->same_boot = *boot && !strcmp(rest, boot);
    } else if (!strcmp(word, "stale-since")) {
        s->stale_since_ms = strtoull(rest, NULL, 10);
    } else if (!strcmp(word, "node")) {
        free(s->node);
        return (s->node = take_text(rest));
    } else {
        return false;
    }
    return true;
}

int kube_saved_parse(char *text, const char *boot, struct kube_saved *out)
{
    *out = (struct kube_saved){0};
    for (char *line; (line = strsep(&text, "\n"));)
        out->ignored += !read_line(out, boot, line);
    return 0;
}

int kube_saved_load(const char *path, struct kube_saved *out)
{
    char *text, boot[64];
    size_t len;
    *out = (struct kube_saved){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int rc = configfile_read_fd(fd, KUBE_SAVED_MAX_BYTES, &text, &len);
    close(fd);
    if (rc)
        return rc;
    for (char *zero = text; (zero = memchr(zero, 0, len - (size_t)(zero - text)));)
        *zero = '\n'; /* a broken line does not hide those after it */
    rc = kube_saved_parse(text, kube_boot_id(boot), out);
    free(text);
    return rc;
}

void kube_saved_reset(struct kube_saved *s)
{
    for (unsigned i = 0; i < s->n_entries; i++)
        free((char *)s->entries[i].service);
    for (unsigned i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        free(s->annotations[i]);
    free(s->entries);
    free(s->node);
    *s = (struct kube_saved){0};
}
