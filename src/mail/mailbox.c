/* Address lists.
 *
 * The value is a row of tokens: quoted strings, comments, domain literals, and single bytes. Items
 * end at a comma or semicolon outside of them; a '<' tells that what stood before was a display
 * name, a ':' that it was the name of a group. The address itself is collapsed (comments and the
 * white space around dots and '@' go) and then judged by mail_addr_parse, so that there is one
 * grammar of addresses, not two. */
#include "mail/mailbox.h"

#include "base/arena.h"

/* Size of the token at the head of `s` (not empty); 0 when it is not closed. */
static size_t
token_size(struct str s)
{
	char open = s.p[0];
	char close = '\0';
	size_t depth = 0;

	if (open == '"')
		close = '"';
	else if (open == '(')
		close = ')';
	else if (open == '[')
		close = ']';
	else
		return 1;
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == close && depth-- == 0)
			return i + 1;
		else if (open == '(' && s.p[i] == '(')
			depth++;
	}
	return 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Offset of the first byte of `stops` outside quotes, comments and literals, or s.n; SIZE_MAX when
 * one of those is not closed. */
static size_t
find_outside(struct str s, struct str stops)
{
	size_t i = 0;

	while (i < s.n && !str_has_byte(stops, s.p[i])) {
		size_t n = token_size(str_skip(s, i));
		if (n == 0)
			return SIZE_MAX;
		i += n;
	}
	return i;
}

/* Appends the inside of the quoted string `s`; the bytes added. */
static size_t
unquote(struct str s, char *to)
{
	size_t n = 0;

	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] == '\\' && i + 2 < s.n)
			i++;
		if (s.p[i] != '\r' && s.p[i] != '\n')
			to[n++] = s.p[i];
	}
	return n;
}

/* A display name as people read it. */
static struct str
read_display(struct str s, struct arena *a)
{
	char *to = arena_zalloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		size_t size = token_size(str_skip(s, i));
		if (s.p[i] == '"') {
			n += unquote(str_sub(s, i, size), to + n);
		} else if (s.p[i] == '(' || is_space(s.p[i])) {
			if (n != 0 && to[n - 1] != ' ')
				to[n++] = ' ';
		} else {
			for (size_t k = i; k < i + size; k++)
				to[n++] = s.p[k];
		}
		i += size;
	}
	return str_trim(str_make(to, n));
}

/* Whether space between `before` and `after` means nothing. */
static bool
space_is_idle(char before, char after)
{
	return before == '\0' || before == '.' || before == '@' || after == '.' || after == '@';
}

/* The address in `s` without comments and idle space; *span_out its bytes from first to last. */
static struct str
collapse(struct str s, struct arena *a, struct str *span_out)
{
	char *to = arena_zalloc(a, s.n + 1);
	size_t n = 0, first = s.n, last = s.n;
	bool space = false;

	for (size_t i = 0; i < s.n;) {
		size_t size = token_size(str_skip(s, i));
		if (is_space(s.p[i]) || s.p[i] == '(') {
			space = true;
		} else {
			if (space && !space_is_idle(n != 0 ? to[n - 1] : '\0', s.p[i]))
				to[n++] = ' ';
			space = false;
			for (size_t k = i; k < i + size; k++) {
				if (s.p[k] != '\r' && s.p[k] != '\n')
					to[n++] = s.p[k];
			}
			first = first == s.n ? i : first;
			last = i + size;
		}
		i += size;
	}
	*span_out = str_sub(s, first, last - first);
	return str_make(to, n);
}

/* "display <address>" or a bare address, between two commas. */
static enum rc
read_mailbox(struct str item, struct arena *a, struct mail_mailbox *out, const char **why_out)
{
	size_t open = find_outside(item, STR("<"));
	struct str bare = item;

	out->display = (struct str){ 0 };
	if (open < item.n) {
		struct str inner = str_skip(item, open + 1);
		size_t close = find_outside(inner, STR(">"));
		if (close >= inner.n) {
			*why_out = "an angle bracket is not closed";
			return RC_INVALID;
		}
		out->display = read_display(str_sub(item, 0, open), a);
		bare = str_sub(inner, 0, close);
		/* RFC 5322 §4.4: an obsolete route "@a,@b:" before the address means nothing. */
		size_t route = find_outside(bare, STR(":"));
		if (route < bare.n && str_starts(str_trim(bare), STR("@")))
			bare = str_skip(bare, route + 1);
	}
	struct str path = collapse(bare, a, &out->span);
	if (path.n == 0) {
		*why_out = "an address is empty";
		return RC_INVALID;
	}
	return mail_addr_parse(path, MAIL_ADDR_UTF8, a, &out->addr, why_out);
}

/* Where the item at the head of `s` ends. A comma inside angle brackets (a route) ends nothing. */
static size_t
item_size(struct str s)
{
	size_t i = find_outside(s, STR(",;<"));

	if (i >= s.n || s.p[i] != '<')
		return i;
	size_t close = find_outside(str_skip(s, i), STR(">"));
	if (close == SIZE_MAX || i + close >= s.n)
		return close == SIZE_MAX ? close : s.n;
	size_t tail = find_outside(str_skip(s, i + close), STR(",;"));
	return tail == SIZE_MAX ? tail : i + close + tail;
}

/* Whether nothing but white space and comments stands in `s`. */
static bool
is_idle(struct str s)
{
	for (size_t i = 0; i < s.n;) {
		if (!is_space(s.p[i]) && s.p[i] != '(')
			return false;
		i += token_size(str_skip(s, i));
	}
	return true;
}

static size_t
count_places(struct str s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.n && n <= MAIL_MAILBOX_MAX; i++)
		n += s.p[i] == ',' || s.p[i] == ';';
	return n < MAIL_MAILBOX_MAX ? n : MAIL_MAILBOX_MAX;
}

enum rc
mail_mailbox_parse(
    struct str value, struct arena *a, struct mail_mailbox_list *out, const char **why_out)
{
	size_t cap = count_places(value), n = 0;
	struct mail_mailbox *v = ARENA_NEW_ARRAY(a, struct mail_mailbox, cap);

	while (value.n != 0) {
		size_t colon = find_outside(value, STR(":,;<"));
		if (colon < value.n && value.p[colon] == ':') {
			value = str_skip(value, colon + 1); /* the name of a group */
			continue;
		}
		size_t size = item_size(value);
		if (size == SIZE_MAX) {
			*why_out = "a quote, comment or bracket is not closed";
			return RC_INVALID;
		}
		struct str item = str_sub(value, 0, size);
		value = str_skip(value, size + 1);
		if (is_idle(item))
			continue;
		if (n == cap) {
			*why_out = "there are too many addresses";
			return RC_LIMIT;
		}
		enum rc rc = read_mailbox(item, a, &v[n], why_out);
		if (rc != RC_OK)
			return rc;
		n++;
	}
	*out = (struct mail_mailbox_list){ v, n };
	return RC_OK;
}
