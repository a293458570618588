/* `posthouse stats`: what went out, by hour or day. */
#include <string.h>

#include "cli/private.h"
#include "cli/words.h"

/* "2026-11-23 08:00" or the day alone, in local time. */
static struct str
period(struct cli *c, const struct json *r, bool by_day)
{
	struct str at = cli_call_text(c, r, "at");
	struct buf b;
	int64_t us;

	if (!cli_words_parse_time(at, &us))
		return at;
	if (by_day)
		return str_sub(at, 0, 10);
	buf_init(&b, 64);
	cli_words_date(&b, us);
	struct str out = arena_str(&c->arena, str_sub(buf_str(&b), 0, 16));
	buf_done(&b);
	return out;
}

static int
run_stats(struct cli *c)
{
	static const struct {
		const char *title, *path;
		enum cli_style style;
	} columns[] = {
		{ "SENT", "sent", CLI_GOOD },
		{ "DEFERRED", "deferred", CLI_WARN },
		{ "BOUNCED", "bounced", CLI_BAD },
		{ "IN DOUBT", "in_doubt", CLI_WARN },
		{ "OTHER", "other", CLI_WARN },
	};
	const char *by = cli_option_get(&c->args, "by");
	AUTO(json_free) struct json *doc = NULL;
	struct str path = STR("/stats"), since = STR("");
	struct cli_table t;

	if (by != NULL && strcmp(by, "hour") != 0 && strcmp(by, "day") != 0)
		return cli_screen_fail(CLI_USAGE, "--by %s: write hour or day", by);
	if (cli_option_is_given(&c->args, "since")) {
		since = cli_input_time(c, "since", false);
		if (since.n == 0)
			return CLI_USAGE;
	}
	path = cli_call_query(c, path, "relay", cli_option_get(&c->args, "relay"));
	path = cli_call_query(c, path, "by", by);
	path = cli_call_query(c, path, "since", since.n != 0 ? since.p : NULL);
	int status = cli_call_get(c, path, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c, "Nothing was sent in that time.\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, by != NULL && strcmp(by, "day") == 0 ? "DAY" : "HOUR", CLI_LEFT);
	cli_table_column(&t, "RELAY", CLI_LEFT);
	for (size_t i = 0; i < COUNT_OF(columns); i++)
		cli_table_column(&t, columns[i].title, CLI_RIGHT);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		cli_table_cell(&t, CLI_PLAIN, period(c, r, by != NULL && strcmp(by, "day") == 0));
		cli_table_cellf(&t, CLI_PLAIN, "%.*s@%lld", STR_ARG(cli_call_text(c, r, "relay")),
		    (long long)cli_call_number(r, "version"));
		for (size_t k = 0; k < COUNT_OF(columns); k++)
			cli_screen_count(c, &t, columns[k].style, r, columns[k].path);
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

static const struct cli_option options[] = {
	{ "relay", "NAME", "only of this relay", false },
	{ "by", "hour|day", "in which steps (hour)", false },
	{ "since", "TIME", "from then on: 24h, 7d, 2026-11-23", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = { { NULL, NULL, 0, 0, "what went out, by hour or day",
    NULL, "posthouse stats --by day --since 7d", options, run_stats } };

const struct cli_noun cli_stats_noun = { "stats", "what went out, by hour or day", commands,
	COUNT_OF(commands) };
