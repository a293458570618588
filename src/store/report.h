/* Reports that came home: what other servers said about a recipient after its message had been
 * handed over.
 *
 * A report stands beside the recipient's state and never changes it: the message was sent, and
 * what became of it later is known, or not. Reports are counted by the hour in a table of their
 * own, so the books of the queue stay as they are. Conventions as in config_account.h. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "store/op.h"
#include "store/reader.h"

/* What is reported. Kept on disk. */
enum store_action {
	STORE_REPORT_FAILED = 0,    /* bounced later */
	STORE_REPORT_DELAYED = 1,   /* still being tried, elsewhere */
	STORE_REPORT_DELIVERED = 2, /* proven */
	STORE_REPORT_RELAYED = 3,   /* handed on to where nothing more will be said */
};
#define STORE_REPORT_COUNT 4
/* "bounced", "delayed", "delivered", "relayed". */
const char *store_report_name(enum store_action action);

/* What ties a report to its recipient. Kept on disk. */
enum store_match {
	STORE_MATCH_MESSAGE_ID = 0,
	STORE_MATCH_ENVID = 1,
	STORE_MATCH_ADDRESS = 2, /* the newest mail to that address: likely, not certain */
};
#define STORE_MATCH_COUNT 3
/* "message-id", "envid", "address". */
const char *store_report_match_name(enum store_match match);

struct store_report_row {
	uint64_t id;
	struct rcpt_id rcpt;
	struct version_id version; /* that it had gone out through; none: not known */
	int64_t at_us;
	enum stream lane; /* for counting; not kept */
	enum store_action action;
	uint8_t attribution; /* numbers of those who judge */
	enum store_match matched;
	struct str status; /* "5.1.1" or empty */
	struct str text;
	struct str reporter;
	struct str mailbox;
	struct str source; /* digest of the report */
};

/* Inserts and counts it. RC_EXISTS, nothing written: this report about this recipient is there
 * already. */
enum rc store_report_add(struct store_tx *tx, struct store_report_row *row, struct fault *fault);
/* About recipients `first` ... `first + n - 1`, oldest first, at most `max`. */
struct store_report_list {
	struct rcpt_id first;
	uint32_t n_rcpts;
	uint32_t max;
	/* results */
	struct store_report_row *rows;
	uint32_t n;
};
enum rc store_report_list(
    struct store_reader *r, struct store_report_list *q, struct arena *a, struct fault *fault);
/* Deletes at most `max` of those read before `before_us`. */
enum rc store_report_prune(
    struct store_tx *tx, int64_t before_us, uint32_t max, struct fault *fault);

/* ---- numbers */

struct store_report_stat {
	int64_t hour;
	struct version_id version;
	enum stream lane;
	enum store_action action;
	uint8_t attribution;
	uint64_t count;
};
struct store_report_stats {
	int64_t since_hour, until_hour; /* the latter excluded */
	struct version_id version;      /* none: all */
	uint32_t max;
	/* results */
	struct store_report_stat *rows;
	uint32_t n;
};
/* By hour, version, lane, action, attribution. */
enum rc store_report_stats(
    struct store_reader *r, struct store_report_stats *q, struct arena *a, struct fault *fault);

/* ---- which message a report is about */

/* Messages have no index by Message-ID, since it would cost every message and serve few. They are
 * looked through by time instead: ids and times of acceptance rise together, so the place to begin
 * is found by halving. */
struct store_report_search {
	/* Which; the first that is not empty counts. */
	struct str message_id; /* with or without angle brackets */
	struct str envid;
	struct str address; /* of a recipient that was sent */
	/* Accepted in between. */
	int64_t since_us, until_us;
	/* results */
	struct msg_id msg;   /* by id or envid */
	struct rcpt_id rcpt; /* by address */
	uint64_t next;       /* where the next call goes on */
};

/* RC_OK: found. RC_NOT_FOUND: there is none. RC_AGAIN: the time of one read is used up; call again
 * with the same struct. */
enum rc store_report_find(
    struct store_reader *r, struct store_report_search *q, struct fault *fault);
