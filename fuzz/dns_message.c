/* Whatever a name server sends, what is taken from it keeps its promises: host names hold nothing
 * that no host name has, exchangers are in order, and how long it may be kept is bounded. */
#include "base/check.h"
#include "base/clock.h"
#include "net/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_host(struct str name)
{
	ASSERT(name.n <= 255);
	for (size_t i = 0; i < name.n; i++)
		ASSERT(ascii_is_alnum(name.p[i]) || name.p[i] == '-' || name.p[i] == '_' ||
		       name.p[i] == '.');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_MX, DNS_TXT, DNS_PTR, DNS_SRV, DNS_CNAME,
		DNS_TLSA };
	AUTO(arena_done) struct arena mem = { 0 };
	struct dns_answer a;

	if (size == 0)
		return 0;
	enum dns_type type = types[data[0] % COUNT_OF(types)];
	dns_message_parse(str_make((const char *)data + 1, size - 1), type, &mem, &a);
	ASSERT(a.rc == RC_OK || a.rc == RC_NOT_FOUND || a.rc == RC_DNS);
	ASSERT((a.rc == RC_OK) == (a.count != 0));
	if (a.rc == RC_DNS)
		return 0;
	ASSERT(a.ttl_us >= SECONDS(1) && a.ttl_us <= HOURS(1));
	for (size_t i = 0; i < a.count; i++) {
		if (type != DNS_TXT && type != DNS_TLSA)
			check_host(a.records[i].text);
		if ((type == DNS_MX || type == DNS_SRV) && i != 0)
			ASSERT(a.records[i - 1].preference <= a.records[i].preference);
	}
	return 0;
}
