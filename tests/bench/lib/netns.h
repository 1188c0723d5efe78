/* Sockets in another network namespace: one stays bound to the namespace it was opened in. */
#ifndef BENCH_NETNS_H
#define BENCH_NETNS_H

/* The thread is in the namespace of the path (such as /run/netns/NAME) until netns_leave(). Returns what that
 * wants, or -errno. */
int netns_enter(const char *path);
int netns_leave(int home);

#endif
