#include "base/fault.h"

#include <errno.h>
#include <stdarg.h>

#include "base/check.h"

static void fill(struct fault *f, enum rc rc, int sys_errno, const char *fmt, va_list ap)
    PRINTF_LIKE(4, 0);

static void
fill(struct fault *f, enum rc rc, int sys_errno, const char *fmt, va_list ap)
{
	ASSERT(rc != RC_OK);
	if (f == NULL || f->rc != RC_OK)
		return;
	f->rc = rc;
	f->sys_errno = sys_errno;
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	size_t n = strlen(f->text);
	if (sys_errno != 0 && n + 8 < sizeof(f->text)) {
		char why[96];
		const char *text = strerror_r(sys_errno, why, sizeof(why));
		snprintf(f->text + n, sizeof(f->text) - n, ": %s", text);
	}
	for (char *p = f->text; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ')
			*p = ' ';
	}
}

enum rc
fault_set(struct fault *f, enum rc rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(f, rc, 0, fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
fault_sys(struct fault *f, enum rc rc, const char *fmt, ...)
{
	int sys_errno = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(f, rc, sys_errno, fmt, ap);
	va_end(ap);
	return rc;
}
