/* A changeover from inside; for the changeover_*.c files alone. */
#pragma once

#include "base/clock.h"
#include "relay/changeover.h"
#include "relay/sprt.h"

#define CHANGEOVER_SAMPLES 64
#define CHANGEOVER_NEWS    8
#define CHANGEOVER_DOMAINS 32
#define CHANGEOVER_IGNORED 8
#define CHANGEOVER_TEXT    320
/* Of a text told from outside, inside a sentence of ours. */
#define CHANGEOVER_WORDS   160

struct changeover_tally {
	uint64_t sent, relay_faults, recipient_faults, in_doubt, capacity, cut, alone;
};

/* What speaks against the new version for one recipient group: a cumulative sum, 0 while nothing
 * does. The rest is 0 with it: it begins with the first fault. */
struct changeover_group {
	double watch;
	double rest;     /* what all other outcomes have said since, in the same measure */
	double peers;    /* likewise those of the group's other domains */
	double gave;     /* what this group has added since to the test of the step */
	uint64_t domain; /* that all faults came from; 0: several, or not known */
	uint32_t faults;
};

/* WARM_UP: the cap of a group. Days count when there was mail. */
struct changeover_warm {
	uint64_t cap;              /* of a day */
	uint64_t today, today_bad; /* taken, and not taken */
	uint64_t taken, bad;       /* on the days counted since the cap was set */
	uint32_t days;
};

struct changeover_window {
	uint64_t domain;
	int64_t at_us;
};

struct relay_changeover {
	struct relay_changeover_opts opts;
	enum relay_changeover_state state;
	enum relay_changeover_state before; /* of HELD and SUSPECT: what it was, and is again */
	uint32_t step;
	bool our_side;    /* HELD: the old version fails too; asked again at retry_us */
	bool by_person;   /* SUSPECT, or HELD for our side: a person wants it reverted */
	bool unproven;    /* no probe could tell */
	bool old_proven;  /* after REVERTED */
	bool due_told;    /* FULL waits for a person and has said so */
	bool slow_borne;  /* a person resumed it although the new version is slow */
	bool lone_domain; /* a domain, ignored otherwise, is served by the old version alone */
	double p0;
	int64_t since_us, settled_us;
	int64_t last_us;  /* of the evidence that vouched last; 0: none in this state */
	int64_t green_us; /* vouched for in this step, or in FULL */
	int64_t retry_us;
	int64_t warned_us; /* of the last warning about a settled changeover */
	uint64_t wants;    /* counts them */

	/* Evidence: changeover_weigh.c. */
	struct relay_sprt test; /* of the present step, or of FULL */
	double creep, crash;    /* cumulative sums over all, for slight and for gross faults */
	double proof;           /* over all since the canary began, p1 a fifth */
	struct changeover_group groups[RELAY_RGROUP_COUNT];
	bool is_excluded[RELAY_RGROUP_COUNT];
	struct changeover_window windows[CHANGEOVER_DOMAINS]; /* one failed then; a ring */
	uint32_t n_windows;                                   /* ever, modulo 2^32 */
	uint64_t ignored[CHANGEOVER_IGNORED];                 /* domains that fail alone */
	uint32_t n_ignored;
	uint32_t connects; /* failed in a row */
	uint64_t new_total;
	struct changeover_tally counts[2];
	struct changeover_tally group_counts[2][RELAY_RGROUP_COUNT];
	int64_t latency[2][CHANGEOVER_SAMPLES]; /* rings */
	uint32_t n_latency[2];                  /* ever */
	int64_t day;                            /* WARM_UP: the present one */
	struct changeover_warm warm[RELAY_RGROUP_COUNT];
	char reason[CHANGEOVER_TEXT];

	/* Not kept on disk. */
	bool dirty, moved;
	struct {
		struct relay_sprt_odds test, creep, crash, group;
	} odds; /* of p0 and the present step: changeover_set_odds */
	struct relay_changeover_news news[CHANGEOVER_NEWS];
	uint32_t n_news;
};

/* changeover.c */
/* The only way into another state. `fmt` is a whole sentence. */
void changeover_enter(struct relay_changeover *c, enum relay_changeover_state to, int64_t now_us,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
void changeover_say(struct relay_changeover *c, enum relay_changeover_news_kind kind,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Evidence against the new version: the old one is to be looked at. */
void changeover_suspect(struct relay_changeover *c, int64_t now_us, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* A step, or FULL, begins with nothing proven. */
void changeover_start_step(struct relay_changeover *c, int64_t now_us);
/* From PROBED on. */
void changeover_begin(struct relay_changeover *c, int64_t now_us);
void changeover_confirm(struct relay_changeover *c, int64_t now_us, const char *why);
/* To what it was before it was HELD for our own side. */
void changeover_go_on(struct relay_changeover *c, int64_t now_us, const char *why);
/* Whether the step, or FULL, has what it needs; then goes on. */
void changeover_promote(struct relay_changeover *c, int64_t now_us);
/* `text` as far as it fits into `size` bytes with its NUL: UTF-8, one line. */
void changeover_words(char *out, size_t size, struct str text);

/* changeover_show.c */
const struct relay_changeover_step *changeover_step(const struct relay_changeover *c);
/* Mail goes through the new version now, and what comes of it counts. */
bool changeover_is_watching(const struct relay_changeover *c);
/* The present test, or the next, is that of FULL. */
bool changeover_is_full(const struct relay_changeover *c);
/* p1 of the present test. */
double changeover_p1(const struct relay_changeover *c);
uint32_t changeover_clean_needed(const struct relay_changeover *c);
/* Of the last samples of a side, `q` from 0 to 1; 0: none. */
int64_t changeover_latency(const struct relay_changeover *c, enum relay_side side, double q);
uint32_t changeover_excluded_count(const struct relay_changeover *c);
/* What of the facts of changeover.h does not hold; NULL: all do. */
const char *changeover_broken(const struct relay_changeover *c);

/* changeover_weigh.c */
/* To be called when p0, the step or the state before SUSPECT and HELD has changed. */
void changeover_set_odds(struct relay_changeover *c);
/* Bounds of the present test. */
double changeover_pass_at(const struct relay_changeover *c);
double changeover_fail_at(const struct relay_changeover *c);
/* Whether what was seen since the canary began rules out a version that fails a fifth. */
bool changeover_is_proven(const struct relay_changeover *c);
/* What speaks against the new version now is forgotten: it was no fault of its own. */
void changeover_forgive(struct relay_changeover *c);
/* A clean message, or a fault. */
void changeover_weigh(
    struct relay_changeover *c, const struct relay_evidence *e, bool fault, int64_t now_us);
/* What is wrong with the sums; NULL: nothing. */
const char *changeover_sums_broken(const struct relay_changeover *c);

/* changeover_warm.c */
void changeover_warm_begin(struct relay_changeover *c, int64_t now_us);
void changeover_warm_tell(struct relay_changeover *c, const struct relay_evidence *e);
void changeover_warm_tick(struct relay_changeover *c, int64_t now_us);
