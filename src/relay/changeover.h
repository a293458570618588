/* A changeover: mail moves from one relay version to another, and back by itself when that was no
 * improvement.
 *
 *   DRAFT ──▶ CHECKED ──▶ PROBED ──▶ CANARY ──▶ FULL ──▶ CONFIRMED ──▶ RETIRED
 *     │          │                     │          │
 *     ▼          ▼                     ▼          ▼
 *   REFUSED   REFUSED                 SUSPECT ─────────── the old version works ──▶ REVERTED
 *                                         │
 *                                         └── it fails too ──▶ HELD, and back to CANARY or FULL
 *                                                              once it works again
 *
 * and from every unsettled state to HELD (undecided: the share stays, a person is asked) and, by
 * order, to REVERTED. What holds in each:
 *   DRAFT      nothing goes to the new version; its preflight is wanted
 *   CHECKED    preflight passed; probes are wanted
 *   PROBED     probes arrived, or nobody can tell and it says so; the first step is about to begin
 *   CANARY     step `step` of the schedule: a share of messages may go to the new version
 *   FULL       all go to the new version; what it refuses for good is tried by the old one
 *   SUSPECT    evidence speaks against the new version: nothing fresh goes to it, and a check of
 *              the old version (connect, TLS, login) is wanted
 *   HELD       `held_from` says what it was; its share still applies, but for HELD from SUSPECT,
 *              where each version gets what it had. Nothing is promoted
 *   CONFIRMED  the route names the new version; the old one is kept for the settled period
 *   RETIRED    the old version's secret may be wiped. REVERTED, REFUSED: as it was before
 *
 * Evidence is what deliveries came to, told by relay_changeover_tell. Only what is the relay's
 * fault, or what the old version took after the new one had refused it, speaks against the new
 * version; a sender that it refuses says nothing until the old version has taken it. Each step ends
 * by a sequential probability ratio test (Wald 1945) over all recipient groups together, while two
 * cumulative sums (CUSUM, Page 1954) watch all along for slight and for gross faults. A sum for
 * each recipient group finds the one that the new version cannot serve: it goes back alone, and the
 * changeover then waits for a person at the end of FULL. The chance of a wrong reversal is split
 * over all tests of the changeover, so the total is that of struct relay_changeover_rules; that of
 * a wrong promotion bounds what all messages together must have shown before it is confirmed by
 * itself. The numbers, and why they hold, stand in changeover_weigh.c. Some things need no
 * statistics (hard stops): a login or certificate refused, weaker TLS, relaying denied, an identity
 * that the old version takes, `connects` failed connections in a row, doubts above their bound.
 *
 * Pure: no clock, no I/O; all times are wall microseconds passed in, and a clock that jumps
 * neither proves anything nor reverts anything: time counts only as far as evidence vouches for it.
 * One owner. Whoever owns it commits relay_changeover_write after every call that left
 * relay_changeover_is_dirty true, and lets a new state act only then. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "mail/ids.h"
#include "relay/attribute.h"
#include "relay/rgroup.h"

struct json;
struct json_writer;
struct relay_changeover;

enum relay_changeover_state {
#define X(name, text, next) RELAY_CHANGEOVER_##name,
#include "relay/changeover_states.def"
#undef X
	RELAY_CHANGEOVER_STATE_COUNT,
};
/* "draft", "checked" ... */
const char *relay_changeover_state_name(enum relay_changeover_state state);
/* Settled: no state follows by itself that moves mail (CONFIRMED, RETIRED, REVERTED, REFUSED). */
bool relay_changeover_is_settled(enum relay_changeover_state state);

/* ---- what was decided at its start ---- */

enum relay_changeover_kind {
	RELAY_CHANGEOVER_GRADUAL,
	RELAY_CHANGEOVER_EMERGENCY, /* the old version is dead: after checks and one probe, all */
	RELAY_CHANGEOVER_WARM_UP,   /* daily caps per recipient group, doubling; both stay in use */
};

/* One step of the canary. */
struct relay_changeover_step {
	uint16_t share;    /* of messages, per mille, 1 .. 1000 */
	uint16_t clean;    /* messages that the new version must take without a fault of its own */
	uint16_t at_once;  /* transactions of the new version at a time; 0: as many as it may */
	int64_t least_us;  /* it lasts that long at least, counted in time with evidence */
	uint16_t worst_pm; /* p1 of its test, per mille: what must not pass */
};
#define RELAY_CHANGEOVER_STEPS_MAX 12

struct relay_schedule {
	struct relay_changeover_step steps[RELAY_CHANGEOVER_STEPS_MAX];
	uint32_t n_steps;
	/* FULL is confirmed by itself after that long with evidence ... */
	int64_t full_us;
	uint32_t full_clean; /* ... and so many clean messages in FULL. Both 0: by a person only */
	int64_t vouch_us;    /* a message vouches for the time since the one before, at most this */
	char name[16];       /* "small", "normal", "fast", "file" */
};

/* How the schedules were chosen: `per_day` messages go through the old version. "auto" is "small"
 * below 500 a day, otherwise "normal", with shares raised until each step can end in its time.
 * "small": ten messages, half, all; "fast": as soon as the evidence suffices, confirmed after ten
 * green seconds. RC_INVALID, with what is known, for another name. */
enum rc relay_schedule_named(
    struct str name, uint64_t per_day, struct relay_schedule *out, struct fault *f);
/* One of a person's own: a line for each step, "SHARE% CLEAN [MINUTES [AT-ONCE]]", then "full
 * MINUTES [CLEAN]". RC_INVALID with the line. */
enum rc relay_schedule_parse(struct str text, struct relay_schedule *out, struct fault *f);
/* How long it takes with that volume: until the first message of FULL, and until confirmed (the
 * longest of what it waits for; TIME_NEVER: by a person only). */
struct relay_schedule_time {
	int64_t step_us[RELAY_CHANGEOVER_STEPS_MAX];
	int64_t until_full_us;
	int64_t until_confirmed_us;
};
void relay_schedule_estimate(
    const struct relay_schedule *s, uint64_t per_day, struct relay_schedule_time *out);

/* The numbers; relay_changeover_rules_default fills in those of the names below. */
struct relay_changeover_rules {
	double false_revert;      /* 0.01: over all tests of the changeover, at p0 */
	double false_promote;     /* 0.0001: likewise, for a version that fails 20 % */
	double p0;                /* 0.01: what is borne with */
	double p0_max;            /* 0.02: as far as the old version's own rate raises it ... */
	uint32_t p0_from;         /* 300: ... once it has so many outcomes */
	uint32_t connects;        /* 3 failed in a row */
	uint32_t doubts;          /* 2: so many doubts within ... */
	uint32_t doubts_within;   /* 50 messages, ... */
	double doubt_share;       /* 0.01: or that share of all after them */
	double slow_factor;       /* 3: hold when the new p95 > factor * the old p95 + slack ... */
	int64_t slow_slack_us;    /* 2 s */
	uint32_t slow_from;       /* 30: ... with so many of each */
	double cusum_p1;          /* 0.05 */
	double cusum_h;           /* 14 */
	int64_t starved_us;       /* 72 h in one step without its evidence: held */
	int64_t settled_us;       /* 7 days from CONFIRMED to RETIRED */
	int64_t retry_us;         /* 30 s between checks of ours while HELD for our own side */
	int64_t near_deadline_us; /* 10 min: such messages do not go in the first step */
	/* WARM_UP: the first day's cap of a recipient group, per mille of its usual volume, at
	 * least 50; doubled each `warm_days`, while less than warm_bad of its outcomes were not
	 * taken */
	uint32_t warm_first_pm; /* 50 */
	uint32_t warm_days;     /* 2 */
	double warm_bad;        /* 0.05 */
};
void relay_changeover_rules_default(struct relay_changeover_rules *out);

struct relay_changeover_opts {
	uint64_t id;
	enum relay_changeover_kind kind;
	struct relay_schedule schedule;
	struct relay_changeover_rules rules;
	/* What the old version came to of late: outcomes and relay faults among them. */
	uint64_t old_outcomes, old_faults;
	/* WARM_UP: messages a day by recipient group. */
	uint64_t usual[RELAY_RGROUP_COUNT];
	bool has_probe; /* there is a mailbox to send probes to */
	int64_t now_us;
};

struct relay_changeover *relay_changeover_new(const struct relay_changeover_opts *opts);
void relay_changeover_free(struct relay_changeover **c);
/* All of it, as one JSON object, and back. RC_INVALID with a fault when it is none. */
void relay_changeover_write(const struct relay_changeover *c, struct json_writer *w);
enum rc relay_changeover_read(const struct json *v, struct relay_changeover **out, struct fault *f);

/* ---- what happens ---- */

enum relay_side { RELAY_OLD, RELAY_NEW };

enum relay_evidence_kind {
	RELAY_EVIDENCE_SENT,
	/* A refusal or failure of the relay's, by its verdict: blame RELAY, IDENTITY or CAPACITY,
	 * or a broken connection. Those of RECIPIENT, CONTENT and UNKNOWN say nothing by
	 * themselves; they may be told. */
	RELAY_EVIDENCE_REFUSED,
	RELAY_EVIDENCE_CONNECT, /* a connection did not come to be ready */
	RELAY_EVIDENCE_DOUBT,   /* no reply to the dot */
	RELAY_EVIDENCE_CUT, /* slower before the dot than is borne with: cut, sent by the other */
	/* The old version took what the new one had refused for good (told with side NEW). */
	RELAY_EVIDENCE_ALONE,
	/* A report came home later: by its verdict. RECIPIENT says nothing. Never a hard stop;
	 * after CONFIRMED people are told, and no more. */
	RELAY_EVIDENCE_REPORT,
};

/* Why there is no need of statistics. */
enum relay_hard_stop {
	RELAY_STOP_NONE,
	RELAY_STOP_LOGIN,       /* 535, 534, 538; no mechanism offered */
	RELAY_STOP_CERTIFICATE, /* does not prove the name; TLS or STARTTLS gone: weaker */
	RELAY_STOP_RELAYING,    /* relaying denied, the account is suspended, our address blocked */
	/* A sender refused that the old version takes: with ALONE only. */
	RELAY_STOP_IDENTITY,
};
/* What a verdict at a stage amounts to. */
enum relay_hard_stop relay_hard_stop_of(
    const struct relay_facts *facts, const struct relay_verdict *v);

struct relay_evidence {
	enum relay_side side;
	enum relay_evidence_kind kind;
	enum relay_blame blame;    /* of REFUSED, CONNECT, REPORT */
	enum relay_stage stage;    /* likewise, and of ALONE */
	enum relay_hard_stop stop; /* likewise */
	uint16_t code;
	enum relay_rgroup rgroup;
	uint64_t domain_hash; /* of the recipient; 0: none */
	int64_t latency_us;   /* of SENT: MAIL to the reply to the dot */
	/* For people; NUL-terminated, cut to 240 bytes. May be NULL. */
	const char *text;
};
/* One message (SENT, REFUSED, DOUBT, CUT: one for each transaction and kind, not for each
 * recipient), one connection, or one late report. */
void relay_changeover_tell(
    struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us);

/* Answers to what was wanted (relay_changeover_wants). `why` is one sentence, copied; for a failure
 * it names stage and cause. */
enum relay_answer {
	RELAY_ANSWER_PASSED,
	RELAY_ANSWER_FAILED,   /* preflight: REFUSED. Probe: REFUSED. Old version: it fails too */
	RELAY_ANSWER_HOLD,     /* passed but for something a person must decide, such as a quota */
	RELAY_ANSWER_UNPROVEN, /* probe: nobody can tell whether it arrived */
};
void relay_changeover_checked(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us);
void relay_changeover_probed(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us);
/* The control: is the old version well (connect, TLS, login)? */
void relay_changeover_controlled(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us);

/* The new version's quota or rate is below what is asked of it until then: held when that is more
 * than ten minutes ahead. */
void relay_changeover_short(struct relay_changeover *c, int64_t until_us, int64_t now_us);

/* By a person. RC_INVALID, with what would be possible, where the state does not allow it. */
enum rc relay_changeover_hold(
    struct relay_changeover *c, struct str why, int64_t now_us, struct fault *f);
enum rc relay_changeover_resume(struct relay_changeover *c, int64_t now_us, struct fault *f);
enum rc relay_changeover_confirm(struct relay_changeover *c, int64_t now_us, struct fault *f);
/* Reverts after the control; `at_once` without it. */
enum rc relay_changeover_revert(
    struct relay_changeover *c, bool at_once, struct str why, int64_t now_us, struct fault *f);
/* CONFIRMED becomes RETIRED now: by a person, or because another changeover takes its place. */
enum rc relay_changeover_retire(struct relay_changeover *c, int64_t now_us, struct fault *f);

/* When relay_changeover_tick is next due; TIME_NEVER when never. */
int64_t relay_changeover_next_event_us(const struct relay_changeover *c);
void relay_changeover_tick(struct relay_changeover *c, int64_t now_us);

/* ---- what follows from it ---- */

enum relay_want { RELAY_WANT_NOTHING, RELAY_WANT_PREFLIGHT, RELAY_WANT_PROBE, RELAY_WANT_CONTROL };
/* What the present state waits for. The same after a restart. `since` counts the wants: a new
 * number is a new want, asked for once. */
enum relay_want relay_changeover_wants(const struct relay_changeover *c, uint64_t *since_out);

enum relay_changeover_state relay_changeover_state(const struct relay_changeover *c);
/* Share of fresh messages that may go to the new version, per mille; a message's place is
 * relay_changeover_place of its id. 0 before CANARY, in SUSPECT and after REVERTED; 1000 in FULL
 * and after. */
uint32_t relay_changeover_share(const struct relay_changeover *c);
/* All fresh messages go to the new version alone: FULL and after, and HELD there. */
bool relay_changeover_is_full(const struct relay_changeover *c);
/* 0 .. 999, the same for a message all along, differing between changeovers. */
uint32_t relay_changeover_place(const struct relay_changeover *c, struct msg_id msg);
/* Of the new version's transactions: most at a time now; 0: any number. */
uint32_t relay_changeover_at_once(const struct relay_changeover *c);
/* Whether a message to this recipient group, with this deadline (TIME_NEVER: none), may go to the
 * new version: false for a group that it cannot serve, a spent cap of the day, a near deadline in
 * the first step. */
bool relay_changeover_may_take(
    const struct relay_changeover *c, enum relay_rgroup g, int64_t deadline_us, int64_t now_us);
/* Before the dot a transaction of the new version may last that long; 0: any time. max(5 s, 3 times
 * the old p95), until CONFIRMED. */
int64_t relay_changeover_cut_after_us(const struct relay_changeover *c);
/* Whether what the new version refuses for good goes to the old one before it may bounce. */
bool relay_changeover_has_way_back(const struct relay_changeover *c);

/* Something is to be kept. */
bool relay_changeover_is_dirty(const struct relay_changeover *c);
/* The state changed since it was last kept: it acts only once kept. */
bool relay_changeover_has_moved(const struct relay_changeover *c);
void relay_changeover_kept(struct relay_changeover *c);

enum relay_changeover_news_kind {
	RELAY_CHANGEOVER_MOVED,  /* to another state or step */
	RELAY_CHANGEOVER_WARNED, /* something a person should know, such as a recipient group
				    that went back to the old version */
	RELAY_CHANGEOVER_DUE,    /* confirmation by a person is due */
	RELAY_CHANGEOVER_PROVEN, /* after REVERTED: the old version has sent again */
};
struct relay_changeover_news {
	enum relay_changeover_news_kind kind;
	enum relay_changeover_state from, to;
	uint32_t step;
	char text[320]; /* one sentence, with the numbers that decided */
};
/* Oldest first; false when there is nothing more. Not kept on disk: the owner writes history. */
bool relay_changeover_next_news(struct relay_changeover *c, struct relay_changeover_news *out);

struct relay_changeover_counts {
	uint64_t sent, relay_faults, recipient_faults, in_doubt, capacity, cut, alone;
	int64_t p50_us, p95_us; /* of the last some hundred; 0: none yet */
};
struct relay_changeover_view {
	enum relay_changeover_state state, held_from;
	enum relay_changeover_kind kind;
	uint32_t step, n_steps;            /* from 0 */
	uint32_t share;                    /* per mille */
	uint32_t clean, clean_needed;      /* of the present step, or of FULL; faults need more */
	int64_t green_us, green_needed_us; /* likewise */
	double llr, llr_pass, llr_fail;    /* of the present test; 0 where none runs */
	int64_t since_us;                  /* when it came into this state */
	int64_t started_us, settled_us;    /* 0: not yet */
	const char *reason; /* one sentence: why it is where it is; lives as long as the object */
	bool is_excluded[RELAY_RGROUP_COUNT];     /* went back to the old version */
	struct relay_changeover_counts counts[2]; /* by enum relay_side */
	struct relay_changeover_counts by_group[2][RELAY_RGROUP_COUNT];
	const struct relay_schedule *schedule;
	bool is_unproven; /* no probe could tell */
	bool old_proven;  /* after REVERTED: the old version has sent again */
	bool is_our_side; /* HELD only until the old version works again */
};
void relay_changeover_view(const struct relay_changeover *c, struct relay_changeover_view *out);

/* Aborts when what each state promises does not hold. */
void relay_changeover_audit(const struct relay_changeover *c);
