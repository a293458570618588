/* One look into a mailbox: log in, list the folders, count what is in the usual ones. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mailbox/private.h"

#define CHECK_LIMIT SECONDS(60)

struct check_run {
	struct mailbox_work work;
	struct mailbox_service *service;
	struct mailbox_check *check;
	struct imap *imap;
	struct buf secret;
	struct loop_timer limit;
	struct str *raw; /* names of the folders as the server writes them */
	size_t next;     /* folder to be counted next */
	size_t counting;
};

struct mailbox_check *
mailbox_check_new(void)
{
	struct mailbox_check *c = MEM_NEW(struct mailbox_check);

	c->ask.kind = MAILBOX_ASK_CHECK;
	return c;
}

void
mailbox_check_free(struct mailbox_check **cp)
{
	struct mailbox_check *c = TAKE(*cp);

	if (c == NULL)
		return;
	arena_done(&c->arena);
	free(c);
}

static void
end(struct check_run *k, enum rc rc, const struct fault *f)
{
	struct mailbox_service *s = k->service;

	mailbox_work_end(s, &k->work);
	loop_timer_cancel(s->opts.loop, &k->limit);
	imap_free(&k->imap);
	buf_wipe(&k->secret);
	mailbox_answer(&k->check->ask, rc, f);
	free(k);
}

static void
cancel(struct mailbox_work *w)
{
	struct check_run *k = CONTAINER_OF(w, struct check_run, work);
	struct fault f = { 0 };

	end(k, fault_set(&f, RC_CANCELLED, "the service is ending"), &f);
}

static void
failed(struct check_run *k, enum imap_stage stage, struct str why)
{
	k->check->stage = stage;
	k->check->why = arena_str(&k->check->arena, why);
	end(k, RC_OK, NULL);
}

static void
too_late(void *arg)
{
	failed(arg, IMAP_STAGE_OPEN, STR("the server takes too long"));
}

static void count_next(struct check_run *k);

static void
on_opened(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct check_run *k = arg;
	struct mailbox_check_folder *f = &k->check->folders[k->counting];

	(void)i;
	/* NetEase says no to every folder of a login that it does not trust. */
	if (a->rc != RC_OK && f->role == IMAP_ROLE_INBOX) {
		failed(k, IMAP_STAGE_OPEN,
		    arena_strf(&k->check->arena, "INBOX cannot be opened, the server says: %.*s",
			STR_ARG(a->text)));
		return;
	}
	f->counted = a->rc == RC_OK;
	f->messages = a->exists;
	count_next(k);
}

static void
count_next(struct check_run *k)
{
	while (k->next < k->check->n_folders) {
		size_t at = k->next++;
		enum imap_role role = k->check->folders[at].role;
		if (role != IMAP_ROLE_INBOX && role != IMAP_ROLE_JUNK && role != IMAP_ROLE_SENT)
			continue;
		k->counting = at;
		imap_open(k->imap, k->raw[at], on_opened);
		return;
	}
	k->check->passed = true;
	end(k, RC_OK, NULL);
}

static struct str
folder_name(struct arena *a, struct str raw)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 8192);
	imap_folder_decode(&b, str_sub(raw, 0, 1000));
	return arena_str(a, buf_str(&b));
}

static void
on_folders(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct check_run *k = arg;
	struct mailbox_check *c = k->check;
	bool has_inbox = false;

	(void)i;
	if (a->rc != RC_OK) {
		failed(k, IMAP_STAGE_FOLDERS,
		    arena_strf(&c->arena, "the server says: %.*s", STR_ARG(a->text)));
		return;
	}
	k->raw = ARENA_NEW_ARRAY(&c->arena, struct str, a->n_folders + 1);
	c->folders = ARENA_NEW_ARRAY(&c->arena, struct mailbox_check_folder, a->n_folders + 1);
	for (size_t n = 0; n < a->n_folders; n++) {
		const struct imap_folder *f = &a->folders[n];
		if (!f->selectable)
			continue;
		k->raw[c->n_folders] = arena_str(&c->arena, f->name);
		c->folders[c->n_folders++] =
		    (struct mailbox_check_folder){ .name = folder_name(&c->arena, f->name),
			    .role = f->role };
		has_inbox |= f->role == IMAP_ROLE_INBOX;
		c->has_junk |= f->role == IMAP_ROLE_JUNK;
	}
	if (!has_inbox)
		failed(k, IMAP_STAGE_FOLDERS, STR("there is no INBOX"));
	else
		count_next(k);
}

static void
on_ready(struct imap *i, void *arg)
{
	struct check_run *k = arg;

	buf_wipe(&k->secret);
	k->check->greeting = arena_str(&k->check->arena, imap_greeting(i));
	k->check->tls = arena_str(&k->check->arena, imap_tls_text(i));
	imap_folders(i, on_folders);
}

static void
on_closed(struct imap *i, const struct imap_end *why, void *arg)
{
	(void)i;
	failed(arg, why->stage, why->text);
}

void
mailbox_check_run(struct mailbox_service *s, struct mailbox_check *c)
{
	static const struct imap_ops ops = { on_ready, on_closed };
	struct check_run *k = MEM_NEW(struct check_run);
	struct imap_opts opts = { 0 };
	struct fault f = { 0 };

	*k = (struct check_run){ .service = s, .check = c };
	buf_init(&k->secret, 65536);
	loop_timer_init(&k->limit, too_late, k);
	mailbox_work_begin(s, &k->work, cancel);
	if (mailbox_keys_imap(&s->keys, &c->row, &k->secret, &opts, &f) != RC_OK) {
		failed(k, f.rc == RC_TLS ? IMAP_STAGE_TLS : IMAP_STAGE_AUTH, str_from(f.text));
		return;
	}
	opts.patience = s->opts.patience;
	loop_timer_set(s->opts.loop, &k->limit,
	    loop_now_us(s->opts.loop) + (int64_t)((double)CHECK_LIMIT * s->opts.patience));
	k->imap = imap_new(s->opts.loop, s->opts.dialer, &opts, &ops, k);
}
