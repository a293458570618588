/* Writing JSON.
 *
 * The state is what a comma and a colon depend on: whether a member came before, and whether a key
 * waits. One bit a level says object or array; 64 levels are more than anything of ours needs and
 * all that is ever read. */
#include "codec/json_writer.h"

#include <math.h>

#include "base/check.h"
#include "codec/utf8.h"

#define DEPTH_MAX 64u

void
json_writer_init(struct json_writer *w, struct buf *b)
{
	*w = (struct json_writer){ .b = b };
}

void
json_writer_done(struct json_writer *w)
{
	ASSERT(w->depth == 0 && !w->keyed && w->comma);
	*w = (struct json_writer){ 0 };
}

static bool
in_object(const struct json_writer *w)
{
	return w->depth != 0 && (w->objects >> (w->depth - 1) & 1) != 0;
}

/* What goes before a value. */
static void
begin_value(struct json_writer *w)
{
	ASSERT(in_object(w) == w->keyed);
	ASSERT(w->depth != 0 || !w->comma); /* one document holds one value */
	if (w->comma && !w->keyed)
		buf_add_byte(w->b, ',');
	w->keyed = false;
	w->comma = true;
}

/* The bytes of a string that stand for themselves, up to the first that needs an escape. */
static size_t
plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && (unsigned char)s.p[n] >= ' ' && s.p[n] != '"' && s.p[n] != '\\' &&
	       s.p[n] != 0x7f)
		n++;
	return n;
}

static void
add_escape(struct buf *b, char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
		if (shorts[i] == c) {
			buf_add_byte(b, '\\');
			buf_add_byte(b, shorts[i + 1]);
			return;
		}
	}
	buf_addf(b, "\\u%04x", (unsigned char)c);
}

static void
add_string(struct buf *b, struct str s)
{
	buf_add_byte(b, '"');
	while (s.n != 0) {
		size_t n = plain_length(s);
		utf8_add_repaired(b, str_sub(s, 0, n));
		s = str_skip(s, n);
		if (s.n != 0)
			add_escape(b, s.p[0]);
		s = str_skip(s, 1);
	}
	buf_add_byte(b, '"');
}

static void
open_level(struct json_writer *w, bool object)
{
	begin_value(w);
	ASSERT(w->depth < DEPTH_MAX);
	uint64_t bit = (uint64_t)1 << w->depth++;
	w->objects = object ? w->objects | bit : w->objects & ~bit;
	w->comma = false;
	buf_add_byte(w->b, object ? '{' : '[');
}

void
json_writer_object(struct json_writer *w)
{
	open_level(w, true);
}

void
json_writer_array(struct json_writer *w)
{
	open_level(w, false);
}

void
json_writer_end(struct json_writer *w)
{
	ASSERT(w->depth != 0 && !w->keyed);
	buf_add_byte(w->b, in_object(w) ? '}' : ']');
	w->depth--;
	w->comma = true;
}

void
json_writer_key(struct json_writer *w, struct str key)
{
	ASSERT(in_object(w) && !w->keyed);
	if (w->comma)
		buf_add_byte(w->b, ',');
	add_string(w->b, key);
	buf_add_byte(w->b, ':');
	w->keyed = true;
}

void
json_writer_str(struct json_writer *w, struct str s)
{
	begin_value(w);
	add_string(w->b, s);
}

void
json_writer_int(struct json_writer *w, int64_t i)
{
	begin_value(w);
	buf_addf(w->b, "%lld", (long long)i);
}

void
json_writer_uint(struct json_writer *w, uint64_t u)
{
	begin_value(w);
	buf_addf(w->b, "%llu", (unsigned long long)u);
}

void
json_writer_real(struct json_writer *w, double d)
{
	char text[40];

	if (!isfinite(d)) {
		json_writer_null(w);
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (fpclassify(strtod(text, NULL) - d) == FP_ZERO)
			break;
	}
	begin_value(w);
	buf_add(w->b, str_from(text));
	/* -0 and 5 would be read back as whole numbers, the first without its sign. */
	if (strpbrk(text, ".e") == NULL)
		buf_add(w->b, STR(".0"));
}

void
json_writer_bool(struct json_writer *w, bool b)
{
	begin_value(w);
	buf_add(w->b, b ? STR("true") : STR("false"));
}

void
json_writer_null(struct json_writer *w)
{
	begin_value(w);
	buf_add(w->b, STR("null"));
}

void
json_writer_raw(struct json_writer *w, struct str json)
{
	ASSERT(json.n != 0);
	begin_value(w);
	buf_add(w->b, json);
}

void
json_writer_put_str(struct json_writer *w, const char *key, struct str s)
{
	json_writer_key(w, str_from(key));
	json_writer_str(w, s);
}

void
json_writer_put_int(struct json_writer *w, const char *key, int64_t i)
{
	json_writer_key(w, str_from(key));
	json_writer_int(w, i);
}

void
json_writer_put_uint(struct json_writer *w, const char *key, uint64_t u)
{
	json_writer_key(w, str_from(key));
	json_writer_uint(w, u);
}

void
json_writer_put_bool(struct json_writer *w, const char *key, bool b)
{
	json_writer_key(w, str_from(key));
	json_writer_bool(w, b);
}

void
json_writer_put_null(struct json_writer *w, const char *key)
{
	json_writer_key(w, str_from(key));
	json_writer_null(w);
}

void
json_writer_put_object(struct json_writer *w, const char *key)
{
	json_writer_key(w, str_from(key));
	json_writer_object(w);
}

void
json_writer_put_array(struct json_writer *w, const char *key)
{
	json_writer_key(w, str_from(key));
	json_writer_array(w);
}
