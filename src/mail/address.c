/* Mail addresses.
 *
 * One pass from left to right over "local@domain": the local part is unquoted into the arena as it
 * is read, so nothing later has to know about quotes; the domain is lowered and checked label by
 * label, or recognised as an address literal. Every byte that survives is printable ASCII or part
 * of a well-formed UTF-8 sequence that is no control character; that is the whole of the promise
 * "injects nothing".
 *
 * Two liberties beside RFC 5321: a domain label may hold an underscore and may begin or end with a
 * hyphen, because such domains exist and receive mail; and U+0080-U+009F, U+2028 and U+2029 are
 * refused, because software exists that ends a line at them.
 *
 * LIMITS: MAIL_ADDR_* octets, counted on what mail_addr_format writes; labels of 63. */
#include "mail/address.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/ip.h"
#include "codec/name.h"
#include "codec/utf8.h"

#define NO(why) (*why_out = (why), RC_INVALID)

static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_non_ascii(char c)
{
	return ((uint8_t)c & 0x80) != 0;
}

static bool
is_dot_string(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? i == 0 || i + 1 == s.n || s.p[i + 1] == '.'
				  : !is_atext(s.p[i]) && !is_non_ascii(s.p[i]))
			return false;
	}
	return s.n != 0;
}

/* Copies one non-ASCII character from the head of `in` to `to`; the bytes used, or 0 and the
 * reason. */
static size_t
take_utf8(struct str in, bool allow, char *to, const char **why_out)
{
	uint32_t cp;
	size_t n = utf8_step(in, &cp);

	if (!allow) {
		*why_out = "the address is not ASCII and SMTPUTF8 was not asked for";
		return 0;
	}
	if (n == 0) {
		*why_out = "the address is not valid UTF-8";
		return 0;
	}
	if (cp < 0xa0 || cp == 0x2028 || cp == 0x2029) {
		*why_out = "the address holds a control character";
		return 0;
	}
	memcpy(to, in.p, n);
	return n;
}

/* The local part as it is read: unquoted into `out`, which has room for all of `in`. */
struct local {
	struct str in; /* the whole path */
	bool utf8;
	char *out;
	size_t n;    /* bytes in `out` */
	size_t used; /* bytes of `in`, closing quote included */
};

/* Takes one non-ASCII character. */
static bool
read_utf8(struct local *l, const char **why_out)
{
	size_t n = take_utf8(str_skip(l->in, l->used), l->utf8, l->out + l->n, why_out);

	l->used += n;
	l->n += n;
	return n != 0;
}

static enum rc
read_quoted(struct local *l, const char **why_out)
{
	l->used = 1;
	while (l->used < l->in.n && l->in.p[l->used] != '"') {
		if (is_non_ascii(l->in.p[l->used])) {
			if (!read_utf8(l, why_out))
				return RC_INVALID;
			continue;
		}
		if (l->in.p[l->used] == '\\' && ++l->used == l->in.n)
			break;
		char c = l->in.p[l->used++];
		if (c < ' ' || c == 0x7f)
			return NO("the quoted local part holds a control character");
		l->out[l->n++] = c;
	}
	if (l->used >= l->in.n)
		return NO("the quote in the local part is not closed");
	l->used++;
	return RC_OK;
}

static enum rc
read_dot_string(struct local *l, const char **why_out)
{
	while (l->used < l->in.n && l->in.p[l->used] != '@') {
		char c = l->in.p[l->used];
		if (is_non_ascii(c)) {
			if (!read_utf8(l, why_out))
				return RC_INVALID;
			continue;
		}
		if (c == ' ' || c == '\t')
			return NO("a space in the local part needs quotes");
		if (c != '.' && !is_atext(c))
			return NO("the local part holds a character that is not allowed there");
		l->out[l->n++] = c;
		l->used++;
	}
	if (l->n == 0)
		return NO("the local part is empty");
	if (!is_dot_string(str_make(l->out, l->n)))
		return NO("the local part begins or ends with a dot, or has two together");
	return RC_OK;
}

/* Octets the local part takes in quotes: two quotes, and a backslash before each quote and
 * backslash. */
static size_t
quoted_size(struct str s)
{
	size_t n = s.n + 2;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '"' || s.p[i] == '\\';
	return n;
}

/* "[...]" of RFC 5321 §4.1.3: IPv4, "IPv6:", or a general "tag:content". */
static bool
is_literal(struct str s)
{
	struct str in = str_sub(s, 1, s.n - 2);
	struct str tag = str_sub(in, 0, str_find(in, ':'));
	struct ip ip;

	if (s.n < 3 || s.p[s.n - 1] != ']')
		return false;
	if (tag.n == in.n || str_eq_nocase(tag, STR("IPv6")))
		return ip_parse_literal(s, &ip);
	if (tag.n == 0 || tag.n + 1 == in.n || tag.p[tag.n - 1] == '-')
		return false;
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		if (i < tag.n ? !ascii_is_alnum(c) && c != '-'
			      : c < '!' || c > '~' || c == '[' || c == '\\' || c == ']')
			return false;
	}
	return true;
}

static enum rc
check_labels(struct str domain, const char **why_out)
{
	struct str label;

	while (str_cut(&domain, '.', &label)) {
		if (label.n == 0)
			return NO("the domain begins or ends with a dot, or has two together");
		if (label.n > 63)
			return NO("a label of the domain is longer than 63 characters");
		for (size_t i = 0; i < label.n; i++) {
			char c = label.p[i];
			if (!ascii_is_alnum(c) && c != '-' && c != '_' && !is_non_ascii(c))
				return NO("the domain holds a character that is not allowed there");
		}
	}
	return RC_OK;
}

/* U-labels to A-labels; `domain` is checked and not ASCII. */
static enum rc
domain_to_ascii(struct str domain, struct arena *a, struct str *out, const char **why_out)
{
	struct host_name name;

	if (!name_parse(domain, &name, why_out))
		return RC_INVALID;
	*out = arena_str(a, name_str(&name));
	return RC_OK;
}

static enum rc
read_domain(struct str in, bool utf8, struct arena *a, struct mail_addr *out, const char **why_out)
{
	if (in.n == 0)
		return NO("the domain is missing");
	if (in.n > MAIL_ADDR_DOMAIN_MAX)
		return NO("the domain is longer than 255 characters");
	out->domain = out->domain_ascii = arena_lower(a, in);
	if (in.p[0] == '[') {
		out->literal = true;
		return is_literal(in) ? RC_OK : NO("the address literal in brackets is not valid");
	}
	enum rc rc = check_labels(out->domain, why_out);
	if (rc != RC_OK || utf8_is_ascii(in))
		return rc;
	for (size_t i = 0; i < in.n;) {
		char sink[4];
		size_t step =
		    is_non_ascii(in.p[i]) ? take_utf8(str_skip(in, i), utf8, sink, why_out) : 1;
		if (step == 0)
			return RC_INVALID;
		i += step;
	}
	return domain_to_ascii(out->domain, a, &out->domain_ascii, why_out);
}

enum rc
mail_addr_parse(
    struct str path, unsigned flags, struct arena *a, struct mail_addr *out, const char **why_out)
{
	struct mail_addr r = { 0 };
	bool utf8 = (flags & MAIL_ADDR_UTF8) != 0;

	if (path.n == 0) {
		*out = (struct mail_addr){ .is_null = true };
		return RC_OK;
	}
	/* Twice the limit leaves room for quotes and backslashes that will be dropped. */
	if (path.n > 2 * MAIL_ADDR_MAX)
		return NO("the address is longer than 254 characters");
	if ((flags & MAIL_ADDR_POSTMASTER) != 0 && str_eq_nocase(path, STR("postmaster"))) {
		*out = (struct mail_addr){ .local = arena_lower(a, path) };
		return RC_OK;
	}
	struct local l = { .in = path, .utf8 = utf8, .out = arena_zalloc(a, path.n + 1) };
	enum rc rc = path.p[0] == '"' ? read_quoted(&l, why_out) : read_dot_string(&l, why_out);
	if (rc != RC_OK)
		return rc;
	r.local = str_make(l.out, l.n);
	if (l.used == path.n || path.p[l.used] != '@')
		return NO(l.used == path.n ? "the address has no domain"
					   : "an @ must follow the local part");
	rc = read_domain(str_skip(path, l.used + 1), utf8, a, &r, why_out);
	if (rc != RC_OK)
		return rc;
	r.quoted = !is_dot_string(r.local);
	size_t local_size = r.quoted ? quoted_size(r.local) : r.local.n;
	if (local_size > MAIL_ADDR_LOCAL_MAX)
		return NO("the local part is longer than 64 characters");
	if (local_size + 1 + r.domain.n > MAIL_ADDR_MAX ||
	    local_size + 1 + r.domain_ascii.n > MAIL_ADDR_MAX)
		return NO("the address is longer than 254 characters");
	r.needs_utf8 = !utf8_is_ascii(r.local) || !utf8_is_ascii(r.domain);
	*out = r;
	return RC_OK;
}

enum rc
mail_addr_to_ascii(const struct mail_addr *a, struct mail_addr *out)
{
	if (!utf8_is_ascii(a->local))
		return RC_INVALID;
	struct mail_addr r = *a;
	r.domain = r.domain_ascii;
	r.needs_utf8 = false;
	*out = r;
	return RC_OK;
}

void
mail_addr_format(struct buf *b, const struct mail_addr *a)
{
	if (a->is_null)
		return;
	if (a->quoted) {
		buf_add_byte(b, '"');
		for (size_t i = 0; i < a->local.n; i++) {
			if (a->local.p[i] == '"' || a->local.p[i] == '\\')
				buf_add_byte(b, '\\');
			buf_add_byte(b, a->local.p[i]);
		}
		buf_add_byte(b, '"');
	} else {
		buf_add(b, a->local);
	}
	if (a->domain.n != 0) {
		buf_add_byte(b, '@');
		buf_add(b, a->domain);
	}
}

struct mail_addr
mail_addr_copy(struct arena *to, const struct mail_addr *a)
{
	struct mail_addr r = *a;

	r.local = arena_str(to, a->local);
	r.domain = arena_str(to, a->domain);
	r.domain_ascii =
	    str_eq(a->domain, a->domain_ascii) ? r.domain : arena_str(to, a->domain_ascii);
	return r;
}

bool
mail_addr_eq(const struct mail_addr *a, const struct mail_addr *b)
{
	return a->is_null == b->is_null && str_eq(a->local, b->local) &&
	       str_eq(a->domain_ascii, b->domain_ascii);
}

uint64_t
mail_addr_hash(const struct mail_addr *a, uint64_t seed)
{
	return str_hash(a->domain_ascii, str_hash(a->local, seed + a->is_null));
}
