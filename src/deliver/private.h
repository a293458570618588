/* The dispatcher's own structures, shared by the files of deliver/; nobody else includes it. */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/prng.h"
#include "deliver/carrier.h"
#include "deliver/changeover.h"
#include "deliver/deliver.h"
#include "loop/pool.h"
#include "queue/doubt.h"
#include "queue/outlet.h"
#include "store/message.h"

struct store_reader;

/* What the dispatcher knows of a message of which it holds at least one recipient. */
struct deliver_msg {
	struct msg_id id;
	uint32_t refs; /* recipients in the window, jobs, reports being made */
	/* owns the strings of fresh mail, else NULL and `arena` does */
	struct store_message *fresh;
	struct arena arena;
	struct blob *content; /* NULL while it lies on disk only */
	struct store_content at;
	struct account_id account;
	enum stream stream;
	enum store_kind kind;
	struct str sender;
	struct str envid;
	struct str message_id;
	int64_t created_us;
	uint32_t n_rcpts;
	uint32_t flags;
	uint8_t ret;
	uint8_t doubt_policy;
	bool delay_told;
};

/* One recipient in the window: the load of its queue_item. */
struct deliver_rcpt {
	struct deliver_msg *msg;
	struct str address;
	struct str orcpt;
	uint8_t notify;
	bool is_own;            /* freed by itself; else it lives in the message's arena */
	enum store_state state; /* QUEUED or IN_DOUBT, as the writer was last told */
	int64_t via;            /* the relay version it is bound to, as in struct store_row */
	/* What the version -via said to it, to be held against that one if another takes it. */
	struct deliver_refusal {
		uint16_t code; /* 0 and NONE: not known any more */
		uint8_t stage; /* enum relay_stage */
		uint8_t blame; /* enum relay_blame */
		uint8_t stop;  /* enum relay_hard_stop */
	} refusal;
};

/* Where a recipient of a group stands while the group's route changes over. To the queue each of
 * these is a group of its own; on disk they are one. Without a changeover all are HOME. */
enum deliver_stand {
	DELIVER_HOME,   /* goes where the book says */
	DELIVER_EITHER, /* through the new version as far as that has room, else HOME */
	DELIVER_NEW,    /* through the new version */
	DELIVER_OLD,    /* through the old one: in doubt there, or refused by the new one */
};
#define DELIVER_STANDS 4

struct deliver_side {
	struct group_id id; /* in the queue: the group's, and the stand in the two highest bits */
	struct deliver_group *group;
	struct deliver_way *way;    /* NULL: nowhere */
	struct str rewritten;       /* sender to use instead, or empty; lives in the book */
	struct queue_outlet *spill; /* of the changeover, where EITHER joined it */
	bool open;
};

/* A group and where it goes under the present book. */
struct deliver_group {
	struct group_id id;
	struct str key; /* in the dispatcher's arena */
	enum relay_refusal refusal;
	struct deliver_move *move; /* its route changes over; NULL: it does not */
	bool new_carries;          /* the new version carries its senders */
	struct str new_rewritten;  /* as which; lives in the book, like the next */
	struct str old_rewritten;
	struct deliver_side sides[DELIVER_STANDS];
	struct store_position cursor[STREAM_COUNT]; /* where the next refill continues */
	bool open;                                  /* some side is, as the writer knows */
	bool is_suspect;     /* some of its recipients may belong elsewhere (regroup.c) */
	int64_t pass_at_us;  /* its rows are to be sorted then; TIME_NEVER: not */
	uint64_t pass_after; /* ... and not before the batch of this number is committed */
};

/* A relay version in use: its outlet of the queue and its connections. */
struct deliver_way {
	struct version_id version;
	/* of the present book; NULL when only old connections are left */
	const struct relay_version_row *row;
	struct queue_outlet *outlet;
	struct list idle; /* struct deliver_link, most recently used first */
	size_t n_links;
	size_t n_dialling;
	size_t n_jobs;        /* out */
	int64_t dialling_us;  /* since when a connection has been awaited (wall); 0: none is */
	bool is_new;          /* the new version of a changeover: served before the others */
	int64_t ask_again_us; /* a limit said no until then; TIME_NEVER: none */
	uint32_t max_rcpts;   /* of a transaction, as configured and as the peer announced */
	bool dirty;           /* something may go out: pump it at the end of the turn */
};

/* DIALLING -> IDLE <-> BUSY; from each to QUITTING, then gone. */
enum link_state { LINK_DIALLING, LINK_IDLE, LINK_BUSY, LINK_QUITTING };

/* One connection, as the dispatcher sees it. */
struct deliver_link {
	struct conn_id id;
	struct mailbox *carrier;
	struct deliver_way *way;
	enum link_state state;
	struct list idle_link;
	int64_t idle_since_us; /* monotonic */
	char remote[64];
	char tls[96];
	char peer[96];
	bool has_dsn;             /* the peer reports success itself (RFC 3461) */
	bool we_quit;             /* we said so */
	bool job_is_with_carrier; /* BUSY only: and its content is not being read from disk */
	bool took_a_job;          /* the peer has heard of at least one message */
	bool job_told;            /* its last job told the desk why it ended */
	int64_t ready_us;         /* monotonic */
};

/* What the dispatcher needs when a job comes back: the job's load, in the job's arena. */
struct deliver_load {
	struct deliver_msg *msg;   /* one reference */
	struct queue_item **items; /* one for each recipient of the job; all OUT */
	struct str sender;         /* as it is sent */
	bool is_lost;              /* the content is gone for good: not the relay's matter */
};

/* Results that wait for the end of the turn, to travel as one operation. */
struct deliver_batch {
	struct store_outcome outcome;
	uint64_t seq; /* from 1 */
	struct arena arena;
	size_t cap_results;
	/* struct pending_report of report.c, to be written at the end of the turn */
	struct list reports;
	size_t n_reports;
};

#define DELIVER_MAGIC 0xde11fe12u

struct deliver {
	uint32_t magic;
	struct deliver_opts opts;
	struct arena arena; /* group keys, hostname */
	struct loop *loop;
	struct store *store;
	struct mailbox *from_store;
	struct mailbox *from_carriers;
	struct mailbox *orders;
	struct mailbox *loaded;      /* contents read from disk */
	struct pool *readers;        /* one thread ... */
	struct store_reader *reader; /* ... that alone uses this */
	struct outbox outbox;
	struct loop_hook turn_end;
	struct loop_timer tick;
	struct prng prng;
	int64_t now_us; /* wall, of this turn */

	struct queue *queue;
	struct relay_desk *desk;
	struct relay_book *book;
	struct map messages; /* msg_id -> deliver_msg */
	struct map groups;   /* group_id -> deliver_group */
	struct map by_key;   /* hash of the key, the next free one on collision -> deliver_group */
	struct deliver_move **moves; /* changeovers in force, by id */
	size_t n_moves;
	struct map ways;  /* version_id -> deliver_way */
	struct map links; /* conn_id -> deliver_link */
	/* rcpt_id -> the last deliver_batch that tells of it, not yet committed */
	struct map unacked;
	struct deliver_batch *batch; /* of this turn, or NULL */
	uint64_t batch_seq;          /* of the newest batch */
	uint64_t batch_acked;        /* of the newest that is committed */
	size_t n_suspect;            /* groups */
	int64_t next_pass_us;        /* no pass of a group is due before */
	int64_t suspect_until_us;    /* until then mail with old keys may come */
	int64_t aside_at_us;         /* what waits for a person is to be sorted; TIME_NEVER: not */
	uint64_t mark_kept;          /* of the routes for which all keys are right; 0: none */
	bool regroup_is_out;         /* the writer has a slice, or the mark */
	struct mailbox **carriers;
	size_t n_carriers;
	size_t next_carrier;
	int64_t counted_us;          /* when the lanes were last counted */
	int64_t kept_us;             /* when counts were last written */
	struct version_id caps_told; /* whose announcement is on its way to the writer */
	size_t jobs_out;
	size_t reads_out;              /* contents being read */
	size_t ops_out;                /* operations that the writer has */
	int64_t credits[STREAM_COUNT]; /* granted and not yet spent */
	bool stopping;
	void (*on_idle)(void *arg);
	void *on_idle_arg;
	struct deliver_metrics metrics;
};

/* ---- deliver.c ---- */
/* Something changed for `way`: look at it at the end of this turn. */
void deliver_touch(struct deliver_way *w);
void deliver_touch_all(struct deliver *d);

/* ---- intake.c: what the writer says ---- */
void deliver_on_store(void *arg, struct mailbox_item *item);
/* At the end: frees what the writer said too late to be heard. It is on disk. */
void deliver_forget_mail(struct deliver *d);
/* `id` as the store or as the queue knows it. */
struct deliver_group *deliver_group_of(struct deliver *d, struct group_id id);
struct deliver_side *deliver_side_of(struct deliver *d, struct group_id id);
/* Rows of the group lie on disk beyond the window. */
void deliver_add_more(
    struct deliver *d, const struct deliver_group *g, enum stream lane, int64_t due_us);
/* The item leaves the window unfinished; its row is or will be due then. */
void deliver_let_go(struct deliver *d, struct queue_item *item, int64_t due_us);
/* Asks for rows where the window runs low, and grants the writer what there is room for. */
void deliver_refill(struct deliver *d);
/* Where the window is over three quarters full, what is of closed groups leaves it, a slice a turn.
 * True: there is more to leave. */
bool deliver_make_room(struct deliver *d);
/* Gives a reference back; the last one frees. */
void deliver_msg_unref(struct deliver *d, struct deliver_msg **m);
/* Forgets the load of an item that is leaving the window. */
void deliver_drop_load(struct deliver *d, struct queue_item *item);

/* ---- ways.c: through whom ---- */
struct deliver_way *deliver_way_of(struct deliver *d, struct version_id v);
/* Where the group goes under the present book. */
void deliver_place(struct deliver *d, struct deliver_group *g);
/* Where all groups go that a changeover moves. */
void deliver_place_moved(struct deliver *d, const struct deliver_move *mv);
/* Lets the desk's news take effect: open and close groups, log. */
void deliver_news(struct deliver *d);

/* ---- regroup.c: keys made again ---- */
/* d->book has replaced `from` (NULL: nobody knows what keys were made for). */
void deliver_regroup(struct deliver *d, const struct relay_book *from);
/* The same for a group that just came to be known. */
void deliver_regroup_new(struct deliver *d, struct deliver_group *g);
void deliver_regroup_recover(struct deliver *d, struct store_reader *r);
/* Whether a recipient of group `g` (NULL: yes) belongs there under the present book. */
bool deliver_fits(struct deliver *d, const struct deliver_group *g, struct account_id account,
    struct str sender, struct str address, enum stream stream);
bool deliver_item_fits(struct deliver *d, const struct queue_item *item);
/* A recipient of group `id` that does not was left on disk; the batch of this turn may say so. */
void deliver_stray(struct deliver *d, struct group_id id);
/* The same for `item`, which is OUT, before it is put down with that due time: a pass may have
 * moved its row while it was being sent. */
void deliver_item_strays(struct deliver *d, const struct queue_item *item, int64_t due_us);
bool deliver_regroup_is_ours(struct store_op *op);
void deliver_on_regrouped(struct deliver *d, struct store_op *op);
/* Goes on where there is something to do; returns when to come back (wall). */
int64_t deliver_regroup_step(struct deliver *d);

/* ---- links.c: connections and what goes out on them ---- */
void deliver_on_reports(void *arg, struct mailbox_item *item);
/* The content of the job's message was read, or could not be. */
void deliver_job_loaded(struct deliver *d, struct deliver_job *job, enum rc rc);
void deliver_pump(struct deliver *d, struct deliver_way *w);
/* Says goodbye to connections that were idle too long; returns when to look again (monotonic). */
int64_t deliver_trim_links(struct deliver *d);

/* ---- content.c: contents that lie on disk only ---- */
void deliver_on_loaded(void *arg, struct mailbox_item *item);
/* deliver_job_loaded follows. */
void deliver_read_for_job(struct deliver *d, struct deliver_job *job);
/* deliver_expire follows. */
void deliver_read_for_report(struct deliver *d, struct queue_item *item);

/* ---- keep.c: what must not be forgotten ---- */
/* Has the writer keep today's counts, at most every few seconds unless `now`; returns when to come
 * back (wall). */
int64_t deliver_keep_counts(struct deliver *d, bool now);
void deliver_restore_counts(struct deliver *d, struct store_reader *r);
/* Has the writer keep what the relay announced, where that is news. */
void deliver_keep_caps(
    struct deliver *d, const struct deliver_way *w, const struct smtp_caps *caps);
void deliver_on_kept(struct deliver *d, struct store_op *op);

/* ---- outcome.c: what came of it ---- */
void deliver_job_back(struct deliver *d, struct deliver_link *l, struct deliver_job *job);
/* Items whose time is up. */
void deliver_overdue(struct deliver *d);
/* The batch of this turn, made when first needed. */
struct deliver_batch *deliver_batch_of(struct deliver *d);
/* A new result of this turn's batch for `item`, filled in but for `to` and what hangs on it. */
struct store_result *deliver_result(struct deliver *d, const struct queue_item *item);
/* Posts the batch. */
void deliver_flush(struct deliver *d);
/* Relay verdict of a client's verdict. */
enum relay_stage deliver_stage(enum smtp_stage s);
void deliver_judge(struct deliver *d, const struct deliver_way *w, const struct smtp_verdict *v,
    bool no_host, struct relay_verdict *out);
/* The same with what it means for a changeover. */
enum relay_hard_stop deliver_judge_stop(struct deliver *d, const struct deliver_way *w,
    const struct smtp_verdict *v, bool no_host, struct relay_verdict *out);
/* Puts the item back to wait until due_us, which the batch tells the writer; the window may have no
 * place for it any more. */
void deliver_defer(struct deliver *d, struct queue_item *item, int64_t due_us);
/* The same for an item that was not tried, through no fault of its own: the wait does not count as
 * life (promise P3), and the writer is told only where the window has no place. */
void deliver_postpone(struct deliver *d, struct queue_item *item, int64_t due_us);
/* The item leaves the window as it is: its row gets its due time. */
void deliver_put_down(struct deliver *d, struct queue_item *item, int64_t due_us);
/* The item's time is up: the end of it. */
void deliver_expire(struct deliver *d, struct queue_item *item);

/* ---- changeover.c: changeovers in force; moves.c: which way mail goes meanwhile ---- */

/* A changeover in force. */
struct deliver_move {
	uint64_t id;
	struct version_id from;
	struct version_id to;
	struct relay_changeover *machine;
	struct queue_outlet *spill; /* all EITHER sides: what the new version has no room for */
	bool is_in_book;
	bool must_keep;    /* writing it failed: again */
	int64_t kept_us;   /* when its evidence was last written */
	uint64_t asked;    /* the last want that was asked for */
	uint64_t n_events; /* history not yet posted, in `events` */
	struct relay_changeover_news *events;
	/* What acts: as the last commit left it. */
	struct deliver_acting {
		enum relay_changeover_state state;
		uint32_t share;
		bool is_full;      /* all fresh mail goes through the new version */
		bool is_unsettled; /* what the new one refuses goes to the old one */
	} acting;
	size_t keeps_out; /* with the writer */
	/* The new version's last refusal in words, for when the old one has taken the message. */
	struct {
		uint16_t code;
		enum relay_stage stage;
		char text[208];
	} refusal;
};

/* The book has been replaced: changeovers that it names come into force, others leave. */
void deliver_moves_follow_book(struct deliver *d);
void deliver_moves_free(struct deliver *d);
/* From now on it acts so. */
void deliver_move_act(
    struct deliver *d, struct deliver_move *mv, const struct deliver_acting *acting);
/* The one of this id, or NULL. */
struct deliver_move *deliver_move_find(struct deliver *d, uint64_t id);
/* The stand of a recipient of `g`. */
enum deliver_stand deliver_stand_of(struct deliver *d, const struct deliver_group *g,
    const struct deliver_rcpt *r, int64_t deadline_us);
/* The way of a side; NULL: nowhere. *rewritten_out is the sender to use there, or empty. */
struct deliver_way *deliver_side_way(struct deliver *d, const struct deliver_side *side,
    const struct relay_decision *home, struct str *rewritten_out);
/* The side that is told what lies on disk. */
enum deliver_stand deliver_more_stand(const struct deliver_group *g);
/* Takes `item`, which is OUT, to another side, due at once; its row may have to be put on disk. */
void deliver_restand(
    struct deliver *d, struct queue_item *item, enum deliver_stand stand, int64_t due_us);
/* Most transactions at a time through `w`; 0: any number. */
uint32_t deliver_at_once(struct deliver *d, const struct deliver_way *w);
/* Whether `item`, which is OUT and about to go through `w`, may; if not it has been taken
 * elsewhere.
 */
bool deliver_may_go(struct deliver *d, const struct deliver_way *w, struct queue_item *item);
/* How long its transaction may last before the dot; 0: any time. */
int64_t deliver_cut_after_us(struct deliver *d, const struct queue_item *item);
/* What the new versions have no room for goes home; returns when to look again (wall). */
int64_t deliver_spill(struct deliver *d);
/* The job's outcome is evidence. */
void deliver_moves_tell_job(
    struct deliver *d, const struct deliver_way *w, const struct deliver_job *job);
/* A connection through `w` failed. */
void deliver_moves_tell_connect(struct deliver *d, const struct deliver_way *w,
    const struct smtp_verdict *why, const struct relay_verdict *v, enum relay_hard_stop stop);
/* The desk says that `version` may send less until then. */
void deliver_moves_tell_short(struct deliver *d, struct version_id version, int64_t until_us);
/* Whether what was refused through `w` is to be tried through the old version. */
bool deliver_has_way_back(
    struct deliver *d, const struct deliver_way *w, const struct queue_item *item);
/* The old version took what the new one had refused. */
void deliver_moves_tell_alone(struct deliver *d, const struct queue_item *item);
/* Keeps what changed, asks for what is wanted, lets time pass; returns when to come back (wall). */
int64_t deliver_moves_step(struct deliver *d);
bool deliver_moves_is_ours(struct store_op *op);
void deliver_on_move_kept(struct deliver *d, struct store_op *op);

/* ---- report.c: what is told to senders ---- */
enum deliver_report { DELIVER_REPORT_FAILED, DELIVER_REPORT_DELAYED, DELIVER_REPORT_RELAYED };
/* Notes that the sender is to be told about one recipient, where the sender wants to be; recipients
 * of one message share a report. */
void deliver_tell(struct deliver *d, enum deliver_report what, const struct queue_item *item,
    const struct smtp_verdict *v, const struct deliver_link *l, int64_t retry_until_us);
/* Whether deliver_tell would note anything. */
bool deliver_is_told(enum deliver_report what, const struct deliver_rcpt *r);
/* Writes the reports of this turn into its batch, as messages to be accepted in the same commit. */
void deliver_write_reports(struct deliver *d, struct deliver_batch *b);
