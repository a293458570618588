/* Moving bytes between a socket, in plain text or TLS, and the two buffers of a connection.
 *
 * Input is read into the loop's scratch memory and copied, so that a connection holds no more than
 * what its owner left; both buffers give their memory back when they are empty, which is what makes
 * ten thousand idle connections cheap.
 *
 * TLS and readiness. OpenSSL may hold decrypted or undecoded bytes that the socket will never
 * announce. So a TLS read goes on until OpenSSL itself asks for more; where it has to stop before
 * (the input is full, or a fair share was read), the rest is owed and read at the tail. That debt
 * is kept as CONN_OWES_READ, and while it stands the socket is not watched for reading.
 *
 * STARTTLS (RFC 3207 §4.2, RFC 8314): bytes that arrived in plain text must never be taken for
 * bytes that came protected. conn_start_tls refuses a connection with anything in its input. What
 * is still in the kernel then goes to the handshake, which fails on it. */
#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "net/private.h"

/* ---- output ---- */

/* The kernel or OpenSSL refused our bytes; `f` says why. */
static void
fail_output(struct conn *c, const struct fault *f)
{
	c->is_blocked = true; /* nothing more is tried */
	if (c->state == CONN_OPEN && c->paused == 0) {
		c->why = *f;
		conn_owe(c, CONN_OWES_FAILURE);
	} else {
		conn_fail(c, f);
	}
}

/* Writes a part of `s`; how much is in *put_out. False: not now, or failed (owed or done). */
static bool
write_some(struct conn *c, struct str s, size_t *put_out)
{
	struct fault f = { 0 };

	if (c->tls == NULL) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		if (n >= 0) {
			*put_out = (size_t)n;
			return true;
		}
		if (errno == EAGAIN || errno == EINTR) {
			c->is_blocked = true;
			return false;
		}
		(void)fault_sys(&f, net_addr_errno_rc(errno), "cannot write to the connection");
		fail_output(c, &f);
		return false;
	}
	switch (tls_stream_write(c->tls, s, put_out, &f)) {
	case TLS_IO_OK: return true;
	case TLS_IO_WANT_READ: c->tls_wants |= LOOP_READ; FALLTHROUGH;
	case TLS_IO_WANT_WRITE: c->is_blocked = true; return false;
	case TLS_IO_END: (void)fault_set(&f, RC_CLOSED, "the peer closed the connection"); break;
	case TLS_IO_FAILED: break;
	}
	fail_output(c, &f);
	return false;
}

void
conn_flush_output(struct conn *c)
{
	if ((c->owed & CONN_OWES_FAILURE) != 0 || c->state == CONN_CLOSED)
		return;
	c->is_blocked = false;
	c->tls_wants &= ~LOOP_READ;
	while (buf_len(&c->out) != 0) {
		size_t n = 0;
		if (!write_some(c, buf_str(&c->out), &n))
			break;
		buf_drop(&c->out, n);
	}
	if (c->state == CONN_CLOSED)
		return;
	if (buf_len(&c->out) == 0)
		buf_done(&c->out);
	if (c->is_clogged && buf_len(&c->out) < c->low_water_bytes) {
		c->is_clogged = false;
		conn_owe(c, CONN_OWES_DRAINED);
	}
	if (c->state == CONN_FLUSHING && buf_len(&c->out) == 0)
		conn_owe(c, 0);
	conn_update_watch(c);
}

/* ---- input ---- */

enum read_end {
	READ_MORE, /* the socket will say when there is more */
	READ_HELD, /* TLS may hold more */
	READ_END,
	READ_FAILED,
};

static enum read_end
read_plain(struct conn *c, char *p, size_t room, size_t *got_out, struct fault *f)
{
	ssize_t n = recv(c->fd, p, room, 0);

	if (n > 0) {
		*got_out = (size_t)n;
		return READ_MORE;
	}
	if (n == 0)
		return READ_END;
	if (errno == EAGAIN || errno == EINTR)
		return READ_MORE;
	(void)fault_sys(f, net_addr_errno_rc(errno), "cannot read from the connection");
	return READ_FAILED;
}

static enum read_end
read_tls(struct conn *c, char *p, size_t room, size_t *got_out, struct fault *f)
{
	c->tls_wants &= ~LOOP_WRITE;
	while (*got_out < room) {
		size_t n = 0;
		switch (tls_stream_read(c->tls, p + *got_out, room - *got_out, &n, f)) {
		case TLS_IO_OK: *got_out += n; break;
		case TLS_IO_WANT_WRITE: c->tls_wants |= LOOP_WRITE; FALLTHROUGH;
		case TLS_IO_WANT_READ: return READ_MORE;
		case TLS_IO_END: return READ_END;
		case TLS_IO_FAILED: return READ_FAILED;
		}
	}
	return READ_HELD;
}

bool
conn_deliver(struct conn *c)
{
	if (c->paused != 0)
		return true;
	c->ops->on_data(c->arg);
	if (c->state != CONN_OPEN)
		return false;
	if (buf_len(&c->in) == 0)
		buf_done(&c->in);
	return true;
}

void
conn_read_input(struct conn *c)
{
	size_t room = c->in.limit - buf_len(&c->in), got = 0;
	struct fault f = { 0 };
	enum read_end end;

	if (c->paused != 0 || room == 0)
		return; /* conn_resume, or the owner's next drop, brings us back */
	if (room > LOOP_SCRATCH_BYTES)
		room = LOOP_SCRATCH_BYTES;
	char *p = loop_scratch(c->loop);
	end = c->tls != NULL ? read_tls(c, p, room, &got, &f) : read_plain(c, p, room, &got, &f);
	buf_add(&c->in, str_make(p, got));
	if (got != 0 && !conn_deliver(c))
		return;
	switch (end) {
	case READ_MORE: break;
	case READ_HELD: conn_owe(c, CONN_OWES_READ); break;
	case READ_END:
		/* Paused with this last data: the end is seen again after conn_resume. */
		if (c->paused == 0) {
			conn_end_by_peer(c);
			return;
		}
		break;
	case READ_FAILED: conn_fail(c, &f); return;
	}
	conn_update_watch(c);
}

enum rc
conn_discard_input(struct conn *c)
{
	char *p = loop_scratch(c->loop);
	ssize_t n = recv(c->fd, p, LOOP_SCRATCH_BYTES, 0);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return RC_AGAIN;
	return RC_DONE;
}

/* ---- TLS ---- */

enum rc
conn_start_tls(struct conn *c, struct tls_ctx *ctx, const struct tls_peer *peer, struct fault *f)
{
	if (c->tls != NULL || (c->state != CONN_OPENING && c->state != CONN_OPEN))
		return fault_set(f, RC_INVALID, "TLS cannot be started now");
	if (buf_len(&c->in) != 0)
		return fault_set(f, RC_INVALID, "the peer sent more before TLS was on");
	conn_flush_output(c);
	if (buf_len(&c->out) != 0)
		return fault_set(f, RC_INVALID, "the peer does not take what comes before TLS");
	enum rc rc = tls_stream_new(ctx, c->fd, peer, &c->tls, f);
	if (rc != RC_OK)
		return rc;
	conn_set_state(c, CONN_HANDSHAKE);
	c->tls_wants = 0;
	c->owed = 0;
	conn_owe(c, 0); /* a client speaks first: at the tail */
	conn_update_watch(c);
	return RC_OK;
}

void
conn_step_handshake(struct conn *c)
{
	struct fault f = { 0 };

	switch (tls_stream_handshake(c->tls, &f)) {
	case TLS_IO_WANT_READ: c->tls_wants = LOOP_READ; break;
	case TLS_IO_WANT_WRITE: c->tls_wants = LOOP_WRITE; break;
	case TLS_IO_OK:
		c->tls_wants = 0;
		conn_set_state(c, CONN_OPEN);
		/* The peer's first bytes may have come with the end of the handshake. */
		conn_owe(c, CONN_OWES_READ);
		conn_update_watch(c);
		if (c->ops->on_ready != NULL)
			c->ops->on_ready(c->arg);
		return;
	case TLS_IO_END:
	case TLS_IO_FAILED: conn_fail(c, &f); return;
	}
	conn_update_watch(c);
}

bool
conn_has_tls(const struct conn *c)
{
	return c->tls != NULL;
}

bool
conn_tls_facts(const struct conn *c, struct tls_facts *out)
{
	if (c->tls == NULL)
		return false;
	tls_stream_facts(c->tls, out);
	return true;
}
