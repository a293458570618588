/* Messages have no index by Message-ID, so the time of acceptance is found first: in our own
 * Received field of the header that came back, to the second; else the Date of the message gives
 * days, and failing that the last week is looked through. What takes longer than a second is given
 * up: a report that cannot be tied is no loss that anybody would notice, a stalled reader is.
 *
 * Without any id only an address that the report names as failed counts, and then the newest mail
 * that was sent there: that is said beside the report, since it is likely and not certain. */
#include "mailbox/match.h"

#include "base/clock.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"
#include "relay/provider.h"
#include "store/config_relay.h"
#include "store/query_message.h"
#include "store/reader.h"

#define READS_MAX      20u
#define RECIPIENT_PAGE 1000u
#define RECIPIENTS_MAX 20000u

struct window {
	int64_t since_us, until_us;
};

/* ---- when ---- */

/* The time of our own Received field; 0: it is not there. */
static int64_t
received_here(struct str header, struct str hostname, struct arena *a)
{
	struct mail_header_iter it = mail_header_start(header);
	struct mail_field f;
	int64_t at_us = 0;

	while (mail_header_next(&it, &f)) {
		if (!str_eq_nocase(f.name, STR("Received")))
			continue;
		struct str v = mail_header_unfolded(a, f.value);
		size_t by = str_find_str(v, STR("by "));
		if (by == v.n || !str_starts_nocase(str_skip(v, by + 3), hostname))
			continue;
		struct str date = str_skip(v, str_find_last(v, ';') + 1);
		if (mail_date_parse(date, &at_us) == RC_OK)
			return at_us;
	}
	return 0;
}

/* Where to look, narrowest first; how many in *out. */
static size_t
windows(const struct mail_report *report, const struct mailbox_match *m, struct arena *a,
    struct window out[static 3])
{
	int64_t at_us = received_here(report->returned, m->hostname, a);
	struct mail_field f;
	size_t n = 0;

	if (at_us != 0)
		out[n++] = (struct window){ at_us - MINUTES(2), at_us + MINUTES(2) };
	else if (mail_header_find(report->returned, STR("Date"), &f) &&
		 mail_date_parse(mail_header_unfolded(a, f.value), &at_us) == RC_OK)
		out[n++] = (struct window){ at_us - HOURS(1), at_us + HOURS(6) };
	out[n++] = (struct window){ m->now_us - DAYS(7), m->now_us };
	return n;
}

/* ---- which message ---- */

static enum rc
search(struct store_reader *r, struct store_report_search *q, struct fault *f)
{
	enum rc rc = RC_AGAIN;

	for (unsigned i = 0; i < READS_MAX && rc == RC_AGAIN; i++)
		rc = store_report_find(r, q, f);
	return rc == RC_AGAIN ? RC_NOT_FOUND : rc;
}

static enum rc /* NOLINTNEXTLINE(readability-function-size): what, with what, whereto */
find_message(struct store_reader *r, const struct mail_report *report,
    const struct mailbox_match *m, struct arena *a, struct store_report_search *out,
    enum store_match *how_out, struct fault *f)
{
	struct window w[3];
	size_t n = windows(report, m, a, w);
	enum rc rc = RC_NOT_FOUND;

	for (size_t i = 0; i < n && rc == RC_NOT_FOUND; i++) {
		struct store_report_search q = { .since_us = w[i].since_us,
			.until_us = w[i].until_us };
		if (report->message_id.n != 0) {
			q.message_id = report->message_id;
			rc = search(r, &q, f);
			*how_out = STORE_MATCH_MESSAGE_ID;
		}
		if (rc == RC_NOT_FOUND && report->envid.n != 0) {
			q = (struct store_report_search){ .envid = report->envid,
				.since_us = w[i].since_us,
				.until_us = w[i].until_us };
			rc = search(r, &q, f);
			*how_out = STORE_MATCH_ENVID;
		}
		*out = q;
	}
	return rc;
}

/* ---- which recipient ---- */

static bool
same_address(struct str a, struct str b, struct arena *arena)
{
	struct mail_addr x, y;
	const char *why;

	if (a.n == 0 || b.n == 0)
		return false;
	if (str_eq_nocase(a, b))
		return true;
	return mail_addr_parse(a, MAIL_ADDR_UTF8, arena, &x, &why) == RC_OK &&
	       mail_addr_parse(b, MAIL_ADDR_UTF8, arena, &y, &why) == RC_OK &&
	       str_eq_nocase(x.local, y.local) && str_eq_nocase(x.domain_ascii, y.domain_ascii);
}

static const struct mail_report_rcpt *
entry_for(const struct mail_report *report, struct str address, struct arena *a)
{
	for (size_t i = 0; i < report->n_rcpts; i++)
		if (same_address(report->rcpts[i].original, address, a) ||
		    same_address(report->rcpts[i].address, address, a))
			return &report->rcpts[i];
	return NULL;
}

static const struct store_relay_version_row *
version_row(const struct mailbox_match *m, struct version_id id)
{
	for (uint32_t i = 0; i < m->n_versions; i++)
		if (ID_EQ(m->versions[i].id, id))
			return &m->versions[i];
	return NULL;
}

static struct str
provider_of(const struct store_relay_version_row *v)
{
	const struct relay_provider *p;

	if (v == NULL || v->provider.n != 0)
		return v != NULL ? v->provider : (struct str){ 0 };
	p = relay_provider_of_host(v->host);
	return p != NULL ? str_from(p->name) : (struct str){ 0 };
}

static void
judge(const struct mail_report_rcpt *e, struct str provider, struct relay_verdict *out)
{
	struct relay_facts facts;

	relay_facts_read(e->text, provider, &facts);
	if (e->status.cls == 4 || e->status.cls == 5)
		facts.enhanced = e->status;
	if (facts.code == 0)
		facts.code = facts.enhanced.cls == 4 ? 450 : 550;
	relay_attribute(&facts, out);
}

static enum store_action
action_of(enum mail_report_action action)
{
	switch (action) {
	case MAIL_REPORT_FAILED: return STORE_REPORT_FAILED;
	case MAIL_REPORT_DELAYED: return STORE_REPORT_DELAYED;
	case MAIL_REPORT_DELIVERED: return STORE_REPORT_DELIVERED;
	case MAIL_REPORT_RELAYED: return STORE_REPORT_RELAYED;
	}
	return STORE_REPORT_FAILED;
}

static struct str
status_text(struct smtp_enhanced e, struct arena *a)
{
	if (e.cls == 0)
		return (struct str){ 0 };
	return arena_strf(a, "%u.%u.%u", e.cls, e.subject, e.detail);
}

static enum rc /* NOLINTNEXTLINE(readability-function-size): what, with what, whereto */
add_match(struct store_reader *r, struct mailbox_match *m, const struct mail_report *report,
    const struct mail_report_rcpt *e, const struct store_recipient_row *rcpt, enum store_match how,
    struct arena *a, struct fault *f)
{
	struct store_attempt_list attempts = { .max = 1 };
	struct mailbox_matched *to;
	struct mail_addr addr;
	const char *why;
	enum rc rc = store_query_attempts(r, rcpt->id, &attempts, a, f);

	if (m->n_found == MAIL_REPORT_RCPTS_MAX || (rc != RC_OK && rc != RC_NOT_FOUND))
		return rc;
	to = &m->found[m->n_found++];
	*to =
	    (struct mailbox_matched){ .row = { .rcpt = rcpt->id,
					  .at_us = m->now_us,
					  .lane = rcpt->lane,
					  .action = action_of(e->action),
					  .attribution = RELAY_BLAME_UNKNOWN,
					  .matched = how,
					  .status = status_text(e->status, a),
					  .text = arena_str(a, str_sub(e->text, 0, STORE_TEXT_MAX)),
					  .reporter = arena_str(a, report->reporter) } };
	if (attempts.n != 0)
		to->row.version = attempts.rows[attempts.n - 1].facts.version;
	if (mail_addr_parse(rcpt->address, MAIL_ADDR_UTF8, a, &addr, &why) == RC_OK)
		to->rcpt_domain = addr.domain_ascii;
	if (to->row.action != STORE_REPORT_FAILED && to->row.action != STORE_REPORT_DELAYED)
		return RC_OK;
	judge(e, provider_of(version_row(m, to->row.version)), &to->verdict);
	to->row.attribution = (uint8_t)to->verdict.blame;
	return RC_OK;
}

/* Every recipient of the message that the report speaks of. */
static enum rc /* NOLINTNEXTLINE(readability-function-size): what, with what, whereto */
match_rcpts(struct store_reader *r, struct mailbox_match *m, const struct mail_report *report,
    struct msg_id id, enum store_match how, struct arena *a, struct fault *f)
{
	struct store_message_row msg = { 0 };
	struct store_recipient_list q = { .max = RECIPIENT_PAGE };
	enum rc rc = store_query_message(r, id, a, &msg, f);

	while (rc == RC_OK && q.skip < msg.n_rcpts && q.skip < RECIPIENTS_MAX &&
	       m->n_found < report->n_rcpts) {
		rc = store_query_recipients(r, &msg, &q, a, f);
		for (uint32_t i = 0; rc == RC_OK && i < q.n; i++) {
			const struct mail_report_rcpt *e = entry_for(report, q.rows[i].address, a);
			/* Somebody forwards it, and the report names the new address. */
			if (e == NULL && msg.n_rcpts == 1 && report->n_rcpts == 1 &&
			    report->rcpts[0].is_named)
				e = &report->rcpts[0];
			if (e != NULL)
				rc = add_match(r, m, report, e, &q.rows[i], how, a, f);
		}
		q.skip += RECIPIENT_PAGE;
	}
	return rc;
}

/* No id: the newest mail to an address that is named as failed. */
static enum rc
match_addresses(struct store_reader *r, struct mailbox_match *m, const struct mail_report *report,
    struct arena *a, struct fault *f)
{
	for (size_t i = 0; i < report->n_rcpts; i++) {
		const struct mail_report_rcpt *e = &report->rcpts[i];
		struct store_report_search q = { .address =
						     e->original.n != 0 ? e->original : e->address,
			.since_us = m->now_us - DAYS(3),
			.until_us = m->now_us };
		struct store_recipient_row rcpt;
		enum rc rc = e->is_named ? search(r, &q, f) : RC_NOT_FOUND;
		if (rc == RC_OK)
			rc = store_query_recipient(r, q.rcpt, a, &rcpt, f);
		if (rc == RC_OK)
			rc = add_match(r, m, report, e, &rcpt, STORE_MATCH_ADDRESS, a, f);
		if (rc != RC_OK && rc != RC_NOT_FOUND)
			return rc;
	}
	return RC_OK;
}

enum rc
mailbox_match_report(struct store_reader *r, const struct mail_report *report,
    struct mailbox_match *m, struct arena *a, struct fault *f)
{
	struct store_report_search q = { 0 };
	enum store_match how = STORE_MATCH_MESSAGE_ID;
	enum rc rc = find_message(r, report, m, a, &q, &how, f);

	m->n_found = 0;
	m->found = ARENA_NEW_ARRAY(a, struct mailbox_matched, MAIL_REPORT_RCPTS_MAX);
	if (rc == RC_OK)
		rc = match_rcpts(r, m, report, q.msg, how, a, f);
	else if (rc == RC_NOT_FOUND && report->message_id.n == 0)
		rc = match_addresses(r, m, report, a, f);
	if (rc == RC_OK && m->n_found == 0)
		rc = RC_NOT_FOUND;
	return rc;
}
