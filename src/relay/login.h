/* A login: what versions with the same user on the same host share.
 *
 * The rate, the capacity window, the number of connections learned, the day's counters and the
 * senders held. Used inside relay/ only; the desk owns them, and every call is the dispatcher's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/prng.h"
#include "base/str.h"
#include "mail/stream.h"
#include "relay/attribute.h"
#include "relay/settings.h"

/* One sender that is held, or was until a while ago. */
struct relay_hold {
	char *sender; /* lower case; "<>" for the null sender */
	uint64_t hash;
	bool held;  /* false: it may try, but its next refusal holds it longer */
	bool fresh; /* the last relay_login_hold found it not held */
	uint32_t times;
	int64_t until_us; /* held: when it may try; else: when this is forgotten */
	const char *why;  /* static */
	const char *remedy;
};

struct relay_login {
	char *name; /* "user@host" */
	uint64_t hash;
	struct list link;     /* on the desk's logins */
	struct list versions; /* those that use it */

	/* Rate, as the time when the next message is due under an even flow. */
	int64_t due_us;

	/* Capacity window. */
	int64_t window_until_us; /* 0: none */
	int64_t window_since_us;
	uint32_t windows; /* in a row */
	int64_t calm_us;  /* when the row is forgotten */
	const char *window_why;
	const char *window_remedy;

	/* Connections learned from capacity replies; 0: nothing learned. */
	uint32_t learned;
	int64_t learned_us;

	/* The day's counters. */
	int64_t day;
	uint64_t messages;
	uint64_t recipients;
	bool unsaved;
	bool counted_before; /* the counters came from before this start */

	uint32_t sending; /* transactions running, over all versions */

	struct relay_hold *holds;
	size_t hold_count;
	size_t hold_cap;
};

/* The most senders remembered for one login; beyond, the one that would be freed first gives way.
 */
#define RELAY_HOLDS_MAX 1000u

struct relay_login *relay_login_new(struct str name);
void relay_login_free(struct relay_login **lp);

/* Begins a new day when `day` is another. True if so. */
bool relay_login_set_day(struct relay_login *login, int64_t day);

/* When a message of `lane` may go under `rate`; in the past or now: it may. */
int64_t relay_login_rate_due(
    const struct relay_login *login, struct relay_rate rate, enum stream lane);
/* Charges one message. */
void relay_login_rate_charge(struct relay_login *login, struct relay_rate rate, int64_t now_us);
/* How full the allowance is, 0 to 1. */
double relay_login_rate_used(
    const struct relay_login *login, struct relay_rate rate, int64_t now_us);

/* A capacity reply while `open` connections of at most `most` were open. True when a window began.
 */
bool relay_login_slow(struct relay_login *login, const struct relay_verdict *verdict, uint32_t open,
    uint32_t most, int64_t now_us, struct prng *r);
/* Ends the window. */
void relay_login_end_window(struct relay_login *login);
/* Mail went through: after a calm minute one connection more is tried. */
void relay_login_went_well(struct relay_login *login, uint32_t most, int64_t now_us);

/* The record of `sender` (any case; empty for the null sender), or NULL. */
struct relay_hold *relay_login_find_hold(const struct relay_login *login, struct str sender);
/* Holds `sender` from now on: an hour first, doubling to a day; `soft`: 5 s doubling to 5 minutes.
 * The record is valid until the next call; its `fresh` says that it was not held before. */
struct relay_hold *relay_login_hold(struct relay_login *login, struct str sender,
    const struct relay_verdict *verdict, bool soft, int64_t now_us, struct prng *r);
/* Forgets the record at `i`. */
void relay_login_drop_hold(struct relay_login *login, size_t i);
/* Senders held now. */
uint32_t relay_login_held_count(const struct relay_login *login);

/* The earliest until of window and holds; TIME_NEVER when there is none. */
int64_t relay_login_next_us(const struct relay_login *login);
/* Moves every time by `delta_us`: the clock was set. */
void relay_login_shift(struct relay_login *login, int64_t delta_us);
void relay_login_audit(const struct relay_login *login);
