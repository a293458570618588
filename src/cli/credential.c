/* `posthouse credential`: who may hand mail in by SMTP. A generated secret is shown once, with
 * everything a person types into the application that is to use it. */
#include <string.h>

#include "cli/fields.h"
#include "cli/private.h"
#include "codec/json_writer.h"

#define BODY_MAX (1u << 20)

static const struct cli_field fields[] = {
	{ "account", "account", CLI_FIELD_TEXT },
	{ "from", "from", CLI_FIELD_LIST },
	{ "network", "networks", CLI_FIELD_LIST },
	{ "stream", "stream", CLI_FIELD_TEXT },
	{ "options", "options", CLI_FIELD_LIST },
	{ "note", "note", CLI_FIELD_TEXT },
};

static const struct cli_option set_options[] = {
	{ "account", "ACCOUNT", "whose mail it is (local)", false },
	{ "from", "ADDRESS|@DOMAIN", "a sender it may use; none given: any", true },
	{ "network", "CIDR", "a network it may come from; none given: any", true },
	{ "stream", "STREAM", "its mail is transactional, or bulk, unless a message says otherwise",
	    false },
	{ "options", "LIST",
	    "which X-Posthouse options it may set: stream,tag,doubt,deadline,send-at", true },
	{ "secret-file", "FILE|-", "take over this secret instead of making one", false },
	{ "note", "TEXT", "for people", false },
	{ NULL, NULL, NULL, false },
};

static struct str
or_any(struct str s)
{
	return s.n != 0 ? s : STR("any");
}

/* "active", or why it is not. */
static struct str
state_of(struct cli *c, const struct json *r)
{
	const struct json *paused = json_at(r, "paused");

	if (paused == NULL || (json_kind(paused) == JSON_KIND_BOOL && !json_bool(paused)))
		return STR("active");
	struct str why = json_kind(paused) == JSON_KIND_STR ? json_str(paused)
							    : cli_call_text(c, r, "paused_why");
	if (json_kind(paused) == JSON_KIND_STR && why.n == 0)
		return STR("active");
	return why.n != 0 ? arena_strf(&c->arena, "paused: %.*s", STR_ARG(why)) : STR("paused");
}

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct str path = STR("/credentials"), last = STR("");
	struct cli_table t;

	if (!cli_call_page(c, &path))
		return CLI_USAGE;
	int status = cli_call_get(c, path, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c,
		    "There is no credential; trusted networks may hand mail in without one. Add one "
		    "with: posthouse credential add USER\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "USER", CLI_LEFT);
	cli_table_column(&t, "ACCOUNT", CLI_LEFT);
	cli_table_column(&t, "SENDERS", CLI_ELASTIC);
	cli_table_column(&t, "NETWORKS", CLI_ELASTIC);
	cli_table_column(&t, "STREAM", CLI_LEFT);
	cli_table_column(&t, "STATE", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		struct str state = state_of(c, r);
		last = cli_call_text(c, r, "user");
		cli_table_cell(&t, CLI_BOLD, last);
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "account"));
		cli_table_cell(&t, CLI_PLAIN, or_any(cli_call_joined(c, r, "from")));
		cli_table_cell(&t, CLI_PLAIN, or_any(cli_call_joined(c, r, "networks")));
		cli_table_cell(&t, CLI_PLAIN, or_any(cli_call_text(c, r, "stream")));
		cli_table_cell(&t, str_eq(state, STR("active")) ? CLI_GOOD : CLI_WARN, state);
	}
	cli_screen_table(c, &t);
	cli_call_more(c, doc, last);
	return CLI_DONE;
}

static void
show_facts(struct cli *c, const struct json *r)
{
	const struct {
		const char *name;
		struct str value;
	} rows[] = {
		{ "User", cli_call_text(c, r, "user") },
		{ "Account", cli_call_text(c, r, "account") },
		{ "State", state_of(c, r) },
		{ "Senders", or_any(cli_call_joined(c, r, "from")) },
		{ "Networks", or_any(cli_call_joined(c, r, "networks")) },
		{ "Stream", or_any(cli_call_text(c, r, "stream")) },
		{ "Options", cli_call_joined(c, r, "options") },
		{ "Note", cli_call_text(c, r, "note") },
		{ "Made", cli_screen_ago(c, cli_call_text(c, r, "created_at")) },
	};
	struct cli_table t;

	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (rows[i].value.n == 0)
			continue;
		cli_table_cell(&t, CLI_DIM, str_from(rows[i].name));
		cli_table_cell(&t, CLI_PLAIN, rows[i].value);
	}
	cli_screen_table(c, &t);
}

static int
run_show(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, cli_call_path(c, "/credentials/", c->args.words[0], ""), &doc);

	if (status == CLI_DONE && !c->json)
		show_facts(c, doc);
	return status;
}

/* ---- add ---- */

/* Where the application sends to: one line for each kind of listener. */
static void
add_listeners(struct cli *c, struct cli_table *t)
{
	struct cli_request r = { .path = STR("/status"), .aside = true };
	AUTO(json_free) struct json *doc = NULL;

	if (cli_call(c, &r, &doc) != CLI_DONE)
		return;
	const struct json *listeners = json_at(doc, "listeners");
	for (size_t i = 0; i < json_count(listeners); i++) {
		const struct json *l = json_item(listeners, i);
		struct str kind = cli_call_text(c, l, "kind"), at = cli_call_text(c, l, "address");
		size_t colon = str_find_last(at, ':');
		struct str host = str_sub(at, 0, colon);
		bool smtp = str_eq(kind, STR("smtp"));
		if ((!smtp && !str_eq(kind, STR("smtps"))) || colon == at.n)
			continue;
		/* Listening everywhere: by name. */
		if (str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("[::]")))
			host = cli_call_text(c, doc, "hostname");
		cli_table_cell(t, CLI_DIM, STR("Server"));
		cli_table_cellf(t, CLI_PLAIN, "%.*s, port %.*s, %s", STR_ARG(host),
		    STR_ARG(str_skip(at, colon + 1)),
		    smtp ? "encryption STARTTLS" : "encryption SSL/TLS (implicit)");
	}
}

static void
show_added(struct cli *c, const struct json *doc)
{
	struct str secret = cli_call_text(c, doc, "secret");
	struct cli_table t;

	cli_screen_print(c, "Put this into the application%s:\n\n",
	    secret.n != 0 ? "; the secret is not shown again" : "");
	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_LEFT);
	add_listeners(c, &t);
	cli_table_cell(&t, CLI_DIM, STR("User"));
	cli_table_cell(&t, CLI_BOLD, cli_call_text(c, doc, "user"));
	cli_table_cell(&t, CLI_DIM, STR("Password"));
	if (secret.n != 0)
		cli_table_cell(&t, CLI_BOLD, secret);
	else
		cli_table_cell(&t, CLI_PLAIN, STR("the one it has now"));
	cli_screen_table(c, &t);
}

/* A body of the fields given, and the secret where one is taken over. */
static bool
make_body(struct cli *c, struct buf *body, const char *user, size_t *n_out)
{
	struct json_writer w;
	struct buf secret;
	bool ok = true;

	json_writer_init(&w, body);
	json_writer_object(&w);
	if (user != NULL)
		json_writer_put_str(&w, "user", str_from(user));
	if (!cli_fields_write(c, &w, fields, COUNT_OF(fields), n_out))
		return false;
	if (cli_option_is_given(&c->args, "secret-file")) {
		ok = cli_secret_read(c, "Secret", &secret);
		if (ok)
			json_writer_put_str(&w, "secret", buf_str(&secret));
		buf_wipe(&secret);
		(*n_out)++;
	}
	if (ok) {
		json_writer_end(&w);
		json_writer_done(&w);
	}
	return ok;
}

static int
run_add(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct buf body;
	size_t n;
	int status = CLI_USAGE;

	buf_init(&body, BODY_MAX);
	if (make_body(c, &body, c->args.words[0], &n)) {
		struct cli_request r = {
			.method = "POST", .path = STR("/credentials"), .body = buf_str(&body)
		};
		status = cli_call(c, &r, &doc);
	}
	buf_wipe(&body);
	if (status == CLI_DONE && !c->json)
		show_added(c, doc);
	return status;
}

static int
run_edit(struct cli *c)
{
	const char *user = c->args.words[0];
	struct buf body;
	size_t n = 0;
	int status = CLI_USAGE;

	buf_init(&body, BODY_MAX);
	if (make_body(c, &body, NULL, &n)) {
		if (n == 0)
			status = cli_screen_fail(
			    CLI_USAGE, "say what to change, such as --from ADDRESS");
		else
			status =
			    cli_call_change(c, "PATCH", cli_call_path(c, "/credentials/", user, ""),
				buf_str(&body), "Credential %s is changed.", user);
	}
	buf_wipe(&body);
	return status;
}

static int
run_pause(struct cli *c)
{
	const char *user = c->args.words[0], *why = cli_option_get(&c->args, "why");
	struct json_writer w;
	struct buf body;

	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (why != NULL)
		json_writer_put_str(&w, "why", str_from(why));
	json_writer_end(&w);
	json_writer_done(&w);
	int status = cli_call_change(c, "POST", cli_call_path(c, "/credentials/", user, "/pause"),
	    buf_str(&body),
	    "Credential %s is paused: it hands nothing in until: posthouse credential resume %s",
	    user, user);
	buf_done(&body);
	return status;
}

static int
run_resume(struct cli *c)
{
	const char *user = c->args.words[0];

	return cli_call_change(c, "POST", cli_call_path(c, "/credentials/", user, "/resume"),
	    (struct str){ 0 }, "Credential %s may hand mail in again.", user);
}

static int
run_remove(struct cli *c)
{
	const char *user = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/credentials/", user, ""),
	    (struct str){ 0 }, "Credential %s is removed.", user);
}

static const struct cli_option list_options[] = {
	{ "limit", "N", "so many at most (50)", false },
	{ "after", "USER", "go on behind this one", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_option pause_options[] = {
	{ "why", "TEXT", "what is shown as the reason", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list the credentials", NULL, "posthouse credential list",
	    list_options, run_list },
	{ "show", "USER", 1, 1, "show a credential; its secret cannot be shown", NULL,
	    "posthouse credential show shop", NULL, run_show },
	{ "add", "USER", 1, 1, "let an application hand mail in",
	    "The secret is made and shown once; with --secret-file the application keeps the one it has.",
	    "posthouse credential add shop --from @shop.example --network 10.0.0.0/8", set_options,
	    run_add },
	{ "edit", "USER", 1, 1, "change what a credential may do", NULL,
	    "posthouse credential edit shop --from shop@shop.example --from news@shop.example",
	    set_options, run_edit },
	{ "pause", "USER", 1, 1, "stop a credential at once", NULL,
	    "posthouse credential pause shop", pause_options, run_pause },
	{ "resume", "USER", 1, 1, "let a paused credential go on", NULL,
	    "posthouse credential resume shop", NULL, run_resume },
	{ "remove", "USER", 1, 1, "forget a credential", NULL, "posthouse credential remove shop",
	    NULL, run_remove },
};

const struct cli_noun cli_credential_noun = { "credential", "who may hand mail in", commands,
	COUNT_OF(commands) };
