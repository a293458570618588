/* `posthouse changeover`: moving mail from one relay version to another, and back. */
#include "cli/changeover.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/words.h"
#include "codec/json_writer.h"

#define BODY_MAX     (1u << 20)
#define SCHEDULE_MAX 65536

/* ---- what is asked for ---- */

/* A name, or a file with a schedule of one's own. */
static bool
put_schedule(struct cli *c, struct json_writer *w)
{
	static const char *const names[] = { "auto", "small", "normal", "fast" };
	const char *text = cli_option_get(&c->args, "schedule");
	AUTO(buf_done) struct buf file = { 0 };
	struct fault f = { 0 };

	if (text == NULL)
		return true;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			json_writer_put_str(w, "schedule", str_from(text));
			return true;
		}
	}
	buf_init(&file, SCHEDULE_MAX);
	if (cli_input_read(text, &file, &f) != RC_OK) {
		cli_screen_fail(CLI_USAGE,
		    "--schedule %s is neither auto, small, normal nor fast, nor a file: %s", text,
		    f.text);
		return false;
	}
	buf_add_byte(&file, '\n'); /* a text, even if it has one word only */
	json_writer_put_str(w, "schedule", buf_str(&file));
	return true;
}

static void
put_text(struct cli *c, struct json_writer *w, const char *option, const char *name)
{
	const char *text = cli_option_get(&c->args, option);

	if (text != NULL)
		json_writer_put_str(w, name, str_from(text));
}

/* The body of a plan and of a start; empty: said. */
static struct str
make_body(struct cli *c)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct json_writer w;

	if (!cli_option_is_given(&c->args, "to")) {
		cli_screen_fail(CLI_USAGE,
		    "--to RELAY is missing: to which relay, or NAME@VERSION, shall the mail move?");
		return (struct str){ 0 };
	}
	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	put_text(c, &w, "to", "to");
	put_text(c, &w, "route", "route");
	put_text(c, &w, "allow-weaker", "allow_weaker");
	put_text(c, &w, "note", "note");
	if (cli_option_is_given(&c->args, "emergency"))
		json_writer_put_bool(&w, "emergency", true);
	if (cli_option_is_given(&c->args, "warm-up"))
		json_writer_put_bool(&w, "warm_up", true);
	if (!put_schedule(c, &w))
		return (struct str){ 0 };
	json_writer_end(&w);
	json_writer_done(&w);
	return arena_str(&c->arena, buf_str(&body));
}

/* ---- plan and start ---- */

static int
run_plan(struct cli *c)
{
	struct cli_request r = { .method = "POST", .path = STR("/changeovers/plan") };
	AUTO(json_free) struct json *doc = NULL;

	r.body = make_body(c);
	if (r.body.n == 0)
		return CLI_USAGE;
	int status = cli_call(c, &r, &doc);
	if (status == CLI_DONE && !c->json)
		cli_changeover_show_plan(c, doc);
	return status;
}

/* Shows the plan and asks; CLI_DONE: go on. */
static int
ask(struct cli *c, struct str body)
{
	struct cli_request r = {
		.method = "POST", .path = STR("/changeovers/plan"), .body = body, .aside = true
	};
	AUTO(json_free) struct json *plan = NULL;
	int status = cli_call(c, &r, &plan);

	if (status != CLI_DONE)
		return status;
	cli_changeover_show_plan(c, plan);
	cli_screen_print(c, "\n");
	if (!cli_screen_flush(c))
		return CLI_FAILED;
	struct str question = arena_strf(&c->arena, "Move mail of route %.*s from %.*s to %.*s?",
	    STR_ARG(cli_call_joined(c, plan, "routes")),
	    STR_ARG(cli_changeover_version(c, plan, "from")),
	    STR_ARG(cli_changeover_version(c, plan, "to")));
	if (!cli_screen_confirm(question.p))
		return cli_screen_fail(CLI_FAILED, "nothing was started");
	return CLI_DONE;
}

static int
run_start(struct cli *c)
{
	struct cli_request r = { .method = "POST", .path = STR("/changeovers") };
	bool waits = cli_option_is_given(&c->args, "wait");
	AUTO(json_free) struct json *doc = NULL;

	r.aside = waits;
	r.body = make_body(c);
	if (r.body.n == 0)
		return CLI_USAGE;
	bool asks = !cli_option_is_given(&c->args, "yes") && !c->json && isatty(STDIN_FILENO) &&
		    isatty(STDERR_FILENO);
	int status = asks ? ask(c, r.body) : CLI_DONE;
	if (status == CLI_DONE)
		status = cli_call(c, &r, &doc);
	if (status != CLI_DONE || (c->json && !waits))
		return status;
	long long id = (long long)cli_call_number(doc, "id");
	if (waits)
		return cli_changeover_wait(c, arena_strf(&c->arena, "%lld", id).p);
	cli_screen_wrapped(c,
	    arena_strf(&c->arena,
		"Changeover %lld has begun: %.*s to %.*s. Follow it with: posthouse changeover watch %lld",
		id, STR_ARG(cli_changeover_version(c, doc, "from")),
		STR_ARG(cli_changeover_version(c, doc, "to")), id),
	    0);
	return CLI_DONE;
}

/* ---- looking ---- */

static const char *
which(const struct cli *c)
{
	return c->args.n_words != 0 ? c->args.words[0] : "last";
}

static int
run_status(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call_get(c, cli_call_path(c, "/changeovers/", which(c), ""), &doc);

	if (status == CLI_DONE && !c->json)
		cli_changeover_show(c, doc, NULL, 8);
	return status;
}

static int
run_watch(struct cli *c)
{
	struct cli_request r = { .path = cli_call_path(c, "/changeovers/", which(c), ""),
		.aside = true };
	AUTO(json_free) struct json *doc = NULL;
	int status = cli_call(c, &r, &doc);

	if (status != CLI_DONE)
		return status;
	/* "last" may be another one in a minute. */
	return cli_changeover_watch(
	    c, arena_strf(&c->arena, "%lld", (long long)cli_call_number(doc, "id")).p);
}

static int
run_history(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct str path = STR("/changeovers");
	struct cli_table t;

	path = cli_call_query(c, path, "limit", cli_option_get(&c->args, "limit"));
	int status = cli_call_get(c, path, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	const struct json *data = json_at(doc, "data");
	if (json_count(data) == 0) {
		cli_screen_print(c, "There has been no changeover yet.\n");
		return CLI_DONE;
	}
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "ID", CLI_RIGHT);
	cli_table_column(&t, "STARTED", CLI_LEFT);
	cli_table_column(&t, "ROUTE", CLI_ELASTIC);
	cli_table_column(&t, "FROM", CLI_LEFT);
	cli_table_column(&t, "TO", CLI_LEFT);
	cli_table_column(&t, "STATE", CLI_LEFT);
	cli_table_column(&t, "WHY", CLI_ELASTIC);
	for (size_t i = 0; i < json_count(data); i++) {
		const struct json *r = json_item(data, i);
		struct str state = cli_call_text(c, r, "state");
		cli_table_cell(&t, CLI_BOLD, cli_call_text(c, r, "id"));
		cli_table_cell(&t, CLI_PLAIN, cli_screen_ago(c, cli_call_text(c, r, "started_at")));
		cli_table_cell(&t, CLI_PLAIN, cli_call_joined(c, r, "routes"));
		cli_table_cellf(&t, CLI_PLAIN, "%.*s@%lld",
		    STR_ARG(cli_call_text(c, r, "from.relay")),
		    (long long)cli_call_number(r, "from.version"));
		cli_table_cellf(&t, CLI_PLAIN, "%.*s@%lld",
		    STR_ARG(cli_call_text(c, r, "to.relay")),
		    (long long)cli_call_number(r, "to.version"));
		cli_table_cell(&t, cli_changeover_state_style(state), state);
		cli_table_cell(&t, CLI_DIM, cli_call_text(c, r, "reason"));
	}
	cli_screen_table(c, &t);
	return CLI_DONE;
}

/* ---- a person's word ---- */

static int
command(struct cli *c, const char *tail, const char *done)
{
	AUTO(buf_done) struct buf body = { 0 };
	AUTO(json_free) struct json *doc = NULL;
	struct json_writer w;

	buf_init(&body, BODY_MAX);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	put_text(c, &w, "why", "why");
	if (cli_option_is_given(&c->args, "at-once"))
		json_writer_put_bool(&w, "at_once", true);
	json_writer_end(&w);
	json_writer_done(&w);
	struct cli_request r = { .method = "POST",
		.path = cli_call_path(c, "/changeovers/", which(c), tail),
		.body = buf_str(&body) };
	int status = cli_call(c, &r, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	cli_screen_wrapped(c,
	    arena_strf(&c->arena, "Changeover %lld %s. %.*s", (long long)cli_call_number(doc, "id"),
		done, STR_ARG(cli_call_text(c, doc, "reason"))),
	    0);
	return CLI_DONE;
}

static int
run_hold(struct cli *c)
{
	return command(c, "/hold", "is held: its share stays, nothing is widened");
}

static int
run_resume(struct cli *c)
{
	return command(c, "/resume", "goes on");
}

static int
run_confirm(struct cli *c)
{
	return command(c, "/confirm", "is confirmed");
}

static int
run_revert(struct cli *c)
{
	return command(c, "/revert",
	    cli_option_is_given(&c->args, "at-once")
		? "was taken back"
		: "goes back as soon as the old version is seen to work");
}

/* ---- the rows ---- */

#define WHAT_OPTIONS                                                                               \
	{ "to", "RELAY[@VERSION]", "where mail shall go; its newest version where none is named",  \
		false },                                                                           \
	    { "route", "ROUTE",                                                                    \
		    "which route moves; otherwise the relay's routes, or the default one",         \
		    false },                                                                       \
	    { "schedule", "NAME|FILE",                                                             \
		    "auto (by volume), small, normal, fast, or a file of steps", false },          \
	    { "emergency", NULL, "the old relay is dead: after the checks, all mail at once",      \
		    false },                                                                       \
	    { "warm-up", NULL, "a little more each day, for a new address or domain", false },     \
	    { "allow-weaker", "REASON", "why the new version may be less secure", false },         \
	{                                                                                          \
		"note", "TEXT", "for people", false                                                \
	}

/* clang-format off */
static const struct cli_option plan_options[] = {
	WHAT_OPTIONS,
	{ NULL, NULL, NULL, false },
};

static const struct cli_option start_options[] = {
	WHAT_OPTIONS,
	{ "yes", NULL, "do not ask", false },
	{ "wait", NULL, "return when it is over: 0 confirmed, 1 taken back or held, 4 refused by the preflight", false },
	{ NULL, NULL, NULL, false },
};
/* clang-format on */

static const struct cli_option why_options[] = {
	{ "why", "TEXT", "for the history", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_option revert_options[] = {
	{ "why", "TEXT", "for the history", false },
	{ "at-once", NULL, "without checking the old version first", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_option history_options[] = {
	{ "limit", "N", "how many, newest first (50)", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = {
	{ "plan", NULL, 0, 0, "say what would move, how long it takes, and what is missing",
	    "Nothing is changed, and nobody is spoken to.", "posthouse changeover plan --to spare",
	    plan_options, run_plan },
	{ "start", NULL, 0, 0, "move mail to another relay, or to a new version of one",
	    "Settings are saved, the new version is checked, tried on a few messages, then on more, and "
	    "taken back by itself when it fails.",
	    "posthouse changeover start --to main@2 --wait", start_options, run_start },
	{ "status", "[ID]", 0, 1, "show where a changeover stands", NULL,
	    "posthouse changeover status", NULL, run_status },
	{ "watch", "[ID]", 0, 1, "follow a changeover until it is over",
	    "^C stops looking; the changeover goes on.", "posthouse changeover watch", NULL,
	    run_watch },
	{ "hold", "[ID]", 0, 1, "widen nothing until resumed",
	    "The share that goes the new way stays as it is.",
	    "posthouse changeover hold --why \"the provider is at work\"", why_options, run_hold },
	{ "resume", "[ID]", 0, 1, "go on with a changeover that is held", NULL,
	    "posthouse changeover resume", why_options, run_resume },
	{ "confirm", "[ID]", 0, 1, "say that the new version is right", NULL,
	    "posthouse changeover confirm --why \"seen in the inbox\"", why_options, run_confirm },
	{ "revert", "[ID]", 0, 1, "go back to the old version",
	    "The old version is checked first; with --at-once it is not.",
	    "posthouse changeover revert --why \"complaints\"", revert_options, run_revert },
	{ "history", NULL, 0, 0, "list all changeovers", NULL, "posthouse changeover history",
	    history_options, run_history },
};

const struct cli_noun cli_changeover_noun = { "changeover",
	"mail moves to another relay, in steps, with a way back", commands, COUNT_OF(commands) };
