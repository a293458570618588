#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
	int n;
	struct list link;
};

/* The numbers on the list as one decimal number, read from either end. */
static int
digits(const struct list *head)
{
	int forward = 0;
	int backward = 0;
	int place = 1;

	for (struct list *l = head->next; l != head; l = l->next)
		forward = forward * 10 + CONTAINER_OF(l, struct item, link)->n;
	for (struct list *l = head->prev; l != head; l = l->prev, place *= 10)
		backward += CONTAINER_OF(l, struct item, link)->n * place;
	assert_int_equal(forward, backward);
	return forward;
}

static void
elements_stand_in_the_order_they_were_put(void **state)
{
	(void)state;
	struct list head;
	struct item a = { .n = 1 };
	struct item b = { .n = 2 };
	struct item c = { .n = 3 };
	struct item d = { .n = 4 };

	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(LIST_FIRST(&head, struct item, link));
	list_push_back(&head, &b.link);
	list_push_back(&head, &c.link);
	list_push_front(&head, &a.link);
	list_insert_before(&c.link, &d.link);
	assert_int_equal(digits(&head), 1243);
	assert_ptr_equal(LIST_FIRST(&head, struct item, link), &a);
	assert_false(list_is_empty(&head));
}

static void
an_element_taken_off_is_on_no_list_and_may_go_on_again(void **state)
{
	(void)state;
	struct list head;
	struct item a = { .n = 1 };
	struct item b = { .n = 2 };

	list_init(&head);
	assert_false(list_is_linked(&a.link));
	list_remove(&a.link);
	list_push_back(&head, &a.link);
	list_push_back(&head, &b.link);
	assert_true(list_is_linked(&a.link));
	list_remove(&a.link);
	list_remove(&a.link);
	assert_false(list_is_linked(&a.link));
	assert_int_equal(digits(&head), 2);
	list_push_back(&head, &a.link);
	assert_int_equal(digits(&head), 21);
	list_remove(&a.link);
	list_remove(&b.link);
	assert_true(list_is_empty(&head));
}

static void
splicing_moves_all_to_the_end(void **state)
{
	(void)state;
	struct list to;
	struct list from;
	struct item a = { .n = 1 };
	struct item b = { .n = 2 };
	struct item c = { .n = 3 };

	list_init(&to);
	list_init(&from);
	list_splice_back(&to, &from);
	assert_true(list_is_empty(&to));
	list_push_back(&from, &b.link);
	list_push_back(&from, &c.link);
	list_push_back(&to, &a.link);
	list_splice_back(&to, &from);
	assert_int_equal(digits(&to), 123);
	assert_true(list_is_empty(&from));
	list_splice_back(&from, &to);
	assert_int_equal(digits(&from), 123);
	assert_true(list_is_empty(&to));
}

static void
the_element_at_hand_may_be_removed_while_walking(void **state)
{
	(void)state;
	struct list head;
	struct item items[6] = { { 0 } };
	struct item *it;
	int seen = 0;

	list_init(&head);
	for (int i = 0; i < 6; i++) {
		items[i].n = i + 1;
		list_push_back(&head, &items[i].link);
	}
	LIST_FOREACH(it, &head, struct item, link) {
		seen = seen * 10 + it->n;
		if (it->n % 2 == 0)
			list_remove(&it->link);
	}
	assert_int_equal(seen, 123456);
	assert_int_equal(digits(&head), 135);
	LIST_FOREACH(it, &head, struct item, link)
		list_remove(&it->link);
	assert_true(list_is_empty(&head));
	LIST_FOREACH(it, &head, struct item, link)
		fail();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_stand_in_the_order_they_were_put),
		cmocka_unit_test(an_element_taken_off_is_on_no_list_and_may_go_on_again),
		cmocka_unit_test(splicing_moves_all_to_the_end),
		cmocka_unit_test(the_element_at_hand_may_be_removed_while_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
