/* Guessing made slow: failed logins are counted by address and by credential, and who has too many
 * is turned away for a while, twice as long each time.
 *
 * An IPv6 client is its /64. One guard a loop, no locks; an attacker who is spread over all loops
 * by the kernel has the limits times the number of loops. Bounded in memory: of too many entries
 * the oldest are forgotten. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/ip.h"

struct account_guard;

struct account_guard *account_guard_new(void);
/* Takes NULL; nulls the pointer. */
void account_guard_free(struct account_guard **g);

/* Whether a login from `peer` as `user` is to be turned away at `now_us` (monotonic), right secret
 * or not; *until_out is when it may be tried again. `peer` is NULL here and below for one whose
 * address says nothing, such as that of a machine all of whose programs come from it. */
bool account_guard_is_blocked(struct account_guard *g, const struct ip *peer, struct str user,
    int64_t now_us, int64_t *until_out);
/* A login was tried. A right one forgets failures of its address that were all for the same user,
 * so that who mistypes is not punished and who has one secret cannot go on guessing others. It
 * forgets none of the credential's. */
void account_guard_note(
    struct account_guard *g, const struct ip *peer, struct str user, bool right, int64_t now_us);
