/* posthouse.conf: no text may crash the reader, and an error always says where and what. */
#include <stdint.h>

#include "base/check.h"
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct daemon_config c;
	struct fault f = { 0 };

	if (daemon_config_parse(str_make((const char *)data, size), "fuzz", &c, &f) == RC_OK) {
		ASSERT(c.loops >= 1 && c.data != NULL && c.hostname != NULL);
		daemon_config_done(&c);
	} else {
		ASSERT(f.rc == RC_INVALID && f.text[0] != '\0');
	}
	return 0;
}
