/* What the FIB client reports to the speaker, and the few messages that only the speaker sends through it. */
#ifndef UNDERLAY_SPEAKER_EVENTS_H
#define UNDERLAY_SPEAKER_EVENTS_H

#include "fibmsg.h"
#include "speaker.h"

/* Only at start: the control socket and the listeners. fd is the callee's; -1 with error -errno. */
void speaker_got_fd(struct speaker *s, enum fm_file_role role, uint32_t index, int fd, int error);
void speaker_links_known(struct speaker *s, uint32_t kept); /* FM_KEPT_* */
void speaker_addresses_changed(struct speaker *s);
void speaker_bfd_state(struct speaker *s, const struct fm_bfd_state *st);
void speaker_reload_asked(struct speaker *s);
void speaker_restart_asked(struct speaker *s, uint32_t flags); /* FM_RESTART_* */
void speaker_stop(struct speaker *s, bool preserve);
void speaker_fib_closed(struct speaker *s, const char *why);

int fibclient_send_start(struct fibclient *c, const struct fm_settings *settings, const struct fm_path *paths,
                         unsigned n_paths, const struct fm_listen *listens, unsigned n_listens);
void fibclient_stopped(struct fibclient *c); /* says FM_STOPPED and flushes */

#endif
