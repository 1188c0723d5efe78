/* The control socket: framing, split and wrong requests, pausing, the limit of clients. Commands are carried
 * out by a fake that is linked in place of exec.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control.h"
#include "control/exec.h"
#include "control/state.h"
#include "handover.h"
#include "loop.h"
#include "speaker.h"
#include "unit.h"

#define BIG_STEPS 40
#define BIG_BYTES 100000

/* The fakes. */

static unsigned steps, ended, big;
static bool over;
static struct exec *waiting;

bool speaker_handover_is_over(const struct speaker *s)
{
    (void)s;
    return over;
}

enum exec_result exec_step(struct exec *e)
{
    static char chunk[BIG_BYTES + 1];
    steps++;
    switch (e->cmd->row->id) {
    case CMD_SHOW_VERSION:
        writer_text(e->w, "text\n");
        writer_object(e->w, NULL);
        writer_end(e->w);
        return EXEC_DONE;
    case CMD_SHOW_MEMORY:
        memset(chunk, 'x', BIG_BYTES);
        writer_text(e->w, "%s", chunk);
        return ++big == BIG_STEPS ? EXEC_DONE : EXEC_MORE;
    case CMD_RELOAD:
        if (waiting == e)
            return EXEC_DONE;
        waiting = e;
        return EXEC_WAIT;
    default:
        e->status = STATUS_REFUSED;
        e->error = strdup("no");
        return EXEC_DONE;
    }
}

void exec_end(struct exec *e)
{
    ended++;
    free(e->error);
    if (waiting == e)
        waiting = NULL;
}

struct state *state_new(struct speaker *s, const struct grammar *g)
{
    (void)g;
    return (struct state *)s;
}
void state_free(struct state *st)
{
    (void)st;
}
void state_load(struct state *st)
{
    (void)st;
}
void state_changed(struct state *st)
{
    (void)st;
}
void state_flush(struct state *st, void (*done)(void *arg), void *arg)
{
    (void)st;
    done(arg);
}

/* The fixture: a control socket of its own, and clients on it. */

static struct speaker speaker;
static struct control *control;
static struct timer *stop;
static char dir[64], path[96];

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void turn(unsigned ms)
{
    uint64_t starved = unit_starved_ms();
    for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved)) {
        timer_set(stop, ms);
        loop_run(speaker.loop);
    }
}

static void begin(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    steps = ended = big = 0;
    waiting = NULL;
    CU_ASSERT_EQUAL_FATAL(unit_make_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/s", dir);
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 64), 0);
    speaker = (struct speaker){.loop = loop_new()};
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    control = control_new(&speaker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(control);
    CU_ASSERT_EQUAL_FATAL(control_listen(control, fd), 0);
    control_serve(control);
}

static void end(void)
{
    control_free(control);
    timer_free(stop);
    loop_free(speaker.loop);
    unlink(path);
    rmdir(dir);
}

static int client(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything that is there to read now. Returns -1 at the end of the connection with nothing read. */
static ssize_t hear(int fd, char *buf, size_t size)
{
    ssize_t n, all = 0;
    while ((n = recv(fd, buf + all, size - 1 - (size_t)all, 0)) > 0)
        all += n;
    buf[all] = 0;
    return !all && n == 0 ? -1 : all;
}

static void expect(int fd, const char *answer)
{
    char buf[4096];
    hear(fd, buf, sizeof buf);
    if (strcmp(buf, answer))
        printf("      got: %s\n", buf);
    CU_ASSERT_STRING_EQUAL(buf, answer);
}

static void answers_are_frames_that_end_with_a_status(void)
{
    begin();
    int fd = client();
    say(fd, "text show version\n");
    turn(20);
    expect(fd, "5\ntext\n0 0\n");
    say(fd, "json show version\n");
    turn(20);
    expect(fd, "3\n{}\n0 0\n");
    say(fd, "text show version json\n");
    turn(20);
    expect(fd, "3\n{}\n0 0\n");
    say(fd, "text clear bgp *\n");
    turn(20);
    expect(fd, "2 1\nno");
    CU_ASSERT_EQUAL(ended, 4);
    close(fd);
    end();
}

static void a_request_may_come_byte_by_byte(void)
{
    begin();
    int fd = client();
    for (const char *p = "text sh ver\r\n"; *p; p++) {
        say(fd, (char[]){*p, 0});
        turn(2);
    }
    turn(20);
    expect(fd, "5\ntext\n0 0\n");
    close(fd);
    end();
}

static void pipelined_requests_are_answered_in_order(void)
{
    begin();
    int fd = client();
    say(fd, "text show version\ntext clear bgp *\njson show version\n");
    turn(20);
    expect(fd, "5\ntext\n0 0\n2 1\nno3\n{}\n0 0\n");
    close(fd);
    end();
}

static void nothing_is_done_after_a_hand_over(void)
{
    begin();
    int fd = client();
    over = true;
    say(fd, "text show version\ntext restart\n");
    turn(20);
    expect(fd, "35 1\nthe daemon is restarting; ask again2 1\nno");
    CU_ASSERT_EQUAL(steps, 1);
    over = false;
    close(fd);
    end();
}

static void a_client_that_only_closes_its_side_still_gets_answers(void)
{
    char buf[64];
    begin();
    int fd = client();
    say(fd, "text show version\ntext show version\n");
    shutdown(fd, SHUT_WR);
    turn(20);
    expect(fd, "5\ntext\n0 0\n5\ntext\n0 0\n");
    CU_ASSERT_EQUAL(hear(fd, buf, sizeof buf), -1);
    close(fd);
    end();
}

static void wrong_requests_are_usage_errors(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } rows[] = {
        {"\n", 1, "a request is"},
        {"show version\n", 13, "a request is"},
        {"xml show version\n", 17, "a request is"},
        {"text\n", 5, "a request is"},
        {"text \n", 6, "no command"},
        {"text shwo version\n", 18, "did you mean `show`?"},
        {"text show\0version\n", 18, "control characters"},
        {"text show \x1b[2J\n", 15, "control characters"},
        {"text show \x7f\n", 12, "control characters"},
        {"json \xff\xfe\xfd\n", 9, "unknown word `???`"},
        {"\0\0\0\0\n", 5, "control characters"},
    };
    begin();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[1024], *space;
        int fd = client();
        CU_ASSERT_EQUAL(send(fd, rows[i].bytes, rows[i].n, 0), (ssize_t)rows[i].n);
        turn(5);
        hear(fd, buf, sizeof buf);
        space = strchr(buf, ' ');
        if (!strstr(buf, rows[i].says))
            printf("      %u: %s\n", i, buf);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf, rows[i].says));
        CU_ASSERT_TRUE(space && space[1] == '2' && space[2] == '\n');
        say(fd, "text show version\n"); /* and it goes on */
        turn(5);
        expect(fd, "5\ntext\n0 0\n");
        close(fd);
    }
    CU_ASSERT_EQUAL(steps, sizeof rows / sizeof *rows);
    end();
}

static void a_request_beyond_1_mib_is_refused_and_the_client_closed(void)
{
    static char chunk[65536];
    char buf[4096];
    size_t sent = 0;
    begin();
    memset(chunk, 'x', sizeof chunk);
    int fd = client();
    for (unsigned i = 0; i < 200 && sent < 2 * CONTROL_REQUEST_MAX; i++) {
        ssize_t n = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        sent += n > 0 ? (size_t)n : 0;
        turn(2);
    }
    turn(20);
    hear(fd, buf, sizeof buf);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "longer than 1 MiB"));
    CU_ASSERT_EQUAL(hear(fd, buf, sizeof buf), -1);
    CU_ASSERT_TRUE(sent <= CONTROL_REQUEST_MAX + (1u << 20));
    close(fd);
    end();
}

static void a_client_that_does_not_read_is_paused_and_loses_nothing(void)
{
    static char buf[65536];
    size_t all = 0;
    begin();
    int fd = client(), other = client();
    say(fd, "text show memory\n");
    turn(50);
    unsigned before = steps;
    CU_ASSERT_TRUE(before < BIG_STEPS); /* stopped long before the end */
    turn(50);
    CU_ASSERT_EQUAL(steps, before);
    say(other, "text show version\n"); /* and nobody else waits */
    turn(20);
    expect(other, "5\ntext\n0 0\n");
    for (unsigned i = 0; i < 2000; i++) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n > 0) {
            all += (size_t)n;
            if (n >= 4 && !memcmp(buf + n - 4, "0 0\n", 4))
                break;
        } else {
            turn(1);
        }
    }
    CU_ASSERT_EQUAL(steps, BIG_STEPS + 1);
    CU_ASSERT_EQUAL(all, BIG_STEPS * (BIG_BYTES + 7) + 4); /* "100000\n" before each */
    close(fd);
    close(other);
    end();
}

static void waiting_for_an_event_costs_no_turns(void)
{
    begin();
    int fd = client();
    say(fd, "text reload\n");
    turn(20);
    CU_ASSERT_EQUAL(steps, 1);
    expect(fd, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(waiting);
    waiting->wake(waiting->wake_arg);
    turn(20);
    CU_ASSERT_EQUAL(steps, 2);
    expect(fd, "0 0\n");
    close(fd);
    end();
}

static void a_client_that_vanishes_ends_its_request(void)
{
    begin();
    int fd = client();
    say(fd, "text show memory\n");
    turn(20);
    close(fd);
    turn(20);
    CU_ASSERT_EQUAL(ended, 1);
    CU_ASSERT_TRUE(steps < BIG_STEPS);
    end();
}

static void stopping_with_open_requests_frees_them(void)
{
    begin();
    int fd = client();
    say(fd, "text reload\n");
    turn(20);
    end();
    CU_ASSERT_EQUAL(ended, 1);
    close(fd);
}

static void the_33rd_client_is_told_so(void)
{
    int fds[33];
    char buf[256];
    begin();
    for (unsigned i = 0; i < 33; i++) {
        fds[i] = client();
        turn(2);
    }
    hear(fds[32], buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "33 1\ntoo many clients (32 at the most)");
    CU_ASSERT_EQUAL(hear(fds[32], buf, sizeof buf), -1);
    say(fds[0], "text show version\n");
    turn(20);
    expect(fds[0], "5\ntext\n0 0\n");
    close(fds[5]); /* a place is free again */
    turn(10);
    close(fds[32]);
    fds[32] = client();
    say(fds[32], "text show version\n");
    turn(20);
    expect(fds[32], "5\ntext\n0 0\n");
    for (unsigned i = 0; i < 33; i++)
        if (i != 5)
            close(fds[i]);
    end();
}

static uint64_t callbacks(void)
{
    struct loop_stats st;
    loop_stats(speaker.loop, &st);
    return st.callbacks;
}

static void without_descriptors_clients_wait_and_the_loop_sleeps(void)
{
    struct rlimit before, low;
    begin();
    int fd = client();
    say(fd, "text show version\n");
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)fd + 1, before.rlim_max};
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &low), 0);
    uint64_t count = callbacks();
    turn(200);
    CU_ASSERT_TRUE(callbacks() - count < 20);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(fd, "");
    turn(1000);
    expect(fd, "5\ntext\n0 0\n");
    close(fd);
    end();
}

static const struct unit_case cases[] = {
    UNIT(answers_are_frames_that_end_with_a_status),
    UNIT(a_request_may_come_byte_by_byte),
    UNIT(pipelined_requests_are_answered_in_order),
    UNIT(a_client_that_only_closes_its_side_still_gets_answers),
    UNIT(wrong_requests_are_usage_errors),
    UNIT(a_request_beyond_1_mib_is_refused_and_the_client_closed),
    UNIT(a_client_that_does_not_read_is_paused_and_loses_nothing),
    UNIT(waiting_for_an_event_costs_no_turns),
    UNIT(a_client_that_vanishes_ends_its_request),
    UNIT(nothing_is_done_after_a_hand_over),
    UNIT(stopping_with_open_requests_frees_them),
    UNIT(the_33rd_client_is_told_so),
    UNIT(without_descriptors_clients_wait_and_the_loop_sleeps),
};
UNIT_MAIN("control", cases)
