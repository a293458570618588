/* One chain for each destination ever used. There are a handful of them (loops, dispatcher,
 * writer), so they are found by looking, beginning with the one used last. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "loop/mailbox.h"

#define OUTBOX_MAGIC 0x007b0c5au

void
outbox_init(struct outbox *o)
{
	*o = (struct outbox){ .magic = OUTBOX_MAGIC };
}

void
outbox_done(struct outbox *o)
{
	outbox_flush(o);
	loop_hook_remove(&o->hook);
	free(o->slots);
	outbox_init(o);
}

static struct outbox_slot *
slot_for(struct outbox *o, struct mailbox *to)
{
	if (o->last < o->count && o->slots[o->last].to == to)
		return &o->slots[o->last];
	for (size_t i = 0; i < o->count; i++) {
		if (o->slots[i].to == to) {
			o->last = i;
			return &o->slots[i];
		}
	}
	if (o->count == o->cap) {
		o->cap = o->cap != 0 ? o->cap * 2 : 8;
		o->slots = mem_realloc(o->slots, o->cap * sizeof(*o->slots));
	}
	o->last = o->count++;
	o->slots[o->last] = (struct outbox_slot){ .to = to };
	return &o->slots[o->last];
}

void
outbox_add(struct outbox *o, struct mailbox *to, struct mailbox_item *item)
{
	mailbox_chain_add(&slot_for(o, to)->chain, item);
	o->dirty = true;
}

void
outbox_flush(struct outbox *o)
{
	if (!o->dirty)
		return;
	o->dirty = false;
	for (size_t i = 0; i < o->count; i++)
		mailbox_post_chain(o->slots[i].to, &o->slots[i].chain);
}

static void
on_turn_end(void *arg)
{
	struct outbox *o = FROM_ARG(struct outbox, arg, OUTBOX_MAGIC);

	outbox_flush(o);
}

void
outbox_attach(struct outbox *o, struct loop *loop)
{
	loop_hook_add(loop, &o->hook, on_turn_end, o);
}
