/* What events do to breakers, windows, holds and counts.
 *
 * Faults of the relay are hard (one opens its breaker) or soft (several in a row do). Connecting
 * counts by itself: three in a row, and a connection that comes up clears it. Soft faults of
 * transactions count until mail goes through again; five open the breaker if they befell several
 * senders. If it was the same sender each time, that sender is held instead: one customer's odd
 * address must not stop the others' mail.
 *
 * Slow start: two connections at first, and each that comes up allows two more, which doubles them
 * in every round of connecting. A failure halves what is allowed; when none is open it starts over.
 */
#include "base/check.h"
#include "base/clock.h"
#include "relay/desk.h"
#include "relay/desk_private.h"

#define CONNECT_FAULTS 3u
#define MESSAGE_FAULTS 5u
#define HARD_REST      SECONDS(60)

static void
open_relay(struct relay_desk *desk, struct desk_version *v, const struct relay_verdict *verdict,
    int64_t wait_us)
{
	v->connect_faults = v->message_faults = 0;
	v->fault_mixed = false;
	if (relay_breaker_open(
		&v->relay, verdict->cause, verdict->remedy, wait_us, desk->last_us, &desk->prng))
		relay_desk_tell(desk, RELAY_NEWS_RELAY_PAUSED, v, verdict->cause, verdict->remedy,
		    v->relay.until_us);
}

static void
close_relay(struct relay_desk *desk, struct desk_version *v)
{
	v->connect_faults = v->message_faults = 0;
	v->fault_mixed = v->needs_message = false;
	if (relay_breaker_well(&v->relay))
		relay_desk_tell(desk, RELAY_NEWS_RELAY_RESUMED, v, "", "", 0);
}

static void
refuse_secret(struct relay_desk *desk, struct desk_version *v, const struct relay_verdict *verdict)
{
	int64_t wait = verdict->wait_us > 0 ? verdict->wait_us : TIME_NEVER;

	v->secret_day = DAY_REFUSED;
	if (relay_breaker_open(
		&v->secret, verdict->cause, verdict->remedy, wait, desk->last_us, &desk->prng))
		relay_desk_tell(desk, RELAY_NEWS_LOGIN_PAUSED, v, verdict->cause, verdict->remedy,
		    v->secret.until_us);
}

static void
accept_secret(struct relay_desk *desk, struct desk_version *v)
{
	v->secret_day = desk->day;
	if (relay_breaker_well(&v->secret))
		relay_desk_tell(desk, RELAY_NEWS_LOGIN_RESUMED, v, "", "", 0);
}

static void
slow_down(struct relay_desk *desk, struct desk_version *v, const struct relay_verdict *verdict)
{
	uint32_t open = v->connecting + v->ready;

	v->allowed = v->allowed > 1 ? v->allowed / 2 : 1;
	if (relay_login_slow(
		v->login, verdict, open, v->max_connections, desk->last_us, &desk->prng))
		relay_desk_tell(desk, RELAY_NEWS_SLOWED, v, verdict->cause, verdict->remedy,
		    v->login->window_until_us);
}

static void
hold_sender(struct relay_desk *desk, struct desk_version *v, struct str sender,
    const struct relay_verdict *verdict, bool soft)
{
	const struct relay_hold *h =
	    relay_login_hold(v->login, sender, verdict, soft, desk->last_us, &desk->prng);

	if (h->fresh)
		relay_desk_tell_sender(desk, RELAY_NEWS_SENDER_HELD, v, h);
}

/* A fault on the way to a ready connection that is no verdict on secret or capacity. */
static void
count_connect_fault(
    struct relay_desk *desk, struct desk_version *v, const struct relay_verdict *verdict)
{
	v->connect_faults++;
	if (v->relay.state != RELAY_BREAKER_CLOSED || v->connect_faults >= CONNECT_FAULTS) {
		/* A trial that no longer comes up shows an outage, whatever it was opened for. */
		v->needs_message = false;
		open_relay(desk, v, verdict, verdict->wait_us);
	}
}

/* A soft fault of a transaction. */
static void
count_message_fault(struct relay_desk *desk, struct desk_version *v, const struct str *sender,
    const struct relay_verdict *verdict)
{
	uint64_t hash = sender != NULL ? str_hash_nocase(*sender, 1) : 0;

	if (v->relay.state != RELAY_BREAKER_CLOSED) {
		v->needs_message = true;
		open_relay(desk, v, verdict, verdict->wait_us);
		return;
	}
	if (sender == NULL || (v->message_faults != 0 && v->fault_sender != hash))
		v->fault_mixed = true;
	v->fault_sender = hash;
	v->message_faults++;
	bool known = sender != NULL && relay_login_find_hold(v->login, *sender) != NULL;
	if (!known && v->message_faults < MESSAGE_FAULTS)
		return;
	if (sender != NULL && !v->fault_mixed) {
		v->message_faults = 0;
		hold_sender(desk, v, *sender, verdict, true);
	} else if (v->message_faults >= MESSAGE_FAULTS) {
		v->needs_message = true;
		open_relay(desk, v, verdict, verdict->wait_us);
	}
}

/* What a verdict does, once a connection was ready. `sender` is NULL where it befell no
 * transaction. */
static void
obey(struct relay_desk *desk, struct desk_version *v, const struct str *sender,
    const struct relay_verdict *verdict)
{
	v->refused[verdict->blame]++;
	switch (verdict->action) {
	case RELAY_ACTION_BOUNCE: v->answered = true; break;
	case RELAY_ACTION_DEFER:
		if (verdict->blame == RELAY_BLAME_RELAY || verdict->blame == RELAY_BLAME_UNKNOWN)
			count_message_fault(desk, v, sender, verdict);
		else
			v->answered = true;
		break;
	case RELAY_ACTION_SLOW: slow_down(desk, v, verdict); break;
	case RELAY_ACTION_PAUSE_RELAY:
		v->needs_message = true;
		open_relay(
		    desk, v, verdict, verdict->wait_us > HARD_REST ? verdict->wait_us : HARD_REST);
		break;
	case RELAY_ACTION_PAUSE_LOGIN: refuse_secret(desk, v, verdict); break;
	case RELAY_ACTION_HOLD_SENDER:
		if (sender != NULL)
			hold_sender(desk, v, *sender, verdict, false);
		break;
	}
}

void
relay_desk_connecting(struct relay_desk *desk, struct version_id version, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v != NULL)
		v->connecting++;
}

/* One connection less; a version without any starts slowly again. */
static void
drop_connection(struct relay_desk *desk, struct desk_version *v, uint32_t *count)
{
	struct relay_login *login = v->login;

	ASSERT(*count > 0);
	(*count)--;
	if (v->connecting + v->ready == 0)
		v->allowed = DESK_SLOW_START;
	relay_desk_settle(desk, login);
	relay_desk_sweep(desk);
}

void
relay_desk_connected(struct relay_desk *desk, struct version_id version, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	ASSERT(v->connecting > 0);
	v->connecting--;
	v->ready++;
	if (v->allowed < v->max_connections)
		v->allowed += DESK_SLOW_START;
	v->connect_faults = 0;
	accept_secret(desk, v);
	if (!v->needs_message && v->relay.state == RELAY_BREAKER_HALF_OPEN)
		close_relay(desk, v);
	relay_desk_settle(desk, v->login);
}

void
relay_desk_connect_failed(struct relay_desk *desk, struct version_id version,
    const struct relay_verdict *verdict, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	v->refused[verdict->blame]++;
	if (v->allowed > 1)
		v->allowed /= 2;
	switch (verdict->action) {
	case RELAY_ACTION_SLOW: slow_down(desk, v, verdict); break;
	case RELAY_ACTION_PAUSE_LOGIN: refuse_secret(desk, v, verdict); break;
	case RELAY_ACTION_PAUSE_RELAY:
		v->needs_message = false;
		open_relay(
		    desk, v, verdict, verdict->wait_us > HARD_REST ? verdict->wait_us : HARD_REST);
		break;
	case RELAY_ACTION_BOUNCE:
	case RELAY_ACTION_DEFER:
	case RELAY_ACTION_HOLD_SENDER: count_connect_fault(desk, v, verdict); break;
	}
	drop_connection(desk, v, &v->connecting);
}

void
relay_desk_connect_cancelled(struct relay_desk *desk, struct version_id version, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v != NULL)
		drop_connection(desk, v, &v->connecting);
}

void
relay_desk_closed(struct relay_desk *desk, struct version_id version,
    const struct relay_verdict *verdict, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	if (verdict != NULL)
		obey(desk, v, NULL, verdict);
	drop_connection(desk, v, &v->ready);
}

void
relay_desk_began(
    struct relay_desk *desk, struct version_id version, enum stream lane, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	v->sending[lane]++;
	v->login->sending++;
	v->answered = false;
	relay_login_rate_charge(v->login, v->rate, desk->last_us);
}

void
relay_desk_refused(struct relay_desk *desk, struct version_id version, struct str sender,
    const struct relay_verdict *verdict, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	obey(desk, v, &sender, verdict);
	relay_desk_settle(desk, v->login);
}

/* The relay took mail. */
static void
count_success(
    struct relay_desk *desk, struct desk_version *v, uint32_t accepted, int64_t latency_us)
{
	struct relay_login *login = v->login;

	login->messages++;
	login->recipients += accepted;
	login->unsaved = true;
	relay_login_went_well(login, v->max_connections, desk->last_us);
	v->sent += accepted;
	v->last_success_us = desk->last_us;
	v->latencies[v->latency_count++ % DESK_LATENCIES] = latency_us;
	v->message_faults = 0;
	v->fault_mixed = false;
}

void
relay_desk_ended(struct relay_desk *desk, struct version_id version, enum stream lane,
    uint32_t accepted, int64_t latency_us, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	struct relay_login *login = v->login;
	ASSERT(v->sending[lane] > 0 && login->sending > 0);
	v->sending[lane]--;
	login->sending--;
	if (accepted != 0)
		count_success(desk, v, accepted, latency_us);
	bool news = v->relay.state == RELAY_BREAKER_HALF_OPEN && (accepted != 0 || v->answered);
	/* The trial went well: a fault in it would have opened the breaker again already. */
	if (news)
		close_relay(desk, v);
	if (accepted != 0 && v->secret.state == RELAY_BREAKER_HALF_OPEN) {
		accept_secret(desk, v);
		news = true;
	}
	/* This is the way of every message: nothing is walked unless something changed. */
	if (news || v->reason != relay_desk_reason(v))
		relay_desk_settle(desk, login);
	if (!v->in_book)
		relay_desk_sweep(desk);
}

void
relay_desk_pause(struct relay_desk *desk, struct version_id version, struct str why, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	bool fresh = v->paused_why == NULL;
	free(v->paused_why);
	v->paused_why = str_dup0(why);
	if (fresh) {
		v->paused_us = desk->last_us;
		relay_desk_tell(desk, RELAY_NEWS_RELAY_PAUSED, v, "It was paused by hand.",
		    "Resume it with posthouse relay resume.", TIME_NEVER);
	}
	relay_desk_settle(desk, v->login);
}

void
relay_desk_resume(struct relay_desk *desk, struct version_id version, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return;
	bool was_paused = v->paused_why != NULL;
	free(TAKE(v->paused_why));
	v->paused_us = 0;
	if (relay_breaker_well(&v->secret))
		relay_desk_tell(desk, RELAY_NEWS_LOGIN_RESUMED, v, "", "", 0);
	if (v->relay.state != RELAY_BREAKER_CLOSED)
		close_relay(desk, v);
	else if (was_paused)
		relay_desk_tell(desk, RELAY_NEWS_RELAY_RESUMED, v, "", "", 0);
	relay_login_end_window(v->login);
	relay_desk_settle(desk, v->login);
}

void
relay_desk_release_sender(
    struct relay_desk *desk, struct version_id version, struct str sender, int64_t now_us)
{
	struct desk_version *v = relay_desk_enter(desk, version, now_us);
	struct relay_hold *h = v != NULL ? relay_login_find_hold(v->login, sender) : NULL;

	if (h == NULL)
		return;
	if (h->held)
		relay_desk_tell_sender(desk, RELAY_NEWS_SENDER_RELEASED, v, h);
	relay_login_drop_hold(v->login, (size_t)(h - v->login->holds));
	relay_desk_plan(desk);
}
