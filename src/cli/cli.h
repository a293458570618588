/* `posthouse COMMAND`: the service from a terminal.
 *
 * A command is a row of a table (cli/option.h) whose function asks the service by its API, over the
 * control socket in the data directory or a URL, and prints the answer: as a table for people, or
 * with --json as it came. Errors are one sentence on standard error. */
#pragma once

struct buf;

/* The commands that are programs of their own, and what the terminal cannot know by itself. */
struct cli_programs {
	int (*serve)(int argc, char **argv); /* the words behind "serve" */
	int (*sink)(int argc, char **argv);  /* argv[0] is "sink" */
	void (*config)(struct buf *out);     /* the commented default configuration */
};

/* Exit statuses of every command. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_SERVICE = 3,
	CLI_REFUSED = 4, /* by policy */
	CLI_NOT_FOUND = 5,
};

/* Runs the command that `argv` (argv[0] is the program's name) asks for; returns the exit status.
 */
int cli_main(int argc, char **argv, const struct cli_programs *programs);
