/* Start, threads, end.
 *
 * The first worker runs on the main thread, which also reads the signals; the others get a thread
 * each. Every worker has its own socket for each address, so the kernel spreads the connections.
 * Sockets are opened before any thread starts: an address that is taken is reported at once. */
#include "sink/sink.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "crypto/random.h"
#include "crypto/selfsigned.h"
#include "loop/signal.h"
#include "loop/thread.h"
#include "net/listener.h"
#include "net/tls.h"
#include "sink/worker.h"

struct sink_run {
	struct sink_world world;
	struct worker_slot {
		struct loop *loop;
		struct loop_thread *thread; /* NULL for the first */
		struct sink_worker *worker;
		int fds[SINK_LISTEN_MAX];
	} * slots;
	bool stopping;
};

/* ---- start ---- */

/* A certificate for this run, in a directory that is gone as soon as it is read. */
static enum rc
make_certificate(const char *hostname, struct tls_ctx **out, struct fault *f)
{
	char dir[] = P_tmpdir "/posthouse-sink-XXXXXX";
	char cert[sizeof(dir) + 16], key[sizeof(dir) + 16];

	if (mkdtemp(dir) == NULL)
		return fault_sys(f, RC_IO, "cannot make a directory for the certificate");
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	enum rc rc = selfsigned_write(str_from(hostname), cert, key, f);
	if (rc == RC_OK)
		rc = tls_ctx_new_server(cert, key, out, f);
	unlink(cert);
	unlink(key);
	rmdir(dir);
	return rc;
}

static enum rc
prepare_tls(const struct sink_options *o, struct tls_ctx **out, struct fault *f)
{
	if (o->tls == SINK_TLS_NONE)
		return RC_OK;
	if (o->cert_file != NULL)
		return tls_ctx_new_server(o->cert_file, o->key_file, out, f);
	return make_certificate(o->hostname, out, f);
}

static enum rc
prepare_users(struct sink_world *w, struct fault *f)
{
	for (size_t i = 0; i < w->opts.n_users; i++) {
		if (password_make(w->opts.users[i].password, PASSWORD_GENERATED, true,
			&w->verifiers[i]) != RC_OK)
			return fault_set(f, RC_INVALID, "the password of \"%.*s\" cannot be used",
			    STR_ARG(w->opts.users[i].name));
	}
	return RC_OK;
}

static enum rc
prepare_files(struct sink_world *w, struct fault *f)
{
	const struct sink_options *o = &w->opts;

	if (o->count_file != NULL) {
		w->count_fd = open(o->count_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (w->count_fd < 0)
			return fault_sys(f, RC_IO, "cannot write %s", o->count_file);
	}
	if (o->keep_dir == NULL)
		return RC_OK;
	if (mkdir(o->keep_dir, 0755) != 0 && access(o->keep_dir, W_OK) != 0)
		return fault_sys(f, RC_IO, "cannot write to %s", o->keep_dir);
	w->keep_fd = open(o->keep_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->keep_fd >= 0 ? RC_OK : fault_sys(f, RC_IO, "cannot open %s", o->keep_dir);
}

static struct smtp_server_opts
server_opts(const struct sink_options *o, struct tls_ctx *tls)
{
	struct smtp_server_opts so = smtp_server_opts_default(str_from(o->hostname));

	so.extensions = SMTP_SERVER_EVERYTHING & ~o->without;
	so.max_size = o->max_size;
	so.max_rcpts = o->max_rcpts;
	so.max_messages = 0;
	so.max_commands = 0;
	so.idle_us = (int64_t)o->idle_us;
	so.session_us = (int64_t)o->session_us;
	so.auth_required = o->n_users != 0;
	so.auth_requires_tls = o->tls != SINK_TLS_NONE;
	so.failure_us = MS(100); /* tests would wait for more */
	so.normalize = o->normalize;
	so.tls = tls;
	/* A delay that was asked for must not run into the server's own patience. */
	for (size_t i = 0; i < SINK_STAGE_COUNT; i++) {
		if (so.answer_us < o->rules[i].delay_us + SECONDS(10))
			so.answer_us = o->rules[i].delay_us + SECONDS(10);
	}
	random_bytes(so.scram_fake_key, sizeof(so.scram_fake_key));
	return so;
}

/* Opens every address once for each worker; port 0 is chosen by the first. */
static enum rc
open_sockets(struct sink_run *run, struct fault *f)
{
	const struct sink_options *o = &run->world.opts;
	bool shared = o->loops > 1;

	for (size_t i = 0; i < o->n_listen; i++) {
		struct net_addr at = o->listen[i];
		for (unsigned w = 0; w < o->loops; w++) {
			const struct listener_opts opts = { .is_shared = shared };
			int *fd = &run->slots[w].fds[i];
			/* A Unix socket is one: the others share it. */
			if (w > 0 && at.family == NET_UNIX) {
				*fd = fcntl(run->slots[0].fds[i], F_DUPFD_CLOEXEC, 0);
				if (*fd < 0)
					return fault_sys(f, RC_IO, "cannot share a socket");
				continue;
			}
			enum rc rc = listener_open(&at, &opts, fd, f);
			if (rc != RC_OK)
				return rc;
			if (!listener_local_addr(*fd, &at))
				return fault_set(f, RC_IO, "a socket has no address");
		}
		char text[NET_ADDR_TEXT_SIZE];
		net_addr_format(&at, text);
		printf("listening on %s\n", text);
	}
	fflush(stdout);
	return RC_OK;
}

/* ---- run ---- */

static void
on_signal(void *arg, int signo)
{
	struct sink_run *run = arg;

	(void)signo;
	if (run->stopping)
		return;
	run->stopping = true;
	for (unsigned i = 0; i < run->world.opts.loops; i++)
		sink_worker_stop(run->slots[i].worker);
}

static void
run_loop(void *arg)
{
	loop_run(arg);
}

static void
run_workers(struct sink_run *run)
{
	unsigned n = run->world.opts.loops;

	for (unsigned i = 0; i < n; i++) {
		struct worker_slot *slot = &run->slots[i];
		slot->loop = loop_new();
		slot->worker = sink_worker_new(slot->loop, &run->world, i, slot->fds);
	}
	struct loop_signal *signals = loop_signal_new(run->slots[0].loop, on_signal, run);
	for (unsigned i = 1; i < n; i++)
		run->slots[i].thread = loop_thread_start("sink", run_loop, run->slots[i].loop);
	run_loop(run->slots[0].loop);
	for (unsigned i = 1; i < n; i++)
		loop_thread_join(&run->slots[i].thread);
	loop_signal_free(&signals);
}

static void
print_totals(const struct sink_options *o, const struct sink_totals *t)
{
	if (o->json) {
		printf("{\"messages\":%" PRIu64 ",\"recipients\":%" PRIu64 ",\"octets\":%" PRIu64
		       ",\"refused\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"connections\":%" PRIu64
		       "}\n",
		    t->messages, t->recipients, t->bytes, t->refused, t->dropped, t->connections);
	} else {
		printf("accepted %" PRIu64 " messages for %" PRIu64 " recipients (%" PRIu64
		       " octets); refused %" PRIu64 ", dropped %" PRIu64 "; %" PRIu64
		       " connections\n",
		    t->messages, t->recipients, t->bytes, t->refused, t->dropped, t->connections);
	}
	fflush(stdout);
}

/* Ends the workers and adds up what they did. */
static void
finish(struct sink_run *run)
{
	struct sink_totals sum = { 0 };

	for (unsigned i = 0; i < run->world.opts.loops; i++) {
		struct worker_slot *slot = &run->slots[i];
		const struct sink_totals *t = sink_worker_totals(slot->worker);
		sum.connections += t->connections;
		sum.messages += t->messages;
		sum.recipients += t->recipients;
		sum.bytes += t->bytes;
		sum.refused += t->refused;
		sum.dropped += t->dropped;
		sink_worker_free(&slot->worker);
		loop_free(&slot->loop);
	}
	print_totals(&run->world.opts, &sum);
}

static enum rc
prepare(struct sink_run *run, struct tls_ctx **tls_out, struct fault *f)
{
	struct sink_world *w = &run->world;
	enum rc rc = crypto_start(f);

	if (rc == RC_OK)
		rc = prepare_tls(&w->opts, tls_out, f);
	if (rc == RC_OK)
		rc = prepare_users(w, f);
	if (rc == RC_OK)
		rc = prepare_files(w, f);
	if (rc == RC_OK)
		rc = open_sockets(run, f);
	if (rc == RC_OK)
		w->server_opts = server_opts(&w->opts, *tls_out);
	return rc;
}

int
sink_main(int argc, char **argv)
{
	AUTO(tls_ctx_unref) struct tls_ctx *tls = NULL;
	struct sink_run run = { .world = { .count_fd = -1, .keep_fd = -1 } };
	struct fault f = { 0 };

	if (sink_options_parse(argc, argv, &run.world.opts, &f) != RC_OK) {
		fprintf(stderr, "posthouse sink: %s\n", f.text);
		return 2;
	}
	if (run.world.opts.help) {
		fputs(sink_options_help(), stdout);
		return 0;
	}
	loop_signal_block();
	run.slots = MEM_NEW_ARRAY(struct worker_slot, run.world.opts.loops);
	if (prepare(&run, &tls, &f) != RC_OK) {
		fprintf(stderr, "posthouse sink: %s\n", f.text);
		free(run.slots);
		return 1;
	}
	run_workers(&run);
	finish(&run);
	if (run.world.count_fd >= 0)
		close(run.world.count_fd);
	if (run.world.keep_fd >= 0)
		close(run.world.keep_fd);
	free(run.slots);
	return 0;
}
