/* Changeovers, as rows: what is to move, where it stands, and what happened.
 *
 * Conventions as in config_account.h. `machine` is the JSON of relay/changeover.h, opaque here. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/op.h"
#include "store/reader.h"

struct store_changeover_row {
	uint64_t id;
	struct str routes; /* ids of routes, blanks between */
	struct version_id from;
	struct version_id to;
	struct str state;
	bool open; /* the dispatcher has to do with it */
	struct str who;
	struct str note;
	struct str allow_weaker;
	uint64_t snapshot; /* 0: none */
	struct str machine;
	int64_t started_us;
	int64_t settled_us; /* 0: not yet */
};

/* Inserts; the id is filled in. RC_EXISTS: one of its routes is part of another that is open and
 * not yet settled. */
enum rc store_config_changeover_add(
    struct store_tx *tx, struct store_changeover_row *row, struct fault *fault);
/* Updates state, open, machine and settled_us of row->id. */
enum rc store_config_changeover_keep(
    struct store_tx *tx, const struct store_changeover_row *row, struct fault *fault);
/* The version `to` takes the place: the routes of the changeover name its relay, and the relay that
 * version. RC_NOT_FOUND: the version is gone. */
enum rc store_config_changeover_apply(struct store_tx *tx, uint64_t id, struct fault *fault);
/* Wipes the secret of a version that nothing uses any more. */
enum rc store_config_changeover_wipe(
    struct store_tx *tx, struct version_id version, struct fault *fault);

struct store_changeover_list {
	bool only_open;
	uint64_t id;  /* that one alone; 0: all */
	uint32_t max; /* newest first; 0: all, oldest first */
	/* results */
	struct store_changeover_row *rows;
	uint32_t n;
};
enum rc store_config_changeover_list(
    struct store_reader *r, struct store_changeover_list *q, struct arena *a, struct fault *fault);

struct store_changeover_event {
	uint64_t id; /* given out by the insert */
	uint64_t changeover;
	int64_t at_us;
	struct str kind;
	struct str state;
	uint32_t step;
	struct str text;
};
enum rc store_config_changeover_event_add(
    struct store_tx *tx, const struct store_changeover_event *e, struct fault *fault);
/* Of one changeover, oldest first; the newest `max` of them. */
struct store_changeover_history {
	uint64_t changeover;
	uint32_t max;
	/* results */
	struct store_changeover_event *rows;
	uint32_t n;
};
enum rc store_config_changeover_event_list(struct store_reader *r,
    struct store_changeover_history *q, struct arena *a, struct fault *fault);
