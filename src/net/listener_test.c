#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/listener.h"
#include "net/private.h"

struct scene {
	struct loop *loop;
	struct listener *listener;
	struct net_addr at;
	struct loop_timer guard;
	unsigned accepted;
	unsigned until; /* stop the loop at so many */
	unsigned stalled;
	struct net_addr peer; /* of the last one */
	int clients[8];
	size_t client_count;
	struct rlimit limit;
	bool frees_itself;
	char dir[64];
	char path[96];
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nobody was accepted");
}

static int
setup(void **state)
{
	static struct scene s;

	s = (struct scene){ .loop = loop_new() };
	loop_timer_init(&s.guard, too_late, NULL);
	snprintf(s.dir, sizeof(s.dir), P_tmpdir "/listener-XXXXXX");
	if (mkdtemp(s.dir) == NULL)
		return -1;
	snprintf(s.path, sizeof(s.path), "%s/sock", s.dir);
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	listener_free(&s->listener);
	for (size_t i = 0; i < s->client_count; i++)
		close(s->clients[i]);
	unlink(s->path);
	rmdir(s->dir);
	loop_free(&s->loop);
	return 0;
}

static void
on_accept(void *arg, int fd, const struct net_addr *peer)
{
	struct scene *s = arg;

	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	s->peer = *peer;
	if (s->frees_itself)
		listener_free(&s->listener);
	if (++s->accepted == s->until)
		loop_stop(s->loop);
}

static void
on_stalled(void *arg, const struct fault *why)
{
	struct scene *s = arg;

	assert_int_equal(why->rc, RC_LIMIT);
	assert_int_equal(why->sys_errno, EMFILE);
	s->stalled++;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &s->limit), 0);
}

static const struct listener_ops ops = { on_accept, on_stalled };

static void
listen_at(struct scene *s, const char *text, const struct listener_opts *opts)
{
	int fd = -1;

	assert_int_equal(net_addr_parse(str_from(text), &s->at, NULL), RC_OK);
	assert_int_equal(listener_open(&s->at, opts, &fd, NULL), RC_OK);
	assert_true(listener_local_addr(fd, &s->at));
	s->listener = listener_new(s->loop, fd, &ops, s);
}

static int
call(struct scene *s)
{
	int fd = net_addr_socket(&s->at);

	assert_true(fd >= 0);
	s->clients[s->client_count++] = fd;
	if (net_addr_connect(fd, &s->at) != 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static void
run_until(struct scene *s, unsigned accepted)
{
	s->until = accepted;
	loop_timer_set(s->loop, &s->guard, loop_now_us(s->loop) + SECONDS(20));
	loop_run(s->loop);
	loop_timer_cancel(s->loop, &s->guard);
}

static void
connections_arrive_with_the_address_of_the_peer(void **state)
{
	struct scene *s = *state;
	struct net_addr mine;

	listen_at(s, "127.0.0.1:0", NULL);
	assert_true(s->at.port != 0);
	call(s);
	int last = call(s);
	run_until(s, 2);
	assert_true(net_addr_of_socket(last, &mine));
	assert_true(net_addr_eq(&mine, &s->peer));
}

static void
ipv6_is_listened_on_alone(void **state)
{
	struct scene *s = *state;

	if (access("/proc/net/if_inet6", R_OK) != 0)
		skip();
	listen_at(s, "[::1]:0", NULL);
	call(s);
	run_until(s, 1);
	assert_int_equal(s->peer.family, NET_IP6);
	/* The same port of the other family can be had. Others on this machine may have it by
	 * chance; not twenty times in a row. */
	enum rc rc = RC_EXISTS;
	for (int i = 0; i < 20 && rc == RC_EXISTS; i++) {
		struct net_addr six, four;
		int fd6 = -1, fd4 = -1;
		assert_int_equal(net_addr_parse(STR("[::1]:0"), &six, NULL), RC_OK);
		assert_int_equal(listener_open(&six, NULL, &fd6, NULL), RC_OK);
		assert_true(listener_local_addr(fd6, &six));
		assert_true(net_addr_from_ip(STR("127.0.0.1"), six.port, &four));
		rc = listener_open(&four, NULL, &fd4, NULL);
		if (rc == RC_OK)
			close(fd4);
		close(fd6);
	}
	assert_int_equal(rc, RC_OK);
}

static void
a_port_in_use_is_refused_unless_both_share_it(void **state)
{
	struct scene *s = *state;
	const struct listener_opts shared = { .is_shared = true };
	struct fault f = { 0 };
	int fd = -1;

	listen_at(s, "127.0.0.1:0", &shared);
	assert_int_equal(listener_open(&s->at, NULL, &fd, &f), RC_EXISTS);
	assert_non_null(strstr(f.text, "another program"));
	assert_int_equal(fd, -1);
	assert_int_equal(listener_open(&s->at, &shared, &fd, NULL), RC_OK);
	close(fd);
}

static void
an_address_of_no_interface_is_explained(void **state)
{
	struct net_addr at;
	struct fault f = { 0 };
	int fd = -1;

	(void)state;
	assert_int_equal(net_addr_parse(STR("192.0.2.1:0"), &at, NULL), RC_OK);
	assert_int_equal(listener_open(&at, NULL, &fd, &f), RC_IO);
	assert_non_null(strstr(f.text, "no such address"));
}

static void
a_dead_unix_socket_is_replaced_and_a_living_one_is_not(void **state)
{
	struct scene *s = *state;
	struct stat st;
	int fd = -1;

	listen_at(s, s->path, NULL);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(listener_open(&s->at, NULL, &fd, NULL), RC_EXISTS);
	listener_free(&s->listener);
	/* The file is still there, and nobody answers. */
	assert_int_equal(stat(s->path, &st), 0);
	const struct listener_opts group = { .unix_mode = 0660 };
	listen_at(s, s->path, &group);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	call(s);
	run_until(s, 1);
	assert_int_equal(s->peer.family, NET_UNIX);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct scene *s = *state;
	FILE *f = fopen(s->path, "w");
	struct net_addr at;
	int fd = -1;

	assert_non_null(f);
	fclose(f);
	assert_int_equal(net_addr_parse(str_from(s->path), &at, NULL), RC_OK);
	assert_int_equal(listener_open(&at, NULL, &fd, NULL), RC_EXISTS);
	assert_int_equal(access(s->path, F_OK), 0);
}

static void
without_descriptors_connections_wait_and_are_accepted_later(void **state)
{
	struct scene *s = *state;
	struct rlimit none;
	int64_t before = clock_monotonic_us();

	listen_at(s, "127.0.0.1:0", NULL);
	call(s);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &s->limit), 0);
	none = s->limit;
	none.rlim_cur = (rlim_t)s->clients[0]; /* which is taken, as is everything below */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_until(s, 1);
	assert_int_equal(s->stalled, 1);
	assert_true(clock_monotonic_us() - before >= MS(100));
}

static void
resume_now(void *arg)
{
	struct scene *s = arg;

	assert_int_equal(s->accepted, 0);
	listener_resume(s->listener);
}

static void
a_paused_listener_leaves_connections_in_the_backlog(void **state)
{
	struct scene *s = *state;
	struct loop_timer later;

	listen_at(s, "127.0.0.1:0", NULL);
	listener_pause(s->listener);
	call(s);
	loop_timer_init(&later, resume_now, s);
	loop_timer_set(s->loop, &later, loop_now_us(s->loop) + MS(5));
	run_until(s, 1);
	assert_false(loop_timer_is_set(&later));
}

static void
a_listener_freed_while_accepting_accepts_no_more(void **state)
{
	struct scene *s = *state;

	listen_at(s, "127.0.0.1:0", NULL);
	call(s);
	call(s);
	s->frees_itself = true;
	run_until(s, 1);
	assert_int_equal(s->accepted, 1);
	assert_null(s->listener);
}

/* The first descriptor a supervisor hands over is 3; the loop's own live there, so this runs in a
 * child. */
static void
sockets_of_a_supervisor_are_taken_over_once(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct listener_inherited in[4];
		struct net_addr at;
		char pid[16];
		int fd = -1;
		bool ok = net_addr_parse(STR("127.0.0.1:0"), &at, NULL) == RC_OK &&
			  listener_open(&at, NULL, &fd, NULL) == RC_OK && dup2(fd, 3) == 3 &&
			  dup2(0, 4) == 4;
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", "smtp:other", 1);
		ok = ok && listener_local_addr(fd, &at) && listener_inherit(in, 4) == 1 &&
		     in[0].fd == 3 && net_addr_eq(&in[0].addr, &at) &&
		     strcmp(in[0].name, "smtp") == 0 && (fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 &&
		     fcntl(4, F_GETFD) == -1 && getenv("LISTEN_FDS") == NULL &&
		     listener_inherit(in, 4) == 0;
		setenv("LISTEN_PID", "1", 1);
		setenv("LISTEN_FDS", "1", 1);
		_exit(ok && listener_inherit(in, 4) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(connections_arrive_with_the_address_of_the_peer),
		IN_SCENE(ipv6_is_listened_on_alone),
		IN_SCENE(a_port_in_use_is_refused_unless_both_share_it),
		IN_SCENE(an_address_of_no_interface_is_explained),
		IN_SCENE(a_dead_unix_socket_is_replaced_and_a_living_one_is_not),
		IN_SCENE(a_file_that_is_no_socket_is_left_alone),
		IN_SCENE(without_descriptors_connections_wait_and_are_accepted_later),
		IN_SCENE(a_paused_listener_leaves_connections_in_the_backlog),
		IN_SCENE(a_listener_freed_while_accepting_accepts_no_more),
		IN_SCENE(sockets_of_a_supervisor_are_taken_over_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
