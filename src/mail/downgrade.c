/* 8-bit to 7-bit: mail_recode with one wish. Stored content has been through submission repair, so
 * its lines are short already; were one not, it would be mended here too. */
#include "mail/downgrade.h"

#include "mail/recode.h"
#include "mail/scan.h"

enum rc
mail_downgrade(struct str content, struct mail_pieces *out, const char **why_out)
{
	static const struct mail_recode_opts opts = { .seven_bit = true };
	struct mail_scan scan;

	mail_scan(content, &scan);
	if (scan.header_8bit) {
		*why_out =
		    "its header holds characters beyond ASCII, which only a server with SMTPUTF8 "
		    "takes";
		return RC_INVALID;
	}
	return mail_recode(content, &scan, &opts, out, why_out);
}
