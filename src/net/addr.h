/* Addresses of sockets as values: IPv4, IPv6, or a path in the file system.
 *
 * The text forms are "192.0.2.1:25", "[2001:db8::1]:25" and, for a Unix socket, an absolute path.
 * Values compare and copy freely. The system's sockaddr is met in addr.c only.
 * LIMITS: no IPv6 zones (fe80::1%eth0), no abstract Unix names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"

enum net_family { NET_NONE, NET_IP4, NET_IP6, NET_UNIX };

#define NET_PATH_SIZE 108

struct net_addr {
	enum net_family family;
	uint16_t port;            /* host order; 0 for NET_UNIX */
	uint8_t ip[16];           /* network order; IPv4 as ::ffff:a.b.c.d */
	char path[NET_PATH_SIZE]; /* NET_UNIX: absolute, NUL-terminated; "" for an unnamed peer */
};

/* Room for any address as text, NUL included. */
#define NET_ADDR_TEXT_SIZE 112

/* An IPv4 or IPv6 literal, without brackets; false when `text` is none. */
bool net_addr_from_ip(struct str text, uint16_t port, struct net_addr *out);
/* One of the three text forms, port included. RC_INVALID with a fault that says what is missing. */
enum rc net_addr_parse(struct str text, struct net_addr *out, struct fault *f);
/* The text form with port. */
void net_addr_format(const struct net_addr *a, char out[static NET_ADDR_TEXT_SIZE]);
/* Without port and brackets: "192.0.2.1", "2001:db8::1", or the path. */
void net_addr_format_ip(const struct net_addr *a, char out[static NET_ADDR_TEXT_SIZE]);

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b);
/* 127.0.0.0/8, ::1, and any Unix socket. */
bool net_addr_is_loopback(const struct net_addr *a);
