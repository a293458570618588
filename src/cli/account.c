/* `posthouse account`: the tenants that credentials belong to. */
#include "cli/fields.h"
#include "cli/private.h"
#include "codec/json_writer.h"

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/accounts"), &doc);
	struct cli_table t;

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(
		    c, "There is no account; add one with: posthouse account add NAME\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ACCOUNT", CLI_LEFT);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "ACCEPTED", CLI_RIGHT);
	cli_table_column(&t, "SENT", CLI_RIGHT);
	cli_table_column(&t, "WAITING", CLI_RIGHT);
	cli_table_column(&t, "MADE", CLI_LEFT);
	cli_table_column(&t, "NOTE", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		bool paused = cli_call_flag(r, "paused");
		cli_table_cell(&t, CLI_BOLD, cli_call_text(c, r, "name"));
		cli_table_cell(
		    &t, paused ? CLI_WARN : CLI_GOOD, paused ? STR("paused") : STR("active"));
		cli_screen_count(c, &t, CLI_PLAIN, r, "accepted");
		cli_screen_count(c, &t, CLI_PLAIN, r, "sent");
		cli_screen_count(c, &t, CLI_PLAIN, r, "queued");
		cli_table_cell(&t, CLI_PLAIN, cli_screen_ago(c, cli_call_text(c, r, "created_at")));
		cli_table_cell(&t, CLI_DIM, cli_call_text(c, r, "note"));
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

static int
run_add(struct cli *c)
{
	const char *name = c->args.words[0];
	struct json_writer w;
	struct buf body;

	buf_init(&body, 1 << 16);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	json_writer_put_str(&w, "name", str_from(name));
	json_writer_end(&w);
	json_writer_done(&w);
	int status = cli_call_change(c, "POST", STR("/accounts"), buf_str(&body),
	    "Account %s is added. Let something hand in its mail: posthouse credential add USER --account %s",
	    name, name);
	buf_done(&body);
	return status;
}

static int
run_edit(struct cli *c)
{
	static const struct cli_field fields[] = {
		{ "name", "name", CLI_FIELD_TEXT },
		{ "paused", "paused", CLI_FIELD_FLAG },
		{ "note", "note", CLI_FIELD_TEXT },
	};
	const char *name = c->args.words[0];
	struct json_writer w;
	struct buf body;
	size_t n = 0;
	int status = CLI_USAGE;

	buf_init(&body, 1 << 16);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (cli_fields_write(c, &w, fields, COUNT_OF(fields), &n) && n != 0) {
		json_writer_end(&w);
		json_writer_done(&w);
		status = cli_call_change(c, "PATCH", cli_call_path(c, "/accounts/", name, ""),
		    buf_str(&body), "Account %s is changed.", name);
	} else if (n == 0) {
		status =
		    cli_screen_fail(CLI_USAGE, "say what to change: --name NEW or --paused yes|no");
	}
	buf_done(&body);
	return status;
}

static int
run_remove(struct cli *c)
{
	const char *name = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/accounts/", name, ""),
	    (struct str){ 0 }, "Account %s is removed.", name);
}

static const struct cli_option edit_options[] = {
	{ "name", "NEW", "another name", false },
	{ "paused", "yes|no", "whether its mail is refused", false },
	{ "note", "TEXT", "for people", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list the accounts", NULL, "posthouse account list", NULL, run_list },
	{ "add", "NAME", 1, 1, "add an account", NULL, "posthouse account add shop", NULL,
	    run_add },
	{ "edit", "NAME", 1, 1, "rename or pause an account", NULL,
	    "posthouse account edit shop --paused yes", edit_options, run_edit },
	{ "remove", "NAME", 1, 1, "remove an account without credentials", NULL,
	    "posthouse account remove shop", NULL, run_remove },
};

const struct cli_noun cli_account_noun = { "account", "tenants, which credentials belong to",
	commands, COUNT_OF(commands) };
