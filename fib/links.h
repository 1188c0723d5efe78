/* The node's interfaces and addresses, as the kernel last reported them. */
#ifndef UNDERLAY_FIB_LINKS_H
#define UNDERLAY_FIB_LINKS_H

#include "fib/internal.h"

struct links *links_new(struct fib *f);
void links_free(struct links *l);

/* One KEVENT_LINK or KEVENT_ADDRESS. Raises fib_link_changed and fib_address_changed and tells the speaker,
 * when something changed. */
void links_event(struct links *l, const struct kevent *ev);
/* Dumps everything anew; what is gone is reported as deleted. 0 or -errno. */
int links_refresh(struct links *l);
/* FM_LINK and FM_ADDRESS for all there is. */
void links_send_all(struct links *l);

bool links_is_up(const struct links *l, uint32_t ifindex); /* administratively and carrier */
/* The interface on whose subnet a is; link-local addresses need their scope. 0: none that is up. */
uint32_t links_connected(struct links *l, const struct ip_addr *a, uint32_t scope);
/* scope: the ifindex of a link-local address, which another interface may well have too; else 0. */
bool links_is_own(struct links *l, const struct ip_addr *a, uint32_t scope);
/* Whether p equals the subnet of an address on an interface that is administratively up. */
bool links_prefix_connected(struct links *l, const struct prefix *p);
/* Walks the addresses on lo that carry our protocol number. i from 0 up; NULL ends. */
const struct kaddress *links_own_bind(const struct links *l, unsigned *i);

#endif
