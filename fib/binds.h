/* VIPs that FM_BIND puts on lo. */
#ifndef UNDERLAY_FIB_BINDS_H
#define UNDERLAY_FIB_BINDS_H

#include "fib/internal.h"

struct binds *binds_new(struct fib *f);
void binds_free(struct binds *b);
void binds_apply(struct binds *b, const struct fm_bind *m);
void binds_speaker_gone(struct binds *b);              /* all stay, unconfirmed */
bool binds_kept(const struct binds *b, enum family f); /* addresses of a former life are there */
void binds_sweep(struct binds *b);      /* those of a former life that were not asked for again go */
void binds_delete_all(struct binds *b); /* on-stop: withdraw */

#endif
