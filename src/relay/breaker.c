/* The one place where a breaker's state changes, by the table of relay_states.def. */
#include "relay/breaker.h"

#include "base/check.h"
#include "base/clock.h"

#define REST_FIRST SECONDS(5)
#define REST_MOST  MINUTES(5)

#define IN(name)   (1u << RELAY_BREAKER_##name)
static const struct {
	const char *name;
	unsigned next;
} states[] = {
#define X(name_, text, next_) [RELAY_BREAKER_##name_] = { (text), (next_) },
#include "relay/relay_states.def"
#undef X
};
static_assert(COUNT_OF(states) == RELAY_BREAKER_STATE_COUNT, "every state has a row");

const char *
relay_breaker_state_name(enum relay_breaker_state state)
{
	ASSERT((size_t)state < RELAY_BREAKER_STATE_COUNT);
	return states[state].name;
}

static void
set_state(struct relay_breaker *b, enum relay_breaker_state to)
{
	ASSERT((states[b->state].next & 1u << to) != 0);
	b->state = to;
	if (to != RELAY_BREAKER_OPEN)
		b->until_us = 0;
}

int64_t
relay_breaker_rest_us(uint32_t n, struct prng *r)
{
	int64_t rest = n > 10 ? REST_MOST : REST_FIRST << (n - 1);

	ASSERT(n >= 1);
	if (rest > REST_MOST)
		rest = REST_MOST;
	return rest - rest / 10 + (int64_t)prng_below(r, (uint64_t)rest / 5);
}

bool
relay_breaker_open(struct relay_breaker *b, const char *why, const char *remedy, int64_t wait_us,
    int64_t now_us, struct prng *r)
{
	bool fresh = b->state == RELAY_BREAKER_CLOSED;

	if (b->state != RELAY_BREAKER_OPEN) {
		b->opened++;
		set_state(b, RELAY_BREAKER_OPEN);
	}
	if (fresh)
		b->since_us = now_us;
	b->why = why;
	b->remedy = remedy;
	int64_t rest = relay_breaker_rest_us(b->opened, r);
	int64_t until =
	    wait_us == TIME_NEVER ? TIME_NEVER : now_us + (wait_us > rest ? wait_us : rest);
	/* Several connections fail together; the last of them must not shorten the rest. */
	if (until > b->until_us)
		b->until_us = until;
	return fresh;
}

bool
relay_breaker_tick(struct relay_breaker *b, int64_t now_us)
{
	if (b->state != RELAY_BREAKER_OPEN || b->until_us > now_us)
		return false;
	set_state(b, RELAY_BREAKER_HALF_OPEN);
	return true;
}

bool
relay_breaker_well(struct relay_breaker *b)
{
	if (b->state == RELAY_BREAKER_CLOSED)
		return false;
	set_state(b, RELAY_BREAKER_CLOSED);
	*b = (struct relay_breaker){ .state = RELAY_BREAKER_CLOSED };
	return true;
}

void
relay_breaker_audit(const struct relay_breaker *b)
{
	ASSERT((size_t)b->state < RELAY_BREAKER_STATE_COUNT);
	ASSERT((b->state == RELAY_BREAKER_CLOSED) == (b->why == NULL));
	ASSERT((b->state == RELAY_BREAKER_OPEN) == (b->until_us != 0));
	ASSERT((b->state == RELAY_BREAKER_CLOSED) == (b->opened == 0));
}
