/* The CLI's end of the control socket: requests go out without waiting for the answers to those before them;
 * answers are printed as they come. */
#ifndef UNDERLAY_CLIENT_H
#define UNDERLAY_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

enum { CLI_OK, CLI_REFUSED, CLI_USAGE, CLI_UNREACHABLE };

struct grammar;

/* Connects; on failure prints why and returns CLI_UNREACHABLE, else CLI_OK and *fd. */
int client_connect(const char *path, int *fd);
/* Waits until a daemon that has just started answers there; prints when none does. */
int client_wait_served(const char *path, unsigned seconds);
/* One command. Writes output to out, prints an error on standard error; returns the exit status. */
int client_run_one(int fd, bool json, const char *command, FILE *out);
/* Commands from a descriptor, one a line; blank lines and those that start with # are skipped. Errors name
 * their line. Returns the worst status of all. */
int client_run_lines(int fd, bool json, int input, const struct grammar *g);

#endif
