/* kubeconfig files, and files that they name, which all have the same text. What is taken has all that a
 * connection needs; what is not is explained in one line. */
#include <errno.h>

#include "config.h"
#include "kube/access.h"
#include "tests/fuzz/fuzz.h"

static struct fuzz_in main_file, other_file;

static int read_file(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    (void)arg;
    const struct fuzz_in *f = strcmp(path, "/k/config") ? &other_file : &main_file;
    *len = f->n;
    if (f->n)
        memcpy(buf, f->p, f->n < size ? f->n : size);
    return 0;
}

static void check_secret(const struct kube_secret *s)
{
    FUZZ_CHECK(!s->file || !s->text);
    FUZZ_CHECK(!s->file || *s->file);
    FUZZ_CHECK(!s->text || *s->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_files files = {.read = read_file};
    struct fuzz_in in = {data, size};
    struct kube_access a, copy;
    char *why;
    const char *wrong;
    other_file = fuzz_piece(&in);
    main_file = in;
    int rc = kube_access_load("/k/config", NULL, 0, &files, &a, &why);
    if (rc) {
        FUZZ_CHECK(rc == -EINVAL && why && *why && !strchr(why, '\n') && !a.n_servers && !a.ca.text);
        free(why);
        return 0;
    }
    const struct kube_secret *all[] = {&a.ca, &a.cert, &a.key, &a.token};
    bool has[4];
    for (int i = 0; i < 4; i++) {
        check_secret(all[i]);
        has[i] = all[i]->file || all[i]->text;
    }
    FUZZ_CHECK(a.n_servers == 1 && kube_server_valid(a.servers[0], &wrong));
    FUZZ_CHECK(has[0] && has[1] == has[2] && has[1] != has[3]);
    FUZZ_CHECK(!kube_access_copy(&copy, &a) && kube_access_equal(&a, &copy));
    kube_access_reset(&a);
    kube_access_reset(&copy);
    return 0;
}
