/* RFC 5880 4.1 in the words of FRR's `show bfd peers`, which scripts know. */
#include "lib/bfd_name.h"

#include <errno.h>
#include <stdio.h>

#include "fibmsg.h"

const char *bfd_state_name(uint8_t state)
{
    static const char *const names[] = {
        [FM_BFD_ADMIN_DOWN] = "shutdown", [FM_BFD_DOWN] = "down", [FM_BFD_INIT] = "init", [FM_BFD_UP] = "up"};
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

const char *bfd_diag_name(uint8_t diag)
{
    static const char *const names[] = {
        "ok",
        "control detection time expired",
        "echo function failed",
        "neighbor signaled session down",
        "forwarding plane reset",
        "path down",
        "concatenated path down",
        "administratively down",
        "reverse concatenated path down",
    };
    return diag < sizeof names / sizeof *names ? names[diag] : "unknown";
}

void bfd_error_hint(int error, char *hint, size_t size)
{
    snprintf(hint, size, "%s",
             error == -EADDRINUSE      ? "another BFD daemon (FRR's bfdd, BIRD) has the port on this host"
             : error == -EADDRNOTAVAIL ? "`local-address`: it must be on an interface of this node"
             : error == -ENETUNREACH   ? "the way to the peer: `ip route get`"
             : error == -EPERM || error == -EACCES ? "what underlayd is allowed: CAP_NET_RAW, filters"
                                                   : "");
}
