/* Annotations of the node, which whoever may write the object chooses. The file is a sound one: an error is
 * told of an annotation by name, and what is accepted prints to a file that loads. The input is one
 * annotation a line, in their order, but the last, which has all the rest: underlay.io/peers may have several
 * lines. */
#include <errno.h>

#include "config.h"
#include "config_overlay.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_kube_access.h"

static int read_key(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    (void)arg, (void)size;
    FUZZ_CHECK(!strcmp(path, "/tor")); /* no annotation chooses a file */
    *len = 3;
    memcpy(buf, "key", 3);
    return 0;
}

static const char *const files[] = {
    "peer-templates: {tor: {asn: 65000, password-file: /tor}}\n"
    "peers: [{address: 10.0.0.1, asn: external}]\n"
    "advertise: {kubernetes: {node: n, peer-template: tor, compat: kube-router}}\n",
    "peers: [{address: 10.0.0.1, asn: external}]\n"
    "advertise: {kubernetes: {node: n, compat: kube-router}}\n"};

static struct config *load(const char *text, const struct config_overlay *o)
{
    const struct config_files reader = {.read = read_key, .overlay = o};
    struct config_errors errors = {.n = 0};
    struct config *c = NULL;
    int rc = config_load("fuzz.yaml", text, strlen(text), &reader, &errors, &c);
    FUZZ_CHECK((rc == 0) == (c != NULL) && (rc == 0 || rc == -EINVAL));
    FUZZ_CHECK((rc == -EINVAL) == (errors.total > 0));
    for (unsigned i = 0; i < errors.n; i++)
        FUZZ_CHECK(!strncmp(errors.list[i].text, "annotation ", 11) && !strchr(errors.list[i].text, '\n'));
    config_errors_reset(&errors);
    return c;
}

static bool has_password(const struct config *c)
{
    for (unsigned i = 0; i < c->n_peers; i++)
        if (c->peers[i].password[0] && !c->peers[i].password_file)
            return true; /* which is not printed */
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum kube_annotation order[KUBE_ANNOTATION_COUNT] = {
        KUBE_ANNOTATION_ASN,     KUBE_ANNOTATION_ROUTER_ID, KUBE_ANNOTATION_KR_ASN, KUBE_ANNOTATION_KR_IPS,
        KUBE_ANNOTATION_KR_ASNS, KUBE_ANNOTATION_KR_PORTS,  KUBE_ANNOTATION_PEERS};
    char *text = fuzz_text(&(struct fuzz_in){data, size}), *next = text;
    char *annotations[KUBE_ANNOTATION_COUNT] = {NULL};
    for (unsigned i = 0; next && i < KUBE_ANNOTATION_COUNT; i++)
        annotations[order[i]] = i + 1 < KUBE_ANNOTATION_COUNT ? strsep(&next, "\n") : next;
    struct config_overlay *o = config_overlay_new(annotations);
    FUZZ_CHECK(o);
    struct config *c = load(files[size % 2], o);
    if (c && !has_password(c)) {
        char *printed = config_print(c);
        struct config *again = load(printed, NULL);
        FUZZ_CHECK(again && again->router.asn == c->router.asn && again->n_peers == c->n_peers);
        config_free(again);
        free(printed);
    }
    config_free(c);
    config_overlay_free(o);
    free(text);
    return 0;
}
