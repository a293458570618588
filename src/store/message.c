/* A message lives in its own arena, so that it crosses threads as one pointer and ends in one call.
 */
#include "store/message.h"

#include <stdlib.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"

struct store_message *
store_message_new(void)
{
	struct store_message *m = MEM_NEW(struct store_message);

	m->op.kind = STORE_FRESH;
	m->deadline_us = TIME_NEVER;
	arena_init(&m->arena);
	return m;
}

void
store_message_free(struct store_message **mp)
{
	struct store_message *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	blob_unref(&m->content);
	arena_done(&m->arena);
	free(m);
}

void
store_message_add_rcpts(struct store_message *m, uint32_t n)
{
	ASSERT(m->rcpts == NULL && n > 0);
	m->rcpts = ARENA_NEW_ARRAY(&m->arena, struct store_recipient, n);
	m->n_rcpts = n;
}
