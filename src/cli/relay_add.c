/* `posthouse relay add`, `edit` and `secret`: options into a body, slips explained before they
 * travel. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/fields.h"
#include "cli/host.h"
#include "cli/private.h"
#include "codec/json_writer.h"

#define BODY_MAX (1u << 20)

const struct cli_option cli_relay_add_options[] = {
	{ "host", "HOST", "name or address of the server", false },
	{ "port", "PORT", "465 with TLS implicit, 587 with starttls, 25 with none", false },
	{ "tls", "KIND",
	    "implicit (or ssl), starttls or none; implicit unless the port says otherwise", false },
	{ "tls-name", "NAME", "name that its certificate carries, where that is not the host",
	    false },
	{ "ca-file", "FILE", "PEM file of a private CA that signed its certificate", false },
	{ "user", "USER", "user name of the login", false },
	{ "secret-file", "FILE|-", "where its secret stands; asked for on a terminal", false },
	{ "auth", "HOW",
	    "plain, login, cram-md5, scram-sha-256 or xoauth2; the strongest otherwise", false },
	{ "from", "ADDRESS|@DOMAIN", "a sender it carries; none given: all", true },
	{ "rewrite-from", "OLD=NEW", "send OLD as NEW; OLD may be @DOMAIN or *", true },
	{ "bounces", "MAILBOX", "mailbox where its bounces arrive", false },
	{ "max-connections", "N", "connections at a time at most", false },
	{ "rate", "N/s|m|h|d", "messages in a second, minute, hour or day at most", false },
	{ "daily-quota", "N", "recipients a day at most", false },
	{ "max-recipients", "N", "recipients of one message at once at most", false },
	{ "provider", "NAME", "whose replies these are; told from the host otherwise", false },
	{ "note", "TEXT", "for people", false },
	{ "allow-plaintext", "REASON", "why mail may go there without TLS, beyond loopback",
	    false },
	{ NULL, NULL, NULL, false },
};

const struct cli_option cli_relay_add_secret_options[] = {
	{ "secret-file", "FILE|-", "where the secret stands; asked for on a terminal", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_field fields[] = {
	{ "tls-name", "tls_name", CLI_FIELD_TEXT },
	{ "user", "user", CLI_FIELD_TEXT },
	{ "auth", "auth", CLI_FIELD_TEXT },
	{ "from", "from", CLI_FIELD_LIST },
	{ "rewrite-from", "rewrite_from", CLI_FIELD_PAIRS },
	{ "bounces", "bounces", CLI_FIELD_TEXT },
	{ "max-connections", "max_connections", CLI_FIELD_NUMBER },
	{ "rate", "rate", CLI_FIELD_TEXT },
	{ "daily-quota", "daily_quota", CLI_FIELD_NUMBER },
	{ "max-recipients", "max_recipients", CLI_FIELD_NUMBER },
	{ "provider", "provider", CLI_FIELD_TEXT },
	{ "note", "note", CLI_FIELD_TEXT },
	{ "allow-plaintext", "allow_plaintext", CLI_FIELD_TEXT },
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
put_host(struct cli *c, struct json_writer *w, bool complete)
{
	const struct cli_parsed *p = &c->args;
	struct cli_host h;
	struct fault f = { 0 };
	enum rc rc = cli_host_parse(
	    cli_option_get(p, "host"), cli_option_get(p, "port"), cli_option_get(p, "tls"), &h, &f);

	if (rc == RC_OK && complete)
		rc = cli_host_complete(&h, &f);
	if (rc != RC_OK) {
		cli_screen_fail(CLI_USAGE, "%s", f.text);
		return false;
	}
	if (h.host.n != 0)
		json_writer_put_str(w, "host", h.host);
	if (h.port != 0)
		json_writer_put_uint(w, "port", h.port);
	if (h.tls != NULL)
		json_writer_put_str(w, "tls", str_from(h.tls));
	return true;
}

/* Wanted when a login is given, unless it goes without one. */
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
put_all(struct cli *c, struct json_writer *w, bool adding, const char *name)
{
	const char *user = cli_option_get(&c->args, "user");
	size_t n;

	json_writer_object(w);
	if (adding)
		json_writer_put_str(w, "name", str_from(name));
	if (!put_host(c, w, adding) || !put_ca_file(c, w) ||
	    !cli_fields_write(c, w, fields, COUNT_OF(fields), &n) ||
	    !put_secret(c, w, adding && user != NULL && user[0] != '\0'))
		return false;
	json_writer_end(w);
	json_writer_done(w);
	return true;
}

static void
say_added(struct cli *c, const struct json *doc, const char *name)
{
	struct str tls = cli_call_text(c, doc, "tls");
	bool in_use = cli_call_flag(doc, "in_use");

	cli_screen_wrapped(c,
	    arena_strf(&c->arena, "Relay %s is added: %.*s, port %lld, %s%.*s.", name,
		STR_ARG(cli_call_text(c, doc, "host")), (long long)cli_call_number(doc, "port"),
		str_eq(tls, STR("none")) ? "without TLS" : "TLS ",
		STR_ARG(str_eq(tls, STR("none")) ? STR("") : tls)),
	    0);
	cli_screen_wrapped(c,
	    in_use
		? STR("Mail goes through it from now on; how it fares: posthouse status")
		: arena_strf(&c->arena,
		      "No mail goes through it yet: posthouse route add --relay %s sends some, posthouse "
		      "changeover start --to %s moves all of it, in steps and with a way back.",
		      name, name),
	    0);
}

int
cli_relay_add_run(struct cli *c)
{
	const char *name = c->args.words[0];
	AUTO(json_free) struct json *doc = NULL;
	struct json_writer w;
	struct buf body;
	int status = CLI_USAGE;

	if (!cli_option_is_given(&c->args, "host"))
		return cli_screen_fail(CLI_USAGE,
		    "--host is missing; write: posthouse relay add %s --host smtp.example.com --user U",
		    name);
	if (cli_option_is_given(&c->args, "secret-file") && !cli_option_is_given(&c->args, "user"))
		return cli_screen_fail(CLI_USAGE, "a secret belongs to a login: add --user U");
	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	if (put_all(c, &w, true, name)) {
		struct cli_request r = {
			.method = "POST", .path = STR("/relays"), .body = buf_str(&body)
		};
		status = cli_call(c, &r, &doc);
	}
	buf_wipe(&body);
	if (status != CLI_DONE || c->json)
		return status;
	say_added(c, doc, name);
	return CLI_DONE;
}

static int
say_edited(struct cli *c, const struct json *doc, const char *name)
{
	struct str hint = cli_call_text(c, doc, "hint");

	if (hint.n == 0) {
		cli_screen_print(c, "Relay %s is changed, and the change is in effect.\n", name);
		return CLI_DONE;
	}
	cli_screen_wrapped(c,
	    arena_strf(&c->arena,
		"This is kept as %s@%lld, and nothing goes through it yet: mail is moved in steps, with a way "
		"back. To use it: %.*s",
		name, (long long)cli_call_number(doc, "version"), STR_ARG(hint)),
	    0);
	return CLI_DONE;
}

int
cli_relay_add_run_edit(struct cli *c)
{
	const char *name = c->args.words[0];
	AUTO(json_free) struct json *doc = NULL;
	struct json_writer w;
	struct buf body;
	int status = CLI_USAGE;

	if (cli_option_count(&c->args, cli_relay_add_options) == 0)
		return cli_screen_fail(CLI_USAGE,
		    "say what to change, such as --note TEXT; posthouse help relay "
		    "edit lists the options");
	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	if (put_all(c, &w, false, name)) {
		struct cli_request r = { .method = "PATCH",
			.path = cli_call_path(c, "/relays/", name, ""),
			.body = buf_str(&body) };
		status = cli_call(c, &r, &doc);
	}
	buf_wipe(&body);
	return status != CLI_DONE || c->json ? status : say_edited(c, doc, name);
}

int
cli_relay_add_run_secret(struct cli *c)
{
	const char *name = c->args.words[0];
	struct json_writer w;
	struct buf body;
	int status = CLI_USAGE;

	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (put_secret(c, &w, true)) {
		json_writer_end(&w);
		json_writer_done(&w);
		status = cli_call_change(c, "POST", cli_call_path(c, "/relays/", name, "/secret"),
		    buf_str(&body), "The new secret of %s is in effect.", name);
	}
	buf_wipe(&body);
	return status;
}
