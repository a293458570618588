/* `posthouse relay probe`: real messages through a relay, found again in real mailboxes, shown as
 * they are found. */
#include <string.h>
#include <time.h>

#include "cli/fields.h"
#include "cli/private.h"
#include "codec/json_writer.h"

#define LINES_MAX    64u
#define ASK_EVERY_MS 1000

const struct cli_option cli_probe_options[] = {
	{ "to", "MAILBOX", "only into this mailbox; all that are for probes otherwise", false },
	{ "from", "ADDRESS", "a sender to prove; those that the relay lists otherwise", true },
	{ "within", "SECONDS", "how long a message may take to be found; 300 otherwise", false },
	{ "last", NULL, "show the last run and begin none", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_field fields[] = {
	{ "to", "to", CLI_FIELD_TEXT },
	{ "from", "from", CLI_FIELD_LIST },
	{ "within", "within_s", CLI_FIELD_NUMBER },
};

static bool
is_final(struct str outcome)
{
	return outcome.n != 0 && !str_eq(outcome, STR("waiting")) && !str_eq(outcome, STR("sent"));
}

/* What was noticed about a copy that arrived. */
static struct str
notes(struct cli *c, const struct json *p)
{
	static const struct {
		const char *path;
		bool bad;
		const char *words;
	} rows[] = { { "message_id_preserved", false, "the relay changes Message-ID" },
		{ "date_preserved", false, "the relay changes Date" },
		{ "from_preserved", false, "the relay changes From" },
		{ "header_preserved", false, "the relay drops fields of its own accord" },
		{ "body_unchanged", false, "the text is changed on the way" },
		{ "links_rewritten", true, "links are rewritten" },
		{ "received_tls", false, "the last hop had no TLS" } };
	struct str all = { 0 };

	if (json_at(p, "message_id_preserved") == NULL)
		return all;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (cli_call_flag(p, rows[i].path) == rows[i].bad)
			all = arena_strf(&c->arena, "%.*s%s%s", STR_ARG(all),
			    all.n != 0 ? "; " : "", rows[i].words);
	return all;
}

static void
show_one(struct cli *c, const struct json *p)
{
	struct str kind = cli_call_text(c, p, "kind"), spf = cli_call_text(c, p, "spf"),
		   dkim = cli_call_text(c, p, "dkim"), dmarc = cli_call_text(c, p, "dmarc");
	bool passed = cli_call_flag(p, "passed");

	cli_screen_add(c, passed ? CLI_GOOD : CLI_BAD, passed ? STR("ok    ") : STR("FAIL  "));
	cli_screen_add(c, CLI_BOLD,
	    str_eq(kind, STR("bounce"))
		? STR("way home of bounces")
		: arena_strf(&c->arena, "%.*s to %.*s", STR_ARG(cli_call_text(c, p, "from")),
		      STR_ARG(cli_call_text(c, p, "to"))));
	cli_screen_print(c, "\n");
	cli_screen_wrapped(c, cli_call_text(c, p, "sentence"), 6);
	if (spf.n != 0 || dkim.n != 0 || dmarc.n != 0)
		cli_screen_wrapped(c,
		    arena_strf(&c->arena, "%.*s says: SPF %.*s, DKIM %.*s, DMARC %.*s",
			STR_ARG(cli_call_text(c, p, "authserv_id")),
			STR_ARG(spf.n != 0 ? spf : STR("not told")),
			STR_ARG(dkim.n != 0 ? dkim : STR("not told")),
			STR_ARG(dmarc.n != 0 ? dmarc : STR("not told"))),
		    6);
	struct str more = notes(c, p);
	if (more.n != 0)
		cli_screen_wrapped(c, more, 6);
}

/* Shows what has become final since the last look; true when the run is over. */
static bool
show_news(struct cli *c, const struct json *doc, bool shown[static LINES_MAX])
{
	const struct json *probes = json_at(doc, "probes");

	for (size_t i = 0; i < json_count(probes) && i < LINES_MAX; i++) {
		const struct json *p = json_item(probes, i);
		if (shown[i] || !is_final(cli_call_text(c, p, "outcome")))
			continue;
		shown[i] = true;
		show_one(c, p);
	}
	(void)cli_screen_flush(c);
	return str_eq(cli_call_text(c, doc, "state"), STR("done"));
}

static int
begin(struct cli *c)
{
	AUTO(json_free) struct json *doc = NULL;
	struct json_writer w;
	struct buf body;
	size_t n = 0;
	int status = CLI_USAGE;

	buf_init(&body, 1 << 20);
	json_writer_init(&w, &body);
	json_writer_object(&w);
	if (cli_fields_write(c, &w, fields, COUNT_OF(fields), &n)) {
		json_writer_end(&w);
		json_writer_done(&w);
		struct cli_request r = { .method = "POST",
			.path = cli_call_path(c, "/relays/", c->args.words[0], "/probe"),
			.body = buf_str(&body),
			.aside = true };
		status = cli_call(c, &r, &doc);
	}
	if (status == CLI_DONE && !c->json) {
		n = json_count(json_at(doc, "probes"));
		cli_screen_print(c, "%zu message%s through %.*s; looked for as they arrive%s.\n", n,
		    n == 1 ? " goes" : "s go", STR_ARG(cli_call_text(c, doc, "relay")),
		    cli_call_flag(doc, "capped") ? " (more would be too many)" : "");
		(void)cli_screen_flush(c);
	}
	buf_done(&body);
	return status;
}

/* The stage of the first probe that did not pass. */
static int
failure_of(struct cli *c, const struct json *doc)
{
	const struct json *probes = json_at(doc, "probes");

	for (size_t i = 0; i < json_count(probes); i++) {
		const struct json *p = json_item(probes, i);
		if (!cli_call_flag(p, "passed"))
			return cli_mailbox_stage_status(cli_call_text(c, p, "stage"));
	}
	return CLI_FAILED;
}

int
cli_probe_run(struct cli *c)
{
	struct timespec wait = { .tv_nsec = ASK_EVERY_MS % 1000 * 1000000L,
		.tv_sec = ASK_EVERY_MS / 1000 };
	struct str path = cli_call_path(c, "/relays/", c->args.words[0], "/probe");
	bool shown[LINES_MAX] = { false }, over = false;
	int status = cli_option_is_given(&c->args, "last") ? CLI_DONE : begin(c);

	while (status == CLI_DONE && !over) {
		AUTO(json_free) struct json *doc = NULL;
		struct cli_request r = { .path = path, .aside = true };
		status = cli_call(c, &r, &doc);
		if (status != CLI_DONE)
			break;
		if (c->json)
			over = str_eq(cli_call_text(c, doc, "state"), STR("done"));
		else
			over = show_news(c, doc, shown);
		if (!over) {
			(void)nanosleep(&wait, NULL);
			continue;
		}
		status = cli_call_flag(doc, "passed") ? CLI_DONE : failure_of(c, doc);
		if (!c->json)
			cli_screen_wrapped(c,
			    arena_strf(&c->arena, "%s: %.*s.",
				status == CLI_DONE ? "Good" : "Not good",
				STR_ARG(cli_call_text(c, doc, "summary"))),
			    0);
		if (c->json) {
			AUTO(json_free) struct json *again = NULL;
			(void)cli_call_get(c, path, &again);
		}
	}
	return status;
}
