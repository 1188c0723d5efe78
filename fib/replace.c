/* Replacing a file so that a reader, and a crash at any moment, finds the old one or the new one, whole: the
 * contents are on disk before the name moves, and the name is before anybody is told.
 *
 * Modes are what the caller says, whatever the umask of the service: a runtime that is not of our group has
 * to read some of them. */
#include "fib/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fibmsg.h"

int make_parent_directories(const char *path, mode_t mode)
{
    char dir[FM_PATH_MAX];
    mode_t old = umask(0);
    int rc = 0;

    snprintf(dir, sizeof dir, "%s", path);
    for (char *p = dir + 1; !rc && (p = strchr(p, '/')); p++) {
        *p = 0;
        if (mkdir(dir, mode) < 0 && errno != EEXIST)
            rc = -errno;
        *p = '/';
    }
    umask(old);
    return rc;
}

static void temporary_name(const char *path, char out[FM_PATH_MAX + 8])
{
    snprintf(out, FM_PATH_MAX + 8, "%s.new", path);
}

int replace_begin(const char *path, mode_t directories)
{
    char name[FM_PATH_MAX + 8];
    int rc = make_parent_directories(path, directories);

    if (rc)
        return rc;
    temporary_name(path, name);
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static int sync_directory(const char *path)
{
    char dir[FM_PATH_MAX];

    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        return 0;
    slash[slash == dir] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int replace_commit(const char *path, int fd, mode_t mode)
{
    char name[FM_PATH_MAX + 8];

    temporary_name(path, name);
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(name, path) < 0)
        return -errno;
    return sync_directory(path);
}
