/* The client against an HTTPS server in the same loop: what is verified, what is sent, how a body comes, and
 * how each thing that can go wrong is said. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/client.h"
#include "kube/request.h"
#include "kube_server.h"
#include "loop.h"
#include "unit.h"

static struct loop *loop;
static struct timer *stop;
static struct test_ca *ca, *other_ca;
static struct fake_server server;
static struct kube_client *client;
static struct kube_access access_now;

/* Files as the parent would give them. */
static struct file {
    const char *path, *text;
    int error;
    bool later; /* never answered by itself */
} files[4];
static void (*file_done)(void *arg, char *text, size_t len, int error);
static void *file_arg;
static unsigned n_read;

static void read_file(void *arg, const char *path,
                      void (*done)(void *done_arg, char *text, size_t len, int error), void *done_arg)
{
    (void)arg;
    n_read++;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i].path || strcmp(files[i].path, path))
            continue;
        if (files[i].later) {
            file_done = done;
            file_arg = done_arg;
            return;
        }
        done(done_arg, files[i].text ? strdup(files[i].text) : NULL,
             files[i].text ? strlen(files[i].text) : 0, files[i].error);
        return;
    }
    done(done_arg, NULL, 0, -ENOENT);
}
static const struct kube_client_ops client_ops = {read_file};

/* One request at a time. */
static struct kube_request *request;
static struct {
    unsigned status, pieces, largest;
    char body[70000];
    size_t len, total;
    int error, refuse;
    char why[512];
    bool done, returned, stop_at_status;
} got;

static void on_status(void *arg, unsigned status)
{
    (void)arg;
    CU_ASSERT_EQUAL(got.status, 0);
    got.status = status;
    if (got.stop_at_status)
        loop_stop(loop, 0);
}

static int on_data(void *arg, const char *data, size_t len)
{
    (void)arg;
    CU_ASSERT(got.status && len && !got.done);
    size_t n = len < sizeof got.body - 1 - got.len ? len : sizeof got.body - 1 - got.len;
    memcpy(got.body + got.len, data, n);
    got.len += n;
    got.total += len;
    got.pieces++;
    got.largest = len > got.largest ? (unsigned)len : got.largest;
    return got.refuse;
}

static void on_done(void *arg, int error, const char *why)
{
    (void)arg;
    CU_ASSERT(!got.done && got.returned);
    got.done = true;
    got.error = error;
    snprintf(got.why, sizeof got.why, "%s", why);
    request = NULL;
    loop_stop(loop, 0);
}
static const struct kube_request_ops request_ops = {on_status, on_data, on_done};

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

static void ask_as(enum kube_method method, const char *body, uint32_t idle_ms)
{
    memset(&got, 0, sizeof got);
    request = kube_request_start(client, method, "/api/v1/nodes?limit=500", body ? "application/json" : NULL,
                                 body, idle_ms, &request_ops, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    got.returned = true;
}

/* Until it is done. */
static void fetch_idle(uint32_t idle_ms)
{
    ask_as(KUBE_GET, NULL, idle_ms);
    run_for(60000);
    CU_ASSERT(got.done);
}

static void fetch(void)
{
    fetch_idle(20000);
}

static void expect_error(int error, const char *part)
{
    bool as_said = got.error == error && strstr(got.why, part);
    if (!as_said)
        printf("    error %d: %s\n", got.error, got.why);
    CU_ASSERT(as_said);
}

/* Servers and access */

static void answer_ok(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_reply(c, 200, "{\"kind\":\"NodeList\"}");
}

static void set_server(unsigned i, const char *host, uint16_t port)
{
    CU_ASSERT_FATAL(i <= access_now.n_servers);
    if (i == access_now.n_servers) {
        access_now.servers = realloc(access_now.servers, (i + 1) * sizeof *access_now.servers);
        access_now.servers[access_now.n_servers++] = NULL;
    }
    free(access_now.servers[i]);
    CU_ASSERT_FATAL(asprintf(&access_now.servers[i], "https://%s:%u", host, port) > 0);
}

static void set_text(char **where, const char *text)
{
    free(*where);
    *where = text ? strdup(text) : NULL;
}

static void apply(void)
{
    CU_ASSERT_EQUAL_FATAL(kube_client_set_access(client, &access_now), 0);
}

static void begin_with(const struct fake_options *o)
{
    struct fake_options with = *o;
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    stop = timer_new(loop, stop_loop, NULL);
    ca = ca ? ca : test_ca_new();
    other_ca = other_ca ? other_ca : test_ca_new();
    with.ca = with.ca ? with.ca : ca;
    with.request = with.request ? with.request : answer_ok;
    server.port = 0;
    fake_start(&server, loop, &with);
    CU_ASSERT_EQUAL_FATAL(kube_client_load(NULL), 0);
    client = kube_client_new(loop, &client_ops, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    memset(files, 0, sizeof files);
    n_read = 0;
    set_server(0, "127.0.0.1", server.port);
    set_text(&access_now.ca.text, test_ca_pem(ca));
    apply();
}

static void begin(void (*answer)(struct fake_conn *c, const char *head))
{
    begin_with(&(struct fake_options){.request = answer});
}

static void end(void)
{
    kube_request_cancel(request);
    request = NULL;
    run_for(1); /* a lookup that was cancelled ends */
    kube_client_free(client);
    kube_access_reset(&access_now);
    fake_stop(&server);
    timer_free(stop);
    loop_free(loop);
}

static void a_request_says_who_asks_and_gets_an_answer(void)
{
    char url[64], host[64];
    begin(NULL);
    CU_ASSERT_STRING_EQUAL(kube_client_server(client), "");
    set_text(&access_now.token.text, "abc.def");
    apply();
    fetch();
    CU_ASSERT(!got.error && got.status == 200);
    CU_ASSERT_STRING_EQUAL(got.body, "{\"kind\":\"NodeList\"}");
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "GET /api/v1/nodes?limit=500 HTTP/1.1\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "\r\nAuthorization: Bearer abc.def\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "\r\nUser-Agent: underlayd/" UNDERLAY_VERSION "\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "\r\nAccept: application/json\r\n"));
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", server.port);
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, host));
    snprintf(url, sizeof url, "https://127.0.0.1:%u", server.port);
    CU_ASSERT_STRING_EQUAL(kube_client_server(client), url);
    end();
}

static void a_patch_carries_its_body(void)
{
    begin(NULL);
    ask_as(KUBE_PATCH, "{\"spec\":{}}", 20000);
    run_for(60000);
    CU_ASSERT(!got.error && got.status == 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "PATCH /api/v1/nodes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        server.last_head, "\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"spec\":{}}"));
    end();
}

static void an_unknown_ca_is_refused(void)
{
    begin(NULL);
    set_text(&access_now.ca.text, test_ca_pem(other_ca));
    apply();
    fetch();
    expect_error(-EPROTO, "is not signed by the CA of the kubeconfig");
    expect_error(-EPROTO, "127.0.0.1:");
    CU_ASSERT_STRING_EQUAL(server.last_head, "");
    set_text(&access_now.ca.text, NULL);
    set_text(&access_now.ca.file, "/x/ca.crt");
    files[0] = (struct file){"/x/ca.crt", test_ca_pem(other_ca), 0, false};
    apply();
    fetch();
    expect_error(-EPROTO, "certificate is not signed by the CA in /x/ca.crt");
    end();
}

static void one_of_several_cas_will_do(void)
{
    char *both;
    begin(NULL);
    CU_ASSERT_FATAL(asprintf(&both, "# comment\n%s%s", test_ca_pem(other_ca), test_ca_pem(ca)) > 0);
    set_text(&access_now.ca.text, both);
    free(both);
    apply();
    fetch();
    CU_ASSERT_EQUAL(got.error, 0);
    end();
}

static void a_certificate_for_another_name_or_address_is_refused(void)
{
    begin_with(&(struct fake_options){.names = "IP:127.0.0.2,DNS:other.example"});
    fetch();
    expect_error(-EPROTO, "certificate is not for 127.0.0.1, only for 127.0.0.2, other.example");
    set_text(&access_now.tls_server_name, "127.0.0.2");
    apply();
    fetch();
    CU_ASSERT_EQUAL(got.error, 0);
    set_text(&access_now.tls_server_name, "other.example");
    apply();
    fetch();
    CU_ASSERT_EQUAL(got.error, 0);
    set_text(&access_now.tls_server_name, "example");
    apply();
    fetch();
    expect_error(-EPROTO, "certificate is not for example");
    end();
}

/* The common name is 127.0.0.1 in all of them. */
static void the_common_name_does_not_count(void)
{
    begin_with(&(struct fake_options){.names = "DNS:x.example"});
    fetch();
    expect_error(-EPROTO, "is not for 127.0.0.1");
    end();
}

static void the_names_of_a_certificate_are_quoted_as_far_as_there_is_room(void)
{
    char names[2000] = "IP:fd00::1";
    for (unsigned i = 0; i < 50; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), ",DNS:a%u.example.com", i);
    begin_with(&(struct fake_options){.names = names});
    fetch();
    expect_error(-EPROTO, "is not for 127.0.0.1, only for fd00::1, a0.example.com, a1.example.com");
    expect_error(-EPROTO, ".com ...");
    end();
    begin_with(&(struct fake_options){.names = "email:x@y.example"});
    fetch();
    expect_error(-EPROTO, "only for no name at all");
    end();
}

static void an_expired_certificate_is_refused(void)
{
    begin_with(&(struct fake_options){.days = -1});
    fetch();
    expect_error(-EPROTO, "has expired, or the clock of this node is wrong");
    end();
}

static void a_client_certificate_is_shown_where_one_is_demanded(void)
{
    for (int tls12 = 0; tls12 < 2; tls12++) {
        char *cert, *key;
        begin_with(&(struct fake_options){.clients = ca, .tls12 = tls12});
        fetch();
        CU_ASSERT(got.error < 0 && strstr(got.why, "client certificate"));
        test_ca_sign(ca, NULL, 1, &cert, &key);
        set_text(&access_now.cert.text, cert);
        set_text(&access_now.key.text, key);
        apply();
        fetch();
        CU_ASSERT_EQUAL(got.error, 0);
        free(cert);
        free(key);
        test_ca_sign(other_ca, NULL, 1, &cert, &key);
        set_text(&access_now.cert.text, cert);
        apply();
        fetch();
        expect_error(-EPROTO, "the client key is not that of the client certificate");
        set_text(&access_now.key.text, key);
        apply();
        fetch();
        CU_ASSERT(got.error < 0 && strstr(got.why, "refuses our client certificate"));
        free(cert);
        free(key);
        end();
    }
}

static void credentials_that_are_none_are_said_so(void)
{
    begin(NULL);
    set_text(&access_now.ca.text, "hello");
    apply();
    fetch();
    expect_error(-EPROTO, "the CA has no PEM certificate");
    set_text(&access_now.ca.text, test_ca_pem(ca));
    set_text(&access_now.cert.text, "hello");
    set_text(&access_now.key.text, "hello");
    apply();
    fetch();
    expect_error(-EPROTO, "the client certificate is no PEM certificate");
    set_text(&access_now.cert.text, test_ca_pem(ca));
    apply();
    fetch();
    expect_error(-EPROTO, "the client key is no PEM private key without a password");
    end();
}

static void a_token_file_is_read_for_every_request(void)
{
    begin(NULL);
    set_text(&access_now.token.file, "/x/token");
    files[0] = (struct file){"/x/token", "first\n", 0, false};
    apply();
    fetch();
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "Bearer first\r\n"));
    files[0].text = "second\r\nX-Evil: yes";
    fetch();
    CU_ASSERT_PTR_NOT_NULL(strstr(server.last_head, "Bearer second\r\n"));
    CU_ASSERT_PTR_NULL(strstr(server.last_head, "Evil"));
    files[0] = (struct file){"/x/token", NULL, -EACCES, false};
    fetch();
    expect_error(-EACCES, "/x/token: Permission denied");
    files[0] = (struct file){"/x/token", NULL, -ENOKEY, false};
    fetch();
    expect_error(-ENOKEY, "/x/token: was not named when the daemon started; restart it");
    files[0] = (struct file){"/x/token", " \n", 0, false};
    fetch();
    expect_error(-EINVAL, "/x/token: there is no token in it");
    CU_ASSERT_EQUAL(n_read, 5);
    end();
}

static void a_file_may_come_late_or_after_a_cancel(void)
{
    begin(NULL);
    set_text(&access_now.token.file, "/x/token");
    files[0] = (struct file){"/x/token", "t", 0, true};
    apply();
    ask_as(KUBE_GET, NULL, 20000);
    run_for(5);
    CU_ASSERT(file_done && !got.done);
    file_done(file_arg, strdup("late"), 4, 0);
    run_for(60000);
    CU_ASSERT(got.done && !got.error && strstr(server.last_head, "Bearer late\r\n"));
    ask_as(KUBE_GET, NULL, 20000);
    run_for(5);
    kube_request_cancel(request);
    request = NULL;
    file_done(file_arg, strdup("later"), 5, 0);
    ask_as(KUBE_GET, NULL, 50);
    run_for(60000);
    expect_error(-ETIMEDOUT, "the files of the credentials cannot be read");
    file_done(file_arg, NULL, 0, -EIO);
    end();
}

static void servers_are_tried_in_turn_and_the_one_that_did_is_first_next_time(void)
{
    struct fake_server second = {0};
    char url[64];
    begin(NULL);
    fake_start(&second, loop, &(struct fake_options){.ca = ca, .request = answer_ok});
    set_server(1, "127.0.0.1", second.port);
    apply();
    fake_stop(&server);
    fetch();
    CU_ASSERT(!got.error && second.accepted == 1);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", second.port);
    CU_ASSERT_STRING_EQUAL(kube_client_server(client), url);
    fake_start(&server, loop, &(struct fake_options){.ca = ca, .request = answer_ok});
    fetch();
    CU_ASSERT(!got.error && second.accepted == 2 && !server.accepted);
    kube_client_next_server(client);
    fetch();
    CU_ASSERT(!got.error && second.accepted == 2 && server.accepted == 1);
    fake_stop(&server);
    fake_stop(&second);
    fetch();
    expect_error(-ECONNREFUSED, "connection refused; 127.0.0.1:");
    end();
}

static void answer_never(struct fake_conn *c, const char *head)
{
    (void)c, (void)head;
}

static void a_server_that_goes_silent_is_given_up_and_the_next_is_asked_first(void)
{
    struct fake_server second = {0};
    begin(answer_never);
    fake_start(&second, loop, &(struct fake_options){.ca = ca, .request = answer_ok});
    set_server(1, "127.0.0.1", second.port);
    apply();
    fetch_idle(1000);
    expect_error(-ETIMEDOUT, "no answer for 1 s");
    fetch_idle(1000 * UNIT_SLOW);
    CU_ASSERT_EQUAL(got.error, 0);
    fake_stop(&second);
    end();
}

static void answer_unavailable(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_reply(c, 503, "etcd is away");
}

static void a_server_that_answers_with_an_error_of_its_own_is_not_asked_first_again(void)
{
    struct fake_server second = {0};
    begin(answer_unavailable);
    fake_start(&second, loop, &(struct fake_options){.ca = ca, .request = answer_ok});
    set_server(1, "127.0.0.1", second.port);
    apply();
    fetch();
    CU_ASSERT(!got.error && got.status == 503);
    fetch();
    CU_ASSERT(!got.error && got.status == 200);
    fake_stop(&second);
    end();
}

static void a_server_that_does_not_shake_hands_is_given_up(void)
{
    begin(NULL);
    fake_deaf(&server, true);
    fetch_idle(300);
    expect_error(-ETIMEDOUT, "no answer for");
    end();
}

/* The socket of an API server that starts listens long before anybody accepts. */
static void a_server_may_take_its_time_to_accept(void)
{
    begin(NULL);
    fake_deaf(&server, true);
    ask_as(KUBE_GET, NULL, 20000);
    run_for(100);
    CU_ASSERT(!got.done);
    fake_deaf(&server, false);
    run_for(60000);
    CU_ASSERT(got.done && !got.error && got.status == 200);
    end();
}

static void what_does_not_speak_tls_or_an_old_one_is_said_so(void)
{
    begin_with(&(struct fake_options){.plain = true});
    fetch();
    expect_error(-EPROTO, "does not speak TLS");
    end();
    begin_with(&(struct fake_options){.tls11 = true});
    fetch();
    expect_error(-EPROTO, "does not speak TLS 1.2 or newer");
    end();
}

/* Whether localhost is ::1 too, in /etc/hosts of this machine. */
static bool localhost_is_both(void)
{
    const struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    bool both = !getaddrinfo("localhost", NULL, &hints, &list);
    if (list)
        freeaddrinfo(list);
    return both;
}

static void a_host_name_is_looked_up_and_each_address_tried(void)
{
    char url[64];
    for (int ipv6 = 0; ipv6 < 1 + localhost_is_both(); ipv6++) {
        begin_with(&(struct fake_options){.names = "DNS:localhost", .ipv6 = ipv6});
        set_server(0, "localhost", server.port);
        apply();
        fetch();
        CU_ASSERT_EQUAL(got.error, 0);
        if (got.error)
            printf("    %s\n", got.why);
        snprintf(url, sizeof url, "https://localhost:%u", server.port);
        CU_ASSERT_STRING_EQUAL(kube_client_server(client), url);
        fake_stop(&server);
        fetch();
        expect_error(-ECONNREFUSED, "(127.0.0.1): connection refused");
        end();
    }
}

static void a_lookup_may_be_cancelled(void)
{
    begin(NULL);
    set_server(0, "no-such-host.invalid", 6443);
    apply();
    ask_as(KUBE_GET, NULL, 20000);
    run_for(20);
    end();
}

/* Bodies */

static void answer_chunked(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_chunked(c);
    fake_chunk(c, "one ");
    fake_chunk(c, "two");
    fake_sayf(c, "0\r\n\r\n");
}

static void a_chunked_body_ends_with_its_last_chunk(void)
{
    begin(answer_chunked);
    fetch();
    CU_ASSERT_EQUAL(got.error, 0);
    CU_ASSERT_STRING_EQUAL(got.body, "one two");
    end();
}

static const char *slow_text;
static struct task *slow_task;
static bool slow_step(void *arg)
{
    struct fake_conn *c = fake_last(&server);
    (void)arg;
    if (!c)
        return false;
    if (!*slow_text) {
        fake_close(c);
        return false;
    }
    fake_say(c, slow_text++, 1);
    return true;
}

static void answer_slowly(struct fake_conn *c, const char *head)
{
    (void)c, (void)head;
    task_wake(slow_task);
}

static void a_body_may_come_byte_by_byte(void)
{
    begin(answer_slowly);
    slow_task = task_new(loop, slow_step, NULL);
    slow_text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "5\r\nhello\r\n1;x\r\n!\r\n0\r\nTrailer: y\r\n\r\n";
    fetch();
    CU_ASSERT_EQUAL(got.error, 0);
    CU_ASSERT_STRING_EQUAL(got.body, "hello!");
    end();
    task_free(slow_task);
}

static void answer_until_close(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "HTTP/1.0 403 Forbidden\r\n\r\nno");
    fake_close(c);
}

static void a_body_without_length_ends_with_the_connection(void)
{
    begin(answer_until_close);
    fetch();
    CU_ASSERT(!got.error && got.status == 403);
    CU_ASSERT_STRING_EQUAL(got.body, "no");
    end();
}

static void answer_cut(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_chunked(c);
    fake_sayf(c, "FF\r\n{\"a");
    fake_cut(c);
}

static void answer_cut_without_length(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "HTTP/1.1 200 OK\r\n\r\n{\"a");
    fake_cut(c);
}

static void answer_closed(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_close(c);
}

static void a_cut_body_is_an_error_and_what_came_was_given(void)
{
    begin(answer_cut);
    fetch();
    expect_error(-ECONNRESET, "cut off in the midst of the answer");
    CU_ASSERT_STRING_EQUAL(got.body, "{\"a");
    end();
    begin(answer_cut_without_length); /* without TLS's goodbye nobody knows that this is all */
    fetch();
    expect_error(-ECONNRESET, "cut off in the midst of the answer");
    end();
    begin(answer_closed);
    fetch();
    expect_error(-ECONNRESET, "closed the connection without an answer");
    end();
}

static const char *bad_head;
static void answer_bad_head(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "%s", bad_head);
    fake_close(c);
}

static void an_answer_that_is_not_http_is_said_so(void)
{
    static const char *const heads[][2] = {
        {"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP/1.1"},
        {"HTTP/2 200\r\n\r\n", "the answer is not HTTP/1.1"},
        {"HTTP/1.1 20 OK\r\n\r\n", "the answer is not HTTP/1.1"},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "no sound Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "no sound Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "no sound Content-Length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding other than chunked"},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "compressed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no sound size of a chunk"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer than it says"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12345678901234567890\r\n", "no sound size"},
    };
    begin(answer_bad_head);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        bad_head = heads[i][0];
        fetch();
        expect_error(-EPROTO, heads[i][1]);
    }
    end();
}

static bool endless(void *arg)
{
    static const char field[] = "X-Filler: 0123456789012345678901234567890123456789\r\n";
    struct fake_conn *c = fake_last(&server);
    (void)arg;
    if (c)
        fake_say(c, field, sizeof field - 1);
    return c;
}

static struct task *endless_task;
static void answer_endless(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "HTTP/1.1 200 OK\r\n");
    task_wake(endless_task);
}

static void answer_long_line(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "HTTP/1.1 200 OK\r\nX: %05000d\r\n\r\n", 0);
}

static void a_huge_head_is_refused(void)
{
    begin(answer_endless);
    endless_task = task_new(loop, endless, NULL);
    fetch();
    expect_error(-EPROTO, "the head of the answer is too large");
    CU_ASSERT_EQUAL(got.status, 0);
    end();
    task_free(endless_task);
    begin(answer_long_line);
    fetch();
    expect_error(-EPROTO, "the head of the answer is too large");
    end();
}

#define LARGE (20u << 20)
static char filler[1 << 16];
static void answer_large(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_sayf(c, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", LARGE);
    for (unsigned i = 0; i < LARGE / sizeof filler; i++)
        fake_say(c, filler, sizeof filler);
}

static void a_large_body_comes_in_small_pieces(void)
{
    begin(answer_large);
    fetch();
    CU_ASSERT(!got.error && got.total == LARGE && got.largest <= 65536);
    end();
}

/* Which says nothing against the server. */
static void who_gets_the_data_can_stop(void)
{
    begin(answer_large);
    set_server(1, "127.0.0.1", 1); /* nobody is there */
    apply();
    for (unsigned i = 1; i <= 2; i++) {
        ask_as(KUBE_GET, NULL, 20000);
        got.refuse = -ENOSPC;
        run_for(60000);
        CU_ASSERT(got.done && got.error == -ENOSPC && got.pieces == 1);
        CU_ASSERT_EQUAL(client->first, 0);
    }
    end();
}

static void answer_watch(struct fake_conn *c, const char *head)
{
    (void)head;
    fake_chunked(c);
}

static void a_cancel_in_the_midst_closes_the_connection(void)
{
    begin(answer_watch);
    ask_as(KUBE_GET, NULL, 20000);
    got.stop_at_status = true;
    run_for(60000);
    CU_ASSERT_FATAL(got.status == 200 && server.open == 1);
    kube_request_cancel(request);
    request = NULL;
    for (unsigned i = 0; i < 1000 && server.open; i++)
        run_for(5);
    CU_ASSERT(!server.open && !got.done);
    end();
}

static void a_request_goes_on_with_the_access_that_it_began_with(void)
{
    begin(answer_watch);
    ask_as(KUBE_GET, NULL, 20000);
    got.stop_at_status = true;
    run_for(60000);
    set_text(&access_now.ca.text, test_ca_pem(other_ca));
    apply();
    fake_sayf(fake_last(&server), "2\r\n{}\r\n0\r\n\r\n");
    run_for(60000);
    CU_ASSERT(got.done && !got.error);
    fetch();
    expect_error(-EPROTO, "is not signed");
    end();
}

static const struct unit_case cases[] = {
    UNIT(a_request_says_who_asks_and_gets_an_answer),
    UNIT(a_patch_carries_its_body),
    UNIT(an_unknown_ca_is_refused),
    UNIT(one_of_several_cas_will_do),
    UNIT(a_certificate_for_another_name_or_address_is_refused),
    UNIT(the_common_name_does_not_count),
    UNIT(the_names_of_a_certificate_are_quoted_as_far_as_there_is_room),
    UNIT(an_expired_certificate_is_refused),
    UNIT(a_client_certificate_is_shown_where_one_is_demanded),
    UNIT(credentials_that_are_none_are_said_so),
    UNIT(a_token_file_is_read_for_every_request),
    UNIT(a_file_may_come_late_or_after_a_cancel),
    UNIT(servers_are_tried_in_turn_and_the_one_that_did_is_first_next_time),
    UNIT(a_server_that_goes_silent_is_given_up_and_the_next_is_asked_first),
    UNIT(a_server_that_answers_with_an_error_of_its_own_is_not_asked_first_again),
    UNIT(a_server_that_does_not_shake_hands_is_given_up),
    UNIT(a_server_may_take_its_time_to_accept),
    UNIT(what_does_not_speak_tls_or_an_old_one_is_said_so),
    UNIT(a_host_name_is_looked_up_and_each_address_tried),
    UNIT(a_lookup_may_be_cancelled),
    UNIT(a_chunked_body_ends_with_its_last_chunk),
    UNIT(a_body_may_come_byte_by_byte),
    UNIT(a_body_without_length_ends_with_the_connection),
    UNIT(a_cut_body_is_an_error_and_what_came_was_given),
    UNIT(an_answer_that_is_not_http_is_said_so),
    UNIT(a_huge_head_is_refused),
    UNIT(a_large_body_comes_in_small_pieces),
    UNIT(who_gets_the_data_can_stop),
    UNIT(a_cancel_in_the_midst_closes_the_connection),
    UNIT(a_request_goes_on_with_the_access_that_it_began_with),
};
UNIT_MAIN("kube client", cases)
