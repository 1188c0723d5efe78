#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

int netns_enter(const char *path)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), err;
    int there = home < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (there >= 0 && setns(there, CLONE_NEWNET) == 0) {
        close(there);
        return home;
    }
    err = -errno;
    if (there >= 0)
        close(there);
    if (home >= 0)
        close(home);
    return err;
}

int netns_leave(int home)
{
    int err = setns(home, CLONE_NEWNET) < 0 ? -errno : 0;

    close(home);
    return err;
}
