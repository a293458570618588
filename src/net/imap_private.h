/* Shared by the files of the IMAP reader; nobody else includes it. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "net/dialer.h"
#include "net/imap.h"

enum imap_state {
#define X(name, limit_s, next) IMAP_##name,
#include "net/imap_states.def"
#undef X
	IMAP_STATE_COUNT
};

#define IMAP_MAGIC 0x13a91eadu

struct imap {
	uint32_t magic;
	enum imap_state state; /* imap_set_state alone writes it */
	struct loop *loop;
	struct dial *dial; /* DIALLING only */
	struct conn *conn; /* from then on */
	const struct imap_ops *ops;
	void *arg;
	struct imap_opts opts; /* its texts live in `life`, but for the secret */
	struct arena life;
	struct arena scratch;  /* one response */
	struct buf out;        /* a command being composed; wiped when sent */
	unsigned tag;          /* of the last command */
	bool starts_tls;       /* the server agreed; its bytes are to be dropped first */
	bool answered_once;    /* AUTH: the response was sent, so a second "+" brings an error */
	bool waits_for_go;     /* AUTH: the response follows the server's "+" */
	enum imap_stage stage; /* of COMMAND */
	bool end_set;
	struct imap_end end;

	struct str greeting;
	struct str tls_text;
	struct buf caps; /* words between blanks, with one in front and behind */

	/* The command under way. */
	imap_answer_fn *on_answer;
	struct arena answer_arena;
	struct imap_answer answer;
	struct imap_folder *folders;
	uint32_t *uids;
	size_t n_uids;
	uint32_t wanted_uid;

	struct loop_task free_task;
};

struct imap *imap_from_arg(void *arg);
/* The one writer of `state`: checks the step, traces it, arms the time limit. */
void imap_set_state(struct imap *i, enum imap_state to);
/* Notes why the connection ends, and breaks it off; the first note stays. `text` is copied. */
void imap_fail(struct imap *i, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts a tag before what stands in `out`, an end behind it, and sends it. */
void imap_send(struct imap *i);
/* Whether the response is the tagged end of the last command. */
bool imap_is_end(const struct imap *i, const struct imap_response *r);
enum imap_stage imap_stage_now(const struct imap *i);

/* imap_login.c: from the connected socket to READY. */
void imap_login_begin(struct imap *i);
void imap_login_tls_ready(struct imap *i);
void imap_login_start_tls(struct imap *i);
void imap_login_response(struct imap *i, const struct imap_response *r);

/* imap_command.c: one response while COMMAND. */
void imap_command_response(struct imap *i, const struct imap_response *r);
