/* For the few who need libevent itself: its resolver runs on our loop. Descriptors, timers and tasks are for
 * loop.h. */
#ifndef UNDERLAY_LOOP_BASE_H
#define UNDERLAY_LOOP_BASE_H

struct event_base;
struct loop;
struct event_base *loop_base(const struct loop *l); /* borrowed */

#endif
