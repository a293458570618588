/* What is encoded is clean ASCII on one line and decodes to the text it came from; anything can be
 * decoded, to clean UTF-8. */
#include "codec/rfc2047.h"

#include <stdint.h>

#include "base/check.h"
#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_clean(struct str s, bool ascii)
{
	ASSERT(utf8_is_valid(s) && (!ascii || utf8_is_ascii(s)));
	for (size_t i = 0; i < s.n; i++)
		ASSERT((unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f);
}

/* The text as encoders see it: what decoding must give back. */
static void
add_clean(struct buf *b, struct str s)
{
	utf8_add_repaired(b, s);
	for (size_t i = b->start; i < b->end; i++) {
		if ((unsigned char)b->p[i] < ' ' || b->p[i] == 0x7f)
			b->p[i] = ' ';
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf want = { 0 }, b = { 0 }, out = { 0 };
	struct str in = str_make((const char *)data, size), rest, word;

	if (size > 4096)
		return 0;
	buf_init(&want, 1 << 20);
	buf_init(&b, 1 << 20);
	buf_init(&out, 1 << 20);
	add_clean(&want, in);

	rfc2047_encode_text(&b, in);
	check_clean(buf_str(&b), true);
	rfc2047_decode(&out, buf_str(&b));
	ASSERT(str_eq(buf_str(&out), buf_str(&want)));

	buf_clear(&b);
	buf_clear(&out);
	rfc2047_encode_words(&b, in);
	rest = buf_str(&b);
	while (str_cut(&rest, ' ', &word))
		ASSERT(word.n <= 75);
	rfc2047_decode(&out, buf_str(&b));
	ASSERT(str_eq(buf_str(&out), buf_str(&want)));

	buf_clear(&b);
	rfc2047_encode_phrase(&b, in);
	check_clean(buf_str(&b), true);

	buf_clear(&out);
	rfc2047_decode(&out, in);
	check_clean(buf_str(&out), false);
	return 0;
}
