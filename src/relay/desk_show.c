/* What the desk shows of itself: news, the day's counts, status, and the audit.
 *
 * News wait in a growing array that starts over whenever it was drained; deliver drains it after
 * every call. */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/desk.h"
#include "relay/desk_private.h"
#include "relay/sender.h"

static_assert(RELAY_SENDER_SIZE >= RELAY_SENDER_TEXT_MAX, "news holds every sender");

static const char *const news_names[] = {
	[RELAY_NEWS_USABLE] = "usable",
	[RELAY_NEWS_UNUSABLE] = "unusable",
	[RELAY_NEWS_RELAY_PAUSED] = "relay-paused",
	[RELAY_NEWS_RELAY_RESUMED] = "relay-resumed",
	[RELAY_NEWS_LOGIN_PAUSED] = "login-paused",
	[RELAY_NEWS_LOGIN_RESUMED] = "login-resumed",
	[RELAY_NEWS_SENDER_HELD] = "sender-held",
	[RELAY_NEWS_SENDER_RELEASED] = "sender-released",
	[RELAY_NEWS_SLOWED] = "slowed",
};
static_assert(COUNT_OF(news_names) == RELAY_NEWS_COUNT, "every kind of news has a name");

const char *
relay_news_name(enum relay_news_kind kind)
{
	ASSERT((size_t)kind < RELAY_NEWS_COUNT);
	return news_names[kind];
}

static struct relay_news *
add_news(struct relay_desk *desk)
{
	if (desk->news_end == desk->news_cap) {
		desk->news_cap = desk->news_cap != 0 ? desk->news_cap * 2 : 16;
		desk->news = mem_realloc(desk->news, desk->news_cap * sizeof(*desk->news));
	}
	return &desk->news[desk->news_end++];
}

void
relay_desk_tell(struct relay_desk *desk, enum relay_news_kind kind, const struct desk_version *v,
    const char *why, const char *remedy, int64_t until_us)
{
	*add_news(desk) = (struct relay_news){
		.kind = kind, .version = v->id, .why = why, .remedy = remedy, .until_us = until_us
	};
}

void
relay_desk_tell_sender(struct relay_desk *desk, enum relay_news_kind kind,
    const struct desk_version *v, const struct relay_hold *hold)
{
	struct relay_news *news = add_news(desk);

	*news = (struct relay_news){ .kind = kind,
		.version = v->id,
		.why = hold->why,
		.remedy = hold->remedy,
		.until_us = hold->held ? hold->until_us : 0 };
	(void)snprintf(news->sender, sizeof(news->sender), "%s", hold->sender);
}

bool
relay_desk_next_news(struct relay_desk *desk, struct relay_news *out)
{
	if (desk->news_first == desk->news_end) {
#ifdef POSTHOUSE_AUDIT
		relay_desk_audit(desk);
#endif
		desk->news_first = desk->news_end = 0;
		return false;
	}
	*out = desk->news[desk->news_first++];
	return true;
}

bool
relay_desk_next_count(struct relay_desk *desk, struct relay_count *out)
{
	struct relay_login *login;

	LIST_FOREACH(login, &desk->logins, struct relay_login, link) {
		if (!login->unsaved)
			continue;
		login->unsaved = false;
		*out = (struct relay_count){
			.login = str_from(login->name),
			.day = login->day,
			.messages = login->messages,
			.recipients = login->recipients,
		};
		return true;
	}
	return false;
}

static int
cmp_times(const void *a, const void *b)
{
	int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;

	return p < q ? -1 : p > q;
}

static void
fill_latencies(const struct desk_version *v, struct relay_status *out)
{
	int64_t sorted[DESK_LATENCIES];
	size_t n = v->latency_count < DESK_LATENCIES ? v->latency_count : DESK_LATENCIES;

	if (n == 0)
		return;
	memcpy(sorted, v->latencies, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), cmp_times);
	out->latency_p50_us = sorted[n / 2];
	out->latency_p95_us = sorted[n * 95 / 100];
}

/* Word, reason, remedy and times for the one thing that most explains the version's state. */
static void
explain(const struct relay_desk *desk, const struct desk_version *v, struct relay_status *out)
{
	const struct relay_breaker *b = NULL;

	out->until_us = v->reason == DESK_USABLE ? 0 : relay_desk_usable_at(desk, v);
	switch (v->reason) {
	case DESK_USABLE:
		out->word = "ok";
		if (v->secret.state == RELAY_BREAKER_HALF_OPEN)
			b = &v->secret;
		else if (v->relay.state == RELAY_BREAKER_HALF_OPEN)
			b = &v->relay;
		if (b != NULL)
			out->word = "trying";
		break;
	case DESK_GONE:
		out->word = "retired";
		out->why = "No relay uses this version any more.";
		break;
	case DESK_BY_HAND:
		out->word = "paused";
		out->why = v->paused_why;
		out->remedy = "Resume it with posthouse relay resume.";
		out->since_us = v->paused_us;
		break;
	case DESK_SECRET:
		out->word = "login refused";
		b = &v->secret;
		break;
	case DESK_RELAY:
		out->word = "failing";
		b = &v->relay;
		break;
	case DESK_WINDOW:
		out->word = "slowed";
		out->why = v->login->window_why;
		out->remedy = v->login->window_remedy;
		out->since_us = v->login->window_since_us;
		break;
	case DESK_QUOTA:
		out->word = "quota";
		out->why = "The day's quota of this relay is used up.";
		out->remedy = "Wait for the next day, raise the quota, or add a relay.";
		break;
	}
	if (b != NULL) {
		out->why = b->why;
		out->remedy = b->remedy;
		out->since_us = b->since_us;
	}
}

bool
relay_desk_status(
    struct relay_desk *desk, struct version_id version, int64_t now_us, struct relay_status *out)
{
	const struct desk_version *v = relay_desk_enter(desk, version, now_us);

	if (v == NULL)
		return false;
	*out = (struct relay_status){
		.relay = v->relay.state,
		.login = v->secret.state,
		.usable = v->reason == DESK_USABLE,
		.paused_by_hand = v->paused_why != NULL,
		.word = "",
		.why = "",
		.remedy = "",
		.connections = v->ready,
		.connecting = v->connecting,
		.sending = desk_sending(v),
		.connection_cap = relay_desk_cap(v),
		.connection_max = v->max_connections,
		.rate = v->rate,
		.rate_used = relay_login_rate_used(v->login, v->rate, desk->last_us),
		.today_messages = v->login->messages,
		.today_recipients = v->login->recipients,
		.daily_quota = v->daily_quota,
		.held_senders = relay_login_held_count(v->login),
		.sent = v->sent,
		.last_success_us = v->last_success_us,
	};
	memcpy(out->refused, v->refused, sizeof(out->refused));
	explain(desk, v, out);
	fill_latencies(v, out);
	return true;
}

static void
audit_version(const struct relay_desk *desk, const struct desk_version *v)
{
	relay_breaker_audit(&v->relay);
	relay_breaker_audit(&v->secret);
	ASSERT(map_get(&desk->by_id, v->id.v) == v);
	ASSERT(v->reason == relay_desk_reason(v));
	ASSERT(v->in_book || v->connecting + v->ready + desk_sending(v) != 0);
	ASSERT(v->allowed >= 1 && v->max_connections >= 1 && relay_desk_cap(v) >= 1);
	ASSERT(v->relay.state == RELAY_BREAKER_CLOSED ||
	       (v->connect_faults == 0 && v->message_faults == 0));
	ASSERT(v->relay.state != RELAY_BREAKER_CLOSED || !v->needs_message);
	ASSERT(v->relay.state != RELAY_BREAKER_OPEN || v->relay.until_us >= desk->next_us);
	ASSERT(v->secret.state != RELAY_BREAKER_OPEN || v->secret.until_us >= desk->next_us);
	ASSERT((v->paused_why != NULL) == (v->paused_us != 0));
}

void
relay_desk_audit(const struct relay_desk *desk)
{
	const struct desk_version *v;
	const struct relay_login *login;
	size_t versions = 0;

	LIST_FOREACH(v, &desk->versions, struct desk_version, link) {
		audit_version(desk, v);
		versions++;
	}
	ASSERT(versions == desk->by_id.count);
	LIST_FOREACH(login, &desk->logins, struct relay_login, link) {
		uint32_t sending = 0;
		relay_login_audit(login);
		ASSERT(login->day == desk->day);
		ASSERT(relay_login_next_us(login) >= desk->next_us);
		LIST_FOREACH(v, &login->versions, struct desk_version, login_link) {
			ASSERT(v->login == login);
			sending += desk_sending(v);
			versions--;
		}
		ASSERT(sending == login->sending);
	}
	ASSERT(versions == 0);
}
