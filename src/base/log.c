/* Lines are built in one stack buffer of 4 KB and cut there. Room for the ending is kept back, so
 * that a cut line still ends in a newline; in JSON it stays a whole object, because what does not
 * fit of the text is cut inside its quotes and a field goes in whole or not at all. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define LINE_SIZE 4096
#define TAIL_SIZE 8 /* kept back for the ending */

static _Atomic int level_now = LOG_INFO;
static _Atomic int format_now = LOG_TEXT;
static _Atomic int fd_now = STDERR_FILENO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"
};

struct line {
	char p[LINE_SIZE];
	size_t n;
	bool cut; /* something did not fit */
};

void
log_set_level(enum log_level level)
{
	atomic_store(&level_now, (int)level);
}

void
log_set_format(enum log_format format)
{
	atomic_store(&format_now, (int)format);
}

void
log_set_fd(int fd)
{
	atomic_store(&fd_now, fd);
}

bool
log_is_on(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool
log_level_parse(struct str name, enum log_level *out)
{
	for (size_t i = 0; i < COUNT_OF(level_names); i++) {
		if (str_eq_nocase(name, str_from(level_names[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static size_t
room(const struct line *l)
{
	return l->n < LINE_SIZE - TAIL_SIZE ? LINE_SIZE - TAIL_SIZE - l->n : 0;
}

static void
put(struct line *l, struct str s)
{
	size_t n = s.n < room(l) ? s.n : room(l);

	if (n != 0)
		memcpy(l->p + l->n, s.p, n);
	l->n += n;
	l->cut = l->cut || n < s.n;
}

/* Escapes what would break a line or a JSON string; `quote` too when it is not 0. */
static void
put_escaped(struct line *l, struct str s, char quote)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c == 0x7f || (quote != 0 && (c == '"' || c == '\\'))) {
			char esc[8];
			int n = c < ' ' || c == 0x7f ? snprintf(esc, sizeof(esc), "\\u%04x", c)
						     : snprintf(esc, sizeof(esc), "\\%c", c);
			if (room(l) < (size_t)n) {
				l->cut = true;
				return;
			}
			put(l, str_make(esc, (size_t)n));
		} else {
			put(l, str_make(s.p + i, 1));
		}
	}
}

static bool
needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
			return true;
	}
	return s.n == 0;
}

static void
put_ctx(struct line *l, const struct log_ctx *ctx, enum log_format format)
{
	char num[24];

	if (ctx == NULL)
		return;
	put_ctx(l, ctx->parent, format);
	size_t before = l->n;
	struct str v = ctx->text;
	bool quoted = v.p != NULL;
	if (!quoted)
		v = str_make(
		    num, (size_t)snprintf(num, sizeof(num), "%llu", (unsigned long long)ctx->num));
	if (format == LOG_JSON) {
		put(l, STR(",\""));
		put(l, str_from(ctx->key));
		put(l, STR("\":"));
	} else {
		put(l, STR(" "));
		put(l, str_from(ctx->key));
		put(l, STR("="));
		quoted = quoted && needs_quotes(v);
	}
	put(l, quoted ? STR("\"") : STR(""));
	put_escaped(l, v, quoted ? '"' : 0);
	put(l, quoted ? STR("\"") : STR(""));
	if (format == LOG_JSON && l->cut)
		l->n = before;
}

void
log_event(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt, ...)
{
	struct line l;
	char when[CLOCK_TEXT_SIZE];
	char text[1024];
	va_list ap;

	if (!log_is_on(level))
		return;
	l.n = 0;
	l.cut = false;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct str said = str_make(text, n < 0                      ? 0
					 : (size_t)n < sizeof(text) ? (size_t)n
								    : sizeof(text) - 1);
	clock_format(clock_wall_us(), when);
	if (atomic_load_explicit(&format_now, memory_order_relaxed) == LOG_JSON) {
		put(&l, STR("{\"time\":\""));
		put(&l, str_from(when));
		put(&l, STR("\",\"level\":\""));
		put(&l, str_from(level_names[level]));
		put(&l, STR("\",\"event\":\""));
		put(&l, str_from(event));
		put(&l, STR("\",\"text\":\""));
		put_escaped(&l, said, '"');
		l.p[l.n++] = '"'; /* from what is kept back */
		put_ctx(&l, ctx, LOG_JSON);
		memcpy(l.p + l.n, "}\n", 2);
		l.n += 2;
	} else {
		put(&l, str_from(when));
		put(&l, STR(" "));
		put(&l, str_from(level_names[level]));
		put(&l, STR(" "));
		put(&l, str_from(event));
		put_ctx(&l, ctx, LOG_TEXT);
		put(&l, STR(": "));
		put_escaped(&l, said, 0);
		l.p[l.n++] = '\n';
	}
	/* Acquire: whoever set the descriptor opened it first. */
	if (write(atomic_load_explicit(&fd_now, memory_order_acquire), l.p, l.n) < 0)
		return; /* a log that cannot be written must not stop the mail */
}
