/* Reading what a configuration consists of: the file itself and the password files it names.
 *
 * At start both are read with the privilege of the start. After that the speaker may not even see them, so a
 * reload gets the descriptors from the parent; it reads every password file before the configuration is
 * parsed, because parsing is one synchronous pass. A password file that was not named at start has no number
 * at the parent; it works when the speaker's own account can read it, and says what to do otherwise. */
#include "configfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/pages.h"

int configfile_read_fd(int fd, size_t max, char **text, size_t *len)
{
    struct stat st;
    size_t n = 0, room = !fstat(fd, &st) && st.st_size > 0 && (uint64_t)st.st_size <= max
                             ? (size_t)st.st_size + 1
                             : 4096;
    char *buf = pages_alloc(room + 1);
    int rc = buf ? 0 : -ENOMEM;
    while (!rc) {
        if (n == room) {
            char *grown = realloc(buf, room * 2 + 1);
            if (!grown) {
                rc = -ENOMEM;
                break;
            }
            buf = grown;
            room *= 2;
        }
        ssize_t got = read(fd, buf + n, room - n);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = -errno;
        else if ((n += (size_t)got) > max)
            rc = -EFBIG;
    }
    if (rc) {
        if (buf)
            explicit_bzero(buf, n);
        free(buf);
        return rc;
    }
    buf[n] = 0;
    *text = buf;
    *len = n;
    return 0;
}

static int read_path(const char *path, size_t max, char **text, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int rc = configfile_read_fd(fd, max, text, len);
    close(fd);
    return rc;
}

void keyfiles_free(struct keyfiles *k)
{
    for (unsigned i = 0; i < k->n; i++) {
        if (k->files[i].text) {
            explicit_bzero(k->files[i].text, k->files[i].len);
            free(k->files[i].text);
        }
        free(k->files[i].path);
    }
    free(k->files);
    *k = (struct keyfiles){0};
}

static int keyfiles_add(struct keyfiles *k, const char *path)
{
    for (unsigned i = 0; i < k->n; i++)
        if (!strcmp(k->files[i].path, path))
            return 0;
    struct keyfile *grown = realloc(k->files, (k->n + 1) * sizeof *grown);
    char *copy = strdup(path);
    if (grown)
        k->files = grown;
    if (!grown || !copy) {
        free(copy);
        return -ENOMEM;
    }
    k->files[k->n++] = (struct keyfile){.path = copy};
    return 0;
}

static int read_and_note(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    struct keyfiles *keys = arg;
    int rc = keys ? keyfiles_add(keys, path) : 0;
    return rc ? rc : config_read_file(NULL, path, buf, size, len);
}

static int read_from_keys(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    const struct keyfiles *keys = arg;
    for (unsigned i = 0; i < keys->n; i++) {
        const struct keyfile *k = &keys->files[i];
        if (strcmp(k->path, path))
            continue;
        if (k->error)
            return k->error;
        memcpy(buf, k->text, k->len < size ? k->len : size);
        *len = k->len;
        return 0;
    }
    int rc = config_read_file(NULL, path, buf, size, len);
    return rc == -EACCES ? -ENOKEY : rc;
}

static int parse(const char *name, const char *text, size_t len, const struct config_files *files,
                 struct config **out, char **errors)
{
    struct config_errors e = {0};
    int rc = config_load(name, text, len, files, &e, out);
    if (rc)
        *errors = config_errors_text(&e);
    config_errors_reset(&e);
    return rc;
}

int configfile_parse(const char *name, const char *text, size_t len, const struct keyfiles *keys,
                     const struct config_overlay *overlay, struct config **out, char **errors)
{
    struct config_files files = {.read = read_from_keys, .arg = (void *)keys, .overlay = overlay};
    return parse(name, text, len, &files, out, errors);
}

int configfile_load(const char *path, const struct config_overlay *overlay, struct config **out,
                    char **errors, struct keyfiles *keys)
{
    char *text;
    size_t len;
    int rc = read_path(path, CONFIG_MAX_BYTES, &text, &len);
    if (rc) {
        if (asprintf(errors, "%s: cannot read the configuration: %s\n", path, strerror(-rc)) < 0)
            *errors = NULL;
        return rc;
    }
    struct config_files files = {.read = read_and_note, .arg = keys, .overlay = overlay};
    rc = parse(path, text, len, &files, out, errors);
    explicit_bzero(text, len); /* it may hold passwords */
    free(text);
    return rc;
}
