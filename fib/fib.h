/* The privileged parent: its only entry point. Everything else in fib/ is its own business. */
#ifndef UNDERLAY_FIB_H
#define UNDERLAY_FIB_H

#define FIB_SPEAKER_FD_ENV                                                                                   \
    "UNDERLAY_SPEAKER_FD" /* in the speaker's environment: its end of the socketpair                         \
                           */

struct fib_options {
    char *const *argv; /* with which the speaker is executed: this process's own */
    const char *exe;   /* what to execute, NULL: /proc/self/exe */
};
/* Starts the speaker, serves it, starts it again when it dies, until SIGTERM or SIGINT. The log is set up.
 * Returns the exit status of underlayd: 0 stopped, 3 the system, or that of a first speaker that could not
 * start. */
int fib_main(const struct fib_options *o);

#endif
