/* The control socket: one command a request line, an answer of frames, simple enough for socat.
 * Request: "json " or "text ", the command, newline; up to 1 MiB. Answer: frames "LENGTH\n" and so many bytes
 * of output; the last one is "LENGTH STATUS\n" and so many bytes of error text: "0 0\n" when all is well
 * (STATUS as the exit status of underlayctl: 0 done, 1 refused, 2 usage). Several requests may follow each
 * other; answers come in their order. A client that does not read is paused, never waited for; at most 32
 * clients, and 60 s for an unfinished request. */
#ifndef UNDERLAY_CONTROL_H
#define UNDERLAY_CONTROL_H

#define CONTROL_REQUEST_MAX (1u << 20) /* bytes in one request line */

struct speaker;
struct control;
struct control *control_new(struct speaker *s);
void control_free(struct control *c);
int control_listen(struct control *c, int fd); /* owns fd, a listening unix socket from the parent */
/* Sessions and what an operator has changed are known: until then clients wait, so that none sees the half of
 * it, or changes what the state file is still to change. */
void control_serve(struct control *c);

/* State that must survive (CLI advertisements, CLI shutdowns): lines of commands in the state file. */
void control_state_load(struct control *c);    /* at start: reads it through the parent and runs the lines */
void control_state_changed(struct control *c); /* debounced write, fsync and rename through the parent */
/* Before an end: what is still due is written now; done when it is, or when there was nothing. */
void control_state_flush(struct control *c, void (*done)(void *arg), void *arg);

#endif
