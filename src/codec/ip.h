/* IP addresses and networks as values.
 *
 * An address is 16 bytes; IPv4 is kept in its mapped form (::ffff:a.b.c.d), so that one comparison,
 * one hash and one network test serve both. No zones, no name service. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct ip {
	uint8_t b[16];
};

/* Addresses that share their first `bits` bits with `net`; the others of `net` are 0. */
struct cidr {
	struct ip net;
	uint8_t bits; /* 0..128, of the 16-byte form: 10.0.0.0/8 has 104 */
};

#define IP_TEXT_MAX 48u /* longest text of an address or literal, with NUL */

/* "192.0.2.1" (four decimal numbers, no leading zeros) or an IPv6 address (RFC 4291 §2.2). */
NODISCARD bool ip_parse(struct str s, struct ip *out);
/* An address literal of SMTP: "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3). */
NODISCARD bool ip_parse_literal(struct str s, struct ip *out);

/* Shortest text (RFC 5952), with NUL; returns its view. */
struct str ip_format(const struct ip *ip, char out[IP_TEXT_MAX]);
struct str ip_format_literal(const struct ip *ip, char out[IP_TEXT_MAX]);

struct ip ip_from_v4(const uint8_t b[4]);
bool ip_is_v4(const struct ip *ip);
bool ip_eq(const struct ip *a, const struct ip *b);
/* 127.0.0.0/8 and ::1. */
bool ip_is_loopback(const struct ip *ip);
/* Reachable by anybody: not loopback, private, link-local, shared, multicast, documentation,
 * unspecified or otherwise reserved (RFC 6890). IPv4 inside NAT64 and 6to4 counts as what is
 * inside. */
bool ip_is_public(const struct ip *ip);

/* "10.0.0.0/8", "2001:db8::/32", or an address alone for just that one. False, with a few words in
 * *why_out, also when bits behind the prefix are set: "10.0.0.1/8" is more likely a slip than a
 * wish. */
NODISCARD bool ip_parse_cidr(struct str s, struct cidr *out, const char **why_out);
bool ip_in_cidr(const struct ip *ip, const struct cidr *net);
