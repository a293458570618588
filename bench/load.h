/* The load generator: what its parts share.
 *
 *	load --to ADDR:PORT [options]
 *
 * One thread sends (load_send), one more receives where asked to be the relay behind the server
 * that is measured (load_receive). Both know a message by its serial number, which travels in the
 * recipient's address, and note the moment they saw it in one table of marks. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum load_tls { LOAD_TLS_NONE, LOAD_TLS_STARTTLS, LOAD_TLS_IMPLICIT };

struct load_opts {
	struct sockaddr_in to;
	struct sockaddr_in receive; /* port 0: do not receive */
	enum load_tls tls;
	const char *user; /* NULL: no login */
	const char *password;
	const char *key; /* of the API: `POST /emails` instead of SMTP; NULL: SMTP */
	const char *from;
	const char *prefix; /* recipients are PREFIX<serial>@bench.example */
	const char *header; /* one more header line, or NULL */
	uint64_t connections;
	uint64_t per_connection; /* messages; 0: no limit */
	uint64_t messages;
	uint64_t rcpts;    /* per message */
	uint64_t size;     /* bytes of content, header included */
	double rate;       /* messages per second, open loop; 0: as fast as it goes */
	uint64_t behind;   /* stop once the receiver has got so many recipients that are not ours */
	uint64_t idle_s;   /* send nothing; hold connections open after EHLO for so long */
	uint64_t linger_s; /* how long to wait for what was accepted and has not arrived */
};

/* Moments in the life of a message, monotonic microseconds; 0: did not happen (yet). */
struct load_mark {
	int64_t due_us;             /* when it should have been sent */
	int64_t accepted_us;        /* 250 to its dot read */
	_Atomic int64_t arrived_us; /* its dot read by the receiver; written by that thread */
};

struct load {
	struct load_opts opts;
	struct load_mark *marks;    /* opts.messages of them, by serial */
	_Atomic uint64_t arrived;   /* marks with arrived_us set */
	_Atomic uint64_t repeated;  /* arrivals of a mark that had arrived */
	_Atomic uint64_t strangers; /* recipients received that are not ours */
	uint64_t begun; /* messages given to a connection; sender only, as is the rest */
	uint64_t accepted;
	uint64_t refused; /* replies other than those hoped for */
	uint64_t broken;  /* connections that ended early */
	uint64_t held;    /* connections open and greeted, for idle_s */
	int64_t began_us, ended_us;
};

static inline int64_t
load_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Ends the program with one sentence on standard error. */
_Noreturn void load_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
