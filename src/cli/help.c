/* The table of all commands, and help made from its rows. */
#include <string.h>

#include "cli/private.h"
#include "cli/text.h"

static int
run_help(struct cli *c)
{
	const struct cli_noun *noun;

	if (c->args.n_words == 0) {
		cli_help_all(c);
		return CLI_DONE;
	}
	noun = cli_help_find(c->args.words[0]);
	if (noun == NULL)
		return cli_screen_fail(CLI_NOT_FOUND,
		    "there is no command %s; posthouse help lists all", c->args.words[0]);
	for (size_t i = 0; i < noun->n_commands; i++) {
		const struct cli_command *cmd = &noun->commands[i];
		if (cmd->verb == NULL ||
		    (c->args.n_words > 1 && strcmp(cmd->verb, c->args.words[1]) == 0)) {
			cli_help_command(c, noun, cmd);
			return CLI_DONE;
		}
	}
	if (c->args.n_words > 1)
		return cli_screen_fail(CLI_NOT_FOUND,
		    "there is no command %s %s; posthouse help %s lists all", noun->name,
		    c->args.words[1], noun->name);
	cli_help_noun(c, noun);
	return CLI_DONE;
}

static int
run_version(struct cli *c)
{
	if (c->json)
		cli_screen_print(c, "{\"version\":\"%s\"}\n", POSTHOUSE_VERSION);
	else
		cli_screen_print(c, "posthouse %s\n", POSTHOUSE_VERSION);
	return CLI_DONE;
}

static int
run_config(struct cli *c)
{
	c->programs->config(&c->out);
	return CLI_DONE;
}

/* These two are dispatched before options are read; the rows are for the help. */
static int
run_elsewhere(struct cli *c)
{
	return cli_screen_fail(CLI_USAGE, "write %s as the first word", c->noun->name);
}

static const struct cli_option serve_options[] = {
	{ "config", "FILE", "settings (/etc/posthouse/posthouse.conf where that exists)", false },
	{ "KEY", "VALUE", "any setting that posthouse config prints, such as --smtp 0.0.0.0:587",
	    true },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command serve[] = { { NULL, NULL, 0, 0, "run the service in the foreground",
    "SIGTERM ends it in good order; SIGHUP reads certificates again.",
    "posthouse serve --data /var/lib/posthouse --smtp 127.0.0.1:2525", serve_options,
    run_elsewhere } };
static const struct cli_command sink[] = { { NULL, "--listen ADDR:PORT ...", 0, 0,
    "an SMTP server that counts, keeps or misbehaves on command",
    "For tests and demonstrations; posthouse sink --help lists its options.",
    "posthouse sink --listen 127.0.0.1:2600 --count got.log --fail dot=10", NULL, run_elsewhere } };
static const struct cli_command config[] = { { NULL, NULL, 0, 0,
    "print the default settings of the service, each with a comment", NULL,
    "posthouse config > /etc/posthouse/posthouse.conf", NULL, run_config } };
static const struct cli_command version[] = { { NULL, NULL, 0, 0,
    "print the version of this program", NULL, "posthouse version", NULL, run_version } };
static const struct cli_command help[] = { { NULL, "[COMMAND [VERB]]", 0, 2, "explain a command",
    NULL, "posthouse help relay add", NULL, run_help } };

static const struct cli_noun serve_noun = { "serve", "run the service", serve, 1 };
static const struct cli_noun sink_noun = { "sink", "an SMTP server for tests", sink, 1 };
static const struct cli_noun config_noun = { "config", "print the default settings", config, 1 };
static const struct cli_noun version_noun = { "version", "print the version", version, 1 };
static const struct cli_noun help_noun = { "help", "explain a command", help, 1 };

const struct cli_noun *const cli_help_nouns[] = {
	&serve_noun,
	&cli_status_noun,
	&cli_send_noun,
	&cli_message_noun,
	&cli_queue_noun,
	&cli_relay_noun,
	&cli_check_noun,
	&cli_route_noun,
	&cli_changeover_noun,
	&cli_credential_noun,
	&cli_account_noun,
	&cli_stats_noun,
	&cli_mailbox_noun,
	&cli_alarm_noun,
	&cli_explain_noun,
	&sink_noun,
	&config_noun,
	&version_noun,
	&help_noun,
};
const size_t cli_help_n_nouns = COUNT_OF(cli_help_nouns);

const struct cli_noun *
cli_help_find(const char *name)
{
	for (size_t i = 0; i < cli_help_n_nouns; i++) {
		if (strcmp(cli_help_nouns[i]->name, name) == 0)
			return cli_help_nouns[i];
	}
	return NULL;
}

/* "list | show | add" */
#define VERBS_WIDTH 62

/* "list | show | add", in as many rows as they need. */
static void
add_verbs(struct cli *c, struct cli_table *t, const struct cli_noun *noun)
{
	struct str line = STR("");

	for (size_t i = 0; i < noun->n_commands && noun->commands[i].verb != NULL; i++) {
		const char *verb = noun->commands[i].verb;
		if (line.n + strlen(verb) + 3 > VERBS_WIDTH) {
			cli_table_cell(t, CLI_PLAIN, STR(""));
			cli_table_cell(t, CLI_DIM, arena_strf(&c->arena, "%.*s |", STR_ARG(line)));
			line = STR("");
		}
		line = arena_strf(
		    &c->arena, "%.*s%s%s", STR_ARG(line), line.n != 0 ? " | " : "", verb);
	}
	if (line.n != 0) {
		cli_table_cell(t, CLI_PLAIN, STR(""));
		cli_table_cell(t, CLI_DIM, line);
	}
}

void
cli_help_all(struct cli *c)
{
	struct cli_table t;

	cli_screen_print(c, "usage: posthouse COMMAND [VERB] [WORDS] [--OPTION VALUE ...]\n\n");
	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	for (size_t i = 0; i < cli_help_n_nouns; i++) {
		const struct cli_noun *noun = cli_help_nouns[i];
		cli_table_cell(&t, CLI_BOLD, str_from(noun->name));
		cli_table_cell(&t, CLI_PLAIN, str_from(noun->help));
		add_verbs(c, &t, noun);
	}
	cli_screen_table(c, &t);
	cli_screen_print(c,
	    "\nposthouse help COMMAND says more, with an example. Commands take --data DIR\n"
	    "($POSTHOUSE_DATA, else ./posthouse-data) or --url URL --key KEY; and --json.\n");
}

void
cli_help_noun(struct cli *c, const struct cli_noun *noun)
{
	struct cli_table t;

	cli_screen_print(c, "posthouse %s: %s\n\n", noun->name, noun->help);
	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	for (size_t i = 0; i < noun->n_commands; i++) {
		const struct cli_command *cmd = &noun->commands[i];
		cli_table_cellf(&t, CLI_BOLD, "%s %s%s%s", noun->name, cmd->verb,
		    cmd->words != NULL ? " " : "", cmd->words != NULL ? cmd->words : "");
		cli_table_cell(&t, CLI_PLAIN, str_from(cmd->help));
	}
	cli_screen_table(c, &t);
	cli_screen_print(
	    c, "\nposthouse %s VERB --help lists the options, with an example.\n", noun->name);
}

static bool
is_among(const struct cli_option *list, const char *name)
{
	for (; list != NULL && list->name != NULL; list++) {
		if (strcmp(list->name, name) == 0)
			return true;
	}
	return false;
}

/* Names in one column, the help wrapped in another. Those of `before` have been explained. */
static void
add_options(struct cli *c, const struct cli_option *options, const struct cli_option *before)
{
	size_t column = 0, width = c->width != 0 ? c->width : 100;
	struct buf line;

	for (const struct cli_option *o = options; o->name != NULL; o++) {
		size_t n = strlen(o->name) + (o->value != NULL ? strlen(o->value) + 1 : 0);
		if (n > column)
			column = n;
	}
	column += 6; /* indent, dashes, gap */
	buf_init(&line, 64 << 10);
	for (const struct cli_option *o = options; o->name != NULL; o++) {
		if (is_among(before, o->name))
			continue;
		struct str name = arena_strf(&c->arena, "  --%s%s%s", o->name,
		    o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
		struct str text =
		    arena_strf(&c->arena, "%s%s", o->help, o->many ? " (several times)" : "");
		buf_clear(&line);
		cli_text_add_wrapped(
		    &line, text, column, width > column + 20 ? width : column + 60);
		buf_add(&c->out, name);
		buf_add(&c->out, str_skip(buf_str(&line), name.n));
	}
	buf_done(&line);
}

void
cli_help_command(struct cli *c, const struct cli_noun *noun, const struct cli_command *cmd)
{
	cli_screen_print(c, "usage: posthouse %s%s%s%s%s%s\n\n", noun->name,
	    cmd->verb != NULL ? " " : "", cmd->verb != NULL ? cmd->verb : "",
	    cmd->words != NULL ? " " : "", cmd->words != NULL ? cmd->words : "",
	    cmd->options != NULL ? " [--OPTION VALUE ...]" : "");
	cli_screen_wrapped(c,
	    arena_strf(&c->arena, "%c%s.",
		cmd->help[0] - 32 * (cmd->help[0] >= 'a' && cmd->help[0] <= 'z'), cmd->help + 1),
	    0);
	if (cmd->more != NULL) {
		cli_screen_print(c, "\n");
		cli_text_add_wrapped(
		    &c->out, str_from(cmd->more), 0, c->width != 0 ? c->width : 80);
	}
	if (cmd->options != NULL) {
		cli_screen_print(c, "\n");
		add_options(c, cmd->options, NULL);
	}
	if (cmd->run != run_elsewhere) {
		cli_screen_print(c, "\nOf every command:\n");
		add_options(c, cli_option_general, cmd->options);
	}
	cli_screen_print(c, "\nExample:\n  %s\n", cmd->example);
}
