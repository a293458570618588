/* Rows of views. The array doubles in the arena; what it leaves behind there is at most as much
 * again. */
#include "mail/pieces.h"

#include <string.h>

#include "base/arena.h"

void
mail_pieces_init(struct mail_pieces *p, struct arena *a)
{
	*p = (struct mail_pieces){ .arena = a };
}

void
mail_pieces_add(struct mail_pieces *p, struct str s)
{
	if (s.n == 0)
		return;
	p->bytes += s.n;
	if (p->n != 0 && p->v[p->n - 1].p + p->v[p->n - 1].n == s.p) {
		p->v[p->n - 1].n += s.n;
		return;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 8 : p->cap * 2;
		struct str *v = ARENA_NEW_ARRAY(p->arena, struct str, cap);
		if (p->n != 0)
			memcpy(v, p->v, p->n * sizeof(*v));
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = s;
}

void
mail_pieces_add_copy(struct mail_pieces *p, struct str s)
{
	if (s.n != 0)
		mail_pieces_add(p, arena_str(p->arena, s));
}

char
mail_pieces_last(const struct mail_pieces *p)
{
	if (p->n == 0)
		return '\0';
	struct str last = p->v[p->n - 1];
	return last.p[last.n - 1];
}

void
mail_pieces_join(const struct mail_pieces *p, char *to)
{
	for (size_t i = 0; i < p->n; i++) {
		memcpy(to, p->v[i].p, p->v[i].n);
		to += p->v[i].n;
	}
}

struct str
mail_pieces_str(const struct mail_pieces *p)
{
	if (p->n == 0)
		return (struct str){ 0 };
	if (p->n == 1)
		return p->v[0];
	char *to = arena_zalloc(p->arena, p->bytes + 1);
	mail_pieces_join(p, to);
	return str_make(to, p->bytes);
}
