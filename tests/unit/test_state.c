/* The state file: what is read, what is written, debounced and in one piece. The parent is a fake that hands
 * out temporary files; commands are carried out by a fake too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/exec.h"
#include "control/state.h"
#include "drain.h"
#include "fibclient.h"
#include "loop.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"
#include "unit.h"

static struct speaker speaker;
static struct grammar *grammar;
static struct state *state;
static struct timer *stop;
static const char *content; /* of the file to read, NULL: there is none */
static unsigned executed, loaded, opened, committed;
static int written_fd, commit_error;
static char last[512];

enum exec_result exec_step(struct exec *e)
{
    snprintf(last, sizeof last, "%s", e->cmd->words[1].value);
    executed++;
    state_changed(state); /* as the real ones do: must not write what is being read */
    return EXEC_DONE;
}
void exec_end(struct exec *e)
{
    (void)e;
}
void speaker_state_loaded(struct speaker *s)
{
    (void)s;
    loaded++;
}
void sources_each_command(const struct sources *s, void (*cb)(void *arg, const char *line), void *arg)
{
    (void)s;
    cb(arg, "advertise 192.0.2.1/32 med 5");
}
static const char *restored; /* the line that is the drain's */
bool drain_restore(struct drain *d, const char *line)
{
    (void)d;
    return restored && !strcmp(line, restored);
}
void drain_save(const struct drain *d, FILE *f)
{
    (void)d;
    fputs("drain-of this 5\n", f);
}
unsigned peer_set_count(const struct peer_set *ps)
{
    (void)ps;
    return 2;
}
struct peer *peer_set_at(const struct peer_set *ps, unsigned i)
{
    (void)ps;
    return (struct peer *)(uintptr_t)(i + 1);
}
const char *peer_name(const struct peer *p)
{
    (void)p;
    return "10.0.0.1";
}
bool peer_is_shutdown(const struct peer *p, const char **message)
{
    *message = "back soon";
    return (uintptr_t)p == 1;
}
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c;
    CU_ASSERT_EQUAL(role, FM_ROLE_STATE);
    int fd = memfd_create("state", 0);
    if (index == 1) {
        opened++;
        written_fd = dup(fd);
        cb(arg, fd, 0);
    } else if (!content) {
        close(fd);
        cb(arg, -1, -ENOENT);
    } else {
        CU_ASSERT_EQUAL(write(fd, content, strlen(content)), (ssize_t)strlen(content));
        lseek(fd, 0, SEEK_SET);
        cb(arg, fd, 0);
    }
    return 0;
}
int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    (void)c;
    CU_ASSERT_EQUAL(role, FM_ROLE_STATE);
    committed++;
    cb(arg, -1, commit_error);
    return 0;
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}
static void turn(unsigned ms)
{
    timer_set(stop, ms);
    loop_run(speaker.loop);
}
static bool change_before_load;

static void begin(const char *file)
{
    executed = loaded = opened = committed = 0;
    commit_error = 0;
    content = file;
    written_fd = -1;
    speaker = (struct speaker){.loop = loop_new()};
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    grammar = grammar_new();
    state = state_new(&speaker, grammar);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    if (change_before_load) {
        state_changed(state);
        turn(300);
        CU_ASSERT_EQUAL(opened, 0);
    }
    state_load(state);
    turn(20);
}
static void end(void)
{
    state_free(state);
    grammar_free(grammar);
    timer_free(stop);
    loop_free(speaker.loop);
    if (written_fd >= 0)
        close(written_fd);
}

static void no_file_is_no_state(void)
{
    begin(NULL);
    CU_ASSERT_EQUAL(loaded, 1);
    CU_ASSERT_EQUAL(executed, 0);
    end();
}

static void lines_are_run_and_not_written_back(void)
{
    begin("# comment\nadvertise 192.0.2.1/32 med 5\n\nneighbor 10.0.0.1 shutdown message x\nadvertise "
          "192.0.2.9/32");
    CU_ASSERT_EQUAL(loaded, 1);
    CU_ASSERT_EQUAL(executed, 3);
    CU_ASSERT_STRING_EQUAL(last, "192.0.2.9/32");
    turn(300);
    CU_ASSERT_EQUAL(opened, 0);
    end();
}

static void a_change_before_the_file_was_read_does_not_overwrite_it(void)
{
    change_before_load = true;
    begin("advertise 192.0.2.9/32\n");
    change_before_load = false;
    CU_ASSERT_EQUAL(executed, 1);
    CU_ASSERT_EQUAL(opened, 0);
    turn(300);
    CU_ASSERT_EQUAL(opened, 1); /* both are in now */
    end();
}

static void a_drain_is_kept_beside_the_commands(void)
{
    char text[512] = "";
    restored = "drain-of this 5";
    begin("drain-of this 5\nadvertise 192.0.2.1/32\n");
    restored = NULL;
    CU_ASSERT_EQUAL(executed, 1);
    state_changed(state);
    turn(300);
    CU_ASSERT_TRUE(pread(written_fd, text, sizeof text - 1, 0) > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndrain-of this 5\n"));
    end();
}

static void wrong_lines_are_skipped(void)
{
    static const char *const files[] = {
        "nonsense\nadvertise 192.0.2.1/32\n",
        "show version\nadvertise 192.0.2.1/32\n", /* a command, but none that is kept */
        "withdraw 192.0.2.1/32\nclear bgp *\nreload\nadvertise 192.0.2.1/32\n",
        "advertise\n\x01\xff\x80\nadvertise 192.0.2.1/32\n",
    };
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        begin(files[i]);
        CU_ASSERT_EQUAL(loaded, 1);
        CU_ASSERT_EQUAL(executed, 1);
        CU_ASSERT_STRING_EQUAL(last, "192.0.2.1/32");
        end();
    }
}

static void many_changes_are_one_file(void)
{
    char text[512] = "";
    begin(NULL);
    for (unsigned i = 0; i < 100; i++)
        state_changed(state);
    turn(100);
    CU_ASSERT_EQUAL(opened, 0);
    turn(250);
    CU_ASSERT_EQUAL(opened, 1);
    CU_ASSERT_EQUAL(committed, 1);
    CU_ASSERT_TRUE(pread(written_fd, text, sizeof text - 1, 0) > 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\nadvertise 192.0.2.1/32 med 5\nneighbor 10.0.0.1 shutdown message back soon\n"));
    CU_ASSERT_EQUAL(*text, '#');
    end();
}

static void a_failed_write_is_tried_again_at_the_next_change(void)
{
    begin(NULL);
    commit_error = -ENOSPC;
    state_changed(state);
    turn(300);
    CU_ASSERT_EQUAL(committed, 1);
    close(written_fd);
    commit_error = 0;
    state_changed(state);
    turn(300);
    CU_ASSERT_EQUAL(committed, 2);
    end();
}

static void count_flush(void *arg)
{
    ++*(unsigned *)arg;
}

static void a_flush_writes_what_is_due_before_it_answers(void)
{
    unsigned flushed = 0;
    begin(NULL);
    state_flush(state, count_flush, &flushed);
    CU_ASSERT_EQUAL(flushed, 1); /* nothing was due */
    state_changed(state);
    state_flush(state, count_flush, &flushed);
    state_changed(state); /* after the file was made up: a second one */
    for (unsigned i = 0; i < 20 && flushed < 2; i++)
        turn(10);
    CU_ASSERT_EQUAL(flushed, 2);
    CU_ASSERT_EQUAL(committed, 2);
    end();
}

static const struct unit_case cases[] = {
    UNIT(a_drain_is_kept_beside_the_commands),
    UNIT(a_flush_writes_what_is_due_before_it_answers),
    UNIT(no_file_is_no_state),
    UNIT(lines_are_run_and_not_written_back),
    UNIT(a_change_before_the_file_was_read_does_not_overwrite_it),
    UNIT(wrong_lines_are_skipped),
    UNIT(many_changes_are_one_file),
    UNIT(a_failed_write_is_tried_again_at_the_next_change),
};
UNIT_MAIN("state", cases)
