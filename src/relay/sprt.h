/* Tests on outcomes that come one by one, each clean or a fault.
 *
 * Two suspicions are compared: the chance of a fault is p0 (borne with), or p1 (must not pass).
 * Each outcome adds to a sum the logarithm of how much likelier it is under p1; a fault raises the
 * sum, a clean outcome lowers it. Read in three ways:
 *
 *   a sequential probability ratio test (Wald 1945) stops at a bound on either side;
 *   a cumulative sum (CUSUM, Page 1954) never falls below 0 and so watches for a change for ever;
 *   a bound alone, by Ville's inequality: whoever truly is at p0 ever sees the sum reach
 *   ln(1 / alpha) with a chance of at most alpha, and whoever is at p1 or worse ever sees it fall
 * to ln(beta) with a chance of at most beta, however long one looks.
 *
 * Values; no allocation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* What one outcome adds. */
struct relay_sprt_odds {
	double fault; /* > 0 */
	double clean; /* < 0 */
};
/* 0 < p0 < p1 < 1. */
struct relay_sprt_odds relay_sprt_odds(double p0, double p1);

struct relay_sprt {
	double sum;
	uint32_t clean, faults; /* saturate */
};
void relay_sprt_add(struct relay_sprt *t, const struct relay_sprt_odds *odds, bool fault);
/* The sum with one outcome more, never below 0. */
double relay_sprt_cusum(double sum, const struct relay_sprt_odds *odds, bool fault);
/* ln(1 / chance): where a version at p0 gets with at most that chance. */
double relay_sprt_bound(double chance);

/* The share of faults that `faults` of `n` outcomes leave possible, at 95 % one-sided confidence
 * (Wilson's score interval); 1 for n = 0. For telling people what is not proven yet. */
double relay_sprt_wilson(uint64_t faults, uint64_t n);
