/* Folders: their names in modified UTF-7, and what they are for.
 *
 * Modified UTF-7 is UTF-16 in base64 with ',' for '/', between '&' and '-'; "&-" is '&'. Names that
 * are used without attributes come from what mail servers and their users call such folders; the
 * last part of a path decides, so "INBOX.Junk" and "[Gmail]/Spam" are found. */
#include "codec/base64.h"
#include "codec/imap.h"
#include "codec/utf8.h"

#define ENCODED_MAX 2048u

/* UTF-16 in network order to UTF-8. False: a lone surrogate or half a unit. */
static bool
add_utf16(struct buf *b, struct str s)
{
	for (size_t i = 0; i + 1 < s.n; i += 2) {
		uint32_t u = (uint32_t)(unsigned char)s.p[i] << 8 | (unsigned char)s.p[i + 1];
		if (u >= 0xdc00 && u < 0xe000)
			return false;
		if (u >= 0xd800 && u < 0xdc00) {
			i += 2;
			if (i + 1 >= s.n)
				return false;
			uint32_t low =
			    (uint32_t)(unsigned char)s.p[i] << 8 | (unsigned char)s.p[i + 1];
			if (low < 0xdc00 || low >= 0xe000)
				return false;
			u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
		}
		if (u < ' ' || u == 0x7f)
			return false;
		utf8_add(b, u);
	}
	return s.n % 2 == 0;
}

/* What stood between '&' and '-'. */
static bool
add_shifted(struct buf *b, struct str s)
{
	AUTO(buf_done) struct buf plain = { 0 }, bytes = { 0 };

	if (s.n > ENCODED_MAX)
		return false;
	buf_init(&plain, ENCODED_MAX + 8);
	buf_init(&bytes, ENCODED_MAX + 8);
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(&plain, s.p[i] == ',' ? '/' : s.p[i]);
	return base64_decode_mime(&bytes, buf_str(&plain)) && add_utf16(b, buf_str(&bytes));
}

void
imap_folder_decode(struct buf *b, struct str name)
{
	size_t start = buf_len(b);
	struct str rest = name;
	bool ok = true;

	while (rest.n != 0 && ok) {
		size_t at = str_find(rest, '&');
		buf_add(b, str_sub(rest, 0, at));
		if (at == rest.n)
			break;
		rest = str_skip(rest, at + 1);
		size_t end = str_find(rest, '-');
		ok = end < rest.n;
		if (end == 0)
			buf_add_byte(b, '&');
		else if (ok)
			ok = add_shifted(b, str_sub(rest, 0, end));
		rest = str_skip(rest, end + 1);
	}
	if (ok)
		return;
	buf_truncate(b, start);
	buf_add(b, name);
}

static const char *const role_names[] = {
	[IMAP_ROLE_NONE] = "none",
	[IMAP_ROLE_INBOX] = "inbox",
	[IMAP_ROLE_JUNK] = "junk",
	[IMAP_ROLE_SENT] = "sent",
	[IMAP_ROLE_TRASH] = "trash",
	[IMAP_ROLE_DRAFTS] = "drafts",
	[IMAP_ROLE_ALL] = "all",
};
static_assert(COUNT_OF(role_names) == IMAP_ROLE_COUNT, "every role has a name");

const char *
imap_role_name(enum imap_role role)
{
	return role_names[role];
}

enum imap_role
imap_role_of_attributes(const struct imap_value *first)
{
	static const struct {
		struct str word;
		enum imap_role role;
	} rows[] = { { STR_INIT("\\Junk"), IMAP_ROLE_JUNK }, { STR_INIT("\\Spam"), IMAP_ROLE_JUNK },
		{ STR_INIT("\\Sent"), IMAP_ROLE_SENT }, { STR_INIT("\\Trash"), IMAP_ROLE_TRASH },
		{ STR_INIT("\\Drafts"), IMAP_ROLE_DRAFTS }, { STR_INIT("\\All"), IMAP_ROLE_ALL },
		{ STR_INIT("\\AllMail"), IMAP_ROLE_ALL },
		{ STR_INIT("\\Inbox"), IMAP_ROLE_INBOX } };

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (imap_value_has(first, rows[i].word))
			return rows[i].role;
	return IMAP_ROLE_NONE;
}

enum imap_role
imap_role_of_name(struct str name, char delimiter)
{
	static const struct {
		struct str word;
		enum imap_role role;
	} rows[] = { { STR_INIT("Junk"), IMAP_ROLE_JUNK }, { STR_INIT("Spam"), IMAP_ROLE_JUNK },
		{ STR_INIT("Junk E-mail"), IMAP_ROLE_JUNK },
		{ STR_INIT("Junk Email"), IMAP_ROLE_JUNK },
		{ STR_INIT("Bulk Mail"), IMAP_ROLE_JUNK }, { STR_INIT("Bulk"), IMAP_ROLE_JUNK },
		{ STR_INIT("Spamverdacht"), IMAP_ROLE_JUNK },
		{ STR_INIT("\xe5\x9e\x83\xe5\x9c\xbe\xe9\x82\xae\xe4\xbb\xb6"), IMAP_ROLE_JUNK },
		{ STR_INIT("\xe5\x9e\x83\xe5\x9c\xbe\xe7\xae\xb1"), IMAP_ROLE_JUNK },
		{ STR_INIT("\xe5\xb9\xbf\xe5\x91\x8a\xe9\x82\xae\xe4\xbb\xb6"), IMAP_ROLE_JUNK },
		{ STR_INIT("Sent"), IMAP_ROLE_SENT }, { STR_INIT("Sent Messages"), IMAP_ROLE_SENT },
		{ STR_INIT("Sent Items"), IMAP_ROLE_SENT },
		{ STR_INIT("Sent Mail"), IMAP_ROLE_SENT },
		{ STR_INIT("\xe5\xb7\xb2\xe5\x8f\x91\xe9\x80\x81"), IMAP_ROLE_SENT },
		{ STR_INIT("Trash"), IMAP_ROLE_TRASH },
		{ STR_INIT("Deleted Items"), IMAP_ROLE_TRASH },
		{ STR_INIT("Deleted Messages"), IMAP_ROLE_TRASH },
		{ STR_INIT("\xe5\xb7\xb2\xe5\x88\xa0\xe9\x99\xa4"), IMAP_ROLE_TRASH },
		{ STR_INIT("Drafts"), IMAP_ROLE_DRAFTS },
		{ STR_INIT("\xe8\x8d\x89\xe7\xa8\xbf\xe7\xae\xb1"), IMAP_ROLE_DRAFTS } };
	AUTO(buf_done) struct buf plain = { 0 };

	if (str_eq_nocase(name, STR("INBOX")))
		return IMAP_ROLE_INBOX;
	buf_init(&plain, ENCODED_MAX * 4);
	imap_folder_decode(&plain, str_sub(name, 0, ENCODED_MAX));
	struct str last = buf_str(&plain);
	size_t at = delimiter != '\0' ? str_find_last(last, delimiter) : last.n;
	if (at < last.n)
		last = str_skip(last, at + 1);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eq_nocase(last, rows[i].word))
			return rows[i].role;
	return IMAP_ROLE_NONE;
}
