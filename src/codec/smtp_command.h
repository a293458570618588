/* SMTP commands: read on the server side, written on the client side (RFC 5321 §4.1, RFC 3030, RFC
 * 4954).
 *
 * A command line, without its CRLF, becomes a verb and a view of what follows; MAIL, RCPT, BDAT and
 * AUTH have readers for that. A path comes out as the bytes between its angle brackets: whether
 * they are an address is for mail/address.h to say. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/smtp_param.h"

enum smtp_verb {
#define X(name, follows) SMTP_VERB_##name,
#include "codec/smtp_verbs.def"
#undef X
	SMTP_VERB_UNKNOWN,
	SMTP_VERB_COUNT
};

struct smtp_command {
	enum smtp_verb verb;
	struct str name; /* as sent; for a verb that is unknown */
	struct str args; /* without blanks around; a view into the line */
};

struct smtp_mail {
	struct str path; /* without the brackets and a source route; empty for <> */
	struct smtp_mail_params params;
};

struct smtp_rcpt {
	struct str path;
	struct smtp_rcpt_params params;
};

struct smtp_bdat {
	uint64_t size; /* octets that follow the command line */
	bool last;
};

struct smtp_auth {
	struct str mechanism; /* as sent, 1..20 of letters, digits, hyphen, underscore */
	bool has_initial;
	struct str initial; /* base64 as sent; empty where the client sent "=" */
};

/* "MAIL"; "?" for SMTP_VERB_UNKNOWN. */
const char *smtp_command_name(enum smtp_verb verb);

/* Reads a line. A verb nobody knows is no error here. False, with *refusal_out filled, for a line
 * that holds a control byte, lacks what its verb needs or has what its verb must not have. */
NODISCARD bool smtp_command_parse(
    struct str line, struct smtp_command *out, struct smtp_refusal *refusal_out);

/* Read the `args` of these verbs. `allowed`: see smtp_param.h. The path is bounded by the line
 * only. Blanks behind the colon are borne with, a path without angle brackets is not. A source
 * route ("@a,@b:") is taken off (RFC 5321 §4.1.1.3). */
NODISCARD bool smtp_command_parse_mail(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_mail *out, struct smtp_refusal *refusal_out);
NODISCARD bool smtp_command_parse_rcpt(struct str args, uint32_t allowed, struct arena *a,
    struct smtp_rcpt *out, struct smtp_refusal *refusal_out);
NODISCARD bool smtp_command_parse_bdat(
    struct str args, struct smtp_bdat *out, struct smtp_refusal *refusal_out);
NODISCARD bool smtp_command_parse_auth(
    struct str args, struct smtp_auth *out, struct smtp_refusal *refusal_out);

/* Append a whole command with its CRLF. The path must be one that could stand between angle
 * brackets: no control byte, and no bracket or blank outside quotes; an address that came from its
 * parser is. */
void smtp_command_mail(struct buf *b, struct str path, const struct smtp_mail_params *params);
void smtp_command_rcpt(struct buf *b, struct str path, const struct smtp_rcpt_params *params);
void smtp_command_bdat(struct buf *b, uint64_t size, bool last);
/* Any other verb; `arg` without control bytes, may be empty. */
void smtp_command_add(struct buf *b, enum smtp_verb verb, struct str arg);
