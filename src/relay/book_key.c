/* Group keys.
 *
 * A book knows for each attribute what it tells apart: the accounts, recipient domains, senders and
 * sender domains that some route, sender list or rewrite names, whether any route asks for the
 * stream, and whether the null sender is anything special. A key keeps of a recipient exactly that.
 * So each key stands for a set of recipients, the sets of one book do not overlap, and a decision
 * taken for one member holds for all.
 *
 * A later book may name something that lay inside such a set; then the set splits. `from` tells
 * what was outside the set already, because it had a key of its own. */
#include "base/buf.h"
#include "base/check.h"
#include "mail/address.h"
#include "relay/book.h"
#include "relay/private.h"

static void
add_lower(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(b, ascii_lower(s.p[i]));
}

/* What is kept of a canonical sender. */
static struct str
sender_word(const struct relay_book *book, struct str sender)
{
	struct str domain = relay_sender_domain(sender);

	if (str_eq(sender, STR("<>")))
		return book->null_mark ? sender : STR("*");
	if (relay_book_has_name(&book->sender_marks, sender))
		return sender;
	return relay_book_has_name(&book->sender_marks, domain) ? domain : STR("*");
}

void
relay_book_group_key(const struct relay_book *book, struct account_id account,
    const struct mail_addr *sender, struct str rcpt_domain, enum stream stream, struct buf *key)
{
	char room[RELAY_SENDER_TEXT_MAX], rcpt[MAIL_ADDR_DOMAIN_MAX];
	struct str domain = str_make(rcpt, 0);

	if (!ID_IS_NONE(account) && relay_book_has_account(book, account.v))
		buf_addf(key, "%llu ", (unsigned long long)account.v);
	else
		buf_add(key, STR("* "));
	buf_add(key, str_from(book->stream_mark ? mail_stream_name(stream) : "*"));
	buf_add_byte(key, ' ');
	for (; rcpt_domain.n <= sizeof(rcpt) && domain.n < rcpt_domain.n; domain.n++)
		rcpt[domain.n] = ascii_lower(rcpt_domain.p[domain.n]);
	if (relay_book_has_name(&book->rcpt_marks, domain))
		add_lower(key, domain);
	else
		buf_add_byte(key, '*');
	buf_add_byte(key, ' ');
	buf_add(key, sender_word(book, relay_sender_of(sender, room)));
}

/* Cuts the word before the first blank off *rest; empty when there is no blank. */
static struct str
next_word(struct str *rest)
{
	size_t n = str_find(*rest, ' ');
	struct str word = str_sub(*rest, 0, n == rest->n ? 0 : n);

	*rest = str_skip(*rest, n == rest->n ? 0 : n + 1);
	return word;
}

enum rc
relay_book_read_key(struct str key, struct book_pattern *out)
{
	struct book_pattern p = { .stream = -1 };
	struct str account = next_word(&key), stream = next_word(&key), rcpt = next_word(&key);
	enum stream lane;

	if (!str_eq(account, STR("*")) &&
	    (str_to_u64(account, &p.account) != RC_OK || p.account == 0))
		return RC_INVALID;
	if (!str_eq(stream, STR("*"))) {
		if (!mail_stream_parse(stream, &lane))
			return RC_INVALID;
		p.stream = (int)lane;
	}
	if (rcpt.n == 0 || rcpt.n > MAIL_ADDR_DOMAIN_MAX)
		return RC_INVALID;
	if (!str_eq(rcpt, STR("*")))
		p.rcpt_domain = rcpt;
	if (key.n == 0 || key.n > RELAY_SENDER_TEXT_MAX)
		return RC_INVALID;
	if (!str_eq(key, STR("*"))) {
		if (!str_eq(key, STR("<>")) && !str_has_byte(key, '@'))
			return RC_INVALID;
		p.sender = key;
	}
	*out = p;
	return RC_OK;
}

/* Whether `to` names an account, or a recipient domain, that was not told apart before. */
static bool
has_new_account(const struct relay_book *from, const struct relay_book *to)
{
	for (size_t i = 0; i < to->account_mark_count; i++) {
		if (from == NULL || !relay_book_has_account(from, to->account_marks[i]))
			return true;
	}
	return false;
}

static bool
has_new_rcpt(const struct relay_book *from, const struct relay_book *to)
{
	for (size_t i = 0; i < to->rcpt_marks.n; i++) {
		if (from == NULL || !relay_book_has_name(&from->rcpt_marks, to->rcpt_marks.v[i]))
			return true;
	}
	return false;
}

/* Whether `to` names a sender that `word`, "" or "@domain", covered under `from`. */
static bool
has_new_sender(const struct relay_book *from, const struct relay_book *to, struct str word)
{
	if (word.n == 0 && to->null_mark && (from == NULL || !from->null_mark))
		return true;
	for (size_t i = 0; i < to->sender_marks.n; i++) {
		struct str mark = to->sender_marks.v[i], domain = relay_sender_domain(mark);
		if (from != NULL && relay_book_has_name(&from->sender_marks, mark))
			continue;
		if (word.n != 0 && (!str_eq(domain, word) || str_eq(mark, word)))
			continue;
		if (word.n == 0 && from != NULL && relay_book_has_name(&from->sender_marks, domain))
			continue;
		return true;
	}
	return false;
}

bool
relay_book_splits(const struct relay_book *from, const struct relay_book *to, struct str key)
{
	struct book_pattern p;

	if (relay_book_read_key(key, &p) != RC_OK)
		return true;
	if (p.account == 0 && has_new_account(from, to))
		return true;
	if (p.stream < 0 && to->stream_mark && (from == NULL || !from->stream_mark))
		return true;
	if (p.rcpt_domain.n == 0 && has_new_rcpt(from, to))
		return true;
	bool covers_many = p.sender.n == 0 || str_starts(p.sender, STR("@"));
	return covers_many && has_new_sender(from, to, p.sender);
}
