/* `posthouse check HOST`: is that SMTP server any good? Needs no service and no configuration: the
 * preflight runs on a loop of this process, and each finding is printed when it is known. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/host.h"
#include "cli/private.h"
#include "codec/json_writer.h"
#include "loop/loop.h"
#include "net/dialer.h"
#include "net/resolver.h"
#include "preflight/preflight.h"
#include "relay/settings.h"

#define SECRET_MAX 4096
#define LIST_MAX   16

/* One server being checked. */
struct check {
	struct cli *c;
	struct loop *loop;
	struct resolver *resolver;
	struct dialer *dialer;
	bool quiet; /* nothing is printed */
	const struct preflight_result *result;
	char hostname[256];
};

static enum cli_style
style_of(struct str verdict)
{
	if (str_eq(verdict, STR("ok")))
		return CLI_GOOD;
	if (str_eq(verdict, STR("fail")))
		return CLI_BAD;
	return str_eq(verdict, STR("warn")) ? CLI_WARN : CLI_DIM;
}

/* What is printed of one finding. */
struct line {
	struct str verdict, title, subject, evidence, remedy;
	int64_t took_ms;
};

static void
print_line(struct cli *c, const struct line *l)
{
	cli_screen_print(c, "  ");
	cli_screen_add(c, style_of(l->verdict), l->verdict);
	cli_screen_print(c, "%*s%-22.*s ", (int)(9 - (int)l->verdict.n), "", STR_ARG(l->title));
	if (l->subject.n != 0) {
		cli_screen_add(c, CLI_PLAIN, l->subject);
		cli_screen_print(c, ": ");
	}
	cli_screen_add(c, CLI_PLAIN, l->evidence);
	if (l->took_ms > 0)
		cli_screen_print(c, " (%lld ms)", (long long)l->took_ms);
	cli_screen_print(c, "\n");
	if (l->remedy.n != 0) {
		cli_screen_print(c, "%34s", "");
		cli_screen_add(c, CLI_BOLD, l->remedy);
		cli_screen_print(c, "\n");
	}
}

static void
print_end(struct cli *c, bool passed, struct str summary)
{
	cli_screen_print(c, "\n");
	cli_screen_add(c, passed ? CLI_GOOD : CLI_BAD, summary);
	cli_screen_print(c, "\n");
}

void
cli_check_show(struct cli *c, const struct json *report)
{
	const struct json *list = json_at(report, "findings");

	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *f = json_item(list, i);
		struct line l = { cli_call_text(c, f, "verdict"), cli_call_text(c, f, "title"),
			cli_call_text(c, f, "subject"), cli_call_text(c, f, "evidence"),
			cli_call_text(c, f, "remedy"), cli_call_number(f, "took_ms") };
		print_line(c, &l);
	}
	print_end(c, cli_call_flag(report, "passed"), cli_call_text(c, report, "summary"));
}

/* ---- running ---- */

static void
on_finding(void *arg, const struct preflight_finding *f)
{
	struct check *k = arg;
	struct line l = { str_from(preflight_verdict_name(f->verdict)),
		str_from(preflight_check_title(f->check)), f->subject, f->evidence, f->remedy,
		f->took_us / MS(1) };

	if (k->quiet || k->c->json)
		return;
	print_line(k->c, &l);
	(void)cli_screen_flush(k->c);
}

static void
on_done(void *arg, const struct preflight_result *r)
{
	struct check *k = arg;

	k->result = r;
	loop_stop(k->loop);
}

static const struct preflight_ops ops = { .on_finding = on_finding, .on_done = on_done };

/* Runs one preflight to its end; *out is to be freed after its result was used. */
static void
run(struct check *k, struct preflight_opts *o, struct preflight **out)
{
	o->loop = k->loop;
	o->resolver = k->resolver;
	o->dialer = k->dialer;
	o->hostname = str_from(k->hostname);
	o->ops = &ops;
	o->arg = k;
	k->result = NULL;
	*out = preflight_new(o);
	loop_run(k->loop);
}

/* The combination that answers, where the person did not name one. */
static bool
find_way(struct check *k, struct relay_version_row *v)
{
	static const struct {
		uint16_t port;
		enum relay_tls tls;
	} ways[] = { { 465, RELAY_TLS_IMPLICIT }, { 587, RELAY_TLS_STARTTLS },
		{ 25, RELAY_TLS_STARTTLS } };

	k->quiet = true;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct relay_version_row try = *v;
		struct preflight *p;
		bool passed;
		try.port = ways[i].port;
		try.tls = ways[i].tls;
		try.user = (struct str){ 0 };
		struct preflight_opts o = { .kind = PREFLIGHT_CONTROL,
			.target = { v->host, &try, { 0 } },
			.time_limit_us = SECONDS(12) };
		run(k, &o, &p);
		passed = k->result->passed;
		preflight_free(&p);
		if (!passed)
			continue;
		v->port = ways[i].port;
		v->tls = ways[i].tls;
		k->quiet = false;
		return true;
	}
	k->quiet = false;
	v->port = 465;
	v->tls = RELAY_TLS_IMPLICIT;
	return false;
}

static size_t
many(const struct cli *c, const char *name, struct str out[static LIST_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < c->args.n_given && n < LIST_MAX; i++) {
		const struct cli_given *g = &c->args.given[i];
		if (g->value != NULL && strcmp(g->option->name, name) == 0)
			out[n++] = str_from(g->value);
	}
	return n;
}

/* The server of a command line, as a version. False: said. */
static bool
read_host(
    struct cli *c, const char *word, const char *tls, struct relay_version_row *v, bool *given)
{
	size_t n = strlen(word) + 1;
	char *text = memcpy(ARENA_NEW_ARRAY(&c->arena, char, n), word, n);
	char *colon = strrchr(text, ':');
	const char *port = NULL;
	struct cli_host h = { 0 };
	struct fault f = { 0 };

	if (colon != NULL && strchr(text, ':') == colon && colon[1] != '/') {
		*colon = '\0';
		port = colon + 1;
	}
	if (cli_host_parse(text, port, tls, &h, &f) != RC_OK) {
		cli_screen_fail(CLI_USAGE, "%s", f.text);
		return false;
	}
	*given = port != NULL || tls != NULL;
	if (*given && cli_host_complete(&h, &f) != RC_OK) {
		cli_screen_fail(CLI_USAGE, "%s", f.text);
		return false;
	}
	*v = (struct relay_version_row){ .id = { 1 },
		.relay = { 1 },
		.number = 1,
		.host = h.host,
		.port = h.port,
		.allow_plaintext = STR("asked for on the command line") };
	if (*given && !relay_tls_parse(str_from(h.tls), &v->tls))
		v->tls = RELAY_TLS_IMPLICIT;
	return true;
}

static void
write_json(struct cli *c, const struct preflight_result *r)
{
	struct json_writer w;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1u << 20);
	json_writer_init(&w, &b);
	preflight_write(r, &w);
	json_writer_done(&w);
	cli_screen_print(c, "%.*s\n", STR_ARG(buf_str(&b)));
}

static int
check_one(struct check *k, struct relay_version_row *v, bool has_way, struct relay_version_row *old,
    struct str secret)
{
	struct cli *c = k->c;
	struct str from[LIST_MAX], to[LIST_MAX];
	size_t n_from = many(c, "from", from), n_to = many(c, "to", to);
	struct preflight_identity ids[LIST_MAX] = { 0 };
	struct preflight_use use = { .identities = ids, .n_identities = n_from };
	struct preflight *p;
	bool found = has_way || find_way(k, v);

	for (size_t i = 0; i < n_from; i++)
		ids[i] = (struct preflight_identity){ from[i], 1 };
	struct preflight_opts o = { .kind = PREFLIGHT_FULL,
		.target = { v->host, v, secret },
		.use = &use,
		.rcpts = to,
		.n_rcpts = n_from != 0 ? n_to : 0 };
	if (old != NULL)
		o.against = (struct preflight_target){ old->host, old, { 0 } };
	if (!c->json) {
		cli_screen_print(c, "%.*s port %u, TLS %s%s\n\n", STR_ARG(v->host), v->port,
		    relay_tls_name(v->tls),
		    has_way ? ""
		    : found ? " (found by trying)"
			    : " (nothing answered; trying this)");
		(void)cli_screen_flush(c);
	}
	run(k, &o, &p);
	const struct preflight_result *r = k->result;
	int status = r->passed ? CLI_DONE : preflight_stage_exit(r->failed);
	if (c->json)
		write_json(c, r);
	else
		print_end(c, r->passed, r->summary);
	if (!c->json && r->passed && v->user.n == 0)
		cli_screen_print(
		    c, "No login was tried; add --user U --secret-file F to go on to it.\n");
	preflight_free(&p);
	return status;
}

static int
run_check(struct cli *c)
{
	struct check k = { .c = c };
	struct relay_version_row v, old = { 0 };
	const char *compare = cli_option_get(&c->args, "compare");
	const char *user = cli_option_get(&c->args, "user");
	bool has_way, old_way = true;
	AUTO(buf_done) struct buf secret = { 0 };
	struct fault f = { 0 };

	buf_init(&secret, SECRET_MAX);
	if (!read_host(c, c->args.words[0], cli_option_get(&c->args, "tls"), &v, &has_way) ||
	    (compare != NULL && !read_host(c, compare, NULL, &old, &old_way)))
		return CLI_USAGE;
	if (user != NULL) {
		v.user = str_from(user);
		if (!cli_secret_read(c, "secret", &secret))
			return CLI_USAGE;
	}
	if (gethostname(k.hostname, sizeof(k.hostname) - 1) != 0)
		snprintf(k.hostname, sizeof(k.hostname), "localhost");
	k.loop = loop_new();
	if (resolver_new(k.loop, NULL, &k.resolver, &f) != RC_OK)
		return cli_screen_fail(CLI_FAILED, "%s", f.text);
	k.dialer = dialer_new(k.loop, k.resolver);
	if (!old_way)
		(void)find_way(&k, &old);
	int status = check_one(&k, &v, has_way, compare != NULL ? &old : NULL, buf_str(&secret));
	buf_wipe(&secret);
	dialer_free(&k.dialer);
	resolver_free(&k.resolver);
	loop_free(&k.loop);
	return status;
}

static const struct cli_option options[] = {
	{ "tls", "implicit|starttls|none", "how the connection is protected (found by trying)",
	    false },
	{ "user", "USER", "log in, once, as this user", false },
	{ "secret-file", "FILE", "the secret; - for standard input (asked for)", false },
	{ "from", "ADDRESS", "ask whether this sender is taken; may be repeated", true },
	{ "to", "ADDRESS", "ask whether this recipient is taken; nothing is sent", true },
	{ "compare", "HOST[:PORT]", "say what this other server has and HOST lacks", false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = { { NULL, "HOST[:PORT]", 1, 1,
    "is that SMTP server any good, stage by stage",
    "Needs no service and no configuration. Nothing is sent, and a login is tried once at most. "
    "Ends with 0, or by the stage that failed: 10 settings, 11 DNS, 12 connect, 13 greeting or "
    "EHLO, 14 TLS, 15 authentication, 16 sender, 17 recipient, 20 weaker than the other.",
    "posthouse check smtp.example.com --user me@example.com --secret-file code.txt", options,
    run_check } };

const struct cli_noun cli_check_noun = { "check", "is that SMTP server any good", commands, 1 };
