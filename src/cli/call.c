/* One request to the service, and what its answer means for the person who waits.
 *
 * Over the control socket unless a URL is given. Statuses of HTTP become exit statuses by one
 * table; the sentence comes from the service, which knows best what to change. */
#include "cli/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/words.h"
#include "net/fetch.h"

#define ANSWER_MAX (256u << 20)
#define PAGE_MAX   500

struct str
cli_call_socket(struct cli *c)
{
	return arena_strf(&c->arena, "%s/control.sock", c->data);
}

/* ---- failures ---- */

static int
no_service(struct cli *c, const char *where, enum rc rc, const struct fault *f)
{
	if (c->url != NULL)
		return cli_screen_fail(CLI_NO_SERVICE,
		    "%s does not answer (%s); check --url and that the service listens there",
		    where, f->text);
	if (rc == RC_DENIED)
		return cli_screen_fail(CLI_NO_SERVICE,
		    "you may not use %s; run this as the user that owns it%s", where,
		    c->command != NULL ? ", or with --url and --key" : "");
	if (c->command == NULL) /* sendmail and mailq have no --data */
		return cli_screen_fail(CLI_NO_SERVICE,
		    "no service answers at %s; start it with: posthouse serve --data %s", where,
		    c->data);
	return cli_screen_fail(CLI_NO_SERVICE,
	    "no service answers at %s; start it with: posthouse serve --data %s, or name another data "
	    "directory with --data",
	    where, c->data);
}

static int
no_answer(struct cli *c, enum rc rc, const struct fault *f)
{
	const char *where = c->url != NULL ? c->url : cli_call_socket(c).p;

	switch (rc) {
	case RC_NOT_FOUND:
	case RC_CLOSED:
	case RC_DENIED:
	case RC_DNS: return no_service(c, where, rc, f);
	case RC_INVALID: return cli_screen_fail(CLI_USAGE, "%s cannot be used: %s", where, f->text);
	default: break;
	}
	if (c->url == NULL && strlen(where) >= 108)
		return cli_screen_fail(CLI_FAILED,
		    "%s is too long for a socket; use a shorter data directory or a relative path",
		    where);
	return cli_screen_fail(CLI_FAILED, "the service at %s did not answer: %s", where, f->text);
}

static enum cli_exit
exit_of(unsigned status)
{
	switch (status) {
	case 400:
	case 422: return CLI_USAGE;
	case 403: return CLI_REFUSED;
	case 404: return CLI_NOT_FOUND;
	default: return CLI_FAILED;
	}
}

/* Says what the service has against it. */
static int
refused(struct cli *c, unsigned status, const struct json *answer)
{
	struct str text = { 0 };

	if (answer != NULL && json_kind(answer) == JSON_KIND_OBJECT)
		text = cli_call_text(c, answer, "message");
	if (status == 401)
		return cli_screen_fail(CLI_FAILED,
		    "the service does not accept the key; give a valid one with --key or POSTHOUSE_KEY "
		    "(the first is in admin.key of its data directory)");
	if (text.n == 0)
		return cli_screen_fail(exit_of(status), "%s answered with status %u",
		    c->url != NULL ? c->url : "the service", status);
	struct str hint = cli_call_text(c, answer, "hint");
	if (hint.n != 0 && str_find_str(text, hint) == text.n)
		text = arena_strf(&c->arena, "%.*s: %.*s", STR_ARG(text), STR_ARG(hint));
	return cli_screen_fail(exit_of(status), "%.*s", STR_ARG(text));
}

/* ---- requests ---- */

static struct str
make_url(struct cli *c, struct str path)
{
	struct str base = c->url != NULL ? str_from(c->url) : STR("http://posthouse");

	while (str_ends(base, STR("/")))
		base = str_sub(base, 0, base.n - 1);
	if (c->url != NULL && !str_starts_nocase(base, STR("http://")) &&
	    !str_starts_nocase(base, STR("https://")))
		return arena_strf(&c->arena, "http://%.*s%.*s", STR_ARG(base), STR_ARG(path));
	return arena_strf(&c->arena, "%.*s%.*s", STR_ARG(base), STR_ARG(path));
}

static void
print_json(struct cli *c, struct str text)
{
	buf_add(&c->out, text);
	if (text.n != 0 && !str_ends(text, STR("\n")))
		buf_add_byte(&c->out, '\n');
}

/* What to do with an answer that came. */
static int
take_answer(
    struct cli *c, const struct cli_request *r, unsigned status, struct str text, struct json **out)
{
	AUTO(json_free) struct json *doc = NULL;
	struct fault f = { 0 };
	enum rc rc = text.n != 0 ? json_parse(text, ANSWER_MAX, &doc, &f) : RC_OK;

	if (status / 100 != 2)
		return r->quiet ? (int)exit_of(status) : refused(c, status, doc);
	if (rc != RC_OK && r->quiet)
		return CLI_FAILED;
	if (rc != RC_OK)
		return cli_screen_fail(CLI_FAILED,
		    "the answer is not what Posthouse says (%s); does another program listen there?",
		    f.text);
	if (c->json && !r->aside)
		print_json(c, text);
	*out = TAKE(doc);
	return CLI_DONE;
}

int
cli_call(struct cli *c, const struct cli_request *r, struct json **out)
{
	struct net_fetch_header header = { "Idempotency-Key", str_from(r->idempotency_key) };
	struct str url = make_url(c, r->path), socket = cli_call_socket(c);
	struct net_fetch_request request = {
		.method = r->method,
		.url = url.p,
		.unix_socket = c->url == NULL ? socket.p : NULL,
		.bearer = c->url != NULL ? c->key : NULL,
		.type = r->type.n != 0 ? r->type : STR("application/json"),
		.body = r->body,
		.headers = &header,
		.n_headers = r->idempotency_key != NULL ? 1 : 0,
		.answer_max = ANSWER_MAX,
		.timeout_us = SECONDS(120),
	};
	AUTO(buf_done) struct buf answer = { 0 };
	struct fault f = { 0 };
	unsigned status;

	*out = NULL;
	buf_init(&answer, ANSWER_MAX);
	enum rc rc = net_fetch(&request, &status, &answer, &f);
	c->now_us = clock_wall_us();
	if (rc != RC_OK)
		return r->quiet ? CLI_NO_SERVICE : no_answer(c, rc, &f);
	return take_answer(c, r, status, buf_str(&answer), out);
}

int
cli_call_get(struct cli *c, struct str path, struct json **out)
{
	struct cli_request r = { .path = path };

	return cli_call(c, &r, out);
}

int
cli_call_change(
    struct cli *c, const char *method, struct str path, struct str body, const char *fmt, ...)
{
	struct cli_request r = { .method = method, .path = path, .body = body };
	AUTO(json_free) struct json *doc = NULL;
	va_list ap;

	if (r.body.p == NULL && strcmp(method, "DELETE") != 0)
		r.body = STR("{}");
	int status = cli_call(c, &r, &doc);
	if (status != CLI_DONE || c->json)
		return status;
	va_start(ap, fmt);
	struct str text = arena_strv(&c->arena, fmt, ap);
	va_end(ap);
	cli_screen_wrapped(c, text, 0);
	return CLI_DONE;
}

/* ---- paths ---- */

struct str
cli_call_path(struct cli *c, const char *path, const char *segment, const char *tail)
{
	struct buf b;

	buf_init(&b, 64 << 10);
	buf_add(&b, str_from(path));
	net_fetch_encode(&b, str_from(segment));
	buf_add(&b, str_from(tail));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

struct str
cli_call_query(struct cli *c, struct str path, const char *key, const char *value)
{
	struct buf b;

	if (value == NULL)
		return path;
	buf_init(&b, 1 << 20);
	buf_add(&b, path);
	buf_addf(&b, "%c%s=", str_has_byte(path, '?') ? '&' : '?', key);
	net_fetch_encode(&b, str_from(value));
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}

bool
cli_call_page(struct cli *c, struct str *path)
{
	uint64_t limit;

	if (cli_option_is_given(&c->args, "limit") &&
	    !cli_input_number(c, "limit", 1, PAGE_MAX, &limit))
		return false;
	*path = cli_call_query(c, *path, "limit", cli_option_get(&c->args, "limit"));
	*path = cli_call_query(c, *path, "after", cli_option_get(&c->args, "after"));
	return true;
}

void
cli_call_more(struct cli *c, const struct json *doc, struct str last)
{
	struct str next = cli_call_text(c, doc, "next");

	if (!cli_call_flag(doc, "has_more"))
		return;
	if (next.n == 0)
		next = last;
	cli_screen_add(c, CLI_DIM,
	    next.n != 0 ? arena_strf(&c->arena, "There are more: --after %.*s", STR_ARG(next))
			: STR("There are more: --limit 500 shows up to 500"));
	cli_screen_print(c, "\n");
}

/* ---- values of answers ---- */

struct str
cli_call_text(struct cli *c, const struct json *v, const char *path)
{
	const struct json *at = v != NULL ? json_at(v, path) : NULL;

	if (at == NULL)
		return (struct str){ 0 };
	switch (json_kind(at)) {
	case JSON_KIND_STR: return json_str(at);
	case JSON_KIND_BOOL: return json_bool(at) ? STR("yes") : STR("no");
	case JSON_KIND_INT: return arena_strf(&c->arena, "%.0f", json_number(at));
	case JSON_KIND_REAL: return arena_strf(&c->arena, "%g", json_number(at));
	case JSON_KIND_NULL:
	case JSON_KIND_ARRAY:
	case JSON_KIND_OBJECT: break;
	}
	return (struct str){ 0 };
}

int64_t
cli_call_number(const struct json *v, const char *path)
{
	const struct json *at = v != NULL ? json_at(v, path) : NULL;

	return at != NULL ? (int64_t)json_number(at) : 0;
}

bool
cli_call_flag(const struct json *v, const char *path)
{
	const struct json *at = v != NULL ? json_at(v, path) : NULL;

	return at != NULL && json_bool(at);
}

struct str
cli_call_joined(struct cli *c, const struct json *v, const char *path)
{
	const struct json *at = v != NULL ? json_at(v, path) : NULL;
	struct buf b;

	if (at == NULL || json_kind(at) != JSON_KIND_ARRAY)
		return cli_call_text(c, v, path);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < json_count(at); i++) {
		if (i != 0)
			buf_add(&b, STR(", "));
		buf_add(&b, json_str(json_item(at, i)));
	}
	struct str out = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return out;
}
