/* Shared by the files of submit/. */
#pragma once

#include <stdatomic.h>

#include "base/check.h"
#include "base/list.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "submit/submit.h"

struct account_guard;
struct password_cache;

#define SUBMIT_MAGIC  0x5b171e12u
#define CONFIRM_BATCH 64

struct submit {
	uint32_t magic;
	struct submit_opts opts;
	char *hostname;
	struct relay_book *relays;
	struct account_book *accounts;
	struct mailbox *acks;    /* from the writer: struct smtp_accept, struct confirm */
	struct mailbox *checked; /* from the pool: struct check_job */
	struct outbox outbox;
	struct loop_hook turn_end;
	struct account_guard *guard;
	struct password_cache *passwords;
	size_t n_sessions;
	size_t waiting;          /* operations and jobs that are out */
	size_t n_checks;         /* secrets being checked in the pool */
	bool is_drained;         /* the server is; opts.on_drained is called when nothing waits */
	struct confirm *confirm; /* keys of this turn */
	uint64_t serial;         /* of queue ids */
	uint64_t epoch;          /* random: makes queue ids unique for ever */
};

#define COUNT(what)  atomic_fetch_add_explicit(&submit_metrics()->what, 1, memory_order_relaxed)
#define REFUSED(why) COUNT(refused[SUBMIT_REFUSED_##why])

/* login.c */
void submit_lookup_credential(
    struct smtp_server_session *ss, struct smtp_server_ticket t, struct str user, void *arg);
void submit_verify_password(struct smtp_server_session *ss, struct smtp_server_ticket t,
    struct str user, struct str secret, void *arg);
void submit_on_login(struct smtp_server_session *ss, struct str user, bool right, void *arg);
void submit_on_checked(void *arg, struct mailbox_item *item);

/* smtp_door.c */
struct submit *submit_of(void *arg);
struct ip submit_peer_of(const struct smtp_server_facts *f);
void submit_answer(struct smtp_server_session *s, struct smtp_server_ticket t, uint16_t code,
    struct smtp_enhanced e, struct str text);
void submit_on_acks(void *arg, struct mailbox_item *item);
void submit_flush_confirms(struct submit *s);
/* submit.c */
void submit_tell_drained(struct submit *s);
