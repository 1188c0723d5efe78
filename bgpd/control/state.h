/* What commands changed and restarts must keep: CLI advertisements and CLI shutdowns, as lines of commands in
 * the state file, which the parent opens and renames for us. */
#ifndef UNDERLAY_STATE_H
#define UNDERLAY_STATE_H

struct speaker;
struct grammar;
struct state;

struct state *state_new(struct speaker *s, const struct grammar *g); /* borrows both; NULL: out of memory */
void state_free(
    struct state *st); /* writes what is still due, when it can be done without waiting for the parent */
void state_load(struct state *st);    /* ends in speaker_state_loaded, whatever the file holds */
void state_changed(struct state *st); /* written 200 ms later, with everything that changed until then */
/* The lines as they stand now. */
void state_each_line(struct speaker *s, void (*cb)(void *arg, const char *line), void *arg);

#endif
