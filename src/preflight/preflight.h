/* Is that SMTP server any good? One relay version, checked stage by stage before mail depends on
 * it.
 *
 * A preflight speaks to the server the way mail would: same resolver, same dialer, same TLS, same
 * SMTP client. It tells each finding as soon as it is known (preflight/finding.h) and a result at
 * the end. What it never does: log in more than once, fall back to weaker protection, send content,
 * or open more than one connection at a time.
 *
 * It may be given a second version to compare with; then whatever the new server lacks and is in
 * use fails, and so does anything that is protected less.
 *
 * Loop thread only. Callbacks: never before preflight_new has returned; on_done once, last; none
 * after preflight_free. Everything in the options is borrowed until preflight_free. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "net/addr.h"
#include "preflight/finding.h"
#include "preflight/use.h"

struct arena;
struct dialer;
struct loop;
struct preflight;
struct relay_version_row;
struct resolver;

enum preflight_kind {
	PREFLIGHT_FULL,    /* everything; up to a minute or two */
	PREFLIGHT_CONTROL, /* is it alive: name, connection, TLS, login; seconds */
};

/* A version under the name that people know it by, such as "main@2" or "smtp.example.com:465". */
struct preflight_target {
	struct str name;
	const struct relay_version_row *row; /* NULL: none */
	struct str secret;                   /* opened; the caller wipes it afterwards */
};

/* What is known about the server when the run is over; empty and zero where it was not come to. */
struct preflight_server {
	struct str provider; /* title, such as "QQ Mail (QQ, Foxmail, Exmail)" */
	struct str address;  /* spoken to */
	struct str greeting;
	struct str tls;    /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	struct str offers; /* "SIZE 52428800, 8BITMIME, ..." */
	struct str lacks;  /* of what is common */
};

struct preflight_result {
	bool passed;                 /* nothing failed */
	bool is_cut;                 /* time ran out, or it was broken off */
	bool hold;                   /* all that failed is a limit below the present demand */
	bool weaker;                 /* less protected than the other version, allowed or not */
	enum preflight_stage failed; /* the first stage that did, unless passed */
	unsigned counts[PREFLIGHT_VERDICT_COUNT];
	struct preflight_server server;
	struct str summary; /* one sentence */
	const struct preflight_finding *findings;
	size_t n_findings;
	int64_t took_us;
};

struct preflight_ops {
	/* The finding is valid until preflight_free. */
	void (*on_finding)(void *arg, const struct preflight_finding *f);
	/* What takes a while goes on, such as "connection 7 of 20". May be NULL. */
	void (*on_progress)(void *arg, enum preflight_check check, struct str text);
	/* The result is valid until preflight_free. */
	void (*on_done)(void *arg, const struct preflight_result *r);
};

/* Zero stands for the default. */
struct preflight_opts {
	struct loop *loop;
	struct resolver *resolver;
	struct dialer *dialer;
	enum preflight_kind kind;
	struct str hostname; /* ours, for EHLO */
	struct preflight_target target;
	struct preflight_target against;
	struct str allow_weaker;         /* why it may be weaker; empty: it may not */
	struct str snapshot;             /* that was taken; empty: no finding about it */
	const struct preflight_use *use; /* NULL: nothing is known */
	const struct str *rcpts;         /* asked for by RCPT */
	size_t n_rcpts;
	const struct net_addr *doors; /* where we take mail ourselves */
	size_t n_doors;
	unsigned connects;     /* for P70; 20. UINT_MAX: none */
	int64_t time_limit_us; /* for everything; 2 min, CONTROL 30 s */
	double patience;       /* 1 in production; scales how long each single answer may take */
	const struct preflight_ops *ops;
	void *arg;
};

struct json_writer;
/* The result with all findings, as one JSON object. */
void preflight_write(const struct preflight_result *r, struct json_writer *w);

struct preflight *preflight_new(const struct preflight_opts *opts);
/* Breaks off what is open. Takes NULL, nulls the pointer. */
void preflight_free(struct preflight **pp);
