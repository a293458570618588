/* Requests to a server that the test plays itself, on a Unix socket. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/fetch.h"

static char dir[] = "fetch-test-XXXXXX";
static struct sockaddr_un where = { .sun_family = AF_UNIX };

static int
listen_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)unlink(where.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&where, sizeof(where)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* A child that takes one request, exits with 0 if it holds all of `want` and was answered. */
static pid_t
serve(int fd, const char *const *want, const char *answer)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	char got[8192] = "";
	size_t n = 0;
	int c = accept(fd, NULL, NULL);
	bool all = false;
	while (c >= 0 && !all && n < sizeof(got) - 1) {
		ssize_t k = read(c, got + n, sizeof(got) - 1 - n);
		if (k <= 0)
			break;
		n += (size_t)k;
		got[n] = '\0';
		all = true;
		for (size_t i = 0; want[i] != NULL; i++)
			all = all && strstr(got, want[i]) != NULL;
	}
	if (all)
		all = write(c, answer, strlen(answer)) == (ssize_t)strlen(answer);
	_exit(all ? 0 : 1);
}

static void
assert_served(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
sends_method_body_and_headers_and_brings_the_answer(void **state)
{
	static const char *const want[] = { "POST /emails?to=a%40b HTTP/1.1\r\n", "X-One: 1\r\n",
		"Content-Type: application/json\r\n", "Authorization: Bearer ph_x\r\n",
		"Content-Length: 2\r\n", "\r\n\r\n{}", NULL };
	int fd = listen_there();
	pid_t pid = serve(fd, want, "HTTP/1.1 422 No\r\nContent-Length: 5\r\n\r\nhello");
	struct net_fetch_header header = { "X-One", STR("1") };
	struct net_fetch_request r = { .method = "POST",
		.url = "http://posthouse/emails?to=a%40b",
		.unix_socket = where.sun_path,
		.bearer = "ph_x",
		.type = STR("application/json"),
		.body = STR("{}"),
		.headers = &header,
		.n_headers = 1 };
	struct buf answer;
	struct fault f = { 0 };
	unsigned status = 0;

	(void)state;
	buf_init(&answer, 1000);
	assert_int_equal(net_fetch(&r, &status, &answer, &f), RC_OK);
	assert_int_equal(status, 422);
	assert_true(str_eq(buf_str(&answer), STR("hello")));
	assert_served(pid);
	buf_done(&answer);
	close(fd);
}

static void
refuses_an_answer_beyond_the_ceiling(void **state)
{
	static const char *const want[] = { "GET / HTTP/1.1\r\n", "\r\n\r\n", NULL };
	int fd = listen_there();
	pid_t pid = serve(fd, want, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	struct net_fetch_request r = {
		.url = "http://posthouse/", .unix_socket = where.sun_path, .answer_max = 4
	};
	struct buf answer;
	struct fault f = { 0 };
	unsigned status = 0;

	(void)state;
	buf_init(&answer, 1000);
	assert_int_equal(net_fetch(&r, &status, &answer, &f), RC_LIMIT);
	assert_int_equal(status, 0);
	assert_served(pid);
	buf_done(&answer);
	close(fd);
}

static void
tells_no_socket_from_nobody_listening(void **state)
{
	struct net_fetch_request r = { .url = "http://posthouse/", .unix_socket = where.sun_path };
	struct buf answer;
	struct fault f = { 0 }, g = { 0 };
	unsigned status = 0;

	(void)state;
	buf_init(&answer, 1000);
	(void)unlink(where.sun_path);
	assert_int_equal(net_fetch(&r, &status, &answer, &f), RC_NOT_FOUND);
	close(listen_there());
	assert_int_equal(net_fetch(&r, &status, &answer, &g), RC_CLOSED);
	buf_done(&answer);
}

static void
gives_up_when_no_answer_comes(void **state)
{
	int fd = listen_there();
	struct net_fetch_request r = {
		.url = "http://posthouse/", .unix_socket = where.sun_path, .timeout_us = MS(50)
	};
	struct buf answer;
	struct fault f = { 0 };
	unsigned status = 0;

	(void)state;
	buf_init(&answer, 1000);
	assert_int_equal(net_fetch(&r, &status, &answer, &f), RC_TIMEOUT);
	buf_done(&answer);
	close(fd);
}

static void
speaks_only_http(void **state)
{
	struct net_fetch_request r = { .url = "file:///etc/passwd" };
	struct buf answer;
	struct fault f = { 0 };
	unsigned status = 0;

	(void)state;
	buf_init(&answer, 1000);
	assert_int_equal(net_fetch(&r, &status, &answer, &f), RC_INVALID);
	assert_int_equal(buf_len(&answer), 0);
	buf_done(&answer);
}

static void
encodes_everything_that_is_not_unreserved(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	net_fetch_encode(&b, STR("a-._~Z9 &=/%\xc3\xa9\n"));
	assert_string_equal(buf_cstr(&b), "a-._~Z9%20%26%3D%2F%25%C3%A9%0A");
	buf_done(&b);
}

static int
set_up_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	return snprintf(where.sun_path, sizeof(where.sun_path), "%s/s", dir) < 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	(void)unlink(where.sun_path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_method_body_and_headers_and_brings_the_answer),
		cmocka_unit_test(refuses_an_answer_beyond_the_ceiling),
		cmocka_unit_test(tells_no_socket_from_nobody_listening),
		cmocka_unit_test(gives_up_when_no_answer_comes),
		cmocka_unit_test(speaks_only_http),
		cmocka_unit_test(encodes_everything_that_is_not_unreserved),
	};

	return cmocka_run_group_tests(tests, set_up_dir, remove_dir);
}
