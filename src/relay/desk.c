/* The desk: who is known, and what may go now. What events do is in desk_event.c.
 *
 * Each event changes breakers, windows and counts, and ends in `relay_desk_settle`, which compares
 * what each version of the login is now with what was last told about it, and tells the difference.
 * So "usable" never changes in silence, and deliver need not ask about versions that nothing
 * happened to.
 *
 * A clock set back moves every time on the desk back with it. */
#include "relay/desk.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/desk_private.h"

#define HOLD_MEMORY HOURS(2)
#define CLOCK_SLACK SECONDS(1)

static int64_t
day_of(const struct relay_desk *desk, int64_t now_us)
{
	int64_t t = now_us + desk->day_offset_us;

	return t >= 0 ? t / DAYS(1) : -1;
}

int64_t
relay_desk_day_end_us(const struct relay_desk *desk)
{
	return (desk->day + 1) * DAYS(1) - desk->day_offset_us;
}

struct relay_desk *
relay_desk_new(uint64_t seed, int64_t day_offset_us)
{
	struct relay_desk *desk = MEM_NEW(struct relay_desk);

	list_init(&desk->versions);
	list_init(&desk->logins);
	desk->prng = prng_make(seed);
	desk->day_offset_us = day_offset_us;
	desk->day = -1;
	desk->next_us = TIME_NEVER;
	return desk;
}

static void
free_version(struct relay_desk *desk, struct desk_version *v)
{
	(void)map_remove(&desk->by_id, v->id.v);
	list_remove(&v->link);
	list_remove(&v->login_link);
	free(v->paused_why);
	free(v);
}

void
relay_desk_free(struct relay_desk **dp)
{
	struct relay_desk *desk = TAKE(*dp);
	struct desk_version *v;
	struct relay_login *login;

	if (desk == NULL)
		return;
	LIST_FOREACH(v, &desk->versions, struct desk_version, link)
		free_version(desk, v);
	LIST_FOREACH(login, &desk->logins, struct relay_login, link)
		relay_login_free(&login);
	relay_book_unref(&desk->book);
	map_done(&desk->by_id);
	free(desk->news);
	free(desk);
}

struct desk_version *
relay_desk_find(const struct relay_desk *desk, struct version_id id)
{
	return map_get(&desk->by_id, id.v);
}

/* Recipients of a day that `lane` may use up. */
static uint64_t
quota_of(const struct desk_version *v, enum stream lane)
{
	return v->daily_quota - (lane == STREAM_BULK ? v->daily_quota / 10 : 0);
}

enum desk_reason
relay_desk_reason(const struct desk_version *v)
{
	const struct relay_login *login = v->login;

	if (!v->in_book)
		return DESK_GONE;
	if (v->paused_why != NULL)
		return DESK_BY_HAND;
	if (v->secret.state == RELAY_BREAKER_OPEN)
		return DESK_SECRET;
	if (v->relay.state == RELAY_BREAKER_OPEN)
		return DESK_RELAY;
	if (login->window_until_us != 0)
		return DESK_WINDOW;
	if (v->daily_quota != 0 && login->recipients >= quota_of(v, STREAM_TRANSACTIONAL))
		return DESK_QUOTA;
	return DESK_USABLE;
}

int64_t
relay_desk_usable_at(const struct relay_desk *desk, const struct desk_version *v)
{
	int64_t at = 0;

	if (!v->in_book || v->paused_why != NULL)
		return TIME_NEVER;
	if (v->secret.state == RELAY_BREAKER_OPEN)
		at = v->secret.until_us;
	if (v->relay.state == RELAY_BREAKER_OPEN && v->relay.until_us > at)
		at = v->relay.until_us;
	if (v->login->window_until_us > at)
		at = v->login->window_until_us;
	if (v->daily_quota != 0 && v->login->recipients >= v->daily_quota &&
	    relay_desk_day_end_us(desk) > at)
		at = relay_desk_day_end_us(desk);
	return at;
}

static bool
is_on_trial(const struct desk_version *v)
{
	return v->relay.state == RELAY_BREAKER_HALF_OPEN ||
	       v->secret.state == RELAY_BREAKER_HALF_OPEN;
}

uint32_t
relay_desk_cap(const struct desk_version *v)
{
	uint32_t cap = v->max_connections;

	if (v->login->learned != 0 && v->login->learned < cap)
		cap = v->login->learned;
	return v->allowed < cap ? v->allowed : cap;
}

/* What of `cap` connections a lane may use: bulk leaves one. */
static uint32_t
share_of(uint32_t cap, enum stream lane)
{
	return lane == STREAM_BULK && cap > 1 ? cap - 1 : cap;
}

/* Tells what became of each version of `login`. */
static void
settle(struct relay_desk *desk, struct relay_login *login)
{
	struct desk_version *v;

	LIST_FOREACH(v, &login->versions, struct desk_version, login_link) {
		enum desk_reason now = relay_desk_reason(v), before = v->reason;
		if (now == before)
			continue;
		v->reason = now;
		if (now == DESK_QUOTA)
			relay_desk_tell(desk, RELAY_NEWS_SLOWED, v,
			    "The day's quota of this relay is used up.",
			    "Wait for the next day, raise the quota, or add a relay.",
			    relay_desk_day_end_us(desk));
		if (now == DESK_USABLE)
			relay_desk_tell(desk, RELAY_NEWS_USABLE, v, "", "", 0);
		else if (before == DESK_USABLE)
			relay_desk_tell(
			    desk, RELAY_NEWS_UNUSABLE, v, "", "", relay_desk_usable_at(desk, v));
	}
}

static void
sooner(int64_t *at, int64_t other)
{
	if (other < *at)
		*at = other;
}

/* Finds the next event anew. */
void
relay_desk_plan(struct relay_desk *desk)
{
	struct desk_version *v;
	struct relay_login *login;

	desk->next_us = TIME_NEVER;
	LIST_FOREACH(v, &desk->versions, struct desk_version, link) {
		if (v->relay.state == RELAY_BREAKER_OPEN)
			sooner(&desk->next_us, v->relay.until_us);
		if (v->secret.state == RELAY_BREAKER_OPEN)
			sooner(&desk->next_us, v->secret.until_us);
		if (v->daily_quota != 0)
			sooner(&desk->next_us, relay_desk_day_end_us(desk));
	}
	LIST_FOREACH(login, &desk->logins, struct relay_login, link)
		sooner(&desk->next_us, relay_login_next_us(login));
}

void
relay_desk_settle(struct relay_desk *desk, struct relay_login *login)
{
	settle(desk, login);
	relay_desk_plan(desk);
}

static void
shift(int64_t *t, int64_t delta_us)
{
	if (*t != 0 && *t != TIME_NEVER)
		*t = *t + delta_us > 1 ? *t + delta_us : 1;
}

static void
shift_all(struct relay_desk *desk, int64_t delta_us)
{
	struct desk_version *v;
	struct relay_login *login;

	LIST_FOREACH(v, &desk->versions, struct desk_version, link) {
		shift(&v->relay.until_us, delta_us);
		shift(&v->relay.since_us, delta_us);
		shift(&v->secret.until_us, delta_us);
		shift(&v->secret.since_us, delta_us);
		shift(&v->paused_us, delta_us);
		shift(&v->last_success_us, delta_us);
	}
	LIST_FOREACH(login, &desk->logins, struct relay_login, link)
		relay_login_shift(login, delta_us);
	relay_desk_plan(desk);
}

/* Lets the holds of `login` end, and forgets old ones. */
static void
tick_holds(struct relay_desk *desk, struct relay_login *login, int64_t now_us)
{
	for (size_t i = 0; i < login->hold_count;) {
		struct relay_hold *h = &login->holds[i];
		if (h->until_us > now_us) {
			i++;
			continue;
		}
		if (!h->held) {
			relay_login_drop_hold(login, i);
			continue;
		}
		struct desk_version *v =
		    LIST_FIRST(&login->versions, struct desk_version, login_link);
		h->held = false;
		h->until_us = now_us + HOLD_MEMORY;
		if (v != NULL)
			relay_desk_tell_sender(desk, RELAY_NEWS_SENDER_RELEASED, v, h);
		i++;
	}
}

void
relay_desk_tick(struct relay_desk *desk, int64_t now_us)
{
	struct desk_version *v;
	struct relay_login *login;

	if (now_us < desk->last_us - CLOCK_SLACK)
		shift_all(desk, now_us - desk->last_us);
	else if (now_us < desk->last_us)
		now_us = desk->last_us;
	desk->last_us = now_us;
	int64_t day = day_of(desk, now_us);
	if (now_us < desk->next_us && day == desk->day)
		return;
	desk->day = day;
	LIST_FOREACH(v, &desk->versions, struct desk_version, link) {
		(void)relay_breaker_tick(&v->relay, now_us);
		(void)relay_breaker_tick(&v->secret, now_us);
	}
	LIST_FOREACH(login, &desk->logins, struct relay_login, link) {
		(void)relay_login_set_day(login, day);
		if (login->window_until_us != 0 && login->window_until_us <= now_us)
			relay_login_end_window(login);
		tick_holds(desk, login, now_us);
		settle(desk, login);
	}
	relay_desk_plan(desk);
}

int64_t
relay_desk_next_event_us(const struct relay_desk *desk)
{
	return desk->next_us;
}

/* Time passes, then the version is looked up: how every call about one begins. */
struct desk_version *
relay_desk_enter(struct relay_desk *desk, struct version_id id, int64_t now_us)
{
	relay_desk_tick(desk, now_us);
	return relay_desk_find(desk, id);
}

static struct relay_login *
login_named(struct relay_desk *desk, struct str name)
{
	struct relay_login *login;
	uint64_t hash = str_hash(name, 0);

	LIST_FOREACH(login, &desk->logins, struct relay_login, link) {
		if (login->hash == hash && str_eq(str_from(login->name), name))
			return login;
	}
	login = relay_login_new(name);
	(void)relay_login_set_day(login, desk->day);
	list_push_back(&desk->logins, &login->link);
	return login;
}

static struct relay_login *
login_of_row(struct relay_desk *desk, const struct relay_version_row *row)
{
	AUTO(buf_done) struct buf name = { 0 };

	buf_init(&name, 1024);
	buf_add(&name, row->user);
	buf_add_byte(&name, '@');
	for (size_t i = 0; i < row->host.n; i++)
		buf_add_byte(&name, ascii_lower(row->host.p[i]));
	return login_named(desk, buf_str(&name));
}

static void
take_row(struct relay_desk *desk, const struct relay_version_row *row)
{
	struct desk_version *v = relay_desk_find(desk, row->id);

	if (v == NULL) {
		v = MEM_NEW(struct desk_version);
		v->id = row->id;
		v->login = login_of_row(desk, row);
		v->secret_day = DAY_UNKNOWN;
		v->allowed = DESK_SLOW_START;
		v->reason = DESK_GONE;
		(void)map_put(&desk->by_id, v->id.v, v);
		list_push_back(&desk->versions, &v->link);
		list_push_back(&v->login->versions, &v->login_link);
	}
	v->in_book = true;
	v->max_connections = row->max_connections;
	v->daily_quota = row->daily_quota;
	v->rate = row->rate;
}

static bool
is_idle(const struct desk_version *v)
{
	return v->connecting == 0 && v->ready == 0 && desk_sending(v) == 0;
}

/* Forgets versions that no book names and nothing uses. Logins stay: their counters are the day's.
 */
void
relay_desk_sweep(struct relay_desk *desk)
{
	struct desk_version *v;

	LIST_FOREACH(v, &desk->versions, struct desk_version, link) {
		if (!v->in_book && is_idle(v))
			free_version(desk, v);
	}
}

void
relay_desk_set_book(struct relay_desk *desk, struct relay_book *book, int64_t now_us)
{
	struct desk_version *v;
	struct relay_login *login;

	relay_desk_tick(desk, now_us);
	LIST_FOREACH(v, &desk->versions, struct desk_version, link)
		v->in_book = false;
	for (size_t i = 0; i < relay_book_version_count(book); i++)
		take_row(desk, relay_book_version_at(book, i));
	struct relay_book *old = desk->book;
	desk->book = relay_book_ref(book);
	relay_book_unref(&old);
	LIST_FOREACH(login, &desk->logins, struct relay_login, link)
		settle(desk, login);
	relay_desk_sweep(desk);
	relay_desk_plan(desk);
}

bool
relay_desk_is_usable(const struct relay_desk *desk, struct version_id version)
{
	const struct desk_version *v = relay_desk_find(desk, version);

	return v != NULL && v->reason == DESK_USABLE;
}

bool
relay_desk_may_send(struct relay_desk *desk, struct version_id version, enum stream lane,
    int64_t now_us, int64_t *wait_until_out)
{
	const struct desk_version *v = relay_desk_enter(desk, version, now_us);
	int64_t due;

	*wait_until_out = TIME_NEVER;
	if (v == NULL)
		return false;
	if (v->reason != DESK_USABLE) {
		*wait_until_out = relay_desk_usable_at(desk, v);
		return false;
	}
	if (is_on_trial(v) && desk_sending(v) != 0)
		return false;
	uint32_t cap = relay_desk_cap(v);
	if (desk_sending(v) >= cap || v->sending[lane] >= share_of(cap, lane))
		return false;
	/* Those under way may yet count; an end of theirs is an event. */
	if (v->daily_quota != 0 && v->login->recipients + v->login->sending >= quota_of(v, lane)) {
		if (v->login->recipients >= quota_of(v, lane))
			*wait_until_out = relay_desk_day_end_us(desk);
		return false;
	}
	due = relay_login_rate_due(v->login, v->rate, lane);
	if (due > desk->last_us) {
		*wait_until_out = due;
		return false;
	}
	return true;
}

bool
relay_desk_may_connect(struct relay_desk *desk, struct version_id version, enum stream lane,
    int64_t now_us, int64_t *wait_until_out)
{
	const struct desk_version *v = relay_desk_enter(desk, version, now_us);

	*wait_until_out = TIME_NEVER;
	if (v == NULL)
		return false;
	if (v->reason != DESK_USABLE) {
		*wait_until_out = relay_desk_usable_at(desk, v);
		return false;
	}
	uint32_t open = v->connecting + v->ready;
	if (is_on_trial(v))
		return open == 0;
	return open < share_of(relay_desk_cap(v), lane);
}

bool
relay_desk_is_sender_held(struct relay_desk *desk, struct version_id version, struct str sender,
    int64_t now_us, int64_t *until_out)
{
	const struct desk_version *v = relay_desk_enter(desk, version, now_us);
	const struct relay_hold *h = v != NULL ? relay_login_find_hold(v->login, sender) : NULL;

	if (h == NULL || !h->held)
		return false;
	*until_out = h->until_us;
	return true;
}

bool
relay_desk_worked_today(struct relay_desk *desk, struct version_id version, int64_t now_us)
{
	const struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return false;
	/* Before this start the login's counters are all that is known. */
	if (v->secret_day == DAY_UNKNOWN)
		return v->login->counted_before;
	return v->secret_day == desk->day;
}

void
relay_desk_restore_count(struct relay_desk *desk, const struct relay_count *count, int64_t now_us)
{
	relay_desk_tick(desk, now_us);
	if (count->day != desk->day)
		return;
	struct relay_login *login = login_named(desk, count->login);
	login->messages += count->messages;
	login->recipients += count->recipients;
	login->counted_before = login->messages != 0;
	relay_desk_settle(desk, login);
}
