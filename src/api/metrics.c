/* GET /metrics: the text format of Prometheus.
 *
 * Counters of the parts are read as they are, without stopping anybody; the relays' states come
 * from the dispatcher, the totals from the store. */
#include "api/view.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "relay/attribute.h"
#include "store/metrics.h"
#include "store/query_queue.h"
#include "submit/submit.h"

static void
put_type(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP posthouse_%s %s\n# TYPE posthouse_%s %s\n", name, help, name, type);
}

static void
put_one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	put_type(b, name, type, help);
	buf_addf(b, "posthouse_%s %llu\n", name, (unsigned long long)value);
}

static uint64_t
get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* Buckets count what lies between their bounds; the format wants them summed up. `scale` turns a
 * bound into the unit of the name. */
static void
put_buckets(struct buf *b, const char *name, const char *labels, const _Atomic uint64_t *bucket,
    unsigned n, double scale)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	uint64_t sum = 0;

	for (unsigned i = 0; i + 1 < n; i++) {
		sum += get(&bucket[i]);
		buf_addf(b, "posthouse_%s_bucket{%s%sle=\"%.9g\"} %llu\n", name, labels, comma,
		    (double)((uint64_t)1 << i) * scale, (unsigned long long)sum);
	}
	sum += get(&bucket[n - 1]);
	buf_addf(b, "posthouse_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
	    (unsigned long long)sum);
	buf_addf(b, "posthouse_%s_count%s%s%s %llu\n", name, labels[0] != '\0' ? "{" : "", labels,
	    labels[0] != '\0' ? "}" : "", (unsigned long long)sum);
}

static void
put_store_histogram(struct buf *b, const char *name, const char *help,
    const struct store_histogram *h, double scale)
{
	put_type(b, name, "histogram", help);
	put_buckets(b, name, "", h->bucket, STORE_BUCKETS, scale);
	buf_addf(b, "posthouse_%s_sum %.9g\n", name, (double)get(&h->sum) * scale);
}

/* ---- the parts ---- */

static void
put_store(struct buf *b, const struct api *a)
{
	const struct store_metrics *m = store_metrics(a->opts.store);
	struct store_health h;

	put_store_histogram(
	    b, "store_group_operations", "Operations in a commit.", &m->group_ops, 1);
	put_store_histogram(
	    b, "store_group_seconds", "From taking a group to answering it.", &m->group_us, 1e-6);
	put_store_histogram(
	    b, "store_commit_seconds", "COMMIT with its sync.", &m->commit_us, 1e-6);
	put_store_histogram(
	    b, "store_content_sync_seconds", "Syncs of content.", &m->content_us, 1e-6);
	put_store_histogram(b, "store_checkpoint_seconds", "Checkpoints.", &m->checkpoint_us, 1e-6);
	put_one(b, "store_accepted_total", "counter", "Messages committed.", get(&m->accepted));
	put_one(b, "store_duplicates_total", "counter", "Submissions answered with the first id.",
	    get(&m->duplicates));
	put_one(b, "store_refused_total", "counter", "Operations answered with an error.",
	    get(&m->refused));
	put_one(b, "store_replayed_total", "counter",
	    "Groups that failed and were replayed singly.", get(&m->replayed));
	put_one(
	    b, "store_disk_errors_total", "counter", "Errors of the disk.", get(&m->disk_errors));
	put_one(b, "store_refilled_total", "counter", "Rows read back into the window.",
	    get(&m->refilled));
	put_one(b, "store_moved_total", "counter", "Messages moved out of old segments.",
	    get(&m->moved));
	put_one(b, "store_pruned_total", "counter", "Messages whose history was deleted.",
	    get(&m->pruned));
	put_one(b, "store_wal_bytes", "gauge", "Size of the write-ahead log.", get(&m->wal_bytes));
	put_one(b, "store_segments", "gauge", "Segment files.", get(&m->segments));
	store_health(a->opts.store, &h);
	put_one(b, "store_free_bytes", "gauge", "Free space on the disk.", h.free_bytes);
	put_one(b, "store_accepts", "gauge", "1 while new mail is taken.", h.accepts);
	put_one(b, "store_waiting_outcomes", "gauge", "Outcomes that the disk would not take yet.",
	    h.waiting);
}

static void
put_deliver(struct buf *b, const struct api *a)
{
	const struct deliver_metrics *m = deliver_metrics(a->opts.deliver);

	put_one(b, "deliver_jobs_total", "counter", "Transactions started.", get(&m->jobs));
	put_type(b, "deliver_outcomes_total", "counter", "Recipients by what came of an attempt.");
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"sent\"} %llu\n",
	    (unsigned long long)get(&m->sent));
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"deferred\"} %llu\n",
	    (unsigned long long)get(&m->deferred));
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"bounced\"} %llu\n",
	    (unsigned long long)get(&m->bounced));
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"expired\"} %llu\n",
	    (unsigned long long)get(&m->expired));
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"in_doubt\"} %llu\n",
	    (unsigned long long)get(&m->in_doubt));
	buf_addf(b, "posthouse_deliver_outcomes_total{outcome=\"unknown\"} %llu\n",
	    (unsigned long long)get(&m->unknown));
	put_one(b, "deliver_repeated_total", "counter", "Repeats of what was in doubt.",
	    get(&m->repeated));
	put_one(b, "deliver_connects_total", "counter", "Connections opened.", get(&m->connects));
	put_one(b, "deliver_connect_failures_total", "counter", "Connections that failed to open.",
	    get(&m->connect_failures));
	put_one(b, "deliver_connections", "gauge", "Connections now.", get(&m->links));
	put_one(b, "deliver_window", "gauge", "Recipients in memory.", get(&m->window));
	put_type(b, "deliver_ready", "gauge", "Recipients in memory that are due.");
	for (unsigned i = 0; i < STREAM_COUNT; i++)
		buf_addf(b, "posthouse_deliver_ready{stream=\"%s\"} %llu\n",
		    mail_stream_name((enum stream)i), (unsigned long long)get(&m->ready[i]));
	put_type(b, "deliver_oldest_seconds", "gauge", "Age of the oldest that waits in memory.");
	for (unsigned i = 0; i < STREAM_COUNT; i++) {
		int64_t oldest = atomic_load(&m->oldest_us[i]);
		int64_t age = oldest != 0 ? clock_wall_us() - oldest : 0;
		buf_addf(b, "posthouse_deliver_oldest_seconds{stream=\"%s\"} %.3f\n",
		    mail_stream_name((enum stream)i), age > 0 ? (double)age * 1e-6 : 0.0);
	}
	put_type(
	    b, "deliver_latency_seconds", "histogram", "Accepted to sent at the first attempt.");
	for (unsigned i = 0; i < STREAM_COUNT; i++) {
		char labels[64];
		snprintf(labels, sizeof(labels), "stream=\"%s\"", mail_stream_name((enum stream)i));
		put_buckets(b, "deliver_latency_seconds", labels, m->latency[i],
		    DELIVER_LATENCY_BUCKETS, 1e-4);
	}
}

static void
put_submit(struct buf *b)
{
	const struct submit_metrics *m = submit_metrics();

	put_one(
	    b, "submit_connections_total", "counter", "SMTP connections in.", get(&m->connections));
	put_one(b, "submit_sessions", "gauge", "SMTP sessions now.", get(&m->sessions));
	put_one(b, "submit_messages_total", "counter", "Messages handed to the store.",
	    get(&m->messages));
	put_one(b, "submit_recipients_total", "counter", "Their recipients.", get(&m->recipients));
	put_one(b, "submit_bytes_total", "counter", "Their bytes.", get(&m->bytes));
	put_one(b, "submit_duplicates_total", "counter", "Submissions known already.",
	    get(&m->duplicates));
	put_one(b, "submit_logins_total", "counter", "Logins.", get(&m->logins));
	put_one(
	    b, "submit_failed_logins_total", "counter", "Logins refused.", get(&m->failed_logins));
	put_type(b, "submit_refused_total", "counter", "Refusals by reason.");
	for (unsigned i = 0; i < SUBMIT_REFUSED_COUNT; i++)
		buf_addf(b, "posthouse_submit_refused_total{reason=\"%s\"} %llu\n",
		    submit_refused_name((enum submit_refused)i),
		    (unsigned long long)get(&m->refused[i]));
}

/* One metric of every relay version that is in use. */
static void
put_relay_metric(struct buf *b, const struct api_call *c, const char *name, const char *type,
    const char *help, uint64_t (*value)(const struct relay_status *s))
{
	put_type(b, name, type, help);
	for (size_t i = 0; i < c->view->n_ways; i++) {
		const struct api_way *w = &c->view->ways[i];
		const struct relay_row *relay = relay_book_relay(c->relays, w->row->relay);
		if (w->known && relay != NULL)
			buf_addf(b, "posthouse_%s{relay=\"%.*s\",version=\"%u\"} %llu\n", name,
			    STR_ARG(relay->name), w->row->number,
			    (unsigned long long)value(&w->status));
	}
}

static uint64_t
relay_usable(const struct relay_status *s)
{
	return s->usable;
}
static uint64_t
relay_connections(const struct relay_status *s)
{
	return s->connections;
}
static uint64_t
relay_cap(const struct relay_status *s)
{
	return s->connection_cap;
}
static uint64_t
relay_sent(const struct relay_status *s)
{
	return s->sent;
}
static uint64_t
relay_today(const struct relay_status *s)
{
	return s->today_recipients;
}

static void
put_relays(struct buf *b, const struct api_call *c)
{
	put_relay_metric(
	    b, c, "relay_usable", "gauge", "1 while mail can go through it.", relay_usable);
	put_relay_metric(
	    b, c, "relay_connections", "gauge", "Connections ready.", relay_connections);
	put_relay_metric(
	    b, c, "relay_connection_cap", "gauge", "Connections allowed now.", relay_cap);
	put_relay_metric(
	    b, c, "relay_sent_total", "counter", "Recipients taken since start.", relay_sent);
	put_relay_metric(
	    b, c, "relay_sent_today", "gauge", "Recipients taken today by its login.", relay_today);
	put_type(
	    b, "relay_refused_total", "counter", "Refusals since start, by whose fault they are.");
	for (size_t i = 0; i < c->view->n_ways; i++) {
		const struct api_way *w = &c->view->ways[i];
		const struct relay_row *relay = relay_book_relay(c->relays, w->row->relay);
		for (unsigned k = 0; w->known && relay != NULL && k < RELAY_BLAME_COUNT; k++)
			buf_addf(b,
			    "posthouse_relay_refused_total{relay=\"%.*s\",version=\"%u\",attribution=\"%s\"} %llu\n",
			    STR_ARG(relay->name), w->row->number,
			    relay_blame_name((enum relay_blame)k),
			    (unsigned long long)w->status.refused[k]);
	}
}

/* ---- changeovers: old beside new ---- */

static void
put_side(struct buf *b, uint64_t id, const char *side, const struct relay_changeover_counts *n)
{
	const struct {
		const char *result;
		uint64_t n;
	} rows[] = { { "sent", n->sent }, { "relay_fault", n->relay_faults },
		{ "recipient_fault", n->recipient_faults }, { "capacity", n->capacity },
		{ "in_doubt", n->in_doubt }, { "cut", n->cut }, { "alone", n->alone } };

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		buf_addf(b,
		    "posthouse_changeover_messages_total{changeover=\"%llu\",side=\"%s\",result=\"%s\"} %llu\n",
		    (unsigned long long)id, side, rows[i].result, (unsigned long long)rows[i].n);
}

static void
put_changeovers(struct buf *b, const struct api_call *c)
{
	const struct api_view *v = c->view;

	put_type(b, "changeover_state", "gauge", "1 for the state that a changeover is in.");
	for (size_t i = 0; i < v->n_changeovers; i++)
		buf_addf(b, "posthouse_changeover_state{changeover=\"%llu\",state=\"%s\"} 1\n",
		    (unsigned long long)v->changeovers[i].id,
		    relay_changeover_state_name(v->changeovers[i].view.state));
	put_type(b, "changeover_share", "gauge", "Share of messages that may go the new way.");
	for (size_t i = 0; i < v->n_changeovers; i++)
		buf_addf(b, "posthouse_changeover_share{changeover=\"%llu\"} %.3f\n",
		    (unsigned long long)v->changeovers[i].id,
		    v->changeovers[i].view.share / 1000.0);
	put_type(
	    b, "changeover_messages_total", "counter", "Messages by side and what came of them.");
	for (size_t i = 0; i < v->n_changeovers; i++) {
		const struct api_seen_changeover *m = &v->changeovers[i];
		put_side(b, m->id, "old", &m->view.counts[RELAY_OLD]);
		put_side(b, m->id, "new", &m->view.counts[RELAY_NEW]);
	}
	put_type(b, "changeover_p95_seconds", "gauge", "From MAIL to the reply to the dot.");
	for (size_t i = 0; i < v->n_changeovers; i++)
		for (int side = 0; side < 2; side++)
			buf_addf(b,
			    "posthouse_changeover_p95_seconds{changeover=\"%llu\",side=\"%s\"} %.6f\n",
			    (unsigned long long)v->changeovers[i].id,
			    side == RELAY_OLD ? "old" : "new",
			    (double)v->changeovers[i].view.counts[side].p95_us * 1e-6);
}

static enum rc
put_totals(struct buf *b, struct store_reader *r, struct fault *f)
{
	struct store_totals t = { 0 };
	enum rc rc = store_query_totals(r, (struct account_id){ 0 }, &t, f);
	const struct {
		const char *state;
		uint64_t n;
	} rows[] = { { "accepted", t.accepted }, { "generated", t.generated },
		{ "queued", t.queued }, { "in_doubt", t.in_doubt }, { "captured", t.captured },
		{ "sent", t.sent }, { "bounced", t.bounced }, { "expired", t.expired },
		{ "failed", t.failed }, { "cancelled", t.cancelled },
		{ "suppressed", t.suppressed }, { "unknown", t.unknown } };

	put_type(b, "recipients", "gauge",
	    "The accounting: accepted and generated are the sum of all the others.");
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		buf_addf(b, "posthouse_recipients{state=\"%s\"} %llu\n", rows[i].state,
		    (unsigned long long)rows[i].n);
	return rc;
}

/* The second number of /proc/self/statm is the resident pages. */
static void
put_memory(struct buf *b)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
	struct str rest = str_make(text, n > 0 ? (size_t)n : 0);
	struct str word;
	uint64_t pages = 0;

	if (fd >= 0)
		close(fd);
	rest = str_skip(rest, str_find(rest, ' ') + 1); /* the second number is what is resident */
	if (!str_cut(&rest, ' ', &word) || str_to_u64(word, &pages) != RC_OK)
		return;
	put_one(b, "memory_resident_bytes", "gauge", "Resident memory.",
	    pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static enum rc
put_metrics(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct buf *b = &c->out;

	put_type(b, "build_info", "gauge", "The version that runs.");
	buf_addf(b, "posthouse_build_info{version=\"%s\"} 1\n", POSTHOUSE_VERSION);
	put_type(b, "start_time_seconds", "gauge", "When the service started.");
	buf_addf(b, "posthouse_start_time_seconds %.3f\n", (double)c->api->opts.started_us * 1e-6);
	put_memory(b);
	put_store(b, c->api);
	put_deliver(b, c->api);
	put_submit(b);
	put_relays(b, c);
	put_changeovers(b, c);
	return put_totals(b, r, f);
}

static void
show(struct api_call *c)
{
	api_answer_from(c, put_metrics);
}

void
api_metrics(struct api_call *c)
{
	c->type = "text/plain; version=0.0.4; charset=utf-8";
	api_look(c, false, show);
}
