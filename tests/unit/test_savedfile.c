/* Files that are written through the parent: when, how often, and what follows a failure. The parent is a
 * fake that gives a temporary file, or an error. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fibclient.h"
#include "loop.h"
#include "savedfile.h"
#include "speaker.h"
#include "unit.h"

static struct speaker speaker;
static struct timer *stop;
static struct savedfile *file;
static unsigned opened, committed, written, flushed;
static int open_error;

int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    char path[] = "/tmp/savedfile-XXXXXX";
    (void)c, (void)index;
    CU_ASSERT_EQUAL(role, FM_ROLE_KUBE_STATE);
    opened++;
    int fd = open_error ? -1 : mkstemp(path);
    if (fd >= 0)
        unlink(path);
    cb(arg, fd, open_error);
    return 0;
}
int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    (void)c, (void)role;
    committed++;
    cb(arg, -1, 0);
    return 0;
}

static void write_it(void *arg, FILE *f)
{
    (void)arg;
    fprintf(f, "version %u\n", ++written);
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
/* Until so many files are in place; false: they do not come. */
static bool reaches(unsigned n)
{
    for (unsigned i = 0; i < 500 && committed < n; i++)
        turn(10);
    return committed == n;
}

static void begin(const struct savedfile_ops *ops)
{
    opened = committed = written = flushed = 0;
    open_error = 0;
    speaker = (struct speaker){.loop = loop_new()};
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    file = savedfile_new(&speaker, "/a/file", ops, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
}
static void end(void)
{
    savedfile_free(file);
    timer_free(stop);
    loop_free(speaker.loop);
}

static void on_flushed(void *arg)
{
    (void)arg;
    flushed++;
}

#define OPS(...)                                                                                             \
    (struct savedfile_ops)                                                                                   \
    {                                                                                                        \
        .role = FM_ROLE_KUBE_STATE, .failed = "cannot", .again = "can", .write = write_it, __VA_ARGS__       \
    }

static void many_changes_are_one_file(void)
{
    const struct savedfile_ops ops = OPS(.delay_ms = 20);
    begin(&ops);
    for (unsigned i = 0; i < 100; i++)
        savedfile_changed(file);
    CU_ASSERT_EQUAL(opened, 0);
    CU_ASSERT_TRUE(reaches(1));
    turn(60);
    CU_ASSERT_EQUAL(opened, 1);
    end();
}

static void changes_that_never_end_leave_the_disk_a_rest(void)
{
    const struct savedfile_ops ops = OPS(.delay_ms = 1, .rest_ms = 3600000);
    begin(&ops);
    savedfile_changed(file);
    CU_ASSERT_TRUE(reaches(1)); /* the first at once */
    for (unsigned i = 0; i < 20; i++) {
        savedfile_changed(file);
        turn(2);
    }
    CU_ASSERT_EQUAL(committed, 1);
    savedfile_flush(file, on_flushed, NULL); /* and the last */
    CU_ASSERT_TRUE(reaches(2));
    CU_ASSERT_EQUAL(flushed, 1);
    end();
}

static void a_failure_is_tried_again_without_a_change(void)
{
    const struct savedfile_ops ops = OPS(.delay_ms = 1, .retry_ms = 20);
    begin(&ops);
    open_error = -ENOSPC;
    savedfile_changed(file);
    for (unsigned i = 0; i < 500 && opened < 2; i++)
        turn(10);
    CU_ASSERT(opened >= 2 && committed == 0);
    CU_ASSERT_EQUAL(savedfile_error(file), -ENOSPC);
    open_error = 0;
    CU_ASSERT_TRUE(reaches(1));
    CU_ASSERT_EQUAL(savedfile_error(file), 0);
    end();
}

static void a_change_does_not_wait_for_the_next_try(void)
{
    const struct savedfile_ops ops = OPS(.delay_ms = 1, .retry_ms = 3600000);
    begin(&ops);
    open_error = -ENOSPC;
    savedfile_changed(file);
    for (unsigned i = 0; i < 500 && !opened; i++)
        turn(10);
    open_error = 0;
    savedfile_changed(file);
    CU_ASSERT_TRUE(reaches(1));
    end();
}

static void a_flush_ends_although_nothing_can_be_written(void)
{
    const struct savedfile_ops ops = OPS(.delay_ms = 3600000);
    begin(&ops);
    savedfile_flush(file, on_flushed, NULL); /* nothing is due */
    CU_ASSERT(flushed == 1 && opened == 0);
    open_error = -EROFS;
    savedfile_changed(file);
    savedfile_flush(file, on_flushed, NULL);
    CU_ASSERT(flushed == 2 && opened == 1);
    end();
}

static const struct unit_case cases[] = {
    UNIT(many_changes_are_one_file),
    UNIT(changes_that_never_end_leave_the_disk_a_rest),
    UNIT(a_failure_is_tried_again_without_a_change),
    UNIT(a_change_does_not_wait_for_the_next_try),
    UNIT(a_flush_ends_although_nothing_can_be_written),
};
UNIT_MAIN("savedfile", cases)
