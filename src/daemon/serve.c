/* Start order, threads, and the way down.
 *
 *   main thread   signals, certificate watch, control socket and HTTP, publishing of settings
 *   writer        inside store/
 *   dispatcher    one loop with deliver/ on it
 *   loop 0..n-1   SMTP in and out
 *   background    one loop with the services on it: preflights, probes, mailboxes
 *   pool          passwords, queries
 *
 * Down, on SIGTERM: listeners close and sessions end (in the middle of a message: after its reply);
 * the dispatcher starts nothing more and waits for replies to dots; services break off what takes
 * long; then loops, background, dispatcher and writer end in this order. After shutdown-timeout the
 * rest is left to the next start: what has its dot out without a reply becomes in doubt. */
#include "daemon/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/book.h"
#include "api/api.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "daemon/background.h"
#include "daemon/private.h"
#include "deliver/deliver.h"
#include "http/server.h"
#include "loop/signal.h"
#include "net/tls.h"
#include "relay/book.h"
#include "store/config_relay.h"
#include "store/reader.h"
#include "store/store.h"

#define WATCH_EVERY  SECONDS(5)
#define POOL_THREADS 2
#define LINK_IDLE    SECONDS(30)

/* ---- things that must be there ---- */

static enum rc
make_data_dir(const char *dir, struct fault *f)
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return RC_OK;
	return fault_sys(
	    f, RC_IO, "the data directory %s cannot be made; give another with --data", dir);
}

/* As many descriptors as the system allows: each connection is one. */
static void
raise_fd_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
			log_event(LOG_WARN, NULL, "serve.limits",
			    "the limit of open files could not be raised");
	}
}

static enum rc
load_seal(struct daemon *d, struct fault *f)
{
	struct str path = arena_strf(&d->config.arena, "%s/seal.key", d->config.data);

	d->seal = MEM_NEW(struct seal_key);
	enum rc rc = seal_key_load(path.p, d->seal, f);
	if (rc == RC_OK)
		d->scram_fake_key = token_key_derive(d->seal->k, STR("scram-fake"));
	return rc;
}

static enum rc
open_store(struct daemon *d, struct fault *f)
{
	struct store_opts o = {
		.dir = d->config.data,
		.retain_content_us = d->config.retain_content_us,
		.retain_history_us = d->config.retain_history_us,
		.low_water_bytes = d->config.min_free_disk,
	};

	return store_open(&o, &d->store, f);
}

struct learnt_note {
	struct daemon_note note;
	struct daemon *daemon;
};

static void
publish_learnt(struct daemon_note *n)
{
	struct learnt_note *l = CONTAINER_OF(n, struct learnt_note, note);

	books_publish(l->daemon, NULL, NULL);
	free(l);
}

/* On the dispatcher's thread. */
static void
on_learnt(void *arg)
{
	struct learnt_note *l = MEM_NEW(struct learnt_note);

	*l = (struct learnt_note){ { .run = publish_learnt }, arg };
	daemon_tell(l->daemon->notes, &l->note);
}

static void
make_deliver(struct daemon *d)
{
	struct deliver_opts o = {
		.loop = d->deliver_loop,
		.store = d->store,
		.hostname = str_from(d->config.hostname),
		.window = { .capacity = d->config.window },
		.retry = d->config.retry,
		.expire_after_us = { d->config.expire_after_us, d->config.expire_after_us },
		.delay_notice_after_us = d->config.delay_notice_after_us,
		.idle_us = LINK_IDLE,
		.seed = random_u64(),
		.book = d->relays,
		.on_learnt = on_learnt,
		.on_want = changeovers_on_want,
		.on_changeover_news = changeovers_on_news,
		.arg = d,
	};

	d->deliver = deliver_new(&o);
}

/* ---- the way down ---- */

static void
maybe_finish(struct daemon *d)
{
	if (d->stopping && d->drained == d->n_workers && d->delivered && d->answered)
		loop_stop(d->loop);
}

static void
on_answered(void *arg)
{
	struct daemon *d = arg;

	d->answered = true;
	maybe_finish(d);
}

struct done_note {
	struct daemon_note note;
	struct daemon *daemon;
	struct worker *worker; /* NULL: the dispatcher */
};

static void
on_part_done(struct daemon_note *n)
{
	struct done_note *p = CONTAINER_OF(n, struct done_note, note);
	struct daemon *d = p->daemon;

	if (p->worker != NULL)
		d->drained++;
	else
		d->delivered = true;
	free(p);
	maybe_finish(d);
}

static void
say_done(struct daemon *d, struct worker *w)
{
	struct done_note *p = MEM_NEW(struct done_note);

	*p = (struct done_note){ { .run = on_part_done }, d, w };
	daemon_tell(d->notes, &p->note);
}

void
daemon_worker_drained(void *arg)
{
	struct worker *w = FROM_ARG(struct worker, arg, WORKER_MAGIC);

	say_done(w->daemon, w);
}

static void
on_delivered(void *arg)
{
	say_done(arg, NULL);
}

static void
drain_worker(struct daemon_note *n)
{
	struct done_note *p = CONTAINER_OF(n, struct done_note, note);
	struct worker *w = p->worker;

	for (size_t i = 0; i < w->n_listeners; i++)
		listener_free(&w->listeners[i]);
	w->n_listeners = 0;
	smtp_server_drain(w->server);
	free(p);
}

struct stop_order {
	struct deliver_order order;
	struct daemon *daemon;
};

static void
stop_deliver(struct deliver *deliver, struct deliver_order *o)
{
	struct stop_order *s = CONTAINER_OF(o, struct stop_order, order);

	deliver_stop(deliver, on_delivered, s->daemon);
	free(s);
}

static void
begin_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	http_server_drain(d->http);
	background_drain(d->background);
	api_drain(d->api, on_answered, d);
	log_event(LOG_INFO, NULL, "serve.stopping",
	    "no new mail is taken; waiting for what is under way");
	for (size_t i = 0; i < d->n_workers; i++) {
		struct done_note *p = MEM_NEW(struct done_note);
		*p = (struct done_note){ { .run = drain_worker }, d, &d->workers[i] };
		daemon_tell(d->workers[i].notes, &p->note);
	}
	struct stop_order *s = MEM_NEW(struct stop_order);
	s->order.run = stop_deliver;
	s->daemon = d;
	deliver_post(d->deliver, &s->order);
	loop_timer_set(d->loop, &d->watch, loop_now_us(d->loop) + d->config.shutdown_timeout_us);
}

/* ---- the main loop ---- */

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;

	if (signo == SIGHUP) {
		reload_config(d);
		tls_files_refresh(d);
		return;
	}
	if (d->stopping) {
		d->exit_status = 1;
		loop_stop(d->loop);
	}
	begin_stop(d);
}

static void
on_watch(void *arg)
{
	struct daemon *d = arg;

	if (d->stopping) {
		log_event(LOG_WARN, NULL, "serve.impatient",
		    "not everything ended within shutdown-timeout; the rest is settled by the next start");
		d->exit_status = 1;
		loop_stop(d->loop);
		return;
	}
	tls_files_refresh(d);
	loop_timer_set(d->loop, &d->watch, loop_now_us(d->loop) + WATCH_EVERY);
}

static void
on_notes(void *arg, struct mailbox_item *item)
{
	(void)arg;
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct daemon_note *n = CONTAINER_OF(item, struct daemon_note, item);
		n->run(n);
		item = next;
	}
}

static void
run_loop(void *arg)
{
	loop_run(arg);
}

static void
stop_loop(struct daemon_note *n)
{
	struct done_note *p = CONTAINER_OF(n, struct done_note, note);

	loop_stop(p->worker != NULL ? p->worker->loop : p->daemon->deliver_loop);
	free(p);
}

static void
join_loop(struct daemon *d, struct mailbox *notes, struct worker *w, struct loop_thread **thread)
{
	struct done_note *p = MEM_NEW(struct done_note);

	*p = (struct done_note){ { .run = stop_loop }, d, w };
	daemon_tell(notes, &p->note);
	loop_thread_join(thread);
}

/* ---- start ---- */

static void
greet(const struct daemon *d)
{
	char text[NET_ADDR_TEXT_SIZE];

	for (size_t i = 0; i < d->config.smtp.n; i++) {
		net_addr_format(&d->config.smtp.v[i], text);
		log_event(LOG_INFO, NULL, "serve.listening", "SMTP with STARTTLS on %s", text);
	}
	for (size_t i = 0; i < d->config.smtps.n; i++) {
		net_addr_format(&d->config.smtps.v[i], text);
		log_event(LOG_INFO, NULL, "serve.listening", "SMTP in TLS on %s", text);
	}
}

/* What the last run left: recipients in doubt, counts, and relays that a person had paused. */
static enum rc
recover(struct daemon *d, struct fault *f)
{
	AUTO(store_reader_free) struct store_reader *r = NULL;
	AUTO(arena_done) struct arena a = { 0 };
	struct store_relay_row *relays = NULL;
	uint32_t n = 0;
	enum rc rc = store_reader_new(d->store, &r, f);

	if (rc == RC_OK)
		rc = store_config_relay_list(r, &a, &relays, &n, f);
	if (rc != RC_OK)
		return rc;
	deliver_recover(d->deliver, r);
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq(relays[i].state, STR("paused")))
			relay_desk_pause(deliver_desk(d->deliver), relays[i].version,
			    relays[i].state_why, clock_wall_us());
	}
	deliver_settle(d->deliver);
	return RC_OK;
}

static enum rc
build(struct daemon *d, struct fault *f)
{
	enum rc rc = make_data_dir(d->config.data, f);

	if (rc == RC_OK)
		rc = crypto_start(f);
	if (rc == RC_OK)
		rc = load_seal(d, f);
	if (rc == RC_OK)
		rc = open_store(d, f);
	if (rc == RC_OK)
		rc = tls_files_load(d, f);
	if (rc == RC_OK)
		rc = books_load(d, f);
	if (rc != RC_OK)
		return rc;
	blob_budget_set(d->config.content_memory);
	raise_fd_limit();
	d->loop = loop_new();
	d->notes = mailbox_new();
	mailbox_attach(d->notes, d->loop, on_notes, d);
	d->signals = loop_signal_new(d->loop, on_signal, d);
	loop_timer_init(&d->watch, on_watch, d);
	loop_timer_set(d->loop, &d->watch, loop_now_us(d->loop) + WATCH_EVERY);
	d->pool = pool_new("pool", POOL_THREADS);
	d->books_pool = pool_new("books", 1);
	d->deliver_loop = loop_new();
	d->deliver_notes = mailbox_new();
	mailbox_attach(d->deliver_notes, d->deliver_loop, on_notes, d);
	make_deliver(d);
	rc = services_make(d, f);
	d->n_workers = d->config.loops;
	d->workers = MEM_NEW_ARRAY(struct worker, d->n_workers);
	for (size_t i = 0; i < d->n_workers && rc == RC_OK; i++)
		rc = worker_init(&d->workers[i], d, f);
	if (rc == RC_OK)
		rc = recover(d, f);
	if (rc == RC_OK)
		rc = worker_listen_all(d, f);
	return rc;
}

static void
start_threads(struct daemon *d)
{
	d->deliver_thread = loop_thread_start("dispatcher", run_loop, d->deliver_loop);
	background_start(d->background);
	for (size_t i = 0; i < d->n_workers; i++) {
		char name[32];
		snprintf(name, sizeof(name), "loop-%zu", i);
		d->workers[i].thread = loop_thread_start(name, run_loop, d->workers[i].loop);
	}
}

static void
take_down(struct daemon *d)
{
	for (size_t i = 0; i < d->n_workers; i++)
		join_loop(d, d->workers[i].notes, &d->workers[i], &d->workers[i].thread);
	background_join(d->background);
	join_loop(d, d->deliver_notes, NULL, &d->deliver_thread);
	http_server_free(&d->http);
	/* Both read the store. */
	pool_free(&d->pool);
	pool_free(&d->books_pool);
	api_stop(d->api);
	deliver_close_readers(d->deliver);
	store_close(&d->store);
	background_free(&d->background);
	api_free(&d->api);
	submit_free(&d->door);
	for (size_t i = 0; i < d->n_workers; i++)
		worker_done(&d->workers[i]);
	deliver_free(&d->deliver);
	mailbox_free(&d->deliver_notes);
	loop_free(&d->deliver_loop);
	loop_signal_free(&d->signals);
	loop_timer_cancel(d->loop, &d->watch);
	mailbox_free(&d->notes);
	loop_free(&d->loop);
	relay_book_unref(&d->relays);
	account_book_unref(&d->accounts);
	tls_ctx_unref(&d->tls);
	seal_key_wipe(d->seal);
	free(d->seal);
	free(d->workers);
}

int
daemon_serve(int argc, char **argv)
{
	struct daemon d = { .argc = argc, .argv = argv };
	struct fault f = { 0 };

	loop_signal_block();
	if (daemon_config_load(argc, argv, &d.config, &f) != RC_OK) {
		fprintf(stderr, "posthouse: %s\n", f.text);
		return 2;
	}
	log_set_level(d.config.log_level);
	log_set_format(d.config.log_format);
	if (build(&d, &f) != RC_OK) {
		fprintf(stderr, "posthouse: %s\n", f.text);
		return 1;
	}
	store_start(d.store, deliver_store_mailbox(d.deliver));
	if (web_start(&d, &f) != RC_OK) {
		fprintf(stderr, "posthouse: %s\n", f.text);
		return 1;
	}
	start_threads(&d);
	greet(&d);
	log_event(LOG_INFO, NULL, "serve.ready", "posthouse %s is ready", POSTHOUSE_VERSION);
	loop_run(d.loop);
	if (d.exit_status != 0)
		_exit(d.exit_status); /* threads are in the middle of things; the queue is safe on
					 disk */
	take_down(&d);
	log_event(LOG_INFO, NULL, "serve.stopped", "everything is on disk");
	daemon_config_done(&d.config);
	return 0;
}
