#include "deliver/test_bed.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "store/config_changeover.h"
#include "store/config_relay.h"

#define TO(...)                                                                                    \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* The bed with a changeover of its default route, from relay one to relay two. */
struct change {
	struct bed bed;
	uint64_t id;
	enum relay_want wanted;
	uint64_t since;
};

struct setup_call {
	struct store_call call;
	struct store_changeover_row row;
	_Atomic int state; /* 0: under way; 1: done; 2: failed */
};

static enum rc
run_setup(struct store_tx *tx, void *arg, struct fault *f)
{
	struct setup_call *s = arg;
	enum rc rc = RC_OK;

	for (int i = 1; i <= RELAYS && rc == RC_OK; i++) {
		struct store_relay_row relay = { .name = i == 1 ? STR("one") : STR("two"),
			.state = STR("active"),
			.version = { (uint64_t)i } };
		struct store_relay_version_row v = {
			.relay = { (uint64_t)i }, .host = STR("127.0.0.1"), .tls = STR("none")
		};
		rc = store_config_relay_put(tx, &relay, f);
		if (rc == RC_OK)
			rc = store_config_relay_version_add(tx, &v, f);
	}
	struct store_route_row route = {
		.name = STR("default"), .relay = { 1 }, .is_default = true
	};
	if (rc == RC_OK)
		rc = store_config_route_put(tx, &route, f);
	return rc == RC_OK ? store_config_changeover_add(tx, &s->row, f) : rc;
}

static void
on_setup(struct store_op *op)
{
	struct store_call *call = CONTAINER_OF(op, struct store_call, op);
	struct setup_call *s = CONTAINER_OF(call, struct setup_call, call);

	atomic_store(&s->state, op->rc == RC_OK ? 1 : 2);
}

/* The row as it is on disk. */
static void
read_row(struct change *c, struct arena *a, struct store_changeover_row *out)
{
	struct store_changeover_list q = { .id = c->id };

	assert_int_equal(store_config_changeover_list(c->bed.reader, &q, a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	*out = q.rows[0];
}

static bool
row_is(struct bed *b, const void *arg)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_changeover_row row;
	struct change *c = CONTAINER_OF(b, struct change, bed);

	read_row(c, &a, &row);
	return str_eq(row.state, str_from(arg));
}

static void
until(struct change *c, const char *state)
{
	bed_run(&c->bed, row_is, state, state);
}

/* A book as the service would read it: with the changeover while that is open. */
static void
publish(struct change *c)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_changeover_row row;
	struct relay_row r[RELAYS] = { { { 1 }, STR("one"), { 1 } }, { { 2 }, STR("two"), { 2 } } };
	struct relay_version_row v[RELAYS] = { 0 };
	struct relay_route_row route = { .id = { 1 }, .relay = { 1 }, .is_default = true };
	struct relay_book *book;
	struct fault f = { 0 };

	read_row(c, &a, &row);
	struct relay_move_row move = { row.id, row.from, row.to, row.routes, row.machine };
	if (str_eq(row.state, STR("confirmed")))
		route.relay.v = 2;
	for (size_t i = 0; i < RELAYS; i++)
		v[i] = (struct relay_version_row){ .id = { i + 1 },
			.relay = { i + 1 },
			.number = 1,
			.host = STR("127.0.0.1"),
			.port = c->bed.relays[i].port,
			.tls = RELAY_TLS_NONE };
	struct relay_book_rows rows = { r, RELAYS, v, RELAYS, &route, 1, &move, row.open, true };
	if (relay_book_new(&rows, &book, &f) != RC_OK)
		fail_msg("%s", f.text);
	relay_book_unref(&c->bed.book);
	c->bed.book = book;
}

static void
on_want(void *arg, uint64_t id, enum relay_want want, uint64_t since)
{
	struct change *c = arg;

	assert_true(id == c->id);
	c->wanted = want;
	c->since = since;
}

static void
listen(struct change *c)
{
	c->bed.d->opts.on_want = on_want;
	c->bed.d->opts.arg = c;
}

static bool
is_set_up(struct bed *b, const void *arg)
{
	const struct setup_call *s = arg;

	(void)b;
	return atomic_load(&s->state) != 0;
}

static void
add_row(struct change *c, const char *schedule)
{
	struct relay_changeover_opts o = { .now_us = clock_wall_us() };
	struct setup_call *s = MEM_NEW(struct setup_call);
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	assert_int_equal(relay_schedule_named(str_from(schedule), 1000, &o.schedule, NULL), RC_OK);
	relay_changeover_rules_default(&o.rules);
	struct relay_changeover *m = relay_changeover_new(&o);
	buf_init(&b, 1 << 20);
	json_writer_init(&w, &b);
	relay_changeover_write(m, &w);
	json_writer_done(&w);
	relay_changeover_free(&m);
	s->row = (struct store_changeover_row){ .routes = STR("1"),
		.from = { 1 },
		.to = { 2 },
		.state = STR("draft"),
		.open = true,
		.who = STR("test"),
		.machine = buf_str(&b),
		.started_us = o.now_us };
	s->call.op.kind = STORE_CALL;
	s->call.op.dispose = on_setup;
	s->call.run = run_setup;
	s->call.arg = s;
	store_post(c->bed.store, &s->call.op);
	/* Mail accepted meanwhile turns the loop. */
	struct bed_mail first = { .from = "a@a.example", .to = TO("first@b.example") };
	while (!is_set_up(&c->bed, s))
		(void)bed_send(&c->bed, &first);
	assert_int_equal(atomic_load(&s->state), 1);
	c->id = s->row.id;
	free(s);
}

static void
up(struct change *c, const char *schedule)
{
	*c = (struct change){ 0 };
	bed_init(&c->bed);
	bed_up(&c->bed);
	listen(c);
	add_row(c, schedule);
	publish(c);
	bed_poke(&c->bed, c->bed.book);
	until(c, "draft");
}

struct answer_order {
	struct bed_order o;
	struct change *c;
	enum relay_answer answer;
};

static void
on_answer(struct deliver *d, struct deliver_order *o)
{
	struct bed_order *p = CONTAINER_OF(o, struct bed_order, order);
	struct answer_order *a = CONTAINER_OF(p, struct answer_order, o);

	deliver_changeover_answer(
	    d, a->c->id, a->c->wanted, a->c->since, a->answer, STR("as the test says"));
	p->done = true;
}

static bool
is_wanted(struct bed *b, const void *arg)
{
	return CONTAINER_OF(b, struct change, bed)->wanted == *(const enum relay_want *)arg;
}

static void
answer(struct change *c, enum relay_want want, enum relay_answer a)
{
	struct answer_order o = {
		.o = { .order = { .run = on_answer }, .b = &c->bed }, .c = c, .answer = a
	};

	BED_UNTIL(&c->bed, is_wanted, &want);
	deliver_post(c->bed.d, &o.o.order);
	BED_UNTIL(&c->bed, bed_is_set, &o.o.done);
	c->wanted = RELAY_WANT_NOTHING;
}

/* Sends `n` messages one after the other; each arrives. */
static void
send_many(struct change *c, int n)
{
	static int number;

	for (int i = 0; i < n; i++) {
		char to[64];
		snprintf(to, sizeof(to), "r%d@b%d.example", number, number);
		number++;
		struct bed_mail mail = { .from = "a@a.example", .to = TO(to) };
		bed_until_state(&c->bed, bed_send(&c->bed, &mail), 0, STORE_SENT);
		assert_int_equal(ledger_count(c->bed.ledger, to), 1);
	}
}

static bool
is_state(struct change *c, const char *state)
{
	return row_is(&c->bed, state);
}

static void
a_good_server_takes_over_by_steps(void **state)
{
	struct change c;

	(void)state;
	up(&c, "fast");
	send_many(&c, 3);
	assert_int_equal(c.bed.relays[1].contents, 0);
	answer(&c, RELAY_WANT_PREFLIGHT, RELAY_ANSWER_PASSED);
	until(&c, "canary");
	for (int i = 0; i < 30 && is_state(&c, "canary"); i++)
		send_many(&c, 12);
	until(&c, "full");
	unsigned old = c.bed.relays[0].contents, new = c.bed.relays[1].contents;
	assert_true(old > 20 && new >= 10 + 36 + 73);
	send_many(&c, 10);
	assert_int_equal(c.bed.relays[0].contents, old);
	assert_int_equal(c.bed.relays[1].contents, new + 10);
	for (int i = 0; i < 30; i++) {
		bed_travel(&c.bed, SECONDS(2));
		send_many(&c, 1);
	}
	until(&c, "confirmed");
	publish(&c);
	bed_poke(&c.bed, c.bed.book);
	send_many(&c, 3);
	assert_int_equal(c.bed.relays[0].contents, old);
	bed_down(&c.bed);
}

static void
what_a_bad_server_refuses_is_sent_by_the_old_one(void **state)
{
	struct change c;

	(void)state;
	up(&c, "fast");
	answer(&c, RELAY_WANT_PREFLIGHT, RELAY_ANSWER_PASSED);
	until(&c, "canary");
	c.bed.relays[1].dot_reply = "554 5.7.1 relaying denied";
	for (int i = 0; i < 60 && is_state(&c, "canary"); i++)
		send_many(&c, 1);
	until(&c, "suspect");
	send_many(&c, 3);
	answer(&c, RELAY_WANT_CONTROL, RELAY_ANSWER_PASSED);
	until(&c, "reverted");
	send_many(&c, 3);
	struct store_totals t = bed_totals(&c.bed);
	assert_int_equal(t.bounced, 0);
	assert_int_equal(t.sent, t.accepted);
	assert_true(c.bed.relays[1].contents <= 5);
	bed_down(&c.bed);
}

/* The program ends and starts again; settings are read from disk. */
static void
restart(struct change *c)
{
	bed_close(&c->bed);
	relay_book_unref(&c->bed.book);
	c->bed.book = bed_make_book(&c->bed, bed_plain, bed_default);
	bed_open(&c->bed);
	listen(c);
	publish(c);
	bed_poke(&c->bed, c->bed.book);
}

static void
a_restart_resumes_where_it_was(void **state)
{
	struct change c;

	(void)state;
	up(&c, "fast");
	answer(&c, RELAY_WANT_PREFLIGHT, RELAY_ANSWER_PASSED);
	until(&c, "canary");
	send_many(&c, 20);
	restart(&c);
	assert_int_equal(c.bed.d->n_moves, 1);
	assert_true(is_state(&c, "canary"));
	for (int i = 0; i < 30 && is_state(&c, "canary"); i++)
		send_many(&c, 12);
	until(&c, "full");
	bed_down(&c.bed);
}

static void
a_wanted_check_is_asked_for_again_after_a_restart(void **state)
{
	struct change c;
	enum relay_want preflight = RELAY_WANT_PREFLIGHT;

	(void)state;
	up(&c, "fast");
	BED_UNTIL(&c.bed, is_wanted, &preflight);
	c.wanted = RELAY_WANT_NOTHING;
	restart(&c);
	answer(&c, RELAY_WANT_PREFLIGHT, RELAY_ANSWER_FAILED);
	until(&c, "refused");
	send_many(&c, 2);
	assert_int_equal(c.bed.relays[1].contents, 0);
	bed_down(&c.bed);
}

static void
to_full(struct change *c)
{
	answer(c, RELAY_WANT_PREFLIGHT, RELAY_ANSWER_PASSED);
	until(c, "canary");
	for (int i = 0; i < 30 && is_state(c, "canary"); i++)
		send_many(c, 12);
	until(c, "full");
}

static void
a_doubt_is_repeated_where_it_arose(void **state)
{
	struct change c;
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("doubt@b.example"),
		.doubt = QUEUE_DOUBT_AT_LEAST_ONCE };

	(void)state;
	up(&c, "fast");
	to_full(&c);
	c.bed.relays[1].lose_replies = 1;
	unsigned old = c.bed.relays[0].contents;
	struct msg_id id = bed_send(&c.bed, &mail);
	bed_until_state(&c.bed, id, 0, STORE_IN_DOUBT);
	assert_int_equal(c.bed.relays[0].contents, old);
	bed_travel(&c.bed, SECONDS(61));
	bed_until_state(&c.bed, id, 0, STORE_SENT);
	assert_int_equal(c.bed.relays[0].contents, old);
	assert_int_equal(ledger_count(c.bed.ledger, "doubt@b.example"), 2);
	bed_down(&c.bed);
}

static void
an_unknown_recipient_bounces_and_says_nothing(void **state)
{
	struct change c;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("odd@b.example") };

	(void)state;
	up(&c, "fast");
	to_full(&c);
	c.bed.relays[1].rcpt_reply = "550 5.1.1 no such user here";
	c.bed.relays[1].rcpt_odd = "odd@";
	unsigned old = c.bed.relays[0].contents;
	bed_until_state(&c.bed, bed_send(&c.bed, &mail), 0, STORE_BOUNCED);
	bed_quiet(&c.bed);
	assert_true(is_state(&c, "full"));
	/* The report goes by the old server: news of a changeover must not depend on it. */
	assert_true(c.bed.relays[0].contents <= old + 1);
	bed_down(&c.bed);
}

static void
mail_goes_on_by_the_old_server_when_the_new_one_dies(void **state)
{
	struct change c;

	(void)state;
	up(&c, "fast");
	to_full(&c);
	fake_relay_down(&c.bed.relays[1], true);
	unsigned old = c.bed.relays[0].contents;
	send_many(&c, 5);
	assert_true(c.bed.relays[0].contents >= old + 4);
	bed_down(&c.bed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_server_takes_over_by_steps),
		cmocka_unit_test(what_a_bad_server_refuses_is_sent_by_the_old_one),
		cmocka_unit_test(a_restart_resumes_where_it_was),
		cmocka_unit_test(a_wanted_check_is_asked_for_again_after_a_restart),
		cmocka_unit_test(a_doubt_is_repeated_where_it_arose),
		cmocka_unit_test(an_unknown_recipient_bounces_and_says_nothing),
		cmocka_unit_test(mail_goes_on_by_the_old_server_when_the_new_one_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
