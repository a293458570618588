/* Settings of the service, alarms, and the record of who changed what.
 *
 * Conventions as in config_account.h. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "store/op.h"
#include "store/reader.h"

/* An empty `value` removes the key. */
enum rc store_config_setting_put(
    struct store_tx *tx, struct str key, struct str value, struct fault *fault);
/* RC_NOT_FOUND: not set. */
enum rc store_config_setting_get(struct store_reader *r, struct str key, struct arena *a,
    struct str *value_out, struct fault *fault);

struct store_alarm_row {
	uint64_t id;
	struct str kind; /* "mail", "command", "url" */
	struct str target;
	struct str secret; /* sealed bytes, or empty */
	int64_t created_us;
};

enum rc store_config_alarm_put(
    struct store_tx *tx, struct store_alarm_row *row, struct fault *fault);
enum rc store_config_alarm_remove(struct store_tx *tx, uint64_t id, struct fault *fault);
enum rc store_config_alarm_list(struct store_reader *r, struct arena *a,
    struct store_alarm_row **rows_out, uint32_t *n_out, struct fault *fault);

struct store_audit_row {
	uint64_t id;
	int64_t at_us;
	struct str who;
	struct str what; /* "relay.add", "queue.cancel" ... */
	struct str target;
	struct str why;
	struct str detail; /* never a secret */
};

/* Appends; the id is filled in. */
enum rc store_config_audit_add(
    struct store_tx *tx, struct store_audit_row *row, struct fault *fault);
struct store_audit_list {
	struct str target; /* only entries about this; empty: all */
	uint64_t before;   /* go on below this id; 0: from the newest */
	uint32_t max;
	/* results */
	struct store_audit_row *rows;
	uint32_t n;
};

/* Newest first. */
enum rc store_config_audit_list(
    struct store_reader *r, struct store_audit_list *q, struct arena *a, struct fault *fault);
