#include "base/check.h"

#include <stdlib.h>
#include <unistd.h>

_Noreturn void
check_failed(const char *what, const char *file, int line)
{
	char msg[512];
	int n = snprintf(
	    msg, sizeof(msg), "posthouse: bug: %s:%d: %s does not hold\n", file, line, what);

	if (n > 0 &&
	    write(STDERR_FILENO, msg, (size_t)n < sizeof(msg) ? (size_t)n : sizeof(msg) - 1) < 0)
		abort();
	abort();
}
