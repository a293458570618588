/* What the dispatcher has to tell about a changeover: to the log it went already, and into its
 * history; here it goes to the alarms. What begins or ends something for people is told; each step
 * is not, for `changeover watch` shows it; and one that is held is a problem like others, which the
 * watch tells (problems.c).
 *
 * An alarm by mail is filed as a notice: such mail goes through the old version until the new one
 * is confirmed, so the news of a broken relay does not wait in that relay's queue. */
#include "api/changeover.h"
#include "api/relay_retire.h"
#include "api/watch.h"
#include "store/config_system.h"

struct news_task {
	uint64_t id;
	struct relay_changeover_news news;
	struct store_changeover_row row;
	struct api_relay_rows rows;
	struct store_alarm_row *alarms;
	uint32_t n_alarms;
};

static const struct {
	enum relay_changeover_state to;
	const char *what, *remedy;
} moves[] = {
	{ RELAY_CHANGEOVER_SUSPECT, "has stopped moving mail",
	    "the old version is being checked; what follows is told" },
	{ RELAY_CHANGEOVER_REVERTED, "was taken back",
	    "mail goes through the old version; 'posthouse changeover status' shows what was seen" },
	{ RELAY_CHANGEOVER_REFUSED, "was refused",
	    "nothing was moved; put right what is named and start it again" },
	{ RELAY_CHANGEOVER_CONFIRMED, "is confirmed", "" },
};

/* NULL: nothing that people are told. */
static const char *
words_of(const struct relay_changeover_news *n, const char **remedy_out)
{
	*remedy_out = "";
	switch (n->kind) {
	case RELAY_CHANGEOVER_MOVED: break;
	case RELAY_CHANGEOVER_WARNED:
		*remedy_out = "'posthouse changeover status' shows more";
		return "has a warning";
	case RELAY_CHANGEOVER_DUE:
		*remedy_out = "'posthouse changeover confirm' or 'posthouse changeover revert'";
		return "waits to be confirmed";
	case RELAY_CHANGEOVER_PROVEN: return "is back where it was";
	}
	for (size_t i = 0; i < COUNT_OF(moves); i++) {
		if (moves[i].to == n->to && n->from != n->to) {
			*remedy_out = moves[i].remedy;
			return moves[i].what;
		}
	}
	return NULL;
}

static void
tell(struct api_call *c)
{
	const struct news_task *t = c->data;
	const char *remedy, *what = words_of(&t->news, &remedy);
	struct str routes = api_changeover_route_names(&c->arena, &t->rows, t->row.routes),
		   from = api_changeover_version_name(&c->arena, &t->rows, t->row.from),
		   to = api_changeover_version_name(&c->arena, &t->rows, t->row.to);
	struct str subject = arena_strf(&c->arena,
	    "Posthouse on %.*s: changeover %llu (%.*s to %.*s) %s", STR_ARG(c->api->opts.hostname),
	    (unsigned long long)t->id, STR_ARG(from), STR_ARG(to), what);
	struct str text = arena_strf(&c->arena,
	    "Changeover %llu, route %.*s, %.*s to %.*s, %s.\n%s\n%s%s%s", (unsigned long long)t->id,
	    STR_ARG(routes), STR_ARG(from), STR_ARG(to), what, t->news.text,
	    remedy[0] != '\0' ? "What to do: " : "", remedy, remedy[0] != '\0' ? "\n" : "");

	api_watch_sound(c->api, t->alarms, t->n_alarms, subject, text);
	api_done(c);
}

static enum rc
read_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct news_task *t = c->data;
	struct str id = arena_strf(&c->arena, "%llu", (unsigned long long)t->id);
	enum rc rc = api_changeover_find(c, r, id, &t->row, f);

	if (rc == RC_OK)
		rc = api_relay_rows_read(r, &c->arena, &t->rows, f);
	if (rc == RC_OK)
		rc = store_config_alarm_list(r, &c->arena, &t->alarms, &t->n_alarms, f);
	return rc;
}

void
api_changeover_news(struct api *a, uint64_t id, const struct relay_changeover_news *news)
{
	const char *remedy;

	if (a->stopping || a->draining)
		return;
	if (news->kind == RELAY_CHANGEOVER_MOVED && news->to == RELAY_CHANGEOVER_RETIRED)
		api_relay_retire_tidy(a);
	if (words_of(news, &remedy) == NULL)
		return;
	struct api_call *c = api_call_new(a, NULL);
	struct news_task *t = ARENA_NEW(&c->arena, struct news_task);
	t->id = id;
	t->news = *news;
	c->who = STR("posthouse");
	c->data = t;
	api_read(c, read_all, tell);
}
