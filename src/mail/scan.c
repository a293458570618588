/* One pass over content.
 *
 * The header is walked field by field against a table; the body line by line with memchr, eight
 * bytes at a time for the 8-bit test. Nothing is decoded: what needs decoding (who is in From,
 * which option is asked for) is left to those who need it, as views. */
#include "mail/scan.h"

#include <string.h>

#include "base/check.h"
#include "mail/header.h"
#include "mail/mime.h"

static const char *const option_names[] = {
	[MAIL_OPTION_STREAM] = "Stream",
	[MAIL_OPTION_TAG] = "Tag",
	[MAIL_OPTION_DOUBT] = "Doubt",
	[MAIL_OPTION_DEADLINE] = "Deadline",
	[MAIL_OPTION_SEND_AT] = "Send-At",
};
static_assert(COUNT_OF(option_names) == MAIL_OPTION_COUNT, "every option has a name");

static const char *const seal_texts[] = {
	[MAIL_SEAL_NONE] = "",
	[MAIL_SEAL_DKIM] = "it is DKIM-signed",
	[MAIL_SEAL_SIGNED] = "it is signed",
	[MAIL_SEAL_ENCRYPTED] = "it is encrypted",
	[MAIL_SEAL_SMIME] = "it is signed or encrypted with S/MIME",
	[MAIL_SEAL_PGP] = "it is signed or encrypted with PGP",
};

static void
set_first(struct str *to, struct str value)
{
	if (to->p == NULL)
		*to = value;
}

static void
see_option(struct mail_scan *s, const struct mail_field *f, struct str option)
{
	s->has_options = true;
	for (size_t i = 0; i < MAIL_OPTION_COUNT; i++) {
		if (!str_eq_nocase(option, str_from(option_names[i])))
			continue;
		if (s->options[i].p != NULL)
			set_first(&s->bad_option, f->name);
		set_first(&s->options[i], str_trim(f->value));
		return;
	}
	set_first(&s->bad_option, f->name);
}

static void
see_content_type(struct mail_scan *s, struct str value)
{
	static const struct {
		struct str type, subtype;
		enum mail_seal seal;
	} rows[] = {
		{ STR_INIT("multipart"), STR_INIT("signed"), MAIL_SEAL_SIGNED },
		{ STR_INIT("multipart"), STR_INIT("encrypted"), MAIL_SEAL_ENCRYPTED },
		{ STR_INIT("application"), STR_INIT("pkcs7-mime"), MAIL_SEAL_SMIME },
		{ STR_INIT("application"), STR_INIT("x-pkcs7-mime"), MAIL_SEAL_SMIME },
	};
	struct mail_mime_type t;

	mail_mime_type_parse(value, &t);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (s->seal == MAIL_SEAL_NONE &&
		    mail_mime_type_is(&t, rows[i].type, rows[i].subtype))
			s->seal = rows[i].seal;
	}
}

enum seen {
	SEEN_FROM,
	SEEN_SENDER,
	SEEN_REPLY_TO,
	SEEN_SUBJECT,
	SEEN_DATE,
	SEEN_MESSAGE_ID,
	SEEN_BCC,
	SEEN_RECEIVED,
	SEEN_LIST,
	SEEN_PRECEDENCE,
	SEEN_DKIM,
	SEEN_CONTENT_TYPE,
};

static const struct {
	struct str name;
	enum seen seen;
} fields[] = {
	{ STR_INIT("From"), SEEN_FROM },
	{ STR_INIT("Sender"), SEEN_SENDER },
	{ STR_INIT("Reply-To"), SEEN_REPLY_TO },
	{ STR_INIT("Subject"), SEEN_SUBJECT },
	{ STR_INIT("Date"), SEEN_DATE },
	{ STR_INIT("Message-ID"), SEEN_MESSAGE_ID },
	{ STR_INIT("Bcc"), SEEN_BCC },
	{ STR_INIT("Resent-Bcc"), SEEN_BCC },
	{ STR_INIT("Received"), SEEN_RECEIVED },
	{ STR_INIT("List-Unsubscribe"), SEEN_LIST },
	{ STR_INIT("List-Id"), SEEN_LIST },
	{ STR_INIT("Precedence"), SEEN_PRECEDENCE },
	{ STR_INIT("DKIM-Signature"), SEEN_DKIM },
	{ STR_INIT("Content-Type"), SEEN_CONTENT_TYPE },
};

static void
see_known(struct mail_scan *s, const struct mail_field *f, enum seen seen)
{
	switch (seen) {
	case SEEN_FROM:
		s->from_count++;
		set_first(&s->from, f->value);
		break;
	case SEEN_SENDER: set_first(&s->sender, f->value); break;
	case SEEN_REPLY_TO: set_first(&s->reply_to, f->value); break;
	case SEEN_SUBJECT: set_first(&s->subject, f->value); break;
	case SEEN_DATE:
		s->has_date = true;
		set_first(&s->date, f->value);
		break;
	case SEEN_MESSAGE_ID:
		s->has_message_id = true;
		set_first(&s->message_id, f->value);
		break;
	case SEEN_BCC: s->has_bcc = true; break;
	case SEEN_RECEIVED: s->received_count++; break;
	case SEEN_LIST: s->is_bulk = true; break;
	case SEEN_PRECEDENCE:
		s->is_bulk = s->is_bulk || str_eq_nocase(str_trim(f->value), STR("bulk"));
		break;
	case SEEN_DKIM: s->seal = MAIL_SEAL_DKIM; break;
	case SEEN_CONTENT_TYPE: see_content_type(s, f->value); break;
	}
}

static void
see_field(struct mail_scan *s, const struct mail_field *f)
{
	static const struct str prefix = STR_INIT("X-Posthouse-");

	if (str_starts_nocase(f->name, prefix)) {
		see_option(s, f, str_skip(f->name, prefix.n));
		return;
	}
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		if (str_eq_nocase(f->name, fields[i].name)) {
			see_known(s, f, fields[i].seen);
			return;
		}
	}
}

static bool
has_8bit(struct str s)
{
	uint64_t all = 0, word;

	for (; s.n >= sizeof(word); s = str_make(s.p + sizeof(word), s.n - sizeof(word))) {
		memcpy(&word, s.p, sizeof(word));
		all |= word;
	}
	for (size_t i = 0; i < s.n; i++)
		all |= (uint8_t)s.p[i];
	return (all & 0x8080808080808080u) != 0;
}

/* Longest line and bare line ends of `text`; PGP armour where `in_body`. */
static void
see_lines(struct mail_scan *s, struct str text, bool in_body)
{
	size_t longest = 0;

	while (text.n != 0) {
		size_t nl = str_find(text, '\n');
		struct str line = str_sub(text, 0, nl);
		if (nl < text.n && nl != 0 && line.p[nl - 1] == '\r')
			line.n--;
		else if (nl < text.n)
			s->bare_eol = true;
		s->bare_eol = s->bare_eol || str_has_byte(line, '\r');
		longest = line.n > longest ? line.n : longest;
		if (in_body && line.n != 0 && line.p[0] == '-' && s->seal == MAIL_SEAL_NONE &&
		    (str_eq(line, STR("-----BEGIN PGP MESSAGE-----")) ||
			str_eq(line, STR("-----BEGIN PGP SIGNED MESSAGE-----"))))
			s->seal = MAIL_SEAL_PGP;
		text = str_skip(text, nl + 1);
	}
	if (in_body)
		s->longest_body_line = longest;
	else
		s->longest_header_line = longest;
}

void
mail_scan(struct str content, struct mail_scan *out)
{
	struct mail_field f;
	struct str header, body;

	*out = (struct mail_scan){ 0 };
	struct mail_header_iter it = mail_header_start(content);
	out->has_mbox_line = it.rest.n != content.n;
	while (mail_header_next(&it, &f))
		see_field(out, &f);
	out->header_size = content.n - it.rest.n;
	size_t separator = str_starts(it.rest, STR("\r\n")) ? 2 : str_starts(it.rest, STR("\n"));
	out->has_separator = separator != 0;
	out->body_at = out->header_size + separator;
	header = str_sub(content, 0, out->header_size);
	body = str_skip(content, out->body_at);
	out->bare_eol = separator == 1;
	out->has_nul = str_has_byte(content, '\0');
	out->header_8bit = has_8bit(header);
	out->body_8bit = has_8bit(body);
	see_lines(out, header, false);
	see_lines(out, body, true);
}

const char *
mail_scan_option_name(enum mail_option o)
{
	ASSERT((size_t)o < MAIL_OPTION_COUNT);
	return option_names[o];
}

const char *
mail_scan_seal_text(enum mail_seal s)
{
	ASSERT((size_t)s < COUNT_OF(seal_texts));
	return seal_texts[s];
}
