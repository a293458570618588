/* The ends of operations that own memory of their own. */
#include "store/op.h"

#include <stdlib.h>

void
store_refill_done(struct store_refill *r)
{
	arena_done(&r->arena);
	r->rows = NULL;
	r->n = 0;
}

void
store_notice_free(struct store_notice **np)
{
	struct store_notice *n = *np;

	if (n == NULL)
		return;
	*np = NULL;
	free(n);
}
