/* `sendmail -bs` between a program and a server that the test plays. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/join.h"

/* What the server says, and waits for before it does: pairs, ended by NULL. */
struct step {
	const char *say;
	const char *until; /* bytes that must have come behind it; NULL: then it hangs up */
};

struct server {
	int fd;
	char address[32];
	const struct step *steps;
	bool early; /* something came before its turn */
	pthread_t thread;
};

static void *
serve(void *arg)
{
	struct server *s = arg;
	int c = accept(s->fd, NULL, NULL);

	for (const struct step *step = s->steps; c >= 0 && step->say != NULL; step++) {
		char got[4096];
		size_t n = 0, want = step->until != NULL ? strlen(step->until) : 0;
		s->early |= recv(c, got, sizeof(got), MSG_DONTWAIT) > 0;
		if (write(c, step->say, strlen(step->say)) < 0)
			break;
		while (n < want) {
			ssize_t k = read(c, got + n, sizeof(got) - n);
			if (k <= 0)
				break;
			n += (size_t)k;
		}
		s->early |= n != want || (want != 0 && memcmp(got, step->until, want) != 0);
	}
	close(c);
	return NULL;
}

static void
start(struct server *s, const struct step *steps)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	*s = (struct server){ .steps = steps };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)(void *)&at, n), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)(void *)&at, &n), 0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* Joins with all of `input` written at once; what the program read is appended to `out`. */
static enum rc
join(struct server *s, const char *input, struct buf *out, struct fault *f)
{
	int in[2], back[2];
	char piece[4096];
	ssize_t n;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(back), 0);
	assert_int_equal(write(in[1], input, strlen(input)), strlen(input));
	close(in[1]);
	enum rc rc = cli_join(str_from(s->address), in[0], back[1], f);
	close(in[0]);
	close(back[1]);
	while ((n = read(back[0], piece, sizeof(piece))) > 0)
		buf_add(out, str_make(piece, (size_t)n));
	close(back[0]);
	pthread_join(s->thread, NULL);
	close(s->fd);
	return rc;
}

static void
passes_a_whole_script_command_by_command(void **state)
{
	static const struct step steps[] = {
		{ "220-hello\r\n220 there\r\n", "EHLO x\r\n" },
		{ "250-a\r\n250 b\r\n", "MAIL FROM:<>\r\n" },
		{ "250 ok\r\n", "data\r\n" },
		{ "354 go\r\n", "Subject: s\r\n\r\nDATA\r\n..\r\n.\r\n" },
		{ "250 kept\r\n", "QUIT\r\n" },
		{ "221 bye\r\n", NULL },
		{ NULL, NULL },
	};
	struct server s;
	struct fault f = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	start(&s, steps);
	assert_int_equal(
	    join(&s, "EHLO x\nMAIL FROM:<>\r\ndata\nSubject: s\n\nDATA\n..\n.\nQUIT\n", &out, &f),
	    RC_OK);
	assert_false(s.early);
	assert_string_equal(buf_cstr(&out),
	    "220-hello\r\n220 there\r\n250-a\r\n250 b\r\n250 ok\r\n354 go\r\n"
	    "250 kept\r\n221 bye\r\n");
	buf_done(&out);
}

static void
goes_on_with_commands_when_data_is_refused(void **state)
{
	static const struct step steps[] = {
		{ "220 hello\r\n", "DATA\r\n" },
		{ "503 no\r\n", "NOOP\r\n" },
		{ "250 ok\r\n", "QUIT\r\n" },
		{ "221 bye\r\n", NULL },
		{ NULL, NULL },
	};
	struct server s;
	struct fault f = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	start(&s, steps);
	assert_int_equal(join(&s, "DATA\nNOOP\n", &out, &f), RC_OK);
	assert_false(s.early);
	buf_done(&out);
}

static void
leaves_the_bytes_of_a_chunk_alone(void **state)
{
	static const struct step steps[] = {
		{ "220 hello\r\n", "BDAT 4 LAST\r\na\nb\n" },
		{ "250 ok\r\n", "QUIT\r\n" },
		{ "221 bye\r\n", NULL },
		{ NULL, NULL },
	};
	struct server s;
	struct fault f = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	start(&s, steps);
	assert_int_equal(join(&s, "BDAT 4 LAST\na\nb\nQUIT\n", &out, &f), RC_OK);
	assert_false(s.early);
	buf_done(&out);
}

static void
says_when_the_service_hangs_up(void **state)
{
	static const struct step steps[] = { { "220 hello\r\n", "NOOP\r\n" }, { NULL, NULL } };
	struct server s;
	struct fault f = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	start(&s, steps);
	assert_int_equal(join(&s, "NOOP\nNOOP\n", &out, &f), RC_IO);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_a_whole_script_command_by_command),
		cmocka_unit_test(goes_on_with_commands_when_data_is_refused),
		cmocka_unit_test(leaves_the_bytes_of_a_chunk_alone),
		cmocka_unit_test(says_when_the_service_hangs_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
