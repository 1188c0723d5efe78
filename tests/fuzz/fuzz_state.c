/* The state file as it may lie on a disk after anything: it is read to its end, never more is carried out
 * than the commands that may stand in it, and the daemon starts whatever it holds. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/exec.h"
#include "control/state.h"
#include "drain.h"
#include "fibclient.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "source/source.h"
#include "speaker.h"
#include "tests/fuzz/fuzz.h"

static struct speaker s;
static struct state *state;
static struct fuzz_in content;
static unsigned loaded, executed, lines;

enum exec_result exec_step(struct exec *e)
{
    FUZZ_CHECK(e->cmd->row->flags & GRAMMAR_STATE);
    executed++;
    state_changed(state); /* as the real ones do: what is being read must not be written over */
    return executed % 7 ? EXEC_DONE : exec_fail(e, STATUS_REFUSED, "there is no such peer");
}
enum exec_result exec_fail(struct exec *e, int status, const char *fmt, ...)
{
    (void)fmt;
    e->status = status;
    e->error = strdup("there is no such peer");
    return EXEC_DONE;
}
void exec_end(struct exec *e)
{
    free(e->error);
}
void speaker_state_loaded(struct speaker *sp)
{
    loaded++;
    loop_stop(sp->loop, 0);
}
void sources_each_command(const struct sources *so, void (*cb)(void *arg, const char *line), void *arg)
{
    (void)so, (void)cb, (void)arg;
}
bool drain_restore(struct drain *d, const char *line)
{
    (void)d, (void)line;
    return false;
}
void drain_save(const struct drain *d, FILE *f)
{
    (void)d, (void)f;
}
unsigned peer_set_count(const struct peer_set *ps)
{
    (void)ps;
    return 0;
}
struct peer *peer_set_at(const struct peer_set *ps, unsigned i)
{
    (void)ps, (void)i;
    return NULL;
}
const char *peer_name(const struct peer *p)
{
    (void)p;
    return "";
}
bool peer_is_shutdown(const struct peer *p, const char **message)
{
    (void)p, (void)message;
    return false;
}
int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c;
    FUZZ_CHECK(role == FM_ROLE_STATE && !index);
    int fd = memfd_create("state", 0);
    FUZZ_CHECK(fd >= 0 && write(fd, content.p, content.n) == (ssize_t)content.n);
    lseek(fd, 0, SEEK_SET);
    cb(arg, fd, 0);
    return 0;
}
int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    (void)c, (void)role, (void)cb, (void)arg;
    return -ENOENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct grammar *grammar;
    content = (struct fuzz_in){data, size};
    loaded = executed = lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || !data[i]; /* a zero ends a line, too */
    log_init("fuzz", LOG_LVL_ERROR, LOG_FMT_TEXT, LOG_TO_STDERR);
    grammar = grammar ? grammar : grammar_new();
    s = (struct speaker){.loop = loop_new(), .state_path = (char *)(uintptr_t) "state"};
    state = state_new(&s, grammar);
    FUZZ_CHECK(grammar && state);
    state_load(state);
    if (!loaded)
        loop_run(s.loop);
    FUZZ_CHECK(loaded == 1 && executed <= lines + 1);
    state_free(state);
    loop_free(s.loop);
    return 0;
}
