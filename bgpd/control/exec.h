/* One command being carried out. It runs in bounded steps, writes to a writer and ends with a status and,
 * when that is not 0, a line of error text. */
#ifndef UNDERLAY_EXEC_H
#define UNDERLAY_EXEC_H

#include "control/grammar.h"
#include "control/writer.h"

struct speaker;

enum { STATUS_OK, STATUS_REFUSED, STATUS_USAGE };
enum exec_result {
    EXEC_DONE,
    EXEC_MORE, /* call again when the writer is not full */
    EXEC_WAIT, /* call again after wake */
};

struct exec {
    struct speaker *s;
    const struct grammar *grammar;
    const struct command *cmd;
    struct writer *w;
    void (*wake)(void *arg);
    void *wake_arg;

    int status;
    char *error;                  /* owned; NULL none */
    void *state;                  /* of the command, between steps; NULL at the first one */
    void (*drop)(struct exec *e); /* releases state; called by exec_end, also when the client went away before
                                     the end */
};

/* The caller fills the first part, zeroes the second, and ends it with exec_end. One step does a few
 * milliseconds of work. */
enum exec_result exec_step(struct exec *e);
void exec_end(struct exec *e);

/* Sets status and error; returns EXEC_DONE, so that a command can return it. */
enum exec_result exec_fail(struct exec *e, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A zeroed state of the command, released by exec_end with free; NULL: out of memory (status is set). */
void *exec_state(struct exec *e, size_t size);

#endif
