/* Tables, and the text in them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cli/table.h"
#include "cli/text.h"

static struct arena arena;
static struct cli_table table;
static struct buf out;

static int
set_up(void **state)
{
	(void)state;
	buf_init(&out, 10000);
	cli_table_init(&table, &arena);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_done(&out);
	arena_done(&arena);
	return 0;
}

static void
aligns_columns_and_leaves_no_blanks_at_the_end(void **state)
{
	(void)state;
	cli_table_column(&table, "NAME", CLI_LEFT);
	cli_table_column(&table, "N", CLI_RIGHT);
	cli_table_column(&table, "NOTE", CLI_LEFT);
	cli_table_cell(&table, CLI_PLAIN, STR("a"));
	cli_table_cellf(&table, CLI_PLAIN, "%d", 100);
	cli_table_cell(&table, CLI_PLAIN, STR("x"));
	cli_table_cell(&table, CLI_PLAIN, STR("bcdefg"));
	cli_table_cell(&table, CLI_PLAIN, STR("7"));
	cli_table_cell(&table, CLI_PLAIN, STR(""));
	cli_table_print(&table, &out, 0, false);
	assert_string_equal(buf_cstr(&out), "NAME      N  NOTE\n"
					    "a       100  x\n"
					    "bcdefg    7\n");
}

static void
cuts_the_elastic_column_to_the_width(void **state)
{
	(void)state;
	cli_table_column(&table, "A", CLI_LEFT);
	cli_table_column(&table, "B", CLI_ELASTIC);
	cli_table_column(&table, "C", CLI_LEFT);
	cli_table_cell(&table, CLI_PLAIN, STR("12345"));
	cli_table_cell(&table, CLI_PLAIN, STR("a long subject that does not fit"));
	cli_table_cell(&table, CLI_PLAIN, STR("xyz"));
	cli_table_print(&table, &out, 24, false);
	assert_string_equal(buf_cstr(&out), "A      B             C\n"
					    "12345  a long subj…  xyz\n");
}

static void
leaves_out_columns_for_wide_terminals_before_it_cuts_much(void **state)
{
	(void)state;
	cli_table_column(&table, "A", CLI_ELASTIC);
	cli_table_column(&table, "B", CLI_ELASTIC | CLI_WIDE);
	cli_table_column(&table, "C", CLI_ELASTIC);
	cli_table_cell(&table, CLI_PLAIN, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	cli_table_cell(&table, CLI_PLAIN, STR("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
	cli_table_cell(&table, CLI_PLAIN, STR("cccccccccccccccccccc"));
	cli_table_print(&table, &out, 40, false);
	assert_string_equal(buf_cstr(&out), "A                    C\n"
					    "aaaaaaaaaaaaaaaaaa…  cccccccccccccccccc…\n");
	buf_clear(&out);
	cli_table_print(&table, &out, 52, false);
	assert_true(str_has_byte(buf_str(&out), 'b'));
	assert_int_equal(
	    cli_text_width(str_sub(buf_str(&out), 0, str_find(buf_str(&out), '\n'))), 37);
}

static void
counts_columns_not_bytes(void **state)
{
	(void)state;
	cli_table_column(&table, "", CLI_LEFT);
	cli_table_column(&table, "", CLI_LEFT);
	cli_table_cell(&table, CLI_PLAIN, STR("é"));
	cli_table_cell(&table, CLI_PLAIN, STR("|"));
	cli_table_cell(&table, CLI_PLAIN, STR("中文"));
	cli_table_cell(&table, CLI_PLAIN, STR("|"));
	cli_table_cell(&table, CLI_PLAIN, STR("e\xcc\x81x"));
	cli_table_cell(&table, CLI_PLAIN, STR("|"));
	cli_table_print(&table, &out, 0, false);
	assert_string_equal(buf_cstr(&out), "é     |\n中文  |\ne\xcc\x81x    |\n");
}

static void
colours_cells_without_moving_columns(void **state)
{
	(void)state;
	cli_table_column(&table, "", CLI_LEFT);
	cli_table_column(&table, "", CLI_LEFT);
	cli_table_cell(&table, CLI_GOOD, STR("ok"));
	cli_table_cell(&table, CLI_PLAIN, STR("x"));
	cli_table_print(&table, &out, 0, true);
	assert_string_equal(buf_cstr(&out), "\033[32mok\033[0m  x\n");
}

static void
lets_no_control_character_reach_the_terminal(void **state)
{
	(void)state;
	cli_table_column(&table, "", CLI_LEFT);
	cli_table_cell(&table, CLI_PLAIN,
	    STR("a\033[2Jb\nc\xff\xe2\x80\xae"
		"d\xc2\x9b"));
	cli_table_print(&table, &out, 0, false);
	assert_string_equal(buf_cstr(&out), "a\xef\xbf\xbd[2Jb c\xef\xbf\xbd\xef\xbf\xbd"
					    "d\xef\xbf\xbd\n");
}

static void
cuts_between_characters(void **state)
{
	(void)state;
	assert_true(str_eq(cli_text_head(STR("中文字"), 5), STR("中文")));
	assert_int_equal(cli_text_width(STR("a中🙂")), 5);
	cli_text_add_cut(&out, STR("中文字"), 4);
	assert_string_equal(buf_cstr(&out), "中…");
	buf_clear(&out);
	cli_text_add_cut(&out, STR("abcd"), 4);
	assert_string_equal(buf_cstr(&out), "abcd");
}

static void
wraps_at_blanks_and_keeps_long_words(void **state)
{
	(void)state;
	cli_text_add_wrapped(&out, STR("one two three\nfour abcdefghijklmnop x"), 2, 10);
	assert_string_equal(
	    buf_cstr(&out), "  one two\n  three\n  four\n  abcdefghijklmnop\n  x\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(aligns_columns_and_leaves_no_blanks_at_the_end),
		TEST(cuts_the_elastic_column_to_the_width),
		TEST(leaves_out_columns_for_wide_terminals_before_it_cuts_much),
		TEST(counts_columns_not_bytes),
		TEST(colours_cells_without_moving_columns),
		TEST(lets_no_control_character_reach_the_terminal),
		TEST(cuts_between_characters),
		TEST(wraps_at_blanks_and_keeps_long_words),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
