/* Parameters of MAIL and RCPT.
 *
 * smtp_params.def is the table: keyword, command, whether there is a value, and the reader of that
 * value. A reader gets the value and returns what is wrong with it, or NULL; everything else about
 * a parameter (known, allowed, first of its name, value where one belongs) is settled before, the
 * same way for all.
 *
 * LIMITS: dates of HOLDUNTIL lie in the years 1970 to 9999. */
#include "codec/smtp_param.h"

#include "base/check.h"
#include "codec/utf8.h"
#include "codec/xtext.h"

#define ENVID_MAX      100u         /* RFC 3461 §4.4 */
#define ORCPT_MAX      500u         /* RFC 3461 §4.2 */
#define HOLD_UNTIL_MAX 253402300799 /* 9999-12-31T23:59:59Z */

enum command { COMMAND_MAIL, COMMAND_RCPT };

/* Where readers put what they find; one of the two stays unused. */
struct reading {
	struct arena *arena;
	struct smtp_mail_params mail;
	struct smtp_rcpt_params rcpt;
};

bool
smtp_param_refuse(
    struct smtp_refusal *out, enum smtp_refusal_kind kind, const char *why, struct str what)
{
	static const struct {
		uint16_t code;
		struct smtp_enhanced enhanced;
	} replies[] = {
		[SMTP_REFUSAL_SYNTAX] = { 501, { 5, 5, 2 } },
		[SMTP_REFUSAL_PATH] = { 501, { 5, 1, 3 } },
		[SMTP_REFUSAL_BAD_VALUE] = { 501, { 5, 5, 4 } },
		[SMTP_REFUSAL_DUPLICATE] = { 501, { 5, 5, 4 } },
		[SMTP_REFUSAL_UNKNOWN] = { 555, { 5, 5, 4 } },
		[SMTP_REFUSAL_NOT_ALLOWED] = { 555, { 5, 5, 4 } },
		[SMTP_REFUSAL_TOO_MANY] = { 501, { 5, 5, 4 } },
	};

	*out = (struct smtp_refusal){
		.kind = kind,
		.code = replies[kind].code,
		.enhanced = replies[kind].enhanced,
		.why = why,
		.what = what,
	};
	return false;
}

void
smtp_param_format_refusal(struct buf *b, const struct smtp_refusal *r)
{
	char text[160];
	struct str what = utf8_head(r->what, 32);

	int n = snprintf(
	    text, sizeof(text), "%.*s%s%s", STR_ARG(what), what.n != 0 ? ": " : "", r->why);
	ASSERT(n > 0);
	size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	smtp_reply_format(b, r->code, r->enhanced, str_make(text, len));
}

static bool
is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	}
	return true;
}

static bool
is_printable_utf8(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	}
	return utf8_is_valid(s);
}

/* Letters, digits and hyphens: keywords and address types. */
static bool
is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) && (i == 0 || s.p[i] != '-'))
			return false;
	}
	return s.n != 0;
}

static const char *
read_size(struct reading *r, struct str v)
{
	return v.n <= 20 && str_to_u64(v, &r->mail.size) == RC_OK ? NULL : "not a number of octets";
}

static const char *
read_body(struct reading *r, struct str v)
{
	if (str_eq_nocase(v, STR("7BIT")))
		r->mail.body = SMTP_BODY_7BIT;
	else if (str_eq_nocase(v, STR("8BITMIME")))
		r->mail.body = SMTP_BODY_8BITMIME;
	else if (str_eq_nocase(v, STR("BINARYMIME")))
		r->mail.body = SMTP_BODY_BINARYMIME;
	else
		return "not 7BIT, 8BITMIME or BINARYMIME";
	return NULL;
}

static const char *
read_smtputf8(struct reading *, struct str)
{
	return NULL;
}

static const char *
read_ret(struct reading *r, struct str v)
{
	if (str_eq_nocase(v, STR("FULL")))
		r->mail.ret = SMTP_RET_FULL;
	else if (str_eq_nocase(v, STR("HDRS")))
		r->mail.ret = SMTP_RET_HDRS;
	else
		return "not FULL or HDRS";
	return NULL;
}

static const char *
read_envid(struct reading *r, struct str v)
{
	if (v.n > ENVID_MAX)
		return "longer than 100 characters";
	if (!xtext_decode(r->arena, v, &r->mail.envid))
		return "not in xtext";
	return is_printable(r->mail.envid) ? NULL : "not printable";
}

static const char *
read_auth(struct reading *r, struct str v)
{
	if (str_eq(v, STR("<>")))
		return NULL;
	if (v.n > ORCPT_MAX)
		return "too long";
	if (!xtext_decode(r->arena, v, &r->mail.auth))
		return "not in xtext";
	if (str_eq(r->mail.auth, STR("<>")))
		r->mail.auth = STR("");
	return is_printable_utf8(r->mail.auth) ? NULL : "not printable";
}

static const char *
read_hold_for(struct reading *r, struct str v)
{
	uint64_t s;

	if (v.n > 9 || str_to_u64(v, &s) != RC_OK)
		return "not a number of seconds";
	r->mail.hold_for_s = (uint32_t)s;
	return NULL;
}

/* Takes exactly `digits` digits and the byte `behind` them ('\0': none) off the front. */
static bool
take_number(struct str *s, size_t digits, char behind, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (s->n < digits + (behind != '\0' ? 1 : 0))
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (!ascii_is_digit(s->p[i]))
			return false;
		v = v * 10 + (unsigned)(s->p[i] - '0');
	}
	if (v > max || (behind != '\0' && ascii_lower(s->p[digits]) != ascii_lower(behind)))
		return false;
	*s = str_skip(*s, digits + (behind != '\0' ? 1 : 0));
	*out = v;
	return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, months counted from March so that the
 * leap day is the last of its year. */
static int64_t
days_of(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year;
	unsigned m = month <= 2 ? month + 9 : month - 3;

	return (int64_t)(y * 365u + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1) -
	       719468;
}

static unsigned
days_in(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

/* The zone of an RFC 3339 time, "Z" or "+hh:mm", as seconds east. */
static bool
read_zone(struct str s, int64_t *east_s_out)
{
	unsigned hour, minute;

	if (str_eq_nocase(s, STR("Z"))) {
		*east_s_out = 0;
		return true;
	}
	if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	bool west = s.p[0] == '-';
	s = str_skip(s, 1);
	if (!take_number(&s, 2, ':', 23, &hour) || !take_number(&s, 2, '\0', 59, &minute))
		return false;
	int64_t east = hour * 3600 + minute * 60;
	*east_s_out = west ? -east : east;
	return true;
}

static const char *
read_hold_until(struct reading *r, struct str v)
{
	static const char *const why = "not a date and time as in 2026-01-31T12:00:00Z";
	unsigned year, month, day, hour, minute, second;
	int64_t east;

	if (!take_number(&v, 4, '-', 9999, &year) || !take_number(&v, 2, '-', 12, &month) ||
	    !take_number(&v, 2, 'T', 31, &day) || !take_number(&v, 2, ':', 23, &hour) ||
	    !take_number(&v, 2, ':', 59, &minute) || !take_number(&v, 2, '\0', 60, &second))
		return why;
	if (year < 1970 || month == 0 || day == 0 || day > days_in(year, month))
		return why;
	if (v.n > 1 && v.p[0] == '.' && ascii_is_digit(v.p[1])) {
		do
			v = str_skip(v, 1);
		while (v.n != 0 && ascii_is_digit(v.p[0]));
	}
	if (!read_zone(v, &east))
		return why;
	int64_t t = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - east;
	if (t < 0 || t > HOLD_UNTIL_MAX)
		return why;
	r->mail.hold_until_s = t;
	return NULL;
}

static const char *
read_notify(struct reading *r, struct str v)
{
	static const struct {
		struct str name;
		enum smtp_notify bit;
	} names[] = {
		{ STR_INIT("NEVER"), SMTP_NOTIFY_NEVER },
		{ STR_INIT("SUCCESS"), SMTP_NOTIFY_SUCCESS },
		{ STR_INIT("FAILURE"), SMTP_NOTIFY_FAILURE },
		{ STR_INIT("DELAY"), SMTP_NOTIFY_DELAY },
	};
	struct str word;
	unsigned set = 0;

	while (str_cut(&v, ',', &word)) {
		size_t i = 0;
		while (i < COUNT_OF(names) && !str_eq_nocase(word, names[i].name))
			i++;
		if (i == COUNT_OF(names))
			return "not NEVER, or a list of SUCCESS, FAILURE and DELAY";
		set |= names[i].bit;
	}
	if ((set & SMTP_NOTIFY_NEVER) != 0 && set != SMTP_NOTIFY_NEVER)
		return "NEVER excludes the others";
	r->rcpt.notify = set;
	return NULL;
}

static const char *
read_orcpt(struct reading *r, struct str v)
{
	size_t semicolon = str_find(v, ';');
	struct str type = str_sub(v, 0, semicolon), text = str_skip(v, semicolon + 1);

	if (v.n > ORCPT_MAX)
		return "longer than 500 characters";
	if (semicolon == v.n || !is_token(type) || text.n == 0)
		return "not of the form type;address";
	r->rcpt.orcpt_type = type;
	if (str_eq_nocase(type, STR("utf-8"))) {
		if (!xtext_decode_utf8(r->arena, text, &r->rcpt.orcpt))
			return "not in xtext";
		return is_printable_utf8(r->rcpt.orcpt) ? NULL : "not printable";
	}
	if (!xtext_decode(r->arena, text, &r->rcpt.orcpt))
		return "not in xtext";
	return is_printable(r->rcpt.orcpt) ? NULL : "not printable";
}

static const struct {
	struct str keyword;
	enum command command;
	bool has_value;
	const char *(*read)(struct reading *, struct str);
} table[] = {
#define X(name, command_, has_value_, read_)                                                       \
	[SMTP_PARAM_##name] = { STR_INIT(#name), COMMAND_##command_, has_value_, read_ },
#include "codec/smtp_params.def"
#undef X
};
static_assert(SMTP_PARAM_COUNT <= 32, "sets of parameters are 32 bits");

/* Judges one parameter and has its value read. */
static bool
read_one(struct reading *r, enum command command, struct str word, uint32_t allowed, uint32_t *seen,
    struct smtp_refusal *refusal)
{
	size_t eq = str_find(word, '=');
	struct str keyword = str_sub(word, 0, eq), value = str_skip(word, eq + 1);
	size_t i = 0;

	if (!is_token(keyword))
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_SYNTAX, "parameter has no keyword", word);
	while (i < COUNT_OF(table) && !str_eq_nocase(keyword, table[i].keyword))
		i++;
	if (i == COUNT_OF(table))
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_UNKNOWN, "unknown parameter", keyword);
	if (table[i].command != command)
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_NOT_ALLOWED, "not for this command", keyword);
	if ((allowed & 1u << i) == 0)
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_NOT_ALLOWED, "parameter not offered here", keyword);
	if ((*seen & 1u << i) != 0)
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_DUPLICATE, "parameter given twice", keyword);
	*seen |= 1u << i;
	if (table[i].has_value && value.n == 0)
		return smtp_param_refuse(refusal, SMTP_REFUSAL_BAD_VALUE, "needs a value", keyword);
	if (!table[i].has_value && eq < word.n)
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_BAD_VALUE, "takes no value", keyword);
	const char *why = table[i].read(r, value);
	return why == NULL || smtp_param_refuse(refusal, SMTP_REFUSAL_BAD_VALUE, why, keyword);
}

static bool
read_all(struct reading *r, enum command command, struct str args, uint32_t allowed, uint32_t *seen,
    struct smtp_refusal *refusal)
{
	const uint32_t holds = SMTP_PARAM_BIT(HOLDFOR) | SMTP_PARAM_BIT(HOLDUNTIL);
	size_t count = 0;

	for (;;) {
		size_t n = 0;
		args = str_trim(args);
		if (args.n == 0)
			break;
		while (n < args.n && args.p[n] != ' ' && args.p[n] != '\t')
			n++;
		if (count++ == SMTP_PARAM_MAX)
			return smtp_param_refuse(
			    refusal, SMTP_REFUSAL_TOO_MANY, "too many parameters", STR(""));
		if (!read_one(r, command, str_sub(args, 0, n), allowed, seen, refusal))
			return false;
		args = str_skip(args, n);
	}
	if ((*seen & holds) == holds)
		return smtp_param_refuse(
		    refusal, SMTP_REFUSAL_BAD_VALUE, "excludes HOLDUNTIL", STR("HOLDFOR"));
	return true;
}

bool
smtp_param_parse_mail(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_mail_params *out, struct smtp_refusal *refusal_out)
{
	struct reading r = { .arena = a };

	if (!read_all(&r, COMMAND_MAIL, args, allowed, &r.mail.seen, refusal_out))
		return false;
	*out = r.mail;
	return true;
}

bool
smtp_param_parse_rcpt(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_rcpt_params *out, struct smtp_refusal *refusal_out)
{
	struct reading r = { .arena = a };

	if (!read_all(&r, COMMAND_RCPT, args, allowed, &r.rcpt.seen, refusal_out))
		return false;
	*out = r.rcpt;
	return true;
}

/* HOLDUNTIL in UTC: the inverse of days_of, by counting years and months, since nobody holds for
 * centuries. */
static void
add_hold_until(struct buf *b, int64_t t)
{
	ASSERT(t >= 0 && t <= HOLD_UNTIL_MAX);
	unsigned days = (unsigned)(t / 86400), s = (unsigned)(t % 86400), year = 1970, month = 1;

	while (days_of(year + 1, 1, 1) <= (int64_t)days)
		year++;
	while (month < 12 && days_of(year, month + 1, 1) <= (int64_t)days)
		month++;
	unsigned day = (unsigned)((int64_t)days - days_of(year, month, 1)) + 1;
	buf_addf(b, " HOLDUNTIL=%04u-%02u-%02uT%02u:%02u:%02uZ", year, month, day, s / 3600,
	    s / 60 % 60, s % 60);
}

void
smtp_param_add_mail(struct buf *b, const struct smtp_mail_params *p)
{
	static const char *const bodies[] = { "7BIT", "8BITMIME", "BINARYMIME" };

	if ((p->seen & SMTP_PARAM_BIT(SIZE)) != 0)
		buf_addf(b, " SIZE=%llu", (unsigned long long)p->size);
	if ((p->seen & SMTP_PARAM_BIT(BODY)) != 0)
		buf_addf(b, " BODY=%s", bodies[p->body]);
	if ((p->seen & SMTP_PARAM_BIT(SMTPUTF8)) != 0)
		buf_add(b, STR(" SMTPUTF8"));
	if ((p->seen & SMTP_PARAM_BIT(RET)) != 0)
		buf_add(b, p->ret == SMTP_RET_HDRS ? STR(" RET=HDRS") : STR(" RET=FULL"));
	if ((p->seen & SMTP_PARAM_BIT(ENVID)) != 0) {
		ASSERT(p->envid.n != 0 && is_printable(p->envid));
		buf_add(b, STR(" ENVID="));
		xtext_encode(b, p->envid);
	}
	if ((p->seen & SMTP_PARAM_BIT(AUTH)) != 0) {
		buf_add(b, STR(" AUTH="));
		xtext_encode(b, p->auth.n != 0 ? p->auth : STR("<>"));
	}
	if ((p->seen & SMTP_PARAM_BIT(HOLDFOR)) != 0)
		buf_addf(b, " HOLDFOR=%u", p->hold_for_s);
	if ((p->seen & SMTP_PARAM_BIT(HOLDUNTIL)) != 0)
		add_hold_until(b, p->hold_until_s);
}

void
smtp_param_add_rcpt(struct buf *b, const struct smtp_rcpt_params *p)
{
	if ((p->seen & SMTP_PARAM_BIT(NOTIFY)) != 0) {
		const char *comma = "";
		static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
		ASSERT(
		    p->notify != 0 && p->notify < 16 && (p->notify == 1 || (p->notify & 1) == 0));
		buf_add(b, STR(" NOTIFY="));
		for (size_t i = 0; i < COUNT_OF(names); i++) {
			if ((p->notify & 1u << i) == 0)
				continue;
			buf_addf(b, "%s%s", comma, names[i]);
			comma = ",";
		}
	}
	if ((p->seen & SMTP_PARAM_BIT(ORCPT)) != 0) {
		ASSERT(is_token(p->orcpt_type) && p->orcpt.n != 0 && is_printable_utf8(p->orcpt));
		buf_addf(b, " ORCPT=%.*s;", STR_ARG(p->orcpt_type));
		if (str_eq_nocase(p->orcpt_type, STR("utf-8")))
			xtext_encode_utf8(b, p->orcpt);
		else
			xtext_encode(b, p->orcpt);
	}
}
