/* `posthouse alarm`: who is told when something is wrong. */
#include <string.h>

#include "cli/private.h"
#include "codec/json_writer.h"

static const struct {
	const char *name;
	const char *done; /* with the target in it */
} kinds[] = {
	{ "mail", "A message goes to %s when something is wrong, and when it is over." },
	{ "command", "\"%s\" runs when something is wrong, and when it is over." },
	{ "url", "The text is posted to %s when something is wrong, and when it is over." },
};

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/alarms"), &doc);
	struct cli_table t;

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c,
		    "Nobody is told when something is wrong; add somebody with: posthouse alarm add "
		    "--mail ADDRESS\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ID", CLI_RIGHT);
	cli_table_column(&t, "BY", CLI_LEFT);
	cli_table_column(&t, "TO", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "id"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "kind"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "target"));
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

/* `text` with `value` for its %s. */
static struct str
put_into(struct cli *c, const char *text, const char *value)
{
	struct str all = str_from(text);
	size_t at = str_find_str(all, STR("%s"));

	return arena_strf(&c->arena, "%.*s%s%.*s", STR_ARG(str_sub(all, 0, at)), value,
	    STR_ARG(str_skip(all, at + 2)));
}

static int
run_add(struct cli *c)
{
	const char *target = NULL;
	struct str done = { 0 };
	struct json_writer w;
	struct buf body;
	size_t n = 0;

	buf_init(&body, 1 << 20);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		target = cli_option_get(&c->args, kinds[i].name);
		if (target == NULL || n++ != 0)
			continue;
		json_writer_put_str(&w, "kind", str_from(kinds[i].name));
		json_writer_put_str(&w, "target", str_from(target));
		done = put_into(c, kinds[i].done, target);
	}
	json_writer_end(&w);
	json_writer_done(&w);
	int status = n == 1 ? cli_call_change(c, "POST", STR("/alarms"), buf_str(&body),
				  "%.*s Try it: posthouse alarm test", STR_ARG(done))
			    : cli_screen_fail(CLI_USAGE,
				  "give one of --mail ADDRESS, --command COMMAND and --url URL");
	buf_done(&body);
	return status;
}

static int
run_test(struct cli *c)
{
	return cli_call_change(c, "POST", STR("/alarms/test"), (struct str){ 0 },
	    "A trial alarm is on its way to everybody on posthouse alarm list.");
}

static int
run_remove(struct cli *c)
{
	const char *id = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/alarms/", id, ""), (struct str){ 0 },
	    "Alarm %s is removed.", id);
}

static const struct cli_option add_options[] = {
	{ "mail", "ADDRESS", "send a message there", false },
	{ "command", "COMMAND", "run it, with the text on its standard input", false },
	{ "url", "URL", "post the text there", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list who is told when something is wrong", NULL,
	    "posthouse alarm list", NULL, run_list },
	{ "add", NULL, 0, 0, "tell somebody when something is wrong, and when it is over", NULL,
	    "posthouse alarm add --mail admin@example.org", add_options, run_add },
	{ "test", NULL, 0, 0, "send a trial alarm", NULL, "posthouse alarm test", NULL, run_test },
	{ "remove", "ID", 1, 1, "remove an alarm", NULL, "posthouse alarm remove 1", NULL,
	    run_remove },
};

const struct cli_noun cli_alarm_noun = { "alarm", "who is told when something is wrong", commands,
	COUNT_OF(commands) };
