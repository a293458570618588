/* `posthouse mailbox`: mailboxes that are read over IMAP, for probes and for bounces. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fields.h"
#include "cli/private.h"
#include "cli/words.h"
#include "codec/json_writer.h"

#define BODY_MAX (1u << 20)

/* What a stage that failed is as an exit status. */
int
cli_mailbox_stage_status(struct str stage)
{
	static const struct {
		struct str stage;
		int status;
	} rows[] = { { STR_INIT("settings"), 10 }, { STR_INIT("dns"), 11 },
		{ STR_INIT("connect"), 12 }, { STR_INIT("greeting"), 13 }, { STR_INIT("ehlo"), 13 },
		{ STR_INIT("tls"), 14 }, { STR_INIT("auth"), 15 }, { STR_INIT("mail"), 16 },
		{ STR_INIT("rcpt"), 17 }, { STR_INIT("data"), 18 }, { STR_INIT("dot"), 18 } };

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eq(stage, rows[i].stage))
			return rows[i].status;
	return 19;
}

/* ---- list ---- */

static void
add_state(struct cli *c, struct cli_table *t, const struct json *m)
{
	struct str trouble = cli_call_text(c, m, "trouble"),
		   looked = cli_call_text(c, m, "looked_at");

	if (trouble.n != 0)
		cli_table_cell(t, CLI_BAD, trouble);
	else if (looked.n != 0)
		cli_table_cellf(t, CLI_GOOD, "read %.*s", STR_ARG(cli_screen_ago(c, looked)));
	else
		cli_table_cell(t, CLI_DIM, STR("not read yet"));
}

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/mailboxes"), &doc);
	struct cli_table t;

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c,
		    "There is no mailbox yet, so nobody can tell whether mail arrives. Add one with: "
		    "posthouse mailbox add NAME --host H --user U\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "MAILBOX", CLI_LEFT);
	cli_table_column(&t, "ADDRESS", CLI_ELASTIC);
	cli_table_column(&t, "FOR", CLI_LEFT);
	cli_table_column(&t, "SERVER", CLI_ELASTIC | CLI_WIDE);
	cli_table_column(&t, "BOUNCES", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *m = json_item(data, i);
		cli_table_cell(&t, CLI_BOLD, cli_call_text(c, m, "name"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, m, "address"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, m, "for"));
		cli_table_cellf(&t, CLI_PLAIN, "%.*s:%lld", STR_ARG(cli_call_text(c, m, "host")),
		    (long long)cli_call_number(m, "port"));
		add_state(c, &t, m);
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

/* ---- add and edit ---- */

static const struct cli_option add_options[] = {
	{ "host", "HOST", "name of the IMAP server", false },
	{ "port", "PORT", "993 with TLS implicit, 143 with starttls", false },
	{ "tls", "KIND", "implicit (or ssl) or starttls; none only on this machine", false },
	{ "tls-name", "NAME", "name that its certificate carries, where that is not the host",
	    false },
	{ "ca-file", "FILE", "PEM file of a private CA that signed its certificate", false },
	{ "user", "USER", "user name of the login", false },
	{ "secret-file", "FILE|-", "where its secret stands; asked for on a terminal", false },
	{ "auth", "HOW", "password (also an authorization code) or xoauth2 (an access token)",
	    false },
	{ "address", "ADDRESS", "where its mail goes to; the user where that is an address",
	    false },
	{ "for", "USE", "probe, bounces or both; probe otherwise", false },
	{ "receive", "ADDRESS", "an address of ours whose mail this mailbox shows", true },
	{ "smtp-relay", "RELAY", "relay that sends as this mailbox, to prove what we receive",
	    false },
	{ "note", "TEXT", "for people", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_field fields[] = {
	{ "host", "host", CLI_FIELD_TEXT },
	{ "port", "port", CLI_FIELD_NUMBER },
	{ "tls", "tls", CLI_FIELD_TEXT },
	{ "tls-name", "tls_name", CLI_FIELD_TEXT },
	{ "user", "user", CLI_FIELD_TEXT },
	{ "auth", "auth", CLI_FIELD_TEXT },
	{ "address", "address", CLI_FIELD_TEXT },
	{ "for", "for", CLI_FIELD_TEXT },
	{ "receive", "receive", CLI_FIELD_LIST },
	{ "smtp-relay", "smtp_relay", CLI_FIELD_TEXT },
	{ "note", "note", CLI_FIELD_TEXT },
};

/* The service reads the file, and has another working directory. */
static bool
put_ca_file(struct cli *c, struct json_writer *w)
{
	const char *path = cli_option_get(&c->args, "ca-file");
	char whole[PATH_MAX];

	if (path == NULL)
		return true;
	if (path[0] != '\0' && realpath(path, whole) == NULL) {
		cli_screen_fail(
		    CLI_USAGE, "--ca-file %s cannot be read: %s", path, strerror(errno));
		return false;
	}
	json_writer_put_str(w, "ca_file", str_from(path[0] != '\0' ? whole : ""));
	return true;
}

static bool
put_secret(struct cli *c, struct json_writer *w, bool wanted)
{
	const char *user = cli_option_get(&c->args, "user");
	struct buf secret;

	if (!wanted && !cli_option_is_given(&c->args, "secret-file"))
		return true;
	bool ok = cli_secret_read(
	    c, user != NULL ? arena_strf(&c->arena, "Secret of %s", user).p : "Secret", &secret);
	if (ok)
		json_writer_put_str(w, "secret", buf_str(&secret));
	buf_wipe(&secret);
	return ok;
}

static bool
put_all(struct cli *c, struct json_writer *w, bool adding)
{
	size_t n;

	json_writer_object(w);
	if (adding)
		json_writer_put_str(w, "name", str_from(c->args.words[0]));
	if (!put_ca_file(c, w) || !cli_fields_write(c, w, fields, COUNT_OF(fields), &n) ||
	    !put_secret(c, w, adding))
		return false;
	json_writer_end(w);
	json_writer_done(w);
	return true;
}

static int
send_form(struct cli *c, bool adding, struct json **doc)
{
	struct json_writer w;
	struct buf body;
	int status = CLI_USAGE;

	buf_init(&body, BODY_MAX);
	(void)buf_reserve(&body, 65536);
	json_writer_init(&w, &body);
	if (put_all(c, &w, adding)) {
		struct cli_request r = { .method = adding ? "POST" : "PATCH",
			.path = adding ? STR("/mailboxes")
				       : cli_call_path(c, "/mailboxes/", c->args.words[0], ""),
			.body = buf_str(&body) };
		status = cli_call(c, &r, doc);
	}
	buf_wipe(&body);
	return status;
}

static int
run_add(struct cli *c)
{
	const char *name = c->args.words[0];
	AUTO(json_free) struct json *doc = NULL;

	if (!cli_option_is_given(&c->args, "host") || !cli_option_is_given(&c->args, "user"))
		return cli_screen_fail(CLI_USAGE,
		    "--host and --user are needed; write: posthouse mailbox add %s --host "
		    "imap.example.com --user me@example.com",
		    name);
	int status = send_form(c, true, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	cli_screen_wrapped(c,
	    arena_strf(&c->arena,
		"Mailbox %s is added: %.*s, port %lld, TLS %.*s, for %.*s. See whether it can be read "
		"with: posthouse mailbox check %s",
		name, STR_ARG(cli_call_text(c, doc, "host")),
		(long long)cli_call_number(doc, "port"), STR_ARG(cli_call_text(c, doc, "tls")),
		STR_ARG(cli_call_text(c, doc, "for")), name),
	    0);
	return CLI_DONE;
}

static int
run_edit(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;

	if (cli_option_count(&c->args, add_options) == 0)
		return cli_screen_fail(CLI_USAGE,
		    "say what to change, such as --secret-file FILE; posthouse help mailbox edit lists "
		    "the options");
	int status = send_form(c, false, &doc);
	if (status == CLI_DONE && !c->json)
		cli_screen_print(c, "Mailbox %s is changed.\n", c->args.words[0]);
	return status;
}

/* ---- check ---- */

static void
show_folders(struct cli *c, const struct json *doc)
{
	const struct json *folders = json_at(doc, "folders");
	struct cli_table t;

	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "FOLDER", CLI_ELASTIC);
	cli_table_column(&t, "IS", CLI_LEFT);
	cli_table_column(&t, "MESSAGES", CLI_RIGHT);
	for (size_t i = 0; i < json_count(folders); i++) {
		const struct json *f = json_item(folders, i);
		struct str role = cli_call_text(c, f, "role");
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, f, "name"));
		cli_table_cell(&t, CLI_DIM, str_eq(role, STR("none")) ? STR("") : role);
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, f, "messages"));
	}
	cli_screen_table(c, &t);
}

/* What to do about a stage that failed. */
static const char *
advice(struct str stage)
{
	if (str_eq(stage, STR("auth")))
		return "Many providers want an authorization code or an app password here and IMAP switched "
		       "on in their settings; set it with: posthouse mailbox edit NAME --secret-file F";
	if (str_eq(stage, STR("tls")) || str_eq(stage, STR("greeting")))
		return "993 is for TLS from the first byte (implicit), 143 for starttls; a private authority "
		       "is named with --ca-file.";
	if (str_eq(stage, STR("dns")) || str_eq(stage, STR("connect")))
		return "Look at --host and --port, and whether this machine may open connections to there.";
	return "";
}

static int
run_check(struct cli *c)
{
	const char *name = c->args.words[0];
	AUTO(json_free) struct json *doc = NULL;
	struct cli_request r = { .method = "POST",
		.path = cli_call_path(c, "/mailboxes/", name, "/check") };
	int status = cli_call(c, &r, &doc);

	if (status != CLI_DONE)
		return status;
	bool passed = cli_call_flag(doc, "passed");
	struct str stage = cli_call_text(c, doc, "stage");
	if (c->json)
		return passed ? CLI_DONE : cli_mailbox_stage_status(stage);
	if (!passed) {
		cli_screen_fail(CLI_FAILED, "mailbox %s cannot be read, %.*s: %.*s", name,
		    STR_ARG(stage), STR_ARG(cli_call_text(c, doc, "why")));
		cli_screen_wrapped(c, str_from(advice(stage)), 0);
		return cli_mailbox_stage_status(stage);
	}
	struct str tls = cli_call_text(c, doc, "tls");
	cli_screen_add(c, CLI_GOOD, STR("Good: "));
	cli_screen_print(c, "mailbox %s can be read%s%.*s.\n", name, tls.n != 0 ? ", inside " : "",
	    STR_ARG(tls));
	show_folders(c, doc);
	if (!cli_call_flag(doc, "has_junk"))
		cli_screen_wrapped(c,
		    STR("No folder for junk was recognised: what lands in one will be told by its name."),
		    2);
	return CLI_DONE;
}

static int
run_remove(struct cli *c)
{
	const char *name = c->args.words[0];

	return cli_call_change(c, "DELETE", cli_call_path(c, "/mailboxes/", name, ""),
	    (struct str){ 0 }, "Mailbox %s is removed; what is in it is as it was.", name);
}

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list the mailboxes and how reading them goes", NULL,
	    "posthouse mailbox list", NULL, run_list },
	{ "add", "NAME", 1, 1, "add a mailbox that is read over IMAP",
	    "For probes it shows whether mail arrives, and where; for bounces it is read by the minute, and "
	    "what is reported there is told beside each message. Nothing in it is ever changed. A mailbox "
	    "that a relay names with --bounces is read whatever it is for.",
	    "posthouse mailbox add home --host imap.example.com --user me@example.com --secret-file "
	    "code.txt --for both",
	    add_options, run_add },
	{ "edit", "NAME", 1, 1, "change a mailbox", NULL,
	    "posthouse mailbox edit home --secret-file new-code.txt", add_options, run_edit },
	{ "check", "NAME", 1, 1, "log in and look at the folders",
	    "Exit status 11 to 15 names the stage that failed: DNS, connect, greeting, TLS, login; 19 what "
	    "comes after.",
	    "posthouse mailbox check home", NULL, run_check },
	{ "remove", "NAME", 1, 1, "forget a mailbox", NULL, "posthouse mailbox remove home", NULL,
	    run_remove },
};

const struct cli_noun cli_mailbox_noun = { "mailbox",
	"mailboxes for probes and for reading bounces, over IMAP", commands, COUNT_OF(commands) };
