/* Cells are kept in one row-major array; widths are found when it is printed. The last column is
 * never padded, so no line ends in blanks. */
#include "cli/table.h"

#include "base/check.h"
#include "base/mem.h"
#include "cli/text.h"

#define GAP         2
#define ELASTIC_MIN 8
#define COMFORT     16       /* what an elastic column wants before others are left out for it */
#define HIDDEN      SIZE_MAX /* as a width */

static const char *const codes[] = {
	[CLI_PLAIN] = "",
	[CLI_BOLD] = "\033[1m",
	[CLI_DIM] = "\033[2m",
	[CLI_GOOD] = "\033[32m",
	[CLI_WARN] = "\033[33m",
	[CLI_BAD] = "\033[31m",
};

void
cli_table_init(struct cli_table *t, struct arena *a)
{
	*t = (struct cli_table){ .arena = a };
}

void
cli_table_column(struct cli_table *t, const char *title, unsigned flags)
{
	ASSERT(t->n_columns < CLI_TABLE_COLUMNS && t->n_cells == 0);
	t->titles[t->n_columns] = str_from(title);
	t->flags[t->n_columns++] = flags;
}

void
cli_table_cell(struct cli_table *t, enum cli_style style, struct str text)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap != 0 ? t->cap * 2 : 64;
		struct cli_table_cell *more = ARENA_NEW_ARRAY(t->arena, struct cli_table_cell, cap);
		if (t->n_cells != 0)
			memcpy(more, t->cells, t->n_cells * sizeof(*more));
		t->cells = more;
		t->cap = cap;
	}
	t->cells[t->n_cells++] = (struct cli_table_cell){ cli_text_clean(t->arena, text), style };
}

void
cli_table_cellf(struct cli_table *t, enum cli_style style, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct str text = arena_strv(t->arena, fmt, ap);
	va_end(ap);
	cli_table_cell(t, style, text);
}

void
cli_table_styled(struct buf *out, enum cli_style style, struct str text, bool colour)
{
	bool on = colour && style != CLI_PLAIN && text.n != 0;

	if (on)
		buf_add(out, str_from(codes[style]));
	buf_add(out, text);
	if (on)
		buf_add(out, STR("\033[0m"));
}

static bool
has_head(const struct cli_table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		if (t->titles[i].n != 0)
			return true;
	}
	return false;
}

/* Columns needed by those shown, elastic ones counted with at most `most`. */
static size_t
total_of(const struct cli_table *t, const size_t *widths, size_t most)
{
	size_t total = t->indent, n = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		if (widths[i] == HIDDEN)
			continue;
		bool cut = (t->flags[i] & CLI_ELASTIC) != 0 && widths[i] > most;
		total += (cut ? most : widths[i]) + (n++ != 0 ? GAP : 0);
	}
	return total;
}

static void
hide(const struct cli_table *t, size_t *widths, size_t limit)
{
	for (size_t i = t->n_columns; i-- > 0 && total_of(t, widths, COMFORT) > limit;) {
		if ((t->flags[i] & CLI_WIDE) != 0)
			widths[i] = HIDDEN;
	}
}

static void
shrink(const struct cli_table *t, size_t *widths, size_t limit)
{
	for (size_t total = total_of(t, widths, SIZE_MAX); total > limit; total--) {
		size_t widest = t->n_columns;
		for (size_t i = 0; i < t->n_columns; i++) {
			if ((t->flags[i] & CLI_ELASTIC) == 0 || widths[i] == HIDDEN ||
			    widths[i] <= ELASTIC_MIN)
				continue;
			if (widest == t->n_columns || widths[i] > widths[widest])
				widest = i;
		}
		if (widest == t->n_columns)
			return;
		widths[widest]--;
	}
}

static void
measure(const struct cli_table *t, size_t *widths, size_t limit)
{
	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = cli_text_width(t->titles[i]);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t w = cli_text_width(t->cells[i].text);
		if (w > widths[i % t->n_columns])
			widths[i % t->n_columns] = w;
	}
	if (limit == 0)
		return;
	hide(t, widths, limit);
	shrink(t, widths, limit);
}

static void
print_cell(struct buf *out, const struct cli_table_cell *cell, size_t width, unsigned flags,
    bool is_last, bool colour)
{
	struct buf text;

	buf_init(&text, cell->text.n + 8);
	cli_text_add_cut(&text, cell->text, width);
	size_t pad = width - cli_text_width(buf_str(&text));
	if ((flags & CLI_RIGHT) != 0)
		cli_text_add_blanks(out, pad);
	cli_table_styled(out, cell->style, buf_str(&text), colour);
	if ((flags & CLI_RIGHT) == 0 && !is_last)
		cli_text_add_blanks(out, pad);
	if (!is_last)
		cli_text_add_blanks(out, GAP);
	buf_done(&text);
}

/* Cells at the end of a row that are empty are left out. */
static void
print_row(const struct cli_table *t, struct buf *out, const struct cli_table_cell *row,
    const size_t *widths, bool colour)
{
	size_t n = t->n_columns;

	while (n > 0 && (row[n - 1].text.n == 0 || widths[n - 1] == HIDDEN))
		n--;
	if (n != 0)
		cli_text_add_blanks(out, t->indent);
	for (size_t i = 0; i < n; i++) {
		if (widths[i] == HIDDEN)
			continue;
		print_cell(out, &row[i], widths[i], t->flags[i], i + 1 == n, colour);
	}
	buf_add_byte(out, '\n');
}

void
cli_table_print(const struct cli_table *t, struct buf *out, size_t width, bool colour)
{
	size_t widths[CLI_TABLE_COLUMNS];
	struct cli_table_cell head[CLI_TABLE_COLUMNS];

	ASSERT(t->n_columns != 0 && t->n_cells % t->n_columns == 0);
	measure(t, widths, width);
	for (size_t i = 0; i < t->n_columns; i++)
		head[i] = (struct cli_table_cell){ t->titles[i], CLI_BOLD };
	if (has_head(t))
		print_row(t, out, head, widths, colour);
	for (size_t i = 0; i < t->n_cells; i += t->n_columns)
		print_row(t, out, &t->cells[i], widths, colour);
}
