/* Moving recipients to other groups, where new routes tell apart what lay in one group.
 *
 * The store knows nothing of routes: it hands each row to a callback that says the key of the
 * row's group as it should be, and moves it there where that is another one. It works in slices, so
 * that nothing waits behind it; each runs inside a STORE_CALL. Rows that are in the dispatcher's
 * hands only (born without a due time) are the dispatcher's to check. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "mail/ids.h"
#include "store/op.h"

struct buf;

/* Where a slice ended; zero is before everything. */
struct store_regroup_at {
	int64_t lane;
	uint64_t account;
	int64_t due_us;
	uint64_t rcpt;
};

/* Appends the key of the group that `row` belongs to; nothing: it stays. On the writer's thread. */
typedef void store_regroup_key_fn(void *arg, const struct store_row *row, struct buf *key);

struct store_regroup {
	/* Its rows with a due time; none: all rows that wait for a person (held, captured, in
	 * doubt), of whatever group. */
	struct group_id group;
	uint32_t max; /* rows to look at, > 0 */
	store_regroup_key_fn *key;
	void *arg;
	struct store_regroup_at from;
	/* results, written anew by every run */
	struct store_regroup_at next;
	bool is_done; /* there is nothing behind `next` */
	uint32_t moved;
};

/* One slice. The dispatcher is told of new groups (STORE_GROUP), and of rows in their new groups
 * (STORE_MORE), when the call is committed. */
enum rc store_regroup_run(struct store_tx *tx, struct store_regroup *r, struct fault *fault);
