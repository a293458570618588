/* How long a start takes with many recipients waiting, and how soon the first page is there.
 *
 *	store_start DIR [ROWS [IN_HAND]]
 *
 * Fills DIR, where it is new, with ROWS queued recipients, IN_HAND of them in the dispatcher's
 * hands when the process ends without a word; then opens it again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/clock.h"
#include "store/message.h"
#include "store/store.h"

#define RCPTS  20
#define WINDOW 256

static struct mailbox *box;

static struct store *
open_store(const char *dir)
{
	struct store *s = NULL;
	struct fault fault = { 0 };

	if (store_open(&(struct store_opts){ .dir = dir }, &s, &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		exit(1);
	}
	return s;
}

static struct store_message *
make_message(uint64_t serial)
{
	struct store_message *m = store_message_new();

	store_message_add_rcpts(m, RCPTS);
	m->account.v = 1 + serial % 50;
	m->stream = serial % 10 == 0 ? STREAM_TRANSACTIONAL : STREAM_BULK;
	m->created_us = clock_wall_us();
	m->sender = STR("news@example.com");
	m->content = blob_from(STR("Subject: news\r\n\r\nHello\r\n"));
	for (uint32_t i = 0; i < RCPTS; i++) {
		m->rcpts[i].address =
		    arena_strf(&m->arena, "reader%" PRIu64 ".%u@example.net", serial, i);
		m->rcpts[i].group_key = arena_strf(&m->arena, "group%" PRIu64, serial % 20);
	}
	return m;
}

/* Takes what has come; returns how many submissions were answered. */
static uint64_t
take(void)
{
	struct mailbox_item *item = mailbox_wait(box, SECONDS(10)), *next;
	uint64_t answered = 0;

	for (; item != NULL; item = next) {
		next = item->next;
		struct store_op *op = store_op_of(item);
		if (op->kind == STORE_FRESH) {
			struct store_message *m = CONTAINER_OF(op, struct store_message, op);
			store_message_free(&m);
		} else if (op->kind == STORE_ACCEPT) {
			free(CONTAINER_OF(op, struct store_accept, op));
			answered++;
		} else if (op->kind != STORE_GRANT) {
			struct store_notice *n = CONTAINER_OF(op, struct store_notice, op);
			store_notice_free(&n);
		}
	}
	return answered;
}

static void
fill(const char *dir, uint64_t rows, int64_t in_hand)
{
	struct store *s = open_store(dir);
	struct group_id groups[20];
	struct store_grant grant = { .op = { .kind = STORE_GRANT },
		.opened = groups,
		.n_opened = COUNT_OF(groups),
		.credits = { in_hand / 2, in_hand / 2 } };
	uint64_t sent = 0, answered = 0;

	box = mailbox_new();
	for (uint64_t i = 0; i < COUNT_OF(groups); i++)
		groups[i].v = i + 1;
	store_start(s, box);
	grant.op.reply = box;
	store_post(s, &grant.op);
	while (answered < rows / RCPTS) {
		for (; sent < rows / RCPTS && sent < answered + WINDOW; sent++) {
			struct store_accept *op = calloc(1, sizeof(*op));
			op->op.kind = STORE_ACCEPT;
			op->op.reply = box;
			op->msg = make_message(sent);
			store_post(s, &op->op);
		}
		answered += take();
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
	int64_t in_hand = argc > 3 ? strtoll(argv[3], NULL, 10) : 20000;
	int status = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: store_start DIR [ROWS [IN_HAND]]\n");
		return 2;
	}
	if (mkdir(argv[1], 0700) == 0) {
		pid_t pid = fork();
		if (pid == 0)
			fill(argv[1], rows, in_hand);
		waitpid(pid, &status, 0);
	}
	int64_t from = clock_monotonic_us();
	struct store *s = open_store(argv[1]);
	int64_t opened = clock_monotonic_us();
	const struct store_recovery *found = store_recovery(s);
	uint64_t waiting = 0;
	for (size_t i = 0; i < found->n_backlogs; i++)
		waiting += found->backlogs[i].rows;
	printf("%" PRIu64 " rows in %zu groups and lanes; open %.0f ms", waiting, found->n_backlogs,
	    (double)(opened - from) / 1e3);
	struct store_backlog first = { .group = { 1 } };
	if (found->n_backlogs > 0)
		first = found->backlogs[0];
	box = mailbox_new();
	store_start(s, box);
	struct store_refill refill = { .op = { .kind = STORE_REFILL, .reply = box },
		.group = first.group,
		.lane = first.lane,
		.before_us = TIME_NEVER,
		.share = 64,
		.max = STORE_REFILL_MAX };
	store_post(s, &refill.op);
	struct mailbox_item *item = mailbox_wait(box, SECONDS(60));
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	printf(", first %u rows %.1f ms later, %ld MB resident\n", item != NULL ? refill.n : 0,
	    (double)(clock_monotonic_us() - opened) / 1e3, use.ru_maxrss / 1024);
	store_refill_done(&refill);
	from = clock_monotonic_us();
	store_close(&s);
	printf("close %.0f ms\n", (double)(clock_monotonic_us() - from) / 1e3);
	mailbox_free(&box);
	return status == 0 ? 0 : 1;
}
