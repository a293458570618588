/* Width by ranges of code points: the few that matter to a table, not the whole of Unicode. What is
 * in none of the ranges is one column wide. */
#include "cli/text.h"

#include "codec/utf8.h"

struct range {
	uint32_t first, last;
};

/* Combining marks, joiners, variation selectors. Sorted. */
static const struct range narrow[] = {
	{ 0x0300, 0x036f },
	{ 0x0483, 0x0489 },
	{ 0x0591, 0x05bd },
	{ 0x0610, 0x061a },
	{ 0x064b, 0x065f },
	{ 0x06d6, 0x06dc },
	{ 0x0900, 0x0902 },
	{ 0x093c, 0x093c },
	{ 0x0941, 0x0948 },
	{ 0x094d, 0x094d },
	{ 0x0e31, 0x0e31 },
	{ 0x0e34, 0x0e3a },
	{ 0x0e47, 0x0e4e },
	{ 0x1ab0, 0x1aff },
	{ 0x1dc0, 0x1dff },
	{ 0x200b, 0x200d },
	{ 0x20d0, 0x20ff },
	{ 0x302a, 0x302d },
	{ 0x3099, 0x309a },
	{ 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f },
	{ 0xfeff, 0xfeff },
	{ 0x1f3fb, 0x1f3ff },
	{ 0xe0020, 0xe01ef },
};

/* East Asian wide and full-width, emoji. Sorted. */
static const struct range wide[] = {
	{ 0x1100, 0x115f },
	{ 0x231a, 0x231b },
	{ 0x23e9, 0x23ec },
	{ 0x25fd, 0x25fe },
	{ 0x2614, 0x2615 },
	{ 0x2648, 0x2653 },
	{ 0x26a1, 0x26a1 },
	{ 0x26bd, 0x26be },
	{ 0x26d4, 0x26d4 },
	{ 0x2705, 0x2705 },
	{ 0x270a, 0x270b },
	{ 0x2728, 0x2728 },
	{ 0x274c, 0x274c },
	{ 0x2753, 0x2755 },
	{ 0x2757, 0x2757 },
	{ 0x2b50, 0x2b50 },
	{ 0x2e80, 0x303e },
	{ 0x3041, 0x33ff },
	{ 0x3400, 0x4dbf },
	{ 0x4e00, 0xa4cf },
	{ 0xa960, 0xa97f },
	{ 0xac00, 0xd7a3 },
	{ 0xf900, 0xfaff },
	{ 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 },
	{ 0xffe0, 0xffe6 },
	{ 0x1b000, 0x1b2ff },
	{ 0x1f1e6, 0x1f64f },
	{ 0x1f680, 0x1f6ff },
	{ 0x1f7e0, 0x1f7eb },
	{ 0x1f900, 0x1faff },
	{ 0x20000, 0x3fffd },
};

static bool
is_in(const struct range *v, size_t n, uint32_t cp)
{
	for (size_t low = 0, high = n; low < high;) {
		size_t mid = (low + high) / 2;
		if (cp > v[mid].last)
			low = mid + 1;
		else if (cp < v[mid].first)
			high = mid;
		else
			return true;
	}
	return false;
}

static size_t
width_of(uint32_t cp)
{
	if (cp < 0x300)
		return 1;
	if (is_in(narrow, COUNT_OF(narrow), cp))
		return 0;
	return is_in(wide, COUNT_OF(wide), cp) ? 2 : 1;
}

/* Control characters of C0 and C1, and marks that turn the direction of writing. */
static bool
is_harmful(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x200e || cp == 0x200f ||
	       cp == 0x061c || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

struct str
cli_text_clean(struct arena *a, struct str s)
{
	struct str rest = s;
	struct buf b;
	uint32_t cp;
	bool clean = true;

	for (size_t n; rest.n != 0 && clean; rest = str_skip(rest, n)) {
		n = utf8_step(rest, &cp);
		clean = n != 0 && !is_harmful(cp);
	}
	if (clean)
		return s;
	buf_init(&b, s.n * 3 + 1);
	for (rest = s; rest.n != 0;) {
		size_t n = utf8_step(rest, &cp);
		if (n == 0)
			utf8_add(&b, UTF8_REPLACEMENT);
		else if (cp == '\n' || cp == '\r' || cp == '\t')
			buf_add_byte(&b, ' ');
		else
			utf8_add(&b, is_harmful(cp) ? UTF8_REPLACEMENT : cp);
		rest = str_skip(rest, n != 0 ? n : 1);
	}
	struct str out = arena_str(a, buf_str(&b));
	buf_done(&b);
	return out;
}

struct str
cli_text_head(struct str s, size_t width)
{
	struct str rest = s;
	uint32_t cp;
	size_t used = 0;

	while (rest.n != 0) {
		size_t n = utf8_step(rest, &cp);
		size_t w = n != 0 ? width_of(cp) : 1;
		if (used + w > width)
			break;
		used += w;
		rest = str_skip(rest, n != 0 ? n : 1);
	}
	return str_sub(s, 0, s.n - rest.n);
}

size_t
cli_text_width(struct str s)
{
	uint32_t cp;
	size_t used = 0;

	while (s.n != 0) {
		size_t n = utf8_step(s, &cp);
		used += n != 0 ? width_of(cp) : 1;
		s = str_skip(s, n != 0 ? n : 1);
	}
	return used;
}

void
cli_text_add_cut(struct buf *b, struct str s, size_t width)
{
	if (cli_text_width(s) <= width) {
		buf_add(b, s);
		return;
	}
	if (width == 0)
		return;
	buf_add(b, cli_text_head(s, width - 1));
	buf_add(b, STR("…"));
}

void
cli_text_add_blanks(struct buf *b, size_t n)
{
	while (n-- > 0)
		buf_add_byte(b, ' ');
}

static void
add_paragraph(struct buf *b, struct str s, size_t indent, size_t width)
{
	size_t used = 0;
	struct str word;

	while (str_cut(&s, ' ', &word)) {
		size_t w = cli_text_width(word);
		if (w == 0)
			continue;
		if (used != 0 && indent + used + 1 + w > width) {
			buf_add_byte(b, '\n');
			used = 0;
		}
		if (used == 0)
			cli_text_add_blanks(b, indent);
		else
			buf_add_byte(b, ' ');
		buf_add(b, word);
		used += w + (used != 0);
	}
	buf_add_byte(b, '\n');
}

void
cli_text_add_wrapped(struct buf *b, struct str s, size_t indent, size_t width)
{
	struct str line;

	while (str_cut(&s, '\n', &line))
		add_paragraph(b, line, indent, width);
}
