/* One entry for each message, with its recipients below it:
 *
 *	-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
 *	ID              1234 Mon Nov 23 08:50:03  sender@example.org
 *	(why it waits)
 *	                                         rcpt@example.com
 *
 *	-- 3 Kbytes in 2 Requests.
 *
 * An id is followed by "!" when it is held or captured. The service lists recipients; those of one
 *message stand together, so that a message is printed when another begins. */
#include "cli/mailq.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/words.h"

#define PAGE      "500"
#define PAGES_MAX 2000

struct listing {
	struct cli cli;
	struct str message; /* the id of the message being printed */
	uint64_t n_messages;
	uint64_t bytes;
};

static void
add_arrival(struct cli *c, struct str created)
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

/* "UUID/3" without the number. */
static struct str
message_of(struct str id)
{
	return str_sub(id, 0, str_find(id, '/'));
}

static void
add_recipient(struct listing *l, const struct json *r)
{
	struct cli *c = &l->cli;
	struct str id = arena_str(&c->arena, message_of(cli_call_text(c, r, "id")));
	struct str why = cli_call_text(c, r, "why"), state = cli_call_text(c, r, "state");
	bool held = str_eq(state, STR("held")) || str_eq(state, STR("captured"));

	if (!str_eq(id, l->message)) {
		if (l->message.n == 0)
			cli_screen_print(c,
			    "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
		else
			cli_screen_print(c, "\n");
		l->message = id;
		l->n_messages++;
		l->bytes += (uint64_t)cli_call_number(r, "size");
		cli_screen_add(c, CLI_PLAIN, id);
		cli_screen_print(
		    c, "%c %8lld ", held ? '!' : ' ', (long long)cli_call_number(r, "size"));
		add_arrival(c, cli_call_text(c, r, "created_at"));
		cli_screen_print(c, "  ");
		struct str from = cli_call_text(c, r, "from");
		cli_screen_add(c, CLI_PLAIN, from.n != 0 ? from : STR("MAILER-DAEMON"));
		cli_screen_print(c, "\n");
	}
	if (why.n != 0) {
		cli_screen_print(c, "(");
		cli_screen_add(c, CLI_PLAIN, why);
		cli_screen_print(c, ")\n");
	}
	cli_screen_print(c, "%41s", "");
	cli_screen_add(c, CLI_PLAIN, cli_call_text(c, r, "address"));
	cli_screen_print(c, "\n");
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
	size_t n = json_count(data);
	for (size_t i = 0; i < n; i++)
		add_recipient(l, json_item(data, i));
	*after = NULL;
	if (cli_call_flag(doc, "has_more"))
		*after = arena_str(&c->arena, cli_call_text(c, doc, "next")).p;
	return CLI_DONE;
}

static int
add_state(struct listing *l, const char *state)
{
	const char *after = NULL;
	int status = CLI_DONE;

	for (size_t i = 0; i < PAGES_MAX; i++) {
		status = add_page(l, state, &after);
		if (status != CLI_DONE || after == NULL || !cli_screen_flush(&l->cli))
			break;
	}
	return status;
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
	for (size_t i = 0; i < COUNT_OF(states) && status == CLI_DONE; i++)
		status = add_state(&l, states[i]);
	if (status == CLI_DONE && l.n_messages == 0)
		cli_screen_print(&l.cli, "Mail queue is empty\n");
	else if (status == CLI_DONE)
		cli_screen_print(&l.cli, "\n-- %llu Kbytes in %llu Request%s.\n",
		    (unsigned long long)((l.bytes + 1023) / 1024), (unsigned long long)l.n_messages,
		    l.n_messages == 1 ? "" : "s");
	(void)cli_screen_flush(&l.cli);
	buf_done(&l.cli.out);
	arena_done(&l.cli.arena);
	return status == CLI_DONE ? EX_OK : status == CLI_NO_SERVICE ? EX_TEMPFAIL : EX_UNAVAILABLE;
}
