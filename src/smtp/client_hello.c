/* From the greeting to a connection that may carry mail: EHLO, STARTTLS, EHLO again, AUTH.
 *
 * Never weaker than asked: with STARTTLS required and not offered, or refused, the connection ends
 * here, before anything else was said; what the peer announced before TLS is forgotten (RFC 3207
 * section 4.2). HELO is tried only where neither TLS nor a login is needed, since it can offer
 * neither. */
#include "smtp/client_private.h"

#include "base/clock.h"

static bool
peer_is_loopback(const struct smtp_client *c)
{
	struct net_addr a;

	return conn_peer_addr(c->conn, &a) && net_addr_is_loopback(&a);
}

static void
start_tls(struct smtp_client *c)
{
	struct tls_peer peer = {
		.name = c->opts.peer_name, .cache = c->opts.tls_cache, .key = c->opts.tls_key
	};
	struct fault f = { 0 };

	client_set_state(c, CLIENT_TLS);
	(void)client_lap(c);
	c->facts.spoke_early = buf_len(conn_input(c->conn)) != 0;
	if (conn_start_tls(c->conn, c->opts.tls_ctx, &peer, &f) != RC_OK)
		client_fail(c, SMTP_TROUBLE_TLS, str_from(f.text));
}

static void
say_hello(struct smtp_client *c)
{
	client_set_state(c, CLIENT_EHLO);
	buf_addf(&c->out, "EHLO %.*s\r\n", STR_ARG(c->opts.hostname));
	client_flush(c);
}

void
client_hello_begin(struct smtp_client *c)
{
	if (c->opts.tls == SMTP_TLS_IMPLICIT)
		start_tls(c);
	else
		client_set_state(c, CLIENT_GREETING);
}

static void
keep_tls_facts(struct smtp_client *c)
{
	struct tls_facts t;

	if (conn_tls_facts(c->conn, &t))
		c->facts.tls = arena_strf(&c->life, "%s %s", t.version, t.cipher);
}

void
client_hello_tls_ready(struct smtp_client *c)
{
	keep_tls_facts(c);
	c->facts.tls_us = client_lap(c);
	if (c->opts.tls == SMTP_TLS_IMPLICIT) {
		client_set_state(c, CLIENT_GREETING);
		return;
	}
	c->facts.clear_caps = c->facts.caps;
	c->facts.caps = (struct smtp_caps){ 0 };
	say_hello(c);
}

/* ---- login ---- */

static void
log_in(struct smtp_client *c)
{
	struct fault f = { 0 };
	enum smtp_mech mech;
	struct sasl_choice choice = {
		.offered = c->facts.caps.mechs,
		.required = SMTP_MECH_COUNT,
		.tls = conn_has_tls(c->conn),
		.plain_ok = c->opts.plain_ok || peer_is_loopback(c),
	};

	client_set_state(c, CLIENT_AUTH);
	(void)client_lap(c);
	if (c->opts.mechanism.n != 0 && !smtp_caps_find_mech(c->opts.mechanism, &choice.required))
		choice.offered = 0;
	if (sasl_client_choose(&choice, &mech, &f) != RC_OK ||
	    sasl_client_new(mech, c->opts.user, c->opts.secret, (struct str){ 0 }, &c->sasl, &f) !=
		RC_OK) {
		client_note_trouble(c, SMTP_TROUBLE_NO_AUTH, str_from(f.text));
		client_leave(c);
		return;
	}
	c->facts.mech = mech;
	sasl_client_start(c->sasl, &c->out);
	buf_add(&c->out, STR("\r\n"));
	client_flush(c);
}

static void
auth_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	struct fault f = { 0 };

	if (r->code == 334) {
		/* A refused challenge answers "*"; what the server says to that ends the
		 * connection. */
		if (sasl_client_challenge(c->sasl, r->text, &c->out, &f) != RC_OK)
			client_note_trouble(c, SMTP_TROUBLE_NO_AUTH, str_from(f.text));
		buf_add(&c->out, STR("\r\n"));
		client_flush(c);
		return;
	}
	if (smtp_reply_is_2xx(r) && sasl_client_finish(c->sasl, &f) == RC_OK && !c->end_set) {
		sasl_client_free(&c->sasl);
		client_ready(c);
		return;
	}
	if (smtp_reply_is_2xx(r))
		client_note_trouble(c, SMTP_TROUBLE_NO_AUTH, str_from(f.text));
	client_note_reply(c, SMTP_REFUSED, r);
	sasl_client_free(&c->sasl);
	client_leave(c);
}

/* ---- hello ---- */

static void
after_hello(struct smtp_client *c)
{
	bool protected = c->opts.tls == SMTP_TLS_NONE || conn_has_tls(c->conn);

	if (!protected && !smtp_caps_has(&c->facts.caps, SMTP_CAP_STARTTLS)) {
		client_note_trouble(c, SMTP_TROUBLE_NO_STARTTLS,
		    STR("the server does not offer STARTTLS, which this relay's settings require"));
		client_leave(c);
	} else if (!protected) {
		client_set_state(c, CLIENT_STARTTLS);
		buf_add(&c->out, STR("STARTTLS\r\n"));
		client_flush(c);
	} else if (c->opts.user.n != 0) {
		log_in(c);
	} else {
		client_ready(c);
	}
}

static void
ehlo_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	bool helo_will_do =
	    c->opts.user.n == 0 && (c->opts.tls == SMTP_TLS_NONE || conn_has_tls(c->conn));

	if (smtp_reply_is_2xx(r)) {
		if (c->state == CLIENT_EHLO)
			smtp_caps_parse(r->text, &c->facts.caps);
		after_hello(c);
	} else if (smtp_reply_is_5xx(r) && c->state == CLIENT_EHLO && helo_will_do) {
		client_set_state(c, CLIENT_HELO);
		buf_addf(&c->out, "HELO %.*s\r\n", STR_ARG(c->opts.hostname));
		client_flush(c);
	} else {
		client_note_reply(c, SMTP_REFUSED, r);
		client_leave(c);
	}
}

void
client_hello_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	bool good = smtp_reply_is_2xx(r);

	if (c->state == CLIENT_EHLO || c->state == CLIENT_HELO) {
		ehlo_reply(c, r);
	} else if (c->state == CLIENT_AUTH) {
		auth_reply(c, r);
	} else if (c->state == CLIENT_GREETING && good) {
		c->facts.greeting = arena_str(&c->life, r->text);
		c->facts.greeting_us = client_lap(c);
		say_hello(c);
	} else if (c->state == CLIENT_STARTTLS && good) {
		start_tls(c);
	} else {
		client_note_reply(c, SMTP_REFUSED, r);
		client_leave(c);
	}
}
