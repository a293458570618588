/* Delivery reports of other servers, read: what became of a message after it had been handed over.
 *
 * Formal ones are delivery status notifications (RFC 3464, 6533), borne with where they are sloppy:
 * parts cut off, encoded, out of order, fields of the message among those of a recipient. Informal
 * ones are mails in plain words, as qmail, NetEase and Tencent write them; they are told by who
 * writes, what the subject says, and the words before addresses and reasons. Everything is a
 * stranger's claim: matching it to a message of ours is the caller's part. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "base/str.h"
#include "codec/smtp_reply.h"

struct arena;

/* More recipients than this of one report are not read. */
#define MAIL_REPORT_RCPTS_MAX 100u

enum mail_report_action {
	MAIL_REPORT_FAILED,
	MAIL_REPORT_DELAYED,
	MAIL_REPORT_DELIVERED,
	MAIL_REPORT_RELAYED, /* or expanded: nothing more will be said */
};

struct mail_report_rcpt {
	enum mail_report_action action;
	/* The report names it as the one this is about. Otherwise the address merely stands in an
	 * informal report: worth comparing with the recipients of a message that is known. */
	bool is_named;
	struct str address;          /* without angle brackets; UTF-8 or ASCII; may be empty */
	struct str original;         /* as we had written it, where that is told; may be empty */
	struct smtp_enhanced status; /* cls 0: none */
	struct str text;             /* "550 5.1.1 no such user": the other server's words */
	struct str remote_mta;
};

struct mail_report {
	bool is_formal;
	struct str
	    message_id;      /* of the message it is about, without angle brackets; may be empty */
	struct str envid;    /* likewise; decoded */
	struct str reporter; /* name of the server that says so; may be empty */
	struct str returned; /* header of the message as it came back, or empty */
	struct mail_report_rcpt *rcpts;
	size_t n_rcpts; /* at least 1 */
};

/* Reads `content`, perhaps cut short; strings live in `a` or in `content`. RC_NOT_FOUND, *out
 * untouched: it is no delivery report. */
enum rc mail_report_read(struct str content, struct arena *a, struct mail_report *out);
