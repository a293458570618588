/* `posthouse queue`: what waits, and what a person may do about it. */
#include <string.h>

#include "cli/private.h"
#include "cli/text.h"
#include "cli/words.h"
#include "codec/json_writer.h"

#define SELECTOR_HELP                                                                                \
	"SELECTOR is all, the id of a message or recipient, or words that must all hold: account=A " \
	"from=A@D|@D to=A@D|@D stream=S relay=R state=S tag=T."

/* ---- show ---- */

static void
show_lanes(struct cli *c, const struct json *doc)
{
	const struct json *lanes = json_at(doc, "lanes");
	struct cli_table t;

	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "STREAM", CLI_LEFT);
	cli_table_column(&t, "WAITING", CLI_RIGHT);
	cli_table_column(&t, "OLDEST", CLI_LEFT);
	for (size_t i = 0; i < json_count(lanes); i++) {
		const struct json *l = json_item(lanes, i);
		struct buf n;
		buf_init(&n, 64);
		cli_words_count(&n, (uint64_t)cli_call_number(l, "queued"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, l, "stream"));
		cli_table_cell(&t, CLI_PLAIN, arena_str(&c->arena, buf_str(&n)));
		cli_table_cell(&t, CLI_PLAIN, cli_screen_ago(c, cli_call_text(c, l, "oldest_at")));
		buf_done(&n);
	}
	cli_screen_table(c, &t);
}

/* The four words of a group's key (account, stream, recipient domain, sender; "*" for any) as
 * people would say them. */
static struct str
group_words(struct cli *c, struct str key)
{
	static const char *const names[] = { "account", "stream", "to", "from" };
	struct str out = STR(""), word;

	for (size_t i = 0; i < COUNT_OF(names) && str_cut(&key, ' ', &word); i++) {
		if (str_eq(word, STR("*")))
			continue;
		out = arena_strf(&c->arena, "%.*s%s%s %.*s", STR_ARG(out), out.n != 0 ? ", " : "",
		    names[i], STR_ARG(word));
	}
	return out.n != 0 ? out : STR("everything else");
}

static void
show_groups(struct cli *c, const struct json *doc)
{
	const struct json *groups = json_at(doc, "groups");
	struct cli_table t;

	if (json_count(groups) == 0)
		return;
	cli_screen_print(c, "\n");
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "MAIL", CLI_ELASTIC);
	cli_table_column(&t, "RELAY", CLI_LEFT);
	cli_table_column(&t, "WAITING", CLI_RIGHT);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "WHY", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(groups); i++) {
		const struct json *g = json_item(groups, i);
		bool open = cli_call_flag(g, "open");
		struct str relay = cli_call_text(c, g, "relay");
		cli_table_cell(&t, CLI_PLAIN, group_words(c, cli_call_text(c, g, "key")));
		cli_table_cell(&t, CLI_PLAIN, relay.n != 0 ? relay : STR("none"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, g, "queued"));
		cli_table_cell(&t, open ? CLI_GOOD : CLI_WARN, open ? STR("open") : STR("closed"));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, g, "why"));
	}
	cli_screen_table(c, &t);
}

static int
run_show(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, STR("/queue"), &doc);

	if (status != CLI_DONE || c->json)
		return status;
	show_lanes(c, doc);
	show_groups(c, doc);
	return CLI_DONE;
}

/* ---- list ---- */

/* The state that was asked for; NULL and said: two of them. */
static bool
read_state(struct cli *c, const char **out)
{
	static const struct {
		const char *option, *state;
	} rows[] = {
		{ "queued", "queued" },
		{ "held", "held" },
		{ "in-doubt", "in_doubt" },
		{ "captured", "captured" },
	};
	size_t n = 0;

	*out = NULL;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (!cli_option_is_given(&c->args, rows[i].option))
			continue;
		*out = rows[i].state;
		n++;
	}
	if (n < 2)
		return true;
	cli_screen_fail(
	    CLI_USAGE, "give one of --queued, --held, --in-doubt and --captured, or none");
	return false;
}

static int
run_list(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	static const char *const filters[] = { "from", "to", "tag" };
	struct str path = STR("/queue/recipients");
	const char *state;
	struct cli_table t;

	if (!read_state(c, &state) || !cli_call_page(c, &path))
		return CLI_USAGE;
	for (size_t i = 0; i < COUNT_OF(filters); i++)
		path = cli_call_query(c, path, filters[i], cli_option_get(&c->args, filters[i]));
	int status = cli_call_get(c, cli_call_query(c, path, "state", state), &doc);
	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c, "Nothing waits.\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ID", CLI_LEFT);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "DUE", CLI_LEFT);
	cli_table_column(&t, "TRIES", CLI_RIGHT | CLI_WIDE);
	cli_table_column(&t, "FROM", CLI_ELASTIC | CLI_WIDE);
	cli_table_column(&t, "TO", CLI_ELASTIC);
	cli_table_column(&t, "WHY", CLI_ELASTIC | CLI_WIDE);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		struct str s = cli_call_text(c, r, "state"), due = cli_call_text(c, r, "due_at");
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "id"));
		cli_table_cell(&t, cli_message_state_style(s), cli_message_state_words(c, s));
		cli_table_cell(&t, CLI_PLAIN, cli_screen_ago(c, due));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "attempts"));
		cli_table_cell(&t, CLI_PLAIN, cli_message_sender(c, r));
		cli_table_cell(&t, CLI_PLAIN, cli_call_text(c, r, "address"));
		cli_table_cell(&t, CLI_DIM, cli_call_text(c, r, "why"));
	}
	cli_screen_table(c, &t);
	cli_call_more(c, doc, STR(""));
	return CLI_DONE;
}

/* ---- changes ---- */

int
cli_queue_say_done(struct cli *c, const struct json *doc, const char *verb)
{
	static const struct {
		const char *verb, *words;
	} rows[] = {
		{ "hold", "held" },
		{ "release", "released" },
		{ "retry", "due now" },
		{ "cancel", "cancelled" },
	};
	int64_t matched = cli_call_number(doc, "matched"), done = cli_call_number(doc, "done");
	int64_t busy = cli_call_number(doc, "busy");
	const char *words = verb;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (strcmp(rows[i].verb, verb) == 0)
			words = rows[i].words;
	}
	if (json_at(doc, "matched") == NULL) {
		cli_screen_print(c, "Done.\n");
		return CLI_DONE;
	}
	if (matched == 0) {
		cli_screen_print(c, "Nothing that waits matches.\n");
		return CLI_DONE;
	}
	cli_words_plural(&c->out, (uint64_t)done, "recipient", "recipients");
	cli_screen_print(c, " %s", words);
	if (busy > 0)
		cli_screen_print(c, ", %lld just being sent and left alone", (long long)busy);
	if (matched - done - busy > 0)
		cli_screen_print(
		    c, ", %lld already so or done", (long long)(matched - done - busy));
	cli_screen_print(c, ".\n");
	return CLI_DONE;
}

static int
run_change(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct str selector = STR("");
	struct json_writer w;
	struct buf body;

	for (size_t i = 0; i < c->args.n_words; i++)
		selector = arena_strf(
		    &c->arena, "%.*s%s%s", STR_ARG(selector), i != 0 ? " " : "", c->args.words[i]);
	if (strcmp(c->command->verb, "cancel") == 0 && str_eq(selector, STR("all")) &&
	    !cli_option_is_given(&c->args, "yes") &&
	    !cli_screen_confirm("Cancel everything that waits? It cannot be undone."))
		return cli_screen_fail(CLI_FAILED, "nothing is cancelled");
	buf_init(&body, 1 << 20);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	json_writer_put_str(&w, "selector", selector);
	json_writer_end(&w);
	json_writer_done(&w);
	struct cli_request r = { .method = "POST",
		.path = arena_strf(&c->arena, "/queue/%s", c->command->verb),
		.body = buf_str(&body) };
	int status = cli_call(c, &r, &doc);
	buf_done(&body);
	if (status != CLI_DONE || c->json)
		return status;
	return cli_queue_say_done(c, doc, c->command->verb);
}

static int
run_resolve(struct cli *c)
{
	struct json_writer w;
	struct buf body;

	buf_init(&body, 64 << 10);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	json_writer_put_str(&w, "id", str_from(c->args.words[0]));
	json_writer_put_str(&w, "as", str_from(c->args.words[1]));
	json_writer_end(&w);
	json_writer_done(&w);
	int status = cli_call_change(c, "POST", STR("/queue/resolve"), buf_str(&body),
	    "%s is settled as %s.", c->args.words[0], c->args.words[1]);
	buf_done(&body);
	return status;
}

static const struct cli_option list_options[] = {
	{ "queued", NULL, "only what waits for its turn", false },
	{ "held", NULL, "only what is set aside", false },
	{ "in-doubt", NULL, "only where it is not known whether it arrived", false },
	{ "captured", NULL, "only what was kept because there was no relay", false },
	{ "limit", "N", "so many at most (50)", false },
	{ "from", "A@D|@D", "only of this sender or domain", false },
	{ "to", "A@D|@D", "only to this recipient or domain", false },
	{ "tag", "TAG", "only with this tag", false },
	{ "after", "PLACE", "go on where the last list ended", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_option cancel_options[] = {
	{ "yes", NULL, "do not ask", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "show", NULL, 0, 0, "what waits, by stream and by group, and why", NULL,
	    "posthouse queue show", NULL, run_show },
	{ "list", NULL, 0, 0, "list the recipients that wait", NULL,
	    "posthouse queue list --in-doubt", list_options, run_list },
	{ "hold", "SELECTOR", 1, UINT8_MAX, "set recipients aside until they are released",
	    SELECTOR_HELP, "posthouse queue hold from=news@example.org stream=bulk", NULL,
	    run_change },
	{ "release", "SELECTOR", 1, UINT8_MAX, "send held or captured recipients after all",
	    SELECTOR_HELP, "posthouse queue release state=captured to=@example.org", NULL,
	    run_change },
	{ "retry", "SELECTOR", 1, UINT8_MAX, "try recipients at once", SELECTOR_HELP,
	    "posthouse queue retry to=@example.org", NULL, run_change },
	{ "cancel", "SELECTOR", 1, UINT8_MAX, "take recipients back; they are not sent",
	    SELECTOR_HELP, "posthouse queue cancel tag=wrong-price", cancel_options, run_change },
	{ "resolve", "ID sent|again|unknown", 2, 2, "settle a recipient in doubt",
	    "sent: it arrived. again: send it again, which may repeat it. unknown: leave it open for good.",
	    "posthouse queue resolve 01930f5c-7d2e-7b4a-9c11-5a8e2f6d0b37/1 sent", NULL,
	    run_resolve },
};

const struct cli_noun cli_queue_noun = { "queue", "what waits, and what to do about it", commands,
	COUNT_OF(commands) };
