/* The parent's capabilities. */
#ifndef UNDERLAY_FIB_CAPS_H
#define UNDERLAY_FIB_CAPS_H

#include <stdbool.h>

bool caps_can_administer(void); /* CAP_NET_ADMIN is in effect */
/* Before an exec, for accounts other than root: the new life has them too. 0 or -errno. */
int caps_pass_on(void);
int caps_drop(void); /* keeps what the parent needs for the rest of its life; 0 or -errno */

#endif
