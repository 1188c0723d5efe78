/* The words for what BFD says, FRR's where it has them. */
#ifndef UNDERLAY_BFD_NAME_H
#define UNDERLAY_BFD_NAME_H

#include <stddef.h>
#include <stdint.h>

const char *bfd_state_name(uint8_t state); /* enum fm_bfd_session_state: "up", "down", "init", "shutdown" */
const char *bfd_diag_name(uint8_t diag);   /* RFC 5880 4.1: "ok", "control detection time expired" … */
/* What to look at when a session cannot run; "" when nothing is known. error: -errno. */
void bfd_error_hint(int error, char *hint, size_t size);

#endif
