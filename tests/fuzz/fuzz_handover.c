/* What a former speaker may have left: whatever it is, no session of it is up when it is refused, and what is
 * up has come to nothing worse than its own end. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover_io.h"
#include "handover_state.h"
#include "log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/peer_rig.c" /* not of its own object: CUnit's checks are those of the shim */

uint64_t unit_starved_ms(void)
{
    return 0;
}
static const uint8_t header[] = {'U', 'N', 'D', 'E', 'R', 'L', 'A', 'Y', 0, 0, 0, HANDOVER_FORMAT,
                                 0,   0,   0,   1,   1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover_taken taken;
    struct rig r;
    int pair[2];

    log_set_level(LOG_LVL_ERROR);
    rig_set_up(&r);
    r.a.peers[0].passive = true;
    FUZZ_CHECK(!peer_set_apply(r.a.s.peers, &r.a.config));
    r.a.s.running = true;
    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_CHECK(write(fd, header, sizeof header) == (ssize_t)sizeof header);
    FUZZ_CHECK(write(fd, data, size) == (ssize_t)size && !hio_seal(fd));
    int rc = handover_load(&r.a.s, fd, pair, 1, &taken);
    FUZZ_CHECK(!rc || !peer_established(rig_peer(&r.a)));
    FUZZ_CHECK(rc || taken.sessions == peer_established(rig_peer(&r.a)));
    close(fd);
    rig_run(&r, 1);
    close(pair[1]);
    rig_run(&r, 1);
    rig_tear_down(&r);
    return 0;
}
