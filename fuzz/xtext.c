/* Any bytes survive as xtext and any UTF-8 as its sister; what decodes, decodes to something that
 * encodes. */
#include "codec/xtext.h"

#include "base/check.h"
#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str in = str_make((const char *)data, size), out;
	uint32_t cp;

	buf_init(&b, 1 << 24);
	xtext_encode(&b, in);
	ASSERT(xtext_decode(&a, buf_str(&b), &out) && str_eq(out, in));
	if (xtext_decode(&a, in, &out))
		ASSERT(out.n <= in.n);
	if (xtext_decode_utf8(&a, in, &out))
		ASSERT(utf8_is_valid(out) && out.n <= in.n);
	buf_clear(&b);
	utf8_add_repaired(&b, in);
	ASSERT(utf8_is_valid(buf_str(&b)) && utf8_is_valid(in) == str_eq(buf_str(&b), in));
	struct str clean = arena_str(&a, buf_str(&b));
	buf_clear(&b);
	xtext_encode_utf8(&b, clean);
	ASSERT(utf8_is_ascii(buf_str(&b)) && xtext_decode_utf8(&a, buf_str(&b), &out) &&
	       str_eq(out, clean));
	for (size_t n = 0; n <= clean.n && n < 64; n++) {
		struct str head = utf8_head(clean, n);
		ASSERT(utf8_is_valid(head) && head.n <= n && head.n + 3 >= n);
	}
	ASSERT((utf8_step(in, &cp) != 0) == (in.n != 0 && utf8_step(str_sub(in, 0, 4), &cp) != 0));
	return 0;
}
