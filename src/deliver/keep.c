/* What the dispatcher learns and must not forget: how much each login has sent today, and what each
 * relay announced.
 *
 * Both are small changes of settings that travel as calls to the writer. Counts are written every
 * few seconds while they change, as totals of the day, so writing one twice does no harm and losing
 * the last few seconds to a crash counts a little too little, never too much. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deliver/private.h"
#include "relay/book.h"
#include "store/config_relay.h"
#include "store/reader.h"
#include "store/store.h"

#define KEEP_EVERY SECONDS(5)
#define COUNTS_MAX 64

struct keep_call {
	struct store_call call;
	struct arena arena;
	struct store_login_day_row *counts;
	size_t n;
	struct store_relay_version_row caps; /* of a version, or of none */
};

static enum rc
run_counts(struct store_tx *tx, void *arg, struct fault *f)
{
	struct keep_call *k = arg;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < k->n && rc == RC_OK; i++)
		rc = store_config_login_day_put(tx, &k->counts[i], f);
	return rc;
}

static enum rc
run_caps(struct store_tx *tx, void *arg, struct fault *f)
{
	struct keep_call *k = arg;

	return store_config_relay_version_caps(tx, &k->caps, f);
}

static void
post(struct deliver *d, struct keep_call *k, store_call_fn *run)
{
	k->call.op.kind = STORE_CALL;
	k->call.op.reply = d->from_store;
	k->call.run = run;
	k->call.arg = k;
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &k->call.op.item);
}

int64_t
deliver_keep_counts(struct deliver *d, bool now)
{
	struct keep_call *k = NULL;
	struct relay_count c;

	if (!now && d->now_us < d->kept_us + KEEP_EVERY)
		return d->kept_us + KEEP_EVERY;
	d->kept_us = d->now_us;
	while ((k == NULL || k->n < COUNTS_MAX) && relay_desk_next_count(d->desk, &c)) {
		if (k == NULL) {
			k = MEM_NEW(struct keep_call);
			k->counts =
			    ARENA_NEW_ARRAY(&k->arena, struct store_login_day_row, COUNTS_MAX);
		}
		k->counts[k->n++] = (struct store_login_day_row){
			.login = arena_str(&k->arena, c.login),
			.day = c.day,
			.count = c.recipients,
		};
	}
	if (k == NULL)
		return TIME_NEVER; /* nothing changed: nothing to come back for */
	post(d, k, run_counts);
	return d->now_us + KEEP_EVERY;
}

void
deliver_restore_counts(struct deliver *d, struct store_reader *r)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_login_day_row *rows;
	uint32_t n;
	struct fault f = { 0 };

	if (store_config_login_day_list(r, d->now_us / DAYS(1), &a, &rows, &n, &f) != RC_OK) {
		log_event(
		    LOG_WARN, NULL, "deliver.counts", "today's counts cannot be read: %s", f.text);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct relay_count c = { rows[i].login, rows[i].day, rows[i].count, rows[i].count };
		relay_desk_restore_count(d->desk, &c, d->now_us);
	}
}

void
deliver_keep_caps(struct deliver *d, const struct deliver_way *w, const struct smtp_caps *caps)
{
	struct store_relay_version_row now = {
		.id = w->version,
		.caps_seen = true,
		.caps_smtputf8 = smtp_caps_has(caps, SMTP_CAP_SMTPUTF8),
		.caps_eight_bit = smtp_caps_has(caps, SMTP_CAP_8BITMIME),
		.caps_dsn = smtp_caps_has(caps, SMTP_CAP_DSN),
		.caps_size_bytes = caps->size_max,
	};
	const struct relay_version_row *row = w->row;

	if (row == NULL ||
	    (row->caps.seen && row->caps.smtputf8 == now.caps_smtputf8 &&
		row->caps.eight_bit == now.caps_eight_bit && row->caps.dsn == now.caps_dsn &&
		row->caps.size_bytes == now.caps_size_bytes))
		return;
	if (ID_EQ(d->caps_told, w->version))
		return; /* on its way: the next book will show it */
	d->caps_told = w->version;
	struct keep_call *k = MEM_NEW(struct keep_call);
	k->caps = now;
	post(d, k, run_caps);
}

void
deliver_on_kept(struct deliver *d, struct store_op *op)
{
	struct keep_call *k =
	    CONTAINER_OF(CONTAINER_OF(op, struct store_call, op), struct keep_call, call);

	if (op->rc != RC_OK)
		log_event(LOG_WARN, NULL, "deliver.keep", "what was learnt could not be kept: %s",
		    op->fault.text);
	else if (!ID_IS_NONE(k->caps.id) && d->opts.on_learnt != NULL)
		d->opts.on_learnt(d->opts.arg);
	arena_done(&k->arena);
	free(k);
}
