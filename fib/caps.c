/* Giving up what the parent does not need once the first speaker has its sockets: no CHOWN, no DAC_OVERRIDE,
 * no SYS_ADMIN. SYS_NICE is for the BFD thread, which takes its place in the queue of the processors and
 * gives up all. It stays uid 0, so configuration and key files that root owns remain readable; one that root
 * may not read by its mode does not. The bounding set stays whole: a speaker that is started again comes up
 * as root and gives up all of it.
 */
#include "fib/caps.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static const cap_value_t kept[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_SETUID,
                                   CAP_SETGID,    CAP_KILL,    CAP_SYS_NICE};

bool caps_can_administer(void)
{
    cap_flag_value_t v = CAP_CLEAR;
    cap_t c = cap_get_proc();

    if (!c)
        return false;
    cap_get_flag(c, CAP_NET_ADMIN, CAP_EFFECTIVE, &v);
    cap_free(c);
    return v == CAP_SET;
}

int caps_pass_on(void)
{
    cap_t c = cap_get_proc();
    int rc = c ? 0 : -ENOMEM;

    for (unsigned i = 0; !rc && geteuid() && i < sizeof kept / sizeof *kept; i++) {
        cap_flag_value_t v = CAP_CLEAR;
        cap_get_flag(c, kept[i], CAP_PERMITTED, &v);
        if (v == CAP_SET &&
            (cap_set_flag(c, CAP_INHERITABLE, 1, &kept[i], CAP_SET) < 0 || cap_set_proc(c) < 0 ||
             prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0))
            rc = -errno;
    }
    cap_free(c);
    return rc;
}

int caps_drop(void)
{
    cap_t have = cap_get_proc(), want = cap_init();
    int rc = have && want ? 0 : -ENOMEM;

    for (unsigned i = 0; !rc && i < sizeof kept / sizeof *kept; i++) {
        cap_flag_value_t v = CAP_CLEAR;
        cap_get_flag(have, kept[i], CAP_PERMITTED, &v);
        if (v == CAP_SET && (cap_set_flag(want, CAP_PERMITTED, 1, &kept[i], CAP_SET) < 0 ||
                             cap_set_flag(want, CAP_EFFECTIVE, 1, &kept[i], CAP_SET) < 0))
            rc = -errno;
    }
    if (!rc && cap_set_proc(want) < 0)
        rc = -errno;
    cap_free(have);
    cap_free(want);
    return rc;
}
