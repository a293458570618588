/* The relay desk: how each relay version and login is doing, and how much may go through it now.
 *
 * It knows versions, logins and senders on a login, and nothing of messages, queues and retry
 * times. The dispatcher tells it what happens on connections and asks it before it starts anything.
 * Dispatcher thread only; no clock, no locks. Every call takes the wall time; a clock set back is
 * borne with.
 *
 * A *login* is user and host: versions that share them share its limits (rate,
 * capacity window, learned connections, daily counters, held senders). A *breaker* stands before
 * each version (is the server all right?) and each version's secret (does it take our password?);
 * its states are drawn in relay/breaker.h.
 *
 * While half-open a single connection and a single message at a time are let through, as a trial.
 *
 * A transaction on a connection is told as: relay_desk_began, relay_desk_refused for each refusal,
 * then relay_desk_ended. A connection as: relay_desk_connecting, then relay_desk_connected or
 * relay_desk_connect_failed; after connected, relay_desk_closed. Calls about a version that the
 * desk does not know are answered with no and otherwise ignored: a version stays known until its
 * last connection and transaction have ended, also when no book names it any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "relay/attribute.h"
#include "relay/book.h"
#include "relay/breaker.h"

struct relay_desk;

/* `seed` drives the jitter of waits. A day, for quotas and counters, begins `day_offset_us` before
 * UTC's (8 hours for Beijing). */
struct relay_desk *relay_desk_new(uint64_t seed, int64_t day_offset_us);
void relay_desk_free(struct relay_desk **dp);

/* Takes the versions of `book` and forgets those it no longer names as soon as they are idle. Keeps
 * a reference to the book. Health is kept across books, since versions are immutable; limits of the
 * new rows count at once. */
void relay_desk_set_book(struct relay_desk *desk, struct relay_book *book, int64_t now_us);

/* Whether mail can go through this version at all, now or as soon as a trial is free: not paused,
 * no breaker open, no capacity window, quota left. Deliver closes the groups whose answer is no. It
 * changes only within a call that changes the desk and is then told as RELAY_NEWS_USABLE or
 * _UNUSABLE. */
bool relay_desk_is_usable(const struct relay_desk *desk, struct version_id version);

/* Whether a message of `lane` may be started on an idle connection now. On no, *wait_until_out is
 * when to ask again at the latest, TIME_NEVER when only an event can change it. Bulk leaves one
 * connection, a tenth of the rate and a tenth of the daily quota to transactional mail. */
bool relay_desk_may_send(struct relay_desk *desk, struct version_id version, enum stream lane,
    int64_t now_us, int64_t *wait_until_out);
/* Whether a connection for `lane` may be opened now; *wait_until_out as above. */
bool relay_desk_may_connect(struct relay_desk *desk, struct version_id version, enum stream lane,
    int64_t now_us, int64_t *wait_until_out);
/* Whether `sender` (as it will be sent; any case) is held on the version's login; *until_out is
 * when it will be tried again. */
bool relay_desk_is_sender_held(struct relay_desk *desk, struct version_id version,
    struct str sender, int64_t now_us, int64_t *until_out);
/* Whether the version's secret has been accepted today and not refused since. */
bool relay_desk_worked_today(struct relay_desk *desk, struct version_id version, int64_t now_us);

/* A connection is being opened. */
void relay_desk_connecting(struct relay_desk *desk, struct version_id version, int64_t now_us);
/* It is greeted, protected, logged in and ready. */
void relay_desk_connected(struct relay_desk *desk, struct version_id version, int64_t now_us);
/* It did not come to that. */
void relay_desk_connect_failed(struct relay_desk *desk, struct version_id version,
    const struct relay_verdict *verdict, int64_t now_us);
/* A connection given up on our own account before it was ready: says nothing about the relay. */
void relay_desk_connect_cancelled(
    struct relay_desk *desk, struct version_id version, int64_t now_us);
/* A ready connection is gone. `verdict` is NULL when it was closed in the ordinary way, which
 * includes an idle one that the relay hung up on, with or without a 421, and when a transaction
 * told of the fault already. */
void relay_desk_closed(struct relay_desk *desk, struct version_id version,
    const struct relay_verdict *verdict, int64_t now_us);

/* A transaction starts: charged to the rate. */
void relay_desk_began(
    struct relay_desk *desk, struct version_id version, enum stream lane, int64_t now_us);
/* Something in the running transaction was refused: one recipient, or the whole. `sender` is the
 * envelope sender as it was sent. Tell each refusal of a stage once, not once for each recipient it
 * befell. */
void relay_desk_refused(struct relay_desk *desk, struct version_id version, struct str sender,
    const struct relay_verdict *verdict, int64_t now_us);
/* The transaction is over. `accepted` recipients were taken (0: none, or in doubt), `latency_us`
 * from MAIL to the reply to the dot. */
void relay_desk_ended(struct relay_desk *desk, struct version_id version, enum stream lane,
    uint32_t accepted, int64_t latency_us, int64_t now_us);

/* By hand. A paused version is not usable until resumed; resuming also closes its breakers, ends
 * its capacity window and forgets its waits, for a person says that it is well. `why` is copied. */
void relay_desk_pause(
    struct relay_desk *desk, struct version_id version, struct str why, int64_t now_us);
void relay_desk_resume(struct relay_desk *desk, struct version_id version, int64_t now_us);
void relay_desk_release_sender(
    struct relay_desk *desk, struct version_id version, struct str sender, int64_t now_us);

/* When relay_desk_tick is next due; TIME_NEVER when never. */
int64_t relay_desk_next_event_us(const struct relay_desk *desk);
/* Lets time pass: breakers become half-open, windows and holds end, days begin. */
void relay_desk_tick(struct relay_desk *desk, int64_t now_us);

enum relay_news_kind {
	RELAY_NEWS_USABLE,        /* open the groups of this version */
	RELAY_NEWS_UNUSABLE,      /* close them */
	RELAY_NEWS_RELAY_PAUSED,  /* the version's breaker opened, or a person paused it: tell the
				     operator */
	RELAY_NEWS_RELAY_RESUMED, /* it is well again */
	RELAY_NEWS_LOGIN_PAUSED,
	RELAY_NEWS_LOGIN_RESUMED,
	RELAY_NEWS_SENDER_HELD,
	RELAY_NEWS_SENDER_RELEASED,
	RELAY_NEWS_SLOWED, /* a capacity window began, or the daily quota is used up */
};
#define RELAY_NEWS_COUNT 9
/* "usable", "unusable", "relay-paused" ... */
const char *relay_news_name(enum relay_news_kind kind);

#define RELAY_SENDER_SIZE 324

struct relay_news {
	enum relay_news_kind kind;
	struct version_id version;
	const char *why; /* "" where it goes without saying; static, as is remedy */
	const char *remedy;
	int64_t until_us;               /* when it is tried again; TIME_NEVER: not by itself */
	char sender[RELAY_SENDER_SIZE]; /* of SENDER_HELD and _RELEASED */
};

/* Hands out what the calls before brought about, oldest first; false when there is nothing more.
 * Drain it after every call that changes the desk. */
bool relay_desk_next_news(struct relay_desk *desk, struct relay_news *out);

/* What a login has sent on one day. */
struct relay_count {
	struct str login; /* "user@host"; valid until the desk is called again */
	int64_t day;      /* days since the epoch, by the desk's day */
	uint64_t messages;
	uint64_t recipients;
};

/* Hands out each login's count that changed since it was last handed out, for keeping; false when
 * there is none. Counts are totals of the day: keeping the same one twice does no harm. */
bool relay_desk_next_count(struct relay_desk *desk, struct relay_count *out);
/* Takes back what was kept, once, at start; before or after the book is set. Days gone by are
 * ignored. */
void relay_desk_restore_count(
    struct relay_desk *desk, const struct relay_count *count, int64_t now_us);

/* For display. Texts are valid until the desk is called again. */
struct relay_status {
	enum relay_breaker_state relay;
	enum relay_breaker_state login;
	bool usable;
	bool paused_by_hand;
	const char *word; /* in one word: "ok", "trying", "failing", "login refused", "paused",
			     "slowed", "quota" */
	const char *why;  /* "" while all is well */
	const char *remedy;
	int64_t since_us; /* when this began; 0 while all is well */
	/* when it is tried again; TIME_NEVER: not by itself; 0 while all is well */
	int64_t until_us;
	uint32_t connections; /* ready */
	uint32_t connecting;
	uint32_t sending;        /* transactions running */
	uint32_t connection_cap; /* what is allowed now: configured, learned, slow start */
	uint32_t connection_max; /* configured, or the provider's usual */
	struct relay_rate rate;
	double rate_used;        /* share of the rate in use now, 0 to 1; 0 without a rate */
	uint64_t today_messages; /* of the login */
	uint64_t today_recipients;
	uint32_t daily_quota;                /* 0: none */
	uint32_t held_senders;               /* on the login */
	uint64_t sent;                       /* recipients taken since start */
	uint64_t refused[RELAY_BLAME_COUNT]; /* refusals since start, by blame */
	int64_t latency_p50_us;              /* of the last transactions; 0: none yet */
	int64_t latency_p95_us;
	int64_t last_success_us; /* 0: never since start */
};

/* False, *out untouched, when the desk does not know the version. */
bool relay_desk_status(
    struct relay_desk *desk, struct version_id version, int64_t now_us, struct relay_status *out);

/* Checks every invariant; aborts when one is broken. For tests, fuzzing and AUDIT. */
void relay_desk_audit(const struct relay_desk *desk);
