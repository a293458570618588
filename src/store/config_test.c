#include "store/test_store.h"

#include "store/config_account.h"
#include "store/config_relay.h"
#include "store/config_system.h"

static enum rc
call(struct bed *b, store_call_fn *run, void *arg)
{
	struct store_call op = { .run = run, .arg = arg };

	return bed_ask(b, &op.op, STORE_CALL);
}

#define CALLER(name, type)                                                                         \
	static enum rc do_##name(struct store_tx *tx, void *arg, struct fault *fault)              \
	{                                                                                          \
		return store_config_##name(tx, (type *)arg, fault);                                \
	}
CALLER(account_put, struct store_account_row)
CALLER(credential_put, struct store_credential_row)
CALLER(relay_put, struct store_relay_row)
CALLER(relay_version_add, struct store_relay_version_row)
CALLER(relay_version_tune, struct store_relay_version_row)
CALLER(relay_version_caps, struct store_relay_version_row)
CALLER(route_put, struct store_route_row)
CALLER(login_day_put, struct store_login_day_row)
CALLER(alarm_put, struct store_alarm_row)
CALLER(audit_add, struct store_audit_row)

static enum rc
remove_relay(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_relay_remove(tx, *(struct relay_id *)arg, fault);
}

static enum rc
remove_route(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_route_remove(tx, *(uint64_t *)arg, fault);
}

static enum rc
set_language(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_setting_put(tx, STR("language"), str_from(arg), fault);
}

static void
a_name_is_taken_once(void **state)
{
	struct bed b;
	struct store_account_row one = { .name = STR_INIT("shop") },
				 two = { .name = STR_INIT("shop") };

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_account_put, &one), RC_OK);
	assert_int_equal(one.id.v, 1);
	assert_int_equal(call(&b, do_account_put, &two), RC_EXISTS);
	two.id.v = 99;
	two.name = STR("other");
	assert_int_equal(call(&b, do_account_put, &two), RC_NOT_FOUND);
	bed_down(&b);
}

static void
a_credential_comes_back_as_it_was_put(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_credential_row *rows, row = { .account = { 1 },
		.name = STR_INIT("app"),
		.verifier = STR_INIT("$argon2id$..."),
		.senders = STR_INIT("@example.com"),
		.networks = STR_INIT("10.0.0.0/8"),
		.has_stream = true,
		.stream = STREAM_BULK,
		.paused = STR_INIT("stolen"),
		.created_us = 5 };
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_credential_put, &row), RC_OK);
	row.paused = (struct str){ 0 };
	assert_int_equal(call(&b, do_credential_put, &row), RC_OK);
	bed_again(&b);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_credential_list(r, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_true(str_eq(rows[0].name, STR("app")));
	assert_true(str_eq(rows[0].verifier, STR("$argon2id$...")));
	assert_true(str_eq(rows[0].networks, STR("10.0.0.0/8")));
	assert_true(rows[0].has_stream);
	assert_int_equal(rows[0].stream, STREAM_BULK);
	assert_int_equal(rows[0].paused.n, 0);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
versions_are_numbered_within_their_relay(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_relay_row relay[2] = { { .name = STR_INIT("one"),
						.state = STR_INIT("active") },
		{ .name = STR_INIT("two"), .state = STR_INIT("active") } };
	struct store_relay_version_row v = { .host = STR_INIT("smtp.example.com"),
		.port = 465,
		.tls = STR_INIT("implicit"),
		.secret = { "\0sealed\377", 8 },
		.rate_count = 200,
		.rate_per_s = 3600 };
	struct store_relay_version_row *rows;
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_relay_put, &relay[0]), RC_OK);
	assert_int_equal(call(&b, do_relay_put, &relay[1]), RC_OK);
	v.relay = relay[0].id;
	assert_int_equal(call(&b, do_relay_version_add, &v), RC_OK);
	assert_int_equal(v.number, 1);
	assert_int_equal(call(&b, do_relay_version_add, &v), RC_OK);
	assert_int_equal(v.number, 2);
	v.relay = relay[1].id;
	assert_int_equal(call(&b, do_relay_version_add, &v), RC_OK);
	assert_int_equal(v.number, 1);
	v.max_connections = 4;
	v.host = STR("ignored");
	assert_int_equal(call(&b, do_relay_version_tune, &v), RC_OK);
	v.caps_seen = v.caps_dsn = true;
	v.caps_size_bytes = 50000000;
	assert_int_equal(call(&b, do_relay_version_caps, &v), RC_OK);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(
	    store_config_relay_version_list(r, relay[0].id, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 2);
	assert_int_equal(
	    store_config_relay_version_list(r, (struct relay_id){ 0 }, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 3);
	assert_true(str_eq(rows[2].host, STR("smtp.example.com")));
	assert_true(str_eq(rows[2].secret, str_make("\0sealed\377", 8)));
	assert_int_equal(rows[2].max_connections, 4);
	assert_int_equal(rows[2].rate_per_s, 3600);
	assert_true(rows[2].caps_dsn);
	assert_false(rows[2].caps_smtputf8);
	assert_int_equal(rows[2].caps_size_bytes, 50000000);
	assert_false(rows[0].caps_seen);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
a_relay_that_a_route_names_cannot_be_removed(void **state)
{
	struct bed b;
	struct store_relay_row relay = { .name = STR_INIT("one"), .state = STR_INIT("active") };
	struct store_route_row route = { .name = STR_INIT("default"), .is_default = true };

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_relay_put, &relay), RC_OK);
	route.relay = relay.id;
	assert_int_equal(call(&b, do_route_put, &route), RC_OK);
	assert_int_equal(call(&b, remove_relay, &relay.id), RC_DENIED);
	assert_int_equal(call(&b, remove_route, &route.id), RC_OK);
	assert_int_equal(call(&b, remove_relay, &relay.id), RC_OK);
	assert_int_equal(call(&b, remove_relay, &relay.id), RC_NOT_FOUND);
	bed_down(&b);
}

static void
a_route_comes_back_as_it_was_put(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_route_row *rows, row = { .name = STR_INIT("news"),
		.relay = { 3 },
		.account = { 2 },
		.sender = STR_INIT("@example.com"),
		.rcpt_domain = STR_INIT("example.net"),
		.by_stream = true,
		.stream = STREAM_BULK };
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_route_put, &row), RC_OK);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_route_list(r, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].relay.v, 3);
	assert_int_equal(rows[0].account.v, 2);
	assert_true(str_eq(rows[0].sender, STR("@example.com")));
	assert_true(str_eq(rows[0].rcpt_domain, STR("example.net")));
	assert_true(rows[0].by_stream);
	assert_int_equal(rows[0].stream, STREAM_BULK);
	assert_false(rows[0].is_default);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
logins_are_counted_by_day(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_login_day_row *rows,
	    row = { .version = { 1 }, .login = STR_INIT("u@163.com"), .day = 100, .count = 5 };
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, do_login_day_put, &row), RC_OK);
	row.count = 6;
	assert_int_equal(call(&b, do_login_day_put, &row), RC_OK);
	row.day = 99;
	assert_int_equal(call(&b, do_login_day_put, &row), RC_OK);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_login_day_list(r, 100, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].count, 6);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
settings_alarms_and_audit_are_kept(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	char zh[] = "zh", none[] = "";
	struct str value = { 0 };
	struct store_alarm_row *alarms,
	    alarm = { .kind = STR_INIT("mail"), .target = STR_INIT("ops@example.com") };
	struct store_audit_row entry = { .at_us = 1,
		.who = STR_INIT("admin"),
		.what = STR_INIT("relay.add"),
		.target = STR_INIT("one") };
	struct store_audit_list q = { .max = 2 };
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, set_language, zh), RC_OK);
	assert_int_equal(call(&b, do_alarm_put, &alarm), RC_OK);
	alarm.id = 0;
	assert_int_equal(call(&b, do_alarm_put, &alarm), RC_EXISTS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(call(&b, do_audit_add, &entry), RC_OK);
	entry.target = STR("two");
	assert_int_equal(call(&b, do_audit_add, &entry), RC_OK);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_setting_get(r, STR("language"), &a, &value, NULL), RC_OK);
	assert_true(str_eq(value, STR("zh")));
	assert_int_equal(store_config_alarm_list(r, &a, &alarms, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(store_config_audit_list(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 2);
	assert_int_equal(q.rows[0].id, 4);
	q.target = STR("one");
	q.before = 3;
	assert_int_equal(store_config_audit_list(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 2);
	assert_int_equal(q.rows[0].id, 2);
	assert_int_equal(call(&b, set_language, none), RC_OK);
	assert_int_equal(
	    store_config_setting_get(r, STR("language"), &a, &value, NULL), RC_NOT_FOUND);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_taken_once),
		cmocka_unit_test(a_credential_comes_back_as_it_was_put),
		cmocka_unit_test(versions_are_numbered_within_their_relay),
		cmocka_unit_test(a_relay_that_a_route_names_cannot_be_removed),
		cmocka_unit_test(a_route_comes_back_as_it_was_put),
		cmocka_unit_test(logins_are_counted_by_day),
		cmocka_unit_test(settings_alarms_and_audit_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
