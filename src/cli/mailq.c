/* One entry for each message, with its recipients below it:
 *
 *	-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
 *	ID              1234 Mon Nov 23 08:50:03  sender@example.org
 *	(why it waits)
 *	                                         rcpt@example.com
 *
 *	-- 3 Kbytes in 2 Requests.
 *
 * An id is followed by "!" when it is held or captured. The service lists recipients by when they
 * are due, so they are gathered by message first; what is beyond so many pages is not listed. */
#include "cli/mailq.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/map.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/words.h"

#define PAGE      "500"
#define PAGES_MAX 400

struct rcpt {
	struct rcpt *next;
	struct str address;
	struct str why;
};

struct entry {
	struct entry *next;
	struct str id;
	struct str from;
	struct str created;
	uint64_t bytes;
	bool held;
	struct rcpt *first, **last;
};

struct listing {
	struct cli cli;
	struct map by_id; /* struct entry by the hash of its id */
	struct entry *first, **last;
	uint64_t n;
	uint64_t bytes;
	bool cut; /* there is more than is listed */
};

/* ---- collecting ---- */

/* "UUID/3" without the number. */
static struct str
message_of(struct str id)
{
	return str_sub(id, 0, str_find(id, '/'));
}

static struct str
copy(struct listing *l, const struct json *r, const char *path)
{
	return arena_str(&l->cli.arena, cli_call_text(&l->cli, r, path));
}

static struct entry *
entry_of(struct listing *l, const struct json *r)
{
	struct str id = message_of(cli_call_text(&l->cli, r, "id"));
	uint64_t key = str_hash(id, 0);
	struct entry *e = map_get(&l->by_id, key);

	if (e != NULL && str_eq(e->id, id))
		return e;
	e = ARENA_NEW(&l->cli.arena, struct entry);
	e->id = arena_str(&l->cli.arena, id);
	e->from = copy(l, r, "from");
	e->created = copy(l, r, "created_at");
	e->bytes = (uint64_t)cli_call_number(r, "size");
	e->last = &e->first;
	*l->last = e;
	l->last = &e->next;
	l->n++;
	l->bytes += e->bytes;
	map_put(&l->by_id, key, e);
	return e;
}

static void
add_recipient(struct listing *l, const struct json *r)
{
	struct str state = cli_call_text(&l->cli, r, "state");
	struct entry *e = entry_of(l, r);
	struct rcpt *rcpt = ARENA_NEW(&l->cli.arena, struct rcpt);

	e->held |= str_eq(state, STR("held")) || str_eq(state, STR("captured"));
	rcpt->address = copy(l, r, "address");
	rcpt->why = copy(l, r, "why");
	*e->last = rcpt;
	e->last = &rcpt->next;
}

/* One page of a state; *after: where the next one begins, NULL at the end. */
static int
add_page(struct listing *l, const char *state, const char **after)
{
	struct cli *c = &l->cli;
	struct str path = cli_call_query(c, STR("/queue/recipients"), "limit", PAGE);
	AUTO(json_free) struct json *doc = NULL;

	path = cli_call_query(c, path, "state", state);
	int status = cli_call_get(c, cli_call_query(c, path, "after", *after), &doc);
	if (status != CLI_DONE)
		return status;
	const struct json *data = json_at(doc, "data");
	for (size_t i = 0; i < json_count(data); i++)
		add_recipient(l, json_item(data, i));
	*after = cli_call_flag(doc, "has_more") ? copy(l, doc, "next").p : NULL;
	return CLI_DONE;
}

static int
add_state(struct listing *l, const char *state)
{
	const char *after = NULL;
	int status = CLI_DONE;

	for (size_t i = 0; i < PAGES_MAX; i++) {
		status = add_page(l, state, &after);
		if (status != CLI_DONE || after == NULL)
			return status;
	}
	l->cut = true;
	return status;
}

/* ---- printing ---- */

static void
print_arrival(struct cli *c, struct str created)
{
	char text[64] = "";
	struct tm tm;
	int64_t us;

	if (cli_words_parse_time(created, &us)) {
		time_t t = (time_t)(us / SECONDS(1));
		if (localtime_r(&t, &tm) != NULL)
			(void)strftime(text, sizeof(text), "%a %b %e %H:%M:%S", &tm);
	}
	cli_screen_print(c, "%-19s", text);
}

static void
print_entry(struct cli *c, const struct entry *e)
{
	struct str said = { 0 };

	cli_screen_add(c, CLI_PLAIN, e->id);
	cli_screen_print(c, "%c %8llu ", e->held ? '!' : ' ', (unsigned long long)e->bytes);
	print_arrival(c, e->created);
	cli_screen_print(c, "  ");
	cli_screen_add(c, CLI_PLAIN, e->from.n != 0 ? e->from : STR("MAILER-DAEMON"));
	cli_screen_print(c, "\n");
	for (const struct rcpt *r = e->first; r != NULL; r = r->next) {
		if (r->why.n != 0 && !str_eq(r->why, said)) {
			cli_screen_print(c, "(");
			cli_screen_add(c, CLI_PLAIN, r->why);
			cli_screen_print(c, ")\n");
		}
		said = r->why;
		cli_screen_print(c, "%41s", "");
		cli_screen_add(c, CLI_PLAIN, r->address);
		cli_screen_print(c, "\n");
	}
	cli_screen_print(c, "\n");
}

static void
print_all(struct listing *l)
{
	struct cli *c = &l->cli;

	if (l->n == 0) {
		cli_screen_print(c, "Mail queue is empty\n");
		return;
	}
	cli_screen_print(c, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
	for (const struct entry *e = l->first; e != NULL; e = e->next)
		print_entry(c, e);
	cli_screen_print(c, "-- %llu Kbytes in %s%llu Request%s.\n",
	    (unsigned long long)((l->bytes + 1023) / 1024), l->cut ? "the first " : "",
	    (unsigned long long)l->n, l->n == 1 ? "" : "s");
}

int
cli_mailq_main(int argc, char **argv)
{
	static const char *const states[] = { "queued", "held", "in_doubt", "captured" };
	struct listing l = { 0 };
	int status = CLI_DONE;

	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	cli_screen_init(&l.cli);
	cli_screen_set_name("mailq");
	l.cli.data = cli_place_data(&l.cli.arena).p;
	l.last = &l.first;
	for (size_t i = 0; i < COUNT_OF(states) && status == CLI_DONE; i++)
		status = add_state(&l, states[i]);
	if (status == CLI_DONE)
		print_all(&l);
	(void)cli_screen_flush(&l.cli);
	map_done(&l.by_id);
	buf_done(&l.cli.out);
	arena_done(&l.cli.arena);
	return status == CLI_DONE ? EX_OK : status == CLI_NO_SERVICE ? EX_TEMPFAIL : EX_UNAVAILABLE;
}
