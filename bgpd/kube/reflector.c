/* List, then watch, then watch again.
 *
 * What an attempt came to is known in one place, on_done, and decides what is next: the next page, the watch,
 * the next watch at once, or the same after a while. A resourceVersion that the server has forgotten (410) is
 * not an error of anybody: the list begins again, and because list_end alone takes anything away, nothing is
 * taken away by mistake. The same holds for whatever is broken off.
 *
 * The wait after failures grows until there is progress: an event that could be read, or a watch that has
 * stood for some time. That a watch was answered is not enough, or a server that cuts each of them would be
 * asked all the time.
 *
 * Nothing here knows what the objects mean. Each is parsed, handed over and freed by itself. */
#include "kube/reflector.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/client.h"
#include "kube/json_cut.h"
#include "kube/reflector_path.h"
#include "loop.h"

#define PAGE_OBJECTS 500
#define OBJECT_BYTES (4u << 20) /* etcd takes 1.5 MiB */
#define ERROR_BYTES  8192       /* of an answer that is an error */
#define LIST_GRACES  4          /* 60 s, after which an API server that is busy gives up a request itself */

struct reflector {
    struct loop *loop;
    struct kube_client *client;
    enum kube_kind kind;
    char *field_selector;
    struct reflector_times times;
    const struct reflector_ops *ops;
    void *arg;

    struct kube_request *request;
    struct json_cut *cut;
    struct timer *timer; /* the next attempt; while a watch stands: that it has stood for a while */
    char *token;         /* of the next page */
    bool whole;          /* pages expire before they are through: all at once */
    bool inside;         /* a callback of the request */
    bool relist;         /* wanted from inside */
    unsigned status;
    char *body; /* of an answer that is an error */
    size_t body_len;
    bool gone;           /* the watch said 410 */
    uint64_t watched_ms; /* when the watch was answered; 0 it is not */
    unsigned backoff;    /* failures without progress */
    char reason[256];    /* why we ended the request ourselves */
    struct reflector_info info;
};

static void begin_list(struct reflector *r);
static void begin_watch(struct reflector *r);

/* Progress and failure */

static void set_current(struct reflector *r, bool current)
{
    if (r->info.current == current)
        return;
    r->info.current = current;
    r->info.current_until_ms = current ? 0 : loop_now_ms();
    r->ops->changed(r->arg, r->kind);
}

/* Half to all of it: a thousand nodes lose the same server at once, and should not come back at once. */
static uint32_t jittered(uint32_t ms)
{
    return ms - arc4random_uniform(ms / 2 + 1);
}

static uint32_t next_wait(struct reflector *r)
{
    uint64_t ms = (uint64_t)r->times.retry_min_ms << (r->backoff < 16 ? r->backoff : 16);
    r->backoff++;
    return jittered(ms < r->times.retry_max_ms ? (uint32_t)ms : r->times.retry_max_ms);
}

static void wait_and_retry(struct reflector *r)
{
    r->info.state = REFLECTOR_WAITING;
    r->watched_ms = 0;
    timer_set(r->timer, next_wait(r));
}

static void fail(struct reflector *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct reflector *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->info.error, sizeof r->info.error, fmt, ap);
    va_end(ap);
    r->info.attempts++;
    wait_and_retry(r);
    bool was = r->info.current;
    set_current(r, false);
    if (!was)
        r->ops->changed(r->arg, r->kind);
}

/* The server has forgotten the version, or the rest of the list. */
static void start_over(struct reflector *r)
{
    r->info.count.gone++;
    r->whole = r->token != NULL && r->backoff > 0;
    *r->info.version = 0;
    fail(r, "the API server no longer has what we know (410); listing anew");
}

static void on_timer(void *arg)
{
    struct reflector *r = arg;
    if (r->info.state == REFLECTOR_WATCHING)
        r->backoff = 0;
    else if (*r->info.version)
        begin_watch(r);
    else
        begin_list(r);
}

/* Objects */

/* Ends the request; on_done says the reason. */
static int refuse(struct reflector *r, const char *reason)
{
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    return -EBADMSG;
}

static json_t *parse(struct reflector *r, const char *text, size_t len)
{
    json_error_t e;
    json_t *j = json_loadb(text, len, JSON_ALLOW_NUL, &e);
    if (!j)
        snprintf(r->reason, sizeof r->reason, "malformed JSON: %.150s", e.text);
    return j;
}

static const char *metadata(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, "metadata"), key));
    return text ? text : "";
}

static int keep_version(struct reflector *r, const json_t *object)
{
    const char *v = metadata(object, "resourceVersion");
    if (!*v || strlen(v) >= sizeof r->info.version)
        return refuse(r, "malformed JSON: no resourceVersion");
    memcpy(r->info.version, v, strlen(v) + 1);
    return 0;
}

static int on_listed(void *arg, const char *text, size_t len)
{
    struct reflector *r = arg;
    json_t *object = parse(r, text, len);
    if (!object)
        return -EBADMSG;
    r->ops->put(r->arg, r->kind, object);
    json_decref(object);
    return 0;
}

/* etcd was restored from an older state: what we know is of another life. client-go goes by this text too. */
static bool from_the_future(const char *message)
{
    return message && strstr(message, "Too large resource version");
}

static int on_error_event(struct reflector *r, const json_t *status)
{
    const char *message = json_string_value(json_object_get(status, "message"));
    json_int_t code = json_integer_value(json_object_get(status, "code"));
    r->gone = code == 410 || from_the_future(message);
    snprintf(r->reason, sizeof r->reason, "the API server ends the watch (%d): %.200s", (int)code,
             message ? message : "no reason given");
    return -ECANCELED;
}

static int take_event(struct reflector *r, const json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    const json_t *object = json_object_get(event, "object");
    if (!type || !json_is_object(object))
        return refuse(r, "malformed JSON: not an event of a watch");
    if (!strcmp(type, "ERROR"))
        return on_error_event(r, object);
    if (keep_version(r, object))
        return -EBADMSG;
    r->backoff = 0;
    if (!strcmp(type, "BOOKMARK")) {
        r->info.count.bookmarks++;
        return 0;
    }
    r->info.count.events++;
    if (!strcmp(type, "DELETED"))
        r->ops->gone(r->arg, r->kind, object);
    else if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED"))
        r->ops->put(r->arg, r->kind, object);
    return 0;
}

static int on_event(void *arg, const char *text, size_t len)
{
    struct reflector *r = arg;
    json_t *event = parse(r, text, len);
    if (!event)
        return -EBADMSG;
    int rc = take_event(r, event);
    json_decref(event);
    return rc ? rc : r->relist ? -ECANCELED : 0;
}

/* Answers */

static void on_status(void *arg, unsigned status)
{
    struct reflector *r = arg;
    r->status = status;
    r->info.heard_ms = loop_now_ms();
    if (status != 200 || r->info.state != REFLECTOR_WATCHING)
        return;
    r->watched_ms = r->info.heard_ms;
    timer_set(r->timer, 10 * (uint64_t)r->times.retry_min_ms);
    *r->info.error = 0;
    r->info.attempts = 0;
    r->inside = true;
    set_current(r, true);
    r->inside = false;
}

static int on_error_data(struct reflector *r, const char *data, size_t len)
{
    if (!r->body && !(r->body = malloc(ERROR_BYTES)))
        return -ENOMEM;
    if (len > ERROR_BYTES - 1 - r->body_len)
        len = ERROR_BYTES - 1 - r->body_len;
    memcpy(r->body + r->body_len, data, len);
    r->body_len += len;
    return 0;
}

static int on_data(void *arg, const char *data, size_t len)
{
    struct reflector *r = arg;
    r->info.count.bytes += len;
    r->info.heard_ms = loop_now_ms();
    if (r->status != 200)
        return on_error_data(r, data, len);
    r->inside = true;
    int rc = json_cut_feed(r->cut, data, len);
    r->inside = false;
    return rc ? rc : r->relist ? -ECANCELED : 0;
}

/* What the server says of an error: the message of its Status, else the first line of whatever it is. */
static void error_message(struct reflector *r, char *out, size_t size)
{
    json_t *status = r->body ? json_loadb(r->body, r->body_len, JSON_ALLOW_NUL, NULL) : NULL;
    const char *message = json_string_value(json_object_get(status, "message"));
    if (!message && r->body) {
        r->body[r->body_len] = 0;
        message = r->body;
    }
    snprintf(out, size, "%s", message ? message : "");
    out[strcspn(out, "\r\n")] = 0;
    json_decref(status);
}

static void fail_status(struct reflector *r)
{
    char message[160];
    error_message(r, message, sizeof message);
    if (from_the_future(message)) {
        start_over(r);
        return;
    }
    const char *what = r->status == 401   ? "our credentials are not accepted"
                       : r->status == 403 ? "not allowed"
                       : r->status != 404 ? "the API server answers with an error"
                       : r->kind == KUBE_SLICES
                           ? "no EndpointSlices of discovery.k8s.io/v1: Kubernetes 1.21 or newer is needed"
                           : "no such resource";
    r->info.count.failures++;
    fail(r, "%s (%u)%s%s", what, r->status, *message ? ": " : "", message);
}

static void fail_transfer(struct reflector *r, int error, const char *why)
{
    r->info.count.failures++;
    if (error == -ETIMEDOUT && r->watched_ms)
        r->info.count.stalls++;
    if (r->status == 200 && (error == -EBADMSG || error == -EINVAL || error == -EMSGSIZE))
        r->info.count.malformed++;
    if (error == -EMSGSIZE)
        fail(r, "an object of %s is larger than %u MiB", kube_kind_name(r->kind), OBJECT_BYTES >> 20);
    else if (error == -EBADMSG || error == -ECANCELED)
        fail(r, "%s", r->reason);
    else if (error == -EINVAL && r->status == 200)
        fail(r, "malformed JSON: what came cannot be cut into objects");
    else
        fail(r, "%s", why);
}

static void page_complete(struct reflector *r)
{
    const char *text = json_cut_rest(r->cut);
    json_t *list = text && !json_cut_end(r->cut) ? parse(r, text, strlen(text)) : NULL;
    if (!list) {
        if (!text)
            snprintf(r->reason, sizeof r->reason, "malformed JSON: the list ends in its midst");
        fail_transfer(r, -EBADMSG, "");
        return;
    }
    const char *token = metadata(list, "continue");
    free(r->token);
    r->token = *token ? strdup(token) : NULL;
    bool more = *token, broken = more ? !r->token : keep_version(r, list) != 0;
    json_decref(list);
    if (broken) {
        fail_transfer(r, more ? -ENOMEM : -EBADMSG, "out of memory");
    } else if (more) {
        begin_list(r);
    } else {
        r->whole = false;
        r->info.listed = true;
        r->inside = true;
        r->ops->list_end(r->arg, r->kind);
        r->inside = false;
        if (r->relist)
            begin_list(r);
        else
            begin_watch(r);
    }
}

/* The server ends a watch when its time is over. */
static void watch_complete(struct reflector *r)
{
    if (json_cut_end(r->cut)) {
        snprintf(r->reason, sizeof r->reason, "the watch ended in the midst of an object");
        fail_transfer(r, -EBADMSG, "");
    } else if (loop_now_ms() - r->watched_ms < 2 * (uint64_t)r->times.retry_min_ms) {
        fail(r, "the API server ended the watch at once");
    } else {
        begin_watch(r);
    }
}

static void on_done(void *arg, int error, const char *why)
{
    struct reflector *r = arg;
    bool listing = r->info.state == REFLECTOR_LISTING;
    r->request = NULL;
    timer_stop(r->timer);
    if (r->relist)
        begin_list(r);
    else if (r->status == 410 || r->gone)
        start_over(r);
    else if (r->status && r->status != 200)
        fail_status(r);
    else if (error)
        fail_transfer(r, error, why);
    else if (listing)
        page_complete(r);
    else
        watch_complete(r);
}

static const struct kube_request_ops request_ops = {on_status, on_data, on_done};

/* Attempts */

/* path is freed. */
static void ask(struct reflector *r, enum reflector_state state, char *path, uint32_t idle_ms)
{
    bool list = state == REFLECTOR_LISTING;
    json_cut_free(r->cut);
    free(r->body);
    r->body = NULL;
    r->body_len = r->status = 0;
    r->watched_ms = 0;
    r->gone = false;
    *r->reason = 0;
    r->info.state = state;
    r->cut =
        json_cut_new(list ? JSON_CUT_ITEMS : JSON_CUT_STREAM, OBJECT_BYTES, list ? on_listed : on_event, r);
    if (path && r->cut)
        r->request = kube_request_start(r->client, KUBE_GET, path, NULL, NULL, idle_ms, &request_ops, r);
    free(path);
    if (!r->request) {
        r->info.count.failures++;
        fail(r, "out of memory");
    }
}

/* The next page, or from the start when there is no token. */
static void begin_list(struct reflector *r)
{
    bool first = !r->token || r->info.state != REFLECTOR_LISTING || r->relist;
    if (first) {
        free(r->token);
        r->token = NULL;
        r->relist = false;
        *r->info.version = 0;
        r->info.count.lists++;
        r->ops->list_begin(r->arg, r->kind);
    }
    ask(r, REFLECTOR_LISTING,
        reflector_list_path(r->kind, r->field_selector, r->whole ? 0 : PAGE_OBJECTS, r->token),
        LIST_GRACES * r->times.grace_ms);
}

static void begin_watch(struct reflector *r)
{
    uint32_t ms = r->times.watch_ms + arc4random_uniform(r->times.watch_ms / 4 + 1);
    uint32_t timeout_s = (ms + 999) / 1000;
    r->info.count.watches++;
    ask(r, REFLECTOR_WATCHING, reflector_watch_path(r->kind, r->field_selector, r->info.version, timeout_s),
        timeout_s * 1000 + r->times.grace_ms);
}

/* From outside */

static struct reflector_times with_defaults(const struct reflector_times *t)
{
    struct reflector_times out = t ? *t : (struct reflector_times){0};
    out.retry_min_ms = out.retry_min_ms ? out.retry_min_ms : 500;
    out.retry_max_ms = out.retry_max_ms ? out.retry_max_ms : 30000;
    out.watch_ms = out.watch_ms ? out.watch_ms : 240000;
    out.grace_ms = out.grace_ms ? out.grace_ms : 15000;
    return out;
}

struct reflector *reflector_new(struct loop *l, struct kube_client *c, enum kube_kind kind,
                                const char *field_selector, const struct reflector_times *times,
                                const struct reflector_ops *ops, void *arg)
{
    struct reflector *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = l;
    r->client = c;
    r->kind = kind;
    r->times = with_defaults(times);
    r->ops = ops;
    r->arg = arg;
    r->timer = timer_new(l, on_timer, r);
    if (!r->timer || (field_selector && !(r->field_selector = strdup(field_selector)))) {
        reflector_free(r);
        return NULL;
    }
    return r;
}

void reflector_free(struct reflector *r)
{
    if (!r)
        return;
    kube_request_cancel(r->request);
    json_cut_free(r->cut);
    timer_free(r->timer);
    free(r->field_selector);
    free(r->token);
    free(r->body);
    free(r);
}

void reflector_start(struct reflector *r)
{
    if (r->info.state == REFLECTOR_IDLE)
        begin_list(r);
}

void reflector_hurry(struct reflector *r)
{
    if (r->info.state == REFLECTOR_WAITING && timer_remaining_ms(r->timer) > r->times.retry_min_ms)
        timer_set(r->timer, jittered(r->times.retry_min_ms));
}

void reflector_relist(struct reflector *r)
{
    if (r->info.state == REFLECTOR_IDLE)
        return;
    r->relist = true;
    if (r->inside)
        return;
    kube_request_cancel(r->request);
    r->request = NULL;
    timer_stop(r->timer);
    set_current(r, false);
    begin_list(r);
}

void reflector_info(const struct reflector *r, struct reflector_info *out)
{
    *out = r->info;
    out->retry_ms = r->info.state == REFLECTOR_WAITING ? (uint32_t)timer_remaining_ms(r->timer) : 0;
}
