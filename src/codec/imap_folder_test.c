#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/imap.h"

static void
check_name(const char *name, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	imap_folder_decode(&b, str_from(name));
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
names_are_read_from_modified_utf7(void **state)
{
	(void)state;
	check_name("INBOX", "INBOX");
	check_name("a&-b", "a&b");
	check_name("&V4NXPpCuTvY-", "\xe5\x9e\x83\xe5\x9c\xbe\xe9\x82\xae\xe4\xbb\xb6");
	check_name("~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	    "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	check_name("&2D3eAA-", "\xf0\x9f\x98\x80");
}

static void
what_is_no_modified_utf7_stays_as_written(void **state)
{
	(void)state;
	check_name("a & b", "a & b");
	check_name("&2D0-", "&2D0-");
	check_name("&****-", "&****-");
	check_name("&AAo-", "&AAo-");
}

static void
roles_come_from_attributes_or_usual_names(void **state)
{
	struct imap_value junk = { .kind = IMAP_ATOM, .text = STR("\\Junk") };
	struct imap_value other = { .kind = IMAP_ATOM, .text = STR("\\Marked"), .next = &junk };

	(void)state;
	assert_int_equal(imap_role_of_attributes(&other), IMAP_ROLE_JUNK);
	assert_int_equal(imap_role_of_attributes(NULL), IMAP_ROLE_NONE);
	assert_int_equal(imap_role_of_name(STR("inbox"), '/'), IMAP_ROLE_INBOX);
	assert_int_equal(imap_role_of_name(STR("INBOX.Junk"), '.'), IMAP_ROLE_JUNK);
	assert_int_equal(imap_role_of_name(STR("[Gmail]/Spam"), '/'), IMAP_ROLE_JUNK);
	assert_int_equal(imap_role_of_name(STR("&V4NXPpCuTvY-"), '\0'), IMAP_ROLE_JUNK);
	assert_int_equal(imap_role_of_name(STR("Sent Messages"), '/'), IMAP_ROLE_SENT);
	assert_int_equal(imap_role_of_name(STR("Junkyard"), '/'), IMAP_ROLE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_from_modified_utf7),
		cmocka_unit_test(what_is_no_modified_utf7_stays_as_written),
		cmocka_unit_test(roles_come_from_attributes_or_usual_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
