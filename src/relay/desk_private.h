/* What the files of the desk share. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "relay/breaker.h"
#include "relay/desk.h"
#include "relay/login.h"

#define DESK_LATENCIES  128u
#define DESK_SLOW_START 2u

/* Why a version is not usable; the first that holds counts. */
enum desk_reason {
	DESK_USABLE,
	DESK_GONE, /* no book names it */
	DESK_BY_HAND,
	DESK_SECRET,
	DESK_RELAY,
	DESK_WINDOW,
	DESK_QUOTA,
};

struct desk_version {
	struct version_id id;
	struct list link;       /* on the desk's versions */
	struct list login_link; /* on the login's */
	struct relay_login *login;
	bool in_book;
	/* Copied, since the version may outlive the book. */
	uint32_t max_connections;
	uint32_t daily_quota;
	struct relay_rate rate;

	enum desk_reason reason; /* as last told by news */
	char *paused_why;        /* heap; NULL: not paused by hand */
	int64_t paused_us;

	struct relay_breaker relay;
	struct relay_breaker secret;
	/* A fault after the login opened it, so a connection alone does not show that it is well.
	 */
	bool needs_message;
	uint32_t connect_faults; /* in a row, while the breaker is closed */
	uint32_t message_faults; /* likewise, since mail last went through */
	uint64_t fault_sender;   /* of message_faults: hash of the one sender, */
	bool fault_mixed;        /* unless there were several */
	bool answered; /* the last transaction was refused for its own sake: the relay works */

	int64_t secret_day; /* when the secret was last taken; DAY_REFUSED, DAY_UNKNOWN */
	uint32_t allowed;   /* slow start: connections allowed so far */
	uint32_t connecting;
	uint32_t ready;
	uint32_t sending[STREAM_COUNT];

	uint64_t sent;
	uint64_t refused[RELAY_BLAME_COUNT];
	int64_t latencies[DESK_LATENCIES]; /* a ring */
	size_t latency_count;              /* ever */
	int64_t last_success_us;
};

#define DAY_UNKNOWN INT64_MIN
#define DAY_REFUSED (INT64_MIN + 1)

struct relay_desk {
	struct relay_book *book; /* or NULL */
	struct list versions;
	struct map by_id; /* the same */
	struct list logins;
	struct prng prng;
	int64_t day_offset_us;
	int64_t last_us; /* the latest time told */
	int64_t day;
	/* of relay_desk_next_event_us; kept right by every call that changes a time */
	int64_t next_us;
	struct relay_news *news; /* a queue: [news_first, news_end) */
	size_t news_first, news_end, news_cap;
};

/* NULL when the desk does not know it. */
struct desk_version *relay_desk_find(const struct relay_desk *desk, struct version_id id);
enum desk_reason relay_desk_reason(const struct desk_version *v);
/* Transactions running. */
static inline uint32_t
desk_sending(const struct desk_version *v)
{
	return v->sending[STREAM_TRANSACTIONAL] + v->sending[STREAM_BULK];
}
/* How many connections may be open now. */
uint32_t relay_desk_cap(const struct desk_version *v);
/* When a version that is not usable may be again; TIME_NEVER when not by itself. */
int64_t relay_desk_usable_at(const struct relay_desk *desk, const struct desk_version *v);
/* When the next day begins. */
int64_t relay_desk_day_end_us(const struct relay_desk *desk);
/* Time passes, then the version is looked up: how every call about one begins. NULL when it is not
 * known. */
struct desk_version *relay_desk_enter(
    struct relay_desk *desk, struct version_id id, int64_t now_us);
/* Tells what became of each version of `login`, and finds the next event: how every call that
 * changed something ends. */
void relay_desk_settle(struct relay_desk *desk, struct relay_login *login);
/* Finds the next event anew. */
void relay_desk_plan(struct relay_desk *desk);
/* Forgets versions that no book names and nothing uses. Logins stay: their counters are the day's.
 */
void relay_desk_sweep(struct relay_desk *desk);
/* desk_show.c: queues news. Texts are static. */
void relay_desk_tell(struct relay_desk *desk, enum relay_news_kind kind,
    const struct desk_version *v, const char *why, const char *remedy, int64_t until_us);
void relay_desk_tell_sender(struct relay_desk *desk, enum relay_news_kind kind,
    const struct desk_version *v, const struct relay_hold *hold);
