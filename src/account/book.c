/* Rows become an index by user name. Everything lives in the book's arena and is freed with its
 * last reference. */
#include "account/book.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "mail/address.h"

#define LIST_MAX 1000

struct account_book {
	_Atomic int32_t refs;
	struct arena arena;
	struct account_row *accounts;
	size_t n_accounts;
	struct account_credential *credentials;
	size_t n_credentials;
	/* hash of the user name -> struct account_credential; probed on collision */
	struct map by_user;
};

/* The next word of a list separated by blanks, commas or line ends; false at the end. */
static bool
next_word(struct str *rest, struct str *word_out)
{
	size_t i = 0;
	size_t from;

	while (i < rest->n &&
	       (rest->p[i] == ' ' || rest->p[i] == ',' || rest->p[i] == '\n' || rest->p[i] == '\t'))
		i++;
	from = i;
	while (i < rest->n && rest->p[i] != ' ' && rest->p[i] != ',' && rest->p[i] != '\n' &&
	       rest->p[i] != '\t')
		i++;
	*word_out = str_sub(*rest, from, i - from);
	*rest = str_skip(*rest, i);
	return word_out->n != 0;
}

static size_t
count_words(struct str list)
{
	struct str word;
	size_t n = 0;

	while (next_word(&list, &word))
		n++;
	return n;
}

enum rc
account_senders_check(struct str text, struct fault *f)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr addr;
	struct str word;
	const char *why;

	if (count_words(text) > LIST_MAX)
		return fault_set(f, RC_LIMIT,
		    "a credential takes at most %d senders; use @domain instead", LIST_MAX);
	while (next_word(&text, &word)) {
		struct str full = word.p[0] == '@' ? arena_strf(&a, "x%.*s", STR_ARG(word)) : word;
		if (mail_addr_parse(full, MAIL_ADDR_UTF8, &a, &addr, &why) != RC_OK || addr.is_null)
			return fault_set(f, RC_INVALID,
			    "'%.*s' is no sender; write an address or @domain", STR_ARG(word));
	}
	return RC_OK;
}

enum rc
account_networks_check(struct str text, struct fault *f)
{
	struct cidr net;
	struct str word;
	const char *why;

	if (count_words(text) > LIST_MAX)
		return fault_set(f, RC_LIMIT, "a credential takes at most %d networks", LIST_MAX);
	while (next_word(&text, &word)) {
		if (!ip_parse_cidr(word, &net, &why))
			return fault_set(f, RC_INVALID,
			    "'%.*s' is no network (%s); write such as 192.0.2.0/24", STR_ARG(word),
			    why);
	}
	return RC_OK;
}

static enum rc
take_lists(struct account_book *b, const struct account_credential_row *row,
    struct account_credential *c, struct fault *f)
{
	struct str rest = row->senders;
	struct str word;
	const char *why;
	enum rc rc = account_senders_check(row->senders, f);

	if (rc == RC_OK)
		rc = account_networks_check(row->networks, f);
	if (rc != RC_OK)
		return rc;
	struct str *senders = ARENA_NEW_ARRAY(&b->arena, struct str, count_words(row->senders));
	while (next_word(&rest, &word))
		senders[c->n_senders++] = arena_lower(&b->arena, word);
	c->senders = senders;
	struct cidr *nets = ARENA_NEW_ARRAY(&b->arena, struct cidr, count_words(row->networks));
	for (rest = row->networks; next_word(&rest, &word);) {
		if (ip_parse_cidr(word, &nets[c->n_networks], &why))
			c->n_networks++;
	}
	c->networks = nets;
	return RC_OK;
}

/* A free place for `user` in the index, or the credential that has the name. */
static uint64_t
find_key(const struct account_book *b, struct str user, struct account_credential **found_out)
{
	uint64_t key = str_hash_nocase(user, 0);
	struct account_credential *c;

	while ((c = map_get(&b->by_user, key)) != NULL && !str_eq_nocase(c->user, user))
		key++;
	*found_out = c;
	return key;
}

static enum rc
add_credential(struct account_book *b, const struct account_credential_row *row, struct fault *f)
{
	struct account_credential *c = &b->credentials[b->n_credentials];
	struct account_credential *other;
	const struct account_row *account = account_book_account(b, row->account);

	if (account == NULL)
		return fault_set(
		    f, RC_INVALID, "credential '%.*s' belongs to no account", STR_ARG(row->user));
	*c = (struct account_credential){
		.id = row->id,
		.account = row->account,
		.user = arena_str(&b->arena, row->user),
		.has_stream = row->has_stream,
		.stream = row->stream,
		.options = row->options,
		.paused = row->paused || account->paused,
	};
	if (password_parse(row->verifier, &c->verifier) != RC_OK)
		return fault_set(f, RC_INVALID,
		    "the verifier of credential '%.*s' cannot be read; set its secret again",
		    STR_ARG(row->user));
	enum rc rc = take_lists(b, row, c, f);
	if (rc != RC_OK)
		return rc;
	uint64_t key = find_key(b, c->user, &other);
	if (other != NULL)
		return fault_set(
		    f, RC_INVALID, "there are two credentials '%.*s'", STR_ARG(row->user));
	map_put(&b->by_user, key, c);
	b->n_credentials++;
	return RC_OK;
}

enum rc
account_book_new(const struct account_row *accounts, size_t n_accounts,
    const struct account_credential_row *credentials, size_t n_credentials,
    struct account_book **out, struct fault *f)
{
	AUTO(account_book_unref) struct account_book *b = MEM_NEW(struct account_book);

	atomic_init(&b->refs, 1);
	b->accounts = ARENA_NEW_ARRAY(&b->arena, struct account_row, n_accounts);
	b->credentials = ARENA_NEW_ARRAY(&b->arena, struct account_credential, n_credentials);
	for (size_t i = 0; i < n_accounts; i++) {
		b->accounts[i] = accounts[i];
		b->accounts[i].name = arena_str(&b->arena, accounts[i].name);
	}
	b->n_accounts = n_accounts;
	for (size_t i = 0; i < n_credentials; i++) {
		enum rc rc = add_credential(b, &credentials[i], f);
		if (rc != RC_OK)
			return rc;
	}
	*out = TAKE(b);
	return RC_OK;
}

struct account_book *
account_book_ref(struct account_book *b)
{
	ASSERT(atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed) > 0);
	return b;
}

void
account_book_unref(struct account_book **bp)
{
	struct account_book *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	map_done(&b->by_user);
	arena_done(&b->arena);
	free(b);
}

const struct account_credential *
account_book_find(const struct account_book *b, struct str user)
{
	struct account_credential *c;

	find_key(b, user, &c);
	return c;
}

const struct account_row *
account_book_account(const struct account_book *b, struct account_id id)
{
	for (size_t i = 0; i < b->n_accounts; i++) {
		if (ID_EQ(b->accounts[i].id, id))
			return &b->accounts[i];
	}
	return NULL;
}

static bool
matches(struct str pattern, const struct mail_addr *sender)
{
	size_t at = str_find_last(pattern, '@');
	struct str local = str_sub(pattern, 0, at);
	struct str domain = str_skip(pattern, at + 1);

	if (!str_eq_nocase(domain, sender->domain) && !str_eq_nocase(domain, sender->domain_ascii))
		return false;
	return local.n == 0 || str_eq_nocase(local, sender->local);
}

bool
account_credential_may_send_as(const struct account_credential *c, const struct mail_addr *sender)
{
	if (c->n_senders == 0 || sender->is_null)
		return true;
	for (size_t i = 0; i < c->n_senders; i++) {
		if (matches(c->senders[i], sender))
			return true;
	}
	return false;
}

bool
account_credential_may_come_from(const struct account_credential *c, const struct ip *peer)
{
	if (c->n_networks == 0)
		return true;
	for (size_t i = 0; i < c->n_networks; i++) {
		if (ip_in_cidr(peer, &c->networks[i]))
			return true;
	}
	return false;
}
