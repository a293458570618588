/* A changeover on one screen, calm: where it stands, how far this step is, old beside new, what it
 * waits for. Only what is bad is red, and only what needs a person is yellow. */
#include "base/clock.h"
#include "cli/changeover.h"
#include "cli/text.h"
#include "cli/words.h"

#define BAR_WIDTH 30
#define LABEL     "%-10s"

enum cli_style
cli_changeover_state_style(struct str state)
{
	static const struct {
		const char *state;
		enum cli_style style;
	} rows[] = {
		{ "held", CLI_WARN },
		{ "suspect", CLI_WARN },
		{ "reverted", CLI_BAD },
		{ "refused", CLI_BAD },
		{ "confirmed", CLI_GOOD },
		{ "full", CLI_GOOD },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eq(state, str_from(rows[i].state)))
			return rows[i].style;
	return CLI_PLAIN;
}

static double
number_at(const struct json *v, const char *path)
{
	const struct json *at = v != NULL ? json_at(v, path) : NULL;

	return at != NULL ? json_number(at) : 0;
}

/* "12", "12.5": no more digits than needed. */
static struct str
percent(struct cli *c, double share)
{
	if (share == (double)(int64_t)share)
		return arena_strf(&c->arena, "%.0f %%", share);
	return arena_strf(&c->arena, "%.1f %%", share);
}

static struct str
span(struct cli *c, double seconds)
{
	struct buf b;

	buf_init(&b, 64);
	if (seconds < 1)
		buf_add(&b, STR("0 s"));
	else
		cli_words_span(&b, (int64_t)seconds * SECONDS(1));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

struct str
cli_changeover_version(struct cli *c, const struct json *doc, const char *side)
{
	const struct json *v = json_at(doc, side);
	struct str relay = cli_call_text(c, v, "relay"), host = cli_call_text(c, v, "host");

	if (relay.n == 0)
		return STR("a relay that is gone");
	return arena_strf(&c->arena, "%.*s@%lld (%.*s)", STR_ARG(relay),
	    (long long)cli_call_number(v, "version"), STR_ARG(host));
}

/* ---- the head ---- */

static void
show_head(struct cli *c, const struct json *doc)
{
	struct str routes = cli_call_joined(c, doc, "routes"), kind = cli_call_text(c, doc, "kind");

	cli_screen_add(c, CLI_BOLD,
	    arena_strf(&c->arena, "Changeover %lld", (long long)cli_call_number(doc, "id")));
	cli_screen_print(c, " of route ");
	cli_screen_add(c, CLI_PLAIN, routes);
	if (str_eq(kind, STR("emergency")))
		cli_screen_print(c, ", emergency");
	if (str_eq(kind, STR("warm_up")))
		cli_screen_print(c, ", warm-up");
	cli_screen_print(c, "\n  ");
	cli_screen_add(c, CLI_PLAIN, cli_changeover_version(c, doc, "from"));
	cli_screen_print(c, "  →  ");
	cli_screen_add(c, CLI_PLAIN, cli_changeover_version(c, doc, "to"));
	cli_screen_print(c, "\n\n");
}

/* draft › checked › probed › canary 2/4 › full › confirmed */
static void
show_states(struct cli *c, const struct json *doc)
{
	static const char *const line[] = { "draft", "checked", "probed", "canary", "full",
		"confirmed" };
	struct str state = cli_call_text(c, doc, "state"),
		   held_from = cli_call_text(c, doc, "held_from");
	struct str at = str_eq(state, STR("held")) ? held_from : state;
	bool aside = true, passed = true;

	if (str_eq(at, STR("retired")))
		at = STR("confirmed");
	cli_screen_print(c, "  ");
	for (size_t i = 0; i < COUNT_OF(line); i++) {
		bool here = str_eq(at, str_from(line[i]));
		struct str word = str_from(line[i]);
		if (here && str_eq(at, STR("canary")))
			word = arena_strf(&c->arena, "canary %lld/%lld",
			    (long long)cli_call_number(doc, "step"),
			    (long long)cli_call_number(doc, "steps"));
		if (i != 0)
			cli_screen_add(c, CLI_DIM, STR(" › "));
		if (here)
			aside = passed = false;
		if (here && c->colour)
			buf_add(&c->out, STR("\033[7m"));
		cli_screen_add(c,
		    here               ? CLI_BOLD
		    : passed && !aside ? CLI_PLAIN
				       : CLI_DIM,
		    here && !c->colour ? arena_strf(&c->arena, "[%.*s]", STR_ARG(word)) : word);
	}
	if (aside || str_eq(state, STR("held"))) {
		cli_screen_print(c, "   ");
		cli_screen_add(c, cli_changeover_state_style(state), state);
	}
	cli_screen_print(c, "\n\n");
}

/* ---- how far ---- */

static void
add_bar(struct cli *c, double part)
{
	size_t full;

	if (!(part > 0))
		part = 0;
	full = (size_t)((part < 1 ? part : 1) * BAR_WIDTH);
	struct buf b;
	buf_init(&b, 512);
	for (size_t i = 0; i < full; i++)
		buf_add(&b, STR("█"));
	cli_screen_add(c, CLI_GOOD, buf_str(&b));
	buf_clear(&b);
	for (size_t i = full; i < BAR_WIDTH; i++)
		buf_add(&b, STR("░"));
	cli_screen_add(c, CLI_DIM, buf_str(&b));
	buf_done(&b);
}

static void
show_progress(struct cli *c, const struct json *doc)
{
	double clean = number_at(doc, "clean"), needed = number_at(doc, "clean_needed");
	double green = number_at(doc, "green_s"), wanted = number_at(doc, "green_needed_s");
	double part = 1;

	if (!str_eq(cli_call_text(c, doc, "state"), STR("canary")) &&
	    !str_eq(cli_call_text(c, doc, "state"), STR("full")))
		return;
	if (needed > 0 && clean / needed < part)
		part = clean / needed;
	if (wanted > 0 && green / wanted < part)
		part = green / wanted;
	cli_screen_print(c, "  " LABEL, "Step");
	add_bar(c, part);
	if (needed > 0)
		cli_screen_print(
		    c, "  %.0f of %.0f clean", clean < needed ? clean : needed, needed);
	if (wanted > 0)
		cli_screen_print(c, ", %.*s of %.*s",
		    STR_ARG(span(c, green < wanted ? green : wanted)), STR_ARG(span(c, wanted)));
	cli_screen_print(c, "\n");
}

static void
show_share(struct cli *c, const struct json *doc)
{
	cli_screen_print(c, "  " LABEL "%.*s of new messages may go to the new version\n", "Share",
	    STR_ARG(percent(c, number_at(doc, "share"))));
}

/* ---- old beside new ---- */

static void
add_side(struct cli *c, struct cli_table *t, const struct json *doc, const char *side,
    const char *name, double rate)
{
	const struct json *n = json_at(json_at(doc, "counts"), side);

	cli_table_cellf(t, CLI_PLAIN, "%s  %.*s@%lld", name,
	    STR_ARG(cli_call_text(c, json_at(doc, name[0] == 'o' ? "from" : "to"), "relay")),
	    (long long)cli_call_number(json_at(doc, name[0] == 'o' ? "from" : "to"), "version"));
	cli_screen_count(c, t, CLI_PLAIN, n, "sent");
	if (rate >= 0)
		cli_table_cellf(t, rate > 0 ? CLI_PLAIN : CLI_DIM, "%.1f", rate);
	else
		cli_table_cell(t, CLI_DIM, STR("-"));
	cli_screen_count(c, t, CLI_BAD, n, "relay_faults");
	cli_screen_count(c, t, CLI_PLAIN, n, "recipient_faults");
	cli_screen_count(c, t, CLI_WARN, n, "in_doubt");
	if (json_at(n, "p95_ms") != NULL)
		cli_table_cellf(t, CLI_PLAIN, "%.0f ms", number_at(n, "p95_ms"));
	else
		cli_table_cell(t, CLI_DIM, STR("-"));
}

static void
show_counts(struct cli *c, const struct json *doc, const struct cli_changeover_rates *rates)
{
	struct cli_table t;

	cli_screen_print(c, "\n");
	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "SENT", CLI_RIGHT);
	cli_table_column(&t, "A SECOND", CLI_RIGHT);
	cli_table_column(&t, "ITS FAULTS", CLI_RIGHT);
	cli_table_column(&t, "RECIPIENTS'", CLI_RIGHT);
	cli_table_column(&t, "IN DOUBT", CLI_RIGHT);
	cli_table_column(&t, "P95", CLI_RIGHT);
	add_side(c, &t, doc, "old", "old", rates != NULL ? rates->sent[0] : -1);
	add_side(c, &t, doc, "new", "new", rates != NULL ? rates->sent[1] : -1);
	cli_screen_table(c, &t);
}

static void
show_excluded(struct cli *c, const struct json *doc)
{
	const struct json *groups = json_at(doc, "groups");

	for (size_t i = 0; i < json_count(groups); i++) {
		const struct json *g = json_item(groups, i);
		if (!cli_call_flag(g, "excluded"))
			continue;
		cli_screen_print(c, "  ");
		cli_screen_add(c, CLI_WARN,
		    arena_strf(&c->arena, "Mail to %.*s went back to the old version.",
			STR_ARG(cli_call_text(c, g, "group"))));
		cli_screen_print(c, "\n");
	}
}

/* ---- words ---- */

static void
add_wrapped(struct cli *c, const char *label, enum cli_style style, struct str text)
{
	struct buf lines;
	size_t width = c->width != 0 ? c->width : 80;

	if (text.n == 0)
		return;
	buf_init(&lines, 64 << 10);
	cli_text_add_wrapped(&lines, cli_text_clean(&c->arena, text), 12, width);
	struct str rest = buf_str(&lines), line;
	bool first = true;
	while (str_cut(&rest, '\n', &line)) {
		if (line.n == 0)
			continue;
		cli_screen_print(c, "  " LABEL, first ? label : "");
		cli_screen_add(c, style, str_skip(line, 12));
		cli_screen_print(c, "\n");
		first = false;
	}
	buf_done(&lines);
}

void
cli_changeover_show_event(struct cli *c, const struct json *e, bool cut)
{
	struct str at = cli_call_text(c, e, "at"), state = cli_call_text(c, e, "state");
	int64_t us = c->now_us;
	struct buf b;

	buf_init(&b, 4096);
	if (cli_words_parse_time(at, &us))
		cli_words_clock(&b, us, c->now_us);
	buf_addf(&b, "  %-9.*s  ", STR_ARG(state));
	cli_screen_add(c, CLI_DIM, buf_str(&b));
	size_t used = cli_text_width(buf_str(&b));
	struct str text = cli_call_text(c, e, "text");
	buf_clear(&b);
	if (cut && c->width > used + 20)
		cli_text_add_cut(&b, cli_text_clean(&c->arena, text), c->width - used - 2);
	else
		buf_add(&b, cli_text_clean(&c->arena, text));
	cli_screen_add(c, CLI_PLAIN, buf_str(&b));
	cli_screen_print(c, "\n");
	buf_done(&b);
}

static void
show_events(struct cli *c, const struct json *doc, size_t most)
{
	const struct json *events = json_at(doc, "events");
	size_t n = json_count(events);

	if (n == 0 || most == 0)
		return;
	cli_screen_print(c, "\n");
	for (size_t i = n > most ? n - most : 0; i < n; i++) {
		cli_screen_print(c, "  ");
		cli_changeover_show_event(c, json_item(events, i), true);
	}
}

static void
show_what_to_do(struct cli *c, const struct json *doc)
{
	struct str state = cli_call_text(c, doc, "state");
	long long id = (long long)cli_call_number(doc, "id");

	if (str_eq(state, STR("held")))
		add_wrapped(c, "To do", CLI_WARN,
		    arena_strf(&c->arena,
			"posthouse changeover resume %lld goes on, posthouse changeover revert %lld goes back",
			id, id));
	else if (cli_call_flag(doc, "open"))
		add_wrapped(c, "", CLI_DIM,
		    arena_strf(&c->arena,
			"posthouse changeover hold, confirm or revert %lld: your word counts at any time",
			id));
}

void
cli_changeover_show(
    struct cli *c, const struct json *doc, const struct cli_changeover_rates *rates, size_t events)
{
	struct str state = cli_call_text(c, doc, "state"),
		   waits = cli_call_text(c, doc, "waits_for");
	struct str since = cli_screen_ago(c, cli_call_text(c, doc, "since"));

	show_head(c, doc);
	show_states(c, doc);
	if (cli_call_flag(doc, "open")) {
		show_progress(c, doc);
		show_share(c, doc);
	}
	add_wrapped(
	    c, "Because", cli_changeover_state_style(state), cli_call_text(c, doc, "reason"));
	add_wrapped(c, "Waits for", CLI_PLAIN, waits);
	if (since.n != 0)
		cli_screen_print(c, "  " LABEL "%.*s\n", "Since", STR_ARG(since));
	if (cli_call_flag(doc, "unproven"))
		add_wrapped(c, "Unproven", CLI_WARN,
		    STR("that mail arrives: no probe could tell; only that the relay accepts it"));
	show_counts(c, doc, rates);
	show_excluded(c, doc);
	show_events(c, doc, events);
	if (cli_call_flag(doc, "open")) {
		cli_screen_print(c, "\n");
		show_what_to_do(c, doc);
	}
}

/* ---- a plan ---- */

static void
show_steps(struct cli *c, const struct json *s)
{
	const struct json *steps = json_at(s, "steps");
	struct cli_table t;

	cli_table_init(&t, &c->arena);
	t.indent = 2;
	cli_table_column(&t, "STEP", CLI_LEFT);
	cli_table_column(&t, "SHARE", CLI_RIGHT);
	cli_table_column(&t, "CLEAN MESSAGES", CLI_RIGHT);
	cli_table_column(&t, "AT LEAST", CLI_RIGHT);
	cli_table_column(&t, "TAKES ABOUT", CLI_RIGHT);
	for (size_t i = 0; i < json_count(steps); i++) {
		const struct json *step = json_item(steps, i);
		double least = number_at(step, "least_s");
		cli_table_cellf(&t, CLI_PLAIN, "%zu", i + 1);
		cli_table_cell(&t, CLI_PLAIN, percent(c, number_at(step, "share")));
		cli_table_cellf(&t, CLI_PLAIN, "%.0f", number_at(step, "clean"));
		cli_table_cell(
		    &t, least > 0 ? CLI_PLAIN : CLI_DIM, least > 0 ? span(c, least) : STR("-"));
		if (json_at(step, "takes_s") != NULL)
			cli_table_cell(&t, CLI_PLAIN, span(c, number_at(step, "takes_s")));
		else
			cli_table_cell(&t, CLI_DIM, STR("no mail, no end"));
	}
	double lasts = number_at(s, "full.lasts_s"), clean = number_at(s, "full.clean");
	cli_table_cell(&t, CLI_PLAIN, STR("full"));
	cli_table_cell(&t, CLI_PLAIN, STR("100 %"));
	cli_table_cellf(&t, CLI_PLAIN, "%.0f", clean);
	cli_table_cell(&t, lasts > 0 ? CLI_PLAIN : CLI_DIM, lasts > 0 ? span(c, lasts) : STR("-"));
	if (json_at(s, "until_confirmed_s") != NULL && json_at(s, "until_full_s") != NULL)
		cli_table_cell(&t, CLI_PLAIN,
		    span(c, number_at(s, "until_confirmed_s") - number_at(s, "until_full_s")));
	else
		cli_table_cell(&t, CLI_DIM, STR("until you confirm"));
	cli_screen_table(c, &t);
}

static void
show_when(struct cli *c, const struct json *s)
{
	struct str full = cli_call_text(c, s, "full_at"), end = cli_call_text(c, s, "confirmed_at");
	struct buf b;
	int64_t us;

	buf_init(&b, 256);
	if (cli_words_parse_time(full, &us)) {
		buf_add(&b, STR("all mail goes the new way by about "));
		cli_words_clock(&b, us, c->now_us);
	} else {
		buf_add(
		    &b, STR("it goes on as mail comes; there is too little of it to name a time"));
	}
	if (cli_words_parse_time(end, &us)) {
		buf_add(&b, STR(", confirmed by about "));
		cli_words_clock(&b, us, c->now_us);
	}
	add_wrapped(c, "Ends", CLI_PLAIN, buf_str(&b));
	buf_done(&b);
}

static void
show_lacks(struct cli *c, const struct json *doc)
{
	const struct json *missing = json_at(doc, "missing"), *unproven = json_at(doc, "unproven");

	for (size_t i = 0; i < json_count(missing); i++) {
		const struct json *m = json_item(missing, i);
		add_wrapped(c, i == 0 ? "Missing" : "", CLI_WARN, cli_call_text(c, m, "what"));
		add_wrapped(c, "", CLI_DIM, cli_call_text(c, m, "do"));
	}
	for (size_t i = 0; i < json_count(unproven); i++)
		add_wrapped(c, i == 0 ? "Unproven" : "", CLI_DIM,
		    arena_strf(&c->arena, "%.*s", STR_ARG(json_str(json_item(unproven, i)))));
}

void
cli_changeover_show_plan(struct cli *c, const struct json *doc)
{
	const struct json *s = json_at(doc, "schedule");
	struct str kind = cli_call_text(c, doc, "kind");
	struct buf b;

	cli_screen_add(c, CLI_BOLD, STR("Plan"));
	cli_screen_print(c, " for route ");
	cli_screen_add(c, CLI_PLAIN, cli_call_joined(c, doc, "routes"));
	cli_screen_print(c, "\n  ");
	cli_screen_add(c, CLI_PLAIN, cli_changeover_version(c, doc, "from"));
	cli_screen_print(c, "  →  ");
	cli_screen_add(c, CLI_PLAIN, cli_changeover_version(c, doc, "to"));
	cli_screen_print(c, "\n\n");
	buf_init(&b, 256);
	cli_words_plural(&b, (uint64_t)cli_call_number(doc, "waiting.recipients"),
	    "recipient waits", "recipients wait");
	buf_add(&b, STR(" now; "));
	cli_words_plural(&b, (uint64_t)cli_call_number(doc, "volume.per_day"), "message a day",
	    "messages a day");
	buf_add(&b, STR(" of late"));
	add_wrapped(c, "Mail", CLI_PLAIN, buf_str(&b));
	buf_done(&b);
	if (str_eq(kind, STR("emergency")))
		add_wrapped(c, "Schedule", CLI_PLAIN,
		    STR("emergency: the new version is checked, then all mail goes there, slowly at first"));
	else
		add_wrapped(c, "Schedule", CLI_PLAIN, cli_call_text(c, s, "name"));
	cli_screen_print(c, "\n");
	if (!str_eq(kind, STR("emergency")))
		show_steps(c, s);
	cli_screen_print(c, "\n");
	show_when(c, s);
	show_lacks(c, doc);
}
