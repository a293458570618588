/* Any bytes survive, in one line and in many; what the strict reader takes, it alone could have
 * been written. */
#include "codec/base64.h"

#include <stdint.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 }, out = { 0 };
	struct str in = str_make((const char *)data, size);

	buf_init(&b, 1 << 24);
	buf_init(&out, 1 << 24);
	base64_encode(&b, in);
	ASSERT(buf_len(&b) == base64_size(size) && base64_decode(&out, buf_str(&b)) &&
	       str_eq(buf_str(&out), in));
	buf_clear(&b);
	buf_clear(&out);
	base64_encode_lines(&b, in);
	ASSERT(base64_decode_mime(&out, buf_str(&b)) && str_eq(buf_str(&out), in));
	buf_clear(&b);
	buf_clear(&out);
	if (base64_decode(&out, in)) {
		base64_encode(&b, buf_str(&out));
		ASSERT(str_eq(buf_str(&b), in));
	}
	buf_clear(&out);
	base64_decode_mime(&out, in);
	ASSERT(buf_is_ok(&out));
	return 0;
}
