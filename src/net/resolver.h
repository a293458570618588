/* Names to records: the system's DNS configuration and /etc/hosts, with a cache of our own.
 *
 * One resolver a loop. Answers live as long as their TTL (at most an hour), names that do not exist
 * as long as the zone says (at most five minutes); failures are never kept. Lookups of one name
 * that run at the same time share one query. Loop thread only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"

struct resolver;
struct lookup;

enum dns_type { DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_PTR, DNS_SRV, DNS_CNAME, DNS_TLSA };
#define DNS_TYPE_COUNT 8

struct dns_record {
	struct net_addr addr; /* A, AAAA; port 0 */
	uint16_t preference;  /* MX; SRV: its priority */
	uint16_t weight;      /* SRV */
	uint16_t port;        /* SRV */
	uint8_t tlsa[3];      /* TLSA: usage, selector, matching type (RFC 6698 §2.1) */
	struct str text;      /* MX, PTR, SRV, CNAME: host name without a final dot ("" for the null
				 MX, and for a service that is not there); TXT: its strings joined;
				 TLSA: the data, any bytes */
};

struct dns_answer {
	enum rc rc; /* RC_OK: at least one record. RC_NOT_FOUND: the name, or this type of it, does
		       not exist: final. RC_DNS: no usable answer, try later. RC_TIMEOUT.
		       RC_INVALID: no name */
	bool name_exists; /* RC_NOT_FOUND: only the type is missing */
	bool is_secure;   /* every server asked is on loopback and says that it validated this (AD);
			     never for A and AAAA */
	const struct dns_record *records; /* MX and SRV by preference (SRV then by weight, the
					     heaviest first), others as they came */
	size_t count;
	struct str canonical; /* A, AAAA: the name at the end of the aliases (CNAME); empty: none */
	int64_t ttl_us;       /* how long it may be kept from now */
	struct fault fault;   /* when not RC_OK: one sentence */
};

/* Exactly once, from the loop. The answer is valid during the call. */
typedef void lookup_fn(void *arg, const struct dns_answer *answer);

struct resolver_opts {
	const char *servers; /* "192.0.2.1,192.0.2.2:5353"; NULL: the system's */
	size_t max_entries;  /* of the cache; 0: 4096 */
};

/* RC_DNS when the configuration cannot be read. `opts` may be NULL. */
enum rc resolver_new(
    struct loop *loop, const struct resolver_opts *opts, struct resolver **out, struct fault *f);
/* Lookups still running are cancelled, their handles are gone. */
void resolver_free(struct resolver **r);

/* Looks `name` up; PTR takes an IP literal. Fails with RC_TIMEOUT after `timeout_us`. The handle is
 * valid until the callback begins. */
struct lookup *resolver_lookup(struct resolver *r, enum dns_type type, struct str name,
    int64_t timeout_us, lookup_fn *on_answer, void *arg);
/* No callback from now on. Takes NULL, nulls the pointer. */
void resolver_cancel(struct lookup **l);
/* Forgets everything cached. */
void resolver_clear(struct resolver *r);

/* "A", "MX". */
const char *resolver_type_name(enum dns_type type);
