/* Content read in one piece and in many gives the same; what is written is read back whole, and
 * ends where it should and nowhere else. */
#include "codec/smtp_data.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
read_all(struct smtp_data_reader *r, struct str in, size_t piece, struct buf *out, bool *ended)
{
	size_t at = 0, used;

	*ended = false;
	while (at < in.n && !*ended) {
		*ended = smtp_data_reader_feed(r, str_sub(in, at, piece), out, &used) == PARSE_ONE;
		at += used;
	}
	return at;
}

static void
check_reading(struct str in, size_t piece, bool normalize)
{
	AUTO(buf_done) struct buf one = { 0 }, many = { 0 };
	struct smtp_data_reader a, b;
	bool a_ended, b_ended;

	buf_init(&one, 1 << 24);
	buf_init(&many, 1 << 24);
	smtp_data_reader_init(&a, SMTP_DATA_DOTS, normalize);
	smtp_data_reader_init(&b, SMTP_DATA_DOTS, normalize);
	size_t a_used = read_all(&a, in, SIZE_MAX / 2, &one, &a_ended);
	size_t b_used = read_all(&b, in, piece, &many, &b_ended);
	ASSERT(a_used == b_used && a_ended == b_ended && str_eq(buf_str(&one), buf_str(&many)));
	ASSERT(a.size == buf_len(&one) && a.size == b.size && a.longest_line == b.longest_line);
	ASSERT(a.bare_cr == b.bare_cr && a.bare_lf == b.bare_lf && a.nul == b.nul &&
	       a.eight_bit == b.eight_bit);
	if (a_ended)
		ASSERT(str_ends(str_sub(in, 0, a_used), STR(".\r\n")));
	if (a_ended && normalize) {
		struct str rest = buf_str(&one), line;
		while (rest.n != 0 && str_cut(&rest, '\n', &line))
			ASSERT(str_find(line, '\r') + 1 == line.n);
	}
}

static void
check_writing(struct str in, size_t piece, size_t max)
{
	AUTO(buf_done) struct buf wire = { 0 }, out = { 0 };
	struct smtp_data_writer w = { 0 };
	struct smtp_data_reader r;
	struct str views[16];
	bool ended;

	buf_init(&wire, 1 << 24);
	buf_init(&out, 1 << 24);
	for (size_t at = 0; at < in.n; at += piece) {
		struct str part = str_sub(in, at, piece);
		while (part.n != 0) {
			size_t n = smtp_data_writer_next(&w, &part, views, max);
			for (size_t i = 0; i < n; i++)
				buf_add(&wire, views[i]);
		}
	}
	buf_add(&wire, smtp_data_writer_end(&w));
	smtp_data_reader_init(&r, SMTP_DATA_DOTS, false);
	ASSERT(read_all(&r, buf_str(&wire), SIZE_MAX / 2, &out, &ended) == buf_len(&wire) && ended);
	ASSERT(!r.bare_cr && !r.bare_lf);
	if (!r.nul && in.n == 0)
		ASSERT(buf_len(&out) == 0);
}

/* Chunks come out as they went in; the flags are those of the whole. */
static void
check_chunks(struct str in, size_t piece)
{
	AUTO(buf_done) struct buf out = { 0 };
	struct smtp_data_reader r;
	bool ended, cr = false, lf = false;

	buf_init(&out, 1 << 24);
	smtp_data_reader_init(&r, SMTP_DATA_CHUNK, false);
	ASSERT(read_all(&r, in, piece, &out, &ended) == in.n && !ended);
	smtp_data_reader_finish(&r, &out);
	ASSERT(str_eq(buf_str(&out), in) && r.size == in.n);
	for (size_t i = 0; i < in.n; i++) {
		cr |= in.p[i] == '\r' && (i + 1 == in.n || in.p[i + 1] != '\n');
		lf |= in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r');
	}
	ASSERT(r.bare_cr == cr && r.bare_lf == lf && r.nul == str_has_byte(in, '\0'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct str in = str_make((const char *)data + 2, size - 2);
	size_t piece = data[0] + 1u;

	check_reading(in, piece, (data[1] & 1) != 0);
	check_chunks(in, piece);
	check_writing(in, piece, data[1] % 16 + 1u);
	return 0;
}
