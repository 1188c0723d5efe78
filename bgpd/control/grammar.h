/* The command language, shared by daemon and CLI: one table of rows (grammar_table.c) from which parsing,
 * help, error hints, completion and the man page's list are drawn. No sockets, no daemon state.
 *
 * A row's syntax: lower case is a keyword, upper case an argument, "X..." one or more, "[ ]" optional, "[
 * ]..." any number, "|" either. Every keyword may be cut short while it stays unambiguous. */
#ifndef UNDERLAY_GRAMMAR_H
#define UNDERLAY_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

enum command_id {
    CMD_NONE,
    CMD_SHOW_SUMMARY,
    CMD_SHOW_NEIGHBORS,
    CMD_SHOW_ADVERTISED,
    CMD_SHOW_RECEIVED,
    CMD_SHOW_FILTERED,
    CMD_SHOW_BGP,
    CMD_SHOW_IP_ROUTE,
    CMD_SHOW_IPV6_ROUTE,
    CMD_SHOW_BFD,
    CMD_SHOW_POLICY,
    CMD_SHOW_KUBERNETES,
    CMD_SHOW_RUNNING,
    CMD_SHOW_MEMORY,
    CMD_SHOW_VERSION,
    CMD_CLEAR_BGP,
    CMD_ADVERTISE,
    CMD_WITHDRAW,
    CMD_SHUTDOWN,
    CMD_NO_SHUTDOWN,
    CMD_DRAIN,
    CMD_UNDRAIN,
    CMD_GRACEFUL_SHUTDOWN,
    CMD_NO_GRACEFUL_SHUTDOWN,
    CMD_RELOAD,
    CMD_RESTART,
    CMD_LOG_LEVEL,
    CMD_DEBUG,
    CMD_NO_DEBUG,
    CMD_SHOW_DEBUG,
    CMD_HELP,
    CMD_COUNT
};

enum grammar_flags {
    GRAMMAR_JSON = 0x01,  /* takes a last word "json" */
    GRAMMAR_LOCAL = 0x02, /* answered without a daemon */
    GRAMMAR_STATE = 0x04, /* may stand in the state file */
};

struct grammar_row {
    enum command_id id;
    const char *syntax, *help;
    unsigned flags;
};
extern const struct grammar_row grammar_rows[]; /* ends with id CMD_NONE */

/* The table in a form to match against. NULL: out of memory. */
struct grammar;
struct grammar *grammar_new(void);
void grammar_free(struct grammar *g);

/* One parsed command. Words borrow from buf, a copy of the line. */
struct command {
    const struct grammar_row *row;
    bool json; /* the last word was json */
    unsigned n;
    struct command_word {
        const char *name;  /* the whole keyword, or the argument's name: "PEER" */
        const char *value; /* as typed */
        bool keyword;
    } * words;
    char *buf;
};

/* 0; -EINVAL with a text of one line in error (never NULL); -ENOMEM. Release with command_free on success
 * only. */
int grammar_parse(const struct grammar *g, const char *line, struct command *out, char *error, size_t size);
void command_free(struct command *c);
bool command_has(const struct command *c, const char *keyword);
/* The first value of an argument, NULL without one. */
const char *command_arg(const struct command *c, const char *name);

/* What could follow the words of a line: cb gets keywords and argument names ("" when the command may end
 * here). The last word counts as unfinished unless a blank follows it. */
void grammar_complete(const struct grammar *g, const char *line, void (*cb)(void *arg, const char *candidate),
                      void *arg);

/* Help for the commands that start as the words do, all for "". False: there are none. */
bool grammar_help(const struct grammar *g, const char *words, void (*cb)(void *arg, const char *line),
                  void *arg);
/* The list of commands for the man page, in mdoc. */
void grammar_mdoc(void (*cb)(void *arg, const char *line), void *arg);

#endif
