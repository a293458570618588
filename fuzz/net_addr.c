/* What is understood as an address is written and read back as the same one. */
#include "net/addr.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_round_trip(const struct net_addr *a)
{
	char text[NET_ADDR_TEXT_SIZE];
	struct net_addr again;

	net_addr_format(a, text);
	ASSERT(net_addr_parse(str_from(text), &again, NULL) == RC_OK);
	ASSERT(net_addr_eq(a, &again));
	(void)net_addr_is_loopback(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct net_addr a;
	struct fault f = { 0 };

	if (net_addr_parse(text, &a, &f) == RC_OK)
		check_round_trip(&a);
	else
		ASSERT(f.text[0] != '\0');
	if (net_addr_from_ip(text, 25, &a))
		check_round_trip(&a);
	return 0;
}
