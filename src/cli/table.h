/* Aligned tables on a terminal.
 *
 * A table is filled cell by cell, row by row, and printed once. Columns are as wide as their widest
 * cell; when the whole does not fit, columns for wide terminals are left out, then elastic ones
 * give way and their cells are cut with "…". Without a width (output that goes to a file or a pipe)
 * nothing is cut. Everything lives in the arena given. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* How a piece of text looks; without colour all are plain. */
enum cli_style {
	CLI_PLAIN,
	CLI_BOLD,
	CLI_DIM,
	CLI_GOOD,
	CLI_WARN,
	CLI_BAD,
};

enum cli_column {
	CLI_LEFT = 0,
	CLI_RIGHT = 1,   /* numbers */
	CLI_ELASTIC = 2, /* gives way, the widest one first */
	CLI_WIDE =
	    4, /* left out where it would leave the elastic ones too little, last one first */
};

#define CLI_TABLE_COLUMNS 12

struct cli_table_cell {
	struct str text;
	enum cli_style style;
};

struct cli_table {
	struct arena *arena;
	size_t indent; /* blanks in front of each line */
	size_t n_columns;
	struct str titles[CLI_TABLE_COLUMNS];
	unsigned flags[CLI_TABLE_COLUMNS];
	struct cli_table_cell *cells;
	size_t n_cells;
	size_t cap;
};

void cli_table_init(struct cli_table *t, struct arena *a);
/* Before the first cell. `flags` of enum cli_column. A table whose titles are all empty has no
 * head. */
void cli_table_column(struct cli_table *t, const char *title, unsigned flags);
/* The next cell of the row, or the first one of the next row. The text is cleaned, see cli/text.h;
 * it is borrowed. */
void cli_table_cell(struct cli_table *t, enum cli_style style, struct str text);
void cli_table_cellf(struct cli_table *t, enum cli_style style, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* `width` in columns, 0: no limit. */
void cli_table_print(const struct cli_table *t, struct buf *out, size_t width, bool colour);

/* Appends `text` in a style. */
void cli_table_styled(struct buf *out, enum cli_style style, struct str text, bool colour);
