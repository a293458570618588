/* From argv to the function of a row: noun, verb, options, in this order of errors.
 *
 * `serve` and `sink` read their own words and are handed over before anything else. The general
 * options may stand anywhere, also before the command, so all words are parsed first with the
 * options of whichever command they name. */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/private.h"
#include "cli/words.h"

/* The first two words that are no options: noun and verb, as far as a look without the command's
 * own options can tell. Values of general options are stepped over. */
static void
peek(int argc, char **argv, const char *found[2])
{
	size_t n = 0;

	for (int i = 1; i < argc && n < 2; i++) {
		if (argv[i][0] != '-') {
			found[n++] = argv[i];
			continue;
		}
		for (const struct cli_option *o = cli_option_general; o->name != NULL; o++) {
			if (o->value != NULL && strncmp(argv[i], "--", 2) == 0 &&
			    strcmp(argv[i] + 2, o->name) == 0)
				i++;
			if (i >= argc)
				return;
		}
	}
}

static int
unknown_noun(const char *word)
{
	struct cli_words_guess guess = { .word = str_from(word) };

	for (size_t i = 0; i < cli_help_n_nouns; i++)
		cli_words_offer(&guess, cli_help_nouns[i]->name);
	if (guess.best != NULL)
		return cli_screen_fail(CLI_USAGE,
		    "there is no command %s; did you mean posthouse %s?", word, guess.best);
	return cli_screen_fail(CLI_USAGE, "there is no command %s; posthouse help lists all", word);
}

static const struct cli_command *
find_verb(const struct cli_noun *noun, const char *verb)
{
	for (size_t i = 0; i < noun->n_commands; i++) {
		const struct cli_command *cmd = &noun->commands[i];
		if (cmd->verb == NULL || (verb != NULL && strcmp(cmd->verb, verb) == 0))
			return cmd;
	}
	return NULL;
}

static int
unknown_verb(struct cli *c, const struct cli_noun *noun, const char *verb)
{
	struct cli_words_guess guess = { .word = str_from(verb) };
	struct str all = STR("");

	for (size_t i = 0; i < noun->n_commands; i++) {
		cli_words_offer(&guess, noun->commands[i].verb);
		all = arena_strf(&c->arena, "%.*s%s%s", STR_ARG(all), i != 0 ? ", " : "",
		    noun->commands[i].verb);
	}
	if (verb == NULL)
		return cli_screen_fail(CLI_USAGE,
		    "posthouse %s wants one of: %.*s; posthouse help %s says more", noun->name,
		    STR_ARG(all), noun->name);
	if (guess.best != NULL)
		return cli_screen_fail(CLI_USAGE,
		    "there is no command %s %s; did you mean posthouse %s %s?", noun->name, verb,
		    noun->name, guess.best);
	return cli_screen_fail(CLI_USAGE, "there is no command %s %s; use one of: %.*s", noun->name,
	    verb, STR_ARG(all));
}

static int
wrong_words(const struct cli *c)
{
	const struct cli_command *cmd = c->command;
	const char *verb = cmd->verb != NULL ? cmd->verb : "", *gap = cmd->verb != NULL ? " " : "";

	if (c->args.n_words > cmd->max_words)
		return cli_screen_fail(CLI_USAGE,
		    "\"%s\" is one word too many; write: posthouse %s%s%s%s%s, or see --help",
		    c->args.words[cmd->max_words], c->noun->name, gap, verb,
		    cmd->words != NULL ? " " : "", cmd->words != NULL ? cmd->words : "");
	return cli_screen_fail(CLI_USAGE,
	    "something is missing; write: posthouse %s%s%s %s, or see --help", c->noun->name, gap,
	    verb, cmd->words);
}

static const char *
first_of(const char *a, const char *b, const char *c)
{
	if (a != NULL)
		return a;
	return b != NULL && b[0] != '\0' ? b : c;
}

/* The value of a general option; `alarm add` has a --url of its own. */
static const char *
general(const struct cli *c, const char *name)
{
	for (size_t i = 0; i < c->args.n_given; i++) {
		const struct cli_given *g = &c->args.given[i];
		for (const struct cli_option *o = cli_option_general; o->name != NULL; o++) {
			if (g->option == o && strcmp(o->name, name) == 0)
				return g->value;
		}
	}
	return NULL;
}

/* A data directory on the command line wins over a URL in the environment. */
static void
find_service(struct cli *c)
{
	const char *data = general(c, "data");

	c->data = first_of(data, getenv("POSTHOUSE_DATA"), "./posthouse-data");
	c->url = general(c, "url");
	if (c->url == NULL && data == NULL)
		c->url = first_of(NULL, getenv("POSTHOUSE_URL"), NULL);
	c->key = first_of(general(c, "key"), getenv("POSTHOUSE_KEY"), NULL);
}

/* Reads the options and runs the command. */
static int
run(struct cli *c, int argc, char **argv)
{
	static const struct cli_option none[] = { { NULL, NULL, NULL, false } };
	const struct cli_option *own = c->command->options != NULL ? c->command->options : none;
	const struct cli_option *const lists[] = { own, cli_option_general, NULL };
	size_t names = c->command->verb != NULL ? 2 : 1; /* words that name the command */
	struct fault f = { 0 };

	if (cli_option_parse(argc - 1, argv + 1, lists, &c->arena, &c->args, &f) != RC_OK) {
		if (str_ends(str_from(f.text), STR("?")))
			return cli_screen_fail(CLI_USAGE, "%s", f.text);
		return cli_screen_fail(CLI_USAGE, "%s; posthouse help %s%s%s lists the options",
		    f.text, c->noun->name, c->command->verb != NULL ? " " : "",
		    c->command->verb != NULL ? c->command->verb : "");
	}
	if (cli_option_is_given(&c->args, "help")) {
		cli_help_command(c, c->noun, c->command);
		return CLI_DONE;
	}
	c->args.words += names;
	c->args.n_words -= names;
	if (c->args.n_words < c->command->min_words || c->args.n_words > c->command->max_words)
		return wrong_words(c);
	c->json = cli_option_is_given(&c->args, "json");
	find_service(c);
	return c->command->run(c);
}

static int
dispatch(struct cli *c, int argc, char **argv)
{
	const char *found[2] = { NULL, NULL };
	bool asks = false;

	peek(argc, argv, found);
	for (int i = 1; i < argc; i++)
		asks |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
	if (found[0] == NULL) {
		if (asks) {
			cli_help_all(c);
			return CLI_DONE;
		}
		return cli_screen_fail(CLI_USAGE, "a command is missing; posthouse help lists all");
	}
	c->noun = cli_help_find(found[0]);
	if (c->noun == NULL)
		return unknown_noun(found[0]);
	c->command = find_verb(c->noun, found[1]);
	if (c->command == NULL && asks && found[1] == NULL) {
		cli_help_noun(c, c->noun);
		return CLI_DONE;
	}
	if (c->command == NULL)
		return unknown_verb(c, c->noun, found[1]);
	return run(c, argc, argv);
}

/* The commands that read their own words. -1: it is none of them. */
static int
run_program(int argc, char **argv, const struct cli_programs *programs)
{
	if (argc < 2)
		return -1;
	if (strcmp(argv[1], "sink") == 0)
		return programs->sink(argc - 1, argv + 1);
	if (strcmp(argv[1], "serve") != 0)
		return -1;
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return -1;
	}
	return programs->serve(argc - 2, argv + 2);
}

int
cli_main(int argc, char **argv, const struct cli_programs *programs)
{
	static char version[] = "version", *as_command[] = { NULL, version, NULL };
	struct cli c = { .programs = programs };
	int status = run_program(argc, argv, programs);

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	cli_screen_init(&c);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		argv = as_command;
	status = dispatch(&c, argc, argv);
	if (!cli_screen_flush(&c) && status == CLI_DONE)
		status = CLI_FAILED;
	buf_wipe(&c.out);
	arena_done(&c.arena);
	return status;
}
