/* Sums of logarithms; see sprt.h for what they mean. */
#include "relay/sprt.h"

#include <math.h>

#include "base/check.h"

#define Z_95 1.6449 /* one-sided */

struct relay_sprt_odds
relay_sprt_odds(double p0, double p1)
{
	ASSERT(p0 > 0 && p0 < p1 && p1 < 1);
	return (struct relay_sprt_odds){ log(p1 / p0), log((1 - p1) / (1 - p0)) };
}

void
relay_sprt_add(struct relay_sprt *t, const struct relay_sprt_odds *odds, bool fault)
{
	uint32_t *n = fault ? &t->faults : &t->clean;

	t->sum += fault ? odds->fault : odds->clean;
	*n += *n != UINT32_MAX;
}

double
relay_sprt_cusum(double sum, const struct relay_sprt_odds *odds, bool fault)
{
	sum += fault ? odds->fault : odds->clean;
	return sum > 0 ? sum : 0;
}

double
relay_sprt_bound(double chance)
{
	ASSERT(chance > 0 && chance < 1);
	return -log(chance);
}

double
relay_sprt_wilson(uint64_t faults, uint64_t n)
{
	if (n == 0)
		return 1;
	double count = (double)n, share = (double)faults / count, z2 = Z_95 * Z_95;
	double spread = Z_95 * sqrt(share * (1 - share) / count + z2 / (4 * count * count));
	return fmin(1, (share + z2 / (2 * count) + spread) / (1 + z2 / count));
}
