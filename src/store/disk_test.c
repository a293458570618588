/* A disk that is full, broken or nearly so, and heals. */
#include "store/test_store.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "store/config_system.h"
#include "store/disk.h"

/* What the disk does now; set by the test, read by the writer. */
static _Atomic int content_errno, database_errno, sync_errno;
static _Atomic uint64_t free_bytes;
/* The database fails only while the ballast file is there. */
static _Atomic bool ballast_counts;
static char ballast_path[128];

static ssize_t
test_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	if ((errno = content_errno) != 0)
		return -1;
	return pwritev(fd, iov, n, at);
}

static int
test_sync(int fd)
{
	if ((errno = sync_errno) != 0)
		return -1;
	return fdatasync(fd);
}

static int
fake_free_bytes(const char *dir, uint64_t *out)
{
	(void)dir;
	*out = free_bytes;
	return 0;
}

static ssize_t
test_pwrite(int fd, const void *p, size_t n, off_t at)
{
	int e = database_errno;

	if (e != 0 && ballast_counts && access(ballast_path, F_OK) != 0)
		e = 0;
	if ((errno = e) != 0)
		return -1;
	return pwrite(fd, p, n, at);
}

static int
set_up(void **state)
{
	static struct store_disk disk;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	(void)state;
	disk = store_disk_system;
	disk.pwritev = test_pwritev;
	disk.fdatasync = test_sync;
	disk.free_bytes = fake_free_bytes;
	content_errno = database_errno = sync_errno = 0;
	ballast_counts = false;
	free_bytes = 1ull << 40;
	store_disk_replace(&disk);
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)(void (*)(void))test_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)(void (*)(void))test_pwrite);
	return 0;
}

static int
tear_down(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	(void)state;
	vfs->xSetSystemCall(vfs, NULL, NULL);
	store_disk_replace(NULL);
	return 0;
}

static enum rc
try_accept(struct bed *b, struct fault *fault)
{
	struct store_accept op = { .msg = bed_message("x", 1) };
	enum rc rc = bed_ask(b, &op.op, STORE_ACCEPT);

	if (fault != NULL)
		*fault = op.op.fault;
	return rc;
}

/* Asks again until it is taken; the writer tries a broken disk every now and then. */
static void
accept_until_taken(struct bed *b)
{
	int64_t until = clock_monotonic_us() + TEST_WAIT_US;

	while (try_accept(b, NULL) != RC_OK)
		assert_true(clock_monotonic_us() < until);
}

static void
a_full_disk_refuses_content_for_now(void **state)
{
	struct bed b;
	struct fault fault;
	struct store_health health;

	(void)state;
	bed_up(&b);
	content_errno = ENOSPC;
	assert_int_equal(try_accept(&b, &fault), RC_LIMIT);
	assert_non_null(strstr(fault.text, "full"));
	store_health(b.store, &health);
	assert_false(health.accepts);
	assert_int_equal(health.rc, RC_LIMIT);
	content_errno = 0;
	accept_until_taken(&b);
	store_health(b.store, &health);
	assert_true(health.accepts);
	assert_int_equal(bed_totals(&b).accepted, 1);
	bed_down(&b);
}

static void
a_database_that_cannot_be_written_refuses_for_now(void **state)
{
	struct bed b;
	struct fault fault;

	(void)state;
	bed_up(&b);
	accept_until_taken(&b);
	database_errno = EROFS;
	assert_int_equal(try_accept(&b, &fault), RC_IO);
	assert_true(fault.text[0] != '\0');
	database_errno = 0;
	accept_until_taken(&b);
	assert_int_equal(bed_totals(&b).accepted, 2);
	bed_down(&b);
}

static void
health_comes_back_without_any_mail(void **state)
{
	struct bed b;
	struct store_health health;
	int64_t until = clock_monotonic_us() + TEST_WAIT_US;

	(void)state;
	bed_up(&b);
	database_errno = EIO;
	assert_int_equal(try_accept(&b, NULL), RC_IO);
	database_errno = 0;
	do {
		store_health(b.store, &health);
		assert_true(clock_monotonic_us() < until);
	} while (!health.accepts);
	bed_down(&b);
}

static void
an_outcome_waits_for_the_disk_and_is_never_refused(void **state)
{
	struct bed b;
	struct store_health health;
	struct store_finish finish = { .version = { 1 }, .n = 1 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_message *n = bed_fresh(&b, 1);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	struct store_outcome op = { .results = &r, .n = 1 };
	struct store_refill refill = { .group = { 1 }, .before_us = TIME_NEVER, .max = 1 };
	database_errno = ENOSPC;
	bed_post(&b, &op.op, STORE_OUTCOME);
	bed_post(&b, &refill.op, STORE_REFILL);
	assert_int_not_equal(try_accept(&b, NULL), RC_OK); /* overtakes: it may be refused */
	finish.rcpts = &n->rcpts[0].id;
	assert_int_not_equal(bed_ask(&b, &finish.op, STORE_FINISH), RC_OK);
	store_health(b.store, &health);
	assert_true(health.waiting >= 1);
	assert_false(health.accepts);
	database_errno = 0;
	assert_ptr_equal(bed_reply(&b), &op.op);
	assert_int_equal(op.op.rc, RC_OK);
	assert_ptr_equal(bed_reply(&b), &refill.op);
	store_refill_done(&refill);
	assert_int_equal(bed_totals(&b).sent, 1);
	store_message_free(&m);
	store_message_free(&n);
	bed_down(&b);
}

static void
ballast_is_given_up_for_an_outcome(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	snprintf(ballast_path, sizeof(ballast_path), "%s/ballast", b.dir);
	struct store_message *m = bed_fresh(&b, 1);
	assert_int_equal(access(ballast_path, F_OK), 0);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	ballast_counts = true;
	free_bytes = 0;
	database_errno = ENOSPC;
	bed_outcome(&b, &r, 1);
	assert_int_equal(bed_totals(&b).sent, 1);
	assert_int_not_equal(access(ballast_path, F_OK), 0);
	database_errno = 0;
	store_message_free(&m);
	bed_down(&b);
}

static void
below_the_low_water_mark_only_new_mail_is_refused(void **state)
{
	struct bed b;
	struct fault fault;
	int64_t until = clock_monotonic_us() + TEST_WAIT_US;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	free_bytes = 1000;
	while (try_accept(&b, &fault) == RC_OK)
		assert_true(clock_monotonic_us() < until);
	assert_int_equal(fault.rc, RC_LIMIT);
	assert_non_null(strstr(fault.text, "nearly full"));
	bed_finish(&b, m);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	r.attempt = 1;
	bed_outcome(&b, &r, 1);
	free_bytes = 1ull << 40;
	accept_until_taken(&b);
	store_message_free(&m);
	bed_down(&b);
}

static enum rc
break_disk(struct store_tx *tx, void *arg, struct fault *fault)
{
	(void)arg;
	database_errno = EIO;
	return store_config_setting_put(tx, STR("k"), STR("v"), fault);
}

static void
a_group_that_fails_is_answered_one_by_one(void **state)
{
	enum { N = 5 };
	struct bed b;
	struct store_accept op[N] = { 0 };
	struct store_call call = { .run = break_disk };

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (int i = 0; i < N; i++) {
		op[i].msg = bed_message("x", 1);
		bed_post(&b, &op[i].op, STORE_ACCEPT);
	}
	bed_post(&b, &call.op, STORE_CALL);
	bed_start(&b);
	for (int i = 0; i < N + 1; i++)
		bed_reply(&b);
	for (int i = 0; i < N; i++)
		assert_int_equal(op[i].op.rc, RC_IO);
	assert_int_equal(call.op.rc, RC_IO);
	assert_int_equal(store_metrics(b.store)->replayed, 1);
	database_errno = 0;
	accept_until_taken(&b);
	assert_int_equal(bed_totals(&b).accepted, 1);
	bed_down(&b);
}

static void
closing_gives_outcomes_back_that_no_disk_takes(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	bed_finish(&b, m);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	struct store_outcome op = { .results = &r, .n = 1 };
	r.attempt = 1;
	database_errno = EIO;
	bed_post(&b, &op.op, STORE_OUTCOME);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	store_close(&b.store);
	assert_ptr_equal(bed_reply(&b), &op.op);
	assert_int_equal(op.op.rc, RC_CANCELLED);
	database_errno = 0;
	bed_open(&b);
	assert_int_equal(store_recovery(b.store)->n_in_doubt, 1);
	store_message_free(&m);
	bed_down(&b);
}

static void
a_failed_sync_of_content_ends_the_process(void **state)
{
	struct bed b;
	int status;

	(void)state;
	bed_init(&b);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
		bed_open(&b);
		bed_start(&b);
		sync_errno = EIO;
		_exit(try_accept(&b, NULL) == RC_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	bed_open(&b);
	assert_int_equal(bed_totals(&b).accepted, 0);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_full_disk_refuses_content_for_now, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_database_that_cannot_be_written_refuses_for_now, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    health_comes_back_without_any_mail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    an_outcome_waits_for_the_disk_and_is_never_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    ballast_is_given_up_for_an_outcome, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    below_the_low_water_mark_only_new_mail_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_group_that_fails_is_answered_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    closing_gives_outcomes_back_that_no_disk_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_failed_sync_of_content_ends_the_process, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
