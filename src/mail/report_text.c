/* Reports in plain words.
 *
 * One is a mail that says by its sender or its empty return path that a machine wrote it, and by
 * its subject that something was not delivered. Recipients are those behind the words that usually
 * stand before them; other addresses in it are only kept for comparison. The reason is the line
 * with a reply code; where there is none, what follows "退信原因" (the reason for return), and
 * the few things that such reasons say are known by their words.
 *
 * LIMITS: languages other than English and Chinese are known by reply codes only. */
#include "codec/rfc2047.h"
#include "codec/utf8.h"
#include "mail/header.h"
#include "mail/mailbox.h"
#include "mail/report_private.h"

#define OTHERS_MAX 20u
#define LINE_KEPT  400u

/* ---- HTML ---- */

static bool
ends_line(struct str tag)
{
	static const struct str names[] = { STR_INIT("br"), STR_INIT("p"), STR_INIT("div"),
		STR_INIT("tr"), STR_INIT("li"), STR_INIT("table"), STR_INIT("h1"), STR_INIT("h2"),
		STR_INIT("h3"), STR_INIT("pre") };
	size_t n = 0;

	if (tag.n != 0 && tag.p[0] == '/')
		tag = str_skip(tag, 1);
	while (n < tag.n && ascii_is_alnum(tag.p[n]))
		n++;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eq_nocase(str_sub(tag, 0, n), names[i]))
			return true;
	return false;
}

/* The entity behind '&'; returns the bytes it takes, 0: none. */
static size_t
add_entity(struct buf *b, struct str s)
{
	static const struct {
		struct str name;
		char c;
	} rows[] = { { STR_INIT("lt;"), '<' }, { STR_INIT("gt;"), '>' }, { STR_INIT("amp;"), '&' },
		{ STR_INIT("quot;"), '"' }, { STR_INIT("nbsp;"), ' ' }, { STR_INIT("#39;"), '\'' },
		{ STR_INIT("#64;"), '@' } };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_starts_nocase(s, rows[i].name)) {
			buf_add_byte(b, rows[i].c);
			return rows[i].name.n;
		}
	}
	return 0;
}

void
report_add_html(struct buf *b, struct str html)
{
	while (html.n != 0) {
		size_t n = 0;
		while (n < html.n && html.p[n] != '<' && html.p[n] != '&')
			n++;
		buf_add(b, str_sub(html, 0, n));
		html = str_skip(html, n);
		if (html.n == 0)
			return;
		bool is_tag = html.p[0] == '<';
		html = str_skip(html, 1);
		if (!is_tag) {
			size_t took = add_entity(b, str_sub(html, 0, 8));
			if (took == 0)
				buf_add_byte(b, '&');
			html = str_skip(html, took);
			continue;
		}
		/* What a style or script holds is no text. */
		struct str end = { 0 };
		if (str_starts_nocase(html, STR("style")))
			end = STR("</style");
		else if (str_starts_nocase(html, STR("script")))
			end = STR("</script");
		if (end.n != 0)
			html = str_skip(html, str_find_nocase(html, end));
		size_t close = str_find(html, '>');
		/* "<joe@example.net>" is an address that somebody forgot to quote. */
		if (end.n == 0 && str_has_byte(str_sub(html, 0, close), '@') &&
		    !str_has_byte(str_sub(html, 0, close), '='))
			buf_add(b, str_sub(html, 0, close));
		else if (ends_line(str_sub(html, 0, close)))
			buf_add_byte(b, '\n');
		html = str_skip(html, close + 1);
	}
}

/* ---- is it one ---- */

static bool
has_any(struct str text, const struct str *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_find_nocase(text, words[i]) < text.n)
			return true;
	return false;
}
#define HAS_ANY(text, words) has_any((text), (words), COUNT_OF(words))

/* The value of a field of the mail, encoded words read, in the arena. */
static struct str
value_of(const struct report_parts *p, struct str header, struct str name)
{
	AUTO(buf_done) struct buf plain = { 0 };
	struct mail_field f;

	if (!mail_header_find(header, name, &f))
		return (struct str){ 0 };
	buf_init(&plain, 16384);
	rfc2047_decode(&plain, str_sub(mail_header_unfolded(p->a, f.value), 0, 4000));
	return arena_str(p->a, buf_str(&plain));
}

static bool
is_from_a_machine(const struct report_parts *p)
{
	static const struct str senders[] = { STR_INIT("mailer-daemon"), STR_INIT("postmaster"),
		STR_INIT("mailerdaemon"), STR_INIT("mail-daemon"), STR_INIT("mail delivery s") };
	struct str path = str_trim(value_of(p, p->content, STR("Return-Path")));
	struct str from = value_of(p, p->content, STR("From"));

	return str_eq(path, STR("<>")) || HAS_ANY(from, senders);
}

static bool
is_bounce(const struct report_parts *p, struct str subject)
{
	static const struct str words[] = { STR_INIT("undeliver"), STR_INIT("returned mail"),
		STR_INIT("returned to sender"), STR_INIT("delivery status"),
		STR_INIT("delivery fail"), STR_INIT("delivery has failed"),
		STR_INIT("delivery problem"), STR_INIT("delivery notification"),
		STR_INIT("failure notice"), STR_INIT("failed delivery"),
		STR_INIT("delivery failed"), STR_INIT("not delivered"),
		STR_INIT("could not be delivered"), STR_INIT("could not send"),
		STR_INIT("mail failure"), STR_INIT("delayed"), STR_INIT("退信"), STR_INIT("退回"),
		STR_INIT("投递失败"), STR_INIT("无法投递"), STR_INIT("发送失败"),
		STR_INIT("投递延迟"), STR_INIT("未送达") };
	struct mail_field f;

	return is_from_a_machine(p) &&
	       (HAS_ANY(subject, words) ||
		   mail_header_find(p->content, STR("X-Failed-Recipients"), &f));
}

static bool
is_delay(struct str subject, struct str text)
{
	static const struct str late[] = { STR_INIT("delayed"), STR_INIT("warning"),
		STR_INIT("延迟") };
	static const struct str going_on[] = { STR_INIT("will be retried"),
		STR_INIT("still being retried"), STR_INIT("do not need to resend"),
		STR_INIT("will continue to"), STR_INIT("继续尝试") };

	return HAS_ANY(subject, late) || HAS_ANY(text, going_on);
}

/* ---- addresses ---- */

static bool
is_local_byte(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && str_has_byte(STR("!#$%&'*+-/=?^_`{|}~."), c));
}

/* The first address in `s`, and where it ends. Empty: none. */
static struct str
find_address(struct str s, size_t *end_out)
{
	for (size_t at = str_find(s, '@'); at < s.n; at += 1 + str_find(str_skip(s, at + 1), '@')) {
		size_t from = at, to = at + 1;
		while (from > 0 && at - from < 64 && is_local_byte(s.p[from - 1]))
			from--;
		while (to < s.n && to - at < 254 &&
		       (ascii_is_alnum(s.p[to]) || s.p[to] == '-' || s.p[to] == '.'))
			to++;
		while (to > at + 1 && s.p[to - 1] == '.')
			to--;
		struct str domain = str_sub(s, at + 1, to - at - 1);
		if (from < at && str_has_byte(domain, '.')) {
			*end_out = to;
			return str_sub(s, from, to - from);
		}
	}
	*end_out = s.n;
	return (struct str){ 0 };
}

static void
add_address(struct mail_report *r, struct arena *a, struct str address, bool is_named)
{
	struct mail_report_rcpt *to;

	for (size_t i = 0; i < r->n_rcpts; i++)
		if (str_eq_nocase(r->rcpts[i].address, address))
			return;
	to = report_add(r, a);
	if (to != NULL)
		*to = (struct mail_report_rcpt){ .is_named = is_named,
			.address = arena_str(a, address) };
}

/* The addresses right behind `word`, wherever it stands. */
static void
add_behind(struct mail_report *r, struct arena *a, struct str text, struct str word)
{
	struct str rest = text;
	size_t end;

	for (;;) {
		size_t at = str_find_nocase(rest, word);
		if (at == rest.n)
			return;
		rest = str_skip(rest, at + word.n);
		/* On the rest of this line, or on the next where this one holds nothing. */
		struct str near = str_sub(rest, 0, 120);
		struct str address = find_address(near, &end);
		if (address.n != 0 && (size_t)(address.p - near.p) < 40)
			add_address(r, a, address, true);
	}
}

/* "<joe@example.net>:" at the start of a line, as qmail and Postfix write it. */
static void
add_line_starts(struct mail_report *r, struct arena *a, struct str text)
{
	struct str line;
	size_t end;

	while (str_cut(&text, '\n', &line)) {
		line = str_trim(line);
		if (line.n < 5 || line.p[0] != '<')
			continue;
		struct str address = find_address(str_sub(line, 0, 330), &end);
		if (address.n != 0 && address.p == line.p + 1 &&
		    str_starts(str_skip(line, end), STR(">:")))
			add_address(r, a, address, true);
	}
}

static void
add_all(struct mail_report *r, struct arena *a, struct str text, bool is_named)
{
	size_t end;

	for (unsigned i = 0; i < OTHERS_MAX && text.n != 0; i++) {
		struct str address = find_address(text, &end);
		if (address.n != 0)
			add_address(r, a, address, is_named);
		text = str_skip(text, end);
	}
}

static void
read_addresses(struct report_parts *p, struct mail_report *r, struct str text)
{
	static const struct str words[] = { STR_INIT("收件人"), STR_INIT("收信人"),
		STR_INIT("无法发送到"), STR_INIT("could not be delivered to"),
		STR_INIT("couldn't be delivered to"), STR_INIT("wasn't delivered to"),
		STR_INIT("delivery to the following recipient failed permanently"),
		STR_INIT("failed recipient"), STR_INIT("following addresses had") };

	add_all(r, p->a, value_of(p, p->content, STR("X-Failed-Recipients")), true);
	add_line_starts(r, p->a, text);
	for (size_t i = 0; i < COUNT_OF(words); i++)
		add_behind(r, p->a, text, words[i]);
	if (p->returned.n != 0)
		add_all(r, p->a, value_of(p, p->returned, STR("To")), false);
	add_all(r, p->a, text, false);
}

/* ---- the reason ---- */

/* Whether `line` holds a reply code or an enhanced one; the latter goes to *out. */
static bool
has_code(struct str line, struct smtp_enhanced *out)
{
	bool plain = false;

	for (size_t i = 0; i < line.n; i++) {
		char before = i > 0 ? line.p[i - 1] : ' ';
		if ((line.p[i] != '4' && line.p[i] != '5') || ascii_is_alnum(before) ||
		    before == '.' || before == '-' || before == ':')
			continue;
		size_t n = i;
		while (n < line.n && (ascii_is_digit(line.p[n]) || line.p[n] == '.'))
			n++;
		struct str word = str_sub(line, i, n - i);
		if (word.n > 1 && word.p[word.n - 1] == '.')
			word.n--;
		if (smtp_reply_parse_enhanced(word, out))
			return true;
		char after = n < line.n ? line.p[n] : ' ';
		plain |= word.n == 3 && !str_has_byte(word, '.') &&
			 (after == ' ' || after == '-') && word.p[1] < '6';
	}
	return plain;
}

/* What reasons without a code say. */
static struct smtp_enhanced
known_words(struct str text)
{
	static const struct {
		struct str word;
		struct smtp_enhanced status;
	} rows[] = { { STR_INIT("不存在"), { 5, 1, 1 } }, { STR_INIT("user unknown"), { 5, 1, 1 } },
		{ STR_INIT("no such user"), { 5, 1, 1 } },
		{ STR_INIT("does not exist"), { 5, 1, 1 } }, { STR_INIT("已满"), { 5, 2, 2 } },
		{ STR_INIT("空间不足"), { 5, 2, 2 } }, { STR_INIT("mailbox full"), { 5, 2, 2 } },
		{ STR_INIT("quota exceeded"), { 5, 2, 2 } }, { STR_INIT("垃圾邮件"), { 5, 7, 1 } },
		{ STR_INIT("频率"), { 4, 7, 0 } }, { STR_INIT("过大"), { 5, 3, 4 } },
		{ STR_INIT("域名"), { 5, 1, 2 } }, { STR_INIT("拒收"), { 5, 7, 1 } },
		{ STR_INIT("拒绝"), { 5, 7, 1 } } };

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_find_nocase(text, rows[i].word) < text.n)
			return rows[i].status;
	return SMTP_ENHANCED_NONE;
}

/* The words behind "退信原因", on the same line or the next one with words. */
static struct str
chinese_reason(struct str text)
{
	struct str word = STR("退信原因"), line = { 0 };
	size_t at = str_find_str(text, word);
	struct str rest = str_skip(text, at + word.n);

	if (at == text.n)
		return (struct str){ 0 };
	for (unsigned i = 0; i < 4 && str_cut(&rest, '\n', &line); i++) {
		line = str_trim(line);
		if (str_starts(line, STR("：")))
			line = str_trim(str_skip(line, STR("：").n));
		if (str_starts(line, STR(":")))
			line = str_trim(str_skip(line, 1));
		if (line.n != 0)
			return line;
	}
	return (struct str){ 0 };
}

static void
read_reason(struct report_parts *p, struct mail_report *r, struct str text, struct str subject)
{
	struct str rest = text, line, reason = { 0 }, words = chinese_reason(text);
	struct smtp_enhanced status = SMTP_ENHANCED_NONE;

	while (reason.n == 0 && str_cut(&rest, '\n', &line))
		if (has_code(line, &status))
			reason = str_trim(line);
	if (reason.n == 0)
		reason = words.n != 0 ? words : subject;
	if (status.cls == 0)
		status = known_words(words.n != 0 ? words : text);
	reason = arena_str(p->a, utf8_head(reason, LINE_KEPT));
	for (size_t i = 0; i < r->n_rcpts; i++) {
		r->rcpts[i].text = reason;
		r->rcpts[i].status = status;
	}
}

struct str
report_find_message_id(struct str text)
{
	struct str line, id;

	while (str_cut(&text, '\n', &line)) {
		line = str_trim(line);
		if (str_starts_nocase(line, STR("Message-ID:")) &&
		    mail_header_message_id(str_trim(str_skip(line, 11)), &id))
			return id;
	}
	return (struct str){ 0 };
}

/* Words behind which qmail and others put the whole message: not their own words any more. */
static struct str
own_words(struct str text)
{
	static const struct str ends[] = { STR_INIT("--- Below this line is a copy"),
		STR_INIT("------ This is a copy of"), STR_INIT("----- Original message"),
		STR_INIT("Original message headers:") };

	for (size_t i = 0; i < COUNT_OF(ends); i++)
		text = str_sub(text, 0, str_find_nocase(text, ends[i]));
	return text;
}

enum rc
report_read_text(struct report_parts *p, struct mail_report *out)
{
	struct str subject = value_of(p, p->content, STR("Subject"));
	struct str text = own_words(buf_str(&p->text));
	struct str from = value_of(p, p->content, STR("From"));
	size_t end;

	if (!is_bounce(p, subject))
		return RC_NOT_FOUND;
	read_addresses(p, out, text);
	if (out->n_rcpts == 0)
		return RC_NOT_FOUND;
	read_reason(p, out, text, subject);
	if (is_delay(subject, text))
		for (size_t i = 0; i < out->n_rcpts; i++)
			out->rcpts[i].action = MAIL_REPORT_DELAYED;
	struct str sender = find_address(from, &end);
	out->reporter = arena_str(p->a, str_skip(sender, str_find(sender, '@') + 1));
	return RC_OK;
}
