/* What systemd wants to hear (sd_notify(3)), and its watchdog. No-ops when not started by systemd. */
#ifndef UNDERLAY_FIB_NOTIFY_H
#define UNDERLAY_FIB_NOTIFY_H

#include "loop.h"

struct notify;
struct notify *notify_new(struct loop *l); /* reads $NOTIFY_SOCKET, $WATCHDOG_USEC; NULL: out of memory */
void notify_free(struct notify *n);
void notify_ready(struct notify *n, const char *status);
void notify_status(struct notify *n, const char *status);
void notify_reloading(struct notify *n);
void notify_stopping(struct notify *n);

#endif
