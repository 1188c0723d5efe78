/* The event loop: everything libevent in one place. Single-threaded; callbacks never block and do a few
 * milliseconds of work at most. Timers run before descriptors and tasks, so that keepalives are never late.
 */
#ifndef UNDERLAY_LOOP_H
#define UNDERLAY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void); /* NULL: out of memory or no back end */
void loop_free(struct loop *l);
int loop_run(struct loop *l); /* until loop_stop; returns its status */
void loop_stop(struct loop *l, int status);
uint64_t loop_now_ms(void); /* CLOCK_MONOTONIC */
uint64_t loop_now_us(void);
int64_t wall_now_s(void); /* CLOCK_REALTIME; for showing only */

/* How long callbacks take and how late timers are: what a callback takes is what everything else waits. */
#define LOOP_BUCKETS 8
extern const uint32_t loop_bucket_us[LOOP_BUCKETS]; /* upper bounds; longer ones are in none */
struct loop_stats {
    uint64_t callbacks, busy_us;    /* since the start */
    uint64_t at_most[LOOP_BUCKETS]; /* callbacks that took at most so long, shorter ones included */
    uint64_t longest_us, latest_ms; /* of the last one to two minutes */
};
void loop_stats(struct loop *l, struct loop_stats *out);

/* One-shot timers. timer_set re-arms. timer_free(NULL) is a no-op; freeing from inside its own callback is
 * fine. */
struct timer;
struct timer *timer_new(struct loop *l, void (*cb)(void *arg), void *arg);
void timer_free(struct timer *t);
void timer_set(struct timer *t, uint64_t ms);
void timer_stop(struct timer *t);
bool timer_running(const struct timer *t);
uint64_t timer_remaining_ms(const struct timer *t); /* 0 when stopped */

/* Descriptor events, level triggered. Does not own the descriptor. */
enum { IO_READ = 1, IO_WRITE = 2 };
struct io;
struct io *io_new(struct loop *l, int fd, void (*cb)(void *arg, int fd, unsigned events), void *arg);
void io_free(struct io *io);
void io_want(struct io *io, unsigned events); /* replaces what was wanted; 0 pauses */
unsigned io_wanted(const struct io *io);

/* Deferred, bounded work: after task_wake, step runs once a loop turn until it returns false. Between two
 * steps timers and descriptors get their turn. */
struct task;
struct task *task_new(struct loop *l, bool (*step)(void *arg), void *arg);
void task_free(struct task *t);
void task_wake(struct task *t);

struct sig;
struct sig *sig_new(struct loop *l, int signum, void (*cb)(void *arg, int signum), void *arg);
void sig_free(struct sig *s);

#endif
