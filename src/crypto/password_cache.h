/* What spares Argon2id: a memory of secrets that were found right a moment ago.
 *
 * It holds no secret, only a MAC, under a key of the process, of user, verifier and secret
 * together. A changed verifier therefore never matches what was remembered of the old one; nothing
 * has to be forgotten by hand, save when a credential is paused: that is the caller's to check
 * first. Bounded in number and time. One owner, no locks: each loop has its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct password_cache;
struct password_verifier;

/* Remembers at most `max_entries` (> 0) for `ttl_us` after each was checked; the oldest goes first.
 */
struct password_cache *password_cache_new(size_t max_entries, int64_t ttl_us);
/* Takes NULL; nulls the pointer. Serves with AUTO. */
void password_cache_free(struct password_cache **c);

/* Whether exactly these three were put in within the last `ttl_us` before `now_us`, which is
 * monotonic. */
bool password_cache_has(struct password_cache *c, struct str user,
    const struct password_verifier *v, struct str secret, int64_t now_us);
/* Remembers that password_check said RC_OK at `now_us`. */
void password_cache_add(struct password_cache *c, struct str user,
    const struct password_verifier *v, struct str secret, int64_t now_us);
