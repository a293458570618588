/* For tests only: replies of a name server, and one that gives them on a loop. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/private.h"

#define DNS_WIRE_A     1
#define DNS_WIRE_CNAME 5
#define DNS_WIRE_SOA   6
#define DNS_WIRE_PTR   12
#define DNS_WIRE_MX    15
#define DNS_WIRE_TXT   16
#define DNS_WIRE_AAAA  28
#define DNS_WIRE_SRV   33
#define DNS_WIRE_TLSA  52

static inline void
dns_add_u16(struct buf *b, unsigned v)
{
	buf_add_byte(b, (char)(v >> 8));
	buf_add_byte(b, (char)v);
}

static inline void
dns_add_name(struct buf *b, const char *name)
{
	struct str rest = str_from(name), label;

	while (rest.n != 0 && str_cut(&rest, '.', &label)) {
		buf_add_byte(b, (char)label.n);
		buf_add(b, label);
	}
	buf_add_byte(b, '\0');
}

/* A record whose owner is the name of the question. */
static inline void
dns_add_rr(struct buf *b, unsigned type, unsigned ttl_s, struct str data)
{
	dns_add_u16(b, 0xc00c);
	dns_add_u16(b, type);
	dns_add_u16(b, 1);
	dns_add_u16(b, ttl_s >> 16);
	dns_add_u16(b, ttl_s);
	dns_add_u16(b, (unsigned)data.n);
	buf_add(b, data);
}

static inline void
dns_add_header(struct buf *b, unsigned id, unsigned rcode, unsigned answers, unsigned authorities)
{
	dns_add_u16(b, id);
	dns_add_u16(b, 0x8180 | rcode);
	dns_add_u16(b, 1);
	dns_add_u16(b, answers);
	dns_add_u16(b, authorities);
	dns_add_u16(b, 0);
}

/* An SOA of the root that lets negative answers live `minimum_s`. */
static inline void
dns_add_soa(struct buf *b, unsigned minimum_s)
{
	char data[22] = { 0 };

	data[18] = (char)(minimum_s >> 24);
	data[19] = (char)(minimum_s >> 16);
	data[20] = (char)(minimum_s >> 8);
	data[21] = (char)minimum_s;
	dns_add_rr(b, DNS_WIRE_SOA, 3600, str_make(data, sizeof(data)));
}

/* One record that the server has. `text`: an address; "10 host" for MX; "10 5 465 host" for SRV;
 * "3 1 1 data" for TLSA; strings split by '|' for TXT. */
struct dns_row {
	const char *name;
	unsigned type;
	unsigned ttl_s;
	const char *text;
};

/* Answers from `rows` (ended by a NULL name); names that begin with "silent" get no answer,
 * "broken" a SERVFAIL; other names do not exist, for seven seconds. */
struct dns_server {
	struct loop *loop;
	const struct dns_row *rows;
	int fd;
	struct loop_watch watch;
	unsigned asked;
	char servers[64]; /* for resolver_opts */
};

static inline void
dns_add_row(struct buf *b, const struct dns_row *row)
{
	struct buf data;
	struct net_addr a;
	struct str rest = str_from(row->text), part;
	uint64_t n = 0;

	buf_init(&data, 4096);
	switch (row->type) {
	case DNS_WIRE_A:
	case DNS_WIRE_AAAA:
		if (!net_addr_from_ip(rest, 0, &a))
			UNREACHABLE();
		buf_add(&data, row->type == DNS_WIRE_A ? str_make((char *)a.ip + 12, 4)
						       : str_make((char *)a.ip, 16));
		break;
	case DNS_WIRE_MX:
	case DNS_WIRE_SRV:
		for (unsigned i = 0; i < (row->type == DNS_WIRE_MX ? 1 : 3); i++) {
			if (!str_cut(&rest, ' ', &part) || str_to_u64(part, &n) != RC_OK)
				UNREACHABLE();
			dns_add_u16(&data, (unsigned)n);
		}
		dns_add_name(&data, rest.p);
		break;
	case DNS_WIRE_TLSA:
		for (unsigned i = 0; i < 3; i++) {
			if (!str_cut(&rest, ' ', &part) || str_to_u64(part, &n) != RC_OK)
				UNREACHABLE();
			buf_add_byte(&data, (char)n);
		}
		buf_add(&data, rest);
		break;
	case DNS_WIRE_TXT:
		while (str_cut(&rest, '|', &part)) {
			buf_add_byte(&data, (char)part.n);
			buf_add(&data, part);
		}
		break;
	default: dns_add_name(&data, row->text); break;
	}
	dns_add_rr(b, row->type, row->ttl_s, buf_str(&data));
	buf_done(&data);
}

/* The name of the question as text, and where the question ends. */
static inline size_t
dns_read_question(const unsigned char *q, char *name)
{
	size_t at = 12, n = 0;

	while (q[at] != 0) {
		if (n != 0)
			name[n++] = '.';
		for (unsigned i = 1; i <= q[at]; i++)
			name[n++] = ascii_lower((char)q[at + i]);
		at += q[at] + 1u;
	}
	name[n] = '\0';
	return at + 5;
}

static void
dns_on_question(void *arg, unsigned what)
{
	struct dns_server *s = arg;
	unsigned char q[512] = { 0 };
	char name[256];
	struct sockaddr_storage from;
	socklen_t from_n = sizeof(from);
	struct buf b, rrs;
	unsigned count = 0;
	bool exists = false;

	(void)what;
	if (recvfrom(s->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_n) < 12)
		return;
	s->asked++;
	size_t end = dns_read_question(q, name);
	unsigned type = (unsigned)q[end - 4] << 8 | q[end - 3];
	if (strncmp(name, "silent", 6) == 0)
		return;
	buf_init(&b, 4096);
	buf_init(&rrs, 4096);
	for (const struct dns_row *r = s->rows; r->name != NULL; r++) {
		if (strcmp(r->name, name) != 0)
			continue;
		exists = true;
		if (r->type == type) {
			dns_add_row(&rrs, r);
			count++;
		}
	}
	if (count == 0)
		dns_add_soa(&rrs, 7);
	unsigned rcode = strncmp(name, "broken", 6) == 0 ? 2 : exists ? 0 : 3;
	dns_add_header(&b, (unsigned)q[0] << 8 | q[1], rcode, count, count == 0 ? 1 : 0);
	buf_add(&b, str_make((char *)q + 12, end - 12));
	buf_add(&b, buf_str(&rrs));
	(void)sendto(s->fd, buf_str(&b).p, buf_len(&b), 0, (struct sockaddr *)&from, from_n);
	buf_done(&b);
	buf_done(&rrs);
}

static inline void
dns_server_init(struct dns_server *s, struct loop *loop, const struct dns_row *rows)
{
	struct net_addr at;

	*s = (struct dns_server){ .loop = loop, .rows = rows };
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (net_addr_parse(STR("127.0.0.1:0"), &at, NULL) != RC_OK ||
	    net_addr_bind(s->fd, &at) != 0 || !net_addr_of_socket(s->fd, &at))
		UNREACHABLE();
	snprintf(s->servers, sizeof(s->servers), "127.0.0.1:%u", (unsigned)at.port);
	loop_watch_init(&s->watch, loop, s->fd, dns_on_question, s);
	loop_watch_set(&s->watch, LOOP_READ);
}

static inline void
dns_server_done(struct dns_server *s)
{
	loop_watch_done(&s->watch);
	close(s->fd);
}
