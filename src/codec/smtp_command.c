/* SMTP commands.
 *
 * The one difficulty is where a path ends: '>' may stand inside a quoted local part, and a quote
 * may be escaped there. `path_length` knows that and serves both directions: reading finds the
 * bracket with it, writing asserts that there is none to find. */
#include "codec/smtp_command.h"

#include "base/check.h"

enum follows { FOLLOWS_NONE, FOLLOWS_SOME, FOLLOWS_ANY };

static const struct {
	struct str name;
	enum follows follows;
} verbs[] = {
#define X(name_, follows_) [SMTP_VERB_##name_] = { STR_INIT(#name_), FOLLOWS_##follows_ },
#include "codec/smtp_verbs.def"
#undef X
	[SMTP_VERB_UNKNOWN] = { STR_INIT("?"), FOLLOWS_ANY },
};
static_assert(COUNT_OF(verbs) == SMTP_VERB_COUNT, "every verb has a row");

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	}
	return false;
}

const char *
smtp_command_name(enum smtp_verb verb)
{
	ASSERT(verb < SMTP_VERB_COUNT);
	return verbs[verb].name.p;
}

bool
smtp_command_parse(struct str line, struct smtp_command *out, struct smtp_refusal *refusal_out)
{
	struct smtp_command c = { .verb = SMTP_VERB_UNKNOWN };
	size_t n = 0;

	if (has_control(line)) {
		smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_SYNTAX, "control character in command", STR(""));
		refusal_out->code = 500;
		return false;
	}
	while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
		n++;
	c.name = str_sub(line, 0, n);
	c.args = str_trim(str_skip(line, n));
	for (unsigned v = 0; v < SMTP_VERB_UNKNOWN; v++) {
		if (str_eq_nocase(c.name, verbs[v].name))
			c.verb = (enum smtp_verb)v;
	}
	if (verbs[c.verb].follows == FOLLOWS_NONE && c.args.n != 0)
		return smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_BAD_VALUE, "command takes no argument", c.name);
	if (verbs[c.verb].follows == FOLLOWS_SOME && c.args.n == 0)
		return smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_BAD_VALUE, "command needs an argument", c.name);
	*out = c;
	return true;
}

/* How many bytes of `s` could stand inside a path: up to the first angle bracket outside quotes.
 * All of `s` if there is none; more than that, s.n + 1, if a quote is left open. */
static size_t
path_length(struct str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\')
			i++;
		else if (!quoted && (s.p[i] == '<' || s.p[i] == '>'))
			return i;
	}
	return quoted ? s.n + 1 : s.n;
}

/* Takes "@one,@two:" off a path; NULL, or what is wrong with it. */
static const char *
skip_route(struct str *path)
{
	bool literal = false;

	if (path->n == 0 || path->p[0] != '@')
		return NULL;
	for (size_t i = 0; i < path->n; i++) {
		char c = path->p[i];
		if (c == '[' || c == ']')
			literal = c == '[';
		if (c == ':' && !literal) {
			*path = str_skip(*path, i + 1);
			return NULL;
		}
		if (c == ' ' || c == '"' || c == '\t')
			break;
	}
	return "source route without an address behind it";
}

/* Reads `word` ("FROM:" or "TO:") and a path off the front of args. */
static const char *
take_path(struct str word, struct str *args, struct str *path_out)
{
	if (!str_starts_nocase(*args, word))
		return word.n == 5 ? "MAIL needs FROM:<address>" : "RCPT needs TO:<address>";
	struct str s = str_trim(str_skip(*args, word.n));
	if (s.n == 0 || s.p[0] != '<')
		return "address must stand in angle brackets";
	s = str_skip(s, 1);
	size_t n = path_length(s);
	if (n > s.n)
		return "quote in address is not closed";
	if (n == s.n)
		return "angle bracket is not closed";
	if (s.p[n] == '<')
		return "second angle bracket in address";
	struct str path = str_sub(s, 0, n), rest = str_skip(s, n + 1);
	if (rest.n != 0 && rest.p[0] != ' ' && rest.p[0] != '\t')
		return "no blank behind the address";
	if (str_has_byte(path, '\t'))
		return "tab in address";
	const char *why = skip_route(&path);
	if (why != NULL)
		return why;
	*path_out = path;
	*args = rest;
	return NULL;
}

bool
smtp_command_parse_mail(struct str args, uint32_t allowed, struct arena *a, struct smtp_mail *out,
    struct smtp_refusal *refusal_out)
{
	struct smtp_mail m = { 0 };
	const char *why = has_control(args) ? "control character in command"
					    : take_path(STR("FROM:"), &args, &m.path);

	if (why != NULL) {
		smtp_param_refuse(refusal_out, SMTP_REFUSAL_PATH, why, STR(""));
		refusal_out->enhanced = SMTP_ENHANCED(5, 1, 7);
		return false;
	}
	if (!smtp_param_parse_mail(args, allowed, a, &m.params, refusal_out))
		return false;
	*out = m;
	return true;
}

bool
smtp_command_parse_rcpt(struct str args, uint32_t allowed, struct arena *a, struct smtp_rcpt *out,
    struct smtp_refusal *refusal_out)
{
	struct smtp_rcpt r = { 0 };
	const char *why = has_control(args) ? "control character in command"
					    : take_path(STR("TO:"), &args, &r.path);

	if (why != NULL)
		return smtp_param_refuse(refusal_out, SMTP_REFUSAL_PATH, why, STR(""));
	if (!smtp_param_parse_rcpt(args, allowed, a, &r.params, refusal_out))
		return false;
	*out = r;
	return true;
}

/* Splits at the first run of blanks. */
static struct str
take_word(struct str *s)
{
	size_t n = 0;

	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	struct str word = str_sub(*s, 0, n);
	*s = str_trim(str_skip(*s, n));
	return word;
}

bool
smtp_command_parse_bdat(struct str args, struct smtp_bdat *out, struct smtp_refusal *refusal_out)
{
	struct smtp_bdat d = { 0 };
	struct str size = take_word(&args);

	if (size.n > 20 || str_to_u64(size, &d.size) != RC_OK)
		return smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_BAD_VALUE, "not a number of octets", size);
	d.last = args.n != 0;
	if (d.last && !str_eq_nocase(args, STR("LAST")))
		return smtp_param_refuse(refusal_out, SMTP_REFUSAL_BAD_VALUE, "not LAST", args);
	*out = d;
	return true;
}

bool
smtp_command_parse_auth(struct str args, struct smtp_auth *out, struct smtp_refusal *refusal_out)
{
	struct smtp_auth h = {
		.mechanism = take_word(&args), .has_initial = args.n != 0, .initial = args
	};

	bool good = h.mechanism.n >= 1 && h.mechanism.n <= 20;
	for (size_t i = 0; good && i < h.mechanism.n; i++) {
		char c = h.mechanism.p[i];
		good = ascii_is_alnum(c) || c == '-' || c == '_';
	}
	if (!good)
		return smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_BAD_VALUE, "not a mechanism", STR(""));
	/* Not named in the refusal: it may be part of a secret. */
	if (str_has_byte(args, ' ') || str_has_byte(args, '\t') || has_control(args))
		return smtp_param_refuse(
		    refusal_out, SMTP_REFUSAL_BAD_VALUE, "more than one argument", STR(""));
	if (str_eq(h.initial, STR("=")))
		h.initial = STR("");
	*out = h;
	return true;
}

static bool
is_safe_path(struct str path)
{
	bool quoted = false;

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '"')
			quoted = !quoted;
		else if (quoted && path.p[i] == '\\')
			i++;
		else if (!quoted && path.p[i] == ' ')
			return false;
	}
	return !has_control(path) && !str_has_byte(path, '\t') && path_length(path) == path.n;
}

void
smtp_command_mail(struct buf *b, struct str path, const struct smtp_mail_params *params)
{
	ASSERT(is_safe_path(path));
	buf_add(b, STR("MAIL FROM:<"));
	buf_add(b, path);
	buf_add_byte(b, '>');
	smtp_param_add_mail(b, params);
	buf_add(b, STR("\r\n"));
}

void
smtp_command_rcpt(struct buf *b, struct str path, const struct smtp_rcpt_params *params)
{
	ASSERT(is_safe_path(path) && path.n != 0);
	buf_add(b, STR("RCPT TO:<"));
	buf_add(b, path);
	buf_add_byte(b, '>');
	smtp_param_add_rcpt(b, params);
	buf_add(b, STR("\r\n"));
}

void
smtp_command_bdat(struct buf *b, uint64_t size, bool last)
{
	buf_addf(b, "BDAT %llu%s\r\n", (unsigned long long)size, last ? " LAST" : "");
}

void
smtp_command_add(struct buf *b, enum smtp_verb verb, struct str arg)
{
	ASSERT(verb < SMTP_VERB_UNKNOWN && !has_control(arg));
	buf_add(b, verbs[verb].name);
	if (arg.n != 0) {
		buf_add_byte(b, ' ');
		buf_add(b, arg);
	}
	buf_add(b, STR("\r\n"));
}
