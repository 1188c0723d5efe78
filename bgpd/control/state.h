/* What commands changed and restarts must keep: CLI advertisements and CLI shutdowns, as lines of commands in
 * the state file, which the parent opens and renames for us. */
#ifndef UNDERLAY_STATE_H
#define UNDERLAY_STATE_H

struct speaker;
struct grammar;
struct state;

struct state *state_new(struct speaker *s, const struct grammar *g); /* borrows both; NULL: out of memory */
void state_free(struct state *st);
void state_load(struct state *st);    /* ends in speaker_state_loaded, whatever the file holds */
void state_changed(struct state *st); /* written 200 ms later, with everything that changed until then */
/* Writes at once what is still due; done is called when the file is in place or could not be written, also at
 * once when there is nothing to write. Once. */
void state_flush(struct state *st, void (*done)(void *arg), void *arg);
/* The lines as they stand now. */
void state_each_line(struct speaker *s, void (*cb)(void *arg, const char *line), void *arg);

#endif
