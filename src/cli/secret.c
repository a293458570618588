/* A secret never stands on the command line, where other users and the shell's history see it: it
 * comes from a file, from standard input, or from the terminal with echo off. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/private.h"

#define SECRET_MAX 4096u

/* One line of the terminal. Signals wait meanwhile, so that ^C cannot leave it without echo. */
static bool
ask(const char *what, struct buf *out)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct termios before, quiet;
	sigset_t all, old;
	bool ok = fd >= 0 && tcgetattr(fd, &before) == 0;
	char c;

	if (ok) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
		dprintf(fd, "%s (not shown): ", what);
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &old);
		(void)tcsetattr(fd, TCSAFLUSH, &quiet);
		for (ssize_t n; (n = read(fd, &c, 1)) == 1 && c != '\n';)
			buf_add_byte(out, c);
		(void)tcsetattr(fd, TCSAFLUSH, &before);
		sigprocmask(SIG_SETMASK, &old, NULL);
		dprintf(fd, "\n");
	}
	if (fd >= 0)
		close(fd);
	return ok;
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
