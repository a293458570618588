/* One thread, one epoll, no policy: each command is answered yes. A message's recipients are
 * remembered until its dot; then those of ours get their mark, the others are counted. */
#include "load_receive.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "load_wire.h"

#define RCPTS_MAX 1000

struct peer {
	struct load_wire wire;
	bool in_data;
	size_t n_ours, n_strangers;
	uint64_t ours[RCPTS_MAX];
};

struct receiver {
	struct load *load;
	int listen_fd;
	int epoll;
};

/* RCPT TO:<PREFIX123@...> */
static void
note_rcpt(struct load *load, struct peer *p, const char *line)
{
	const char *at = strchr(line, '<');
	size_t n = strlen(load->opts.prefix);

	if (at != NULL && strncmp(at + 1, load->opts.prefix, n) == 0) {
		char *end;
		uint64_t serial = strtoull(at + 1 + n, &end, 10);
		if (end != at + 1 + n && *end == '@' && serial < load->opts.messages &&
		    p->n_ours < RCPTS_MAX) {
			p->ours[p->n_ours++] = serial;
			return;
		}
	}
	p->n_strangers++;
}

static void
mark(struct load *load, struct peer *p)
{
	int64_t now = load_now_us();

	for (size_t i = 0; i < p->n_ours; i++) {
		struct load_mark *m = &load->marks[p->ours[i]];
		if (atomic_load(&m->arrived_us) == 0) {
			atomic_store(&m->arrived_us, now);
			atomic_fetch_add(&load->arrived, 1);
		} else {
			atomic_fetch_add(&load->repeated, 1);
		}
	}
	if (p->n_strangers > 0)
		atomic_fetch_add(&load->strangers, p->n_strangers);
	p->n_ours = p->n_strangers = 0;
}

static void
say(struct peer *p, const char *text)
{
	load_buf_add(&p->wire.out, text, strlen(text));
}

/* False: the peer said QUIT. */
static bool
command(struct load *load, struct peer *p, const char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0) {
		say(p, "250-bench.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n");
	} else if (strncasecmp(line, "RCPT", 4) == 0) {
		note_rcpt(load, p, line);
		say(p, "250 2.1.5 ok\r\n");
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		p->in_data = true;
		say(p, "354 go on\r\n");
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say(p, "221 2.0.0 bye\r\n");
		return false;
	} else {
		say(p, "250 2.0.0 ok\r\n");
		p->n_ours = p->n_strangers = 0;
	}
	return true;
}

/* Takes content up to and with the line of one dot. False: the dot is not there yet. */
static bool
content(struct load *load, struct peer *p)
{
	char *line;

	while ((line = load_buf_line(&p->wire.in)) != NULL) {
		if (line[0] != '.' || line[1] != 0)
			continue;
		p->in_data = false;
		mark(load, p);
		say(p, "250 2.0.0 taken\r\n");
		return true;
	}
	return false;
}

/* False: the connection is over. */
static bool
serve(struct load *load, struct peer *p)
{
	char *line;
	bool goes_on = load_wire_read(&p->wire);

	while (goes_on) {
		if (p->in_data) {
			if (!content(load, p))
				break;
			continue;
		}
		if ((line = load_buf_line(&p->wire.in)) == NULL)
			break;
		goes_on = command(load, p, line);
	}
	return load_wire_flush(&p->wire, p) && goes_on;
}

static void
greet_all(struct receiver *r)
{
	int fd;

	while ((fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *p = calloc(1, sizeof(*p));
		if (p == NULL)
			load_die("out of memory");
		load_wire_init(&p->wire, fd, r->epoll, p);
		say(p, "220 bench.example ESMTP\r\n");
	}
}

static void *
run(void *arg)
{
	struct receiver *r = arg;
	struct epoll_event evs[64];

	for (;;) {
		int n = epoll_wait(r->epoll, evs, 64, -1);
		for (int i = 0; i < n; i++) {
			struct peer *p = evs[i].data.ptr;
			if (p == NULL) {
				greet_all(r);
			} else if (!serve(r->load, p)) {
				load_wire_done(&p->wire);
				free(p);
			}
		}
	}
	return NULL;
}

void
load_receive_start(struct load *load)
{
	static struct receiver r;
	struct epoll_event ev = { .events = EPOLLIN };
	struct sockaddr_in at = load->opts.receive;
	int one = 1;
	pthread_t thread;

	r.load = load;
	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	r.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(r.listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (r.listen_fd < 0 || bind(r.listen_fd, (struct sockaddr *)(void *)&at, sizeof(at)) != 0 ||
	    listen(r.listen_fd, 1024) != 0)
		load_die("cannot listen: %s", strerror(errno));
	if (epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.listen_fd, &ev) != 0 ||
	    pthread_create(&thread, NULL, run, &r) != 0)
		load_die("cannot start the receiver: %s", strerror(errno));
	pthread_detach(thread);
}
