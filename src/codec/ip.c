/* IP addresses and networks. */
#include "codec/ip.h"

#include "base/check.h"

/* Takes a decimal number of at most three digits, no leading zero, up to 255. */
static bool
take_octet(struct str *s, uint8_t *out)
{
	unsigned v = 0;
	size_t n = 0;

	while (n < s->n && n < 3 && ascii_is_digit(s->p[n]))
		v = v * 10 + (unsigned)(s->p[n++] - '0');
	if (n == 0 || v > 255 || (n > 1 && s->p[0] == '0'))
		return false;
	*s = str_skip(*s, n);
	*out = (uint8_t)v;
	return true;
}

static bool
parse_v4(struct str s, uint8_t out[4])
{
	for (size_t i = 0; i < 4; i++) {
		if (i > 0) {
			if (s.n == 0 || s.p[0] != '.')
				return false;
			s = str_skip(s, 1);
		}
		if (!take_octet(&s, &out[i]))
			return false;
	}
	return s.n == 0;
}

static int
hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one to four hexadecimal digits. */
static bool
take_group(struct str *s, uint8_t out[2])
{
	unsigned v = 0;
	size_t n = 0;

	while (n < s->n && n < 4 && hex_value(s->p[n]) >= 0)
		v = v * 16 + (unsigned)hex_value(s->p[n++]);
	if (n == 0)
		return false;
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	*s = str_skip(*s, n);
	return true;
}

/* Groups are written from the left; at "::" the place is marked, and in the end what came behind it
 * is moved to the right. */
static bool
parse_v6(struct str s, struct ip *out)
{
	struct ip ip = { 0 };
	size_t n = 0, gap = SIZE_MAX;

	if (str_starts(s, STR("::"))) {
		gap = 0;
		s = str_skip(s, 2);
	}
	while (s.n != 0) {
		if (n <= 12 && str_has_byte(s, '.') && !str_has_byte(s, ':')) {
			if (!parse_v4(s, ip.b + n))
				return false;
			n += 4;
			break;
		}
		if (n > 14 || !take_group(&s, ip.b + n))
			return false;
		n += 2;
		if (s.n == 0)
			break;
		if (str_starts(s, STR("::")) && gap == SIZE_MAX) {
			gap = n;
			s = str_skip(s, 2);
		} else if (s.p[0] == ':' && s.n > 1) {
			s = str_skip(s, 1);
		} else {
			return false;
		}
	}
	if (gap == SIZE_MAX ? n != 16 : n > 14)
		return false;
	if (gap != SIZE_MAX) {
		size_t moved = n - gap;
		memmove(ip.b + 16 - moved, ip.b + gap, moved);
		memset(ip.b + gap, 0, 16 - n);
	}
	*out = ip;
	return true;
}

struct ip
ip_from_v4(const uint8_t b[4])
{
	struct ip ip = { .b = { [10] = 0xff, [11] = 0xff } };

	memcpy(ip.b + 12, b, 4);
	return ip;
}

bool
ip_parse(struct str s, struct ip *out)
{
	uint8_t v4[4];

	if (str_has_byte(s, ':'))
		return parse_v6(s, out);
	if (!parse_v4(s, v4))
		return false;
	*out = ip_from_v4(v4);
	return true;
}

bool
ip_parse_literal(struct str s, struct ip *out)
{
	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = str_sub(s, 1, s.n - 2);
	if (str_starts_nocase(s, STR("IPv6:")))
		return parse_v6(str_skip(s, 5), out);
	return !str_has_byte(s, ':') && ip_parse(s, out);
}

bool
ip_is_v4(const struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip->b, mapped, sizeof(mapped)) == 0;
}

bool
ip_eq(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* The longest run of two or more zero groups, the first of equals: what "::" stands for. */
static size_t
find_zeros(const struct ip *ip, size_t *len_out)
{
	size_t best = 8, best_len = 1;

	for (size_t i = 0; i < 8; i++) {
		size_t n = 0;
		while (i + n < 8 && ip->b[2 * (i + n)] == 0 && ip->b[2 * (i + n) + 1] == 0)
			n++;
		if (n > best_len) {
			best = i;
			best_len = n;
		}
	}
	*len_out = best < 8 ? best_len : 0;
	return best;
}

struct str
ip_format(const struct ip *ip, char out[IP_TEXT_MAX])
{
	const uint8_t *b = ip->b;
	size_t n = 0, len, gap = find_zeros(ip, &len);

	if (ip_is_v4(ip)) {
		n = (size_t)snprintf(out, IP_TEXT_MAX, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
		return str_make(out, n);
	}
	for (size_t i = 0; i < 8; i++) {
		if (i == gap) {
			n += (size_t)snprintf(out + n, IP_TEXT_MAX - n, "::");
			i += len - 1;
			continue;
		}
		const char *colon = i > 0 && i != gap + len ? ":" : "";
		n += (size_t)snprintf(out + n, IP_TEXT_MAX - n, "%s%x", colon,
		    (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
	}
	ASSERT(n < IP_TEXT_MAX);
	return str_make(out, n);
}

struct str
ip_format_literal(const struct ip *ip, char out[IP_TEXT_MAX])
{
	char text[IP_TEXT_MAX];

	ip_format(ip, text);
	size_t n =
	    (size_t)snprintf(out, IP_TEXT_MAX, "[%s%.40s]", ip_is_v4(ip) ? "" : "IPv6:", text);
	ASSERT(n < IP_TEXT_MAX);
	return str_make(out, n);
}

bool
ip_in_cidr(const struct ip *ip, const struct cidr *net)
{
	size_t whole = net->bits / 8;
	unsigned rest = net->bits % 8;

	if (memcmp(ip->b, net->net.b, whole) != 0)
		return false;
	return rest == 0 || (ip->b[whole] ^ net->net.b[whole]) >> (8 - rest) == 0;
}

bool
ip_parse_cidr(struct str s, struct cidr *out, const char **why_out)
{
	size_t slash = str_find(s, '/');
	struct cidr c = { .bits = 128 };
	uint64_t bits = 128;

	if (!ip_parse(str_sub(s, 0, slash), &c.net)) {
		*why_out = "not an IP address";
		return false;
	}
	if (slash < s.n) {
		unsigned most = ip_is_v4(&c.net) ? 32 : 128;
		if (s.n - slash > 4 || str_to_u64(str_skip(s, slash + 1), &bits) != RC_OK ||
		    bits > most) {
			*why_out = "prefix length out of range";
			return false;
		}
		bits += 128 - most;
	}
	c.bits = (uint8_t)bits;
	for (size_t i = c.bits; i < 128; i++) {
		if ((c.net.b[i / 8] >> (7 - i % 8) & 1) != 0) {
			*why_out = "address has bits set behind its prefix";
			return false;
		}
	}
	*out = c;
	return true;
}

bool
ip_is_loopback(const struct ip *ip)
{
	static const struct ip one = { .b = { [15] = 1 } };

	return ip_is_v4(ip) ? ip->b[12] == 127 : ip_eq(ip, &one);
}

/* Not to be reached from elsewhere (the registries of RFC 6890). V4 rows have their bits counted
 * from there. */
static const struct {
	uint8_t net[4];
	uint8_t bits;
} special_v4[] = {
	{ { 0, 0, 0, 0 }, 8 },
	{ { 10, 0, 0, 0 }, 8 },
	{ { 100, 64, 0, 0 }, 10 },
	{ { 127, 0, 0, 0 }, 8 },
	{ { 169, 254, 0, 0 }, 16 },
	{ { 172, 16, 0, 0 }, 12 },
	{ { 192, 0, 0, 0 }, 24 },
	{ { 192, 0, 2, 0 }, 24 },
	{ { 192, 88, 99, 0 }, 24 },
	{ { 192, 168, 0, 0 }, 16 },
	{ { 198, 18, 0, 0 }, 15 },
	{ { 198, 51, 100, 0 }, 24 },
	{ { 203, 0, 113, 0 }, 24 },
	{ { 224, 0, 0, 0 }, 4 },
	{ { 240, 0, 0, 0 }, 4 },
};

static bool
is_public_v4(const uint8_t b[4])
{
	struct ip ip = ip_from_v4(b);

	for (size_t i = 0; i < COUNT_OF(special_v4); i++) {
		struct cidr net = { ip_from_v4(special_v4[i].net),
			(uint8_t)(96 + special_v4[i].bits) };
		if (ip_in_cidr(&ip, &net))
			return false;
	}
	return true;
}

bool
ip_is_public(const struct ip *ip)
{
	static const struct cidr nat64 = { { .b = { [1] = 0x64, [2] = 0xff, [3] = 0x9b } }, 96 };
	static const struct cidr six_to_four = { { .b = { 0x20, 0x02 } }, 16 };
	static const struct cidr global = { { .b = { 0x20 } }, 3 }; /* all that is given out */
	static const struct cidr special[] = {
		{ { .b = { 0x20, 0x01 } }, 23 },             /* protocol assignments, Teredo */
		{ { .b = { 0x20, 0x01, 0x0d, 0xb8 } }, 32 }, /* documentation */
		{ { .b = { 0x3f, 0xff } }, 20 },             /* documentation */
	};

	if (ip_is_v4(ip))
		return is_public_v4(ip->b + 12);
	if (ip_in_cidr(ip, &nat64))
		return is_public_v4(ip->b + 12);
	if (ip_in_cidr(ip, &six_to_four))
		return is_public_v4(ip->b + 2);
	for (size_t i = 0; i < COUNT_OF(special); i++) {
		if (ip_in_cidr(ip, &special[i]))
			return false;
	}
	return ip_in_cidr(ip, &global);
}
