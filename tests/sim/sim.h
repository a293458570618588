/* A year of faulty mail in a moment: the queue and the relay desk under a dispatcher, a disk and a
 * world that exist only as tables, in virtual time, from a seed.
 *
 *   run.c       one seed: random steps, crashes among them; then everything heals and all must end
 *   disk.c      the recipient rows, the writer's one FIFO of operations, recovery after a crash
 *   dispatch.c  the dispatcher: what a real one does with queue/ and relay/
 *   way.c       whether and how much may go through a relay
 *   world.c     relays and recipients, and what they answer
 *   flood.c     ten million rows, half of them behind a closed relay
 *
 * What is checked after every step stands in sim_check (run.c). Everything is drawn from one prng,
 * so a seed replays exactly. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/prng.h"
#include "base/str.h"
#include "queue/doubt.h"
#include "queue/outlet.h"
#include "queue/queue.h"

#define SIM_RELAYS   3
#define SIM_GROUPS   6 /* 1 .. SIM_GROUPS */
#define SIM_ACCOUNTS 4
#define SIM_DESTS    9
#define SIM_BATCH    5 /* recipients in one transaction */

/* Prints what is wrong, the seed and how to replay it, and aborts. */
#define SIM_CHECK(x, ...)                                                                          \
	do {                                                                                       \
		if (!(x))                                                                          \
			sim_failed(#x, __FILE__, __LINE__, __VA_ARGS__);                           \
	} while (0)
_Noreturn void sim_failed(const char *what, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* ---- disk ---- */

enum row_state {
	/* final */
	ROW_SENT,
	ROW_BOUNCED,
	ROW_EXPIRED,
	ROW_FAILED, /* its deadline passed */
	ROW_CANCELLED,
	ROW_UNKNOWN,
	ROW_FINAL_COUNT,
	/* open */
	ROW_QUEUED = ROW_FINAL_COUNT,
	ROW_IN_DOUBT,
	ROW_HELD,
	ROW_CAPTURED,
	ROW_STATE_COUNT,
};

/* Due times with a meaning of their own. */
#define DUE_NULL (-1)       /* handed to the window at birth; not in the index */
#define DUE_NONE TIME_NEVER /* only a person can move it; not in the index */

struct row {
	uint64_t id, msg, account, group, dest;
	enum stream lane;
	enum row_state state;
	int64_t due_us, deadline_us, lived_us;
	uint16_t attempts;
	uint8_t doubts;
	enum queue_doubt_policy policy;
	bool generated;
	bool finishing;   /* about to finish, without an outcome so far */
	unsigned repeats; /* doubts that policy or a person repeated */
	/* What the world knows, and no disk. */
	unsigned arrived;
	int64_t committed_us, open_at_birth_us;
	bool handed_out;
};

struct entry {
	uint64_t id;
	enum row_state to;
	int64_t due_us, lived_us;
	uint16_t attempts;
	uint8_t doubts;
	bool repeat;             /* this outcome is a doubt that will be repeated */
	bool bounce;             /* a report goes to the sender */
	bool refused;            /* set by the commit: the row was no longer live */
	struct queue_item *item; /* OUT until the commit is acknowledged; may be NULL */
};

enum op_kind { OP_ACCEPT, OP_FINISH, OP_OUTCOME, OP_DUE, OP_REFILL, OP_CANCEL };

struct place {
	uint64_t account, id;
	int64_t due_us;
};

struct op {
	struct list link;
	enum op_kind kind;
	struct entry entries[SIM_BATCH];
	size_t n;
	struct txn *txn;   /* FINISH */
	struct row *birth; /* ACCEPT: rows to be, `n_rows` of them */
	struct row *rows;  /* REFILL: result; ACCEPT and OUTCOME: those born */
	size_t n_birth, n_rows;
	struct queue_want want; /* REFILL, with where to go on */
	struct place after;
	bool full, skipped;  /* REFILL: there may be more after the last; some were passed over */
	int64_t next_due_us; /* REFILL: earliest due time still ahead */
};

struct disk {
	struct row *rows; /* [id - 1] */
	size_t n_rows, cap;
	uint64_t next_msg;
	uint64_t accepted, generated;
	uint64_t finals[ROW_FINAL_COUNT]; /* counters kept in the same commits */
	struct list posted;               /* operations in order, not committed */
	struct list committed; /* acknowledgements in order, not yet read by the dispatcher */
};

struct sim;

struct row *disk_row(struct sim *s, uint64_t id);
struct op *disk_op(enum op_kind kind);
void disk_post(struct sim *s, struct op *op);
/* Commits the next operation; false when there is none. */
bool disk_commit(struct sim *s);
struct op *disk_read(struct sim *s);
void disk_op_free(struct op **op);
/* Memory is lost; then what a start finds: lost operations, doubts, due times. */
void disk_crash(struct sim *s);
bool disk_is_live(const struct row *row);
int64_t disk_first_due(struct sim *s, uint64_t group, enum stream lane, int64_t after_us);
void disk_free(struct disk *d);

/* ---- world ---- */

enum said {
	SAID_OK,
	SAID_RELAY,    /* the relay or login is at fault */
	SAID_IDENTITY, /* the sender is */
	SAID_CAPACITY,
	SAID_TEMP, /* recipient or content, for now */
	SAID_PERM, /* recipient or content, for good */
	SAID_NOTHING,
};

enum stage { STAGE_CONNECT, STAGE_AUTH, STAGE_MAIL, STAGE_RCPT, STAGE_DOT };

struct reply {
	enum stage stage;
	enum said said;
	uint16_t code; /* 0: no reply came */
	uint8_t enhanced[3];
	const char *text;
	int64_t wait_us; /* that the text names */
};

enum weather {
	WEATHER_FAIR,
	WEATHER_DOWN,
	WEATHER_SLOW,
	WEATHER_WRONG_PASSWORD,
	WEATHER_DENIED,
	WEATHER_CAPACITY,
	WEATHER_LOSSY,
	WEATHER_HELD_SENDER,
	WEATHER_COUNT,
};

struct world {
	enum weather weather[SIM_RELAYS];
	int64_t until_us[SIM_RELAYS];
	bool calm;
};

void world_start(struct sim *s, bool calm);
void world_heal(struct sim *s);
int64_t world_next_us(const struct sim *s);
void world_tick(struct sim *s);
int64_t world_latency_us(struct sim *s, size_t relay);
/* What the relay answers to connecting, logging in and MAIL taken together. */
const struct reply *world_opening(struct sim *s, size_t relay, uint64_t account);
const struct reply *world_rcpt(struct sim *s, const struct row *row);
/* What becomes of the content; *arrived_out whether the relay took it, which the reply may not
 * tell. */
const struct reply *world_dot(
    struct sim *s, size_t relay, const struct row *row, bool *arrived_out);

/* ---- way ---- */

struct txn;

/* Our side's judgement of a reply. */
struct heard {
	enum said said;
	int64_t wait_us;
};

void way_start(struct sim *s);
void way_stop(struct sim *s);
bool way_is_usable(const struct sim *s, size_t relay);
/* Lanes that may start a transaction now; 0: none. */
unsigned way_lanes(struct sim *s, size_t relay);
/* A transaction takes a connection, or has one opened. */
void way_began(struct sim *s, struct txn *txn);
/* What came of that; false when it failed before MAIL: then the transaction is over. */
bool way_opened(struct sim *s, struct txn *txn, const struct reply *reply);
/* Something in it was refused. */
struct heard way_told(struct sim *s, struct txn *txn, const struct reply *reply);
/* It is over; `lost`: and so is the connection. */
void way_ended(struct sim *s, struct txn *txn, size_t accepted, bool lost);
bool way_holds_sender(struct sim *s, size_t relay, uint64_t account, int64_t *until_out);
void way_pause(struct sim *s, size_t relay, bool pause);
int64_t way_next_us(const struct sim *s);
/* Lets time pass; opens and closes the groups that go this way. */
void way_tick(struct sim *s);

/* ---- dispatcher ---- */

enum phase { PHASE_OPENING, PHASE_FINISHING, PHASE_DOT, PHASE_REPLY };

struct txn {
	struct list link;
	size_t relay;
	enum stream lane;
	uint64_t account;
	enum phase phase;
	bool reused;      /* its connection was there before */
	int64_t since_us; /* when it began */
	int64_t at_us;    /* TIME_NEVER: waits for the writer */
	struct queue_item *items[SIM_BATCH];
	size_t n;
	const struct reply *reply; /* on its way to us */
};

struct way_state;

struct dispatcher {
	struct queue *q;
	struct queue_outlet *outlets[SIM_RELAYS];
	struct list txns;
	struct place sweep[SIM_GROUPS + 1][STREAM_COUNT];
	struct way_state *way;
};

void dispatch_start(struct sim *s);
void dispatch_stop(struct sim *s);
/* Reads one acknowledgement; false when there is none. */
bool dispatch_read(struct sim *s);
/* Ends what is overdue, asks for pages, starts transactions. */
void dispatch_work(struct sim *s);
int64_t dispatch_next_us(struct sim *s);
/* Moves those transactions on whose moment has come. */
void dispatch_tick(struct sim *s);
void dispatch_set_open(struct sim *s, size_t relay, bool open);
void dispatch_cancel(struct sim *s, uint64_t id);
void dispatch_hurry(struct sim *s, uint64_t id);
void dispatch_evict(struct sim *s, uint64_t group);
void dispatch_move(struct sim *s, uint64_t group, size_t relay);

/* ---- run ---- */

struct sim {
	struct prng r;
	uint64_t seed;
	int64_t now_us;
	struct disk disk;
	struct world world;
	struct dispatcher d;
	size_t route[SIM_GROUPS + 1]; /* group -> relay */
	bool paused[SIM_RELAYS];
	bool healed;
	int64_t open_us[SIM_GROUPS + 1]; /* how long each group has been open, counted here */
	size_t crashes, let_go;
	/* What to tell at the end. */
	uint64_t steps, transactions, doubts, repeats, refills;
	int64_t worst_latency_us;
};

static inline uint64_t
pick(struct sim *s, uint64_t n)
{
	return prng_below(&s->r, n);
}

void run_seed(struct sim *s, uint64_t seed, uint64_t steps);
void run_check(struct sim *s);
/* Sums up; prints nothing when all is well. */
void flood_run(uint64_t rows, uint64_t seed);
