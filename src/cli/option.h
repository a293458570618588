/* The words behind `posthouse`: commands as rows of tables, and the one parser of their options.
 *
 * Options are written --name VALUE, --name=VALUE or, for switches, --name; they may stand before,
 * between and behind the other words. "--" ends the options. A lone "-" is a word, and a value. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"

struct cli;

struct cli_option {
	const char *name;  /* without dashes; NULL ends a list of options */
	const char *value; /* what stands behind it, such as "HOST"; NULL: a switch */
	const char *help;
	bool many; /* may be given several times */
};

/* Does the work; returns the exit status. */
typedef int cli_run_fn(struct cli *c);

/* One row: `posthouse NOUN VERB WORDS --OPTIONS`. */
struct cli_command {
	const char *verb;  /* NULL: the noun alone is the command */
	const char *words; /* for the usage line, such as "NAME"; NULL: none */
	uint8_t min_words;
	uint8_t max_words; /* UINT8_MAX: any number */
	const char *help;  /* one line */
	const char *more;  /* what else there is to say; may be NULL */
	const char *example;
	const struct cli_option *options; /* NULL: none but the general ones */
	cli_run_fn *run;
};

struct cli_noun {
	const char *name;
	const char *help;
	const struct cli_command *commands;
	size_t n_commands;
};

/* The options every command has. */
extern const struct cli_option cli_option_general[];

struct cli_given {
	const struct cli_option *option;
	const char *value; /* NULL for a switch */
};

/* What was found on a command line. */
struct cli_parsed {
	struct cli_given *given; /* in the order written */
	size_t n_given;
	const char **words;
	size_t n_words;
};

/* Reads `argv` with the options of `lists`, ended by NULL, each of them ended by a row without
 * name. Strings are those of argv; arrays live in `a`. RC_INVALID: unknown option (the nearest is
 * named), a missing or superfluous value, one given twice. */
enum rc cli_option_parse(int argc, char **argv, const struct cli_option *const *lists,
    struct arena *a, struct cli_parsed *out, struct fault *f);

/* The value of an option that was given, else NULL; for a switch see cli_option_is_given. */
const char *cli_option_get(const struct cli_parsed *p, const char *name);
bool cli_option_is_given(const struct cli_parsed *p, const char *name);
/* The values of `name` in turn: start with *at = 0; NULL after the last. */
const char *cli_option_each(const struct cli_parsed *p, const char *name, size_t *at);
/* How many options of `list` were given. */
size_t cli_option_count(const struct cli_parsed *p, const struct cli_option *list);
