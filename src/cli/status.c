/* `posthouse status`: one screen, 24 lines of 80 columns: what comes in, what waits, what goes out,
 * what is wrong and what to do. Relays and problems share the lines that the terminal has left. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/changeover.h"
#include "cli/private.h"
#include "cli/text.h"
#include "cli/words.h"
#include "codec/duration.h"
#include "codec/json_writer.h"

#define WATCH_EVERY_US  2000000u
#define POLL_FIRST_US   50000u
#define POLL_MAX_US     500000u
#define LINES_OF_SCREEN 24
#define LABEL           "%-9s"

static void
add_count(struct cli *c, const struct json *doc, const char *path, const char *after)
{
	cli_words_count(&c->out, (uint64_t)cli_call_number(doc, path));
	buf_add(&c->out, str_from(after));
}

/* ---- the parts ---- */

static void
show_head(struct cli *c, const struct json *doc)
{
	struct str host = cli_call_text(c, doc, "hostname");
	struct str since = cli_call_text(c, doc, "started_at");
	int64_t started;

	cli_screen_add(c, CLI_BOLD,
	    arena_strf(&c->arena, "posthouse %.*s on %.*s",
		STR_ARG(cli_call_text(c, doc, "version")), STR_ARG(host)));
	if (cli_words_parse_time(since, &started)) {
		cli_screen_print(c, ", up ");
		cli_words_span(&c->out, c->now_us - started);
	}
	cli_screen_print(c, ": ");
	if (!cli_call_flag(doc, "accepting"))
		cli_screen_add(c, CLI_BAD, STR("refusing new mail"));
	else if (cli_call_flag(doc, "captured_mode"))
		cli_screen_add(c, CLI_WARN, STR("keeping mail, sending none"));
	else
		cli_screen_add(c, CLI_GOOD, STR("running"));
	cli_screen_print(c, "\n\n");
}

static void
show_in(struct cli *c, const struct json *doc)
{
	const struct json *listeners = json_at(doc, "listeners");
	struct str all = STR("");

	cli_screen_print(c, LABEL, "In");
	add_count(c, doc, "rates.received_per_minute", " a minute, ");
	cli_words_plural(
	    &c->out, (uint64_t)cli_call_number(doc, "totals.accepted"), "recipient", "recipients");
	cli_screen_print(c, " accepted in all\n");
	for (size_t i = 0; i < json_count(listeners); i++) {
		const struct json *l = json_item(listeners, i);
		struct str kind = cli_call_text(c, l, "kind"), at = cli_call_text(c, l, "address");
		if (str_has_byte(at, '/'))
			continue;
		all = arena_strf(&c->arena, "%.*s%s%.*s %.*s", STR_ARG(all), all.n != 0 ? ", " : "",
		    STR_ARG(kind), STR_ARG(at));
	}
	if (all.n != 0) {
		struct buf line;
		buf_init(&line, 4096);
		cli_text_add_cut(&line, cli_text_clean(&c->arena, all), 70);
		cli_screen_print(c, LABEL, "");
		cli_screen_add(c, CLI_DIM, buf_str(&line));
		cli_screen_print(c, "\n");
		buf_done(&line);
	}
}

static void
show_waits(struct cli *c, const struct json *doc)
{
	static const struct {
		const char *path, *text;
	} aside[] = {
		{ "totals.held", "held" },
		{ "totals.in_doubt", "in doubt" },
		{ "totals.captured", "captured" },
	};
	const struct json *lanes = json_at(doc, "lanes");
	bool any = false;

	cli_screen_print(c, LABEL, "Waiting");
	add_count(c, doc, "totals.queued", "");
	for (size_t i = 0; i < json_count(lanes); i++) {
		const struct json *lane = json_item(lanes, i);
		uint64_t n = (uint64_t)cli_call_number(lane, "queued");
		struct str oldest = cli_screen_ago(c, cli_call_text(c, lane, "oldest_at"));
		if (n == 0)
			continue;
		cli_screen_print(c, any ? ", " : " (");
		any = true;
		cli_screen_add(c, CLI_PLAIN, cli_call_text(c, lane, "stream"));
		cli_screen_print(c, " ");
		cli_words_count(&c->out, n);
		if (oldest.n != 0)
			cli_screen_print(c, ", oldest %.*s", STR_ARG(oldest));
	}
	cli_screen_print(c, any ? ")\n" : "\n");
	any = false;
	for (size_t i = 0; i < COUNT_OF(aside); i++) {
		uint64_t n = (uint64_t)cli_call_number(doc, aside[i].path);
		if (n == 0)
			continue;
		cli_screen_print(c, any ? ", " : "         ");
		cli_words_count(&c->out, n);
		cli_screen_print(c, " %s", aside[i].text);
		any = true;
	}
	if (any)
		cli_screen_print(c, "\n");
}

static void
show_out(struct cli *c, const struct json *doc)
{
	static const struct {
		const char *path, *text;
		enum cli_style style;
	} ends[] = {
		{ "totals.bounced", "bounced", CLI_PLAIN },
		{ "totals.expired", "expired", CLI_WARN },
		{ "totals.failed", "failed", CLI_BAD },
		{ "totals.cancelled", "cancelled", CLI_PLAIN },
		{ "totals.suppressed", "suppressed", CLI_PLAIN },
		{ "totals.unknown", "unknown", CLI_WARN },
	};

	cli_screen_print(c, LABEL, "Out");
	add_count(c, doc, "rates.sent_per_minute", " a minute, ");
	add_count(c, doc, "totals.sent", " sent in all");
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		struct buf text;
		uint64_t n = (uint64_t)cli_call_number(doc, ends[i].path);
		if (n == 0)
			continue;
		cli_screen_print(c, ", ");
		buf_init(&text, 64);
		cli_words_count(&text, n);
		buf_addf(&text, " %s", ends[i].text);
		cli_screen_add(c, ends[i].style, buf_str(&text));
		buf_done(&text);
	}
	cli_screen_print(c, "\n");
}

static void
add_relay_row(struct cli *c, struct cli_table *t, const struct json *r)
{
	struct str state = cli_call_text(c, r, "state"),
		   cap = cli_call_text(c, r, "connection_cap");
	struct buf sent;

	cli_table_cellf(t, CLI_BOLD, "%.*s@%lld", STR_ARG(cli_call_text(c, r, "name")),
	    (long long)cli_call_number(r, "version"));
	cli_table_cellf(t, CLI_PLAIN, "%.*s:%lld", STR_ARG(cli_call_text(c, r, "host")),
	    (long long)cli_call_number(r, "port"));
	cli_table_cell(t, cli_relay_state_style(state), state);
	cli_table_cellf(t, CLI_PLAIN, "%lld%s%.*s", (long long)cli_call_number(r, "connections"),
	    cap.n != 0 ? "/" : "", STR_ARG(cap));
	buf_init(&sent, 64);
	cli_words_count(&sent, (uint64_t)cli_call_number(r, "sent_today"));
	cli_table_cell(t, CLI_PLAIN, arena_str(&c->arena, buf_str(&sent)));
	buf_done(&sent);
	if (json_at(r, "latency_p95_ms") != NULL && cli_call_number(r, "sent_today") != 0)
		cli_table_cellf(
		    t, CLI_PLAIN, "%lld ms", (long long)cli_call_number(r, "latency_p95_ms"));
	else
		cli_table_cell(t, CLI_DIM, STR("-"));
}

/* Those on a route first. */
static void
show_relays(struct cli *c, const struct json *doc, size_t lines)
{
	const struct json *relays = json_at(doc, "relays");
	size_t n = json_count(relays), shown = 0, most = n <= lines || lines == 0 ? n : lines - 1;
	struct cli_table t;

	if (n == 0)
		return;
	cli_screen_print(c, "\n");
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "RELAY", CLI_LEFT);
	cli_table_column(&t, "SERVER", CLI_ELASTIC);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "CONN", CLI_RIGHT);
	cli_table_column(&t, "SENT TODAY", CLI_RIGHT);
	cli_table_column(&t, "P95", CLI_RIGHT);
	for (int in_use = 1; in_use >= 0; in_use--) {
		for (size_t i = 0; i < n && shown < most; i++) {
			const struct json *r = json_item(relays, i);
			if (cli_call_flag(r, "in_use") != (in_use != 0))
				continue;
			add_relay_row(c, &t, r);
			shown++;
		}
	}
	cli_screen_table(c, &t);
	if (shown < n)
		cli_screen_print(c, "and %zu more: posthouse relay list\n", n - shown);
}

/* "Moving   main@1 → main@2: canary 2/4, 5 % of messages; new 40 sent, 0 faults" */
static void
show_changeovers(struct cli *c, const struct json *doc)
{
	const struct json *moves = json_at(doc, "changeovers");

	for (size_t i = 0; i < json_count(moves); i++) {
		const struct json *m = json_item(moves, i);
		struct str state = cli_call_text(c, m, "state");
		double share = json_at(m, "share") != NULL ? json_number(json_at(m, "share")) : 0;
		cli_screen_print(c, LABEL, i == 0 ? "Moving" : "");
		cli_screen_add(c, CLI_PLAIN,
		    arena_strf(&c->arena,
			"%.*s@%lld → %.*s@%lld: ", STR_ARG(cli_call_text(c, m, "from.relay")),
			(long long)cli_call_number(m, "from.version"),
			STR_ARG(cli_call_text(c, m, "to.relay")),
			(long long)cli_call_number(m, "to.version")));
		cli_screen_add(c, cli_changeover_state_style(state), state);
		if (str_eq(state, STR("canary")))
			cli_screen_print(c, " %lld/%lld", (long long)cli_call_number(m, "step"),
			    (long long)cli_call_number(m, "steps"));
		cli_screen_print(c, ", %.4g %% of messages; ", share);
		add_count(c, m, "counts.new.sent", " sent, ");
		add_count(c, m, "counts.new.relay_faults", " faults\n");
	}
}

static void
show_problem(struct cli *c, const struct json *p)
{
	struct str what = cli_call_text(c, p, "what"), todo = cli_call_text(c, p, "do");
	struct str since = cli_screen_ago(c, cli_call_text(c, p, "since"));
	struct str text =
	    since.n != 0 ? arena_strf(&c->arena, "%.*s (since %.*s)", STR_ARG(what), STR_ARG(since))
			 : what;
	struct buf lines;

	buf_init(&lines, 64 << 10);
	cli_text_add_wrapped(
	    &lines, cli_text_clean(&c->arena, text), 2, c->width != 0 ? c->width : 80);
	struct str first = str_skip(buf_str(&lines), 2);
	cli_table_styled(&c->out, CLI_BAD, STR("! "), c->colour);
	buf_add(&c->out, first);
	buf_done(&lines);
	if (todo.n != 0)
		cli_screen_wrapped(c, todo, 4);
}

static void
show_problems(struct cli *c, const struct json *doc)
{
	const struct json *problems = json_at(doc, "problems");
	size_t n = json_count(problems);

	cli_screen_print(c, "\n");
	if (n == 0) {
		cli_screen_add(c, CLI_GOOD, STR("Nothing is wrong."));
		cli_screen_print(c, "\n");
	}
	for (size_t i = 0; i < n; i++)
		show_problem(c, json_item(problems, i));
}

static size_t
lines_of(const struct buf *b)
{
	struct str s = buf_str(b), line;
	size_t n = 0;

	while (str_cut(&s, '\n', &line))
		n += s.p != NULL;
	return n;
}

/* Problems are made first, to know how many lines they leave to the relays. */
static void
show(struct cli *c, const struct json *doc)
{
	size_t screen = c->height > LINES_OF_SCREEN ? c->height : LINES_OF_SCREEN;

	show_head(c, doc);
	show_in(c, doc);
	show_waits(c, doc);
	show_out(c, doc);
	show_changeovers(c, doc);
	size_t before = buf_len(&c->out);
	show_problems(c, doc);
	struct str problems = arena_str(&c->arena, str_skip(buf_str(&c->out), before));
	size_t lines = lines_of(&c->out) + 3; /* a blank line, the table's head, the prompt */
	buf_truncate(&c->out, before);
	show_relays(c, doc, lines + 2 < screen ? screen - lines : 2);
	buf_add(&c->out, problems);
}

/* ---- waiting ---- */

static bool
is_idle(const struct json *doc)
{
	return cli_call_number(doc, "totals.queued") <= cli_call_number(doc, "totals.held");
}

static bool
read_span(struct cli *c, const char *text, int64_t *us_out)
{
	const char *why = NULL;
	uint64_t n;

	if (str_to_u64(str_from(text), &n) == RC_OK && n <= 10000000) {
		*us_out = SECONDS(n);
		return true;
	}
	if (duration_parse(str_from(text), &n, &why)) {
		*us_out = (int64_t)n;
		return true;
	}
	(void)c;
	cli_screen_fail(
	    CLI_USAGE, "--wait-idle %s: a number of seconds is wanted, such as 60", text);
	return false;
}

static int
wait_idle(struct cli *c, const char *text)
{
	int64_t span, end;
	useconds_t pause = POLL_FIRST_US;

	if (!read_span(c, text, &span))
		return CLI_USAGE;
	end = clock_monotonic_us() + span;
	for (;;) {
		struct cli_request r = { .path = STR("/status"), .aside = true };
		AUTO(json_free) struct json *doc = NULL;
		int status = cli_call(c, &r, &doc);
		if (status != CLI_DONE)
			return status;
		bool idle = is_idle(doc), late = clock_monotonic_us() >= end;
		if ((idle || late) && c->json) {
			struct json_writer w;
			json_writer_init(&w, &c->out);
			json_write(doc, &w);
			json_writer_done(&w);
			buf_add_byte(&c->out, '\n');
		} else if (idle) {
			cli_screen_print(c, "Idle: nothing is queued or on its way.\n");
		}
		if (idle)
			return CLI_DONE;
		if (late)
			return cli_screen_fail(CLI_FAILED,
			    "%lld recipients still wait or are on their way; posthouse queue show says why",
			    (long long)(cli_call_number(doc, "totals.queued") -
					cli_call_number(doc, "totals.held")));
		usleep(pause);
		pause = pause * 3 / 2 > POLL_MAX_US ? POLL_MAX_US : pause * 3 / 2;
	}
}

static int
watch(struct cli *c)
{
	for (;;) {
		AUTO(json_free) struct json *doc = NULL;
		int status = cli_call_get(c, STR("/status"), &doc);
		if (status != CLI_DONE)
			return status;
		if (!c->json) {
			if (c->width != 0)
				cli_screen_print(c, "\033[H\033[2J");
			show(c, doc);
		}
		if (!cli_screen_flush(c))
			return CLI_FAILED;
		arena_clear(&c->arena);
		usleep(WATCH_EVERY_US);
	}
}

static int
run_status(struct cli *c)
{
	const char *idle = cli_option_get(&c->args, "wait-idle");
	AUTO(json_free) struct json *doc = NULL;

	if (idle != NULL)
		return wait_idle(c, idle);
	if (cli_option_is_given(&c->args, "watch"))
		return watch(c);
	int status = cli_call_get(c, STR("/status"), &doc);
	if (status == CLI_DONE && !c->json)
		show(c, doc);
	return status;
}

static const struct cli_option options[] = {
	{ "wait-idle", "SECONDS",
	    "return 0 as soon as nothing is queued or on its way (held, captured and in doubt aside), "
	    "1 after so long",
	    false },
	{ "watch", NULL, "show it again every two seconds, until ^C", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ NULL, NULL, 0, 0,
	    "one screen: what comes in, what waits, what goes out, what is wrong and what to do",
	    NULL, "posthouse status --wait-idle 60", options, run_status },
};

const struct cli_noun cli_status_noun = { "status",
	"what comes in, what waits, what goes out, what is wrong", commands, COUNT_OF(commands) };
