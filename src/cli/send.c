/* `posthouse send`: one message, made of its parts or handed in as it is. */
#include <string.h>

#include "cli/private.h"
#include "cli/raw.h"
#include "codec/base64.h"
#include "codec/json_writer.h"

#define MESSAGE_MAX (64u << 20)
#define BODY_MAX    (128u << 20)

/* ---- composed ---- */

/* An option that may be given several times and hold several addresses; the commas inside quotes
 * are the service's to judge, so only a plain list is split. */
static void
put_people(struct cli *c, struct json_writer *w, const char *option, const char *key)
{
	const char *value;
	size_t at = 0;

	if (!cli_option_is_given(&c->args, option))
		return;
	json_writer_put_array(w, key);
	while ((value = cli_option_each(&c->args, option, &at)) != NULL) {
		struct str rest = str_from(value), item;
		if (str_has_byte(rest, '"')) {
			json_writer_str(w, rest);
			continue;
		}
		while (str_cut(&rest, ',', &item)) {
			item = str_trim(item);
			if (item.n != 0)
				json_writer_str(w, item);
		}
	}
	json_writer_end(w);
}

/* Text from the command line, or with "-" from standard input. */
static bool
put_text(struct cli *c, struct json_writer *w, const char *option)
{
	const char *value = cli_option_get(&c->args, option);
	struct fault f = { 0 };
	struct buf text;

	if (value == NULL)
		return true;
	if (strcmp(value, "-") != 0) {
		json_writer_put_str(w, option, str_from(value));
		return true;
	}
	buf_init(&text, MESSAGE_MAX);
	enum rc rc = cli_input_read("-", &text, &f);
	if (rc == RC_OK)
		json_writer_put_str(w, option, buf_str(&text));
	else
		cli_screen_fail(CLI_FAILED, "%s", f.text);
	buf_done(&text);
	return rc == RC_OK;
}

static bool
put_attachment(struct json_writer *w, const char *path)
{
	struct str name = str_from(path);
	struct fault f = { 0 };
	struct buf content, text;

	buf_init(&content, MESSAGE_MAX);
	buf_init(&text, BODY_MAX);
	enum rc rc = cli_input_read(path, &content, &f);
	if (rc == RC_OK) {
		size_t slash = str_find_last(name, '/');
		base64_encode(&text, buf_str(&content));
		json_writer_object(w);
		json_writer_put_str(
		    w, "filename", slash < name.n ? str_skip(name, slash + 1) : name);
		json_writer_put_str(w, "content", buf_str(&text));
		json_writer_end(w);
	} else {
		cli_screen_fail(CLI_USAGE, "--attach: %s", f.text);
	}
	buf_done(&content);
	buf_done(&text);
	return rc == RC_OK;
}

static bool
put_attachments(struct cli *c, struct json_writer *w)
{
	const char *path;
	size_t at = 0;

	if (!cli_option_is_given(&c->args, "attach"))
		return true;
	json_writer_put_array(w, "attachments");
	while ((path = cli_option_each(&c->args, "attach", &at)) != NULL) {
		if (!put_attachment(w, path))
			return false;
	}
	json_writer_end(w);
	return true;
}

static bool
put_headers(struct cli *c, struct json_writer *w)
{
	const char *value;
	size_t at = 0;

	if (!cli_option_is_given(&c->args, "header"))
		return true;
	json_writer_put_object(w, "headers");
	while ((value = cli_option_each(&c->args, "header", &at)) != NULL) {
		struct str all = str_from(value);
		size_t colon = str_find(all, ':');
		if (colon == 0 || colon == all.n) {
			cli_screen_fail(CLI_USAGE, "--header \"%s\": NAME: VALUE is wanted", value);
			return false;
		}
		json_writer_key(w, str_trim(str_sub(all, 0, colon)));
		json_writer_str(w, str_trim(str_skip(all, colon + 1)));
	}
	json_writer_end(w);
	return true;
}

/* The options that a composed and a raw message share. */
static bool
put_options(struct cli *c, struct json_writer *w)
{
	static const char *const names[] = { "stream", "tag" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *value = cli_option_get(&c->args, names[i]);
		if (value != NULL)
			json_writer_put_str(w, names[i], str_from(value));
	}
	if (!cli_option_is_given(&c->args, "at"))
		return true;
	struct str at = cli_input_time(c, "at", true);
	if (at.n == 0)
		return false;
	json_writer_put_str(w, "scheduled_at", at);
	return true;
}

static bool
make_body(struct cli *c, struct buf *body)
{
	struct json_writer w;

	json_writer_init(&w, body);
	json_writer_object(&w);
	json_writer_put_str(&w, "from", str_from(cli_option_get(&c->args, "from")));
	put_people(c, &w, "to", "to");
	put_people(c, &w, "cc", "cc");
	put_people(c, &w, "bcc", "bcc");
	put_people(c, &w, "reply-to", "reply_to");
	if (cli_option_is_given(&c->args, "subject"))
		json_writer_put_str(&w, "subject", str_from(cli_option_get(&c->args, "subject")));
	if (!put_text(c, &w, "text") || !put_text(c, &w, "html") || !put_headers(c, &w) ||
	    !put_attachments(c, &w) || !put_options(c, &w))
		return false;
	json_writer_end(&w);
	json_writer_done(&w);
	return true;
}

static int
hand_in(struct cli *c, const struct cli_request *r)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call(c, r, &doc);

	if (status != CLI_DONE || c->json)
		return status;
	struct str id = cli_call_text(c, doc, "id");
	cli_screen_print(c, "Kept as %.*s; how it fares: posthouse message show %.*s\n",
	    STR_ARG(id), STR_ARG(id));
	return CLI_DONE;
}

static int
send_composed(struct cli *c)
{
	const char *text = cli_option_get(&c->args, "text"),
		   *html = cli_option_get(&c->args, "html");
	struct buf body;
	int status = CLI_USAGE;

	if (!cli_option_is_given(&c->args, "from") || !cli_option_is_given(&c->args, "to"))
		return cli_screen_fail(CLI_USAGE, "give --from ADDRESS and --to ADDRESS");
	if (text == NULL && html == NULL && !cli_option_is_given(&c->args, "attach"))
		return cli_screen_fail(CLI_USAGE,
		    "give the content: --text T, --html H, --attach F or --file F; "
		    "\"-\" for T or H reads standard input");
	if (text != NULL && html != NULL && strcmp(text, "-") == 0 && strcmp(html, "-") == 0)
		return cli_screen_fail(
		    CLI_USAGE, "standard input can be one of --text and --html, not both");
	buf_init(&body, BODY_MAX);
	if (make_body(c, &body)) {
		struct cli_request r = { .method = "POST",
			.path = STR("/emails"),
			.body = buf_str(&body),
			.idempotency_key = cli_option_get(&c->args, "idempotency-key") };
		status = buf_is_ok(&body) ? hand_in(c, &r)
					  : cli_screen_fail(CLI_FAILED, "the message is too large");
	}
	buf_done(&body);
	return status;
}

/* ---- as it is ---- */

/* Sender and recipients: of the options, else of the header. */
static bool
find_envelope(struct cli *c, struct str message, struct str *path)
{
	const char *from = cli_option_get(&c->args, "from"), *value;
	struct cli_raw_list to = { 0 };
	struct fault f = { 0 };
	size_t at = 0;

	if (from == NULL)
		from = cli_raw_sender(message, &c->arena).p;
	while ((value = cli_option_each(&c->args, "to", &at)) != NULL) {
		struct str rest = str_from(value), item;
		while (str_cut(&rest, ',', &item)) {
			if (str_trim(item).n != 0)
				cli_raw_add(&c->arena, &to, str_trim(item), STR(""));
		}
	}
	if (to.n == 0 && cli_raw_recipients(message, &c->arena, &to, STR(""), &f) != RC_OK) {
		cli_screen_fail(CLI_USAGE, "%s; give --to ADDRESS", f.text);
		return false;
	}
	if (from == NULL || to.n == 0) {
		cli_screen_fail(CLI_USAGE, "the message names no %s; give --%s ADDRESS",
		    from == NULL ? "sender" : "recipient", from == NULL ? "from" : "to");
		return false;
	}
	*path = cli_call_query(c, *path, "from", from);
	for (size_t i = 0; i < to.n; i++)
		*path = cli_call_query(c, *path, "to", to.v[i].p);
	*path = cli_call_query(c, *path, "stream", cli_option_get(&c->args, "stream"));
	*path = cli_call_query(c, *path, "tag", cli_option_get(&c->args, "tag"));
	return true;
}

static int
send_file(struct cli *c)
{
	static const char *const composed[] = { "subject", "text", "html", "attach", "header", "cc",
		"bcc", "reply-to", "at" };
	const char *file = cli_option_get(&c->args, "file");
	struct str path = STR("/emails");
	struct buf content, message;
	struct fault f = { 0 };
	int status = CLI_USAGE;

	for (size_t i = 0; i < COUNT_OF(composed); i++) {
		if (cli_option_is_given(&c->args, composed[i]))
			return cli_screen_fail(CLI_USAGE,
			    "--file is a whole message and is sent as it is; leave out --%s",
			    composed[i]);
	}
	buf_init(&content, MESSAGE_MAX);
	buf_init(&message, BODY_MAX);
	if (cli_input_read(file, &content, &f) != RC_OK) {
		cli_screen_fail(CLI_USAGE, "--file: %s", f.text);
	} else {
		cli_raw_normalise(&message, buf_str(&content), 0);
		struct cli_request r = { .method = "POST",
			.type = STR("message/rfc822"),
			.body = buf_str(&message),
			.idempotency_key = cli_option_get(&c->args, "idempotency-key") };
		if (find_envelope(c, r.body, &path)) {
			r.path = path;
			status = hand_in(c, &r);
		}
	}
	buf_done(&content);
	buf_done(&message);
	return status;
}

static int
run_send(struct cli *c)
{
	return cli_option_is_given(&c->args, "file") ? send_file(c) : send_composed(c);
}

static const struct cli_option options[] = {
	{ "from", "ADDRESS", "the sender, perhaps \"Name <address>\"", false },
	{ "to", "ADDRESS", "a recipient", true },
	{ "cc", "ADDRESS", "a recipient of a copy", true },
	{ "bcc", "ADDRESS", "a recipient that the others do not see", true },
	{ "reply-to", "ADDRESS", "where answers go", true },
	{ "subject", "TEXT", "the subject", false },
	{ "text", "TEXT|-", "the content as text; - reads standard input", false },
	{ "html", "HTML|-", "the content as HTML; - reads standard input", false },
	{ "attach", "FILE", "attach a file", true },
	{ "header", "NAME: VALUE", "one more header field", true },
	{ "file", "FILE|-",
	    "a whole message, sent as it is; --from and --to replace those of its header", false },
	{ "stream", "STREAM", "transactional or bulk", false },
	{ "tag", "TAG", "a word to find it by", false },
	{ "at", "TIME", "send it then: 2h, or 2026-11-23T08:00:00Z", false },
	{ "idempotency-key", "KEY", "the same key within 24 h sends nothing again", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = { { NULL, NULL, 0, 0, "send a message",
    "It is kept when the command returns; what becomes of it is told by posthouse message show.",
    "posthouse send --from me@example.com --to you@example.org --subject Hello --text \"It works.\"",
    options, run_send } };

const struct cli_noun cli_send_noun = { "send", "send a message", commands, COUNT_OF(commands) };
