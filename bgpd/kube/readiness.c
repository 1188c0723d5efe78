/* Telling Kubernetes that this node's network works: a taint that kept pods away is removed, and the
 * condition NetworkUnavailable is set to False. Asked for by the configuration, since it needs the right to
 * patch nodes. Done once sessions are up and their routes are in the kernel; never taken back: a node that
 * has lost its routers must not have its pods moved because of us. The object itself says whether there is
 * something left to do, so that a patch that was overtaken is made anew from what it is then. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/kube_internal.h"

#define ANSWER_MS    10000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

static void again(void *arg)
{
    kube_readiness_check(arg);
}

static void got_status(void *arg, unsigned status)
{
    ((struct kube *)arg)->patch_status = status;
}

static int got_data(void *arg, const char *data, size_t len)
{
    (void)arg, (void)data, (void)len;
    return 0;
}

static void done(void *arg, int error, const char *why)
{
    struct kube *k = arg;
    k->patch = NULL;
    bool ok = !error && k->patch_status / 100 == 2;
    if (ok) {
        k->ready_error[0] = 0;
        uint32_t more;
        if (log_limit_ok(&k->told, loop_now_ms(), &more)) /* somebody may say the opposite all the time */
            log_info("Kubernetes was told that the network of this node works",
                     F_STR("node", kube_config(k)->node), F_UINT_IF("unsaid", more));
        k->patch_wait_ms = RETRY_MIN_MS;
        timer_set(k->patch_retry,
                  RETRY_MIN_MS); /* for the rest; the watch tells what is left, maybe before this */
        return;
    }
    bool said = k->ready_error[0];
    if (error)
        snprintf(k->ready_error, sizeof k->ready_error, "%s", why);
    else
        snprintf(k->ready_error, sizeof k->ready_error, "HTTP %u%s", k->patch_status,
                 k->patch_status == 403
                     ? ": the account may not patch nodes; see contrib/kubernetes/readiness"
                     : "");
    if (!said)
        log_warn("Kubernetes cannot be told that the network of this node works",
                 F_STR("reason", k->ready_error));
    timer_set(k->patch_retry, k->patch_wait_ms);
    k->patch_wait_ms = k->patch_wait_ms * 2 < RETRY_MAX_MS ? k->patch_wait_ms * 2 : RETRY_MAX_MS;
}

static const struct kube_request_ops ops = {got_status, got_data, done};

static void send_patch(struct kube *k, const char *sub, const char *type, json_t *patch)
{
    char path[400];
    char *text = patch ? json_dumps(patch, JSON_COMPACT) : NULL;
    json_decref(patch);
    snprintf(path, sizeof path, "/api/v1/nodes/%s%s", kube_config(k)->node, sub);
    k->patch_status = 0;
    k->patch = text ? kube_request_start(k->client, KUBE_PATCH, path, type, text, ANSWER_MS, &ops, k) : NULL;
    free(text);
    if (!k->patch)
        timer_set(k->patch_retry, RETRY_MAX_MS);
}

/* By its place in the list, and only if what is there is still what we mean (RFC 6902 4.6). */
static void remove_taint(struct kube *k, unsigned i, const char *taint)
{
    char path[64], key_path[80], effect_path[80], key[400];
    const char *effect = strrchr(taint, ':');
    snprintf(path, sizeof path, "/spec/taints/%u", i);
    snprintf(key_path, sizeof key_path, "%s/key", path);
    snprintf(effect_path, sizeof effect_path, "%s/effect", path);
    snprintf(key, sizeof key, "%.*s", (int)strcspn(taint, "=:"), taint);
    send_patch(k, "", "application/json-patch+json",
               json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s}]", "op", "test", "path", key_path, "value",
                         key, "op", "test", "path", effect_path, "value", effect ? effect + 1 : "", "op",
                         "remove", "path", path));
}

static void clear_condition(struct kube *k)
{
    send_patch(k, "/status", "application/strategic-merge-patch+json",
               json_pack("{s:{s:[{s:s,s:s,s:s,s:s}]}}", "status", "conditions", "type", "NetworkUnavailable",
                         "status", "False", "reason", "UnderlayReady", "message",
                         "underlayd has sessions, and their routes are in the kernel"));
}

void kube_readiness_check(struct kube *k)
{
    const struct config_kube *c = kube_config(k);
    const struct kube_node *n = k->store ? kube_store_node(k->store) : NULL;
    if (k->patch || timer_running(k->patch_retry) || !n || !k->s->fib_settled || !k->client)
        return;
    for (unsigned i = 0; c->ready.taint && i < n->n_taints; i++)
        if (kube_taint_matches(n->taints[i], c->ready.taint)) {
            remove_taint(k, i, n->taints[i]);
            return;
        }
    if (c->ready.network_unavailable && n->network_unavailable) {
        clear_condition(k);
        return;
    }
    k->ready_done = true;
    k->ready_error[0] = 0;
}

bool kube_readiness_new(struct kube *k)
{
    k->patch_wait_ms = RETRY_MIN_MS;
    k->patch_retry = timer_new(k->s->loop, again, k);
    return k->patch_retry;
}

void kube_readiness_reset(struct kube *k)
{
    if (k->patch)
        kube_request_cancel(k->patch);
    k->patch = NULL;
    k->ready_done = false;
    k->ready_error[0] = 0;
    if (k->patch_retry)
        timer_stop(k->patch_retry);
}

void kube_readiness_free(struct kube *k)
{
    timer_free(k->patch_retry);
}
