/* What is taken for a name is clean and is taken again as it is. */
#include "codec/name.h"

#include "base/check.h"
#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct host_name h, again;
	const char *why = NULL;

	if (!name_parse(str_make((const char *)data, size), &h, &why)) {
		ASSERT(why != NULL);
		return 0;
	}
	ASSERT(h.n > 0 && h.n <= NAME_MAX_BYTES && h.z[h.n] == '\0');
	for (size_t i = 0; i < h.n; i++)
		ASSERT(ascii_is_digit(h.z[i]) || (h.z[i] >= 'a' && h.z[i] <= 'z') ||
		       str_has_byte(STR("-._"), h.z[i]));
	ASSERT(name_parse(name_str(&h), &again, &why) && name_eq(&h, &again));
	if (name_registrable(&h, &again))
		ASSERT(name_is_within(&h, &again));
	buf_init(&b, 4096);
	name_add_display(&b, &h);
	ASSERT(buf_is_ok(&b) && utf8_is_valid(buf_str(&b)));
	return 0;
}
