/* Shared by the files of preflight/; nobody else includes it. */
#pragma once

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/dialer.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "preflight/preflight.h"
#include "relay/attribute.h"
#include "relay/settings.h"
#include "smtp/client.h"

struct preflight;
struct session;

/* ---- session.c: one connection to a server ---- */

/* What one connection saw; texts live in the arena given. */
struct session_facts {
	bool is_dialled; /* TCP was there */
	bool is_ready;   /* it could have carried mail, but for the login where none was tried */
	bool was_silent; /* no greeting came for a while */
	struct net_addr addr;
	int64_t dial_us;
	int64_t ready_us;        /* from the start to ready */
	struct smtp_verdict end; /* why it ended before it was ready */
	bool no_host;
	struct smtp_client_facts smtp;
	bool has_tls;
	struct tls_facts tls;
};

struct session_opts {
	struct preflight *p;
	struct arena *arena;
	const struct preflight_target *target;
	const struct net_addr *addr; /* NULL: the host, as mail would find it */
	enum relay_tls tls;
	bool logs_in;
	int64_t patience_us; /* for all of it, until it is ready */
	struct session_facts *facts;
	/* Ready: give it a job (session_ask), or let it quit by returning false. May be NULL. */
	bool (*on_ready)(struct preflight *p, struct session *s);
	/* A job is over: the same. */
	bool (*on_job)(struct preflight *p, struct session *s, struct smtp_job *job);
	/* All is known; the session is gone. Once. */
	void (*on_over)(struct preflight *p);
};

struct session *session_new(const struct session_opts *o);
void session_ask(struct session *s, struct smtp_job *job);
/* Breaks it off; nothing is called any more. Takes NULL, nulls the pointer. */
void session_drop(struct session **sp);

/* ---- words.c ---- */
/* "535 5.7.8 Error: authentication failed", or what happened where no reply came. */
struct str preflight_words(struct arena *a, const struct smtp_verdict *v);
/* What to do about it; empty where nothing is known. */
struct str preflight_remedy(const struct smtp_verdict *v, bool no_host, struct str provider);
struct str preflight_caps_words(struct arena *a, const struct smtp_caps *caps);
/* The upper end of the 95 % Wilson interval in percent. */
unsigned preflight_wilson(unsigned failed, unsigned n);
/* The check that a connection which ended like this has failed. */
enum preflight_check preflight_check_of(const struct smtp_verdict *v);

/* ---- preflight.c ---- */
struct str preflight_hostname(const struct preflight *p);
struct loop *preflight_loop(const struct preflight *p);
struct dialer *preflight_dialer(const struct preflight *p);
