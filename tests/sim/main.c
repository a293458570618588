/* usage: sim [--seed N] [--seeds N] [--steps N] [--rows N]
 *
 *   --seed N    the first seed (1); alone: this one only
 *   --seeds N   how many (300)
 *   --steps N   random steps for each before everything heals (600)
 *   --rows N    instead: a flood of N rows, half of them behind a closed relay */
#include "sim.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static char replay[160];
static const char *program;

static void
set_replay(uint64_t seed, uint64_t steps)
{
	(void)snprintf(replay, sizeof(replay),
	    "\nreplay: %.40s --seed %" PRIu64 " --steps %" PRIu64 "\n", program, seed, steps);
}

/* Also when an assertion of the parts under test fails. */
static void
on_abort(int sig)
{
	(void)sig;
	(void)!write(STDERR_FILENO, replay, strlen(replay));
}

void
sim_failed(const char *what, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s:%d: %s does not hold: ", file, line, what);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

static uint64_t
number(const char *text)
{
	uint64_t n;

	if (text == NULL || str_to_u64(str_from(text), &n) != RC_OK || n == 0) {
		(void)fprintf(stderr, "usage: sim [--seed N] [--seeds N] [--steps N] [--rows N]\n");
		exit(2);
	}
	return n;
}

static void
run_seeds(uint64_t first, uint64_t count, uint64_t steps)
{
	struct sim sum = { 0 };
	static struct sim s;
	int64_t start_us = clock_monotonic_us();

	for (uint64_t seed = first; seed < first + count; seed++) {
		set_replay(seed, steps);
		run_seed(&s, seed, steps);
		sum.steps += s.steps;
		sum.transactions += s.transactions;
		sum.doubts += s.doubts;
		sum.crashes += s.crashes;
		sum.refills += s.refills;
		sum.let_go += s.let_go;
		if (s.world.calm && s.worst_latency_us > sum.worst_latency_us)
			sum.worst_latency_us = s.worst_latency_us;
	}
	(void)printf("%" PRIu64 " seeds from %" PRIu64 " in %.1f s: %" PRIu64 " steps, %" PRIu64
		     " transactions, %" PRIu64 " doubts, %zu crashes, %" PRIu64
		     " pages, %zu let go, "
		     "worst code behind bulk %" PRId64 " ms\n",
	    count, first, (double)(clock_monotonic_us() - start_us) / 1e6, sum.steps,
	    sum.transactions, sum.doubts, sum.crashes, sum.refills, sum.let_go,
	    sum.worst_latency_us / 1000);
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1, seeds = 0, steps = 600, rows = 0;

	program = argv[0];
	for (int i = 1; i < argc; i += 2) {
		uint64_t n = number(i + 1 < argc ? argv[i + 1] : NULL);
		if (strcmp(argv[i], "--seed") == 0) {
			seed = n;
			seeds = seeds != 0 ? seeds : 1;
		} else if (strcmp(argv[i], "--seeds") == 0) {
			seeds = n;
		} else if (strcmp(argv[i], "--steps") == 0) {
			steps = n;
		} else if (strcmp(argv[i], "--rows") == 0) {
			rows = n;
		} else {
			(void)number(NULL);
		}
	}
	(void)signal(SIGABRT, on_abort);
	if (rows > 0)
		flood_run(rows, seed);
	else
		run_seeds(seed, seeds != 0 ? seeds : 300, steps);
	return 0;
}
