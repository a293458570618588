/* Whatever a server sends, a response takes at least one byte, stays inside what was shown, and its
 * values look into it; names of folders and quoted strings come out clean. */
#include "codec/imap.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_values(const struct imap_value *v, unsigned depth)
{
	ASSERT(depth <= IMAP_DEPTH_MAX);
	for (; v != NULL; v = v->next) {
		ASSERT(v->kind == IMAP_LIST || v->first == NULL);
		for (size_t i = 0; v->kind == IMAP_ATOM && i < v->text.n; i++)
			ASSERT((unsigned char)v->text.p[i] >= ' ');
		check_values(v->first, depth + 1);
	}
}

static void
check_folder(struct str name)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1 << 20);
	imap_folder_decode(&b, name);
	ASSERT(imap_role_of_name(name, '/') < IMAP_ROLE_COUNT);
	buf_clear(&b);
	if (imap_quote(&b, name) == RC_OK)
		ASSERT(!str_has_byte(buf_str(&b), '\n') && buf_len(&b) >= 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str in = str_make((const char *)data, size);
	struct imap_response r;
	const char *why;
	size_t used;

	check_folder(str_sub(in, 0, 300));
	while (imap_response_parse(in, &a, &r, &used, &why) == PARSE_ONE) {
		ASSERT(used > 0 && used <= in.n);
		ASSERT(!r.odd || r.values == NULL);
		check_values(r.values, 0);
		if (r.values != NULL) {
			(void)imap_value_of(r.values->first, STR("BODY[]"));
			(void)imap_role_of_attributes(r.values->first);
		}
		in = str_skip(in, used);
	}
	return 0;
}
