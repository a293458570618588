/* DNS answers for pure functions that find out as they go along what they want to know.
 *
 * A function that judges by DNS (SPF, DMARC, where a domain's mail servers are) asks this book.
 * What is not in it yet is noted and the function gives up with RC_AGAIN; the book is then
 * completed by answers_fetch, all that was noted at once, and the function is called again from its
 * beginning. It never waits, it is the same for a test that puts the answers in by hand, and
 * whoever runs it twice gets the same result. Bounded: after ANSWERS_MAX questions every further
 * one is answered with RC_LIMIT. One owner. */
#pragma once

#include <stdbool.h>

#include "net/resolver.h"

struct answers;

#define ANSWERS_MAX 500u

/* Exactly once, from the loop: everything noted has its answer, or the reason why it has none. */
typedef void answers_fn(void *arg);

/* `resolver` outlives the book; NULL: it holds what is put in, and knows no other name. */
struct answers *answers_new(struct resolver *resolver, int64_t timeout_us);
/* A fetch that runs is cancelled. Takes NULL; nulls the pointer. */
void answers_free(struct answers **ap);

/* The answer (never RC_AGAIN), valid as long as the book, or NULL: it was noted. Names are compared
 * without regard to case and without their final dot. */
const struct dns_answer *answers_ask(struct answers *a, enum dns_type type, struct str name);
/* Whether something was noted and not fetched yet. */
bool answers_is_wanting(const struct answers *a);
/* Looks up what was noted. One at a time. */
void answers_fetch(struct answers *a, answers_fn *on_done, void *arg);

/* Puts an answer in; copied. One that is there already stays. */
void answers_put(
    struct answers *a, enum dns_type type, struct str name, const struct dns_answer *answer);
