/* Content as a row of views: what to keep is pointed at, what is new stands in the arena.
 *
 * Whoever changes content describes the result this way, and the bytes are copied once, into the
 * blob they stay in. The views are valid as long as the original content and the arena. */
#pragma once

#include "base/str.h"

struct arena;
struct buf;

struct mail_pieces {
	struct arena *arena; /* not owned */
	struct str *v;       /* none is empty */
	size_t n;
	size_t cap;
	size_t bytes; /* of all views */
};

void mail_pieces_init(struct mail_pieces *p, struct arena *a);
/* Appends a view; one that continues the last in memory is joined to it. Empty views are left out.
 */
void mail_pieces_add(struct mail_pieces *p, struct str s);
/* Appends a copy of `s` made in the arena. */
void mail_pieces_add_copy(struct mail_pieces *p, struct str s);
/* The last byte, or '\0' when there is none. */
char mail_pieces_last(const struct mail_pieces *p);
/* Writes all `bytes` octets to `to`. */
void mail_pieces_join(const struct mail_pieces *p, char *to);
/* The same as one view, in the arena unless there is one piece only. */
struct str mail_pieces_str(const struct mail_pieces *p);
