#include "net/pair_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "net/listener.h"
#include "net/private.h"

#define IN_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

static bool
b_got_ten(struct pair *p)
{
	return p->b.got_bytes >= 10;
}

static void
what_is_written_in_one_turn_arrives_in_one_piece(void **state)
{
	struct pair *p = *state;
	int fds[2];
	char got[64];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	side_new(p, &p->a, fds[0], NULL);
	conn_write(p->a.conn, STR("250-one\r\n"));
	conn_write(p->a.conn, STR("250 two\r\n"));
	assert_int_equal(conn_unsent_bytes(p->a.conn), 18);
	p->b.ready = 1;
	pair_run(p, pair_is_ready);
	/* A packet socket keeps the boundaries of writes. */
	assert_int_equal(recv(fds[1], got, sizeof(got), MSG_DONTWAIT), 18);
	assert_memory_equal(got, "250-one\r\n250 two\r\n", 18);
	assert_int_equal(conn_unsent_bytes(p->a.conn), 0);
	close(fds[1]);
}

static void
flush_hands_bytes_over_before_the_turn_ends(void **state)
{
	struct pair *p = *state;
	int fds[2];
	char got[64];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side_new(p, &p->a, fds[0], NULL);
	conn_write(p->a.conn, STR("QUIT\r\n"));
	conn_flush(p->a.conn);
	assert_int_equal(conn_unsent_bytes(p->a.conn), 0);
	assert_int_equal(recv(fds[1], got, sizeof(got), MSG_DONTWAIT), 6);
	close(fds[1]);
}

static void
nothing_is_called_before_the_loop_runs(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	conn_write(p->a.conn, STR("hello world"));
	conn_flush(p->a.conn);
	assert_int_equal(p->a.ready + p->b.ready, 0);
	pair_run(p, b_got_ten);
	assert_int_equal(p->a.ready, 1);
	assert_string_equal(p->b.got, "hello world");
}

static void
take_one_line(struct side *s)
{
	struct buf *in = conn_input(s->conn);
	struct str bytes = buf_str(in);
	size_t end = str_find(bytes, '\n');

	if (end == bytes.n)
		return;
	memcpy(s->got + s->got_bytes, bytes.p, end + 1);
	s->got_bytes += end + 1;
	buf_drop(in, end + 1);
	conn_pause(s->conn, 4);
}

static bool
b_is_paused(struct pair *p)
{
	return conn_paused(p->b.conn) != 0;
}

static void
pausing_keeps_bytes_and_resuming_brings_them_again(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	p->b.on_data = take_one_line;
	conn_write(p->a.conn, STR("one\ntwo\nthree\n"));
	pair_run(p, b_is_paused);
	assert_string_equal(p->b.got, "one\n");
	conn_pause(p->b.conn, 1);
	conn_resume(p->b.conn, 4);
	assert_int_equal(conn_paused(p->b.conn), 1);
	conn_resume(p->b.conn, 1);
	pair_run(p, b_is_paused);
	assert_string_equal(p->b.got, "one\ntwo\n");
	conn_resume(p->b.conn, 4);
	pair_run(p, b_is_paused);
	assert_string_equal(p->b.got, "one\ntwo\nthree\n");
}

static void
take_nothing(struct side *s)
{
	(void)s;
}

static bool
b_is_full(struct pair *p)
{
	return conn_input_is_full(p->b.conn);
}

static bool
a_is_clogged_and_b_full(struct pair *p)
{
	return conn_is_clogged(p->a.conn) && conn_input_is_full(p->b.conn);
}

static bool
b_got_a_megabyte(struct pair *p)
{
	return p->b.got_bytes == 1u << 20;
}

static void
reading_stops_at_the_ceiling_of_the_input(void **state)
{
	struct pair *p = *state;
	const struct conn_opts small = { .input_limit_bytes = 512 };
	char *big = calloc(1, 2048);

	pair_connect(p, NULL, &small);
	p->b.on_data = take_nothing;
	conn_write(p->a.conn, str_make(big, 2048));
	pair_run(p, b_is_full);
	assert_int_equal(buf_len(conn_input(p->b.conn)), 512);
	free(big);
}

static void
a_slow_reader_clogs_the_writer_who_hears_when_it_drains(void **state)
{
	struct pair *p = *state;
	char *big = calloc(1, 1u << 20);

	pair_connect(p, NULL, NULL);
	p->b.on_data = take_nothing;
	conn_write(p->a.conn, str_make(big, 1u << 20));
	assert_true(conn_is_clogged(p->a.conn));
	pair_run(p, a_is_clogged_and_b_full);
	assert_int_equal(p->a.drained, 0);
	size_t unsent = conn_unsent_bytes(p->a.conn);
	assert_true(unsent > 0 && unsent < 1u << 20);
	p->b.on_data = NULL;
	conn_pause(p->b.conn, 1);
	conn_resume(p->b.conn, 1);
	pair_run(p, b_got_a_megabyte);
	assert_int_equal(p->a.drained, 1);
	assert_int_equal(conn_unsent_bytes(p->a.conn), 0);
	free(big);
}

static void
writing_more_than_the_output_may_hold_ends_it(void **state)
{
	struct pair *p = *state;
	const struct conn_opts small = { .output_limit_bytes = 1000 };
	char *big = calloc(1, 1001);

	pair_connect(p, &small, NULL);
	conn_write(p->a.conn, str_make(big, 1001));
	assert_int_equal(p->a.closed, 0);
	pair_run(p, pair_is_closed);
	assert_int_equal(p->a.why.rc, RC_LIMIT);
	assert_int_equal(p->a.closed, 1);
	free(big);
}

static void
close_delivers_the_last_bytes_even_over_unread_input(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	pair_run(p, pair_is_ready);
	conn_write(p->b.conn, STR("MAIL FROM:<> and more that nobody reads"));
	conn_flush(p->b.conn);
	conn_write(p->a.conn, STR("421 going down\r\n"));
	conn_close(p->a.conn);
	conn_write(p->a.conn, STR("too late"));
	pair_run(p, pair_is_closed);
	assert_string_equal(p->b.got, "421 going down\r\n");
	assert_int_equal(p->b.why.rc, RC_CLOSED);
	assert_int_equal(p->a.why.rc, RC_DONE);
	assert_int_equal(p->a.got_bytes, 0);
	assert_true(conn_is_closed(p->a.conn));
}

static void
answer_and_stay(struct side *s)
{
	side_take(s);
	if (strstr(s->got, "QUIT\r\n") != NULL)
		conn_write(s->conn, STR("221 bye\r\n"));
}

static void
a_peer_that_has_finished_sending_still_gets_its_answer(void **state)
{
	struct pair *p = *state;
	int fds[2];
	char got[64] = "";

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[1], "QUIT\r\n", 6), 6);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	side_new(p, &p->a, fds[0], NULL);
	p->a.on_data = answer_and_stay;
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_CLOSED);
	assert_int_equal(recv(fds[1], got, sizeof(got) - 1, 0), 9);
	assert_string_equal(got, "221 bye\r\n");
	close(fds[1]);
}

static void
the_reason_a_peer_gives_before_hanging_up_is_read_although_writing_fails(void **state)
{
	struct pair *p = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side_new(p, &p->a, fds[0], NULL);
	p->b.ready = 1;
	pair_run(p, pair_is_ready);
	assert_int_equal(write(fds[1], "552 too big\r\n", 13), 13);
	close(fds[1]);
	conn_write(p->a.conn, STR("more of the message"));
	conn_flush(p->a.conn);
	pair_run(p, pair_a_is_closed);
	assert_string_equal(p->a.got, "552 too big\r\n");
	assert_int_equal(p->a.why.rc, RC_CLOSED);
	assert_int_equal(p->a.why.sys_errno, EPIPE);
	assert_int_equal(conn_unsent_bytes(p->a.conn), 19);
}

/* Two ends of a TCP connection over loopback; the second one blocks. */
static void
tcp_pair(int fds[2])
{
	struct net_addr at, peer;
	int listening;

	assert_int_equal(net_addr_parse(STR("127.0.0.1:0"), &at, NULL), RC_OK);
	assert_int_equal(listener_open(&at, NULL, &listening, NULL), RC_OK);
	assert_true(listener_local_addr(listening, &at));
	fds[1] = net_addr_socket(&at);
	assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
	assert_int_equal(net_addr_connect(fds[1], &at), 0);
	fds[0] = net_addr_accept(listening, &peer);
	assert_true(fds[0] >= 0);
	close(listening);
}

static void
a_reset_is_told_as_such(void **state)
{
	struct pair *p = *state;
	const struct linger now = { 1, 0 };
	int fds[2];

	tcp_pair(fds);
	side_new(p, &p->a, fds[0], NULL);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fds[1]);
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_CLOSED);
	assert_int_equal(p->a.why.sys_errno, ECONNRESET);
}

static void
abort_resets_and_tells_how_much_never_left(void **state)
{
	struct pair *p = *state;
	size_t n = 8u << 20;
	const struct conn_opts large = { .output_limit_bytes = 16u << 20 };
	char *big = calloc(1, n);
	int fds[2];

	tcp_pair(fds);
	side_new(p, &p->a, fds[0], &large);
	conn_write(p->a.conn, str_make(big, n));
	conn_flush(p->a.conn);
	size_t unsent = conn_unsent_bytes(p->a.conn);
	assert_true(unsent > 0 && unsent < n);
	conn_abort(p->a.conn);
	assert_int_equal(p->a.closed, 0);
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_CANCELLED);
	assert_int_equal(conn_unsent_bytes(p->a.conn), unsent);
	/* The peer sees a reset, never an end, and less than everything. */
	size_t got = 0;
	ssize_t r;
	while ((r = recv(fds[1], big, n, 0)) > 0)
		got += (size_t)r;
	assert_int_equal(r, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_true(got <= n - unsent);
	close(fds[1]);
	free(big);
}

static void
a_deadline_ends_it_and_a_moved_one_does_not(void **state)
{
	struct pair *p = *state;
	int64_t before = clock_monotonic_us();

	pair_connect(p, NULL, NULL);
	conn_set_deadline(p->a.conn, loop_now_us(p->loop) + MS(1));
	conn_set_deadline(p->a.conn, loop_now_us(p->loop) + MS(30));
	conn_set_deadline(p->b.conn, loop_now_us(p->loop) + MS(10));
	conn_set_deadline(p->b.conn, TIME_NEVER);
	pair_run(p, pair_is_closed);
	assert_true(clock_monotonic_us() - before >= MS(30));
	assert_int_equal(p->a.why.rc, RC_TIMEOUT);
	assert_int_equal(p->b.why.rc, RC_CLOSED);
	assert_int_equal(p->a.closed, 1);
}

static void
free_yourself(struct side *s)
{
	side_take(s);
	conn_write(s->conn, STR("never sent"));
	conn_free(&s->conn);
}

static void
a_connection_freed_inside_its_callback_is_never_heard_of_again(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	p->b.on_data = free_yourself;
	conn_write(p->a.conn, STR("die"));
	pair_run(p, pair_a_is_closed);
	assert_string_equal(p->b.got, "die");
	assert_int_equal(p->b.closed, 0);
	assert_int_equal(p->a.got_bytes, 0);
}

static void
abort_yourself(struct side *s)
{
	struct str view = buf_str(conn_input(s->conn));

	conn_abort(s->conn);
	/* What the owner looks at stays where it is. */
	assert_memory_equal(view.p, "die", 3);
}

static void
aborting_inside_on_data_leaves_the_bytes_under_the_owner(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	p->b.on_data = abort_yourself;
	conn_write(p->a.conn, STR("die"));
	pair_run(p, pair_is_closed);
	assert_int_equal(p->b.why.rc, RC_CANCELLED);
	assert_int_equal(p->b.closed, 1);
}

static void
a_peer_that_stays_is_left_after_two_seconds(void **state)
{
	struct pair *p = *state;
	int fds[2];
	int64_t before = clock_monotonic_us();

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side_new(p, &p->a, fds[0], NULL);
	conn_write(p->a.conn, STR("221 bye\r\n"));
	conn_close(p->a.conn);
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_DONE);
	int64_t took = clock_monotonic_us() - before;
	assert_true(took >= SECONDS(2) && took < SECONDS(10));
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PAIR(what_is_written_in_one_turn_arrives_in_one_piece),
		IN_PAIR(flush_hands_bytes_over_before_the_turn_ends),
		IN_PAIR(nothing_is_called_before_the_loop_runs),
		IN_PAIR(pausing_keeps_bytes_and_resuming_brings_them_again),
		IN_PAIR(reading_stops_at_the_ceiling_of_the_input),
		IN_PAIR(a_slow_reader_clogs_the_writer_who_hears_when_it_drains),
		IN_PAIR(writing_more_than_the_output_may_hold_ends_it),
		IN_PAIR(close_delivers_the_last_bytes_even_over_unread_input),
		IN_PAIR(a_peer_that_has_finished_sending_still_gets_its_answer),
		IN_PAIR(the_reason_a_peer_gives_before_hanging_up_is_read_although_writing_fails),
		IN_PAIR(a_reset_is_told_as_such),
		IN_PAIR(abort_resets_and_tells_how_much_never_left),
		IN_PAIR(a_deadline_ends_it_and_a_moved_one_does_not),
		IN_PAIR(a_connection_freed_inside_its_callback_is_never_heard_of_again),
		IN_PAIR(aborting_inside_on_data_leaves_the_bytes_under_the_owner),
		IN_PAIR(a_peer_that_stays_is_left_after_two_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
