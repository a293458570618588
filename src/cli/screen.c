/* Output is collected and written once, so that a screen appears whole and a failed write is
 * noticed. Colour only where a person looks: on a terminal, without NO_COLOR, and not with
 * TERM=dumb. */
#include "cli/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/text.h"
#include "cli/words.h"

#define OUT_MAX   (256u << 20)
#define WIDTH_MAX 160

/* Of the program, for errors. Set once, at the start. */
static const char *program_name = "posthouse";

void
cli_screen_set_name(const char *name)
{
	program_name = name;
}

void
cli_screen_init(struct cli *c)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR"),
		   *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	buf_init(&c->out, OUT_MAX);
	c->now_us = clock_wall_us();
	if (isatty(STDOUT_FILENO)) {
		c->width = 80;
		c->height = 24;
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) {
			c->width = size.ws_col;
			c->height = size.ws_row;
		}
		c->colour = (no_colour == NULL || no_colour[0] == '\0') &&
			    (term == NULL || strcmp(term, "dumb") != 0);
	}
	if (columns != NULL && str_to_u64(str_from(columns), &width) == RC_OK && width >= 20)
		c->width = (size_t)width;
	if (c->width > WIDTH_MAX)
		c->width = WIDTH_MAX;
}

bool
cli_screen_flush(struct cli *c)
{
	struct str rest = buf_str(&c->out);
	bool ok = true;

	while (ok && rest.n != 0) {
		ssize_t n = write(STDOUT_FILENO, rest.p, rest.n);
		if (n < 0 && errno == EINTR)
			continue;
		ok = n > 0;
		if (ok)
			rest = str_skip(rest, (size_t)n);
	}
	if (!ok && errno != EPIPE)
		fprintf(
		    stderr, "posthouse: standard output cannot be written: %s\n", strerror(errno));
	buf_clear(&c->out);
	return ok;
}

void
cli_screen_print(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&c->out, fmt, ap);
	va_end(ap);
}

void
cli_screen_add(struct cli *c, enum cli_style style, struct str text)
{
	cli_table_styled(&c->out, style, cli_text_clean(&c->arena, text), c->colour);
}

void
cli_screen_wrapped(struct cli *c, struct str text, size_t indent)
{
	cli_text_add_wrapped(
	    &c->out, cli_text_clean(&c->arena, text), indent, c->width != 0 ? c->width : 80);
}

void
cli_screen_table(struct cli *c, const struct cli_table *t)
{
	cli_table_print(t, &c->out, c->width, c->colour);
}

struct str
cli_screen_ago(struct cli *c, struct str rfc3339)
{
	struct buf b;
	int64_t us;

	if (!cli_words_parse_time(rfc3339, &us))
		return (struct str){ 0 };
	buf_init(&b, 64);
	cli_words_ago(&b, us, c->now_us);
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

struct str
cli_screen_age(struct cli *c, struct str rfc3339)
{
	struct buf b;
	int64_t us;

	if (!cli_words_parse_time(rfc3339, &us))
		return (struct str){ 0 };
	buf_init(&b, 64);
	if (c->now_us - us < SECONDS(1))
		buf_add(&b, STR("now"));
	else
		cli_words_span(&b, (c->now_us - us) / SECONDS(1) * SECONDS(1));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

void
cli_screen_count(struct cli *c, struct cli_table *t, enum cli_style style, const struct json *v,
    const char *path)
{
	uint64_t n = (uint64_t)cli_call_number(v, path);
	struct buf b;

	buf_init(&b, 64);
	cli_words_count(&b, n);
	cli_table_cell(t, n != 0 ? style : CLI_DIM, arena_str(&c->arena, buf_str(&b)));
	buf_done(&b);
}

int
cli_screen_fail(enum cli_exit status, const char *fmt, ...)
{
	struct arena a = { 0 };
	va_list ap;

	va_start(ap, fmt);
	struct str text = cli_text_clean(&a, arena_strv(&a, fmt, ap));
	va_end(ap);
	fprintf(stderr, "%s: %.*s\n", program_name, STR_ARG(text));
	arena_done(&a);
	return (int)status;
}

bool
cli_screen_confirm(const char *question)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	fprintf(stderr, "%s [y/N] ", question);
	return fgets(answer, sizeof(answer), stdin) != NULL && ascii_lower(answer[0]) == 'y';
}
