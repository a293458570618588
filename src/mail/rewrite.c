/* The first mailbox of the first From is replaced where it stands; further mailboxes of the field
 * stay, because a relay looks at the first only, and a message with several authors keeps the
 * others. */
#include "mail/rewrite.h"

#include "base/arena.h"
#include "mail/header.h"
#include "mail/mailbox.h"
#include "mail/scan.h"

enum rc
mail_rewrite_from(
    struct str content, struct str sender, struct mail_pieces *out, const char **why_out)
{
	struct mail_scan scan;
	struct mail_field from;
	struct mail_mailbox_list list;
	const char *why;

	mail_scan(content, &scan);
	if (scan.seal != MAIL_SEAL_NONE) {
		*why_out = mail_scan_seal_text(scan.seal);
		return RC_DENIED;
	}
	if (!mail_header_find(content, STR("From"), &from) ||
	    mail_mailbox_parse(from.value, out->arena, &list, &why) != RC_OK || list.n == 0) {
		*why_out = "it has no From that can be read";
		return RC_NOT_FOUND;
	}
	size_t start = (size_t)(list.v[0].span.p - content.p);
	size_t end = start + list.v[0].span.n;
	if (str_eq(list.v[0].span, sender)) {
		mail_pieces_add(out, content);
		return RC_OK;
	}
	if (scan.reply_to.p == NULL) {
		struct str old = mail_header_unfolded(out->arena, from.value);
		mail_pieces_add(out, arena_strf(out->arena, "Reply-To: %.*s\r\n", STR_ARG(old)));
	}
	mail_pieces_add(out, str_sub(content, 0, start));
	mail_pieces_add_copy(out, sender);
	mail_pieces_add(out, str_skip(content, end));
	return RC_OK;
}
