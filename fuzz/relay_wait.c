/* Any text names a wait between none and a day. */
#include "relay/wait.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t wait = relay_wait_in_text(str_make((const char *)data, size));

	ASSERT(wait >= 0 && wait <= RELAY_WAIT_MAX_US);
	return 0;
}
