/* Reading headers.
 *
 * A field is a line that begins with printable bytes and a colon, and the lines behind it that
 * begin with a space or tab. The walk looks at each byte about once: memchr finds the line ends,
 * and only the name is examined byte by byte.
 *
 * A line of white space only continues a field by the letter of RFC 5322 (obs-FWS); treating it as
 * the end of the header would let two readers disagree about where the body begins, so it is a
 * continuation here too. */
#include "mail/header.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

/* Size of the first line of `s` with its line end; all of it where there is none. */
static size_t
line_size(struct str s)
{
	size_t nl = str_find(s, '\n');

	return nl < s.n ? nl + 1 : s.n;
}

static struct str
without_line_end(struct str line)
{
	if (line.n != 0 && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n != 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* Length of the field name at the head of `line`, with the colon's place in *colon_out; 0 when it
 * has none. */
static size_t
name_size(struct str line, size_t *colon_out)
{
	size_t n = 0, at;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 0x7f && line.p[n] != ':')
		n++;
	for (at = n; at < line.n && is_wsp(line.p[at]);)
		at++;
	if (at == line.n || line.p[at] != ':')
		return 0;
	*colon_out = at;
	return n;
}

struct mail_header_iter
mail_header_start(struct str content)
{
	if (str_starts(content, STR("From ")) || str_starts(content, STR(">From ")))
		content = str_skip(content, line_size(content));
	return (struct mail_header_iter){ content };
}

bool
mail_header_next(struct mail_header_iter *it, struct mail_field *out)
{
	struct str rest = it->rest;
	size_t size = line_size(rest), colon;
	size_t name = name_size(str_sub(rest, 0, size), &colon);

	if (name == 0)
		return false;
	while (size < rest.n && is_wsp(rest.p[size]))
		size += line_size(str_skip(rest, size));
	out->raw = str_sub(rest, 0, size);
	out->name = str_sub(rest, 0, name);
	out->value = str_skip(without_line_end(out->raw), colon + 1);
	it->rest = str_skip(rest, size);
	return true;
}

bool
mail_header_split(struct str content, struct str *header_out, struct str *body_out)
{
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field field;

	while (mail_header_next(&it, &field))
		;
	*header_out = str_sub(content, 0, content.n - it.rest.n);
	size_t separator = str_starts(it.rest, STR("\r\n")) ? 2 : str_starts(it.rest, STR("\n"));
	*body_out = str_skip(it.rest, separator);
	return separator != 0;
}

bool
mail_header_find(struct str content, struct str name, struct mail_field *out)
{
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field field;

	while (mail_header_next(&it, &field)) {
		if (str_eq_nocase(field.name, name)) {
			*out = field;
			return true;
		}
	}
	return false;
}

size_t
mail_header_count(struct str content, struct str name)
{
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field field;
	size_t count = 0;

	while (mail_header_next(&it, &field))
		count += str_eq_nocase(field.name, name);
	return count;
}

void
mail_header_unfold(struct buf *b, struct str value)
{
	value = str_trim(value);
	while (value.n != 0) {
		size_t size = line_size(value);
		buf_add(b, without_line_end(str_sub(value, 0, size)));
		value = str_skip(value, size);
	}
}

struct str
mail_header_unfolded(struct arena *a, struct str value)
{
	value = str_trim(value);
	if (!str_has_byte(value, '\n'))
		return value;
	char *to = arena_zalloc(a, value.n + 1);
	size_t n = 0;
	while (value.n != 0) {
		size_t size = line_size(value);
		struct str line = without_line_end(str_sub(value, 0, size));
		if (line.n != 0)
			memcpy(to + n, line.p, line.n);
		n += line.n;
		value = str_skip(value, size);
	}
	return str_make(to, n);
}

bool
mail_header_message_id(struct str value, struct str *out)
{
	struct str id = str_trim(value);
	size_t open = str_find(id, '<');

	if (open < id.n) {
		id = str_skip(id, open + 1);
		size_t close = str_find(id, '>');
		if (close == id.n)
			return false;
		id = str_sub(id, 0, close);
	}
	for (size_t i = 0; i < id.n; i++) {
		if ((uint8_t)id.p[i] <= ' ' || id.p[i] == 0x7f || id.p[i] == '<' || id.p[i] == '>')
			return false;
	}
	if (id.n == 0)
		return false;
	*out = id;
	return true;
}

bool
mail_header_name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
			return false;
	}
	return name.n != 0 && name.n <= 64;
}

static bool
is_control(char c)
{
	return ((uint8_t)c < ' ' && c != '\t') || c == 0x7f;
}

enum rc
header_value_parse(struct str s, struct header_value *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_control(s.p[i]))
			return RC_INVALID;
	}
	*out = (struct header_value){ s };
	return RC_OK;
}

struct header_value
header_value_clean(struct arena *a, struct str s)
{
	struct header_value v;

	if (header_value_parse(s, &v) == RC_OK)
		return v;
	char *to = arena_zalloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_control(s.p[i]))
			to[n++] = s.p[i];
		else if (n != 0 && to[n - 1] != ' ')
			to[n++] = ' ';
	}
	return (struct header_value){ str_make(to, n) };
}
