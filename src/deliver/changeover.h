/* Changeovers in force, as the dispatcher carries them out.
 *
 * A changeover exists as a row of the store (store/config_changeover.h); it comes to the dispatcher
 * with the book that names it (relay_book_moves), at start and whenever settings are published, and
 * leaves with the book that no longer does. Its machine (relay/changeover.h) is fed with what
 * deliveries come to, and decides; every step is committed before it acts. What it wants looked at
 * (preflight, probe, control) is asked for through deliver_opts.on_want and answered by
 * deliver_changeover_answer.
 *
 * Functions are for `run` of orders (deliver.h): dispatcher thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "relay/changeover.h"

struct deliver;

enum deliver_changeover_command {
	DELIVER_CHANGEOVER_HOLD,
	DELIVER_CHANGEOVER_RESUME,
	DELIVER_CHANGEOVER_CONFIRM,
	DELIVER_CHANGEOVER_REVERT,
	DELIVER_CHANGEOVER_REVERT_AT_ONCE,
	DELIVER_CHANGEOVER_RETIRE,
};
/* By a person. RC_NOT_FOUND: not one in force. RC_INVALID: its state does not allow it; the fault
 * says what would. What follows is posted to the writer within this call, so a write posted by
 * whoever gets the order back comes after it. */
enum rc deliver_changeover_command(struct deliver *d, uint64_t id,
    enum deliver_changeover_command what, struct str why, struct fault *f);

/* What was wanted, done. Answers to an older want than the present one are dropped. */
void deliver_changeover_answer(struct deliver *d, uint64_t id, enum relay_want want, uint64_t since,
    enum relay_answer answer, struct str why);

/* A report came home about a message that went through `version`. */
void deliver_changeover_report(
    struct deliver *d, struct version_id version, const struct relay_evidence *e);

/* RC_NOT_FOUND: not one in force (its row tells the rest). The view is valid until the dispatcher
 * goes on: copy within the order. */
enum rc deliver_changeover_show(
    struct deliver *d, uint64_t id, struct relay_changeover_view *out, struct fault *f);
