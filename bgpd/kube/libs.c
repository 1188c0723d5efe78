/* Loading. What cannot be loaded is found when Kubernetes is configured and not when it is needed: a symbol
 * that is missing is a library that is missing. The table is the process's, as the libraries are: it is
 * written once and never taken back, since OpenSSL does not like to be unloaded. */
#include "kube/libs.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

#include "log.h"

struct symbol {
    const char *name;
    size_t offset;
};
#define SYMBOL(f) {#f, offsetof(struct kube_libs, f)},
static const struct symbol ssl_symbols[] = {KUBE_LIBS_SSL(SYMBOL)};
static const struct symbol dns_symbols[] = {KUBE_LIBS_DNS(SYMBOL)};

static const struct library {
    const char *file, *why;
    const struct symbol *symbols;
    size_t n;
} libraries[] = {
    {"libssl.so.3", "Kubernetes needs OpenSSL 3 (libssl.so.3); on Debian: apt install libssl3", ssl_symbols,
     sizeof ssl_symbols / sizeof *ssl_symbols},
    {"libevent_extra-2.1.so.7",
     "Kubernetes needs the resolver of libevent 2.1 (libevent_extra-2.1.so.7); on Debian: apt install "
     "libevent-extra-2.1-7",
     dns_symbols, sizeof dns_symbols / sizeof *dns_symbols},
};

static void log_resolver(int warning, const char *message)
{
    (void)warning; /* what matters is said with the request that fails */
    log_printf(LOG_LVL_DEBUG, "dns: %s", message);
}

static bool load(struct kube_libs *out, const struct library *l)
{
    void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle && i < l->n; i++) {
        void *symbol = dlsym(handle, l->symbols[i].name);
        if (!symbol)
            return false;
        *(void **)((char *)out + l->symbols[i].offset) = symbol; /* POSIX: dlsym gives functions so */
    }
    return handle != NULL;
}

const struct kube_libs *kube_libs_load(const char **why)
{
    static struct kube_libs libs;
    static bool loaded;
    for (size_t i = 0; !loaded && i < sizeof libraries / sizeof *libraries; i++) {
        if (!load(&libs, &libraries[i])) {
            if (why)
                *why = libraries[i].why;
            return NULL;
        }
    }
    if (!loaded) {
        libs.evdns_set_log_fn(log_resolver);
        libs.SSL_CTX_free(libs.SSL_CTX_new(libs.TLS_client_method())); /* the first takes 10 ms */
    }
    loaded = true;
    return &libs;
}
