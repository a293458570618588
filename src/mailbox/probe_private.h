/* Shared by the files of a run of probes. */
#pragma once

#include "mailbox/private.h"
#include "mailbox/probe.h"
#include "mailbox/probe_mail.h"
#include "mailbox/send.h"
#include "relay/book.h"

enum probe_kind {
	PROBE_TO_MAILBOX, /* our mail arrives in a mailbox elsewhere */
	PROBE_RECEIVE,    /* mail to an address of ours arrives where it is read */
	PROBE_BOUNCE,     /* a report about an address that does not exist comes home */
};

enum probe_outcome {
	PROBE_WAITING, /* not sent yet */
	PROBE_SENT,    /* accepted, looked for */
	PROBE_INBOX,
	PROBE_JUNK,
	PROBE_FOLDER,  /* neither of both: `folder` */
	PROBE_BOUNCED, /* PROBE_BOUNCE: the report came home, or the address was refused at once */
	PROBE_MISSING,
	PROBE_REFUSED,
	PROBE_UNREAD, /* the mailbox could not be read */
};

struct probe_item {
	enum probe_kind kind;
	enum probe_outcome outcome;
	struct probe_mail mail;
	struct str sender;         /* of the envelope */
	struct str content;        /* as it is sent */
	struct version_id version; /* through which it goes out */
	size_t watch;              /* index of the mailbox where it is looked for */
	int64_t sent_us;           /* monotonic */
	int64_t found_us;
	struct str folder;
	struct str stage, text; /* of a refusal */
	uint16_t code;
	struct probe_mail_facts facts;
	struct str said; /* of a bounce: status and words */
};

struct probe_run;

/* One mailbox that is watched. */
struct probe_watch {
	struct probe_run *run;
	const struct store_mailbox_row *box;
	struct imap *imap;
	struct buf secret;
	struct loop_timer timer;
	bool is_ready; /* the folders and where they end are known: sending may begin */
	bool is_dead;
	struct str why;
	struct probe_folder {
		struct str name; /* as the server writes it */
		enum imap_role role;
		uint32_t uidvalidity;
		uint32_t next_uid; /* 0: not known, look by date */
	} folders[24];
	size_t n_folders, folder;
	unsigned round;
	uint32_t uids[50];
	size_t n_uids, next_uid;
	int64_t last_sent_us; /* monotonic: the last message to it */
	unsigned reconnects;
};

#define PROBE_WATCHES_MAX 16u

struct probe_run {
	struct mailbox_work work;
	struct mailbox_service *service;
	struct mailbox_probe *ask; /* NULL: nobody waits */
	struct arena arena;
	struct relay_book *book;
	struct version_id version;
	struct str relay; /* "main@2" */
	struct str only;
	struct str *senders;
	size_t n_senders;
	int64_t deadline_us;
	int64_t at_us; /* wall */
	char token[24];

	struct store_mailbox_row *boxes;
	uint32_t n_boxes;
	struct probe_item items[MAILBOX_PROBES_MAX];
	size_t n_items;
	bool capped; /* there would have been more */
	struct probe_watch watches[PROBE_WATCHES_MAX];
	size_t n_watches;
	struct mailbox_sender *sender; /* for the present item's version */
	struct version_id sender_version;
	size_t sending; /* the item under way; n_items: none */
	struct loop_timer tick;
	bool planned;
	bool is_over;
	bool passed;
	struct str summary;
	struct str report;
	struct arena report_arena; /* of the last two; made anew with each report */
};

/* probe_plan.c: what is to be sent, from what is configured. RC_INVALID: nothing can be. */
enum rc probe_plan(struct probe_run *r, struct fault *f);

/* probe_watch.c */
/* Connects and finds out where the folders end. */
void probe_watch_begin(struct probe_watch *w);
void probe_watch_end(struct probe_watch *w);
bool probe_watch_is_wanted(const struct probe_watch *w);

/* probe.c: something was found, or a mailbox cannot be read. */
void probe_run_step(struct probe_run *r);

/* probe_report.c: verdict and JSON. */
void probe_report_make(struct probe_run *r);
enum store_seen probe_report_kept(const struct probe_run *r, bool of_date);
bool probe_outcome_is_final(enum probe_outcome o);
