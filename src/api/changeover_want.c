/* What a changeover wants looked at, from the dispatcher to the services and back.
 *
 * A want becomes a call of the api's own: it reads the row, asks the service (changeover_ask.c) and
 * gives the answer to the dispatcher. Every want is answered, whatever fails on the way: what could
 * not be looked at is not passed. Only the end of the program leaves one open; the next start wants
 * it again. */
#include "api/changeover_want.h"

#include "base/log.h"
#include "deliver/changeover.h"

/* Whatever comes of the reading, the call goes on. */
static enum rc
read_row(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_changeover_want *t = c->data;
	struct str id = arena_strf(&c->arena, "%llu", (unsigned long long)t->id);

	(void)f;
	t->rc = api_changeover_find(c, r, id, &t->row, &t->fault);
	if (t->rc == RC_OK)
		t->rc = api_relay_rows_read(r, &c->arena, &t->rows, &t->fault);
	return RC_OK;
}

static void
give_answer(struct api_call *c, struct deliver *d)
{
	const struct api_changeover_want *t = c->data;

	deliver_changeover_answer(d, t->id, t->want, t->since, t->answer, t->why);
}

void
api_changeover_answered(struct api_call *c, enum relay_answer answer, struct str why)
{
	struct api_changeover_want *t = c->data;
	struct log_ctx ctx = LOG_NUM(NULL, "changeover", t->id);

	t->answer = answer;
	t->why = why;
	log_event(LOG_INFO, &ctx, "changeover.answer", "%.*s", STR_ARG(why));
	api_order(c, give_answer, api_done);
}

static void
ask(struct api_call *c)
{
	struct api_changeover_want *t = c->data;

	if (t->rc != RC_OK) {
		api_changeover_answered(c, RELAY_ANSWER_FAILED,
		    arena_strf(&c->arena, "nothing could be checked: %s", t->fault.text));
		return;
	}
	switch (t->want) {
	case RELAY_WANT_NOTHING: api_done(c); return;
	case RELAY_WANT_PREFLIGHT: api_changeover_ask_preflight(c); return;
	case RELAY_WANT_PROBE: api_changeover_ask_probe(c); return;
	case RELAY_WANT_CONTROL: api_changeover_ask_control(c); return;
	}
}

void
api_changeover_wants(struct api *a, uint64_t id, enum relay_want want, uint64_t since)
{
	if (a->stopping || a->draining)
		return;
	struct api_call *c = api_call_new(a, NULL);
	struct api_changeover_want *t = ARENA_NEW(&c->arena, struct api_changeover_want);

	t->id = id;
	t->want = want;
	t->since = since;
	c->who = STR("posthouse");
	c->data = t;
	api_read(c, read_row, ask);
}
