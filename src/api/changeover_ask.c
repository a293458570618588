/* Asking those who look at relays: preflight, control, probes. */
#include "api/changeover_want.h"

static struct api_check *
check_of(struct api_call *c)
{
	struct api_changeover_want *t = c->data;

	return &t->check;
}

/* What could not be looked at is not passed. */
static void
preflight_done(struct api_call *c)
{
	const struct api_check *k = check_of(c);

	if (k->rc == RC_CANCELLED) { /* the program ends; the next start asks again */
		api_done(c);
		return;
	}
	enum relay_answer answer = RELAY_ANSWER_FAILED;
	if (k->rc == RC_OK && k->passed)
		answer = RELAY_ANSWER_PASSED;
	else if (k->rc == RC_OK && k->hold)
		answer = RELAY_ANSWER_HOLD;
	api_changeover_answered(c, answer, k->summary);
}

void
api_changeover_ask_preflight(struct api_call *c)
{
	struct api_changeover_want *t = c->data;

	t->check = (struct api_check){ .in_full = true,
		.version = t->row.to,
		.against = t->row.from,
		.allow_weaker = t->row.allow_weaker };
	if (t->row.snapshot != 0)
		t->check.snapshot =
		    arena_strf(&c->arena, "%llu", (unsigned long long)t->row.snapshot);
	api_preflight_ask(c, &t->check, preflight_done);
}

static void
control_done(struct api_call *c)
{
	const struct api_check *k = check_of(c);

	if (k->rc == RC_CANCELLED)
		api_done(c);
	else
		api_changeover_answered(c,
		    k->rc == RC_OK && k->passed ? RELAY_ANSWER_PASSED : RELAY_ANSWER_FAILED,
		    k->summary);
}

void
api_changeover_ask_control(struct api_call *c)
{
	struct api_changeover_want *t = c->data;

	t->check = (struct api_check){ .version = t->row.from };
	api_preflight_ask(c, &t->check, control_done);
}

void
api_changeover_ask_probe(struct api_call *c)
{
	api_changeover_answered(c, RELAY_ANSWER_UNPROVEN,
	    STR("there is no mailbox to send probes to: it is proven only that the relay accepts mail"));
}
