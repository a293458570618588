#include "store/test_store.h"

#include "store/db.h"
#include "store/migrate.h"

static const struct store_migration steps[] = {
	{ 1, "0001_a", "CREATE TABLE a (x); INSERT INTO a VALUES (7);" },
	{ 2, "0002_b", "CREATE TABLE b (y);" },
	{ 3, "0003_bad", "CREATE TABLE c (z); CREATE TABLE a (x);" },
};

struct place {
	char dir[64];
	char path[128];
	struct store_db db;
};

static void
open_place(struct place *p)
{
	*p = (struct place){ .dir = "/tmp/store-test-XXXXXX" };
	log_set_level(LOG_ERROR);
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/x.db", p->dir);
	assert_int_equal(store_db_open(&p->db, p->path, STORE_DB_WRITER, NULL), RC_OK);
}

static void
close_place(struct place *p)
{
	store_db_close(&p->db);
	bed_remove(p->dir);
}

static int64_t
value(struct place *p, const char *sql)
{
	int64_t v = -1;

	assert_int_equal(store_db_value(&p->db, store_db_stmt(&p->db, sql), -1, &v, NULL), RC_OK);
	return v;
}

static void
steps_run_once_and_in_order(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 1, NULL), RC_OK);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 2, NULL), RC_OK);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 2, NULL), RC_OK);
	assert_int_equal(value(&p, "PRAGMA user_version"), 2);
	assert_int_equal(value(&p, "SELECT count(*) FROM a"), 1);
	assert_int_equal(value(&p, "SELECT count(*) FROM b"), 0);
	close_place(&p);
}

static void
data_is_copied_before_it_is_changed(void **state)
{
	struct place p;
	struct store_db copy;
	char path[160];
	int64_t v = 0;

	(void)state;
	open_place(&p);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 1, NULL), RC_OK);
	snprintf(path, sizeof(path), "%s.before-2.bak", p.path);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 2, NULL), RC_OK);
	assert_int_equal(store_db_open(&copy, path, STORE_DB_READER, NULL), RC_OK);
	assert_int_equal(
	    store_db_value(&copy, store_db_stmt(&copy, "SELECT x FROM a"), 0, &v, NULL), RC_OK);
	assert_int_equal(v, 7);
	store_db_close(&copy);
	close_place(&p);
}

static void
a_step_that_fails_leaves_nothing_behind(void **state)
{
	struct place p;
	struct fault fault = { 0 };

	(void)state;
	open_place(&p);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 3, &fault), RC_DB);
	assert_int_equal(value(&p, "PRAGMA user_version"), 2);
	assert_int_equal(value(&p, "SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
	close_place(&p);
}

static void
a_newer_database_is_refused_with_a_remedy(void **state)
{
	struct place p;
	struct fault fault = { 0 };

	(void)state;
	open_place(&p);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 2, NULL), RC_OK);
	assert_int_equal(store_migrate(&p.db, p.path, steps, 1, &fault), RC_INVALID);
	assert_non_null(strstr(fault.text, "newer program"));
	assert_int_equal(value(&p, "PRAGMA user_version"), 2);
	close_place(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_run_once_and_in_order),
		cmocka_unit_test(data_is_copied_before_it_is_changed),
		cmocka_unit_test(a_step_that_fails_leaves_nothing_behind),
		cmocka_unit_test(a_newer_database_is_refused_with_a_remedy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
