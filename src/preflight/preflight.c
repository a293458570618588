/* The run: one phase after the other, each in a later turn of the loop than the one before.
 *
 *   SETTINGS -> NAME (A, AAAA) -> ADDRESSES (each once, protected, without a login) -> OLD (the
 *   version it is compared with) -> LOGIN (once: senders and recipients are asked for on that
 *   connection) -> STEADY (repeated connections without a login) -> END
 *
 * A phase that finds what makes the rest meaningless goes to END. CONTROL is NAME, LOGIN, END. At
 * most one connection is open at a time. */
#include "preflight/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mail/address.h"
#include "preflight/private.h"
#include "relay/book.h"
#include "relay/provider.h"

#define MAGIC         0x9f2e11c4u
#define FINDINGS_MAX  200
#define ADDRESSES_MAX 8
#define SENDERS_MAX   25
#define CONNECTS      20
#define PATIENCE      SECONDS(15)
#define SOON          DAYS(21)

enum phase { SETTINGS, NAME_4, NAME_6, ADDRESSES, OLD, LOGIN, STEADY, END };

struct preflight {
	uint32_t magic;
	struct preflight_opts opts;
	struct arena arena;
	enum phase phase;
	bool done;
	int64_t began_us, phase_us;
	struct loop_task go_on;
	struct loop_timer deadline;
	struct preflight_finding findings[FINDINGS_MAX];
	size_t n_findings;
	bool failed_hard; /* something beside the limits */
	struct preflight_result result;
	const struct relay_provider *provider; /* NULL: none known */
	struct relay_book *alone;              /* a book of this version only */
	struct session *session;
	struct session_facts facts; /* of that */
	struct session_facts first; /* the first connection that was well */
	bool has_first;
	bool crossed; /* the other way of TLS is being tried */
	struct lookup *lookup;
	bool name_exists;
	struct net_addr addrs[ADDRESSES_MAX];
	size_t n_addrs, at, n_reached;
	struct session_facts old;
	/* LOGIN: what is asked next */
	size_t sender, n_taken, rcpt;
	struct str sent_as;
	struct smtp_job job;
	struct smtp_job_rcpt job_rcpt;
	/* STEADY */
	unsigned tried, unsteady;
	int64_t times_us[CONNECTS];
	unsigned n_times;
	struct str last_failure;
};

struct str
preflight_hostname(const struct preflight *p)
{
	return p->opts.hostname;
}

struct loop *
preflight_loop(const struct preflight *p)
{
	return p->opts.loop;
}

struct dialer *
preflight_dialer(const struct preflight *p)
{
	return p->opts.dialer;
}

/* ---- findings ---- */

struct note {
	enum preflight_check check;
	enum preflight_verdict verdict;
	struct str subject;
	struct str remedy;
	int64_t took_us;
};

static void PRINTF_LIKE(3, 4) tell(struct preflight *p, struct note n, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->result.counts[n.verdict]++;
	if (n.verdict == PREFLIGHT_FAIL) {
		if (!p->failed_hard && p->result.counts[PREFLIGHT_FAIL] == 1)
			p->result.failed = preflight_check_stage(n.check);
		p->failed_hard |= n.check != PREFLIGHT_P71;
	}
	if (p->n_findings == FINDINGS_MAX)
		return;
	struct preflight_finding *f = &p->findings[p->n_findings++];
	*f = (struct preflight_finding){ n.check, n.verdict, arena_str(&p->arena, n.subject),
		arena_str(&p->arena, str_from(text)), arena_str(&p->arena, n.remedy), n.took_us };
	if (p->opts.ops->on_finding != NULL)
		p->opts.ops->on_finding(p->opts.arg, f);
}
#define TELL(p, c, v, ...)                                                                         \
	tell((p), (struct note){ .check = PREFLIGHT_##c, .verdict = PREFLIGHT_##v }, __VA_ARGS__)

static void
go(struct preflight *p, enum phase to)
{
	p->phase = to;
	p->at = 0;
	loop_defer(p->opts.loop, &p->go_on);
}

static const struct relay_version_row *
row_of(const struct preflight *p)
{
	return p->opts.target.row;
}

static bool
is_control(const struct preflight *p)
{
	return p->opts.kind == PREFLIGHT_CONTROL;
}

/* A connection that did not come to be ready, as a finding. */
static void
tell_end(struct preflight *p, const struct session_facts *f, struct str subject)
{
	struct note n = { .check = preflight_check_of(&f->end),
		.verdict = PREFLIGHT_FAIL,
		.subject = subject,
		.remedy = preflight_remedy(&f->end, f->no_host, row_of(p)->provider) };
	struct str words = preflight_words(&p->arena, &f->end);

	if (f->end.trouble == SMTP_TROUBLE_CERTIFICATE && f->has_tls &&
	    f->tls.refusal == TLS_REFUSAL_NAME) {
		n.remedy = arena_strf(&p->arena,
		    "Use a host name that the certificate is for (%.200s), or --tls-name.",
		    f->tls.names);
	} else if (f->end.trouble == SMTP_TROUBLE_CERTIFICATE && f->has_tls) {
		n.remedy = arena_strf(&p->arena,
		    "Ask the server's operator for a valid certificate, or name its authority with "
		    "--ca-file (issuer: %.160s).",
		    f->tls.issuer);
	}
	tell(p, n, "%.*s", STR_ARG(words));
}

/* ---- SETTINGS ---- */

static bool
port_contradicts(const struct relay_version_row *v)
{
	return (v->port == 465 && v->tls == RELAY_TLS_STARTTLS) ||
	       ((v->port == 587 || v->port == 25) && v->tls == RELAY_TLS_IMPLICIT);
}

static void
make_book(struct preflight *p)
{
	const struct relay_version_row *v = row_of(p);
	struct relay_row relay = { v->relay, STR("checked"), v->id };
	struct relay_version_row copy = *v;
	struct relay_route_row route = { .id = { 1 }, .relay = { 1 }, .is_default = true };
	struct relay_book_rows rows = { .relays = &relay,
		.relay_count = 1,
		.versions = &copy,
		.version_count = 1,
		.routes = &route,
		.route_count = 1,
		.had_relay = true };
	struct fault f = { 0 };

	relay.id.v = copy.relay.v = 1;
	relay.current.v = copy.id.v = 1;
	if (relay_book_new(&rows, &p->alone, &f) != RC_OK)
		TELL(p, P01, FAIL, "%s", f.text);
}

static void
run_settings(struct preflight *p)
{
	const struct relay_version_row *v = row_of(p);

	make_book(p);
	if (port_contradicts(v))
		tell(p,
		    (struct note){ PREFLIGHT_P21, PREFLIGHT_WARN,
			.remedy = v->port == 465
				      ? STR("Port 465 is for --tls implicit.")
				      : STR("Ports 587 and 25 are for --tls starttls.") },
		    "port %u with --tls %s is unusual", v->port, relay_tls_name(v->tls));
	if (v->user.n != 0 && p->opts.target.secret.n == 0)
		tell(p,
		    (struct note){ PREFLIGHT_P01, PREFLIGHT_FAIL,
			.remedy = STR("Set it: posthouse relay secret NAME.") },
		    "there is a user and no secret that can be opened");
	else
		TELL(p, P01, OK, "%.*s:%u, %s, %s%.*s", STR_ARG(v->host), v->port,
		    relay_tls_name(v->tls), v->user.n != 0 ? "login as " : "no login",
		    STR_ARG(v->user));
	if (p->opts.snapshot.n != 0)
		TELL(p, P02, OK, "settings are kept as snapshot %.*s", STR_ARG(p->opts.snapshot));
	if (!str_has_byte(p->opts.hostname, '.'))
		tell(p,
		    (struct note){ PREFLIGHT_P31, PREFLIGHT_WARN,
			.remedy = STR("Set hostname to this machine's full name.") },
		    "we say EHLO %.*s; some servers refuse a name without a domain",
		    STR_ARG(p->opts.hostname));
	else
		TELL(p, P31, OK, "we say EHLO %.*s", STR_ARG(p->opts.hostname));
	go(p, p->failed_hard ? END : NAME_4);
}

/* ---- NAME ---- */

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct preflight *p = FROM_ARG(struct preflight, arg, MAGIC);
	const char *type = p->phase == NAME_4 ? "A" : "AAAA";
	int64_t took = loop_now_us(p->opts.loop) - p->phase_us;

	p->lookup = NULL;
	p->name_exists |= a->rc == RC_OK || a->name_exists;
	for (size_t i = 0; a->rc == RC_OK && i < a->count && p->n_addrs < ADDRESSES_MAX; i++) {
		p->addrs[p->n_addrs] = a->records[i].addr;
		p->addrs[p->n_addrs++].port = row_of(p)->port;
	}
	if (a->rc == RC_OK)
		tell(p, (struct note){ PREFLIGHT_P10, PREFLIGHT_OK, .took_us = took },
		    "%zu %s records, kept for %lld s", a->count, type,
		    (long long)(a->ttl_us / SECONDS(1)));
	else if (a->rc != RC_NOT_FOUND)
		tell(p, (struct note){ PREFLIGHT_P10, PREFLIGHT_WARN, .took_us = took },
		    "%s records cannot be looked up: %s", type, a->fault.text);
	if (p->phase == NAME_4) {
		go(p, NAME_6);
		return;
	}
	if (p->n_addrs != 0) {
		go(p, ADDRESSES);
		return;
	}
	tell(p,
	    (struct note){ PREFLIGHT_P10, PREFLIGHT_FAIL,
		.remedy = STR("Check the host's spelling; 'posthouse relay discover ADDRESS' looks "
			      "for the right one.") },
	    "%.*s %s", STR_ARG(row_of(p)->host),
	    p->name_exists ? "has no address" : "does not exist in DNS");
	go(p, END);
}

static void
run_name(struct preflight *p)
{
	struct str host = row_of(p)->host;

	if (net_addr_from_ip(host, row_of(p)->port, &p->addrs[0])) {
		p->n_addrs = 1;
		go(p, ADDRESSES);
		return;
	}
	if (str_eq_nocase(host, STR("localhost")) || p->opts.resolver == NULL) {
		(void)net_addr_from_ip(STR("127.0.0.1"), row_of(p)->port, &p->addrs[0]);
		p->n_addrs = 1;
		go(p, ADDRESSES);
		return;
	}
	p->lookup = resolver_lookup(p->opts.resolver, p->phase == NAME_4 ? DNS_A : DNS_AAAA, host,
	    SECONDS(10), on_answer, p);
}

/* ---- ADDRESSES ---- */

static void on_address(struct preflight *p);

static void
open_address(struct preflight *p, enum relay_tls tls)
{
	struct session_opts o = { .p = p,
		.arena = &p->arena,
		.target = &p->opts.target,
		.addr = &p->addrs[p->at],
		.tls = tls,
		.patience_us = PATIENCE,
		.facts = &p->facts,
		.on_over = on_address };

	p->session = session_new(&o);
}

static void
tell_certificate(struct preflight *p, struct str subject)
{
	const struct tls_facts *t = &p->facts.tls;
	int64_t left = t->not_after_us - clock_wall_us();
	struct note n = { .check = PREFLIGHT_P41,
		.verdict = left < SOON ? PREFLIGHT_WARN : PREFLIGHT_OK,
		.subject = subject,
		.took_us = p->facts.smtp.tls_us };

	if (row_of(p)->tls == RELAY_TLS_NONE) {
		tell(p,
		    (struct note){
			.check = PREFLIGHT_P40, .verdict = PREFLIGHT_WARN, .subject = subject },
		    "nothing is encrypted: everybody on the way can read mail and password");
		return;
	}
	if (left < SOON)
		n.remedy = STR("Ask the server's operator to renew it.");
	tell(p, n, "%s %s, for %.120s, by %.120s, valid for another %lld days", t->version,
	    t->cipher, t->names[0] != '\0' ? t->names : t->subject, t->issuer,
	    (long long)(left / DAYS(1)));
	if (p->facts.smtp.spoke_early)
		tell(p,
		    (struct note){
			.check = PREFLIGHT_P40, .verdict = PREFLIGHT_FAIL, .subject = subject },
		    "it spoke between STARTTLS and the handshake, as an attacker would");
}

static void
tell_offers(struct preflight *p)
{
	const struct smtp_caps *caps = &p->facts.smtp.caps;
	const struct preflight_use *u = p->opts.use;
	struct str words = preflight_caps_words(&p->arena, caps);

	TELL(p, P32, OK, "%.*s", STR_ARG(words));
	p->result.server.offers = words;
	if (row_of(p)->user.n != 0 && caps->mechs == 0)
		tell(p,
		    (struct note){ PREFLIGHT_P51, PREFLIGHT_FAIL,
			.remedy =
			    STR("Check port and TLS: most servers offer a login on 465 or 587 "
				"only.") },
		    "it offers no login that we know");
	if (u == NULL || !u->is_known)
		return;
	if (caps->size_max != 0 && u->max_bytes > caps->size_max)
		tell(p,
		    (struct note){ PREFLIGHT_P33, PREFLIGHT_FAIL,
			.remedy =
			    STR("Send large files as links, or keep a relay that takes them.") },
		    "it takes %llu bytes a message; the largest of late had %llu",
		    (unsigned long long)caps->size_max, (unsigned long long)u->max_bytes);
	else
		TELL(p, P33, OK, "the largest message of late, %llu bytes, fits",
		    (unsigned long long)u->max_bytes);
	if (u->utf8 != 0 && !smtp_caps_has(caps, SMTP_CAP_SMTPUTF8))
		tell(p,
		    (struct note){ .check = PREFLIGHT_P32,
			.verdict = PREFLIGHT_WARN,
			.subject = STR("SMTPUTF8") },
		    "%llu messages of late needed SMTPUTF8, which it lacks: the like would bounce",
		    (unsigned long long)u->utf8);
}

static void
on_address(struct preflight *p)
{
	const struct session_facts *f = &p->facts;
	enum relay_tls tls = row_of(p)->tls;
	char text[NET_ADDR_TEXT_SIZE];

	p->session = NULL;
	net_addr_format(&p->addrs[p->at], text);
	struct str subject = arena_str(&p->arena, str_from(text));
	if (p->crossed) {
		p->crossed = false;
		enum relay_tls other =
		    tls == RELAY_TLS_IMPLICIT ? RELAY_TLS_STARTTLS : RELAY_TLS_IMPLICIT;
		if (f->end.trouble == SMTP_TROUBLE_NO_STARTTLS)
			tell(p,
			    (struct note){ .check = PREFLIGHT_P21,
				.verdict = PREFLIGHT_FAIL,
				.subject = subject,
				.remedy =
				    STR("Ask the provider for its port with TLS: 465 or 587.") },
			    "this port speaks SMTP without any TLS");
		else if (f->is_ready || (f->has_tls && f->tls.has_cert) || f->smtp.greeting.n != 0)
			tell(p,
			    (struct note){ PREFLIGHT_P21, PREFLIGHT_FAIL, .subject = subject,
				.remedy = arena_strf(&p->arena, "Use --tls %s on port %u.",
				    relay_tls_name(other), row_of(p)->port) },
			    "this port speaks %s, the settings say %s", relay_tls_name(other),
			    relay_tls_name(tls));
	} else if (!f->is_ready) {
		bool mixed = f->is_dialled && tls != RELAY_TLS_NONE &&
			     (f->was_silent ||
				 (f->end.stage == SMTP_STAGE_TLS && tls == RELAY_TLS_IMPLICIT &&
				     f->end.trouble == SMTP_TROUBLE_TLS));
		struct str family = p->addrs[p->at].family == NET_IP6 ? STR("IPv6") : STR("IPv4");
		(void)family;
		tell_end(p, f, subject);
		if (mixed) {
			p->crossed = true;
			open_address(
			    p, tls == RELAY_TLS_IMPLICIT ? RELAY_TLS_STARTTLS : RELAY_TLS_IMPLICIT);
			return;
		}
	} else {
		p->n_reached++;
		tell(p,
		    (struct note){ .check = PREFLIGHT_P20,
			.verdict = PREFLIGHT_OK,
			.subject = subject,
			.took_us = f->dial_us },
		    "connected");
		if (!p->has_first) {
			p->has_first = true;
			p->first = *f;
			p->result.server.address = subject;
			p->result.server.greeting = f->smtp.greeting;
			p->result.server.tls = f->smtp.tls;
			struct str g = str_sub(f->smtp.greeting, 0, 120);
			bool slow = f->smtp.greeting_us > SECONDS(5);
			tell(p,
			    (struct note){ .check = PREFLIGHT_P30,
				.verdict = slow ? PREFLIGHT_WARN : PREFLIGHT_OK,
				.took_us = f->smtp.greeting_us },
			    "%.*s", STR_ARG(g));
			tell_certificate(p, subject);
			tell_offers(p);
		} else if (row_of(p)->tls != RELAY_TLS_NONE) {
			tell_certificate(p, subject);
		}
	}
	if (++p->at < p->n_addrs) {
		open_address(p, tls);
		return;
	}
	go(p, p->n_reached != 0 ? OLD : END);
}

static void
run_addresses(struct preflight *p)
{
	if (is_control(p))
		go(p, LOGIN);
	else
		open_address(p, row_of(p)->tls);
}

/* ---- OLD ---- */

static void
lost(struct preflight *p, enum smtp_cap cap, uint64_t used, const char *effect)
{
	if (!smtp_caps_has(&p->old.smtp.caps, cap) || smtp_caps_has(&p->first.smtp.caps, cap))
		return;
	tell(p,
	    (struct note){ .check = PREFLIGHT_P32,
		.verdict = used != 0 ? PREFLIGHT_WARN : PREFLIGHT_INFO,
		.subject = str_from(smtp_caps_name(cap)) },
	    "the old server has %s, this one has not; %llu messages of late used it: %s",
	    smtp_caps_name(cap), (unsigned long long)used, effect);
}

static void PRINTF_LIKE(2, 3) weaker(struct preflight *p, const char *fmt, ...)
{
	char text[200];
	va_list ap;
	bool allowed = p->opts.allow_weaker.n != 0;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->result.weaker = true;
	tell(p,
	    (struct note){ .check = PREFLIGHT_P43,
		.verdict = allowed ? PREFLIGHT_WARN : PREFLIGHT_FAIL,
		.remedy =
		    allowed ? (struct str){ 0 }
			    : STR("Choose settings that protect as well as the old ones, or state "
				  "why not: --allow-weaker \"REASON\".") },
	    "%s%s%.*s", text, allowed ? "; allowed: " : "",
	    STR_ARG(str_sub(p->opts.allow_weaker, 0, 200)));
}

static void
compare(struct preflight *p)
{
	static const struct preflight_use none;
	const struct relay_version_row *new = row_of(p), *old = p->opts.against.row;
	const struct preflight_use *u = p->opts.use != NULL ? p->opts.use : &none;
	unsigned before = p->result.weaker;

	if (new->tls == RELAY_TLS_NONE && old->tls != RELAY_TLS_NONE)
		weaker(p, "the old server is spoken to by TLS, this one in clear");
	if (new->user.n == 0 && old->user.n != 0)
		weaker(p, "the old server knows us by a login, this one does not ask for one");
	if (!p->old.is_ready) {
		struct str words = preflight_words(&p->arena, &p->old.end);
		tell(p, (struct note){ .check = PREFLIGHT_P43, .verdict = PREFLIGHT_WARN },
		    "the old server cannot be compared with: %.*s", STR_ARG(words));
		return;
	}
	if (p->old.has_tls && p->first.has_tls &&
	    strcmp(p->first.tls.version, p->old.tls.version) < 0)
		weaker(p, "the old server speaks %s, this one only %s", p->old.tls.version,
		    p->first.tls.version);
	if (before == p->result.weaker)
		TELL(p, P43, OK, "protected as well as the old server");
	lost(p, SMTP_CAP_SMTPUTF8, u->utf8, "such mail would bounce");
	lost(p, SMTP_CAP_8BITMIME, u->eight_bit, "such mail is re-encoded");
	lost(p, SMTP_CAP_DSN, u->dsn, "reports are made by us where they can be");
	lost(p, SMTP_CAP_PIPELINING, 0, "sending takes more round trips");
	uint64_t was = p->old.smtp.caps.size_max, is = p->first.smtp.caps.size_max;
	if (is != 0 && (was == 0 || is < was))
		TELL(p, P33, INFO, "it takes %llu bytes a message, the old server %llu (0: any)",
		    (unsigned long long)is, (unsigned long long)was);
}

static void
on_old(struct preflight *p)
{
	p->session = NULL;
	compare(p);
	go(p, LOGIN);
}

static void
run_old(struct preflight *p)
{
	struct session_opts o = { .p = p,
		.arena = &p->arena,
		.target = &p->opts.against,
		.patience_us = PATIENCE,
		.facts = &p->old,
		.on_over = on_old };

	if (p->opts.against.row == NULL) {
		go(p, LOGIN);
		return;
	}
	o.tls = p->opts.against.row->tls;
	p->session = session_new(&o);
}

/* ---- LOGIN ---- */

/* The next sender in use, as the server gets it; false when there is none left. */
static bool
next_sender(struct preflight *p, struct str *typed_out)
{
	const struct preflight_use *u = p->opts.use;
	size_t n = u != NULL ? u->n_identities : 0;

	while (p->alone != NULL && p->sender < n && p->sender < SENDERS_MAX) {
		AUTO(arena_done) struct arena a = { 0 };
		struct mail_addr addr = { .is_null = true };
		struct str rewritten;
		const char *why;
		const struct preflight_identity *id = &u->identities[p->sender++];
		*typed_out = id->address;
		if (id->address.n != 0 &&
		    mail_addr_parse(id->address, MAIL_ADDR_UTF8, &a, &addr, &why) != RC_OK)
			continue;
		if (!relay_book_carries(p->alone, (struct version_id){ 1 }, &addr, &rewritten)) {
			bool null = id->address.n == 0;
			tell(p,
			    (struct note){ .check = PREFLIGHT_P60,
				.verdict = null ? PREFLIGHT_WARN : PREFLIGHT_FAIL,
				.subject = null ? STR("<>") : id->address,
				.remedy =
				    null
					? STR("Name a route for bounces: posthouse route add --bounces "
					      "--relay NAME.")
					: STR("Add it with --from, or map it with --rewrite-from.") },
			    "sends %llu messages of late, and this relay does not carry it",
			    (unsigned long long)id->count);
			continue;
		}
		p->sent_as = rewritten.n != 0 ? arena_str(&p->arena, rewritten) : id->address;
		return true;
	}
	return false;
}

static bool
ask_next(struct preflight *p, struct session *s)
{
	struct str typed;

	p->job = (struct smtp_job){ .is_probe = true, .arena = &p->arena };
	if (next_sender(p, &typed)) {
		p->job.sender = p->sent_as;
		session_ask(s, &p->job);
		return true;
	}
	if (p->rcpt < p->opts.n_rcpts) {
		p->job_rcpt = (struct smtp_job_rcpt){ .path = p->opts.rcpts[p->rcpt++] };
		p->job.sender = p->sent_as;
		p->job.rcpts = &p->job_rcpt;
		p->job.n_rcpts = 1;
		session_ask(s, &p->job);
		return true;
	}
	return false;
}

static bool
on_job(struct preflight *p, struct session *s, struct smtp_job *job)
{
	bool is_rcpt = job->n_rcpts != 0;
	const struct smtp_verdict *v =
	    is_rcpt && job->mail.code / 100 == 2 ? &job->rcpts[0].verdict : &job->mail;
	bool ok = v->code / 100 == 2;
	bool null = job->sender.n == 0;
	struct str words = preflight_words(&p->arena, v);
	struct note n = { .check = is_rcpt ? PREFLIGHT_P61 : PREFLIGHT_P60,
		.verdict = ok     ? PREFLIGHT_OK
			   : null ? PREFLIGHT_WARN
				  : PREFLIGHT_FAIL,
		.subject = is_rcpt ? job->rcpts[0].path
			   : null  ? STR("<>")
				   : job->sender,
		.took_us = job->ended_us - job->started_us };

	if (!ok)
		n.remedy = preflight_remedy(v, false, row_of(p)->provider);
	p->n_taken += ok && !is_rcpt;
	tell(p, n, "%.*s", STR_ARG(words));
	return ask_next(p, s);
}

static bool
on_login(struct preflight *p, struct session *s)
{
	if (row_of(p)->user.n != 0)
		tell(p,
		    (struct note){ .check = PREFLIGHT_P50,
			.verdict = PREFLIGHT_OK,
			.took_us = p->facts.smtp.login_us },
		    "logged in as %.*s by %s", STR_ARG(row_of(p)->user),
		    p->facts.smtp.mech < SMTP_MECH_COUNT ? smtp_caps_mech_name(p->facts.smtp.mech)
							 : "?");
	return !is_control(p) && ask_next(p, s);
}

static void
on_login_over(struct preflight *p)
{
	p->session = NULL;
	if (!p->facts.is_ready) {
		tell_end(p, &p->facts, (struct str){ 0 });
		go(p, END);
		return;
	}
	go(p, is_control(p) ? END : STEADY);
}

static void
run_login(struct preflight *p)
{
	struct session_opts o = { .p = p,
		.arena = &p->arena,
		.target = &p->opts.target,
		.tls = row_of(p)->tls,
		.logs_in = true,
		.patience_us = PATIENCE,
		.facts = &p->facts,
		.on_ready = on_login,
		.on_job = on_job,
		.on_over = on_login_over };

	if (p->result.counts[PREFLIGHT_FAIL] !=
	    0) { /* one login only, and only where it may work */
		TELL(p, P50, SKIPPED, "not tried, because of what failed before");
		go(p, END);
		return;
	}
	p->session = session_new(&o);
}

/* ---- STEADY ---- */

static int
cmp_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void
tell_steady(struct preflight *p)
{
	unsigned most = preflight_wilson(p->unsteady, p->tried);
	int64_t p95 = 0;

	if (p->n_times != 0) {
		qsort(p->times_us, p->n_times, sizeof(p->times_us[0]), cmp_times);
		p95 = p->times_us[(p->n_times * 95 + 99) / 100 - 1];
	}
	tell(p,
	    (struct note){ .check = PREFLIGHT_P70,
		.verdict = p->unsteady >= 2                       ? PREFLIGHT_FAIL
			   : p->unsteady != 0 || p95 > SECONDS(3) ? PREFLIGHT_WARN
								  : PREFLIGHT_OK },
	    "%u of %u connections failed (the true rate may be up to %u %%), ready within %lld ms%s%.*s",
	    p->unsteady, p->tried, most, (long long)(p95 / MS(1)), p->unsteady != 0 ? ": " : "",
	    STR_ARG(p->last_failure));
}

static void run_steady(struct preflight *p);

static void
on_steady(struct preflight *p)
{
	p->session = NULL;
	p->tried++;
	if (p->facts.is_ready) {
		p->times_us[p->n_times++] = p->facts.ready_us;
	} else {
		p->unsteady++;
		p->last_failure = preflight_words(&p->arena, &p->facts.end);
	}
	run_steady(p);
}

static void
run_steady(struct preflight *p)
{
	unsigned n = p->opts.connects != 0 ? p->opts.connects : CONNECTS;
	struct session_opts o = { .p = p,
		.arena = &p->arena,
		.target = &p->opts.target,
		.tls = row_of(p)->tls,
		.patience_us = PATIENCE,
		.facts = &p->facts,
		.on_over = on_steady };

	if (n == UINT32_MAX || p->tried >= n || p->tried >= CONNECTS ||
	    loop_now_us(p->opts.loop) - p->phase_us > SECONDS(20)) {
		if (p->tried != 0)
			tell_steady(p);
		go(p, END);
		return;
	}
	if (p->opts.ops->on_progress != NULL)
		p->opts.ops->on_progress(p->opts.arg, PREFLIGHT_P70,
		    arena_strf(&p->arena, "connection %u of %u", p->tried + 1, n));
	p->session = session_new(&o);
}

/* ---- END ---- */

static void
tell_limits(struct preflight *p)
{
	const struct relay_version_row *v = row_of(p);
	const struct preflight_use *u = p->opts.use;

	if (u == NULL || !u->is_known || is_control(p))
		return;
	if (v->rate.count != 0) {
		double hour = (double)v->rate.count * 3600 / (double)v->rate.per_s;
		if ((double)u->busiest_hour > hour)
			tell(p,
			    (struct note){ .check = PREFLIGHT_P71,
				.verdict = PREFLIGHT_FAIL,
				.remedy = STR(
				    "Raise --rate if the provider allows it, or spread the mail "
				    "over relays.") },
			    "the rate allows %.0f messages an hour; the busiest hour of late had %llu",
			    hour, (unsigned long long)u->busiest_hour);
	}
	if (v->daily_quota != 0 && u->busiest_day > v->daily_quota)
		tell(p,
		    (struct note){ .check = PREFLIGHT_P71,
			.verdict = PREFLIGHT_FAIL,
			.remedy = STR("Buy a larger quota, or spread the mail over relays.") },
		    "the quota is %u recipients a day; the busiest day of late had %llu",
		    v->daily_quota, (unsigned long long)u->busiest_day);
}

static void
summarise(struct preflight *p)
{
	struct preflight_result *r = &p->result;
	const struct preflight_finding *f = NULL;
	struct arena *a = &p->arena;

	for (size_t i = 0; i < p->n_findings && f == NULL; i++) {
		if (p->findings[i].verdict == PREFLIGHT_FAIL)
			f = &p->findings[i];
	}
	if (f != NULL)
		r->summary = arena_strf(a, "%.*s: %s%s%.*s: %.*s%s%.*s",
		    STR_ARG(p->opts.target.name), preflight_check_title(f->check),
		    f->subject.n != 0 ? " " : "", STR_ARG(f->subject), STR_ARG(f->evidence),
		    f->remedy.n != 0 ? ". " : "", STR_ARG(f->remedy));
	else if (is_control(p))
		r->summary = arena_strf(a, "%.*s answers%s", STR_ARG(p->opts.target.name),
		    row_of(p)->user.n != 0 ? " and takes our login" : "");
	else
		r->summary = arena_strf(a,
		    "%.*s is well: %.*s%s%s%zu sender%s taken, %u of %u connections failed",
		    STR_ARG(p->opts.target.name), STR_ARG(r->server.tls),
		    r->server.tls.n != 0 ? ", " : "",
		    row_of(p)->user.n != 0 ? "login accepted, " : "", p->n_taken,
		    p->n_taken == 1 ? "" : "s", p->unsteady, p->tried);
}

static void
run_end(struct preflight *p)
{
	struct preflight_result *r = &p->result;

	loop_timer_cancel(p->opts.loop, &p->deadline);
	tell_limits(p);
	r->passed = r->counts[PREFLIGHT_FAIL] == 0;
	r->hold = !r->passed && !p->failed_hard;
	r->findings = p->findings;
	r->n_findings = p->n_findings;
	r->took_us = loop_now_us(p->opts.loop) - p->began_us;
	if (p->provider != NULL)
		r->server.provider = str_from(p->provider->title);
	summarise(p);
	p->done = true;
	p->opts.ops->on_done(p->opts.arg, r);
}

static void
on_go(void *arg)
{
	struct preflight *p = FROM_ARG(struct preflight, arg, MAGIC);

	p->phase_us = loop_now_us(p->opts.loop);
	switch (p->phase) {
	case SETTINGS: run_settings(p); return;
	case NAME_4:
	case NAME_6: run_name(p); return;
	case ADDRESSES: run_addresses(p); return;
	case OLD: run_old(p); return;
	case LOGIN: run_login(p); return;
	case STEADY: run_steady(p); return;
	case END: run_end(p); return;
	}
}

static void
on_deadline(void *arg)
{
	struct preflight *p = FROM_ARG(struct preflight, arg, MAGIC);

	session_drop(&p->session);
	resolver_cancel(&p->lookup);
	p->result.is_cut = true;
	TELL(p, P70, FAIL, "it took too long; the rest was not looked at");
	go(p, END);
}

struct preflight *
preflight_new(const struct preflight_opts *opts)
{
	struct preflight *p = MEM_NEW(struct preflight);
	bool control = opts->kind == PREFLIGHT_CONTROL;
	int64_t limit = control ? SECONDS(30) : MINUTES(2);

	p->magic = MAGIC;
	p->opts = *opts;
	p->began_us = loop_now_us(opts->loop);
	p->provider = opts->target.row->provider.n != 0
			  ? relay_provider_named(opts->target.row->provider)
			  : relay_provider_of_host(opts->target.row->host);
	loop_task_init(&p->go_on, on_go, p);
	loop_timer_init(&p->deadline, on_deadline, p);
	loop_timer_set(opts->loop, &p->deadline,
	    p->began_us + (opts->time_limit_us != 0 ? opts->time_limit_us : limit));
	go(p, control ? NAME_4 : SETTINGS);
	return p;
}

void
preflight_free(struct preflight **pp)
{
	struct preflight *p = TAKE(*pp);

	if (p == NULL)
		return;
	loop_timer_cancel(p->opts.loop, &p->deadline);
	loop_task_cancel(&p->go_on);
	session_drop(&p->session);
	resolver_cancel(&p->lookup);
	relay_book_unref(&p->alone);
	arena_done(&p->arena);
	p->magic = 0;
	free(p);
}
