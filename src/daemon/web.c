/* The API's doors: the control socket, `http` and `https`, all on the main thread's loop. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/keyfile.h"
#include "crypto/token.h"
#include "daemon/private.h"
#include "http/server.h"
#include "mailbox/service.h"
#include "preflight/service.h"

#define PEM_MAX 1048576u

/* ---- what the API asks of the daemon ---- */

static struct relay_book *
relays_now(void *arg)
{
	struct daemon *d = arg;

	return d->relays;
}

static struct account_book *
accounts_now(void *arg)
{
	struct daemon *d = arg;

	return d->accounts;
}

static void
publish(void *arg, api_published_fn *done, void *done_arg)
{
	books_publish(arg, done, done_arg);
}

/* ---- the admin key ---- */

static enum rc
admin_key(struct daemon *d, struct buf *key, struct fault *f)
{
	const char *path = d->config.admin_key_file;
	struct fault why = { 0 };
	enum rc rc = keyfile_read(path, key, &why);
	char made[TOKEN_API_KEY_SIZE];

	if (rc == RC_OK) {
		while (buf_len(key) != 0 && str_trim(buf_str(key)).n != buf_len(key))
			buf_truncate(key, buf_len(key) - 1);
		return buf_len(key) != 0
			   ? RC_OK
			   : fault_set(f, RC_INVALID,
				 "%s is empty; remove it to have a new key made", path);
	}
	if (rc != RC_NOT_FOUND)
		return fault_set(f, rc, "%s", why.text);
	token_api_key(made);
	rc = keyfile_create(path, str_from(made), f);
	if (rc != RC_OK)
		return rc;
	buf_add(key, str_from(made));
	d->is_first_start = true;
	return RC_OK;
}

/* ---- listening ---- */

static enum rc
listen_unix(struct daemon *d, struct fault *f)
{
	struct net_addr at = { .family = NET_UNIX };
	struct listener_opts opts = { .unix_mode = 0600 };
	int n = snprintf(at.path, sizeof(at.path), "%s/control.sock", d->config.data);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(at.path))
		return fault_set(f, RC_INVALID,
		    "data: the path %s is too long for a socket in it; use a shorter one",
		    d->config.data);
	enum rc rc = listener_open(&at, &opts, &fd, f);
	return rc == RC_OK ? http_server_listen(d->http, fd, HTTP_DOOR_CONTROL, NULL, NULL, f) : rc;
}

static enum rc
listen_all(struct daemon *d, struct daemon_addrs *at, enum http_door door, const char *cert,
    const char *key, struct fault *f)
{
	for (size_t i = 0; i < at->n; i++) {
		struct listener_opts opts = { 0 };
		int fd;
		enum rc rc = listener_open(&at->v[i], &opts, &fd, f);
		if (rc != RC_OK)
			return rc;
		if (at->v[i].port == 0 && !listener_local_addr(fd, &at->v[i]))
			return fault_sys(f, RC_IO, "the listening socket has no address");
		rc = http_server_listen(d->http, fd, door, cert, key, f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
read_pem(const char *path, struct buf *out, struct fault *f)
{
	FILE *file = fopen(path, "re");
	char *room;
	size_t n = 0;

	if (file == NULL)
		return fault_sys(f, RC_TLS, "%s cannot be read", path);
	while ((room = buf_reserve(out, 4096)) != NULL && (n = fread(room, 1, 4096, file)) > 0)
		buf_commit(out, n);
	fclose(file);
	return RC_OK;
}

static enum rc
listen_everywhere(struct daemon *d, struct fault *f)
{
	AUTO(buf_done) struct buf cert = { 0 };
	AUTO(buf_wipe) struct buf key = { 0 };
	enum rc rc;

	buf_init(&cert, PEM_MAX);
	buf_init(&key, PEM_MAX);
	rc = listen_unix(d, f);
	if (rc == RC_OK)
		rc = listen_all(d, &d->config.http, HTTP_DOOR_PLAIN, NULL, NULL, f);
	if (rc == RC_OK && d->config.https.n != 0)
		rc = read_pem(d->config.tls_cert, &cert, f);
	if (rc == RC_OK && d->config.https.n != 0)
		rc = read_pem(d->config.tls_key, &key, f);
	if (rc == RC_OK && d->config.https.n != 0)
		rc = listen_all(
		    d, &d->config.https, HTTP_DOOR_TLS, buf_cstr(&cert), buf_cstr(&key), f);
	return rc;
}

void
web_refresh_tls(struct daemon *d)
{
	AUTO(buf_done) struct buf cert = { 0 };
	AUTO(buf_wipe) struct buf key = { 0 };
	struct fault f = { 0 };

	buf_init(&cert, PEM_MAX);
	buf_init(&key, PEM_MAX);
	if (d->config.https.n == 0)
		return;
	if (read_pem(d->config.tls_cert, &cert, &f) != RC_OK ||
	    read_pem(d->config.tls_key, &key, &f) != RC_OK ||
	    http_server_set_tls(d->http, buf_cstr(&cert), buf_cstr(&key), &f) != RC_OK)
		log_event(
		    LOG_ERROR, NULL, "tls.unusable", "HTTPS keeps the old certificate: %s", f.text);
}

/* ---- life ---- */

static void
add_listeners(struct daemon *d, const struct daemon_addrs *at, const char *kind,
    struct api_listener *to, size_t *n)
{
	char text[NET_ADDR_TEXT_SIZE];

	for (size_t i = 0; i < at->n; i++) {
		net_addr_format(&at->v[i], text);
		to[(*n)++] = (struct api_listener){ arena_str(&d->config.arena, str_from(text)),
			str_from(kind) };
	}
}

static void
make_api(struct daemon *d, struct str key)
{
	const struct daemon_config *c = &d->config;
	size_t max = c->smtp.n + c->smtps.n + c->http.n + c->https.n;
	struct api_listener *listeners =
	    ARENA_NEW_ARRAY(&d->config.arena, struct api_listener, max);
	size_t n = 0;

	add_listeners(d, &c->smtp, "smtp", listeners, &n);
	add_listeners(d, &c->smtps, "smtps", listeners, &n);
	add_listeners(d, &c->http, "http", listeners, &n);
	add_listeners(d, &c->https, "https", listeners, &n);
	struct api_opts o = {
		.loop = d->loop,
		.store = d->store,
		.deliver = d->deliver,
		.pool = d->pool,
		.preflight = preflight_service_mailbox(d->preflight),
		.mailboxes = mailbox_service_mailbox(d->mailboxes),
		.submit = d->door,
		.seal = d->seal,
		.admin_key = key,
		.hostname = str_from(c->hostname),
		.started_us = clock_wall_us(),
		.listeners = listeners,
		.n_listeners = n,
		.max_message_bytes = c->max_message_size,
		.max_recipients = c->max_recipients,
		.relays = relays_now,
		.accounts = accounts_now,
		.publish = publish,
		.arg = d,
	};
	d->api = api_new(&o);
}

/* Once, when everything was made for the first time: what a person needs to go on. */
static void
welcome(const struct daemon *d, struct str key)
{
	char smtp[NET_ADDR_TEXT_SIZE] = "";

	/* A journal or a log file is no place for a key. */
	struct str shown = isatty(STDERR_FILENO) ? key : STR("not shown here");

	if (d->config.smtp.n != 0)
		net_addr_format(&d->config.smtp.v[0], smtp);
	fprintf(stderr,
	    "\n"
	    "  Posthouse is ready. It was started here for the first time.\n"
	    "\n"
	    "  Admin API key:              %.*s\n"
	    "    (kept in %s)\n"
	    "  SMTP:                       %s\n"
	    "  Until a relay is added, mail is kept and shown, not sent.\n"
	    "\n"
	    "  Send a first message:       posthouse send --data %s --from you@example.com --to you@example.com \\\n"
	    "                                --subject Hello --text 'It works'\n"
	    "  Look at it:                 posthouse message list --data %s\n"
	    "  Add a relay:                posthouse help relay add\n"
	    "\n",
	    STR_ARG(shown), d->config.admin_key_file, smtp[0] != '\0' ? smtp : "none",
	    d->config.data, d->config.data);
}

enum rc
web_start(struct daemon *d, struct fault *f)
{
	AUTO(buf_wipe) struct buf key = { 0 };
	struct submit_opts door = { .loop = d->loop,
		.store = d->store,
		.pool = d->pool,
		.hostname = str_from(d->config.hostname),
		.max_hold_us = DAYS(90) };

	buf_init(&key, 1024);
	enum rc rc = admin_key(d, &key, f);
	if (rc != RC_OK)
		return rc;
	d->door = submit_new(&door);
	submit_set_books(d->door, d->relays, d->accounts);
	make_api(d, buf_str(&key));
	struct http_server_opts o = {
		.loop = d->loop,
		.on_head = api_on_head,
		.on_request = api_on_request,
		.arg = d->api,
		.body_max = d->config.max_message_size * 2,
	};
	d->http = http_server_new(&o);
	rc = listen_everywhere(d, f);
	if (rc == RC_OK && d->is_first_start)
		welcome(d, buf_str(&key));
	return rc;
}
