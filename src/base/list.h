/* Doubly linked lists whose links live inside the elements.
 *
 * A list head is a link that points at itself when empty. An element is on at most one list per
 * link; a link that is on no list is either zeroed or was taken off by list_remove. Nothing here
 * allocates. */
#pragma once

#include <stdbool.h>

#include "base/check.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void
list_init(struct list *head)
{
	head->next = head->prev = head;
}
static inline bool
list_is_empty(const struct list *head)
{
	return head->next == head;
}
/* Whether `link` is on some list (a zeroed link is on none). */
static inline bool
list_is_linked(const struct list *link)
{
	return link->next != NULL && link->next != link;
}
static inline void
list_insert_before(struct list *at, struct list *link)
{
	ASSERT(!list_is_linked(link));
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}
static inline void
list_push_back(struct list *head, struct list *link)
{
	list_insert_before(head, link);
}
static inline void
list_push_front(struct list *head, struct list *link)
{
	list_insert_before(head->next, link);
}
/* Takes `link` off its list; harmless when it is on none. */
static inline void
list_remove(struct list *link)
{
	if (link->next == NULL)
		return;
	link->next->prev = link->prev;
	link->prev->next = link->next;
	link->next = link->prev = NULL;
}
/* Moves everything from `from` to the end of `to`. */
static inline void
list_splice_back(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

#define LIST_FIRST(head, type, member)                                                             \
	(list_is_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))
/* Walks; the element under `it` may be removed while walking. */
#define LIST_FOREACH(it, head, type, member)                                                       \
	for (struct list *it##_link_ = (head)->next, *it##_next_ = it##_link_->next;               \
	     it##_link_ != (head) && (((it) = CONTAINER_OF(it##_link_, type, member)), 1);         \
	     it##_link_ = it##_next_, it##_next_ = it##_link_->next)
