/* Following a changeover: the whole screen again and again on a terminal, a line for each thing
 * that happens otherwise. Whoever stops looking changes nothing: ^C ends the look, not the
 * changeover. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/changeover.h"
#include "codec/json_writer.h"

#define EVERY_SCREEN_US 1000000u
#define EVERY_LINE_US   200000u
#define SILENCE_MAX     SECONDS(60) /* of a service that is being restarted */
#define SCREEN_EVENTS   6
#define TEXT_MAX        512

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signo)
{
	(void)signo;
	interrupted = 1;
}

static void
catch_interrupt(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt };

	sigaction(SIGINT, &sa, NULL);
}

/* What is remembered from one look to the next; the arena is not. */
struct look {
	uint64_t event; /* the last one told */
	uint64_t sent[2];
	int64_t at_us; /* monotonic; 0: not yet */
	struct cli_changeover_rates rates;
	int64_t heard_us; /* when the service last answered */
	char state[16];
	char reason[TEXT_MAX];
	bool until_held;
	bool is_over;
};

static void
copy_text(char *to, size_t size, struct str s)
{
	s = str_sub(s, 0, size - 1);
	if (s.n != 0)
		memcpy(to, s.p, s.n);
	to[s.n] = '\0';
}

static void
measure(struct look *l, const struct json *doc)
{
	int64_t now = clock_monotonic_us();
	uint64_t sent[2] = { (uint64_t)cli_call_number(doc, "counts.old.sent"),
		(uint64_t)cli_call_number(doc, "counts.new.sent") };

	for (int i = 0; i < 2 && l->at_us != 0 && now > l->at_us; i++)
		l->rates.sent[i] = sent[i] >= l->sent[i] ? (double)(sent[i] - l->sent[i]) * 1e6 /
							       (double)(now - l->at_us)
							 : 0;
	memcpy(l->sent, sent, sizeof(sent));
	l->at_us = now;
}

/* One that is held may go on; who looks at a screen goes on looking. */
static bool
is_over(struct str state, bool until_held)
{
	static const char *const ends[] = { "confirmed", "retired", "reverted", "refused" };

	for (size_t i = 0; i < COUNT_OF(ends); i++)
		if (str_eq(state, str_from(ends[i])))
			return true;
	return until_held && str_eq(state, STR("held"));
}

static int
end_status(const struct look *l)
{
	if (strcmp(l->state, "confirmed") == 0 || strcmp(l->state, "retired") == 0)
		return CLI_DONE;
	if (strcmp(l->state, "refused") == 0)
		return cli_screen_fail(CLI_REFUSED, "refused: %s", l->reason);
	return cli_screen_fail(CLI_FAILED, "%s: %s", l->state, l->reason);
}

/* One look; CLI_DONE also where the service is away for a moment. */
static int
look(struct cli *c, struct look *l, const char *id, struct json **out)
{
	struct cli_request r = { .path = cli_call_path(c, "/changeovers/", id, ""),
		.aside = true,
		.quiet = l->heard_us != 0 && clock_monotonic_us() - l->heard_us < SILENCE_MAX };
	int status = cli_call(c, &r, out);

	if (status == CLI_NO_SERVICE && r.quiet)
		return CLI_DONE;
	if (status != CLI_DONE || *out == NULL)
		return status;
	struct str state = cli_call_text(c, *out, "state");
	l->heard_us = clock_monotonic_us();
	l->is_over = is_over(state, l->until_held);
	copy_text(l->state, sizeof(l->state), state);
	copy_text(l->reason, sizeof(l->reason), cli_call_text(c, *out, "reason"));
	measure(l, *out);
	return CLI_DONE;
}

static void
tell_events(struct cli *c, struct look *l, const struct json *doc)
{
	const struct json *events = json_at(doc, "events");

	for (size_t i = 0; i < json_count(events); i++) {
		const struct json *e = json_item(events, i);
		uint64_t id = (uint64_t)cli_call_number(e, "id");
		if (id <= l->event)
			continue;
		l->event = id;
		cli_changeover_show_event(c, e, false);
	}
}

static void
print_json(struct cli *c, const struct json *doc)
{
	struct json_writer w;

	json_writer_init(&w, &c->out);
	json_write(doc, &w);
	json_writer_done(&w);
	buf_add_byte(&c->out, '\n');
}

static void
draw(struct cli *c, const struct look *l, const struct json *doc)
{
	cli_screen_print(c, "\033[H\033[2J");
	cli_changeover_show(c, doc, &l->rates, SCREEN_EVENTS);
	if (!l->is_over)
		cli_screen_add(c, CLI_DIM, STR("\n  ^C stops looking; the changeover goes on\n"));
}

static int
follow(struct cli *c, const char *which, bool is_drawn)
{
	struct look l = { .until_held = !is_drawn };
	char id[32];

	copy_text(id, sizeof(id), str_from(which)); /* the arena is cleared after each look */
	catch_interrupt();
	for (;;) {
		AUTO(json_free) struct json *doc = NULL;
		int status = look(c, &l, id, &doc);
		if (status != CLI_DONE)
			return status;
		if (doc != NULL && is_drawn)
			draw(c, &l, doc);
		else if (doc != NULL && !c->json)
			tell_events(c, &l, doc);
		if (l.is_over && c->json)
			print_json(c, doc);
		if (!cli_screen_flush(c))
			return CLI_FAILED;
		if (l.is_over)
			return end_status(&l);
		if (!interrupted)
			usleep(is_drawn ? EVERY_SCREEN_US : EVERY_LINE_US);
		if (interrupted)
			return cli_screen_fail(CLI_FAILED,
			    "no longer looking; the changeover goes on: posthouse changeover watch %s",
			    id);
		arena_clear(&c->arena);
	}
}

int
cli_changeover_watch(struct cli *c, const char *id)
{
	return follow(c, id, c->width != 0 && !c->json && isatty(STDOUT_FILENO));
}

int
cli_changeover_wait(struct cli *c, const char *id)
{
	return follow(c, id, false);
}
