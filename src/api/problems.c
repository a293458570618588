/* One function for each kind of trouble; each looks at facts that were gathered before. */
#include "api/problems.h"

#include "api/words.h"

#include <stdatomic.h>

#include "account/book.h"
#include "deliver/deliver.h"
#include "mail/address.h"

#define LATE_AFTER MINUTES(5)
/* Recipients in doubt that are looked at one by one. */
#define DOUBTS_MAX 500

static void
add(struct api_call *c, struct api_problems *p, const char *key, struct str what,
    const char *remedy, int64_t since_us)
{
	if (p->n == API_PROBLEMS_MAX)
		return;
	p->v[p->n++] = (struct api_problem){ arena_str(&c->arena, str_from(key)), what,
		arena_str(&c->arena, str_from(remedy)), since_us };
}

static void
look_at_capture(struct api_call *c, struct api_problems *p)
{
	struct relay_decision d;
	struct mail_addr anybody;
	const char *why;

	if (mail_addr_parse(STR("a@example.com"), 0, &c->arena, &anybody, &why) != RC_OK)
		UNREACHABLE();
	relay_book_route(
	    c->relays, ACCOUNT_LOCAL, &anybody, STR("example.com"), STREAM_TRANSACTIONAL, &d);
	p->captured_mode = d.refusal == RELAY_REFUSAL_CAPTURE;
	if (p->captured_mode)
		add(c, p, "captured-mode",
		    STR("no relay was ever added, so mail is captured: kept and shown, not sent"),
		    "add the SMTP server that mail goes out through: 'posthouse relay add NAME --host HOST --user USER --secret-file FILE'",
		    0);
}

static void
look_at_relays(struct api_call *c, struct api_problems *p)
{
	for (size_t i = 0; i < relay_book_relay_count(c->relays); i++) {
		const struct relay_row *relay = relay_book_relay_at(c->relays, i);
		const struct api_way *way = api_view_way(c, relay->current);
		if (way == NULL || way->status.usable || !api_relay_in_use(c->relays, relay->id))
			continue;
		const struct relay_status *s = &way->status;
		const char *resume =
		    s->paused_by_hand
			? arena_strf(&c->arena, "'posthouse relay resume %.*s' lets mail go on",
			      STR_ARG(relay->name))
			      .p
			: "look at 'posthouse relay show' and the server's own log";
		add(c, p, arena_strf(&c->arena, "relay:%.*s", STR_ARG(relay->name)).p,
		    arena_strf(&c->arena, "relay %.*s %s%s%s; its mail waits", STR_ARG(relay->name),
			api_words_state(s), s->why[0] != '\0' ? ": " : "", s->why),
		    s->remedy[0] != '\0' && !s->paused_by_hand ? s->remedy : resume, s->since_us);
	}
}

/* What waits for a person; the rest is told as it happens (changeover_news.c). */
static void
look_at_changeovers(struct api_call *c, struct api_problems *p)
{
	for (size_t i = 0; i < c->view->n_changeovers; i++) {
		const struct api_seen_changeover *m = &c->view->changeovers[i];
		if (m->view.state != RELAY_CHANGEOVER_HELD)
			continue;
		add(c, p, arena_strf(&c->arena, "changeover:%llu", (unsigned long long)m->id).p,
		    arena_strf(&c->arena, "changeover %llu is held: %s", (unsigned long long)m->id,
			m->view.reason),
		    "'posthouse changeover status' shows it; then 'posthouse changeover resume', 'confirm' or 'revert'",
		    m->view.since_us);
	}
}

static void
look_at_store(struct api_call *c, struct api_problems *p)
{
	struct store_health h;

	store_health(c->api->opts.store, &h);
	if (h.accepts && h.rc == RC_OK)
		return;
	add(c, p, "disk",
	    arena_strf(&c->arena, "%s%s", h.accepts ? "" : "new mail is refused: ", h.text),
	    "free space on the disk of the data directory, or look at its health", h.since_us);
}

static enum rc
look_at_doubts(struct api_call *c, struct store_reader *r, const struct store_aside *aside,
    struct api_problems *p, struct fault *f)
{
	struct store_queue_list q = { .filter = { .by_state = true, .state = STORE_IN_DOUBT },
		.max = DOUBTS_MAX };
	uint32_t waiting = 0;

	if (aside[STORE_IN_DOUBT].rows == 0)
		return RC_OK;
	enum rc rc = store_query_queue(r, &q, &c->arena, f);
	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++)
		waiting += q.rows[i].rcpt.due_us == TIME_NEVER;
	if (rc == RC_OK && waiting != 0)
		add(c, p, "in-doubt",
		    arena_strf(&c->arena,
			"%u%s recipients are in doubt and wait for a person's word", waiting,
			q.end ? "" : " or more"),
		    "'posthouse queue list --in-doubt' shows them, 'posthouse queue resolve ID sent|again|unknown' settles one",
		    aside[STORE_IN_DOUBT].oldest_us);
	return rc;
}

static void
look_at_aside(struct api_call *c, const struct store_aside *aside, struct api_problems *p)
{
	const struct store_aside *captured = &aside[STORE_CAPTURED];

	if (captured->rows != 0 && !p->captured_mode)
		add(c, p, "captured",
		    arena_strf(&c->arena,
			"%llu recipients from before the first relay are still captured",
			(unsigned long long)captured->rows),
		    "'posthouse queue release state=captured' sends them, 'posthouse queue cancel state=captured' drops them",
		    captured->oldest_us);
}

/* Mail that no route takes, told once for each reason. */
static void
look_at_routes(struct api_call *c, const struct api_groups *groups, struct api_problems *p)
{
	static const struct {
		enum relay_refusal refusal;
		const char *key, *what, *remedy;
	} rows[] = {
		{ RELAY_REFUSAL_NO_ROUTE, "no-route", "wait without a route",
		    "add one with 'posthouse route add', or a relay with 'posthouse relay add'" },
		{ RELAY_REFUSAL_NO_SENDER, "no-sender",
		    "wait because no relay carries their sender",
		    "add the sender to a relay with 'posthouse relay edit NAME --from ADDRESS', or cancel them" },
		{ RELAY_REFUSAL_NO_BOUNCES, "no-bounces",
		    "are reports that wait because no relay takes the null sender",
		    "name a relay that takes it with 'posthouse route add --relay NAME --bounces'" },
	};

	for (size_t k = 0; k < COUNT_OF(rows); k++) {
		uint64_t n = 0;
		for (size_t i = 0; i < groups->n; i++)
			if (groups->v[i].where.refusal == rows[k].refusal)
				n += groups->v[i].n[STREAM_TRANSACTIONAL] +
				     groups->v[i].n[STREAM_BULK];
		if (n != 0)
			add(c, p, rows[k].key,
			    arena_strf(&c->arena, "%llu recipients %s", (unsigned long long)n,
				rows[k].what),
			    rows[k].remedy, 0);
	}
}

static void
look_at_age(struct api_call *c, const struct api_groups *groups, struct api_problems *p)
{
	const struct deliver_metrics *m = deliver_metrics(c->api->opts.deliver);
	int64_t oldest = atomic_load(&m->oldest_us[STREAM_TRANSACTIONAL]);
	uint64_t n = 0;

	for (size_t i = 0; i < groups->n; i++)
		n += groups->v[i].n[STREAM_TRANSACTIONAL];
	if (oldest == 0 || n == 0 || clock_wall_us() - oldest < LATE_AFTER)
		return;
	add(c, p, "late", STR("transactional mail has waited for more than five minutes"),
	    "'posthouse queue show' says what it waits for", oldest);
}

enum rc
api_problems_read(struct api_call *c, struct store_reader *r, const struct api_groups *groups,
    struct api_problems *out, struct fault *f)
{
	struct store_aside aside[STORE_STATE_COUNT];
	enum rc rc = store_query_aside(r, aside, f);

	out->n = 0;
	if (rc != RC_OK)
		return rc;
	look_at_capture(c, out);
	look_at_store(c, out);
	look_at_relays(c, out);
	look_at_changeovers(c, out);
	look_at_routes(c, groups, out);
	rc = look_at_doubts(c, r, aside, out, f);
	look_at_aside(c, aside, out);
	look_at_age(c, groups, out);
	return rc;
}
