/* A changeover from inside; for the changeover_*.c files alone. */
#pragma once

#include "base/clock.h"
#include "relay/changeover.h"

#define CHANGEOVER_SAMPLES 64
#define CHANGEOVER_NEWS    8
#define CHANGEOVER_SEEN    32
#define CHANGEOVER_TEXT    320

/* A sequential test: failures add, clean messages subtract. */
struct changeover_test {
	double llr;
	uint32_t clean, faults;
};

struct changeover_tally {
	uint64_t sent, relay_faults, recipient_faults, in_doubt, capacity, cut, alone;
};

struct relay_changeover {
	struct relay_changeover_opts opts;
	enum relay_changeover_state state;
	enum relay_changeover_state before; /* of HELD and SUSPECT: what it was, and is again */
	uint32_t step;
	bool our_side;   /* HELD: the old version fails too; asked again at retry_us */
	bool by_person;  /* SUSPECT: a person wants it reverted */
	bool unproven;   /* no probe could tell */
	bool old_proven; /* after REVERTED */
	bool due_told;
	double p0;
	int64_t since_us, settled_us;
	int64_t last_us;  /* of the evidence that vouched last; 0: none in this state */
	int64_t green_us; /* vouched for in this step, or in FULL */
	int64_t retry_us;
	uint64_t wants;              /* counts them */
	struct changeover_test test; /* of the present step, all groups */
	struct changeover_test by_group[RELAY_RGROUP_COUNT];
	double cusum;
	uint32_t connects; /* failed in a row */
	uint64_t new_total;
	bool is_excluded[RELAY_RGROUP_COUNT];
	struct changeover_tally counts[2];
	struct changeover_tally group_counts[2][RELAY_RGROUP_COUNT];
	int64_t latency[2][CHANGEOVER_SAMPLES]; /* rings */
	uint32_t n_latency[2];                  /* ever */
	/* WARM_UP: the present day, and what each group took and did not take on it */
	int64_t day, first_day;
	uint32_t warm_round;
	uint64_t warm_taken[RELAY_RGROUP_COUNT], warm_bad[RELAY_RGROUP_COUNT];
	char reason[CHANGEOVER_TEXT];

	/* Not kept on disk. */
	bool dirty, moved;
	struct {
		uint64_t key;
		int64_t at_us;
	} seen[CHANGEOVER_SEEN];
	struct relay_changeover_news news[CHANGEOVER_NEWS];
	uint32_t n_news;
};

/* changeover.c */
/* The only way into another state. `why` is a whole sentence. */
void changeover_enter(struct relay_changeover *c, enum relay_changeover_state to, int64_t now_us,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
void changeover_say(
    struct relay_changeover *c, enum relay_changeover_news_kind kind, const char *text);
/* Mail goes through the new version now, and what comes of it counts. */
bool changeover_is_watching(const struct relay_changeover *c);
/* Evidence against the new version: the old one is to be looked at. */
void changeover_suspect(struct relay_changeover *c, int64_t now_us, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void changeover_start_step(struct relay_changeover *c, int64_t now_us);
const struct relay_changeover_step *changeover_step(const struct relay_changeover *c);
/* Whether the step, or FULL, has what it needs; then goes on. */
void changeover_promote(struct relay_changeover *c, int64_t now_us);
/* p1 and bounds of the present test. */
double changeover_p1(const struct relay_changeover *c);
double changeover_pass_at(const struct relay_changeover *c);
double changeover_fail_at(const struct relay_changeover *c);
uint32_t changeover_clean_needed(const struct relay_changeover *c);
/* Of the last samples of a side, `q` from 0 to 1; 0: none. */
int64_t changeover_latency(const struct relay_changeover *c, enum relay_side side, double q);
/* changeover_evidence.c: WARM_UP */
uint64_t changeover_warm_cap(const struct relay_changeover *c, enum relay_rgroup g);
void changeover_warm_tick(struct relay_changeover *c, int64_t now_us);
