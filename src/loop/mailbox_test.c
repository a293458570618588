#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/mailbox.h"
#include "loop/thread.h"

struct letter {
	struct mailbox_item item;
	unsigned sender;
	unsigned number;
};

static struct letter *
letter_of(struct mailbox_item *item)
{
	return CONTAINER_OF(item, struct letter, item);
}

static struct letter *
letter_new(unsigned sender, unsigned number)
{
	struct letter *l = MEM_NEW(struct letter);

	l->sender = sender;
	l->number = number;
	return l;
}

static void
items_come_out_oldest_first_whether_posted_singly_or_in_chains(void **state)
{
	struct mailbox *mb = mailbox_new();
	struct mailbox_chain chain = { 0 };
	struct letter l[5];

	(void)state;
	mailbox_post(mb, &l[0].item);
	mailbox_chain_add(&chain, &l[1].item);
	mailbox_chain_add(&chain, &l[2].item);
	mailbox_chain_add(&chain, &l[3].item);
	mailbox_post_chain(mb, &chain);
	assert_null(chain.newest);
	mailbox_post_chain(mb, &chain);
	mailbox_post(mb, &l[4].item);
	struct mailbox_item *it = mailbox_take(mb);
	for (size_t i = 0; i < 5; i++, it = it->next)
		assert_ptr_equal(it, &l[i].item);
	assert_null(it);
	assert_null(mailbox_take(mb));
	mailbox_free(&mb);
	assert_null(mb);
}

static void
waiting_gives_up_when_nobody_writes(void **state)
{
	struct mailbox *mb = mailbox_new();
	int64_t before = clock_monotonic_us();

	(void)state;
	assert_null(mailbox_wait(mb, 0));
	assert_null(mailbox_wait(mb, MS(3)));
	assert_true(clock_monotonic_us() - before >= MS(3));
	mailbox_free(&mb);
}

static void
a_stale_wake_does_not_end_a_wait_early(void **state)
{
	struct mailbox *mb = mailbox_new();
	struct letter l;

	(void)state;
	mailbox_post(mb, &l.item);
	assert_non_null(mailbox_take(mb));
	int64_t before = clock_monotonic_us();
	assert_null(mailbox_wait(mb, MS(3)));
	assert_true(clock_monotonic_us() - before >= MS(3));
	mailbox_free(&mb);
}

#define SENDERS 4u
#define LETTERS 20000u

struct sender {
	struct mailbox *to;
	unsigned number;
};

/* Posts in runs of one to seven, as a loop's turns would. */
static void
send_all(void *arg)
{
	struct sender *s = arg;
	struct outbox out;

	outbox_init(&out);
	for (unsigned i = 0; i < LETTERS; i++) {
		outbox_add(&out, s->to, &letter_new(s->number, i)->item);
		if (i % (s->number + 4) == 0)
			outbox_flush(&out);
	}
	outbox_done(&out);
}

/* Checks the order of each sender and counts. */
struct tally {
	unsigned next[SENDERS];
	unsigned count;
	struct loop *loop; /* stopped at the last letter */
};

static void
tally_up(void *arg, struct mailbox_item *it)
{
	struct tally *t = arg;

	while (it != NULL) {
		struct letter *l = letter_of(it);
		it = it->next;
		assert_int_equal(l->number, t->next[l->sender]);
		t->next[l->sender]++;
		t->count++;
		free(l);
	}
	if (t->count == SENDERS * LETTERS && t->loop != NULL)
		loop_stop(t->loop);
}

static void
start_senders(struct mailbox *mb, struct sender s[SENDERS], struct loop_thread *threads[SENDERS])
{
	for (unsigned i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ mb, i };
		threads[i] = loop_thread_start("sender", send_all, &s[i]);
	}
}

static void
a_waiting_thread_gets_every_item_of_every_sender_in_order(void **state)
{
	struct mailbox *mb = mailbox_new();
	struct sender s[SENDERS];
	struct loop_thread *threads[SENDERS];
	struct tally t = { 0 };

	(void)state;
	start_senders(mb, s, threads);
	while (t.count < SENDERS * LETTERS) {
		struct mailbox_item *first = mailbox_wait(mb, SECONDS(20));
		assert_non_null(first);
		tally_up(&t, first);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		loop_thread_join(&threads[i]);
	assert_null(mailbox_take(mb));
	mailbox_free(&mb);
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("a wake was lost");
}

static void
a_loop_gets_every_item_of_every_sender_in_order(void **state)
{
	struct mailbox *mb = mailbox_new();
	struct loop *loop = loop_new();
	struct loop_timer guard;
	struct sender s[SENDERS];
	struct loop_thread *threads[SENDERS];
	struct tally t = { .loop = loop };

	(void)state;
	loop_timer_init(&guard, too_late, NULL);
	loop_timer_set(loop, &guard, loop_now_us(loop) + SECONDS(20));
	mailbox_attach(mb, loop, tally_up, &t);
	start_senders(mb, s, threads);
	loop_run(loop);
	for (unsigned i = 0; i < SENDERS; i++)
		loop_thread_join(&threads[i]);
	assert_int_equal(t.count, SENDERS * LETTERS);
	mailbox_free(&mb);
	loop_timer_cancel(loop, &guard);
	loop_free(&loop);
}

static void
expect_no_mail_yet(void *arg)
{
	assert_null(mailbox_take(arg));
}

static void
stop_now(void *arg)
{
	loop_stop(arg);
}

static void
an_attached_outbox_posts_at_the_end_of_the_turn(void **state)
{
	struct mailbox *a = mailbox_new(), *b = mailbox_new();
	struct loop *loop = loop_new();
	struct loop_task look;
	struct outbox out;
	struct letter l[3];

	(void)state;
	outbox_init(&out);
	outbox_attach(&out, loop);
	outbox_add(&out, a, &l[0].item);
	outbox_add(&out, b, &l[1].item);
	outbox_add(&out, a, &l[2].item);
	/* Tasks run before hooks. */
	loop_task_init(&look, expect_no_mail_yet, a);
	loop_defer(loop, &look);
	struct loop_timer stop;
	loop_timer_init(&stop, stop_now, loop);
	loop_timer_set(loop, &stop, 0);
	loop_run(loop);
	struct mailbox_item *first = mailbox_take(a);
	assert_ptr_equal(first, &l[0].item);
	assert_ptr_equal(first->next, &l[2].item);
	assert_null(first->next->next);
	assert_ptr_equal(mailbox_take(b), &l[1].item);
	outbox_done(&out);
	mailbox_free(&a);
	mailbox_free(&b);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_out_oldest_first_whether_posted_singly_or_in_chains),
		cmocka_unit_test(waiting_gives_up_when_nobody_writes),
		cmocka_unit_test(a_stale_wake_does_not_end_a_wait_early),
		cmocka_unit_test(a_waiting_thread_gets_every_item_of_every_sender_in_order),
		cmocka_unit_test(a_loop_gets_every_item_of_every_sender_in_order),
		cmocka_unit_test(an_attached_outbox_posts_at_the_end_of_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
