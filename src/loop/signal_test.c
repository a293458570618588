#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/signal.h"
#include "loop/thread.h"

struct scene {
	struct loop *loop;
	int seen[3];
	size_t count;
};

static void
on_signal(void *arg, int signo)
{
	struct scene *s = arg;

	assert_true(s->count < 3);
	s->seen[s->count++] = signo;
	if (signo == SIGTERM)
		loop_stop(s->loop);
}

static void
kill_ourselves(void *arg)
{
	int *signo = arg;

	assert_int_equal(kill(getpid(), *signo), 0);
}

static void
a_signal_sent_to_the_process_arrives_on_the_loop(void **state)
{
	struct scene s = { .loop = loop_new() };
	struct loop_signal *signals = loop_signal_new(s.loop, on_signal, &s);
	int hup = SIGHUP, term = SIGTERM;

	(void)state;
	kill_ourselves(&hup);
	/* Lower numbers are delivered first: HUP is 1, TERM 15. */
	struct loop_thread *t = loop_thread_start("killer", kill_ourselves, &term);
	loop_run(s.loop);
	loop_thread_join(&t);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.seen[0], SIGHUP);
	assert_int_equal(s.seen[1], SIGTERM);
	loop_signal_free(&signals);
	assert_null(signals);
	loop_free(&s.loop);
}

static void
writing_to_a_closed_pipe_is_an_error_not_a_death(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_sent_to_the_process_arrives_on_the_loop),
		cmocka_unit_test(writing_to_a_closed_pipe_is_an_error_not_a_death),
	};

	loop_signal_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
