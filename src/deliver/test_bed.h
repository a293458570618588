/* For tests: the dispatcher with a real store, a real carrier and relays of our own, all on one
 * loop, and a wall clock that can be moved on. */
#pragma once

#include "deliver/test_relay.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/seal.h"
#include "deliver/carrier.h"
#include "deliver/deliver.h"
#include "deliver/private.h"
#include "mail/address.h"
#include "net/dialer.h"
#include "relay/book.h"
#include "store/message.h"
#include "store/query_message.h"
#include "store/query_queue.h"
#include "store/reader.h"
#include "store/store.h"

/* ---- the clock: these stand in for those of base/clock.c ---- */

static _Atomic int64_t test_ahead_us;

int64_t
clock_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + atomic_load(&test_ahead_us);
}

void
clock_format(int64_t wall_us, char out[static CLOCK_TEXT_SIZE])
{
	snprintf(out, CLOCK_TEXT_SIZE, "%lld", (long long)wall_us);
}

/* ---- the bed ---- */

#define BED_PATIENCE SECONDS(20)
#define RELAYS       2

struct bed;
typedef bool bed_cond(struct bed *b, const void *arg);

struct bed {
	char dir[64];
	struct loop *loop;
	struct store *store;
	struct store_reader *reader;
	struct deliver *d;
	struct carrier *carrier;
	struct dialer *dialer;
	struct seal_key seal;
	struct relay_book *book;
	struct fake_relay relays[RELAYS]; /* versions 1 and 2 */
	struct ledger *ledger;
	struct mailbox *acks;
	struct loop_hook hook;
	struct loop_timer patience;
	struct queue_limits window;
	int64_t expire_after_us;
	bool in_child;
	bed_cond *cond;
	const void *cond_arg;
	const char *cond_name;
	enum rc acked;
	struct msg_id acked_id;
	bool has_ack;
	bool is_idle;
};

/* Fails the test; in a child of ours the parent sees it by the status. */
#define BED_FAIL(b, ...)                                                                           \
	do {                                                                                       \
		if ((b)->in_child) {                                                               \
			fprintf(stderr, __VA_ARGS__);                                              \
			_exit(99);                                                                 \
		}                                                                                  \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)
#define BED_CHECK(b, x)                                                                            \
	do {                                                                                       \
		if (!(x))                                                                          \
			BED_FAIL(b, "%s:%d: %s", __FILE__, __LINE__, #x);                          \
	} while (0)

static inline void
bed_out_of_patience(void *arg)
{
	struct bed *b = arg;

	BED_FAIL(b, "this never happens: %s", b->cond_name);
}

static inline void
bed_turn_end(void *arg)
{
	struct bed *b = arg;

	if (b->cond != NULL && b->cond(b, b->cond_arg)) {
		b->cond = NULL;
		loop_stop(b->loop);
	}
}

/* Runs the loop until `cond` holds at the end of a turn. */
static inline void
bed_run(struct bed *b, bed_cond *cond, const void *arg, const char *name)
{
	b->cond = cond;
	b->cond_arg = arg;
	b->cond_name = name;
	loop_timer_set(b->loop, &b->patience, clock_monotonic_us() + BED_PATIENCE);
	/* A turn of its own, so that the condition is looked at even if nothing happens. */
	if (!cond(b, arg))
		loop_run(b->loop);
	b->cond = NULL;
	loop_timer_cancel(b->loop, &b->patience);
}
#define BED_UNTIL(b, cond, arg) bed_run((b), (cond), (arg), #cond)

/* ---- routes ---- */

/* What relay 1 or 2 is like. */
struct bed_relay {
	const char *senders;
	const char *rewrites;
	uint32_t max_recipients;
};
struct bed_route {
	uint64_t relay;     /* 0: the end */
	const char *sender; /* NULL: the default */
	bool for_bounces;
};

static inline struct relay_book *
bed_make_book(struct bed *b, const struct bed_relay relays[RELAYS], const struct bed_route *routes)
{
	struct relay_row r[RELAYS] = { 0 };
	struct relay_version_row v[RELAYS] = { 0 };
	struct relay_route_row to[8] = { 0 };
	static const char *const names[RELAYS] = { "one", "two" };
	struct relay_book_rows rows = { .relays = r,
		.relay_count = RELAYS,
		.versions = v,
		.version_count = RELAYS,
		.routes = to,
		.had_relay = true };
	struct fault f = { 0 };

	for (size_t i = 0; i < RELAYS; i++) {
		r[i] = (struct relay_row){ { i + 1 }, str_from(names[i]), { i + 1 } };
		v[i] = (struct relay_version_row){ .id = { i + 1 },
			.relay = { i + 1 },
			.number = 1,
			.host = STR("127.0.0.1"),
			.port = b->relays[i].port,
			.tls = RELAY_TLS_NONE,
			.senders = str_from(relays[i].senders),
			.rewrites = str_from(relays[i].rewrites),
			.max_recipients = relays[i].max_recipients };
	}
	for (size_t i = 0; routes[i].relay != 0; i++) {
		to[i] = (struct relay_route_row){ .id = { i + 1 },
			.relay = { routes[i].relay },
			.sender = str_from(routes[i].sender),
			.is_default = routes[i].sender == NULL && !routes[i].for_bounces,
			.for_bounces = routes[i].for_bounces };
		rows.route_count = i + 1;
	}
	struct relay_book *book;
	if (relay_book_new(&rows, &book, &f) != RC_OK)
		BED_FAIL(b, "no book: %s", f.text);
	return book;
}

struct bed_order {
	struct deliver_order order;
	struct bed *b;
	struct relay_book *book;
	bool done;
};

static inline bool
bed_is_set(struct bed *b, const void *arg)
{
	(void)b;
	return *(const bool *)arg;
}

static inline void
bed_on_poke(struct deliver *d, struct deliver_order *o)
{
	struct bed_order *p = CONTAINER_OF(o, struct bed_order, order);

	if (p->book != NULL)
		deliver_set_book(d, p->book);
	relay_desk_tick(deliver_desk(d), deliver_now_us(d));
	deliver_settle(d);
	p->done = true;
}

static inline void
bed_poke(struct bed *b, struct relay_book *book)
{
	struct bed_order p = { .order = { .run = bed_on_poke }, .b = b, .book = book };

	deliver_post(b->d, &p.order);
	BED_UNTIL(b, bed_is_set, &p.done);
}

/* Exchanges the routes; doors follow. */
static inline void
bed_routes(struct bed *b, const struct bed_relay relays[RELAYS], const struct bed_route *routes)
{
	relay_book_unref(&b->book);
	b->book = bed_make_book(b, relays, routes);
	bed_poke(b, b->book);
}

/* Time passes, and the dispatcher notices. */
static inline void
bed_travel(struct bed *b, int64_t us)
{
	atomic_fetch_add(&test_ahead_us, us);
	bed_poke(b, NULL);
}

/* ---- up and down ---- */

static inline void
bed_on_acks(void *arg, struct mailbox_item *item)
{
	struct bed *b = arg;

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_accept *a = CONTAINER_OF(store_op_of(item), struct store_accept, op);
		b->acked = a->op.rc;
		b->acked_id = a->msg_id;
		b->has_ack = true;
		free(a);
		item = next;
	}
}

static const struct bed_relay bed_plain[RELAYS];
static const struct bed_route bed_default[] = { { 1, NULL, false }, { 0 } };

/* The program's part: what a crash takes away. */
static inline void
bed_open(struct bed *b)
{
	struct store_opts so = { .dir = b->dir, .segment_bytes = 1u << 20, .ballast_bytes = 4096 };
	struct fault f = { 0 };

	so.low_water_bytes = 1;
	if (store_open(&so, &b->store, &f) != RC_OK)
		BED_FAIL(b, "store: %s", f.text);
	struct deliver_opts opts = {
		.loop = b->loop,
		.store = b->store,
		.hostname = STR("post.example"),
		.window = b->window,
		.retry = { 2, { MINUTES(2), MINUTES(10) } },
		.expire_after_us = { b->expire_after_us, b->expire_after_us },
		.idle_us = SECONDS(30),
		.seed = 7,
		.book = b->book,
	};
	b->d = deliver_new(&opts);
	struct carrier_opts co = {
		.loop = b->loop,
		.dialer = b->dialer,
		.dispatcher = deliver_report_mailbox(b->d),
		.writer = store_mailbox(b->store),
		.hostname = STR("post.example"),
		.seal = &b->seal,
		.patience = 1,
	};
	b->carrier = carrier_new(&co);
	deliver_add_carrier(b->d, carrier_mailbox(b->carrier));
	BED_CHECK(b, store_reader_new(b->store, &b->reader, &f) == RC_OK);
	deliver_recover(b->d, b->reader);
	store_start(b->store, deliver_store_mailbox(b->d));
}

static inline void
bed_init(struct bed *b)
{
	*b = (struct bed){ .dir = "/tmp/deliver-test-XXXXXX", .expire_after_us = DAYS(5) };
	log_set_level(getenv("BED_LOG") != NULL ? LOG_DEBUG : LOG_ERROR);
	atomic_store(&test_ahead_us, 0);
	BED_CHECK(b, mkdtemp(b->dir) != NULL);
	b->ledger = ledger_new();
}

/* Loop, relays and the program. */
static inline void
bed_up(struct bed *b)
{
	b->loop = loop_new();
	loop_hook_add(b->loop, &b->hook, bed_turn_end, b);
	loop_timer_init(&b->patience, bed_out_of_patience, b);
	b->acks = mailbox_new();
	mailbox_attach(b->acks, b->loop, bed_on_acks, b);
	b->dialer = dialer_new(b->loop, NULL);
	for (size_t i = 0; i < RELAYS; i++)
		fake_relay_init(&b->relays[i], b->loop, b->ledger);
	b->book = bed_make_book(b, bed_plain, bed_default);
	bed_open(b);
}

static inline void
bed_on_idle(void *arg)
{
	struct bed *b = arg;

	b->is_idle = true;
}

static inline void
bed_on_stop(struct deliver *d, struct deliver_order *o)
{
	struct bed_order *p = CONTAINER_OF(o, struct bed_order, order);

	deliver_stop(d, bed_on_idle, p->b);
	p->done = true;
}

/* Begins to end delivery in good order. */
static inline void
bed_stop(struct bed *b)
{
	struct bed_order p = { .order = { .run = bed_on_stop }, .b = b };

	b->is_idle = false;
	deliver_post(b->d, &p.order);
	BED_UNTIL(b, bed_is_set, &p.done);
}

/* The program ends in good order. */
static inline void
bed_close(struct bed *b)
{
	bed_stop(b);
	BED_UNTIL(b, bed_is_set, &b->is_idle);
	store_reader_free(&b->reader);
	deliver_close_readers(b->d);
	store_close(&b->store);
	carrier_free(&b->carrier);
	deliver_free(&b->d);
}

static inline void
bed_remove(const char *dir)
{
	char path[512];
	DIR *dp = opendir(dir);
	struct dirent *e;

	while (dp != NULL && (e = readdir(dp)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%.200s/%.250s", dir, e->d_name);
		if (unlink(path) != 0)
			bed_remove(path);
	}
	if (dp != NULL)
		closedir(dp);
	rmdir(dir);
}

static inline void
bed_down(struct bed *b)
{
	if (b->d != NULL)
		bed_close(b);
	for (size_t i = 0; i < RELAYS; i++)
		fake_relay_done(&b->relays[i]);
	dialer_free(&b->dialer);
	relay_book_unref(&b->book);
	loop_hook_remove(&b->hook);
	mailbox_free(&b->acks);
	loop_free(&b->loop);
	bed_remove(b->dir);
	munmap(b->ledger, sizeof(*b->ledger));
}

/* ---- mail ---- */

struct bed_mail {
	const char *from;
	const char *to[8];
	const char *content; /* NULL: a short one */
	enum stream stream;
	enum queue_doubt_policy doubt;
	int64_t deadline_in_us; /* 0: none */
	enum store_state born;
	uint8_t notify;
	const struct relay_book *book; /* whose keys; NULL: the present one's */
};

static inline bool
bed_has_ack(struct bed *b, const void *arg)
{
	(void)arg;
	return b->has_ack;
}

static inline struct store_message *
bed_message(struct bed *b, const struct bed_mail *mail)
{
	struct store_message *m = store_message_new();
	const struct relay_book *book = mail->book != NULL ? mail->book : b->book;
	struct mail_addr from = { .is_null = true };
	uint32_t n = 0;
	const char *why;

	while (n < COUNT_OF(mail->to) && mail->to[n] != NULL)
		n++;
	store_message_add_rcpts(m, n);
	m->account.v = 1;
	m->stream = mail->stream;
	m->created_us = clock_wall_us();
	m->sender = str_from(mail->from);
	m->message_id = STR("<1@a.example>");
	m->subject = STR("Hello");
	m->doubt_policy = (uint8_t)mail->doubt;
	m->content = blob_from(mail->content != NULL
				   ? str_from(mail->content)
				   : STR("From: <a@a.example>\r\nSubject: Hello\r\n\r\nHi\r\n"));
	if (mail->deadline_in_us != 0)
		m->deadline_us = m->created_us + mail->deadline_in_us;
	if (mail->from[0] != '\0')
		BED_CHECK(b, mail_addr_parse(str_from(mail->from), MAIL_ADDR_UTF8, &m->arena, &from,
				 &why) == RC_OK);
	for (uint32_t i = 0; i < n; i++) {
		struct mail_addr to;
		struct buf key;
		BED_CHECK(b, mail_addr_parse(str_from(mail->to[i]), MAIL_ADDR_UTF8, &m->arena, &to,
				 &why) == RC_OK);
		buf_init(&key, RELAY_KEY_MAX);
		relay_book_group_key(book, m->account, &from, to.domain_ascii, m->stream, &key);
		m->rcpts[i].group_key = arena_str(&m->arena, buf_str(&key));
		buf_done(&key);
		m->rcpts[i].address = str_from(mail->to[i]);
		m->rcpts[i].domain_hash = str_hash_nocase(to.domain_ascii, 0);
		m->rcpts[i].born = mail->born;
		m->rcpts[i].notify = mail->notify;
	}
	return m;
}

/* Hands it in as a door does, and waits until it is kept. */
static inline struct msg_id
bed_send(struct bed *b, const struct bed_mail *mail)
{
	struct store_accept *a = MEM_NEW(struct store_accept);

	a->op.kind = STORE_ACCEPT;
	a->op.reply = b->acks;
	a->msg = bed_message(b, mail);
	b->has_ack = false;
	store_post(b->store, &a->op);
	BED_UNTIL(b, bed_has_ack, NULL);
	BED_CHECK(b, b->acked == RC_OK);
	return b->acked_id;
}

/* ---- looking ---- */

static inline struct store_recipient_row
bed_rcpt(struct bed *b, struct msg_id msg, uint32_t i)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_message_row m;
	struct store_recipient_row row;

	BED_CHECK(b, store_query_message(b->reader, msg, &a, &m, NULL) == RC_OK);
	BED_CHECK(b, store_query_recipient(
			 b->reader, (struct rcpt_id){ m.first_rcpt + i }, &a, &row, NULL) == RC_OK);
	row.address = row.orcpt = (struct str){ 0 };
	return row;
}

static inline enum store_state
bed_state(struct bed *b, struct msg_id msg, uint32_t i)
{
	return bed_rcpt(b, msg, i).state;
}

struct bed_wanted {
	struct msg_id msg;
	uint32_t i;
	enum store_state state;
};

static inline bool
bed_is_in_state(struct bed *b, const void *arg)
{
	const struct bed_wanted *w = arg;

	return bed_state(b, w->msg, w->i) == w->state;
}

/* Runs until the recipient is in `state` on disk. */
static inline void
bed_until_state(struct bed *b, struct msg_id msg, uint32_t i, enum store_state state)
{
	struct bed_wanted w = { msg, i, state };
	char name[64];

	snprintf(name, sizeof(name), "message %llu recipient %u is %s", (unsigned long long)msg.v,
	    i, store_state_name(state));
	bed_run(b, bed_is_in_state, &w, name);
}

static inline bool
bed_was_deferred(struct bed *b, const void *arg)
{
	const struct bed_wanted *w = arg;
	struct store_recipient_row row = bed_rcpt(b, w->msg, w->i);

	return row.attempts >= w->state && row.due_us != TIME_NEVER;
}

/* Runs until `n` attempts are on disk, with a time for the next. */
static inline void
bed_until_tried(struct bed *b, struct msg_id msg, unsigned n)
{
	struct bed_wanted w = { msg, 0, (enum store_state)n };

	BED_UNTIL(b, bed_was_deferred, &w);
}

static inline struct store_totals
bed_totals(struct bed *b)
{
	struct store_totals t;

	BED_CHECK(b, store_query_totals(b->reader, (struct account_id){ 0 }, &t, NULL) == RC_OK);
	BED_CHECK(b, store_query_totals_balance(&t));
	return t;
}

/* Nothing is on its way to the writer or a relay. */
static inline bool
bed_is_quiet(struct bed *b, const void *arg)
{
	(void)arg;
	return b->d->jobs_out == 0 && b->d->ops_out == 0 && b->d->reads_out == 0 &&
	       b->d->batch == NULL;
}

static inline void
bed_quiet(struct bed *b)
{
	BED_UNTIL(b, bed_is_quiet, NULL);
}

/* What a person wishes; the refusal, or RC_OK. */
struct bed_wish_order {
	struct bed_order o;
	enum deliver_wish wish;
	const struct store_row *row;
	struct fault fault;
	enum rc rc;
};

static inline void
bed_on_wish(struct deliver *d, struct deliver_order *o)
{
	struct bed_order *p = CONTAINER_OF(o, struct bed_order, order);
	struct bed_wish_order *w = CONTAINER_OF(p, struct bed_wish_order, o);

	w->rc = deliver_wish(d, w->wish, w->row, &w->fault);
	p->done = true;
}

static inline enum rc
bed_wish(struct bed *b, enum deliver_wish wish, struct msg_id msg, uint32_t i)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_message_row m;
	struct store_recipient_row r;

	BED_CHECK(b, store_query_message(b->reader, msg, &a, &m, NULL) == RC_OK);
	BED_CHECK(b, store_query_recipient(
			 b->reader, (struct rcpt_id){ m.first_rcpt + i }, &a, &r, NULL) == RC_OK);
	struct store_row row = { .rcpt = r.id,
		.msg = msg,
		.account = r.account,
		.group = r.group,
		.lane = r.lane,
		.state = r.state,
		.due_us = r.due_us,
		.lived_us = r.lived_us,
		.created_us = m.created_us,
		.deadline_us = m.deadline_us,
		.n_rcpts = m.n_rcpts,
		.segment = m.content.segment,
		.offset = m.content.offset,
		.bytes = m.content.bytes,
		.attempts = r.attempts,
		.doubts = r.doubts,
		.address = r.address };
	struct bed_wish_order w = {
		.o = { .order = { .run = bed_on_wish }, .b = b }, .wish = wish, .row = &row
	};
	deliver_post(b->d, &w.o.order);
	BED_UNTIL(b, bed_is_set, &w.o.done);
	bed_quiet(b);
	return w.rc;
}

static inline bool
bed_has_dot(struct bed *b, const void *arg)
{
	(void)arg;
	return fake_relay_has_dot(&b->relays[0]);
}
