/* The book's life, and looking things up in it.
 *
 * Counts of relays and versions are those of a person's settings, tens or hundreds; ids and names
 * are found by walking. Routes and senders may be many thousands and are found by binary search. */
#include "relay/book.h"

#include "base/check.h"
#include "base/mem.h"
#include "relay/private.h"

struct relay_book *
relay_book_ref(struct relay_book *book)
{
	ASSERT(atomic_fetch_add_explicit(&book->refs, 1, memory_order_relaxed) > 0);
	return book;
}

void
relay_book_unref(struct relay_book **bp)
{
	struct relay_book *book = TAKE(*bp);

	if (book == NULL)
		return;
	int before = atomic_fetch_sub_explicit(&book->refs, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before > 1)
		return;
	arena_done(&book->arena);
	free(book);
}

bool
relay_book_has_name(const struct book_names *names, struct str name)
{
	size_t lo = 0, hi = names->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(name, names->v[mid]);
		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

bool
relay_book_has_account(const struct relay_book *book, uint64_t account)
{
	size_t lo = 0, hi = book->account_mark_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (book->account_marks[mid] == account)
			return true;
		if (account < book->account_marks[mid])
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

int
relay_book_cmp_routes(const struct book_route *a, const struct book_route *b)
{
	const struct book_pattern *p = &a->pattern, *q = &b->pattern;
	int c;

	if (a->shape != b->shape)
		return a->shape > b->shape ? -1 : 1;
	if ((c = str_cmp(p->sender, q->sender)) != 0)
		return c;
	if ((c = str_cmp(p->rcpt_domain, q->rcpt_domain)) != 0)
		return c;
	if (p->account != q->account)
		return p->account < q->account ? -1 : 1;
	return p->stream - q->stream;
}

const struct relay_row *
relay_book_relay(const struct relay_book *book, struct relay_id id)
{
	for (size_t i = 0; i < book->relay_count; i++) {
		if (ID_EQ(book->relays[i].id, id))
			return &book->relays[i];
	}
	return NULL;
}

const struct relay_row *
relay_book_relay_named(const struct relay_book *book, struct str name)
{
	for (size_t i = 0; i < book->relay_count; i++) {
		if (str_eq_nocase(book->relays[i].name, name))
			return &book->relays[i];
	}
	return NULL;
}

static const struct book_version *
version_of(const struct relay_book *book, struct version_id id)
{
	for (size_t i = 0; i < book->version_count; i++) {
		if (ID_EQ(book->versions[i].row.id, id))
			return &book->versions[i];
	}
	return NULL;
}

const struct relay_version_row *
relay_book_version(const struct relay_book *book, struct version_id id)
{
	const struct book_version *v = version_of(book, id);

	return v != NULL ? &v->row : NULL;
}

const struct relay_route_row *
relay_book_route_row(const struct relay_book *book, struct route_id id)
{
	for (size_t i = 0; i < book->route_count; i++) {
		if (ID_EQ(book->routes[i].row.id, id))
			return &book->routes[i].row;
	}
	return NULL;
}

size_t
relay_book_relay_count(const struct relay_book *book)
{
	return book->relay_count;
}

const struct relay_row *
relay_book_relay_at(const struct relay_book *book, size_t i)
{
	ASSERT(i < book->relay_count);
	return &book->relays[i];
}

size_t
relay_book_version_count(const struct relay_book *book)
{
	return book->version_count;
}

const struct relay_version_row *
relay_book_version_at(const struct relay_book *book, size_t i)
{
	ASSERT(i < book->version_count);
	return &book->versions[i].row;
}

size_t
relay_book_route_count(const struct relay_book *book)
{
	return book->route_count;
}

const struct relay_route_row *
relay_book_route_at(const struct relay_book *book, size_t i)
{
	ASSERT(i < book->route_count);
	return &book->routes[i].row;
}

const struct relay_version_row *
relay_book_default(const struct relay_book *book)
{
	if (book->fallback == NULL)
		return NULL;
	return &book->versions[book->relay_version[book->fallback->relay]].row;
}

uint64_t
relay_book_max_size(const struct relay_book *book)
{
	const struct relay_version_row *v = relay_book_default(book);

	return v != NULL && v->caps.seen ? v->caps.size_bytes : 0;
}

bool
relay_book_has_smtputf8(const struct relay_book *book)
{
	const struct relay_version_row *v = relay_book_default(book);

	return v == NULL || !v->caps.seen || v->caps.smtputf8;
}

bool
relay_book_carries(const struct relay_book *book, struct version_id version,
    const struct mail_addr *sender, struct str *rewritten_out)
{
	char room[RELAY_SENDER_TEXT_MAX];
	const struct book_version *v = version_of(book, version);
	const struct book_rewrite *rewrite;

	if (v == NULL || !relay_book_carries_sender(v, relay_sender_of(sender, room), &rewrite))
		return false;
	*rewritten_out = rewrite != NULL ? rewrite->typed : (struct str){ 0 };
	return true;
}
