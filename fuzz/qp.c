/* Any bytes survive in lines of at most 76; any bytes can be read. */
#include "codec/qp.h"

#include <stdint.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 }, out = { 0 };
	struct str in = str_make((const char *)data, size), rest, line;

	buf_init(&b, 1 << 24);
	buf_init(&out, 1 << 24);
	for (int text = 0; text < 2; text++) {
		buf_clear(&b);
		buf_clear(&out);
		qp_encode(&b, in, text != 0);
		rest = buf_str(&b);
		while (rest.n != 0 && str_cut(&rest, '\n', &line)) {
			ASSERT(line.n <= (str_ends(line, STR("\r")) ? 77u : 76u));
			for (size_t i = 0; i < line.n; i++)
				ASSERT((line.p[i] >= ' ' && line.p[i] <= '~') ||
				       line.p[i] == '\t' || (line.p[i] == '\r' && i + 1 == line.n));
		}
		ASSERT(qp_decode(&out, buf_str(&b)) && str_eq(buf_str(&out), in));
	}
	buf_clear(&out);
	qp_decode(&out, in);
	ASSERT(buf_len(&out) <= size);
	return 0;
}
