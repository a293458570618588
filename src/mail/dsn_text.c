/* The words of a delivery report.
 *
 * The reader is somebody whose message did not arrive and who has never heard of SMTP: first what
 * happened and to whom, then the server's own words, then what to do. What to do depends on the
 * status code; the table has a row for each that a sender can act on. */
#include "mail/dsn_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "codec/rfc2047.h"
#include "codec/utf8.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"

#define COLUMNS         72
/* Of a peer's reply, as much as a person will read. */
#define REPLY_SHOWN_MAX 2000

static const struct {
	uint16_t subject, detail;
	const char *text;
} advice[] = {
	{ 1, 1,
	    "Check the address for typing errors. If it looks right, ask the recipient in another way "
	    "whether it still exists." },
	{ 1, 2, "Check the part of the address after the @ for typing errors." },
	{ 1, 3, "Check the address: it is not written as an address should be." },
	{ 1, 6, "The recipient has moved. Ask for the new address in another way." },
	{ 1, 8,
	    "The server does not accept your own address as a sender. Show this report to whoever "
	    "manages your mail." },
	{ 1, 10,
	    "The recipient's domain takes no mail at all. Check the part of the address after the @." },
	{ 2, 1, "The mailbox is switched off. Ask the recipient in another way." },
	{ 2, 2, "The recipient's mailbox is full. Send the message again once there is room." },
	{ 2, 3,
	    "The message is too large for this mailbox. Send it smaller, or send a link instead." },
	{ 3, 4,
	    "The message is too large for that server. Send it smaller, or send a link instead." },
	{ 4, 7,
	    "The recipient's server could not take the message for too long. Send it again later, or "
	    "reach the recipient in another way." },
	{ 6, 7,
	    "The recipient's server does not support addresses in this alphabet. Ask for another "
	    "address." },
	{ 7, 1,
	    "The server refuses this message by its own rules. Its words above may say why; the "
	    "recipient can ask those who run it." },
};

/* Appends words wrapped at COLUMNS and an end of line. */
static void
add_prose(struct buf *b, const char *text)
{
	struct str rest = str_from(text), word;
	size_t column = 0;

	while (str_cut(&rest, ' ', &word)) {
		if (column != 0 && column + 1 + word.n > COLUMNS) {
			buf_add(b, STR("\r\n"));
			column = 0;
		}
		if (column != 0)
			buf_add_byte(b, ' ');
		buf_add(b, word);
		column += word.n + (column != 0);
	}
	buf_add(b, STR("\r\n"));
}

/* Appends what others wrote, indented, line for line; control characters become '?'. */
static void
add_quoted(struct buf *b, struct str text)
{
	struct str rest = utf8_head(text, REPLY_SHOWN_MAX), line;

	while (str_cut(&rest, '\n', &line)) {
		buf_add(b, STR("    "));
		for (size_t i = 0; i < line.n;) {
			uint32_t cp;
			size_t n = utf8_step(str_skip(line, i), &cp);
			bool fits = n != 0 && cp >= ' ' && !(cp >= 0x7f && cp < 0xa0);
			if (fits)
				buf_add(b, str_sub(line, i, n));
			else
				buf_add_byte(b, '?');
			i += n != 0 ? n : 1;
		}
		buf_add(b, STR("\r\n"));
	}
}

static void
add_reply(struct buf *b, const struct mail_dsn_rcpt *r)
{
	AUTO(buf_done) struct buf text = { 0 };

	buf_init(&text, REPLY_SHOWN_MAX + 64);
	buf_addf(&text, "%u ", r->code);
	if (r->status.cls != 0)
		buf_addf(&text, "%u.%u.%u ", r->status.cls, r->status.subject, r->status.detail);
	buf_add(&text, utf8_head(r->reply, REPLY_SHOWN_MAX));
	add_quoted(b, buf_str(&text));
}

static void
add_date(struct buf *b, const char *before, int64_t wall_us)
{
	AUTO(buf_done) struct buf line = { 0 };
	char date[MAIL_DATE_SIZE];

	buf_init(&line, 200);
	mail_date_format(wall_us, date);
	buf_addf(&line, "%s %s.", before, date);
	add_prose(b, buf_cstr(&line));
}

static const char *
find_advice(const struct mail_dsn_rcpt *r)
{
	for (size_t i = 0; i < COUNT_OF(advice); i++) {
		if (r->status.cls != 0 && r->status.subject == advice[i].subject &&
		    r->status.detail == advice[i].detail)
			return advice[i].text;
	}
	if (r->status.cls != 0 && r->status.subject == 7)
		return "The server refuses this message by its own rules. Its words above may say why.";
	return "If these words do not help, show this whole report to whoever manages your mail.";
}

static void
add_server(struct buf *b, struct str name)
{
	for (size_t i = 0; i < name.n && i < 255; i++)
		buf_add_byte(b, name.p[i] > ' ' && name.p[i] < 0x7f ? name.p[i] : '?');
	if (name.n != 0)
		buf_add_byte(b, ' ');
}

static void
add_rcpt(struct buf *b, const struct mail_dsn *d, const struct mail_dsn_rcpt *r)
{
	buf_add(b, STR("\r\n  "));
	mail_addr_format(b, &r->addr);
	buf_add(b, STR("\r\n\r\n"));
	if (r->code != 0 && d->kind != MAIL_DSN_RELAYED) {
		buf_add(b, STR("The server "));
		add_server(b, r->remote_mta);
		buf_add(b, STR("answered:\r\n\r\n"));
		add_reply(b, r);
		buf_add(b, STR("\r\n"));
	}
	if (r->reason.n != 0) {
		add_quoted(b, r->reason);
		buf_add(b, STR("\r\n"));
	}
	switch (d->kind) {
	case MAIL_DSN_FAILED: add_prose(b, find_advice(r)); break;
	case MAIL_DSN_DELAYED:
		if (r->retry_until_us != 0)
			add_date(b, "It will be tried again until", r->retry_until_us);
		break;
	case MAIL_DSN_RELAYED: break;
	}
}

/* What the message was about: by that its sender knows it. */
static void
add_subject(struct buf *b, struct str content)
{
	AUTO(buf_done) struct buf raw = { 0 };
	AUTO(buf_done) struct buf text = { 0 };
	struct mail_field f;

	buf_init(&raw, REPLY_SHOWN_MAX);
	buf_init(&text, REPLY_SHOWN_MAX * 4);
	if (!mail_header_find(content, STR("Subject"), &f) || f.value.n > REPLY_SHOWN_MAX)
		return;
	mail_header_unfold(&raw, f.value);
	rfc2047_decode(&text, buf_str(&raw));
	if (buf_len(&text) == 0 || !buf_is_ok(&text))
		return;
	buf_add(b, STR("Its subject:\r\n\r\n"));
	add_quoted(b, buf_str(&text));
	buf_add(b, STR("\r\n"));
}

void
mail_dsn_text_add(struct buf *b, const struct mail_dsn *d)
{
	bool many = d->rcpt_count > 1;

	buf_addf(b, "This is the mail server %.*s.\r\n\r\n", STR_ARG(d->hostname));
	switch (d->kind) {
	case MAIL_DSN_FAILED:
		add_prose(b,
		    many
			? "Your message could not be delivered to the addresses below. It will not "
			  "be tried again."
			: "Your message could not be delivered to the address below. It will not be "
			  "tried again.");
		break;
	case MAIL_DSN_DELAYED:
		add_prose(b,
		    "Your message has not been delivered yet. You need not do anything, and please "
		    "do not send it again: it is still being tried.");
		break;
	case MAIL_DSN_RELAYED:
		add_prose(b,
		    "Your message was handed on to a server that does not report when it is "
		    "delivered. No further report will come unless it fails.");
		break;
	}
	for (size_t i = 0; i < d->rcpt_count; i++)
		add_rcpt(b, d, &d->rcpts[i]);
	buf_add(b, STR("\r\n"));
	if (d->arrival_us != 0)
		add_date(b, "The message was accepted here on", d->arrival_us);
	add_subject(b, d->content);
	add_prose(b, d->kind == MAIL_DSN_FAILED && d->full
			 ? "The message itself is attached."
			 : "The header of the message is attached.");
}

const char *
mail_dsn_text_subject(const struct mail_dsn *d)
{
	switch (d->kind) {
	case MAIL_DSN_FAILED: return "Your message could not be delivered";
	case MAIL_DSN_DELAYED: return "Your message is delayed";
	case MAIL_DSN_RELAYED: return "Your message was handed on";
	}
	UNREACHABLE();
}
