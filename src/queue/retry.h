/* When to try again: from the kind of failure, the number of attempts, the configured schedule and
 * the wait that the other side named (RFC 5321 §4.5.4.1 asks for growing, spread-out intervals).
 *
 * A lost reply is not a failure but a doubt: queue/doubt.h. */
#pragma once

#include <stdint.h>

#include "base/fault.h"
#include "base/prng.h"
#include "base/str.h"

#define QUEUE_RETRY_STEPS_MAX 16

/* Waits before the second, third, ... attempt; the last repeats. */
struct queue_retry_schedule {
	size_t count; /* 1 .. QUEUE_RETRY_STEPS_MAX */
	int64_t step_us[QUEUE_RETRY_STEPS_MAX];
};

/* 2m 5m 15m 30m 1h 2h 4h */
extern const struct queue_retry_schedule queue_retry_default;

/* Reads steps such as "2m 5m 1h": whole numbers with s, m, h or d, each from 1 s to 7 d, not
 * shrinking, separated by blanks. RC_INVALID with the remedy in `f`. */
enum rc queue_retry_parse(struct str text, struct queue_retry_schedule *out, struct fault *f);

enum queue_retry_kind {
	QUEUE_RETRY_RECIPIENT, /* this recipient or message is refused for now (greylisting, mailbox
				  full) */
	QUEUE_RETRY_CAPACITY,  /* too much, too fast */
	QUEUE_RETRY_RELAY, /* relay, login or sender at fault: its breaker sets the pace, so come
			      back soon */
};

struct queue_retry {
	enum queue_retry_kind kind;
	unsigned attempts; /* made so far, this one included */
	int64_t wait_us;   /* that the reply named; 0: none */
};

/* The moment of the next attempt, after now_us, jitter drawn from `r`. A named wait counts from now
 * and is never undercut, but trusted for a day at most; it replaces the schedule for the first
 * three attempts, after which the longer of both holds, so that no server can ask for a storm. */
int64_t queue_retry_due_us(const struct queue_retry_schedule *s, const struct queue_retry *retry,
    int64_t now_us, struct prng *r);
