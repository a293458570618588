/* A secret never stands on the command line, where other users and the shell's history see it: it
 * comes from a file, from standard input, or from the terminal with echo off. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/private.h"

#define SECRET_MAX 4096u

static volatile sig_atomic_t caught;

static void
on_signal(int signo)
{
	caught = signo;
}

/* Signals that would end us end the reading first, so that ^C cannot leave the terminal without
 * echo; `before` takes what they did. */
static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static void
catch_signals(struct sigaction before[static COUNT_OF(ending)])
{
	struct sigaction catching = { .sa_handler = on_signal };

	caught = 0;
	sigemptyset(&catching.sa_mask);
	for (size_t i = 0; i < COUNT_OF(ending); i++)
		(void)sigaction(ending[i], &catching, &before[i]);
}

static void
release_signals(const struct sigaction before[static COUNT_OF(ending)])
{
	for (size_t i = 0; i < COUNT_OF(ending); i++)
		(void)sigaction(ending[i], &before[i], NULL);
	if (caught != 0)
		raise(caught);
}

/* One line of the terminal. */
static bool
ask(const char *what, struct buf *out)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct sigaction signals[COUNT_OF(ending)];
	struct termios before, quiet;
	char c;

	if (fd < 0 || tcgetattr(fd, &before) != 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	catch_signals(signals);
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	dprintf(fd, "%s (not shown): ", what);
	while (read(fd, &c, 1) == 1 && c != '\n')
		buf_add_byte(out, c);
	mem_wipe(&c, sizeof(c));
	(void)tcsetattr(fd, TCSAFLUSH, &before);
	dprintf(fd, "\n");
	close(fd);
	release_signals(signals);
	return true;
}

static bool
check(const char *where, struct buf *out)
{
	while (buf_len(out) != 0 &&
	       (str_ends(buf_str(out), STR("\n")) || str_ends(buf_str(out), STR("\r"))))
		buf_truncate(out, buf_len(out) - 1);
	if (buf_len(out) == 0) {
		cli_screen_fail(CLI_USAGE, "%s holds no secret", where);
		return false;
	}
	if (str_has_byte(buf_str(out), '\n') || str_has_byte(buf_str(out), '\0')) {
		cli_screen_fail(
		    CLI_USAGE, "%s holds more than one line: the secret alone is wanted", where);
		return false;
	}
	return true;
}

bool
cli_secret_read(struct cli *c, const char *what, struct buf *out)
{
	const char *file = cli_option_get(&c->args, "secret-file");
	struct fault f = { 0 };

	buf_init(out, SECRET_MAX);
	/* All of it at once: a buffer that grows leaves copies behind. */
	(void)buf_reserve(out, SECRET_MAX);
	if (file != NULL) {
		if (cli_input_read(file, out, &f) == RC_OK)
			return check(file, out);
		cli_screen_fail(CLI_USAGE, "--secret-file: %s", f.text);
		return false;
	}
	if (ask(what, out))
		return check("the line", out);
	cli_screen_fail(CLI_USAGE,
	    "give the secret with --secret-file FILE, or --secret-file - to read it "
	    "from standard input");
	return false;
}
