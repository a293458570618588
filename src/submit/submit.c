#include "submit/submit.h"

#include <stdlib.h>

#include "account/book.h"
#include "account/guard.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/password_cache.h"
#include "crypto/random.h"
#include "relay/book.h"
#include "submit/private.h"

#define PASSWORDS_REMEMBERED 4096
#define PASSWORD_MEMORY      MINUTES(10)

static struct submit_metrics metrics;

struct submit_metrics *
submit_metrics(void)
{
	return &metrics;
}

const char *
submit_refused_name(enum submit_refused r)
{
	static const char *const names[] = {
#define X(name, text) [SUBMIT_REFUSED_##name] = (text),
		SUBMIT_REFUSALS(X)
#undef X
	};

	ASSERT(r < SUBMIT_REFUSED_COUNT);
	return names[r];
}

static void
on_turn_end(void *arg)
{
	struct submit *s = FROM_ARG(struct submit, arg, SUBMIT_MAGIC);

	submit_flush_confirms(s);
	outbox_flush(&s->outbox);
}

struct submit *
submit_new(const struct submit_opts *opts)
{
	struct submit *s = MEM_NEW(struct submit);

	s->magic = SUBMIT_MAGIC;
	s->opts = *opts;
	s->hostname = str_dup0(opts->hostname);
	s->acks = mailbox_new();
	s->checked = mailbox_new();
	mailbox_attach(s->acks, opts->loop, submit_on_acks, s);
	mailbox_attach(s->checked, opts->loop, submit_on_checked, s);
	outbox_init(&s->outbox);
	loop_hook_add(opts->loop, &s->turn_end, on_turn_end, s);
	s->guard = account_guard_new();
	s->passwords = password_cache_new(PASSWORDS_REMEMBERED, PASSWORD_MEMORY);
	s->epoch = random_u64() >> 16;
	return s;
}

void
submit_free(struct submit **sp)
{
	struct submit *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	ASSERT(s->n_sessions == 0 && s->waiting == 0);
	loop_hook_remove(&s->turn_end);
	outbox_done(&s->outbox);
	mailbox_free(&s->acks);
	mailbox_free(&s->checked);
	account_guard_free(&s->guard);
	password_cache_free(&s->passwords);
	relay_book_unref(&s->relays);
	account_book_unref(&s->accounts);
	free(s->hostname);
	s->magic = 0;
	free(s);
}

void
submit_set_books(struct submit *s, struct relay_book *relays, struct account_book *accounts)
{
	struct relay_book *old_relays = s->relays;
	struct account_book *old_accounts = s->accounts;

	s->relays = relay_book_ref(relays);
	s->accounts = account_book_ref(accounts);
	relay_book_unref(&old_relays);
	account_book_unref(&old_accounts);
}

/* Drained is more than the server's last session gone: answers of writer and pool are still on
 * their way, and what waits for them must not be freed before. */
void
submit_tell_drained(struct submit *s)
{
	if (!s->is_drained || s->waiting != 0)
		return;
	s->is_drained = false;
	if (s->opts.on_drained != NULL)
		s->opts.on_drained(s->opts.arg);
}

bool
submit_is_idle(const struct submit *s)
{
	return s->waiting == 0;
}
