/* How many whole cycles the store does in a second: accept, about to finish, outcome, each synced.
 *
 *	store_bench DIR [SECONDS [IN_FLIGHT [CONTENT_BYTES [KEYS]]]]
 *
 * One thread plays submitters and dispatcher in a closed loop of IN_FLIGHT messages, beside the
 * store's own. DIR is made and must be on the disk that is to be measured. KEYS 1: each message has
 * an idempotency key, confirmed when it is accepted. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/message.h"
#include "store/metrics.h"
#include "store/store.h"

struct cycle {
	struct store_accept accept;
	struct store_finish finish;
	struct store_outcome outcome;
	struct store_confirm confirm;
	struct store_result result;
	struct store_attempt facts;
	struct store_message *msg;
	uint8_t key[1][STORE_KEY_SIZE];
	char text[64];
	int64_t began_us;
};

struct bench {
	struct store *store;
	struct mailbox *box;
	struct outbox out;
	struct blob *content;
	struct cycle *cycles;
	size_t in_flight, running;
	bool keys;
	bool stop;
	uint64_t done, serial, latency_us, worst_us;
};

static void
post(struct bench *b, struct store_op *op, enum store_op_kind kind)
{
	op->kind = kind;
	op->reply = b->box;
	outbox_add(&b->out, store_mailbox(b->store), &op->item);
}

static void
start(struct bench *b, struct cycle *c)
{
	struct store_message *m = store_message_new();

	store_message_add_rcpts(m, 1);
	m->account.v = 1;
	m->about.v = (uint64_t)(c - b->cycles); /* leads back to the cycle */
	m->created_us = clock_wall_us();
	m->sender = STR("alerts@example.com");
	m->message_id = arena_strf(&m->arena, "<%" PRIu64 ".bench@example.com>", b->serial++);
	m->subject = STR("Your verification code");
	m->client = STR("192.0.2.1");
	m->content = blob_ref(b->content);
	m->rcpts[0].address = arena_strf(&m->arena, "user%" PRIu64 "@example.net", b->serial);
	m->rcpts[0].group_key = STR("default");
	m->rcpts[0].domain_hash = 42;
	m->has_key = b->keys;
	c->began_us = clock_monotonic_us();
	if (b->keys) {
		memcpy(c->key[0], &b->serial, sizeof(b->serial));
		uint64_t h = str_hash(str_make((char *)c->key[0], 8), 7);
		memcpy(c->key[0], &h, sizeof(h));
		memcpy(m->key, c->key[0], sizeof(m->key));
	}
	c->accept.msg = m;
	b->running++;
	post(b, &c->accept.op, STORE_ACCEPT);
}

static void
finish(struct bench *b, struct store_message *m)
{
	struct cycle *c = &b->cycles[m->about.v];

	c->msg = m;
	c->finish.version.v = 1;
	c->finish.at_us = clock_wall_us();
	c->finish.rcpts = &m->rcpts[0].id;
	c->finish.n = 1;
	post(b, &c->finish.op, STORE_FINISH);
}

static void
outcome(struct bench *b, struct cycle *c)
{
	int n = snprintf(
	    c->text, sizeof(c->text), "2.0.0 Ok: queued as %012" PRIX64, c->finish.first_attempt);
	int64_t now = clock_wall_us();

	c->facts = (struct store_attempt){ .at_us = c->finish.at_us,
		.duration_us = now - c->finish.at_us,
		.version = { 1 },
		.code = 250,
		.stage = 9,
		.enhanced = STR("2.0.0"),
		.text = str_make(c->text, (size_t)n),
		.remote = STR("[198.51.100.7]:465"),
		.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384 verified"),
		.peer = STR("smtp.example.org") };
	c->result = (struct store_result){ .rcpt = c->msg->rcpts[0].id,
		.msg = c->msg->id,
		.account = c->msg->account,
		.lane = c->msg->stream,
		.n_rcpts = 1,
		.segment = c->msg->at.segment,
		.from = STORE_QUEUED,
		.to = STORE_SENT,
		.at_us = now,
		.attempts = 1,
		.attempt = c->finish.first_attempt,
		.facts = &c->facts };
	c->outcome.results = &c->result;
	c->outcome.n = 1;
	post(b, &c->outcome.op, STORE_OUTCOME);
}

static void
end(struct bench *b, struct cycle *c)
{
	uint64_t took = (uint64_t)(clock_monotonic_us() - c->began_us);

	store_message_free(&c->msg);
	b->running--;
	b->done++;
	b->latency_us += took;
	if (took > b->worst_us)
		b->worst_us = took;
	if (!b->stop)
		start(b, c);
}

static void
confirm(struct bench *b, struct cycle *c)
{
	c->confirm.keys = (const uint8_t(*)[32])c->key;
	c->confirm.n = 1;
	post(b, &c->confirm.op, STORE_CONFIRM);
}

static void
handle(struct bench *b, struct store_op *op)
{
	if (op->rc != RC_OK) {
		fprintf(stderr, "refused: %s\n", op->fault.text);
		exit(1);
	}
	switch (op->kind) {
	case STORE_ACCEPT:
		if (b->keys)
			confirm(b, CONTAINER_OF(op, struct cycle, accept.op));
		return;
	case STORE_FRESH: finish(b, CONTAINER_OF(op, struct store_message, op)); return;
	case STORE_FINISH: outcome(b, CONTAINER_OF(op, struct cycle, finish.op)); return;
	case STORE_OUTCOME: end(b, CONTAINER_OF(op, struct cycle, outcome.op)); return;
	case STORE_GROUP:
	case STORE_MORE: {
		struct store_notice *n = CONTAINER_OF(op, struct store_notice, op);
		store_notice_free(&n);
		return;
	}
	case STORE_CONFIRM:
	case STORE_REFILL:
	case STORE_GRANT:
	case STORE_CALL: return;
	}
}

static void
take(struct bench *b, int64_t wait_us)
{
	struct mailbox_item *item = mailbox_wait(b->box, wait_us);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		handle(b, store_op_of(item));
		item = next;
	}
	outbox_flush(&b->out);
}

static void
print_histogram(const char *name, const struct store_histogram *h)
{
	uint64_t n = h->count, seen = 0, p99 = 0, top = 0;

	for (unsigned i = 0; i < STORE_BUCKETS; i++) {
		seen += h->bucket[i];
		if (p99 == 0 && seen * 100 >= n * 99)
			p99 = store_histogram_bound(i);
		if (h->bucket[i] != 0)
			top = store_histogram_bound(i);
	}
	printf("%-14s %8" PRIu64 " times, mean %.1f, p99 < %" PRIu64 ", worst < %" PRIu64 "\n",
	    name, n, n != 0 ? (double)h->sum / (double)n : 0, p99, top);
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct fault fault = { 0 };
	int seconds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
	size_t bytes = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 4096;

	if (argc < 2) {
		fprintf(stderr,
		    "usage: store_bench DIR [SECONDS [IN_FLIGHT [CONTENT_BYTES [KEYS]]]]\n");
		return 2;
	}
	b.in_flight = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 144;
	b.keys = argc > 5 && argv[5][0] == '1';
	mkdir(argv[1], 0700);
	if (store_open(&(struct store_opts){ .dir = argv[1] }, &b.store, &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		return 1;
	}
	b.box = mailbox_new();
	outbox_init(&b.out);
	b.content = blob_new(bytes);
	memset(b.content->p, 'x', bytes);
	b.cycles = MEM_NEW_ARRAY(struct cycle, b.in_flight);
	store_start(b.store, b.box);
	struct group_id group = { 1 };
	struct store_grant grant = {
		.opened = &group, .n_opened = 1, .credits = { INT32_MAX, INT32_MAX }
	};
	post(&b, &grant.op, STORE_GRANT);
	for (size_t i = 0; i < b.in_flight; i++)
		start(&b, &b.cycles[i]);
	outbox_flush(&b.out);
	int64_t from = clock_monotonic_us(), until = from + SECONDS(seconds);
	while (b.running > 0) {
		take(&b, MS(100));
		b.stop = clock_monotonic_us() >= until;
	}
	double took = (double)(clock_monotonic_us() - from) / 1e6;
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	double cpu = (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
		     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	const struct store_metrics *m = store_metrics(b.store);
	printf(
	    "%.0f cycles/s, %zu in flight, %zu bytes; latency mean %.2f ms, worst %.2f ms; CPU %.1f us "
	    "a cycle\n",
	    (double)b.done / took, b.in_flight, bytes, (double)b.latency_us / (double)b.done / 1e3,
	    (double)b.worst_us / 1e3, cpu * 1e6 / (double)b.done);
	print_histogram("group ops", &m->group_ops);
	print_histogram("group us", &m->group_us);
	print_histogram("commit us", &m->commit_us);
	print_histogram("content us", &m->content_us);
	print_histogram("checkpoint us", &m->checkpoint_us);
	store_close(&b.store);
	outbox_done(&b.out);
	mailbox_free(&b.box);
	blob_unref(&b.content);
	free(b.cycles);
	return 0;
}
