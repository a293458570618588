/* The shared limits of a login.
 *
 * Rate. A "virtual schedule": `due_us` is when the next message is due if they went evenly, and
 * each message moves it on by one interval. Bulk waits until it is due; transactional mail may be
 * early by a tenth of the allowance. The interval is stretched so that this tenth fits: of N
 * messages in a period T bulk gets N - N/10, evenly, and in no window of length T do more than N
 * go. (Twice as many would, at the seam of two periods, if each period simply had its N.) Below ten
 * a tenth is nothing, and both lanes take their turn.
 *
 * Connections. A capacity reply halves what was in use, since that is what was too much; a minute
 * without one tries one more. The halving waits a few seconds before the next: the connections of
 * one moment are refused together, and that is one piece of news.
 *
 * Holds. After its time a sender may try again; what it did before is remembered for as long again,
 * so that the next refusal holds it for longer. */
#include "relay/login.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/breaker.h"
#include "relay/wait.h"

#define HALVE_PAUSE SECONDS(5)
#define GROW_AFTER  SECONDS(60)
#define WINDOW_MOST MINUTES(10)
#define CALM_AFTER  MINUTES(15)
#define HOLD_FIRST  HOURS(1)
#define HOLD_MOST   DAYS(1)

struct relay_login *
relay_login_new(struct str name)
{
	struct relay_login *login = MEM_NEW(struct relay_login);

	login->name = str_dup0(name);
	login->hash = str_hash(name, 0);
	list_init(&login->versions);
	return login;
}

void
relay_login_free(struct relay_login **lp)
{
	struct relay_login *login = TAKE(*lp);

	if (login == NULL)
		return;
	ASSERT(list_is_empty(&login->versions));
	list_remove(&login->link);
	for (size_t i = 0; i < login->hold_count; i++)
		free(login->holds[i].sender);
	free(login->holds);
	free(login->name);
	free(login);
}

bool
relay_login_set_day(struct relay_login *login, int64_t day)
{
	if (login->day == day)
		return false;
	login->day = day;
	login->messages = login->recipients = 0;
	login->unsaved = login->counted_before = false;
	return true;
}

/* Microseconds between two messages, rounded up; `rate` is a limit. */
static int64_t
interval_us(struct relay_rate rate)
{
	int64_t n = rate.count - rate.count / 10;

	return (SECONDS(rate.per_s) + n - 1) / n;
}

int64_t
relay_login_rate_due(const struct relay_login *login, struct relay_rate rate, enum stream lane)
{
	int64_t early = 0;

	if (rate.count == 0)
		return 0;
	if (lane == STREAM_TRANSACTIONAL)
		early = interval_us(rate) * (rate.count / 10);
	return login->due_us - early;
}

void
relay_login_rate_charge(struct relay_login *login, struct relay_rate rate, int64_t now_us)
{
	if (rate.count == 0)
		return;
	if (login->due_us < now_us)
		login->due_us = now_us;
	login->due_us += interval_us(rate);
}

double
relay_login_rate_used(const struct relay_login *login, struct relay_rate rate, int64_t now_us)
{
	if (rate.count == 0 || login->due_us <= now_us)
		return 0;
	int64_t full = interval_us(rate) * (rate.count / 10 + 1);
	double used = (double)(login->due_us - now_us) / (double)full;
	return used < 1 ? used : 1;
}

bool
relay_login_slow(struct relay_login *login, const struct relay_verdict *verdict, uint32_t open,
    uint32_t most, int64_t now_us, struct prng *r)
{
	bool fresh = login->window_until_us == 0;

	if (login->learned == 0 || now_us - login->learned_us >= HALVE_PAUSE) {
		uint32_t used =
		    login->learned != 0 && login->learned < most ? login->learned : most;
		used = open != 0 && open < used ? open : used;
		login->learned = used > 1 ? used / 2 : 1;
		login->learned_us = now_us;
	}
	if (fresh) {
		login->windows++;
		login->window_since_us = now_us;
	}
	int64_t wait = verdict->wait_us;
	if (wait <= 0) {
		/* 10 seconds, doubling. */
		wait = 2 * relay_breaker_rest_us(login->windows, r);
		wait = wait < WINDOW_MOST ? wait : WINDOW_MOST;
	}
	if (now_us + wait > login->window_until_us)
		login->window_until_us = now_us + wait;
	login->calm_us = login->window_until_us + CALM_AFTER;
	login->window_why = verdict->cause;
	login->window_remedy = verdict->remedy;
	return fresh;
}

void
relay_login_end_window(struct relay_login *login)
{
	login->window_until_us = login->window_since_us = 0;
	login->window_why = login->window_remedy = NULL;
}

void
relay_login_went_well(struct relay_login *login, uint32_t most, int64_t now_us)
{
	if (login->windows != 0 && now_us >= login->calm_us)
		login->windows = 0;
	if (login->learned == 0 || now_us - login->learned_us < GROW_AFTER)
		return;
	login->learned++;
	login->learned_us = now_us;
	if (login->learned >= most)
		login->learned = 0;
}

static struct str
sender_key(struct str sender)
{
	return sender.n == 0 ? STR("<>") : sender;
}

struct relay_hold *
relay_login_find_hold(const struct relay_login *login, struct str sender)
{
	uint64_t hash;

	if (login->hold_count == 0)
		return NULL;
	sender = sender_key(sender);
	hash = str_hash_nocase(sender, 0);
	for (size_t i = 0; i < login->hold_count; i++) {
		struct relay_hold *h = &login->holds[i];
		if (h->hash == hash && str_eq_nocase(str_from(h->sender), sender))
			return h;
	}
	return NULL;
}

void
relay_login_drop_hold(struct relay_login *login, size_t i)
{
	ASSERT(i < login->hold_count);
	free(login->holds[i].sender);
	login->holds[i] = login->holds[--login->hold_count];
}

/* A new record, for which another gives way when there are too many. */
static struct relay_hold *
add_hold(struct relay_login *login, struct str sender)
{
	if (login->hold_count == RELAY_HOLDS_MAX) {
		size_t first = 0;
		for (size_t i = 1; i < login->hold_count; i++) {
			if (login->holds[i].until_us < login->holds[first].until_us)
				first = i;
		}
		relay_login_drop_hold(login, first);
	}
	if (login->hold_count == login->hold_cap) {
		login->hold_cap = login->hold_cap != 0 ? login->hold_cap * 2 : 4;
		login->holds = mem_realloc(login->holds, login->hold_cap * sizeof(*login->holds));
	}
	struct relay_hold *h = &login->holds[login->hold_count++];
	*h = (struct relay_hold){ .sender = str_dup0(sender) };
	for (char *p = h->sender; *p != '\0'; p++)
		*p = ascii_lower(*p);
	h->hash = str_hash_nocase(sender, 0);
	return h;
}

struct relay_hold *
relay_login_hold(struct relay_login *login, struct str sender, const struct relay_verdict *verdict,
    bool soft, int64_t now_us, struct prng *r)
{
	struct relay_hold *h = relay_login_find_hold(login, sender);
	int64_t rest;

	if (h == NULL)
		h = add_hold(login, sender_key(sender));
	h->fresh = !h->held;
	/* Refusals of messages that were under way together count once. */
	if (h->fresh)
		h->times++;
	if (soft)
		rest = relay_breaker_rest_us(h->times, r);
	else
		rest = h->times > 5 ? HOLD_MOST : HOLD_FIRST << (h->times - 1);
	rest = rest < HOLD_MOST ? rest : HOLD_MOST;
	if (verdict->wait_us > rest)
		rest = verdict->wait_us;
	int64_t until = now_us + rest;
	h->until_us = h->held && h->until_us > until ? h->until_us : until;
	h->held = true;
	h->why = verdict->cause;
	h->remedy = verdict->remedy;
	return h;
}

uint32_t
relay_login_held_count(const struct relay_login *login)
{
	uint32_t n = 0;

	for (size_t i = 0; i < login->hold_count; i++)
		n += login->holds[i].held;
	return n;
}

int64_t
relay_login_next_us(const struct relay_login *login)
{
	int64_t next = login->window_until_us != 0 ? login->window_until_us : TIME_NEVER;

	for (size_t i = 0; i < login->hold_count; i++) {
		if (login->holds[i].until_us < next)
			next = login->holds[i].until_us;
	}
	return next;
}

static void
shift(int64_t *t, int64_t delta_us)
{
	if (*t != 0 && *t != TIME_NEVER)
		*t = *t + delta_us > 1 ? *t + delta_us : 1;
}

void
relay_login_shift(struct relay_login *login, int64_t delta_us)
{
	shift(&login->due_us, delta_us);
	shift(&login->window_until_us, delta_us);
	shift(&login->window_since_us, delta_us);
	shift(&login->calm_us, delta_us);
	shift(&login->learned_us, delta_us);
	for (size_t i = 0; i < login->hold_count; i++)
		shift(&login->holds[i].until_us, delta_us);
}

void
relay_login_audit(const struct relay_login *login)
{
	ASSERT((login->window_until_us != 0) == (login->window_why != NULL));
	ASSERT(login->window_until_us == 0 || login->windows != 0);
	ASSERT(login->hold_count <= RELAY_HOLDS_MAX && login->hold_count <= login->hold_cap);
	for (size_t i = 0; i < login->hold_count; i++) {
		const struct relay_hold *h = &login->holds[i];
		ASSERT(h->times != 0 && h->why != NULL && h->until_us > 0);
		for (size_t k = 0; k < i; k++)
			ASSERT(strcmp(login->holds[k].sender, h->sender) != 0);
	}
}
