/* What local programs pipe in has Unix line ends, sometimes a lone CR of a progress bar or a NUL.
 * The service refuses all of these on the wire, where they are attacks or bugs; from a local pipe
 * they are only text, and losing a report of cron over them would help nobody. */
#include "cli/raw.h"

#include "mail/address.h"
#include "mail/header.h"
#include "mail/mailbox.h"

void
cli_raw_normalise(struct buf *out, struct str in, unsigned flags)
{
	size_t at = 0;

	while (at < in.n) {
		size_t end = at;
		while (end < in.n && in.p[end] != '\n' && in.p[end] != '\r')
			end++;
		struct str line = str_sub(in, at, end - at);
		if ((flags & CLI_RAW_DOT_ENDS) != 0 && str_eq(line, STR(".")))
			return;
		if ((flags & CLI_RAW_NO_NULS) != 0 && str_has_byte(line, '\0')) {
			for (size_t i = 0; i < line.n; i++) {
				if (line.p[i] != '\0')
					buf_add_byte(out, line.p[i]);
			}
		} else {
			buf_add(out, line);
		}
		buf_add(out, STR("\r\n"));
		at = end + 1;
		if (end + 1 < in.n && in.p[end] == '\r' && in.p[end + 1] == '\n')
			at++;
	}
}

void
cli_raw_complete(struct buf *out, struct str in, struct str from)
{
	struct mail_header_iter it = mail_header_start(in);
	struct mail_field field;
	const char *start = it.rest.p;
	bool has_from = false;

	while (mail_header_next(&it, &field))
		has_from |= str_eq_nocase(field.name, STR("From"));
	struct str header = { 0 };
	if (it.rest.n < in.n)
		header = str_make(start, (size_t)(in.p + in.n - start) - it.rest.n);
	else if (in.n != 0 && it.rest.n == 0)
		header = in;
	if (!has_from && from.n != 0) {
		buf_add(out, STR("From: "));
		buf_add(out, from);
		buf_add(out, STR("\r\n"));
	}
	buf_add(out, header);
	if (!str_starts(it.rest, STR("\r\n")))
		buf_add(out, STR("\r\n"));
	buf_add(out, it.rest);
}

void
cli_raw_add(struct arena *a, struct cli_raw_list *list, struct str address, struct str domain)
{
	if (domain.n != 0 && !str_has_byte(address, '@'))
		address = arena_strf(a, "%.*s@%.*s", STR_ARG(address), STR_ARG(domain));
	for (size_t i = 0; i < list->n; i++) {
		if (str_eq(list->v[i], address))
			return;
	}
	if (list->n == list->cap) {
		size_t cap = list->cap != 0 ? list->cap * 2 : 16;
		struct str *more = ARENA_NEW_ARRAY(a, struct str, cap);
		for (size_t i = 0; i < list->n; i++)
			more[i] = list->v[i];
		list->v = more;
		list->cap = cap;
	}
	list->v[list->n++] = arena_str(a, address);
}

static struct str
path_of(struct arena *a, const struct mail_addr *addr)
{
	struct buf b;

	buf_init(&b, 4096);
	mail_addr_format(&b, addr);
	struct str out = arena_str(a, buf_str(&b));
	buf_done(&b);
	return out;
}

/* Words without a domain ("root, bob"), which the grammar of addresses does not have. */
static bool
add_local_names(struct arena *a, struct cli_raw_list *list, struct str value, struct str domain)
{
	struct str rest = mail_header_unfolded(a, value), item;
	struct str check = rest;
	const char *why;
	struct mail_addr addr;

	if (domain.n == 0)
		return false;
	while (str_cut(&check, ',', &item)) {
		struct str whole = str_trim(item);
		if (whole.n == 0)
			continue;
		if (!str_has_byte(whole, '@'))
			whole = arena_strf(a, "%.*s@%.*s", STR_ARG(whole), STR_ARG(domain));
		struct mail_mailbox_list one;
		if (mail_addr_parse(whole, MAIL_ADDR_UTF8, a, &addr, &why) != RC_OK &&
		    (mail_mailbox_parse(whole, a, &one, &why) != RC_OK || one.n != 1))
			return false;
	}
	while (str_cut(&rest, ',', &item)) {
		struct str whole = str_trim(item);
		struct mail_mailbox_list one;
		if (whole.n == 0)
			continue;
		if (str_has_byte(whole, '@') && mail_mailbox_parse(whole, a, &one, &why) == RC_OK &&
		    one.n == 1)
			whole = path_of(a, &one.v[0].addr);
		cli_raw_add(a, list, whole, domain);
	}
	return true;
}

static enum rc
add_field(struct arena *a, struct cli_raw_list *list, const struct mail_field *field,
    struct str domain, struct fault *f)
{
	struct mail_mailbox_list found;
	const char *why = "";

	if (mail_mailbox_parse(field->value, a, &found, &why) == RC_OK) {
		for (size_t i = 0; i < found.n; i++)
			cli_raw_add(a, list, path_of(a, &found.v[i].addr), domain);
		return RC_OK;
	}
	if (add_local_names(a, list, field->value, domain))
		return RC_OK;
	return fault_set(
	    f, RC_INVALID, "the %.*s field cannot be read: %s", STR_ARG(field->name), why);
}

enum rc
cli_raw_recipients(struct str message, struct arena *a, struct cli_raw_list *list,
    struct str domain, struct fault *f)
{
	static const struct str names[] = { STR_INIT("Resent-To"), STR_INIT("Resent-Cc"),
		STR_INIT("Resent-Bcc"), STR_INIT("To"), STR_INIT("Cc"), STR_INIT("Bcc") };
	struct mail_header_iter it = mail_header_start(message);
	struct mail_field field;
	size_t first = 3, end = 6;

	for (size_t i = 0; i < 3; i++) {
		if (mail_header_count(message, names[i]) != 0) {
			first = 0;
			end = 3;
		}
	}
	while (mail_header_next(&it, &field)) {
		for (size_t i = first; i < end; i++) {
			if (!str_eq_nocase(field.name, names[i]))
				continue;
			enum rc rc = add_field(a, list, &field, domain, f);
			if (rc != RC_OK)
				return rc;
		}
	}
	return RC_OK;
}

struct str
cli_raw_sender(struct str message, struct arena *a)
{
	static const struct str names[] = { STR_INIT("Sender"), STR_INIT("From") };
	struct mail_field field;
	struct mail_mailbox_list found;
	const char *why;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (mail_header_find(message, names[i], &field) &&
		    mail_mailbox_parse(field.value, a, &found, &why) == RC_OK && found.n != 0)
			return path_of(a, &found.v[0].addr);
	}
	return (struct str){ 0 };
}
