/* A breaker: whether something may be used, must rest, or is being tried.
 *
 *            fault                     until is reached
 *   CLOSED ─────────▶ OPEN ─────────────────────────────────▶ HALF_OPEN
 *     ▲               │  ▲                                      │  │
 *     ├──── well ─────┘  └──────── fault: a longer rest ────────┘  │
 *     └──────────────────────────── well ──────────────────────────┘
 *
 * Facts: CLOSED has no reason and no until. OPEN has a reason and an until. HALF_OPEN keeps the
 * reason for which it was opened. Used by relay/desk.h, which owns them; the states alone are of
 * interest to others. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/prng.h"

enum relay_breaker_state {
#define X(name, text, next) RELAY_BREAKER_##name,
#include "relay/relay_states.def"
#undef X
	RELAY_BREAKER_STATE_COUNT,
};
/* "closed", "open", "half-open". */
const char *relay_breaker_state_name(enum relay_breaker_state state);

struct relay_breaker {
	enum relay_breaker_state state;
	uint32_t opened;  /* times in a row without being well: sets the rest */
	int64_t since_us; /* when it was first opened; 0 while CLOSED */
	int64_t until_us; /* of OPEN; TIME_NEVER: not by itself. 0 otherwise */
	const char *why;  /* static; NULL while CLOSED */
	const char *remedy;
};

/* The rest before trial number `n` (from 1): 5 s doubling to 5 minutes, a fifth of it left to
 * chance. */
int64_t relay_breaker_rest_us(uint32_t n, struct prng *r);

/* Opens it, or keeps it open longer: until now plus the rest of its turn, or plus `wait_us` if that
 * is more; TIME_NEVER as a wait is for good. True when it was CLOSED before. */
bool relay_breaker_open(struct relay_breaker *b, const char *why, const char *remedy,
    int64_t wait_us, int64_t now_us, struct prng *r);
/* Makes it HALF_OPEN when its until is reached; true if so. */
bool relay_breaker_tick(struct relay_breaker *b, int64_t now_us);
/* Closes it; true when it was not CLOSED before. */
bool relay_breaker_well(struct relay_breaker *b);

/* Aborts when a fact above does not hold. */
void relay_breaker_audit(const struct relay_breaker *b);
