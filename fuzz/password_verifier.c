/* The text form of password verifiers: what is accepted is written again in a form that is accepted
 * and stays. */
#include "base/buf.h"
#include "base/check.h"
#include "crypto/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf once = { 0 }, twice = { 0 };
	struct password_verifier v, w;

	buf_init(&once, PASSWORD_TEXT_MAX);
	buf_init(&twice, PASSWORD_TEXT_MAX);
	if (password_parse(str_make((const char *)data, size), &v) != RC_OK)
		return 0;
	password_format(&v, &once);
	ASSERT(buf_is_ok(&once));
	enum rc rc = password_parse(buf_str(&once), &w);
	ASSERT(rc == RC_OK);
	password_format(&w, &twice);
	ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
	(void)password_needs_rehash(&v);
	return 0;
}
