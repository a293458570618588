/* Any text is capabilities; saying it twice adds none. */
#include "codec/smtp_caps.h"

#include "base/buf.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct str text = str_make((const char *)data, size);
	struct smtp_caps one, two;

	smtp_caps_parse(text, &one);
	buf_init(&b, 1 << 24);
	buf_add(&b, text);
	buf_add_byte(&b, '\n');
	size_t first = str_find(text, '\n');
	buf_add(&b, str_skip(text, first));
	smtp_caps_parse(buf_str(&b), &two);
	ASSERT(one.set == two.set && one.mechs == two.mechs && one.size_max == two.size_max);
	ASSERT(one.rcpt_max == two.rcpt_max && one.mail_max == two.mail_max);
	ASSERT((one.set & ~(((uint64_t)1 << SMTP_CAP_COUNT) - 1)) == 0);
	return 0;
}
