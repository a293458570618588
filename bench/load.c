/* An SMTP load generator: as fast as it goes, or at a rate that nothing slows.
 *
 * It does what smtp-source does, and three things that one cannot: TLS and logins, sending by the
 * clock, and telling how long each message took to come out at the other end. Figures go to
 * standard output as one line of JSON. See usage() for the options. */
#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load_receive.h"
#include "load_send.h"

void
load_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "load: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	_exit(1);
}

/* ---- figures ---- */

static int
compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
print_spread(const char *name, int64_t *v, size_t n)
{
	printf(", \"%s\": {\"n\": %zu", name, n);
	if (n > 0) {
		qsort(v, n, sizeof(*v), compare);
		printf(
		    ", \"p50\": %lld, \"p90\": %lld, \"p99\": %lld, \"p999\": %lld, \"max\": %lld",
		    (long long)v[n / 2], (long long)v[n * 90 / 100], (long long)v[n * 99 / 100],
		    (long long)v[n * 999 / 1000], (long long)v[n - 1]);
	}
	printf("}");
}

/* Three spreads: due to 250, 250 to arrived, due to arrived. A message can arrive before its 250 is
 * read; that counts as 0. */
static void
print_latencies(struct load *l)
{
	int64_t *accept = calloc(3 * l->begun + 1, sizeof(*accept));
	int64_t *carry = accept + l->begun, *whole = carry + l->begun;
	size_t n_accept = 0, n_arrived = 0;

	if (accept == NULL)
		load_die("out of memory");
	for (uint64_t i = 0; i < l->begun; i++) {
		const struct load_mark *m = &l->marks[i];
		int64_t arrived = atomic_load(&m->arrived_us);
		if (m->accepted_us == 0)
			continue;
		accept[n_accept++] = m->accepted_us - m->due_us;
		if (arrived == 0)
			continue;
		carry[n_arrived] = arrived > m->accepted_us ? arrived - m->accepted_us : 0;
		whole[n_arrived++] = arrived - m->due_us;
	}
	print_spread("accept_us", accept, n_accept);
	if (l->opts.receive.sin_port != 0) {
		print_spread("accepted_to_arrived_us", carry, n_arrived);
		print_spread("due_to_arrived_us", whole, n_arrived);
	}
	free(accept);
}

static void
report(struct load *l, int64_t drained_us)
{
	double seconds = (double)(l->ended_us - l->began_us) / 1e6;
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	printf("{\"begun\": %llu, \"accepted\": %llu, \"refused\": %llu, \"broken\": %llu, "
	       "\"seconds\": %.3f, \"rate\": %.1f, \"cpu_s\": %.3f",
	    (unsigned long long)l->begun, (unsigned long long)l->accepted,
	    (unsigned long long)l->refused, (unsigned long long)l->broken, seconds,
	    (double)l->accepted / seconds,
	    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
		(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	if (l->opts.receive.sin_port != 0)
		printf(", \"arrived\": %llu, \"repeated\": %llu, \"others\": %llu, "
		       "\"drained_s\": %.3f",
		    (unsigned long long)atomic_load(&l->arrived),
		    (unsigned long long)atomic_load(&l->repeated),
		    (unsigned long long)atomic_load(&l->strangers),
		    (double)(drained_us - l->began_us) / 1e6);
	if (l->opts.idle_s == 0)
		print_latencies(l);
	printf("}\n");
}

/* ---- the command line ---- */

_Noreturn static void
usage(int status)
{
	fprintf(status == 0 ? stdout : stderr,
	    "usage: load --to ADDR:PORT [options]\n"
	    "  --messages N          how many (1000)\n"
	    "  --connections N       at a time (50)\n"
	    "  --per-connection N    messages before QUIT; 0: no limit (0)\n"
	    "  --size BYTES          of each message (4096)\n"
	    "  --rcpts N             of each message (1)\n"
	    "  --rate R              messages per second whatever the server does; 0: no pause (0)\n"
	    "  --tls none|starttls|implicit\n"
	    "  --user U              with the password in $LOAD_PASSWORD\n"
	    "  --http                POST /emails instead of SMTP, with the key in $LOAD_KEY\n"
	    "  --from ADDRESS, --prefix P, --header 'NAME: VALUE'\n"
	    "  --receive ADDR:PORT   be the relay behind the server, and time what arrives\n"
	    "  --behind N            stop when N recipients of other messages have arrived\n"
	    "  --linger S            wait so long for what was accepted to arrive (10)\n"
	    "  --idle S              send nothing, hold the connections open\n");
	exit(status);
}

static struct sockaddr_in
parse_addr(const char *text)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':');
	char host[64];

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		usage(2);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1 || sin.sin_port == 0)
		usage(2);
	return sin;
}

static enum load_tls
parse_tls(const char *text)
{
	if (strcmp(text, "none") == 0)
		return LOAD_TLS_NONE;
	if (strcmp(text, "starttls") == 0)
		return LOAD_TLS_STARTTLS;
	if (strcmp(text, "implicit") != 0)
		usage(2);
	return LOAD_TLS_IMPLICIT;
}

static void
parse(int argc, char **argv, struct load_opts *o)
{
	static const char *const names[] = { "to", "receive", "tls", "user", "from", "prefix",
		"header", "rate", "messages", "connections", "per-connection", "size", "rcpts",
		"linger", "idle", "behind", NULL };
	uint64_t *numbers[] = { &o->messages, &o->connections, &o->per_connection, &o->size,
		&o->rcpts, &o->linger_s, &o->idle_s, &o->behind };
	const char **texts[] = { &o->user, &o->from, &o->prefix, &o->header };
	struct option table[sizeof(names) / sizeof(names[0]) + 1] = { 0 };
	int c;

	for (int i = 0; names[i] != NULL; i++)
		table[i] = (struct option){ names[i], required_argument, NULL, i };
	table[sizeof(names) / sizeof(names[0]) - 1] =
	    (struct option){ "http", no_argument, NULL, 'h' };
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == '?')
			usage(2);
		else if (c == 'h')
			o->key = getenv("LOAD_KEY") != NULL ? getenv("LOAD_KEY") : "";
		else if (c == 0)
			o->to = parse_addr(optarg);
		else if (c == 1)
			o->receive = parse_addr(optarg);
		else if (c == 2)
			o->tls = parse_tls(optarg);
		else if (c <= 6)
			*texts[c - 3] = optarg;
		else if (c == 7)
			o->rate = strtod(optarg, NULL);
		else
			*numbers[c - 8] = strtoull(optarg, NULL, 10);
	}
	if (optind != argc || o->to.sin_port == 0 || o->connections == 0 || o->rcpts == 0)
		usage(2);
	o->password = getenv("LOAD_PASSWORD");
	if (o->user != NULL && o->password == NULL)
		load_die("--user needs the password in LOAD_PASSWORD");
}

static void
raise_fd_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

int
main(int argc, char **argv)
{
	static struct load load = { .opts = { .messages = 1000,
					.connections = 50,
					.size = 4096,
					.rcpts = 1,
					.linger_s = 10,
					.from = "load@bench.example",
					.prefix = "r" } };

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		usage(0);
	parse(argc, argv, &load.opts);
	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	load.marks = calloc(load.opts.messages + 1, sizeof(*load.marks));
	if (load.marks == NULL)
		load_die("out of memory");
	if (load.opts.receive.sin_port != 0)
		load_receive_start(&load);
	load_send_run(&load);
	int64_t until = load_now_us() + (int64_t)load.opts.linger_s * 1000000;
	while (load.opts.receive.sin_port != 0 && atomic_load(&load.arrived) < load.accepted &&
	       load_now_us() < until)
		usleep(2000);
	report(&load, load_now_us());
	return 0;
}
