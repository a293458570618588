/* The process ends without a word at every write; what was answered before must be there
 * afterwards. */
#include "store/test_store.h"

#include <sqlite3.h>
#include <sys/uio.h>

#include "store/disk.h"

/* ---- ending at the nth write, in a child process */

static int writes_left;

static ssize_t
dying_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	if (--writes_left == 0) {
		/* Half of it arrives. */
		ssize_t w = pwrite(fd, iov[0].iov_base, iov[0].iov_len / 2, at);
		_exit(w >= 0 ? 0 : 1);
	}
	return pwritev(fd, iov, n, at);
}

static int
dying_sync(int fd)
{
	if (--writes_left == 0)
		_exit(0);
	return fdatasync(fd);
}

static ssize_t
dying_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (--writes_left == 0) {
		ssize_t w = pwrite(fd, p, n / 2, at);
		_exit(w >= 0 ? 0 : 1);
	}
	return pwrite(fd, p, n, at);
}

static void
die_at_write(int n)
{
	static struct store_disk disk;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	disk = store_disk_system;
	disk.pwritev = dying_pwritev;
	disk.fdatasync = dying_sync;
	store_disk_replace(&disk);
	assert_int_equal(
	    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)(void (*)(void))dying_pwrite),
	    SQLITE_OK);
	assert_int_equal(
	    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)(void (*)(void))dying_pwrite),
	    SQLITE_OK);
	writes_left = n;
}

/* What a child was told before it died: letters in a pipe. */
static char told[16];
static int pipe_fd;

static void
tell(char c)
{
	if (write(pipe_fd, &c, 1) != 1)
		abort();
}

/* Runs `act` in a child that ends without closing anything; `told` is what it told. */
static void
in_child(struct bed *b, void (*act)(struct bed *, int), int arg)
{
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		close(fds[0]);
		pipe_fd = fds[1];
		act(b, arg);
		_exit(0);
	}
	close(fds[1]);
	memset(told, 0, sizeof(told));
	size_t n = 0;
	ssize_t r;
	while (n < sizeof(told) - 1 && (r = read(fds[0], told + n, sizeof(told) - 1 - n)) > 0)
		n += (size_t)r;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the acts */

static void
act_whole_life(struct bed *b, int writes)
{
	struct store_attempt facts = { .at_us = clock_wall_us(), .code = 250 };

	bed_open(b);
	bed_start(b);
	bed_grant(b);
	die_at_write(writes);
	struct store_message *m = bed_fresh(b, 2);
	tell('a');
	uint64_t first = bed_finish(b, m);
	tell('f');
	struct store_result r[2] = { bed_result(m, 0, STORE_QUEUED, STORE_SENT),
		bed_result(m, 1, STORE_QUEUED, STORE_SENT) };
	for (uint32_t i = 0; i < 2; i++) {
		r[i].attempt = first + i;
		r[i].facts = &facts;
	}
	bed_outcome(b, r, 2);
	tell('o');
}

static void
check_after(struct bed *b, const char *acked)
{
	bool accepted = strchr(acked, 'a') != NULL, finished = strchr(acked, 'f') != NULL,
	     sent = strchr(acked, 'o') != NULL;

	bed_open(b);
	size_t in_doubt = store_recovery(b->store)->n_in_doubt;
	uint64_t crashed = store_recovery(b->store)->crashed_attempts;
	struct store_totals t = bed_totals(b);
	if (accepted)
		assert_int_equal(t.accepted, 2);
	assert_true(t.accepted == 0 || t.accepted == 2);
	if (sent)
		assert_int_equal(t.sent, 2);
	if (t.sent == 2)
		assert_int_equal(in_doubt, 0);
	else if (finished)
		assert_int_equal(in_doubt, 2);
	assert_int_equal(in_doubt, t.in_doubt);
	assert_int_equal(crashed, t.in_doubt);
	assert_int_equal(t.queued + t.in_doubt + t.sent, t.accepted);
	bed_audit(b);
}

/* A queued recipient is found by a refill, whatever it was before. */
static void
check_refill(struct bed *b)
{
	struct store_refill refill = { .group = { 1 }, .before_us = TIME_NEVER, .max = 10 };
	struct store_totals t = bed_totals(b);

	bed_start(b);
	assert_int_equal(bed_ask(b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, t.queued + t.in_doubt);
	store_refill_done(&refill);
}

static void
a_death_at_any_write_loses_nothing_that_was_answered(void **state)
{
	bool whole = false;
	int deaths = 0;

	(void)state;
	for (int n = 1; n < 200 && !whole; n++) {
		struct bed b;
		bed_init(&b);
		in_child(&b, act_whole_life, n);
		whole = strchr(told, 'o') != NULL;
		deaths += !whole;
		check_after(&b, told);
		check_refill(&b);
		bed_down(&b);
	}
	assert_true(whole);
	assert_true(deaths > 10);
}

static void
act_finish_only(struct bed *b, int arg)
{
	(void)arg;
	bed_open(b);
	bed_start(b);
	bed_grant(b);
	struct store_message *m = bed_fresh(b, 3);
	bed_finish(b, m);
	struct store_result r = bed_result(m, 1, STORE_QUEUED, STORE_SENT);
	struct store_attempt facts = { .at_us = 1, .code = 250 };
	r.attempt = 2;
	r.facts = &facts;
	bed_outcome(b, &r, 1);
}

static void
act_nothing(struct bed *b, int arg)
{
	(void)arg;
	bed_open(b);
	bed_start(b);
	bed_grant(b);
}

static void
doubts_are_listed_until_their_policy_is_applied(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	in_child(&b, act_finish_only, 0);
	in_child(&b, act_nothing, 0); /* a second crash before anybody looked */
	bed_open(&b);
	const struct store_recovery *found = store_recovery(b.store);
	assert_int_equal(found->n_in_doubt, 2);
	assert_int_equal(found->crashed_attempts, 0);
	assert_int_equal(found->in_doubt[0].due_us, 0);
	assert_int_equal(found->in_doubt[0].doubts, 1);
	assert_int_equal(found->in_doubt[0].attempts, 1);
	assert_int_equal(found->in_doubt[0].state, STORE_IN_DOUBT);
	assert_true(str_eq(found->in_doubt[0].address, STR("r0@example.net")));
	struct store_row row = found->in_doubt[0];
	struct store_result r = { .rcpt = row.rcpt,
		.msg = row.msg,
		.account = row.account,
		.n_rcpts = row.n_rcpts,
		.segment = row.segment,
		.from = STORE_IN_DOUBT,
		.to = STORE_IN_DOUBT,
		.due_us = TIME_NEVER,
		.doubts = 1,
		.attempts = 1 };
	bed_start(&b);
	bed_outcome(&b, &r, 1);
	bed_again(&b);
	assert_int_equal(store_recovery(b.store)->n_in_doubt, 1);
	assert_int_equal(bed_totals(&b).in_doubt, 2);
	assert_int_equal(bed_totals(&b).sent, 1);
	bed_down(&b);
}

static void
act_hold_in_hand(struct bed *b, int arg)
{
	(void)arg;
	bed_open(b);
	bed_start(b);
	bed_grant(b);
	for (int i = 0; i < 50; i++) {
		struct store_message *m = bed_fresh(b, 1);
		if (i % 2 == 0) {
			struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
			bed_outcome(b, &r, 1);
		}
	}
}

static void
what_was_in_the_dispatchers_hands_is_due_after_a_crash(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	in_child(&b, act_hold_in_hand, 0);
	bed_open(&b);
	const struct store_recovery *found = store_recovery(b.store);
	assert_int_equal(found->n_groups, 1);
	assert_int_equal(found->n_backlogs, 1);
	assert_int_equal(found->backlogs[0].rows, 25);
	assert_int_equal(found->backlogs[0].lane, STREAM_TRANSACTIONAL);
	assert_int_equal(found->n_in_doubt, 0);
	bed_start(&b);
	struct store_refill refill = { .group = { 1 }, .before_us = clock_wall_us(), .max = 100 };
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 25);
	store_refill_done(&refill);
	bed_down(&b);
}

static void
a_second_process_is_refused(void **state)
{
	struct bed b;
	struct store *second = NULL;
	struct fault fault = { 0 };

	(void)state;
	bed_up(&b);
	/* flock belongs to the open file, so the same process can play the second one. */
	assert_int_equal(store_open(&b.opts, &second, &fault), RC_EXISTS);
	assert_non_null(strstr(fault.text, "in use"));
	assert_null(second);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_at_any_write_loses_nothing_that_was_answered),
		cmocka_unit_test(doubts_are_listed_until_their_policy_is_applied),
		cmocka_unit_test(what_was_in_the_dispatchers_hands_is_due_after_a_crash),
		cmocka_unit_test(a_second_process_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
