/* The reflector over the real client and an HTTPS server in the same loop: a script says what the server
 * answers to each list and each watch, and the test reads what the reflector told, as a line of words. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/client.h"
#include "kube/reflector.h"
#include "kube_server.h"
#include "loop.h"
#include "unit.h"

static struct loop *loop;
static struct timer *stop;
static struct test_ca *ca;
static struct fake_server server;
static struct kube_client *client;
static struct reflector *reflector;

/* What the reflector told: "begin put:a@1 end current ". */
static char told[65536];
static const char *wanted; /* stop once it is in there */
static bool relist_at_put, relist_at_end;

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
    size_t n = strlen(told);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(told + n, sizeof told - n, fmt, ap);
    va_end(ap);
    if (wanted && strstr(told, wanted))
        loop_stop(loop, 0);
}

static struct reflector_info info(void)
{
    struct reflector_info i;
    reflector_info(reflector, &i);
    return i;
}

static void on_list_begin(void *arg, enum kube_kind kind)
{
    (void)arg, (void)kind;
    tell("begin ");
}

static void on_list_end(void *arg, enum kube_kind kind)
{
    (void)arg, (void)kind;
    tell("end ");
    if (relist_at_end)
        reflector_relist(reflector);
    relist_at_end = false;
}

static void tell_object(const char *what, const json_t *object)
{
    const json_t *m = json_object_get(object, "metadata");
    tell("%s:%s@%s ", what, json_string_value(json_object_get(m, "name")),
         json_string_value(json_object_get(m, "resourceVersion")));
}

static void on_put(void *arg, enum kube_kind kind, const json_t *object)
{
    (void)arg, (void)kind;
    tell_object("put", object);
    if (relist_at_put)
        reflector_relist(reflector);
    relist_at_put = false;
}

static void on_gone(void *arg, enum kube_kind kind, const json_t *object)
{
    (void)arg, (void)kind;
    tell_object("gone", object);
}

static void on_changed(void *arg, enum kube_kind kind)
{
    (void)arg, (void)kind;
    tell(info().current ? "current " : "failed ");
}
static const struct reflector_ops ops = {on_list_begin, on_list_end, on_put, on_gone, on_changed};

static void read_file(void *arg, const char *path,
                      void (*done)(void *done_arg, char *text, size_t len, int error), void *done_arg)
{
    (void)arg, (void)path;
    done(done_arg, NULL, 0, -ENOENT);
}
static const struct kube_client_ops client_ops = {read_file};

/* The server: answers in the order of the requests; the last one is repeated. */
struct answer {
    unsigned status;  /* 0: the text is all, head included */
    const char *text; /* of a list or an error; of a watch: chunks between newlines */
    enum { REPLY, WATCH_STAYS, WATCH_ENDS, WATCH_CUT, SILENT } how;
};
static const struct answer *script;
static unsigned n_script, n_asked;
static char asked[16][700]; /* the first lines */

static void on_request(struct fake_conn *c, const char *head)
{
    const struct answer *a = &script[n_asked < n_script ? n_asked : n_script - 1];
    if (n_asked < 16)
        snprintf(asked[n_asked], sizeof asked[0], "%.*s", (int)strcspn(head, "\r"), head);
    n_asked++;
    if (a->how == REPLY) {
        fake_reply(c, a->status, a->text);
        return;
    }
    if (a->how == SILENT)
        return;
    fake_chunked(c);
    for (const char *p = a->text; *p;) {
        size_t n = strcspn(p, "\n");
        fake_sayf(c, "%zx\r\n%.*s\n\r\n", n + 1, (int)n, p);
        p += n + (p[n] == '\n');
    }
    if (a->how == WATCH_ENDS)
        fake_sayf(c, "0\r\n\r\n");
    if (a->how != WATCH_STAYS)
        fake_cut(c);
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop, 0);
}

static void run_for(unsigned ms)
{
    timer_set(stop, ms);
    loop_run(loop);
    timer_stop(stop);
}

/* Until this was told, beyond what was told before. */
static void wait_for(const char *text)
{
    wanted = text;
    if (!strstr(told, text))
        run_for(30000);
    wanted = NULL;
    bool there = strstr(told, text);
    if (!there)
        printf("    wanted %s; told %s; error %s\n", text, told, info().error);
    CU_ASSERT(there);
}

static void expect(const char *text)
{
    wait_for(text);
    if (strcmp(told, text))
        printf("    wanted %s\n    told   %s\n", text, told);
    CU_ASSERT_STRING_EQUAL(told, text);
}

static void expect_error(const char *part)
{
    bool there = strstr(info().error, part);
    if (!there)
        printf("    error %s\n", info().error);
    CU_ASSERT(there);
}

static void begin_kind(enum kube_kind kind, const char *fields, const struct answer *answers, unsigned n,
                       const struct reflector_times *times)
{
    static const struct reflector_times quick = {.retry_min_ms = 5, .retry_max_ms = 40, .watch_ms = 60000};
    char url[64], *servers[] = {url};
    signal(SIGPIPE, SIG_IGN);
    *told = 0;
    n_asked = 0;
    memset(asked, 0, sizeof asked);
    script = answers;
    n_script = n;
    loop = loop_new();
    stop = timer_new(loop, stop_loop, NULL);
    ca = ca ? ca : test_ca_new();
    server.port = 0;
    fake_start(&server, loop, &(struct fake_options){.ca = ca, .request = on_request});
    CU_ASSERT_EQUAL_FATAL(kube_client_load(NULL), 0);
    client = kube_client_new(loop, &client_ops, NULL);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", server.port);
    struct kube_access a = {
        .servers = servers, .n_servers = 1, .ca.text = (char *)(uintptr_t)test_ca_pem(ca)};
    CU_ASSERT_EQUAL_FATAL(kube_client_set_access(client, &a), 0);
    reflector = reflector_new(loop, client, kind, fields, times ? times : &quick, &ops, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(reflector);
    CU_ASSERT_EQUAL(info().state, REFLECTOR_IDLE);
    reflector_start(reflector);
}
#define BEGIN(kind, fields, times, ...)                                                                      \
    static const struct answer answers[] = {__VA_ARGS__};                                                    \
    begin_kind(kind, fields, answers, sizeof answers / sizeof *answers, times)

static void end(void)
{
    reflector_free(reflector);
    kube_client_free(client);
    fake_stop(&server);
    timer_free(stop);
    loop_free(loop);
}

#define META(name, version) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, more, items)                                                                           \
    "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" more              \
    "\"},\"items\":[" items "]}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" META(name, version) "}\n"
#define STATUS(code, message)                                                                                \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"" message "\",\"code\":" #code "}"
#define STANDS                                                                                               \
    {                                                                                                        \
        200, "", WATCH_STAYS                                                                                 \
    }

static void a_list_is_followed_by_a_watch_from_its_version(void)
{
    BEGIN(
        KUBE_SERVICES, NULL, NULL, {200, LIST("7", "", META("a", "1") "," META("b", "2")), REPLY},
        {200, EVENT("ADDED", "c", "8") EVENT("MODIFIED", "a", "9") EVENT("DELETED", "b", "10"), WATCH_STAYS});
    expect("begin put:a@1 put:b@2 end current put:c@8 put:a@9 gone:b@10 ");
    struct reflector_info i = info();
    CU_ASSERT(i.current && i.listed && i.state == REFLECTOR_WATCHING && !i.attempts && !*i.error);
    CU_ASSERT(i.count.lists == 1 && i.count.watches == 1 && i.count.events == 3 && i.heard_ms);
    CU_ASSERT_STRING_EQUAL(i.version, "10");
    CU_ASSERT_STRING_EQUAL(
        asked[0], "GET /api/v1/services?limit=500&labelSelector=%21service.kubernetes.io%2Fheadless%2C"
                  "%21service.kubernetes.io%2Fservice-proxy-name HTTP/1.1");
    CU_ASSERT_EQUAL(
        strncmp(asked[1], "GET /api/v1/services?watch=true&allowWatchBookmarks=true&timeoutSeconds=", 72), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[1], "&resourceVersion=7&labelSelector=%21service.kub"));
    int seconds = atoi(asked[1] + 72);
    CU_ASSERT(seconds >= 60 && seconds <= 75);
    end();
}

static void a_node_is_chosen_by_its_name(void)
{
    BEGIN(KUBE_NODES, "metadata.name=n-1", NULL, {200, LIST("7", "", ""), REPLY}, STANDS);
    expect("begin end current ");
    CU_ASSERT_STRING_EQUAL(asked[0],
                           "GET /api/v1/nodes?limit=500&fieldSelector=metadata.name%3Dn-1 HTTP/1.1");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[1], "&resourceVersion=7&fieldSelector=metadata.name%3Dn-1 HTTP"));
    end();
}

static void pages_are_one_list(void)
{
    BEGIN(KUBE_SLICES, NULL, NULL, {200, LIST("7", "to/ken=", META("a", "1")), REPLY},
          {200, LIST("7", "2", META("b", "2")), REPLY}, {200, LIST("7", "", ""), REPLY}, STANDS);
    expect("begin put:a@1 put:b@2 end current ");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        asked[1], "GET /apis/discovery.k8s.io/v1/endpointslices?limit=500&continue=to%2Fken%3D&label"));
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[2], "&continue=2&"));
    CU_ASSERT_EQUAL(info().count.lists, 1);
    end();
}

static void bookmarks_move_the_version_and_are_no_objects(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", ""), REPLY},
          {200, EVENT("BOOKMARK", "", "20"), WATCH_CUT}, STANDS);
    expect("begin end current failed current ");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[2], "&resourceVersion=20"));
    CU_ASSERT(info().count.bookmarks == 1 && !info().count.events);
    end();
}

static void a_watch_that_is_cut_goes_on_from_the_last_version(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", META("a", "1")), REPLY},
          {200, EVENT("ADDED", "b", "8") "{\"type\":\"ADDED\",\"obj", WATCH_CUT},
          {200, EVENT("ADDED", "c", "9"), WATCH_STAYS});
    expect("begin put:a@1 end current put:b@8 failed current put:c@9 ");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[2], "watch=true"));
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[2], "&resourceVersion=8"));
    CU_ASSERT(info().count.failures == 1 && info().count.lists == 1);
    end();
}

static void a_watch_that_ends_in_the_midst_of_an_object_is_malformed(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", ""), REPLY}, {200, "{\"type\":", WATCH_ENDS},
          {503, "overloaded\nmore", REPLY});
    expect("begin end current failed ");
    expect_error("the watch ended in the midst of an object");
    CU_ASSERT(!info().current && info().current_until_ms && info().count.malformed == 1);
    expect("begin end current failed failed ");
    expect_error("the API server answers with an error (503): overloaded");
    CU_ASSERT_PTR_NULL(strstr(info().error, "more"));
    end();
}

static void a_watch_that_ends_as_it_should_is_resumed_at_once(void)
{
    static const struct reflector_times t = {.retry_min_ms = 1, .retry_max_ms = 60000};
    BEGIN(KUBE_NODES, NULL, &t, {200, LIST("7", "", ""), REPLY}, STANDS, STANDS);
    expect("begin end current ");
    run_for(10); /* longer than a watch that ends at once */
    fake_sayf(fake_last(&server), "0\r\n\r\n");
    for (unsigned i = 0; i < 2000 && n_asked < 3; i++)
        run_for(5);
    CU_ASSERT_EQUAL(n_asked, 3);
    CU_ASSERT(info().current && !info().count.failures);
    CU_ASSERT_STRING_EQUAL(told, "begin end current ");
    end();
}

static void a_server_that_ends_every_watch_is_asked_less_and_less(void)
{
    static const struct reflector_times t = {.retry_min_ms = 20, .retry_max_ms = 100000};
    BEGIN(KUBE_NODES, NULL, &t, {200, LIST("7", "", ""), REPLY}, {200, "", WATCH_ENDS});
    run_for(1500);
    CU_ASSERT(n_asked >= 2 && n_asked < 12); /* 20, 40 … ms, and half of it at least */
    CU_ASSERT(info().count.lists == 1);
    end();
}

static void who_waits_long_can_be_hurried(void)
{
    static const struct reflector_times t = {.retry_min_ms = 5, .retry_max_ms = 100000};
    BEGIN(KUBE_NODES, NULL, &t, {500, "", REPLY});
    for (unsigned i = 0; i < 2000 && info().retry_ms < 100; i++)
        run_for(1);
    CU_ASSERT(info().retry_ms >= 100);
    reflector_hurry(reflector);
    CU_ASSERT(info().state == REFLECTOR_WAITING && info().retry_ms <= 5);
    unsigned n = n_asked;
    for (unsigned i = 0; i < 2000 && n_asked == n; i++)
        run_for(5);
    CU_ASSERT(n_asked > n);
    end();
}

static void a_watch_that_stood_for_a_while_is_progress(void)
{
    static const struct reflector_times t = {.retry_min_ms = 20, .retry_max_ms = 100000};
    BEGIN(KUBE_NODES, NULL, &t, {200, LIST("7", "", ""), REPLY}, STANDS);
    char until[400] = "begin end current ";
    for (unsigned i = 0; i < 3; i++) {
        wait_for(until);
        run_for(250); /* ten waits are 200 */
        fake_cut(fake_last(&server));
        wait_for(strcat(until, "failed "));
        CU_ASSERT(info().state == REFLECTOR_WAITING && info().retry_ms <= 20);
        strcat(until, "current ");
    }
    CU_ASSERT_EQUAL(info().count.lists, 1);
    end();
}

static void an_expired_version_means_a_new_list_and_nothing_is_taken_away(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", META("a", "1")), REPLY},
          {200, "{\"type\":\"ERROR\",\"object\":" STATUS(410, "too old resource version") "}", WATCH_ENDS},
          {200, LIST("90", "", META("a", "1")), REPLY}, {410, STATUS(410, "Expired"), REPLY},
          {200, LIST("91", "", META("a", "1")), REPLY},
          {504, STATUS(504, "Timeout: Too large resource version: 91, current: 5"), REPLY},
          {200, LIST("5", "", META("a", "1")), REPLY}, STANDS);
    expect("begin put:a@1 end current failed begin put:a@1 end failed begin put:a@1 end failed begin put:a@1 "
           "end "
           "current ");
    CU_ASSERT_PTR_NULL(strstr(asked[2], "resourceVersion"));
    CU_ASSERT(info().count.gone == 3 && !info().count.failures && info().count.lists == 4);
    end();
}

static void a_list_that_expires_between_pages_begins_again_and_then_comes_whole(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "x", META("a", "1")), REPLY},
          {410, STATUS(410, "The provided continue parameter is too old"), REPLY},
          {200, LIST("8", "y", META("a", "1")), REPLY}, {410, STATUS(410, "Expired"), REPLY},
          {200, LIST("9", "", META("a", "1")), REPLY}, STANDS);
    expect("begin put:a@1 failed begin put:a@1 failed begin put:a@1 end current ");
    CU_ASSERT_STRING_EQUAL(asked[2], "GET /api/v1/nodes?limit=500 HTTP/1.1");
    CU_ASSERT_STRING_EQUAL(asked[4], "GET /api/v1/nodes?limit=0 HTTP/1.1");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[5], "resourceVersion=9"));
    end();
}

static void what_the_server_refuses_is_quoted_and_tried_again(void)
{
    BEGIN(KUBE_SLICES, NULL, NULL, {401, STATUS(401, "Unauthorized"), REPLY},
          {403, STATUS(403, "endpointslices is forbidden: User x cannot list"), REPLY},
          {404, STATUS(404, "not found"), REPLY}, {200, LIST("7", "", ""), REPLY},
          {403, STATUS(403, "cannot watch"), REPLY}, STANDS);
    wait_for("begin failed ");
    expect_error("our credentials are not accepted (401): Unauthorized");
    CU_ASSERT(info().state == REFLECTOR_WAITING && info().attempts == 1 && info().count.failures == 1);
    wait_for("begin failed begin failed ");
    expect_error("not allowed (403): endpointslices is forbidden: User x cannot list");
    wait_for("begin failed begin failed begin failed ");
    expect_error(
        "no EndpointSlices of discovery.k8s.io/v1: Kubernetes 1.21 or newer is needed (404): not found");
    wait_for("begin end failed ");
    expect_error("not allowed (403): cannot watch");
    CU_ASSERT(!info().current && info().listed && info().attempts == 4);
    wait_for("begin end failed current ");
    CU_ASSERT(!*info().error && !info().attempts);
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[5], "watch=true")); /* not a list again */
    end();
}

static void an_error_event_is_quoted_and_the_watch_goes_on(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", ""), REPLY},
          {200, EVENT("ADDED", "a", "8") "{\"type\":\"ERROR\",\"object\":" STATUS(500, "etcd is away") "}",
           WATCH_ENDS},
          STANDS);
    wait_for("begin end current put:a@8 failed ");
    expect_error("the API server ends the watch (500): etcd is away");
    wait_for("failed current ");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[2], "resourceVersion=8"));
    end();
}

static void what_is_malformed_is_counted_and_loses_nothing(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, "<html>", REPLY}, {200, "{\"items\":[{\"a\":tru}]}", REPLY},
          {200, "{\"items\":[]", REPLY}, {200, "{\"items\":[]}", REPLY}, {200, LIST("7", "", ""), REPLY},
          {200, EVENT("ADDED", "a", "8") "{\"type\":tru}\n", WATCH_STAYS},
          {200, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n", WATCH_STAYS},
          {200, "{\"type\":\"ADDED\"}\n", WATCH_STAYS}, {200, "]\n", WATCH_STAYS},
          {200, EVENT("ADDED", "b", "9"), WATCH_STAYS});
    wait_for("put:b@9 ");
    CU_ASSERT_STRING_EQUAL(told,
                           "begin failed begin failed begin failed begin failed begin end current put:a@8 "
                           "failed current failed current failed current failed current put:b@9 ");
    CU_ASSERT_EQUAL(info().count.malformed, 8);
    CU_ASSERT_EQUAL(info().count.lists, 5);
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[9], "resourceVersion=8"));
    end();
}

static char *huge;
static struct answer huge_answers[3];

static void an_object_above_the_limit_is_named_and_not_held(void)
{
    const size_t n = 5 << 20;
    huge = malloc(n + 64);
    memset(huge, 'x', n + 63);
    memcpy(huge, "{\"type\":\"", 9);
    huge[n] = 0;
    huge_answers[0] = (struct answer){200, LIST("7", "", ""), REPLY};
    huge_answers[1] = (struct answer){200, huge, WATCH_STAYS};
    huge_answers[2] = (struct answer){200, EVENT("ADDED", "a", "8"), WATCH_STAYS};
    begin_kind(KUBE_SLICES, NULL, huge_answers, 3, NULL);
    wait_for("begin end current failed ");
    expect_error("an object of endpointslices is larger than 4 MiB");
    wait_for("put:a@8 ");
    CU_ASSERT(info().count.malformed == 1 && info().count.lists == 1);
    end();
    free(huge);
}

static void a_silent_list_and_a_silent_watch_are_noticed(void)
{
    static const struct reflector_times t = {
        .retry_min_ms = 5, .retry_max_ms = 20, .watch_ms = 100, .grace_ms = 150};
    BEGIN(KUBE_NODES, NULL, &t, {200, "", SILENT}, {200, LIST("7", "", ""), REPLY}, STANDS);
    wait_for("begin failed ");
    expect_error("no answer for");
    CU_ASSERT_EQUAL(info().count.stalls, 0);
    wait_for("begin failed begin end current ");
    wait_for("current failed ");
    expect_error("no answer for");
    CU_ASSERT(info().count.stalls >= 1);
    wait_for("current failed current ");
    end();
}

static void a_relist_may_be_wanted_at_any_time(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "", META("a", "1")), REPLY},
          {200, LIST("8", "", META("b", "2")), REPLY}, {200, LIST("9", "", META("c", "3")), REPLY},
          {200, EVENT("ADDED", "d", "10"), WATCH_STAYS}, {200, LIST("11", "", ""), REPLY}, STANDS);
    relist_at_put = relist_at_end = true;
    expect("begin put:a@1 begin put:b@2 end begin put:c@3 end current put:d@10 ");
    reflector_relist(reflector);
    expect("begin put:a@1 begin put:b@2 end begin put:c@3 end current put:d@10 failed begin end current ");
    CU_ASSERT_PTR_NOT_NULL(strstr(asked[5], "resourceVersion=11"));
    end();
}

static void it_can_end_at_any_time(void)
{
    BEGIN(KUBE_NODES, NULL, NULL, {200, LIST("7", "x", META("a", "1")), REPLY},
          {200, LIST("7", "", ""), REPLY}, {200, EVENT("ADDED", "b", "8"), WATCH_CUT}, STANDS);
    end();
    static const char *const until[] = {"begin ",   "put:a@1 ", "end ",           "current ",
                                        "put:b@8 ", "failed ",  "failed current "};
    for (size_t i = 0; i < sizeof until / sizeof *until; i++) {
        begin_kind(KUBE_NODES, NULL, answers, 4, NULL);
        wait_for(until[i]);
        end();
    }
}

static const struct unit_case cases[] = {
    UNIT(a_list_is_followed_by_a_watch_from_its_version),
    UNIT(a_node_is_chosen_by_its_name),
    UNIT(pages_are_one_list),
    UNIT(bookmarks_move_the_version_and_are_no_objects),
    UNIT(a_watch_that_is_cut_goes_on_from_the_last_version),
    UNIT(a_watch_that_ends_in_the_midst_of_an_object_is_malformed),
    UNIT(a_watch_that_ends_as_it_should_is_resumed_at_once),
    UNIT(a_server_that_ends_every_watch_is_asked_less_and_less),
    UNIT(a_watch_that_stood_for_a_while_is_progress),
    UNIT(an_expired_version_means_a_new_list_and_nothing_is_taken_away),
    UNIT(a_list_that_expires_between_pages_begins_again_and_then_comes_whole),
    UNIT(what_the_server_refuses_is_quoted_and_tried_again),
    UNIT(an_error_event_is_quoted_and_the_watch_goes_on),
    UNIT(what_is_malformed_is_counted_and_loses_nothing),
    UNIT(who_waits_long_can_be_hurried),
    UNIT(an_object_above_the_limit_is_named_and_not_held),
    UNIT(a_silent_list_and_a_silent_watch_are_noticed),
    UNIT(a_relist_may_be_wanted_at_any_time),
    UNIT(it_can_end_at_any_time),
};
UNIT_MAIN("kube reflector", cases)
