/* Changeovers in the book: which routes they move, and what each version makes of a sender. */
#include "base/check.h"
#include "relay/book.h"
#include "relay/private.h"

void
relay_book_add_moves(struct relay_book *book, const struct relay_book_rows *rows)
{
	struct arena *a = &book->arena;

	book->moves = ARENA_NEW_ARRAY(a, struct relay_move_row, rows->move_count);
	for (size_t i = 0; i < rows->move_count; i++) {
		const struct relay_move_row *m = &rows->moves[i];
		if (relay_book_version(book, m->from) == NULL ||
		    relay_book_version(book, m->to) == NULL)
			continue;
		book->moves[book->move_count++] = (struct relay_move_row){ m->id, m->from, m->to,
			arena_str(a, m->routes), arena_str(a, m->machine) };
	}
}

size_t
relay_book_move_count(const struct relay_book *book)
{
	return book->move_count;
}

const struct relay_move_row *
relay_book_move_at(const struct relay_book *book, size_t i)
{
	ASSERT(i < book->move_count);
	return &book->moves[i];
}

static bool
has_route(struct str list, uint64_t id)
{
	struct str word;
	uint64_t v;

	while (str_cut(&list, ' ', &word)) {
		if (word.n != 0 && str_to_u64(word, &v) == RC_OK && v == id)
			return true;
	}
	return false;
}

const struct relay_move_row *
relay_book_move_of(const struct relay_book *book, struct route_id route)
{
	const struct relay_move_row *newest = NULL;

	for (size_t i = 0; i < book->move_count; i++) {
		const struct relay_move_row *m = &book->moves[i];
		if ((newest == NULL || m->id > newest->id) && has_route(m->routes, route.v))
			newest = m;
	}
	return newest;
}

bool
relay_book_carries_key(const struct relay_book *book, struct version_id version,
    struct route_id route, struct str key, struct str *rewritten_out)
{
	const struct book_rewrite *rewrite = NULL;
	struct book_pattern p;
	size_t i = 0;

	if (relay_book_read_key(key, &p) != RC_OK)
		return false;
	while (i < book->version_count && !ID_EQ(book->versions[i].row.id, version))
		i++;
	if (i == book->version_count)
		return false;
	bool for_bounces = book->bounces != NULL && ID_EQ(book->bounces->row.id, route) &&
			   str_eq(p.sender, STR("<>"));
	if (!for_bounces && !relay_book_carries_sender(&book->versions[i], p.sender, &rewrite))
		return false;
	*rewritten_out = rewrite != NULL ? rewrite->typed : (struct str){ 0 };
	return true;
}
