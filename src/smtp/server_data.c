/* DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030): content comes in, and the message goes to its
 * owner.
 *
 * DATA ends a pipelined group: a client waits for the 354 (RFC 2920 §3.1). Bytes that are there
 * already when the 354 is due are no content the client meant for us to judge now; somebody hopes
 * that two servers read them differently. Such a session is closed.
 *
 * BDAT names the size of its chunk, so a refused chunk must be read and thrown away before its
 * reply, or its bytes would be taken for commands. A BDAT whose size cannot be read leaves no way
 * to go on at all. After a failed chunk the transaction is gone, and further chunks of it, perhaps
 * pipelined, get 503 each. */
#include "base/blob.h"
#include "base/check.h"
#include "smtp/server_private.h"

/* ---- beginning ---- */

static void
ask_content(struct smtp_server_session *s, uint64_t hint)
{
	struct smtp_server *server = s->server;
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_CONTENT_ASKED);

	if (server->ops->on_content_begin == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_content_begin(s, t, s->message, hint, server->arg);
	}
}

static uint64_t
declared_size(const struct smtp_server_session *s)
{
	const struct smtp_mail_params *p = &s->message->params;

	return (p->seen & SMTP_PARAM_BIT(SIZE)) != 0 ? p->size : 0;
}

static bool
is_ahead(struct smtp_server_session *s)
{
	return buf_len(conn_input(s->conn)) != 0;
}

void
smtp_server_data_begin(struct smtp_server_session *s)
{
	uint64_t hint = declared_size(s);

	if (is_ahead(s)) {
		smtp_server_reply_bye(s, SERVER_SAID_EARLY_DATA);
		return;
	}
	enum server_said no = smtp_server_content_begin(s, SMTP_DATA_DOTS, hint);
	if (no != SERVER_SAID_NONE) {
		smtp_server_session_forget(s);
		smtp_server_session_set_state(s, SERVER_READY);
		smtp_server_reply_say(s, no);
		return;
	}
	ask_content(s, hint);
}

/* Reads the chunk at hand away, then returns to `then` with a reply: one of ours, or the owner's.
 */
static void
skip_chunk(struct smtp_server_session *s, enum server_state then, enum server_said said,
    const struct smtp_server_reply *reply)
{
	if (then == SERVER_READY)
		smtp_server_session_forget(s);
	s->chunk.then = then;
	s->chunk.said = said;
	if (reply != NULL) {
		s->chunk.reply = *reply;
		s->chunk.reply.text = arena_str(&s->scratch, reply->text);
	}
	smtp_server_session_set_state(s, SERVER_SKIP);
}

/* A chunk that belongs to no transaction. */
static bool
is_chunk_stray(struct smtp_server_session *s)
{
	if (!server_has(s, SMTP_SERVER_CHUNKING)) {
		bool hello = s->state == SERVER_HELLO;
		skip_chunk(s, hello ? SERVER_HELLO : SERVER_READY, SERVER_SAID_BDAT_OFF, NULL);
	} else if (s->state == SERVER_HELLO) {
		skip_chunk(s, SERVER_HELLO, SERVER_SAID_HELLO_FIRST, NULL);
	} else if (s->state == SERVER_READY) {
		skip_chunk(s, SERVER_READY, SERVER_SAID_MAIL_FIRST, NULL);
	} else if (s->state == SERVER_MAIL) {
		skip_chunk(s, SERVER_MAIL, SERVER_SAID_RCPT_FIRST, NULL);
	} else {
		return false;
	}
	return true;
}

void
smtp_server_data_bdat(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	struct smtp_refusal refusal;
	struct smtp_bdat bdat;
	uint64_t before = s->state == SERVER_BETWEEN ? s->content.reader.size : 0;

	if (!smtp_command_parse_bdat(cmd->args, &bdat, &refusal)) {
		smtp_server_reply_refusal(s, &refusal);
		smtp_server_session_close(s);
		return;
	}
	s->chunk = (struct server_chunk){ .left = bdat.size, .last = bdat.last };
	if (is_chunk_stray(s))
		return;
	uint64_t room = server_opts(s)->max_size - before;
	if (bdat.size > room) {
		skip_chunk(s, SERVER_READY, SERVER_SAID_TOO_BIG, NULL);
		return;
	}
	if (s->state == SERVER_BETWEEN) {
		smtp_server_session_set_state(s, SERVER_CHUNK);
		return;
	}
	uint64_t declared = declared_size(s);
	uint64_t hint = declared > bdat.size ? declared : bdat.size;
	enum server_said no = smtp_server_content_begin(s, SMTP_DATA_CHUNK, hint);
	if (no != SERVER_SAID_NONE) {
		skip_chunk(s, SERVER_READY, no, NULL);
		return;
	}
	ask_content(s, hint);
}

void
smtp_server_data_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	bool chunk = s->content.reader.mode == SMTP_DATA_CHUNK;

	if (server_refused(reply) && chunk) {
		skip_chunk(s, SERVER_READY, SERVER_SAID_NONE, reply);
	} else if (server_refused(reply)) {
		smtp_server_session_forget(s);
		smtp_server_session_set_state(s, SERVER_READY);
		smtp_server_reply_owner(s, reply);
	} else if (chunk) {
		smtp_server_session_set_state(s, SERVER_CHUNK);
	} else if (is_ahead(s)) {
		smtp_server_reply_bye(s, SERVER_SAID_EARLY_DATA);
	} else {
		smtp_server_session_set_state(s, SERVER_DATA);
		smtp_server_reply_say(s, SERVER_SAID_DATA_GO);
	}
}

/* ---- the end ---- */

static void
fail(struct smtp_server_session *s, enum server_said why)
{
	smtp_server_session_forget(s);
	smtp_server_session_set_state(s, SERVER_READY);
	smtp_server_reply_say(s, why);
}

/* All of the message is here: judge it and hand it over. */
static void
deliver(struct smtp_server_session *s)
{
	struct smtp_server *server = s->server;
	enum server_said no = smtp_server_content_finish(s);

	if (no != SERVER_SAID_NONE) {
		fail(s, no);
		return;
	}
	struct smtp_server_message *m = TAKE(s->message);
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_MESSAGE_ASKED);
	if (server->ops->on_message == NULL) {
		smtp_server_message_free(&m);
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_message(s, t, m, server->arg);
	}
}

void
smtp_server_data_message_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	smtp_server_session_set_state(s, SERVER_READY);
	if (server_refused(reply)) {
		smtp_server_reply_owner(s, reply);
		return;
	}
	s->facts.messages++;
	s->facts.errors = 0;
	s->unconfirmed = true;
	smtp_server_reply_yes(s, reply, SERVER_SAID_MESSAGE_OK);
}

/* ---- turning ---- */

static void
data_step(struct smtp_server_session *s)
{
	struct buf *input = conn_input(s->conn);
	size_t used = 0;
	enum parse got = smtp_server_content_feed(s, buf_str(input), &used);

	s->window_bytes += used;
	buf_drop(input, used);
	if (got == PARSE_ONE)
		deliver(s);
}

/* Bytes of the chunk that are there. */
static struct str
chunk_part(struct smtp_server_session *s)
{
	struct str in = buf_str(conn_input(s->conn));

	return str_sub(in, 0, s->chunk.left < in.n ? (size_t)s->chunk.left : in.n);
}

static void
chunk_used(struct smtp_server_session *s, size_t n)
{
	buf_drop(conn_input(s->conn), n);
	s->window_bytes += n;
	s->chunk.left -= n;
	s->chunk.taken += n;
}

static void
chunk_step(struct smtp_server_session *s)
{
	struct str part = chunk_part(s);
	size_t used = 0;

	if (part.n != 0) {
		enum parse got = smtp_server_content_feed(s, part, &used);
		ASSERT(got == PARSE_MORE && used == part.n);
		chunk_used(s, used);
	}
	if (s->chunk.left != 0)
		return;
	if (s->content.refusal != SERVER_SAID_NONE) {
		fail(s, s->content.refusal);
	} else if (s->chunk.last) {
		deliver(s);
	} else {
		smtp_server_session_set_state(s, SERVER_BETWEEN);
		smtp_server_reply_textf(s, 250, SMTP_ENHANCED(2, 0, 0), "%llu octets taken",
		    (unsigned long long)s->chunk.taken);
	}
}

static void
skip_step(struct smtp_server_session *s)
{
	chunk_used(s, chunk_part(s).n);
	if (s->chunk.left != 0)
		return;
	smtp_server_session_set_state(s, s->chunk.then);
	if (s->chunk.said == SERVER_SAID_NONE) {
		smtp_server_reply_owner(s, &s->chunk.reply);
	} else if (smtp_server_reply_of(s->chunk.said).code == 503) {
		smtp_server_reply_error(s, s->chunk.said);
	} else {
		smtp_server_reply_say(s, s->chunk.said);
	}
}

enum server_step
smtp_server_data_step(struct smtp_server_session *s)
{
	/* A chunk may have no bytes at all. */
	bool chunk = s->state == SERVER_CHUNK || s->state == SERVER_SKIP;

	if (!is_ahead(s) && !(chunk && s->chunk.left == 0))
		return SERVER_PARKED;
	if (s->state == SERVER_DATA) {
		data_step(s);
	} else if (s->state == SERVER_CHUNK) {
		chunk_step(s);
	} else {
		skip_step(s);
	}
	return SERVER_MORE;
}
