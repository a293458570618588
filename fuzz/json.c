/* What was parsed is written, and what was written parses to the same again; any bytes make a
 * string. */
#include "codec/json.h"

#include "base/buf.h"
#include "base/check.h"
#include "codec/json_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_all(const struct json *doc, struct buf *b)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_write(doc, &w);
	json_writer_done(&w);
	ASSERT(buf_is_ok(b));
}

static void
check_string(struct str s)
{
	AUTO(json_free) struct json *doc = NULL;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 1 << 24);
	json_writer_init(&w, &b);
	json_writer_array(&w);
	json_writer_str(&w, s);
	json_writer_end(&w);
	json_writer_done(&w);
	/* The one thing our reader will not have. */
	if (!str_has_byte(s, '\0'))
		ASSERT(json_parse(buf_str(&b), 1 << 24, &doc, NULL) == RC_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_free) struct json *doc = NULL, *again = NULL;
	AUTO(buf_done) struct buf one = { 0 }, two = { 0 };
	struct str in = str_make((const char *)data, size), s;
	struct fault f = { 0 };
	const struct json *v;
	int64_t i;

	check_string(in);
	if (json_parse(in, 1 << 20, &doc, &f) != RC_OK) {
		ASSERT(f.rc != RC_OK && f.text[0] != '\0');
		return 0;
	}
	buf_init(&one, 1 << 24);
	buf_init(&two, 1 << 24);
	write_all(doc, &one);
	ASSERT(json_parse(buf_str(&one), 1 << 24, &again, NULL) == RC_OK);
	write_all(again, &two);
	ASSERT(str_eq(buf_str(&one), buf_str(&two)));
	if (json_opt_str(doc, "a.b[1]", &s, NULL) == RC_OK &&
	    json_opt_int(doc, "a", 0, 9, &i, NULL) == RC_OK)
		v = json_at(doc, "[0].c");
	else
		v = json_at(doc, "a[0]");
	ASSERT(v == NULL || json_kind(v) != JSON_KIND_NULL);
	return 0;
}
