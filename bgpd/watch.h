/* `watch: true`: a change of the configuration, or of a password file, is a reload. */
#ifndef UNDERLAY_WATCH_H
#define UNDERLAY_WATCH_H

struct speaker;
struct watch;

/* Of the files that the speaker's configuration was read from. Called before the privileges are given up, for
 * a directory that the speaker may not read is watched all the same then. NULL: out of memory. */
struct watch *watch_new(struct speaker *s);
void watch_free(struct watch *w); /* NULL is a no-op */
/* After a reload: begins or ends as the configuration says now. */
void watch_apply(struct watch *w);

#endif
