/* Parameters of MAIL and RCPT (RFC 5321 §4.1.2): read from a client into typed fields, written to a
 * server.
 *
 * Text in a parameter travels as xtext; here it is plain. Which parameters a client may use depends
 * on what the server announced, so the reader is given that set; one that is known but not
 * announced is told apart from one that nobody knows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/smtp_reply.h"

#define SMTP_PARAM_MAX 16u /* parameters of one command */

enum smtp_param {
#define X(name, command, has_value, read) SMTP_PARAM_##name,
#include "codec/smtp_params.def"
#undef X
	SMTP_PARAM_COUNT
};

/* Sets of parameters: SMTP_PARAM_BIT(SIZE) | SMTP_PARAM_BIT(BODY). */
#define SMTP_PARAM_BIT(name) (1u << SMTP_PARAM_##name)

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_FULL, SMTP_RET_HDRS };
/* A set; NEVER stands alone. */
enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

/* Only fields whose bit is in `seen` mean anything. No text field holds a control byte. */
struct smtp_mail_params {
	uint32_t seen; /* SMTP_PARAM_BIT()s */
	uint64_t size; /* as the client claims; may be 0 */
	enum smtp_body body;
	enum smtp_ret ret;
	struct str envid; /* printable ASCII, 1..100 bytes as xtext */
	struct str auth;  /* a mailbox in UTF-8; empty for AUTH=<>: the client vouches for nobody */
	uint32_t hold_for_s;
	int64_t hold_until_s; /* Unix time */
};

struct smtp_rcpt_params {
	uint32_t seen;
	unsigned notify;       /* enum smtp_notify, at least one */
	struct str orcpt_type; /* such as "rfc822" or "utf-8", as the client spelt it */
	struct str orcpt;      /* printable ASCII; UTF-8 for type utf-8 */
};

enum smtp_refusal_kind {
	SMTP_REFUSAL_SYNTAX,
	SMTP_REFUSAL_PATH,
	SMTP_REFUSAL_BAD_VALUE,
	SMTP_REFUSAL_DUPLICATE,
	SMTP_REFUSAL_UNKNOWN,
	SMTP_REFUSAL_NOT_ALLOWED, /* known, but not announced or not for this command */
	SMTP_REFUSAL_TOO_MANY,
};

/* Why a client's command cannot be taken, and the reply that says so. */
struct smtp_refusal {
	enum smtp_refusal_kind kind;
	uint16_t code;
	struct smtp_enhanced enhanced;
	const char *why; /* static, a few words */
	struct str what; /* the parameter at fault, a view into the command; may be empty */
};

/* Reads all of `args`, what follows the path of MAIL or RCPT: keyword[=value], separated by blanks,
 * in any case. `allowed` is the set of parameters announced; those of the other command are refused
 * anyway. Decoded text goes to the arena, the rest are views into `args`. False fills *refusal_out
 * and leaves *out alone. */
NODISCARD bool smtp_param_parse_mail(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_mail_params *out, struct smtp_refusal *refusal_out);
NODISCARD bool smtp_param_parse_rcpt(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_rcpt_params *out, struct smtp_refusal *refusal_out);

/* Appends the parameters in `seen`, each with a blank before it. The fields must keep the promises
 * above. */
void smtp_param_add_mail(struct buf *b, const struct smtp_mail_params *p);
void smtp_param_add_rcpt(struct buf *b, const struct smtp_rcpt_params *p);

/* Fills a refusal with the reply that fits its kind and returns false: `return
 * smtp_param_refuse(...)`. */
bool smtp_param_refuse(
    struct smtp_refusal *out, enum smtp_refusal_kind kind, const char *why, struct str what);

/* Appends the reply that says why: "501 5.5.4 SIZE: not a number". */
void smtp_param_format_refusal(struct buf *b, const struct smtp_refusal *r);
