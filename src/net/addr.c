/* Text and sockaddr to and from struct net_addr. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
#include "net/private.h"

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static_assert(NET_PATH_SIZE == sizeof(((struct sockaddr_un *)0)->sun_path), "a path fits");

/* ---- text ---- */

/* Sets family by what the 16 bytes are. */
static void
set_ip6(struct net_addr *a, const void *ip)
{
	memcpy(a->ip, ip, 16);
	a->family = memcmp(a->ip, mapped, sizeof(mapped)) == 0 ? NET_IP4 : NET_IP6;
}

static void
set_ip4(struct net_addr *a, const void *ip)
{
	memcpy(a->ip, mapped, sizeof(mapped));
	memcpy(a->ip + 12, ip, 4);
	a->family = NET_IP4;
}

bool
net_addr_from_ip(struct str text, uint16_t port, struct net_addr *out)
{
	char z[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	struct net_addr a = { .port = port };

	if (text.n >= sizeof(z) || str_has_byte(text, '\0'))
		return false;
	if (text.n != 0)
		memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, ip) == 1)
		set_ip4(&a, ip);
	else if (inet_pton(AF_INET6, z, ip) == 1)
		set_ip6(&a, ip);
	else
		return false;
	*out = a;
	return true;
}

static enum rc
parse_path(struct str text, struct net_addr *out, struct fault *f)
{
	struct net_addr a = { .family = NET_UNIX };

	if (str_has_byte(text, '\0'))
		return fault_set(f, RC_INVALID, "the path of a Unix socket holds a NUL byte");
	if (text.n >= sizeof(a.path))
		return fault_set(f, RC_INVALID, "the path of a Unix socket has at most %zu bytes",
		    sizeof(a.path) - 1);
	memcpy(a.path, text.p, text.n);
	*out = a;
	return RC_OK;
}

enum rc
net_addr_parse(struct str text, struct net_addr *out, struct fault *f)
{
	size_t colon = str_find_last(text, ':');
	struct str ip = str_sub(text, 0, colon);
	uint64_t port;

	if (text.n != 0 && text.p[0] == '/')
		return parse_path(text, out, f);
	if (colon == text.n)
		return fault_set(f, RC_INVALID,
		    "\"%.*s\" has no port: write ADDRESS:PORT, such as 127.0.0.1:2525",
		    STR_ARG(text));
	if (str_to_u64(str_skip(text, colon + 1), &port) != RC_OK || port > UINT16_MAX)
		return fault_set(f, RC_INVALID, "\"%.*s\" does not end with a port from 0 to 65535",
		    STR_ARG(text));
	if (ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = str_sub(ip, 1, ip.n - 2);
	else if (str_has_byte(ip, ':'))
		return fault_set(f, RC_INVALID,
		    "an IPv6 address stands in brackets before its port: [%.*s]", STR_ARG(ip));
	if (!net_addr_from_ip(ip, (uint16_t)port, out))
		return fault_set(f, RC_INVALID, "\"%.*s\" is not an IP address", STR_ARG(ip));
	return RC_OK;
}

void
net_addr_format_ip(const struct net_addr *a, char out[static NET_ADDR_TEXT_SIZE])
{
	const char *text = NULL;

	switch (a->family) {
	case NET_IP4: text = inet_ntop(AF_INET, a->ip + 12, out, NET_ADDR_TEXT_SIZE); break;
	case NET_IP6: text = inet_ntop(AF_INET6, a->ip, out, NET_ADDR_TEXT_SIZE); break;
	case NET_UNIX:
		snprintf(out, NET_ADDR_TEXT_SIZE, "%s", a->path[0] != '\0' ? a->path : "unix");
		return;
	case NET_NONE: snprintf(out, NET_ADDR_TEXT_SIZE, "none"); return;
	}
	ASSERT(text != NULL);
}

void
net_addr_format(const struct net_addr *a, char out[static NET_ADDR_TEXT_SIZE])
{
	size_t n;

	if (a->family == NET_IP6) {
		out[0] = '[';
		if (inet_ntop(AF_INET6, a->ip, out + 1, NET_ADDR_TEXT_SIZE - 1) == NULL)
			UNREACHABLE();
	} else {
		net_addr_format_ip(a, out);
	}
	n = strlen(out);
	if (a->family == NET_IP6)
		snprintf(out + n, NET_ADDR_TEXT_SIZE - n, "]:%u", (unsigned)a->port);
	else if (a->family == NET_IP4)
		snprintf(out + n, NET_ADDR_TEXT_SIZE - n, ":%u", (unsigned)a->port);
}

bool
net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
	if (a->family != b->family || a->port != b->port)
		return false;
	return a->family == NET_UNIX ? strcmp(a->path, b->path) == 0
				     : memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool
net_addr_is_loopback(const struct net_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	switch (a->family) {
	case NET_IP4: return a->ip[12] == 127;
	case NET_IP6: return memcmp(a->ip, one, sizeof(one)) == 0;
	case NET_UNIX: return true;
	case NET_NONE: return false;
	}
	UNREACHABLE();
}

/* ---- sockets ---- */

bool
net_addr_from_sockaddr(const struct sockaddr *sa, size_t n, struct net_addr *out)
{
	union sockaddr_any any = { 0 };
	struct net_addr a = { 0 };

	if (n < sizeof(sa_family_t))
		return false;
	memcpy(&any, sa, n < sizeof(any) ? n : sizeof(any));
	if (any.sa.sa_family == AF_INET && n >= sizeof(any.in)) {
		set_ip4(&a, &any.in.sin_addr);
		a.port = ntohs(any.in.sin_port);
	} else if (any.sa.sa_family == AF_INET6 && n >= sizeof(any.in6)) {
		set_ip6(&a, &any.in6.sin6_addr);
		a.port = ntohs(any.in6.sin6_port);
	} else if (any.sa.sa_family == AF_UNIX) {
		/* The kernel does not promise a NUL; an abstract name begins with one and counts as
		 * none. */
		a.family = NET_UNIX;
		memcpy(a.path, any.un.sun_path, sizeof(a.path) - 1);
	} else {
		return false;
	}
	*out = a;
	return true;
}

static socklen_t
to_sockaddr(const struct net_addr *a, union sockaddr_any *out)
{
	*out = (union sockaddr_any){ 0 };
	switch (a->family) {
	case NET_IP4:
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(a->port);
		memcpy(&out->in.sin_addr, a->ip + 12, 4);
		return sizeof(out->in);
	case NET_IP6:
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(a->port);
		memcpy(&out->in6.sin6_addr, a->ip, 16);
		return sizeof(out->in6);
	case NET_UNIX:
		out->un.sun_family = AF_UNIX;
		memcpy(out->un.sun_path, a->path, sizeof(out->un.sun_path));
		return sizeof(out->un);
	case NET_NONE: break;
	}
	UNREACHABLE();
}

int
net_addr_socket(const struct net_addr *a)
{
	static const int domains[] = {
		[NET_IP4] = AF_INET, [NET_IP6] = AF_INET6, [NET_UNIX] = AF_UNIX
	};

	ASSERT(a->family != NET_NONE);
	return socket(domains[a->family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

enum rc
net_addr_errno_rc(int sys_errno)
{
	return sys_errno == ECONNRESET || sys_errno == EPIPE ? RC_CLOSED : RC_IO;
}

int
net_addr_bind(int fd, const struct net_addr *a)
{
	union sockaddr_any any;
	socklen_t n = to_sockaddr(a, &any);

	return bind(fd, &any.sa, n);
}

int
net_addr_connect(int fd, const struct net_addr *a)
{
	union sockaddr_any any;
	socklen_t n = to_sockaddr(a, &any);

	return connect(fd, &any.sa, n);
}

int
net_addr_accept(int fd, struct net_addr *peer_out)
{
	union sockaddr_any any = { 0 };
	socklen_t n = sizeof(any);
	int got = accept4(fd, &any.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (got >= 0 && !net_addr_from_sockaddr(&any.sa, n, peer_out))
		*peer_out = (struct net_addr){ 0 };
	return got;
}

bool
net_addr_of_socket(int fd, struct net_addr *out)
{
	union sockaddr_any any = { 0 };
	socklen_t n = sizeof(any);

	return getsockname(fd, &any.sa, &n) == 0 && net_addr_from_sockaddr(&any.sa, n, out);
}

bool
net_addr_of_peer(int fd, struct net_addr *out)
{
	union sockaddr_any any = { 0 };
	socklen_t n = sizeof(any);

	return getpeername(fd, &any.sa, &n) == 0 && net_addr_from_sockaddr(&any.sa, n, out);
}
