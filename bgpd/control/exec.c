/* Which handler carries out which command, and the few things all of them need: failing with a text, a state
 * between steps. The order of the rows is that of grammar_table.c; a command without a handler is a bug that
 * a test finds. */
#include "control/exec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"

static void help_line(void *arg, const char *line)
{
    writer_text(arg, "%s\n", line);
}

static enum exec_result show_help(struct exec *e)
{
    char words[256] = "";
    size_t n = 0;
    for (unsigned i = 1; i < e->cmd->n && n < sizeof words - 1; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s ", e->cmd->words[i].value);
    if (!grammar_help(e->grammar, words, help_line, e->w))
        return exec_fail(e, STATUS_USAGE, "no command starts with `%s`", words);
    return EXEC_DONE;
}

static const struct {
    enum command_id id;
    enum exec_result (*step)(struct exec *e);
} handlers[] = {
    {CMD_SHOW_SUMMARY, show_summary},
    {CMD_SHOW_NEIGHBORS, show_neighbors},
    {CMD_SHOW_ADVERTISED, show_peer_routes},
    {CMD_SHOW_RECEIVED, show_peer_routes},
    {CMD_SHOW_FILTERED, show_peer_routes},
    {CMD_SHOW_BGP, show_bgp},
    {CMD_SHOW_IP_ROUTE, show_kernel},
    {CMD_SHOW_IPV6_ROUTE, show_kernel},
    {CMD_SHOW_BFD, show_bfd_peers},
    {CMD_SHOW_KUBERNETES, show_kubernetes},
    {CMD_SHOW_POLICY, show_policy},
    {CMD_SHOW_RUNNING, show_running},
    {CMD_SHOW_MEMORY, show_memory},
    {CMD_SHOW_VERSION, show_version},
    {CMD_CLEAR_BGP, change_clear},
    {CMD_ADVERTISE, change_advertise},
    {CMD_WITHDRAW, change_withdraw},
    {CMD_SHUTDOWN, change_shutdown},
    {CMD_NO_SHUTDOWN, change_shutdown},
    {CMD_DRAIN, change_drain},
    {CMD_UNDRAIN, change_undrain},
    {CMD_GRACEFUL_SHUTDOWN, change_drain},
    {CMD_NO_GRACEFUL_SHUTDOWN, change_undrain},
    {CMD_RELOAD, change_reload},
    {CMD_RESTART, change_restart},
    {CMD_LOG_LEVEL, change_log_level},
    {CMD_DEBUG, change_debug},
    {CMD_NO_DEBUG, change_debug},
    {CMD_SHOW_DEBUG, show_debug},
    {CMD_HELP, show_help},
};
_Static_assert(sizeof handlers / sizeof *handlers == CMD_COUNT - 1, "a handler for every command");

enum exec_result exec_step(struct exec *e)
{
    for (unsigned i = 0; i < CMD_COUNT - 1; i++)
        if (handlers[i].id == e->cmd->row->id)
            return handlers[i].step(e);
    return exec_fail(e, STATUS_USAGE, "no such command");
}

void exec_end(struct exec *e)
{
    if (e->drop)
        e->drop(e);
    e->drop = NULL;
    e->state = NULL;
    free(e->error);
    e->error = NULL;
}

enum exec_result exec_fail(struct exec *e, int status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    free(e->error);
    if (vasprintf(&e->error, fmt, args) < 0)
        e->error = NULL;
    va_end(args);
    e->status = status;
    return EXEC_DONE;
}

static void drop_plain(struct exec *e)
{
    free(e->state);
}

void *exec_state(struct exec *e, size_t size)
{
    e->state = calloc(1, size);
    e->drop = drop_plain;
    if (!e->state)
        exec_fail(e, STATUS_REFUSED, "out of memory");
    return e->state;
}
