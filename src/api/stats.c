/* GET /stats: what attempts led to, by hour or day and relay version; and the audit. */
#include "api/relay.h"

#include "codec/duration.h"
#include "relay/attribute.h"
#include "store/config_system.h"
#include "store/query_queue.h"
#include "store/report.h"
#include "store/state.h"

#define ROWS_MAX 20000

struct stat_question {
	int64_t since_hour;
	int64_t step; /* hours */
	struct str relay;
};

static enum rc
read_question(struct api_call *c, struct stat_question *q, struct fault *f)
{
	struct str by = http_query(c->request, "by"), since = http_query(c->request, "since");
	int64_t now = clock_wall_us(), at = now - DAYS(1);
	const char *why;
	uint64_t ago;

	q->relay = http_query(c->request, "relay");
	q->step = 1;
	if (str_eq(by, STR("day")))
		q->step = 24;
	else if (by.n != 0 && !str_eq(by, STR("hour")))
		return fault_set(f, RC_INVALID, "by must be hour or day");
	if (q->step == 24)
		at = now - DAYS(30);
	if (since.n != 0 && duration_parse(since, &ago, &why))
		at = now - (int64_t)ago;
	else if (since.n != 0 && api_parse_time(since, &at, f) != RC_OK)
		return RC_INVALID;
	if (at < 0)
		at = 0;
	q->since_hour = at / HOURS(1);
	q->since_hour -= q->since_hour % q->step;
	return RC_OK;
}

/* One line of the answer: rows of the same time and version. */
struct stat_sum {
	int64_t bucket;
	struct version_id version;
	uint64_t by_state[STORE_STATE_COUNT];
	uint64_t refused[RELAY_BLAME_COUNT];
	uint64_t reported[STORE_REPORT_COUNT]; /* later, by reports that came home */
};

static void
put_sum(struct api_call *c, const struct api_relay_rows *rows, const struct stat_sum *s)
{
	const struct store_relay_version_row *v = api_relay_version(rows, s->version);
	struct json_writer *w = &c->json;
	struct str relay = { 0 };

	for (uint32_t i = 0; v != NULL && i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].id, v->relay))
			relay = rows->relays[i].name;
	json_writer_object(w);
	api_put_time(w, "at", HOURS(s->bucket));
	api_put_text(w, "relay", relay);
	json_writer_put_uint(w, "version", v != NULL ? v->number : 0);
	json_writer_put_uint(w, "sent", s->by_state[STORE_SENT]);
	json_writer_put_uint(w, "deferred", s->by_state[STORE_QUEUED]);
	json_writer_put_uint(w, "bounced", s->by_state[STORE_BOUNCED]);
	json_writer_put_uint(w, "expired", s->by_state[STORE_EXPIRED]);
	json_writer_put_uint(w, "failed", s->by_state[STORE_FAILED]);
	json_writer_put_uint(w, "in_doubt", s->by_state[STORE_IN_DOUBT]);
	json_writer_put_uint(w, "unknown", s->by_state[STORE_UNKNOWN]);
	json_writer_put_uint(w, "other",
	    s->by_state[STORE_EXPIRED] + s->by_state[STORE_FAILED] + s->by_state[STORE_UNKNOWN]);
	json_writer_put_uint(w, "bounced_later", s->reported[STORE_REPORT_FAILED]);
	json_writer_put_uint(w, "delayed_later", s->reported[STORE_REPORT_DELAYED]);
	json_writer_put_uint(w, "delivered", s->reported[STORE_REPORT_DELIVERED]);
	json_writer_put_object(w, "refused");
	for (unsigned i = 0; i < RELAY_BLAME_COUNT; i++)
		if (s->refused[i] != 0)
			json_writer_put_uint(
			    w, relay_blame_name((enum relay_blame)i), s->refused[i]);
	json_writer_end(w);
	json_writer_end(w);
}

/* Rows of one day come by the hour; the sums of a bucket are as few as versions. */
static struct stat_sum *
sum_of(struct stat_sum *sums, size_t *n, int64_t bucket, struct version_id version)
{
	for (size_t i = *n; i-- > 0 && sums[i].bucket == bucket;)
		if (ID_EQ(sums[i].version, version))
			return &sums[i];
	sums[*n] = (struct stat_sum){ .bucket = bucket, .version = version };
	return &sums[(*n)++];
}

static bool
is_wanted(
    const struct api_relay_rows *rows, const struct store_relay_row *relay, struct version_id id)
{
	const struct store_relay_version_row *v = api_relay_version(rows, id);

	return relay == NULL || (v != NULL && ID_EQ(v->relay, relay->id));
}

/* Attempts, and reports that came home, by bucket; both lists come by the hour. `sums` has room for
 * a row of each. */
static size_t
add_up(const struct store_stat_list *list, const struct store_report_stats *reports, int64_t step,
    struct stat_sum *sums)
{
	size_t n = 0;
	uint32_t i = 0, k = 0;

	while (i < list->n || k < reports->n) {
		bool attempt =
		    k == reports->n || (i < list->n && list->rows[i].hour <= reports->rows[k].hour);
		if (attempt) {
			const struct store_stat_row *row = &list->rows[i++];
			struct stat_sum *s =
			    sum_of(sums, &n, row->hour - row->hour % step, row->version);
			s->by_state[row->state] += row->count;
			if (row->state != STORE_SENT && row->attribution < RELAY_BLAME_COUNT)
				s->refused[row->attribution] += row->count;
		} else {
			const struct store_report_stat *row = &reports->rows[k++];
			sum_of(sums, &n, row->hour - row->hour % step, row->version)
			    ->reported[row->action] += row->count;
		}
	}
	return n;
}

static enum rc
put_stats(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_stat_list list = { .until_hour = clock_wall_us() / HOURS(1) + 1,
		.max = ROWS_MAX };
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	struct stat_question q = { 0 };
	struct store_report_stats reports = { .until_hour = list.until_hour, .max = ROWS_MAX };
	enum rc rc = read_question(c, &q, f);

	if (rc == RC_OK)
		rc = api_relay_rows_read(r, &c->arena, &rows, f);
	if (rc == RC_OK && q.relay.n != 0)
		rc = api_relay_find(&rows, q.relay, &relay, f);
	list.since_hour = q.since_hour;
	if (rc == RC_OK)
		rc = store_query_stats(r, &list, &c->arena, f);
	reports.since_hour = q.since_hour;
	if (rc == RC_OK)
		rc = store_report_stats(r, &reports, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	struct stat_sum *sums =
	    ARENA_NEW_ARRAY(&c->arena, struct stat_sum, (size_t)list.n + reports.n + 1);
	size_t n = add_up(&list, &reports, q.step, sums);
	api_list_begin(&c->json);
	for (size_t i = 0; i < n; i++)
		if (is_wanted(&rows, relay, sums[i].version))
			put_sum(c, &rows, &sums[i]);
	api_list_end(&c->json, list.n == ROWS_MAX || reports.n == ROWS_MAX);
	return RC_OK;
}

void
api_stats(struct api_call *c)
{
	api_answer_from(c, put_stats);
}

/* ---- who changed what ---- */

static enum rc
put_audit(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct str after = http_query(c->request, "after");
	struct store_audit_list q = { .target = http_query(c->request, "target") };
	struct json_writer *w = &c->json;
	enum rc rc = api_limit(c, &q.max, f);

	if (rc == RC_OK && after.n != 0 && str_to_u64(after, &q.before) != RC_OK)
		rc = fault_set(
		    f, RC_INVALID, "after must be the id of the last entry of the page before");
	if (rc == RC_OK)
		rc = store_config_audit_list(r, &q, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	api_list_begin(w);
	for (uint32_t i = 0; i < q.n; i++) {
		json_writer_object(w);
		json_writer_put_uint(w, "id", q.rows[i].id);
		api_put_time(w, "at", q.rows[i].at_us);
		json_writer_put_str(w, "who", q.rows[i].who);
		json_writer_put_str(w, "what", q.rows[i].what);
		api_put_text(w, "target", q.rows[i].target);
		api_put_text(w, "why", q.rows[i].why);
		json_writer_end(w);
	}
	api_list_end(w, q.n == q.max);
	return RC_OK;
}

void
api_audit_list(struct api_call *c)
{
	api_answer_from(c, put_audit);
}
