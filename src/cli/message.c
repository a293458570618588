/* `posthouse message`: messages and their stories. A story is told recipient by recipient: where it
 * stands in one sentence, then each attempt with all that is known of it. */
#include <string.h>

#include "cli/private.h"
#include "cli/text.h"
#include "cli/words.h"
#include "codec/rfc2047.h"

/* ---- list ---- */

/* The first one, and how many more. */
static struct str
recipients_of(struct cli *c, const struct json *m)
{
	struct str first = cli_call_joined(c, m, "to");
	int64_t n = cli_call_number(m, "recipients");

	if (n < 2 || json_count(json_at(m, "to")) > 1)
		return first;
	return arena_strf(&c->arena, "%.*s and %lld more", STR_ARG(first), (long long)n - 1);
}

static int
run_list(struct cli *c)
{
	static const char *const filters[] = { "state", "from", "to", "tag" };
	AUTO(json_free) struct json *doc = NULL;
	struct str path = STR("/emails"), last = STR("");
	struct cli_table t;

	if (!cli_call_page(c, &path))
		return CLI_USAGE;
	for (size_t i = 0; i < COUNT_OF(filters); i++)
		path = cli_call_query(c, path, filters[i], cli_option_get(&c->args, filters[i]));
	int status = cli_call_get(c, path, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c, "No messages.\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ID", CLI_LEFT);
	cli_table_column(&t, "AGE", CLI_LEFT);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "FROM", CLI_ELASTIC | CLI_WIDE);
	cli_table_column(&t, "TO", CLI_ELASTIC);
	cli_table_column(&t, "SUBJECT", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *m = json_item(data, i);
		struct str state = cli_call_text(c, m, "state");
		last = cli_call_text(c, m, "id");
		cli_table_cell(&t, CLI_PLAIN, last);
		cli_table_cell(&t, CLI_PLAIN, cli_screen_age(c, cli_call_text(c, m, "created_at")));
		cli_table_cell(&t, cli_message_state_style(state), state);
		cli_table_cell(&t, CLI_PLAIN, cli_message_sender(c, m));
		cli_table_cell(&t, CLI_PLAIN, recipients_of(c, m));
		cli_table_cell(&t, CLI_PLAIN, cli_message_subject(c, m));
	}
	cli_screen_table(c, &t);
	cli_call_more(c, doc, last);
	return CLI_DONE;
}

enum cli_style
cli_message_state_style(struct str state)
{
	static const struct {
		const char *state;
		enum cli_style style;
	} rows[] = {
		{ "sent", CLI_GOOD },
		{ "bounced", CLI_BAD },
		{ "failed", CLI_BAD },
		{ "expired", CLI_BAD },
		{ "in_doubt", CLI_WARN },
		{ "held", CLI_WARN },
		{ "captured", CLI_WARN },
		{ "unknown", CLI_WARN },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq(state, str_from(rows[i].state)))
			return rows[i].style;
	}
	return CLI_PLAIN;
}

struct str
cli_message_sender(struct cli *c, const struct json *m)
{
	struct str from = cli_call_text(c, m, "from");

	return from.n != 0 ? from : STR("<>");
}

struct str
cli_message_subject(struct cli *c, const struct json *m)
{
	struct buf b;

	buf_init(&b, 64 << 10);
	rfc2047_decode(&b, str_trim(cli_call_text(c, m, "subject")));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

/* ---- show ---- */

static void
add_fact(struct cli_table *t, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	cli_table_cell(t, CLI_DIM, str_from(name));
	cli_table_cell(t, CLI_PLAIN, value);
}

/* "2026-11-23 08:50:03 +0100, 3 min ago" */
static struct str
when(struct cli *c, struct str rfc3339)
{
	struct buf b;
	int64_t us;

	if (!cli_words_parse_time(rfc3339, &us))
		return rfc3339;
	buf_init(&b, 128);
	cli_words_date(&b, us);
	buf_add(&b, STR(", "));
	cli_words_ago(&b, us, c->now_us);
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

static struct str
size_of(struct cli *c, const struct json *m)
{
	struct buf b;

	if (json_at(m, "size") == NULL)
		return STR("");
	buf_init(&b, 64);
	cli_words_size(&b, (uint64_t)cli_call_number(m, "size"));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

static void
show_facts(struct cli *c, const struct json *m)
{
	struct str client = cli_call_text(c, m, "client"), user = cli_call_text(c, m, "credential");
	struct str state = cli_call_text(c, m, "state");
	struct cli_table t;

	cli_screen_add(
	    c, CLI_BOLD, arena_strf(&c->arena, "Message %.*s", STR_ARG(cli_call_text(c, m, "id"))));
	cli_screen_print(c, ", ");
	cli_screen_add(c, cli_message_state_style(state), cli_message_state_words(c, state));
	cli_screen_print(c, "\n\n");
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	add_fact(&t, "From", cli_message_sender(c, m));
	add_fact(&t, "To", cli_call_joined(c, m, "to"));
	add_fact(&t, "Subject", cli_message_subject(c, m));
	add_fact(&t, "Message-ID", cli_call_text(c, m, "message_id"));
	add_fact(&t, "Taken in", when(c, cli_call_text(c, m, "created_at")));
	if (client.n != 0 && user.n != 0)
		client = arena_strf(&c->arena, "%.*s, as %.*s", STR_ARG(client), STR_ARG(user));
	add_fact(&t, "By", client.n != 0 ? client : user);
	add_fact(&t, "Stream", cli_call_text(c, m, "stream"));
	add_fact(&t, "Tag", cli_call_text(c, m, "tag"));
	add_fact(&t, "Size", size_of(c, m));
	cli_screen_table(c, &t);
}

struct str
cli_message_state_words(struct cli *c, struct str state)
{
	if (str_eq(state, STR("in_doubt")))
		return STR("in doubt");
	return state.n != 0 ? state : arena_str(&c->arena, STR("of no known state"));
}

static void
add_clock(struct cli *c, struct buf *b, struct str rfc3339)
{
	int64_t us;

	if (cli_words_parse_time(rfc3339, &us))
		cli_words_clock(b, us, c->now_us);
	else
		buf_add(b, rfc3339);
}

/* Who is at fault, in words. */
static const char *
fault_words(struct str attribution)
{
	static const struct {
		const char *name, *words;
	} rows[] = {
		{ "relay", "the relay or our login there is at fault" },
		{ "identity", "the sender is not allowed there" },
		{ "recipient", "the recipient's address is at fault" },
		{ "content", "the content was refused" },
		{ "capacity", "too much or too fast: later" },
		{ "unknown", "whose fault is not known" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq(attribution, str_from(rows[i].name)))
			return rows[i].words;
	}
	return NULL;
}

/* "250 2.0.0 Ok", or what there is of it. */
static void
add_reply(struct cli *c, struct buf *b, const struct json *a)
{
	static const char *const parts[] = { "code", "enhanced", "text" };
	bool any = false;

	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		struct str part = cli_call_text(c, a, parts[i]);
		if (part.n == 0 || str_eq(part, STR("0")))
			continue;
		if (any)
			buf_add_byte(b, ' ');
		buf_add(b, part);
		any = true;
	}
	if (!any)
		buf_add(b, STR("no reply"));
}

/* Whether a conversation that ended at `stage` would have had TLS by then. */
static bool
is_beyond_tls(struct str stage)
{
	static const char *const stages[] = { "auth", "mail", "rcpt", "data", "dot" };

	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		if (str_eq(stage, str_from(stages[i])))
			return true;
	}
	return false;
}

static void
show_attempt(struct cli *c, const struct json *a)
{
	struct str stage = cli_call_text(c, a, "stage"), remote = cli_call_text(c, a, "remote");
	struct str tls = cli_call_text(c, a, "tls"), relay = cli_call_text(c, a, "relay");
	const char *fault = fault_words(cli_call_text(c, a, "attribution"));
	struct buf b;

	buf_init(&b, 64 << 10);
	add_clock(c, &b, cli_call_text(c, a, "at"));
	if (relay.n != 0)
		buf_addf(&b, "  through %.*s@%lld", STR_ARG(relay),
		    (long long)cli_call_number(a, "version"));
	if (remote.n != 0)
		buf_addf(&b, " at %.*s", STR_ARG(remote));
	if (tls.n != 0 || is_beyond_tls(stage))
		buf_addf(&b, ", %.*s", STR_ARG(tls.n != 0 ? tls : STR("without TLS")));
	if (cli_call_number(a, "duration_ms") != 0) {
		buf_add(&b, STR(", took "));
		cli_words_span(&b, cli_call_number(a, "duration_ms") * 1000);
	}
	cli_screen_wrapped(c, buf_str(&b), 2);
	buf_clear(&b);
	if (stage.n != 0)
		buf_addf(&b, "%.*s: ", STR_ARG(stage));
	add_reply(c, &b, a);
	if (fault != NULL && cli_call_number(a, "code") / 100 != 2)
		buf_addf(&b, " (%s)", fault);
	cli_screen_wrapped(c, buf_str(&b), 12);
	buf_done(&b);
}

static void
show_recipient(struct cli *c, const struct json *r)
{
	const struct json *attempts = json_at(r, "attempts");
	struct str state = cli_call_text(c, r, "state"), due = cli_call_text(c, r, "due_at");
	struct str words = cli_call_text(c, r, "words"), ago = cli_screen_ago(c, due);
	struct str delivery = cli_call_text(c, r, "delivery");

	cli_screen_print(c, "\n");
	cli_screen_add(c, CLI_BOLD, cli_call_text(c, r, "address"));
	cli_screen_print(c, ", ");
	cli_screen_add(c, cli_message_state_style(state), cli_message_state_words(c, state));
	if (str_eq(delivery, STR("bounced")))
		cli_screen_add(c, CLI_BAD, STR(", bounced later"));
	else if (str_eq(delivery, STR("delayed")))
		cli_screen_add(c, CLI_WARN, STR(", late on its further way"));
	else if (str_eq(delivery, STR("delivered")))
		cli_screen_add(c, CLI_GOOD, STR(" and delivered"));
	if (ago.n != 0)
		cli_screen_print(c, ", due %.*s", STR_ARG(ago));
	cli_screen_print(c, "\n");
	if (words.n != 0)
		cli_screen_wrapped(c, words, 2);
	for (size_t i = 0; i < json_count(attempts); i++)
		show_attempt(c, json_item(attempts, i));
}

static int
run_show(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, cli_call_path(c, "/emails/", c->args.words[0], ""), &doc);

	if (status != CLI_DONE || c->json)
		return status;
	const struct json *rcpts = json_at(doc, "recipients");
	show_facts(c, doc);
	for (size_t i = 0; i < json_count(rcpts); i++)
		show_recipient(c, json_item(rcpts, i));
	if (cli_call_flag(doc, "more_recipients"))
		cli_screen_print(c, "\nIt has more recipients than are shown here.\n");
	return CLI_DONE;
}

/* ---- changes ---- */

static int
run_change(struct cli *c)
{
	const char *verb = c->command->verb, *id = c->args.words[0];
	struct cli_request r = { .method = "POST",
		.path = cli_call_path(c, "/emails/", id, arena_strf(&c->arena, "/%s", verb).p),
		.body = STR("{}") };
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call(c, &r, &doc);

	if (status != CLI_DONE || c->json)
		return status;
	return cli_queue_say_done(c, doc, verb);
}

static const struct cli_option list_options[] = {
	{ "state", "STATE",
	    "only with a recipient that is queued, held, in_doubt, captured, sent, bounced, expired, "
	    "failed, cancelled, suppressed or unknown",
	    false },
	{ "from", "A@D|@D", "only of this sender or domain", false },
	{ "to", "A@D|@D", "only to this recipient or domain", false },
	{ "tag", "TAG", "only with this tag", false },
	{ "limit", "N", "so many at most (50)", false },
	{ "after", "ID", "go on behind this message", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "list", NULL, 0, 0, "list messages, newest first", NULL,
	    "posthouse message list --state bounced --to @example.org", list_options, run_list },
	{ "show", "ID", 1, 1, "tell the whole story of a message, attempt by attempt", NULL,
	    "posthouse message show 01930f5c-7d2e-7b4a-9c11-5a8e2f6d0b37", NULL, run_show },
	{ "cancel", "ID", 1, 1, "take back what of a message is not sent yet", NULL,
	    "posthouse message cancel 01930f5c-7d2e-7b4a-9c11-5a8e2f6d0b37", NULL, run_change },
	{ "retry", "ID", 1, 1, "try what waits of a message at once", NULL,
	    "posthouse message retry 01930f5c-7d2e-7b4a-9c11-5a8e2f6d0b37", NULL, run_change },
	{ "release", "ID", 1, 1, "send a captured or held message after all", NULL,
	    "posthouse message release 01930f5c-7d2e-7b4a-9c11-5a8e2f6d0b37", NULL, run_change },
};

const struct cli_noun cli_message_noun = { "message", "messages and their stories", commands,
	COUNT_OF(commands) };
