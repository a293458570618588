/* Reading DNS replies (RFC 1035 §4): header, questions to skip, answers, and the SOA of a negative
 * reply.
 *
 * c-ares parses MX and TXT too, but without their TTLs. A cursor walks the message; it can only
 * move forward, and once it would leave the message it stays broken and everything read from it is
 * zero, so that errors are looked at once. Compression pointers must point before themselves, which
 * bounds them. Names with bytes that no host name has are not taken over: that record is left out.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/private.h"

#define TTL_MAX_US          HOURS(1)
#define TTL_MIN_US          SECONDS(1)
#define NEGATIVE_TTL_MAX_US MINUTES(5)
#define RECORDS_MAX         256
#define NAME_MAX_BYTES      255

#define TYPE_CNAME          5
#define TYPE_SOA            6
#define TYPE_PTR            12
#define TYPE_MX             15
#define TYPE_TXT            16
#define TYPE_SRV            33
#define TYPE_TLSA           52
#define CLASS_IN            1
#define FLAG_AD             0x20u

struct cursor {
	struct str msg;
	size_t at;
	bool is_broken;
};

struct rr {
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	size_t data_at;
	size_t data_end;
};

static bool
has(struct cursor *c, size_t n)
{
	if (c->is_broken || c->msg.n - c->at < n)
		c->is_broken = true;
	return !c->is_broken;
}

static unsigned
take_u8(struct cursor *c)
{
	return has(c, 1) ? (unsigned char)c->msg.p[c->at++] : 0;
}

static uint16_t
take_u16(struct cursor *c)
{
	unsigned high = take_u8(c);

	return (uint16_t)(high << 8 | take_u8(c));
}

static uint32_t
take_u32(struct cursor *c)
{
	uint32_t high = take_u16(c);

	return high << 16 | take_u16(c);
}

static void
skip(struct cursor *c, size_t n)
{
	if (has(c, n))
		c->at += n;
}

static void
skip_name(struct cursor *c)
{
	for (;;) {
		unsigned n = take_u8(c);
		if (c->is_broken || n == 0)
			return;
		if (n >= 0xc0) {
			skip(c, 1);
			return;
		}
		skip(c, n);
	}
}

/* The name at the cursor as text with dots, without the last; false when it is broken or no host
 * name. */
static bool
take_name(struct cursor *c, struct buf *out)
{
	struct cursor at = *c;
	size_t lowest = c->at;

	skip_name(c);
	for (;;) {
		unsigned n = take_u8(&at);
		if (at.is_broken)
			return false;
		if (n == 0)
			return buf_is_ok(out);
		if (n >= 0xc0) {
			size_t to = (size_t)(n & 0x3f) << 8 | take_u8(&at);
			if (at.is_broken || to >= lowest)
				return false;
			at.at = lowest = to;
			continue;
		}
		if (n > 63 || !has(&at, n))
			return false;
		if (buf_len(out) != 0)
			buf_add_byte(out, '.');
		for (unsigned i = 0; i < n; i++) {
			char b = (char)take_u8(&at);
			if (!ascii_is_alnum(b) && b != '-' && b != '_')
				return false;
			buf_add_byte(out, b);
		}
	}
}

static struct rr
take_rr(struct cursor *c)
{
	struct rr rr = { 0 };

	skip_name(c);
	rr.type = take_u16(c);
	rr.class = take_u16(c);
	rr.ttl_s = take_u32(c);
	size_t n = take_u16(c);
	rr.data_at = c->at;
	skip(c, n);
	rr.data_end = c->at;
	/* RFC 2181 §8: with the top bit set it is zero. */
	if (rr.ttl_s > INT32_MAX)
		rr.ttl_s = 0;
	return rr;
}

/* The strings of a TXT record, joined (RFC 7208 §3.3). */
static bool
read_txt(struct cursor d, size_t end, struct arena *a, struct dns_record *out)
{
	char *p = arena_zalloc(a, end - d.at + 1);
	size_t len = 0;

	while (d.at < end) {
		unsigned n = take_u8(&d);
		if (n > end - d.at)
			return false;
		if (n != 0)
			memcpy(p + len, d.msg.p + d.at, n);
		len += n;
		skip(&d, n);
	}
	out->text = str_make(p, len);
	return true;
}

static bool
read_host(struct cursor d, size_t end, struct arena *a, struct dns_record *out)
{
	struct buf name;
	bool ok;

	buf_init(&name, NAME_MAX_BYTES);
	ok = take_name(&d, &name) && d.at == end;
	if (ok)
		out->text = arena_str(a, buf_str(&name));
	buf_done(&name);
	return ok;
}

static bool
read_tlsa(struct cursor d, size_t end, struct arena *a, struct dns_record *out)
{
	for (size_t i = 0; i < COUNT_OF(out->tlsa); i++)
		out->tlsa[i] = (uint8_t)take_u8(&d);
	if (d.is_broken || d.at >= end)
		return false;
	out->text = arena_str(a, str_make(d.msg.p + d.at, end - d.at));
	return true;
}

static bool
read_record(struct cursor c, const struct rr *rr, enum dns_type type, struct arena *a,
    struct dns_record *out)
{
	struct cursor d = { .msg = c.msg, .at = rr->data_at };

	switch (type) {
	case DNS_TXT: return read_txt(d, rr->data_end, a, out);
	case DNS_MX: out->preference = take_u16(&d); FALLTHROUGH;
	case DNS_PTR:
	case DNS_CNAME: return read_host(d, rr->data_end, a, out);
	case DNS_SRV:
		out->preference = take_u16(&d);
		out->weight = take_u16(&d);
		out->port = take_u16(&d);
		return read_host(d, rr->data_end, a, out);
	case DNS_TLSA: return read_tlsa(d, rr->data_end, a, out);
	case DNS_A:
	case DNS_AAAA: break;
	}
	UNREACHABLE();
}

static int64_t
clamp(int64_t us, int64_t max_us)
{
	if (us < TTL_MIN_US)
		return TTL_MIN_US;
	return us < max_us ? us : max_us;
}

/* How long "there is none" may be believed: RFC 2308 §5. */
static int64_t
negative_ttl_us(struct cursor *c, unsigned authority_count)
{
	for (unsigned i = 0; i < authority_count; i++) {
		struct rr rr = take_rr(c);
		if (c->is_broken)
			break;
		if (rr.type != TYPE_SOA || rr.data_end - rr.data_at < 4)
			continue;
		struct cursor last = { .msg = c->msg, .at = rr.data_end - 4 };
		uint32_t minimum_s = take_u32(&last);
		return clamp(
		    SECONDS(minimum_s < rr.ttl_s ? minimum_s : rr.ttl_s), NEGATIVE_TTL_MAX_US);
	}
	return SECONDS(60);
}

static bool
comes_before(const struct dns_record *x, const struct dns_record *y)
{
	return x->preference != y->preference ? x->preference < y->preference
					      : x->weight > y->weight;
}

/* Records that are alike keep the order in which they came. */
static void
sort_hosts(struct dns_record *records, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct dns_record r = records[i];
		size_t at = i;
		for (; at > 0 && comes_before(&r, &records[at - 1]); at--)
			records[at] = records[at - 1];
		records[at] = r;
	}
}

void
dns_message_parse(struct str msg, enum dns_type type, struct arena *a, struct dns_answer *out)
{
	static const uint16_t types[] = {
		[DNS_MX] = TYPE_MX,
		[DNS_TXT] = TYPE_TXT,
		[DNS_PTR] = TYPE_PTR,
		[DNS_SRV] = TYPE_SRV,
		[DNS_CNAME] = TYPE_CNAME,
		[DNS_TLSA] = TYPE_TLSA,
	};
	struct cursor c = { .msg = msg };
	int64_t ttl_us = TTL_MAX_US;

	ASSERT(type < COUNT_OF(types) && types[type] != 0);
	*out = (struct dns_answer){ .rc = RC_DNS };
	skip(&c, 3);
	unsigned flags = take_u8(&c), rcode = flags & 0x0f;
	unsigned questions = take_u16(&c), answers = take_u16(&c), authorities = take_u16(&c);
	skip(&c, 2);
	if (c.is_broken || (rcode != 0 && rcode != 3))
		return;
	for (unsigned i = 0; i < questions; i++) {
		skip_name(&c);
		skip(&c, 4);
	}
	size_t room = answers < RECORDS_MAX ? answers : RECORDS_MAX, count = 0;
	struct dns_record *records = ARENA_NEW_ARRAY(a, struct dns_record, room);
	for (unsigned i = 0; i < answers; i++) {
		struct rr rr = take_rr(&c);
		if (c.is_broken)
			return;
		/* The names on the way (CNAME) limit how long the whole may be kept. */
		ttl_us = clamp(SECONDS(rr.ttl_s), ttl_us);
		if (rr.type == types[type] && rr.class == CLASS_IN && count < room &&
		    read_record(c, &rr, type, a, &records[count]))
			count++;
	}
	if (c.is_broken)
		return;
	if (type == DNS_MX || type == DNS_SRV)
		sort_hosts(records, count);
	out->records = records;
	out->count = count;
	out->name_exists = rcode == 0;
	out->is_secure = (flags & FLAG_AD) != 0;
	out->rc = count != 0 ? RC_OK : RC_NOT_FOUND;
	out->ttl_us = count != 0 ? ttl_us : negative_ttl_us(&c, authorities);
}
