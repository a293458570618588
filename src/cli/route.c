/* `posthouse route`: the rules that pick a relay for a recipient. */
#include <string.h>

#include "cli/fields.h"
#include "cli/private.h"
#include "codec/json_writer.h"

static const struct cli_field fields[] = {
	{ "relay", "relay", CLI_FIELD_TEXT },
	{ "account", "account", CLI_FIELD_TEXT },
	{ "from", "from", CLI_FIELD_TEXT },
	{ "to", "to", CLI_FIELD_TEXT },
	{ "stream", "stream", CLI_FIELD_TEXT },
	{ "default", "default", CLI_FIELD_FLAG },
	{ "bounces", "bounces", CLI_FIELD_FLAG },
	{ "name", "name", CLI_FIELD_TEXT },
	{ "note", "note", CLI_FIELD_TEXT },
};

static const struct cli_option rule_options[] = {
	{ "relay", "NAME", "the relay it goes through", false },
	{ "account", "ACCOUNT", "only mail of this account", false },
	{ "from", "A@D|@D", "only from this envelope sender or domain", false },
	{ "to", "DOMAIN", "only to this recipient domain", false },
	{ "stream", "STREAM", "only transactional, or only bulk", false },
	{ "default", NULL, "everything that no other route matches", false },
	{ "bounces", NULL, "bounces and reports: what has no sender", false },
	{ "name", "NAME", "how it is called", false },
	{ "note", "TEXT", "for people", false },
	{ NULL, NULL, NULL, false },
};

/* "from @a.example, stream bulk", or what else it matches. */
static struct str
rule_words(struct cli *c, const struct json *r)
{
	static const char *const names[] = { "account", "from", "to", "stream" };
	struct str out = STR("");

	if (cli_call_flag(r, "default"))
		return STR("everything else");
	if (cli_call_flag(r, "bounces"))
		return STR("bounces and reports");
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct str v = cli_call_joined(c, r, names[i]);
		if (v.n != 0)
			out = arena_strf(&c->arena, "%.*s%s%s %.*s", STR_ARG(out),
			    out.n != 0 ? ", " : "", names[i], STR_ARG(v));
	}
	return out;
}

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/routes"), &doc);
	struct cli_table t;

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c,
		    "There is no route; the first relay that is added becomes the default one.\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ID", CLI_RIGHT);
	cli_table_column(&t, "MAIL", CLI_ELASTIC);
	cli_table_column(&t, "GOES THROUGH", CLI_LEFT);
	cli_table_column(&t, "NAME", CLI_LEFT);
	cli_table_column(&t, "NOTE", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "id"));
		cli_table_cell(&t, CLI_PLAIN, rule_words(c, r));
		cli_table_cell(&t, CLI_BOLD, cli_call_text(c, r, "relay"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "name"));
		cli_table_cell(&t, CLI_DIM, cli_call_text(c, r, "note"));
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

/* POST or PATCH with what the options say. */
static int
send_fields(struct cli *c, const char *method, struct str path, struct json **doc)
{
	struct json_writer w;
	struct buf body;
	size_t n = 0;
	int status = CLI_USAGE;

	buf_init(&body, 1 << 20);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (cli_fields_write(c, &w, fields, COUNT_OF(fields), &n)) {
		json_writer_end(&w);
		json_writer_done(&w);
		struct cli_request r = { .method = method, .path = path, .body = buf_str(&body) };
		status =
		    n != 0 ? cli_call(c, &r, doc)
			   : cli_screen_fail(CLI_USAGE, "say what to change, such as --relay NAME");
	}
	buf_done(&body);
	return status;
}

static void
say(struct cli *c, const struct json *doc, const char *done)
{
	struct str id = cli_call_text(c, doc, "id"), rule = rule_words(c, doc);

	cli_screen_wrapped(c,
	    arena_strf(&c->arena, "Route %.*s is %s: %.*s goes through %.*s.", STR_ARG(id), done,
		STR_ARG(rule), STR_ARG(cli_call_text(c, doc, "relay"))),
	    0);
}

static int
run_add(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;

	if (!cli_option_is_given(&c->args, "relay"))
		return cli_screen_fail(
		    CLI_USAGE, "--relay NAME is missing: through which relay does the mail go?");
	if (cli_option_count(&c->args, rule_options) < 2)
		return cli_screen_fail(CLI_USAGE,
		    "say which mail goes there: --from, --to, --stream or --account, --bounces, or --default "
		    "for everything else");
	int status = send_fields(c, "POST", STR("/routes"), &doc);
	if (status == CLI_DONE && !c->json)
		say(c, doc, "added");
	return status;
}

static int
run_edit(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status =
	    send_fields(c, "PATCH", cli_call_path(c, "/routes/", c->args.words[0], ""), &doc);

	if (status == CLI_DONE && !c->json)
		say(c, doc, "changed");
	return status;
}

static int
run_remove(struct cli *c)
{
	const char *id = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/routes/", id, ""), (struct str){ 0 },
	    "Route %s is removed.", id);
}

static void
say_way(struct cli *c, const struct json *doc)
{
	struct str refusal = cli_call_text(c, doc, "refusal"), why = cli_call_text(c, doc, "why");

	if (str_eq(refusal, STR("capture"))) {
		cli_screen_add(c, CLI_WARN, STR("Is kept and not sent"));
	} else if (refusal.n != 0) {
		cli_screen_add(c, CLI_BAD, STR("Goes nowhere"));
	} else {
		cli_screen_add(c, CLI_GOOD,
		    arena_strf(&c->arena, "Goes through %.*s@%lld",
			STR_ARG(cli_call_text(c, doc, "relay")),
			(long long)cli_call_number(doc, "version")));
		cli_screen_print(c, " by route %.*s", STR_ARG(cli_call_text(c, doc, "route")));
		if (cli_call_flag(doc, "rewritten")) {
			cli_screen_print(c, ", sent as ");
			cli_screen_add(c, CLI_PLAIN, cli_call_text(c, doc, "sender"));
		}
	}
	cli_screen_print(c, "\n");
	if (why.n != 0)
		cli_screen_wrapped(c, why, 2);
}

static int
run_test(struct cli *c)
{
	static const struct cli_field test_fields[] = {
		{ "from", "from", CLI_FIELD_TEXT },
		{ "to", "to", CLI_FIELD_TEXT },
		{ "account", "account", CLI_FIELD_TEXT },
		{ "stream", "stream", CLI_FIELD_TEXT },
	};
	AUTO(json_free) struct json *doc = NULL;
	struct json_writer w;
	struct buf body;
	size_t n;

	if (!cli_option_is_given(&c->args, "from") || !cli_option_is_given(&c->args, "to"))
		return cli_screen_fail(CLI_USAGE, "give --from ADDRESS and --to ADDRESS");
	buf_init(&body, 1 << 20);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	(void)cli_fields_write(c, &w, test_fields, COUNT_OF(test_fields), &n);
	json_writer_end(&w);
	json_writer_done(&w);
	struct cli_request r = {
		.method = "POST", .path = STR("/routes/test"), .body = buf_str(&body)
	};
	int status = cli_call(c, &r, &doc);
	buf_done(&body);
	if (status != CLI_DONE || c->json)
		return status;
	say_way(c, doc);
	return CLI_DONE;
}

static const struct cli_option test_options[] = {
	{ "from", "ADDRESS", "the envelope sender", false },
	{ "to", "ADDRESS", "the recipient", false },
	{ "account", "ACCOUNT", "whose mail it is", false },
	{ "stream", "STREAM", "transactional or bulk", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list the routes", NULL, "posthouse route list", NULL, run_list },
	{ "add", NULL, 0, 0, "send some mail through another relay",
	    "All that is given must hold; the route with the most such conditions wins.",
	    "posthouse route add --relay bulk --stream bulk", rule_options, run_add },
	{ "edit", "ID", 1, 1, "change a route",
	    "Refused when it would move mail that waits or is being sent: that is a changeover.",
	    "posthouse route edit 3 --relay other", rule_options, run_edit },
	{ "remove", "ID", 1, 1, "remove a route", NULL, "posthouse route remove 3", NULL,
	    run_remove },
	{ "test", NULL, 0, 0, "say which relay would carry a message, and why", NULL,
	    "posthouse route test --from shop@example.com --to reader@example.org", test_options,
	    run_test },
};

const struct cli_noun cli_route_noun = { "route", "which mail goes through which relay", commands,
	COUNT_OF(commands) };
