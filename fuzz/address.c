/* An address that parses holds no control character, is written back within its limits, and reads
 * back equal. The first byte chooses the flags. */
#include "mail/address.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		ASSERT((uint8_t)s.p[i] >= ' ' && s.p[i] != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_addr addr, again, ascii;
	const char *why = NULL;

	buf_init(&b, 4096);
	if (size == 0)
		return 0;
	unsigned flags = data[0] & (MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER);
	struct str path = { (const char *)data + 1, size - 1 };
	if (mail_addr_parse(path, flags, &a, &addr, &why) != RC_OK) {
		ASSERT(why != NULL);
		return 0;
	}
	check_clean(addr.local);
	check_clean(addr.domain);
	check_clean(addr.domain_ascii);
	ASSERT(!addr.needs_utf8 || (flags & MAIL_ADDR_UTF8) != 0);
	mail_addr_format(&b, &addr);
	ASSERT(buf_len(&b) <= MAIL_ADDR_MAX);
	ASSERT(mail_addr_parse(buf_str(&b), flags, &a, &again, &why) == RC_OK);
	ASSERT(
	    mail_addr_eq(&addr, &again) && mail_addr_hash(&addr, 1) == mail_addr_hash(&again, 1));
	ASSERT(addr.quoted == again.quoted && addr.needs_utf8 == again.needs_utf8);
	if (mail_addr_to_ascii(&addr, &ascii) == RC_OK) {
		buf_clear(&b);
		mail_addr_format(&b, &ascii);
		ASSERT(mail_addr_parse(buf_str(&b), flags & ~1u, &a, &again, &why) == RC_OK);
		ASSERT(mail_addr_eq(&addr, &again));
	}
	return 0;
}
