/* An address that was read is written and read again the same; networks hold their own address. */
#include "codec/ip.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);
	char text[IP_TEXT_MAX];
	struct ip ip, again;
	struct cidr net;
	const char *why = NULL;

	if (ip_parse(in, &ip) || ip_parse_literal(in, &ip)) {
		ASSERT(ip_parse(ip_format(&ip, text), &again) && ip_eq(&ip, &again));
		ASSERT(
		    ip_parse_literal(ip_format_literal(&ip, text), &again) && ip_eq(&ip, &again));
		ASSERT(!ip_is_loopback(&ip) || !ip_is_public(&ip));
	}
	if (ip_parse_cidr(in, &net, &why))
		ASSERT(net.bits <= 128 && ip_in_cidr(&net.net, &net));
	else
		ASSERT(why != NULL);
	if (size == sizeof(ip.b)) {
		memcpy(ip.b, data, size);
		ASSERT(ip_parse(ip_format(&ip, text), &again) && ip_eq(&ip, &again));
	}
	return 0;
}
