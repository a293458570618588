/* From a connected socket to a mailbox that may be looked into: TLS, capabilities, login, ID.
 *
 * One try to log in, with what the settings name and the server offers: XOAUTH2 where asked for;
 * else AUTHENTICATE PLAIN, which takes any password, else LOGIN. With STARTTLS a greeting that says
 * we are logged in already (PREAUTH) is refused, since it would skip the protection (RFC 3501 §11.1
 * and what was found about it since); what was announced in the clear is forgotten. */
#include "base/clock.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "net/imap_private.h"
#include "net/tls.h"

#define SECRET_MAX 8192u
#define AUTH_MAX   32768u

void
imap_login_start_tls(struct imap *i)
{
	struct tls_peer peer = { .name = i->opts.tls_name };
	struct fault f = { 0 };

	i->starts_tls = false;
	imap_set_state(i, IMAP_TLS);
	if (conn_start_tls(i->conn, i->opts.tls_ctx, &peer, &f) != RC_OK)
		imap_fail(i, RC_TLS, "%s", f.text);
}

void
imap_login_begin(struct imap *i)
{
	if (i->opts.tls == IMAP_TLS_IMPLICIT)
		imap_login_start_tls(i);
	else
		imap_set_state(i, IMAP_GREETING);
}

/* ---- capabilities ---- */

static void
ask_caps(struct imap *i, enum imap_state state)
{
	imap_set_state(i, state);
	buf_clear(&i->caps);
	buf_add(&i->out, STR("CAPABILITY"));
	imap_send(i);
}

/* "* CAPABILITY A B C". */
static void
keep_caps(struct imap *i, const struct imap_value *v)
{
	buf_clear(&i->caps);
	for (; v != NULL; v = v->next) {
		buf_add(&i->caps, v->text);
		buf_add_byte(&i->caps, ' ');
	}
}

void
imap_login_tls_ready(struct imap *i)
{
	struct tls_facts t;

	if (conn_tls_facts(i->conn, &t))
		i->tls_text = arena_strf(&i->life, "%s %s", t.version, t.cipher);
	if (i->opts.tls == IMAP_TLS_IMPLICIT)
		imap_set_state(i, IMAP_GREETING);
	else
		ask_caps(i, IMAP_CAPS);
}

/* ---- ready ---- */

static void
ready(struct imap *i)
{
	imap_set_state(i, IMAP_READY);
	i->opts.secret = (struct str){ 0 };
	i->stage = IMAP_STAGE_FOLDERS;
	i->ops->on_ready(i, i->arg);
}

static void
say_who(struct imap *i)
{
	if (!imap_has(i, STR("ID"))) {
		ready(i);
		return;
	}
	imap_set_state(i, IMAP_ID);
	buf_add(&i->out, STR("ID (\"name\" \"posthouse\" \"version\" \"" POSTHOUSE_VERSION
			     "\" \"vendor\" \"posthouse\")"));
	imap_send(i);
}

/* ---- login ---- */

/* The response of AUTHENTICATE, in base64, into `out`. */
static bool
add_response(struct imap *i, struct buf *out)
{
	struct buf plain = { 0 };

	buf_init(&plain, SECRET_MAX + 1024);
	/* All of it at once: a buffer that grows leaves copies behind. */
	(void)buf_reserve(&plain, i->opts.user.n + i->opts.secret.n + 64);
	if (i->opts.login == IMAP_LOGIN_XOAUTH2) {
		buf_add(&plain, STR("user="));
		buf_add(&plain, i->opts.user);
		buf_add(&plain, STR("\001auth=Bearer "));
		buf_add(&plain, i->opts.secret);
		buf_add(&plain, STR("\001\001"));
	} else {
		buf_add_byte(&plain, '\0');
		buf_add(&plain, i->opts.user);
		buf_add_byte(&plain, '\0');
		buf_add(&plain, i->opts.secret);
	}
	bool ok = buf_is_ok(&plain);
	if (ok) {
		(void)buf_reserve(out, base64_size(buf_len(&plain)) + 128);
		base64_encode(out, buf_str(&plain));
	}
	buf_wipe(&plain);
	return ok && buf_is_ok(out);
}

static void
authenticate(struct imap *i, const char *mechanism)
{
	bool at_once = imap_has(i, STR("SASL-IR"));

	(void)buf_reserve(&i->out, AUTH_MAX);
	buf_addf(&i->out, "AUTHENTICATE %s", mechanism);
	i->waits_for_go = !at_once;
	i->answered_once = at_once;
	if (at_once) {
		buf_add_byte(&i->out, ' ');
		if (!add_response(i, &i->out)) {
			imap_fail(i, RC_LIMIT, "user or secret is too long");
			return;
		}
	}
	imap_send(i);
}

static void
log_in_plainly(struct imap *i)
{
	(void)buf_reserve(&i->out, AUTH_MAX);
	buf_add(&i->out, STR("LOGIN "));
	if (imap_quote(&i->out, i->opts.user) != RC_OK) {
		imap_fail(i, RC_INVALID,
		    "the user name has characters that this server's LOGIN cannot carry");
		return;
	}
	buf_add_byte(&i->out, ' ');
	if (imap_quote(&i->out, i->opts.secret) != RC_OK) {
		imap_fail(i, RC_INVALID,
		    "the secret has characters that this server's LOGIN cannot carry");
		return;
	}
	imap_send(i);
}

static void
log_in(struct imap *i)
{
	bool password = i->opts.login == IMAP_LOGIN_PASSWORD;

	imap_set_state(i, IMAP_AUTH);
	if (i->opts.secret.n == 0 || i->opts.secret.n > SECRET_MAX)
		imap_fail(i, RC_INVALID, "there is no secret, or it is too long");
	else if (!password && imap_has(i, STR("AUTH=XOAUTH2")))
		authenticate(i, "XOAUTH2");
	else if (!password)
		imap_fail(i, RC_NOT_FOUND, "the server does not offer XOAUTH2");
	else if (imap_has(i, STR("AUTH=PLAIN")))
		authenticate(i, "PLAIN");
	else if (!imap_has(i, STR("LOGINDISABLED")))
		log_in_plainly(i);
	else
		imap_fail(i, RC_NOT_FOUND,
		    "the server offers no login that we may use here; it may want TLS");
}

/* The server's "+": it waits for the response, or tells why it says no (XOAUTH2), which an empty
 * line acknowledges. */
static void
go_on(struct imap *i)
{
	struct buf line = { 0 };

	if (i->answered_once) {
		conn_write(i->conn, STR("\r\n"));
		return;
	}
	if (!i->waits_for_go) {
		imap_fail(i, RC_INVALID, "the server asks for something that was not announced");
		return;
	}
	i->answered_once = true;
	buf_init(&line, AUTH_MAX);
	if (add_response(i, &line)) {
		buf_add(&line, STR("\r\n"));
		conn_write(i->conn, buf_str(&line));
	} else {
		imap_fail(i, RC_LIMIT, "user or secret is too long");
	}
	buf_wipe(&line);
}

/* ---- responses ---- */

static void
greeted(struct imap *i, const struct imap_response *r)
{
	if (!str_eq(r->tag, STR("*")) || (r->status != IMAP_OK && r->status != IMAP_PREAUTH)) {
		imap_fail(i, RC_INVALID, "the server does not speak IMAP");
		return;
	}
	i->greeting = arena_str(&i->life, str_sub(r->text, 0, 200));
	if (i->opts.tls == IMAP_TLS_STARTTLS && r->status == IMAP_PREAUTH)
		imap_fail(i, RC_TLS, "the server logs us in before TLS could be started");
	else if (i->opts.tls == IMAP_TLS_STARTTLS)
		ask_caps(i, IMAP_HELLO);
	else
		ask_caps(i, IMAP_CAPS);
}

static void
may_start_tls(struct imap *i)
{
	if (!imap_has(i, STR("STARTTLS"))) {
		imap_set_state(i, IMAP_STARTTLS);
		imap_fail(i, RC_TLS,
		    "the server does not offer STARTTLS; port 993 with implicit TLS is the usual way");
		return;
	}
	imap_set_state(i, IMAP_STARTTLS);
	buf_add(&i->out, STR("STARTTLS"));
	imap_send(i);
}

/* The tagged end of what was asked in this state. */
static void
step_ended(struct imap *i, const struct imap_response *r)
{
	struct str words;
	bool ok = r->status == IMAP_OK;

	if (!ok && i->state != IMAP_ID) {
		imap_fail(i, RC_DENIED, "the server says: %.*s", STR_ARG(str_sub(r->text, 0, 200)));
		return;
	}
	switch (i->state) {
	case IMAP_HELLO: may_start_tls(i); return;
	case IMAP_STARTTLS: i->starts_tls = true; return;
	case IMAP_CAPS: log_in(i); return;
	case IMAP_AUTH:
		if (!imap_code_is(r->code, STR("CAPABILITY"), &words)) {
			ask_caps(i, IMAP_NEW_CAPS);
			return;
		}
		imap_set_state(i, IMAP_NEW_CAPS);
		buf_clear(&i->caps);
		buf_add(&i->caps, words);
		say_who(i);
		return;
	case IMAP_NEW_CAPS: say_who(i); return;
	case IMAP_ID: ready(i); return;
	case IMAP_DIALLING:
	case IMAP_GREETING:
	case IMAP_TLS:
	case IMAP_READY:
	case IMAP_COMMAND:
	case IMAP_LOGOUT:
	case IMAP_CLOSED:
	case IMAP_STATE_COUNT: break;
	}
	UNREACHABLE();
}

void
imap_login_response(struct imap *i, const struct imap_response *r)
{
	if (i->state == IMAP_GREETING) {
		greeted(i, r);
	} else if (imap_is_end(i, r)) {
		step_ended(i, r);
	} else if (r->status == IMAP_CONTINUE) {
		if (i->state == IMAP_AUTH)
			go_on(i);
		else
			imap_fail(i, RC_INVALID, "the server asks for more where nothing follows");
	} else if (str_eq_nocase(r->name, STR("CAPABILITY")) && i->state != IMAP_AUTH) {
		keep_caps(i, r->values);
	}
}
