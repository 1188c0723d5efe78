/* The configuration's front door: load, free, errors, files.
 *
 * A load is: text to tree (config_yaml.c), with what annotations of the node add to it (config_overlay.c),
 * tree to struct by the schema (config_read.c, config_schema.c, config_value.c), checks across keys
 * (config_check.c). It either gives a whole configuration or none, and everything that was wrong with it at
 * once, in the order of the file. Nothing here opens a file by itself: the speaker has no right to, and gets
 * the text and the keys through its parent. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_int.h"

struct text {
    char buf[600];
    size_t n;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->n, sizeof t->buf - t->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->n = t->n + (size_t)n < sizeof t->buf ? t->n + (size_t)n : sizeof t->buf - 1;
}

/* How a path is told of which the first elements are an annotation. */
struct origin {
    const char *annotation; /* NULL: the file */
    unsigned skip, first;   /* elements that it stands for; what its index 0 is in the list */
};

static struct origin origin_of(const struct overlay_origin *o, const struct path *path)
{
    const struct path *top = path, *second = NULL;
    while (top && top->up) {
        second = top;
        top = top->up;
    }
    if (!second || !top->name)
        return (struct origin){0};
    if (!strcmp(top->name, "router") && second->name)
        return (struct origin){!strcmp(second->name, "asn")  ? o->asn
                               : !strcmp(second->name, "id") ? o->router_id
                                                             : NULL,
                               2, 0};
    if (strcmp(top->name, "peers") != 0 || second->name || !o->peers || second->index < o->first_peer)
        return (struct origin){0};
    const char *key = path->name ? path->name : "";
    return (struct origin){o->peer_asns && !strcmp(key, "asn")     ? o->peer_asns
                           : o->peer_ports && !strcmp(key, "port") ? o->peer_ports
                                                                   : o->peers,
                           1, o->first_peer};
}

/* The number of elements. */
static unsigned add_path(struct text *t, const struct path *p, const struct origin *o)
{
    unsigned depth = p->up ? add_path(t, p->up, o) : 0;
    if (depth >= o->skip && p->name)
        add(t, "%s%.64s", depth > o->skip ? "." : "", p->name);
    else if (depth >= o->skip)
        add(t, "[%u]", p->index - (depth == o->skip ? o->first : 0));
    return depth + 1;
}

/* Insertion by position: errors come from several walks, and people read a file from the top. Of too many,
 * the last ones in the file go. */
static void keep(struct load *ld, unsigned line, unsigned col, char *text)
{
    struct config_errors *e = ld->errors;
    unsigned i = e->n;
    while (i > 0 && (e->list[i - 1].line > line || (e->list[i - 1].line == line && e->list[i - 1].col > col)))
        i--;
    if (e->n == CONFIG_MAX_ERRORS) {
        if (i == e->n) {
            free(text);
            return;
        }
        free(e->list[--e->n].text);
    }
    memmove(&e->list[i + 1], &e->list[i], (e->n - i) * sizeof e->list[0]);
    e->list[i] = (struct config_error){.line = line, .col = col, .text = text};
    e->n++;
}

#define BEHIND_THE_FILE UINT_MAX /* errors of annotations */

/* Takes the error that begins with t. */
static void report(struct load *ld, unsigned line, unsigned col, struct text *t, const char *fmt, va_list ap)
{
    ld->failed = true;
    ld->errors->total++;
    int n = vsnprintf(t->buf + t->n, sizeof t->buf - t->n, fmt, ap);
    (void)n; /* cut at the end of the buffer */
    for (char *c = t->buf; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?'; /* quoted from the file, and on its way to a terminal */
    char *copy = strdup(t->buf);
    if (copy)
        keep(ld, line, col, copy);
    else
        ld->oom = true;
}

void load_error(struct load *ld, const struct node *at, const struct path *path, const char *fmt, ...)
{
    struct text t = {.n = 0};
    struct origin origin = path ? origin_of(&ld->overlay, path) : (struct origin){0};
    unsigned line = at ? at->line : 1, col = at ? at->col : 1;
    va_list ap;
    if (ld->quiet)
        return;
    if (origin.annotation) {
        add(&t, "annotation %s: ", origin.annotation);
        line = BEHIND_THE_FILE;
    } else {
        origin.skip = 0;
        add(&t, "%.255s:%u:%u: ", ld->name, line, col);
    }
    if (path && add_path(&t, path, &origin) > origin.skip)
        add(&t, ": ");
    va_start(ap, fmt);
    report(ld, line, col, &t, fmt, ap);
    va_end(ap);
}

void load_error_of(struct load *ld, const char *annotation, const char *fmt, ...)
{
    struct text t = {.n = 0};
    va_list ap;
    add(&t, "annotation %s: ", annotation);
    va_start(ap, fmt);
    report(ld, BEHIND_THE_FILE, 1, &t, fmt, ap);
    va_end(ap);
}

void config_errors_reset(struct config_errors *e)
{
    for (unsigned i = 0; i < e->n; i++)
        free(e->list[i].text);
    *e = (struct config_errors){0};
}

char *config_errors_text(const struct config_errors *e)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    if (!f)
        return NULL;
    for (unsigned i = 0; i < e->n; i++)
        fprintf(f, "%s\n", e->list[i].text);
    if (e->total > e->n)
        fprintf(f, "... and %u more\n", e->total - e->n);
    if (fclose(f)) {
        free(out);
        return NULL;
    }
    return out;
}

int config_read_file(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    struct stat st;
    (void)arg;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
    *len = 0;
    while (!err && *len < size) {
        ssize_t n = read(fd, buf + *len, size - *len);
        if (n < 0 && errno != EINTR)
            err = -errno;
        if (n == 0)
            break;
        *len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return err;
}

int config_load(const char *name, const char *text, size_t len, const struct config_files *files,
                struct config_errors *errors, struct config **out)
{
    struct load ld = {.name = name, .errors = errors, .files = files};
    struct tree tree, extra = {0};
    *out = NULL;
    ld.config = calloc(1, sizeof *ld.config);
    if (!ld.config)
        return -ENOMEM;
    int err = tree_parse(&ld, text, len, &tree);
    if (!err) {
        ld.root = tree.root;
        err = overlay_apply(&ld, files ? files->overlay : NULL, &extra);
    }
    if (!err) {
        config_read(&ld);
        config_check(&ld);
        if (!ld.config->router.asn) /* without an AS number there can be no session */
            key_list_reset(schema_find(&schema_root, "peers"), ld.config, 0);
    }
    tree_free(&extra);
    tree_free(&tree);
    if (!err && ld.failed)
        err = -EINVAL;
    if (ld.oom)
        err = -ENOMEM;
    if (err)
        config_free(ld.config);
    else
        *out = ld.config;
    return err;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    schema_release(&schema_root, c);
    kube_access_reset(&c->advertise.kube.access);
    free(c);
}

const struct peer_config *config_find_peer(const struct config *c, const struct ip_addr *address)
{
    for (unsigned i = 0; i < c->n_peers; i++)
        if (addr_equal(&c->peers[i].address, address))
            return &c->peers[i];
    return NULL;
}
