/* `posthouse relay`: the servers that mail goes out through. Adding and changing them is in
 * relay_add.c. */
#include <string.h>

#include "cli/private.h"
#include "cli/words.h"
#include "codec/json_writer.h"

enum cli_style
cli_relay_state_style(struct str state)
{
	static const char *const calm[] = { "trying", "paused", "slowed", "quota", "unknown",
		"retired" };

	if (str_eq(state, STR("ok")))
		return CLI_GOOD;
	for (size_t i = 0; i < COUNT_OF(calm); i++) {
		if (str_eq(state, str_from(calm[i])))
			return CLI_WARN;
	}
	return CLI_BAD;
}

/* The version of a relay that mail goes out through, or NULL. */
static const struct json *
current_version(const struct json *relay)
{
	const struct json *versions = json_at(relay, "versions");
	int64_t current = cli_call_number(relay, "current");

	for (size_t i = 0; i < json_count(versions); i++) {
		const struct json *v = json_item(versions, i);
		if (cli_call_number(v, "number") == current)
			return v;
	}
	return NULL;
}

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/relays"), &doc);
	struct cli_table t;

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c,
		    "There is no relay yet; mail is kept and not sent. Add one with: posthouse relay "
		    "add NAME --host H --user U\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "RELAY", CLI_LEFT);
	cli_table_column(&t, "SERVER", CLI_ELASTIC);
	cli_table_column(&t, "TLS", CLI_LEFT);
	cli_table_column(&t, "USER", CLI_ELASTIC);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "NOTE", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i), *v = current_version(r);
		struct str state = cli_call_text(c, r, "status.state");
		if (cli_call_flag(r, "paused"))
			state = STR("paused");
		if (cli_call_flag(r, "retired"))
			state = STR("retired");
		cli_table_cellf(&t, CLI_BOLD, "%.*s@%lld", STR_ARG(cli_call_text(c, r, "name")),
		    (long long)cli_call_number(r, "current"));
		cli_table_cellf(&t, CLI_PLAIN, "%.*s:%lld", STR_ARG(cli_call_text(c, v, "host")),
		    (long long)cli_call_number(v, "port"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, v, "tls"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, v, "user"));
		cli_table_cell(&t, cli_relay_state_style(state), state);
		cli_table_cell(&t, CLI_DIM, cli_call_text(c, r, "note"));
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

/* ---- show ---- */

static void
add_fact(struct cli_table *t, const char *name, struct str value)
{
	if (value.n == 0 || str_eq(value, STR("0")) || str_eq(value, STR("none")))
		return;
	cli_table_cell(t, CLI_DIM, str_from(name));
	cli_table_cell(t, CLI_PLAIN, value);
}

/* {"OLD": "NEW"} as "OLD → NEW, ..." */
static struct str
pairs_of(struct cli *c, const struct json *v, const char *path)
{
	const struct json *object = json_at(v, path), *value;
	struct str out = STR(""), key;
	void *it = NULL;

	while (object != NULL && json_next(object, &it, &key, &value))
		out = arena_strf(&c->arena, "%.*s%s%.*s becomes %.*s", STR_ARG(out),
		    out.n != 0 ? ", " : "", STR_ARG(key), STR_ARG(json_str(value)));
	return out;
}

static void
show_version(struct cli *c, const struct json *v, bool current)
{
	struct str user = cli_call_text(c, v, "user");
	struct cli_table t;

	cli_screen_print(c, "\n");
	cli_screen_add(c, CLI_BOLD,
	    arena_strf(&c->arena, "Version %lld", (long long)cli_call_number(v, "number")));
	cli_screen_print(c, "%s, made %.*s\n", current ? ", in use" : "",
	    STR_ARG(cli_screen_ago(c, cli_call_text(c, v, "created_at"))));
	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	cli_table_cell(&t, CLI_DIM, STR("Server"));
	cli_table_cellf(&t, CLI_PLAIN, "%.*s:%lld, TLS %.*s", STR_ARG(cli_call_text(c, v, "host")),
	    (long long)cli_call_number(v, "port"), STR_ARG(cli_call_text(c, v, "tls")));
	add_fact(&t, "Name in certificate", cli_call_text(c, v, "tls_name"));
	add_fact(&t, "CA file", cli_call_text(c, v, "ca_file"));
	add_fact(&t, "Plain text allowed", cli_call_text(c, v, "allow_plaintext"));
	if (user.n != 0)
		user = arena_strf(&c->arena, "%.*s, %s", STR_ARG(user),
		    cli_call_flag(v, "has_secret") ? "with a secret" : "without a secret");
	add_fact(&t, "Login", user.n != 0 ? user : STR("none"));
	struct str auth = cli_call_text(c, v, "auth");
	add_fact(&t, "Mechanism", str_eq(auth, STR("any")) ? STR("") : auth);
	struct str from = cli_call_joined(c, v, "from");
	add_fact(&t, "Carries", from.n != 0 ? from : STR("every sender"));
	add_fact(&t, "Rewrites", pairs_of(c, v, "rewrite_from"));
	add_fact(&t, "Bounces go to", cli_call_text(c, v, "bounces"));
	add_fact(&t, "Connections", cli_call_text(c, v, "max_connections"));
	add_fact(&t, "Rate", cli_call_text(c, v, "rate"));
	add_fact(&t, "Daily quota", cli_call_text(c, v, "daily_quota"));
	add_fact(&t, "Recipients at once", cli_call_text(c, v, "max_recipients"));
	add_fact(&t, "Provider", cli_call_text(c, v, "provider"));
	cli_screen_table(c, &t);
}

/* "In use since changeover 2 from main@1, 3 days ago, by ...: note" */
static void
show_past(struct cli *c, const struct json *v)
{
	const struct json *moves = json_at(v, "changeovers");
	struct str who = cli_call_text(c, v, "created_by"), why = cli_call_text(c, v, "why");

	if (who.n != 0)
		cli_screen_wrapped(c,
		    arena_strf(&c->arena, "Made by %.*s%s%.*s", STR_ARG(who),
			why.n != 0 ? ": " : "", STR_ARG(why)),
		    2);
	for (size_t i = 0; i < json_count(moves); i++) {
		const struct json *m = json_item(moves, i);
		struct str note = cli_call_text(c, m, "note");
		cli_screen_wrapped(c,
		    arena_strf(&c->arena, "Changeover %lld %s %.*s, %.*s, %.*s, by %.*s%s%.*s",
			(long long)cli_call_number(m, "id"),
			str_eq(cli_call_text(c, m, "side"), STR("new")) ? "from" : "to",
			STR_ARG(cli_call_text(c, m, "other")),
			STR_ARG(cli_call_text(c, m, "state")),
			STR_ARG(cli_screen_ago(c, cli_call_text(c, m, "started_at"))),
			STR_ARG(cli_call_text(c, m, "who")), note.n != 0 ? ": " : "",
			STR_ARG(note)),
		    2);
	}
}

static int
run_show(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, cli_call_path(c, "/relays/", c->args.words[0], ""), &doc);

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *versions = json_at(doc, "versions");
	struct str state = cli_call_text(c, doc, "status.state"),
		   note = cli_call_text(c, doc, "note");
	struct str why = cli_call_text(c, doc, "status.why"),
		   remedy = cli_call_text(c, doc, "status.remedy");
	if (cli_call_flag(doc, "paused"))
		state = STR("paused");
	if (cli_call_flag(doc, "retired"))
		state = STR("retired");
	cli_screen_add(c, CLI_BOLD,
	    arena_strf(&c->arena, "Relay %.*s", STR_ARG(cli_call_text(c, doc, "name"))));
	cli_screen_print(c, ", ");
	cli_screen_add(c, cli_relay_state_style(state), state.n != 0 ? state : STR("not used yet"));
	cli_screen_print(c, "\n");
	if (note.n != 0)
		cli_screen_wrapped(c, note, 2);
	if (why.n != 0)
		cli_screen_wrapped(c, why, 2);
	if (remedy.n != 0)
		cli_screen_wrapped(c, remedy, 2);
	for (size_t i = json_count(versions); i-- > 0;) {
		const struct json *v = json_item(versions, i);
		show_version(c, v, cli_call_number(v, "number") == cli_call_number(doc, "current"));
		show_past(c, v);
	}
	return CLI_DONE;
}

/* ---- pause, resume, remove ---- */

static int
run_pause(struct cli *c)
{
	const char *name = c->args.words[0], *why = cli_option_get(&c->args, "why");
	struct json_writer w;
	struct buf body;

	buf_init(&body, 64 << 10);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (why != NULL)
		json_writer_put_str(&w, "why", str_from(why));
	json_writer_end(&w);
	json_writer_done(&w);
	int status =
	    cli_call_change(c, "POST", cli_call_path(c, "/relays/", name, "/pause"), buf_str(&body),
		"Relay %s is paused: its mail waits. Go on with: posthouse relay resume %s", name,
		name);
	buf_done(&body);
	return status;
}

static int
run_resume(struct cli *c)
{
	const char *name = c->args.words[0];

	return cli_call_change(c, "POST", cli_call_path(c, "/relays/", name, "/resume"),
	    (struct str){ 0 }, "Relay %s carries mail again.", name);
}

static int
run_check(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct cli_request r = { .method = "POST",
		.path = cli_call_path(c, "/relays/", c->args.words[0], "/check"),
		.body = STR("{}") };
	int status;

	if (!c->json && c->width != 0) {
		cli_screen_print(
		    c, "Checking %s; this takes a few seconds ...\n", c->args.words[0]);
		(void)cli_screen_flush(c);
	}
	status = cli_call(c, &r, &doc);
	if (status != CLI_DONE)
		return status;
	if (!c->json)
		cli_check_show(c, doc);
	return (int)cli_call_number(doc, "exit_status");
}

static int
run_retire(struct cli *c)
{
	const char *name = c->args.words[0];
	bool verify = cli_option_is_given(&c->args, "verify-revoked");

	return cli_call_change(c, "POST", cli_call_path(c, "/relays/", name, "/retire"),
	    verify ? STR("{\"verify_revoked\":true}") : STR("{}"),
	    verify ? "The server no longer takes the old login of %s, and its secret is wiped here."
		   : "%s is retired: its secret is wiped here. Revoke it at the provider too.",
	    name);
}

static int
run_remove(struct cli *c)
{
	const char *name = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/relays/", name, ""),
	    (struct str){ 0 }, "Relay %s is removed.", name);
}

static const struct cli_option pause_options[] = {
	{ "why", "TEXT", "what is shown as the reason", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_option retire_options[] = {
	{ "verify-revoked", NULL, "only if the server refuses the old login", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list the relays and how they are", NULL, "posthouse relay list",
	    NULL, run_list },
	{ "show", "NAME", 1, 1, "show a relay with all its versions", NULL,
	    "posthouse relay show main", NULL, run_show },
	{ "add", "NAME", 1, 1, "add a server that mail goes out through",
	    "The first relay becomes the one of the default route. The secret is never given on the command "
	    "line.",
	    "posthouse relay add main --host smtp.example.com --tls implicit --user shop@example.com "
	    "--secret-file secret.txt --from shop@example.com",
	    cli_relay_add_options, cli_relay_add_run },
	{ "edit", "NAME", 1, 1, "change a relay",
	    "Notes and limits take effect at once. Anything that changes where or how mail goes makes a new "
	    "version, and the command that would use it is printed.",
	    "posthouse relay edit main --max-connections 5 --rate 100/m", cli_relay_add_options,
	    cli_relay_add_run_edit },
	{ "secret", "NAME", 1, 1, "give a relay a new secret", NULL,
	    "posthouse relay secret main --secret-file new-secret.txt",
	    cli_relay_add_secret_options, cli_relay_add_run_secret },
	{ "check", "NAME[@VERSION]", 1, 1, "check the server by the way that mail takes",
	    "Name, addresses, TLS, certificate, one login, senders in use, stability; a version that "
	    "is not in use is compared with the one that is. Nothing is sent. Ends with 10 to 20 by "
	    "the stage that failed.",
	    "posthouse relay check main", NULL, run_check },
	{ "probe", "NAME[@VERSION]", 1, 1, "prove that mail through a relay arrives",
	    "Sends a real message from each sender that the relay lists to each mailbox that is for probes, "
	    "and looks for it there over IMAP: in the inbox, in junk, or nowhere. Where the relay names a "
	    "mailbox for bounces, one more goes to an address that does not exist, and its report has to "
	    "come home. Exit status 10 to 19 names the stage that failed.",
	    "posthouse relay probe main --to home", cli_probe_options, cli_probe_run },
	{ "pause", "NAME", 1, 1, "send nothing through a relay; its mail waits", NULL,
	    "posthouse relay pause main --why \"moving house\"", pause_options, run_pause },
	{ "resume", "NAME", 1, 1, "send through a paused relay again", NULL,
	    "posthouse relay resume main", NULL, run_resume },
	{ "retire", "NAME[@VERSION]", 1, 1, "wipe the secret of a relay that is no longer used",
	    "Its history stays. With --verify-revoked the old login is tried once, and the secret is kept "
	    "unless the server refuses it.",
	    "posthouse relay retire old --verify-revoked", retire_options, run_retire },
	{ "remove", "NAME", 1, 1, "forget a relay that no route names", NULL,
	    "posthouse relay remove old", NULL, run_remove },
};

const struct cli_noun cli_relay_noun = { "relay", "the servers that mail goes out through",
	commands, COUNT_OF(commands) };
