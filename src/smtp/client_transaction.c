/* One transaction: envelope, content, dot, and the verdict for each recipient.
 *
 * Commands are numbered 0 (MAIL), 1..n (RCPT), n + 1 (DATA). With PIPELINING all of them leave in
 * one write and the replies are counted off; without, each waits for the reply to the one before.
 * Either way `replied` alone tells what a reply means.
 *
 * A probe ends with the last RCPT: what was asked is known, and RSET makes the peer forget it.
 *
 * Facts by state:
 *   ENVELOPE  replied < n + 2; a recipient whose reply came and was no has its verdict; n_ok counts
 * the others CONTENT   n_ok > 0; the record was asked for; the dot is not written EMPTY     the
 * peer wants content for a transaction without recipients (pipelined DATA): it gets a lone dot DOT
 * granted; the dot is written; its reply is awaited RSET      every verdict is known; the peer
 * forgets the transaction
 *
 * The dot is written only with the grant. A connection that fails in DOT leaves its recipients in
 * doubt, unless bytes of ours are still unsent: the dot is the last of them, so the peer cannot
 * have it, and conn_abort sees to it that it never gets it. */
#include "smtp/client_private.h"

#include "base/clock.h"
#include "codec/smtp_command.h"
#include "codec/utf8.h"
#include "mail/downgrade.h"

#define PIECE_BYTES    65536u
/* Content up to this waits for the grant, so that it leaves with its dot in one write; sending more
 * takes long enough to overlap the wait. */
#define TOGETHER_BYTES 16384u

/* The verdict that a reply of the peer amounts to. */
static struct smtp_verdict
by_reply(enum smtp_outcome outcome, enum smtp_stage stage, const struct smtp_reply *r)
{
	return (struct smtp_verdict){ .outcome = outcome,
		.stage = stage,
		.code = r->code,
		.enhanced = r->enhanced,
		.text = r->text };
}

/* Gives every recipient that has none yet the same verdict; the text is copied once. */
static void
set_remaining(struct smtp_client *c, struct smtp_verdict v)
{
	struct smtp_job *job = c->job;

	v.text = arena_str(job->arena, v.text);
	for (size_t i = 0; i < job->n_rcpts; i++) {
		if (job->rcpts[i].verdict.outcome == SMTP_NOT_TRIED)
			job->rcpts[i].verdict = v;
	}
}

/* The peer cannot carry this message: said by us, before anything is sent. */
static void
refuse_here(struct smtp_client *c, enum smtp_trouble trouble, struct smtp_enhanced enhanced,
    struct str text)
{
	set_remaining(c, (struct smtp_verdict){ .outcome = SMTP_REFUSED,
			     .stage = SMTP_STAGE_MAIL,
			     .trouble = trouble,
			     .enhanced = enhanced,
			     .text = text });
}

/* Hands the job back. The client is idle or on its way out by now. */
static void
end_job(struct smtp_client *c)
{
	struct smtp_job *job = TAKE(c->job);

	job->ended_us = loop_now_us(c->loop);
	loop_timer_cancel(c->loop, &c->cut);
	blob_unref(&c->content);
	c->facts.jobs++;
	c->ops->on_job_done(c, job, c->arg);
}

/* The transaction is over and the connection is good: next job, or goodbye. */
static void
back_to_idle(struct smtp_client *c)
{
	client_set_state(c, CLIENT_IDLE);
	if (c->quit_wanted)
		client_leave(c);
	end_job(c);
}

static void
reset(struct smtp_client *c)
{
	client_set_state(c, CLIENT_RSET);
	buf_add(&c->out, STR("RSET\r\n"));
	client_flush(c);
}

/* Re-encodes 8-bit content for a peer that takes only 7-bit. */
static void
make_seven_bit(struct smtp_client *c)
{
	struct smtp_job *job = c->job;
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_pieces seven;
	const char *why = "";

	mail_pieces_init(&seven, &a);
	if (mail_downgrade(blob_str(job->content), &seven, &why) != RC_OK) {
		refuse_here(c, SMTP_TROUBLE_NO_8BITMIME, SMTP_ENHANCED(5, 6, 3),
		    arena_strf(job->arena,
			"the server takes only 7-bit content and this message is 8-bit: %s", why));
		return;
	}
	blob_unref(&c->content);
	c->content = blob_new(seven.bytes);
	mail_pieces_join(&seven, c->content->p);
}

/* Lists the recipients that can go out: those without a verdict, and of them, where the peer knows
 * ASCII only, those whose address is that. One odd address must not keep the others waiting. */
static void
list_going(struct smtp_client *c)
{
	struct smtp_job *job = c->job;
	bool utf8 = smtp_caps_has(&c->facts.caps, SMTP_CAP_SMTPUTF8);

	c->n_going = 0;
	c->going = ARENA_NEW_ARRAY(job->arena, size_t, job->n_rcpts);
	for (size_t i = 0; i < job->n_rcpts; i++) {
		struct smtp_job_rcpt *rc = &job->rcpts[i];
		if (!utf8 && rc->verdict.outcome == SMTP_NOT_TRIED && !utf8_is_ascii(rc->path))
			rc->verdict = (struct smtp_verdict){
				.outcome = SMTP_REFUSED,
				.stage = SMTP_STAGE_RCPT,
				.trouble = SMTP_TROUBLE_NO_SMTPUTF8,
				.enhanced = SMTP_ENHANCED(5, 6, 7),
				.text = STR(
				    "the address is not ASCII and the server does not offer SMTPUTF8")
			};
		if (rc->verdict.outcome == SMTP_NOT_TRIED)
			c->going[c->n_going++] = i;
	}
}

/* What the message needs and the peer lacks is said before anything is sent. True when the job can
 * go out to somebody. */
static bool
peer_can_carry(struct smtp_client *c)
{
	struct smtp_job *job = c->job;
	const struct smtp_caps *caps = &c->facts.caps;

	if (job->is_probe) { /* the peer itself is asked */
		list_going(c);
		return true;
	}
	if (job->needs_utf8 && !smtp_caps_has(caps, SMTP_CAP_SMTPUTF8)) {
		refuse_here(c, SMTP_TROUBLE_NO_SMTPUTF8, SMTP_ENHANCED(5, 6, 7),
		    STR("the message has a non-ASCII address or header and the server does not offer SMTPUTF8"));
	} else if (job->needs_8bit && !smtp_caps_has(caps, SMTP_CAP_8BITMIME)) {
		make_seven_bit(c);
	}
	if (caps->size_max != 0 && c->content->n > caps->size_max) {
		refuse_here(c, SMTP_TROUBLE_TOO_BIG, SMTP_ENHANCED(5, 3, 4),
		    arena_strf(job->arena,
			"the message has %zu bytes and the server takes at most %llu",
			c->content->n, (unsigned long long)caps->size_max));
	}
	list_going(c);
	return c->n_going != 0;
}

/* Whether an address that really goes out needs SMTPUTF8. */
static bool
goes_to_utf8(const struct smtp_client *c)
{
	for (size_t k = 0; k < c->n_going; k++) {
		if (!utf8_is_ascii(c->job->rcpts[c->going[k]].path))
			return true;
	}
	return false;
}

static void
add_mail(struct smtp_client *c)
{
	const struct smtp_job *job = c->job;
	const struct smtp_caps *caps = &c->facts.caps;
	struct smtp_mail_params p = job->params;

	p.seen &=
	    smtp_caps_has(caps, SMTP_CAP_DSN) ? SMTP_PARAM_BIT(RET) | SMTP_PARAM_BIT(ENVID) : 0;
	uint64_t size = job->is_probe ? job->probe_bytes : c->content->n;
	if (smtp_caps_has(caps, SMTP_CAP_SIZE) && (size != 0 || !job->is_probe)) {
		p.seen |= SMTP_PARAM_BIT(SIZE);
		p.size = size;
	}
	if (job->needs_8bit && smtp_caps_has(caps, SMTP_CAP_8BITMIME)) {
		p.seen |= SMTP_PARAM_BIT(BODY);
		p.body = SMTP_BODY_8BITMIME;
	}
	if ((job->needs_utf8 || goes_to_utf8(c)) && smtp_caps_has(caps, SMTP_CAP_SMTPUTF8))
		p.seen |= SMTP_PARAM_BIT(SMTPUTF8);
	smtp_command_mail(&c->out, job->sender, &p);
}

static void
add_rcpt(struct smtp_client *c, const struct smtp_job_rcpt *rc)
{
	struct smtp_rcpt_params p = rc->params;

	if (!smtp_caps_has(&c->facts.caps, SMTP_CAP_DSN))
		p.seen = 0;
	smtp_command_rcpt(&c->out, rc->path, &p);
}

/* Sends the commands that may leave now. */
static void
send_commands(struct smtp_client *c)
{
	size_t last = c->job->is_probe ? c->n_going : c->n_going + 1;
	bool pipelining = smtp_caps_has(&c->facts.caps, SMTP_CAP_PIPELINING);

	while (c->sent <= last && (pipelining || c->sent == c->replied)) {
		size_t k = c->sent++;
		if (k == 0)
			add_mail(c);
		else if (k <= c->n_going)
			add_rcpt(c, &c->job->rcpts[c->going[k - 1]]);
		else
			buf_add(&c->out, STR("DATA\r\n"));
	}
	client_flush(c);
}

void
smtp_client_send(struct smtp_client *c, struct smtp_job *job)
{
	ASSERT(c->magic == CLIENT_MAGIC && c->state == CLIENT_IDLE && c->job == NULL &&
	       !c->quit_wanted);
	ASSERT(job->n_rcpts > 0 || job->is_probe);
	c->job = job;
	c->content = job->is_probe ? NULL : blob_ref(job->content);
	c->sent = c->replied = c->n_ok = c->n_going = 0;
	c->grant = GRANT_NONE;
	c->framing = (struct smtp_data_writer){ 0 };
	job->started_us = loop_now_us(c->loop);
	job->n_granted = 0;
	job->mail = (struct smtp_verdict){ 0 };
	for (size_t i = 0; i < job->n_rcpts; i++)
		job->rcpts[i].verdict = (struct smtp_verdict){ 0 };
	client_set_state(c, CLIENT_ENVELOPE);
	if (!peer_can_carry(c)) {
		loop_defer(c->loop, &c->settle);
		return;
	}
	if (job->cut_after_us > 0)
		loop_timer_set(c->loop, &c->cut, job->started_us + job->cut_after_us);
	send_commands(c);
}

void
client_transaction_settle(void *arg)
{
	struct smtp_client *c = client_from_arg(arg);

	if (c->job != NULL && c->state == CLIENT_ENVELOPE)
		back_to_idle(c);
}

/* Too slow before the dot: nothing was sent, so nothing is in doubt. */
void
client_transaction_too_slow(void *arg)
{
	struct smtp_client *c = client_from_arg(arg);

	if (c->job != NULL && c->state < CLIENT_DOT)
		smtp_client_abort(
		    c, STR("the transaction took too long before its end and was broken off"));
}

static void
begin_content(struct smtp_client *c)
{
	c->rest = blob_str(c->content);
	c->job->n_granted = c->n_ok;
	c->grant = GRANT_ASKED;
	client_set_state(c, CLIENT_CONTENT);
	client_transaction_pump(c);
	c->ops->on_about_to_finish(c, c->job, c->arg);
}

/* Writes content as far as the connection takes it, and the dot once it is granted. */
void
client_transaction_pump(struct smtp_client *c)
{
	struct str views[16];

	if (c->state != CLIENT_CONTENT ||
	    (c->grant != GRANT_YES && c->content->n <= TOGETHER_BYTES))
		return;
	/* Three minutes for each block that the peer takes, not for all of them (RFC 5321
	 * section 4.5.3.2.5). */
	if (c->rest.n != 0)
		client_touch(c);
	while (c->rest.n != 0 && !conn_is_clogged(c->conn)) {
		struct str piece = str_sub(c->rest, 0, PIECE_BYTES);
		c->rest = str_skip(c->rest, piece.n);
		while (piece.n != 0) {
			size_t n =
			    smtp_data_writer_next(&c->framing, &piece, views, COUNT_OF(views));
			for (size_t i = 0; i < n; i++)
				conn_write(c->conn, views[i]);
		}
	}
	if (c->rest.n != 0 || c->grant != GRANT_YES)
		return;
	loop_timer_cancel(c->loop, &c->cut);
	client_set_state(c, CLIENT_DOT);
	conn_write(c->conn, smtp_data_writer_end(&c->framing));
}

void
smtp_client_grant(struct smtp_client *c, bool recorded)
{
	ASSERT(c->magic == CLIENT_MAGIC);
	if (c->state != CLIENT_CONTENT || c->grant != GRANT_ASKED)
		return; /* the connection failed meanwhile and the job went back */
	if (!recorded) {
		smtp_client_abort(c,
		    STR("the end of the message could not be recorded on disk, so it was not sent"));
		return;
	}
	c->grant = GRANT_YES;
	client_transaction_pump(c);
}

/* The last reply of the envelope: the one to DATA, or the one that makes DATA pointless. */
static void
envelope_over(struct smtp_client *c, const struct smtp_reply *data)
{
	if (data != NULL && data->code == 354) {
		if (c->n_ok != 0) {
			begin_content(c);
			return;
		}
		client_set_state(c, CLIENT_EMPTY);
		buf_add(&c->out, STR(".\r\n"));
		client_flush(c);
		return;
	}
	if (data != NULL)
		set_remaining(c, by_reply(SMTP_REFUSED, SMTP_STAGE_DATA, data));
	reset(c);
}

/* Reply `k` to a probe. */
static void
probe_reply(struct smtp_client *c, size_t k, const struct smtp_reply *r)
{
	struct smtp_job *job = c->job;
	enum smtp_outcome outcome = smtp_reply_is_2xx(r) ? SMTP_NOT_TRIED : SMTP_REFUSED;
	struct smtp_verdict v = by_reply(outcome, k == 0 ? SMTP_STAGE_MAIL : SMTP_STAGE_RCPT, r);

	v.text = arena_str(job->arena, r->text);
	if (k == 0)
		job->mail = v;
	else
		job->rcpts[c->going[k - 1]].verdict = v;
	if (k == c->n_going || (k == 0 && outcome == SMTP_REFUSED && c->sent == 1))
		reset(c);
	else
		send_commands(c);
}

static void
envelope_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	struct smtp_job *job = c->job;
	bool pipelining = smtp_caps_has(&c->facts.caps, SMTP_CAP_PIPELINING);
	size_t k = c->replied++;

	if (job->is_probe) {
		probe_reply(c, k, r);
		return;
	}
	if (k == 0 && !smtp_reply_is_2xx(r)) {
		set_remaining(c, by_reply(SMTP_REFUSED, SMTP_STAGE_MAIL, r));
		if (!pipelining) {
			envelope_over(c, NULL);
			return;
		}
	} else if (k >= 1 && k <= c->n_going) {
		struct smtp_job_rcpt *rc = &job->rcpts[c->going[k - 1]];
		if (smtp_reply_is_2xx(r) && rc->verdict.outcome == SMTP_NOT_TRIED) {
			c->n_ok++;
		} else if (rc->verdict.outcome == SMTP_NOT_TRIED) {
			rc->verdict = by_reply(SMTP_REFUSED, SMTP_STAGE_RCPT, r);
			rc->verdict.text = arena_str(job->arena, r->text);
		}
		if (k == c->n_going && c->n_ok == 0 && !pipelining) {
			envelope_over(c, NULL);
			return;
		}
	} else if (k == c->n_going + 1) {
		envelope_over(c, r);
		return;
	}
	send_commands(c);
}

void
client_transaction_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 421) {
		/* The peer closes: what it has not decided gets this as its verdict. */
		set_remaining(c, by_reply(SMTP_REFUSED, client_stage(c), r));
		if (c->job->is_probe && c->job->mail.code == 0) {
			c->job->mail = by_reply(SMTP_REFUSED, client_stage(c), r);
			c->job->mail.text = arena_str(c->job->arena, r->text);
		}
		client_note_reply(c, SMTP_REFUSED, r);
		/* A QUIT would push out a dot that has not left yet, and with it a second copy. */
		if (conn_unsent_bytes(c->conn) != 0)
			conn_abort(c->conn);
		else
			client_leave(c);
		end_job(c);
		return;
	}
	if (c->state == CLIENT_ENVELOPE) {
		envelope_reply(c, r);
	} else if (c->state == CLIENT_CONTENT ||
		   (c->state == CLIENT_DOT && conn_unsent_bytes(c->conn) != 0)) {
		/* A reply before the dot left: the peer gave the transaction up. It can only be
		 * heard, not answered: what follows would be read as commands. */
		set_remaining(c, by_reply(SMTP_REFUSED, SMTP_STAGE_DATA, r));
		client_note_reply(c, SMTP_REFUSED, r);
		conn_abort(c->conn);
	} else if (c->state == CLIENT_DOT) {
		set_remaining(c,
		    by_reply(smtp_reply_is_2xx(r) ? SMTP_SENT : SMTP_REFUSED, SMTP_STAGE_DOT, r));
		back_to_idle(c);
	} else if (c->state == CLIENT_EMPTY) {
		reset(c);
	} else {
		c->quit_wanted |=
		    !smtp_reply_is_2xx(r); /* RSET is never refused by a server in its senses */
		back_to_idle(c);
	}
}

bool
client_transaction_is_stale(const struct smtp_client *c)
{
	return c->state == CLIENT_ENVELOPE && c->replied == 0 && c->facts.jobs != 0 &&
	       c->closed_by_peer;
}

bool
client_transaction_waits_for_owner(const struct smtp_client *c)
{
	return c->state == CLIENT_CONTENT && c->grant == GRANT_ASKED &&
	       (c->rest.n == 0 || c->content->n <= TOGETHER_BYTES) &&
	       conn_unsent_bytes(c->conn) == 0;
}

void
client_transaction_cut_off(struct smtp_client *c)
{
	if (c->job == NULL)
		return;
	struct smtp_verdict v = c->end;

	v.stage = client_stage(c);
	if (c->state == CLIENT_DOT && conn_unsent_bytes(c->conn) == 0)
		v.outcome = SMTP_IN_DOUBT;
	else if (!client_transaction_is_stale(c))
		v.outcome = SMTP_BROKEN;
	v.text = arena_str(c->job->arena, v.text);
	if (c->job->is_probe && c->job->mail.code == 0)
		c->job->mail = v;
	set_remaining(c, v);
	client_set_state(c, CLIENT_CLOSED);
	end_job(c);
}
