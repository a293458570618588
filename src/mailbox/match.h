/* Which recipient of ours a delivery report is about, and whose fault it says it was.
 *
 * On a pool thread, with a reader of the store. */
#pragma once

#include "mail/report.h"
#include "mailbox/service.h"

struct store_reader;
struct store_relay_version_row;

/* One recipient that a report is about. */
struct mailbox_matched {
	struct store_report_row row; /* `mailbox` and `source` are the caller's to fill in */
	struct str rcpt_domain;      /* in A-labels; may be empty */
	struct relay_verdict verdict;
};

struct mailbox_match {
	struct str hostname; /* ours: our own Received field tells when a message was accepted */
	int64_t now_us;
	const struct store_relay_version_row *versions;
	uint32_t n_versions;
	/* results, in the arena given */
	struct mailbox_matched *found;
	size_t n_found;
};

/* RC_NOT_FOUND: it is about no message that is known. Other errors: the store cannot be read now.
 */
enum rc mailbox_match_report(struct store_reader *r, const struct mail_report *report,
    struct mailbox_match *m, struct arena *a, struct fault *f);
