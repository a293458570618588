/* POST /changeovers/{id}/hold, resume, confirm, revert: a person's word. The dispatcher judges it
 * by the state it is in and posts what follows to the writer; the audit entry comes behind that. */
#include "api/changeover.h"

#include "deliver/changeover.h"

struct command_task {
	enum deliver_changeover_command what;
	const char *audit;
	uint64_t id;
	struct store_changeover_row row;
	struct str why;
};

static void
give_order(struct api_call *c, struct deliver *d)
{
	struct command_task *t = c->data;
	enum rc rc = deliver_changeover_command(d, t->id, t->what, t->why, &c->fault);

	/* The row was there: it is over, or its state does not allow it. */
	if (rc == RC_NOT_FOUND) {
		c->fault = (struct fault){ 0 };
		rc = fault_set(&c->fault, RC_EXISTS,
		    "changeover %llu is over (%.*s); there is nothing to %s",
		    (unsigned long long)t->id, STR_ARG(t->row.state),
		    t->audit + sizeof("changeover.") - 1);
	}
	c->fault.rc = rc == RC_INVALID ? RC_EXISTS : rc;
}

static enum rc
write_audit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	const struct command_task *t = c->data;

	return api_audit(c, tx, t->audit,
	    arena_strf(&c->arena, "changeover %llu", (unsigned long long)t->id), t->why, f);
}

static void
publish(struct api_call *c)
{
	api_publish(c, api_changeover_show_one);
}

static void
audit(struct api_call *c)
{
	api_write(c, write_audit, publish);
}

static enum rc
find(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct command_task *t = c->data;
	enum rc rc = api_changeover_find(c, r, c->name, &t->row, f);

	t->id = t->row.id;
	if (rc == RC_OK)
		c->name = arena_strf(&c->arena, "%llu", (unsigned long long)t->id);
	return rc;
}

static void
order(struct api_call *c)
{
	api_order(c, give_order, audit);
}

static void
command(struct api_call *c, enum deliver_changeover_command what, const char *audit_word)
{
	struct command_task *t = ARENA_NEW(&c->arena, struct command_task);
	struct fault f = { 0 };
	bool at_once = false;
	enum rc rc = RC_OK;

	t->what = what;
	t->audit = audit_word;
	c->data = t;
	if (c->body != NULL) {
		static const char *const fields[] = { "why", "at_once" };
		rc = json_only(c->body, fields, what == DELIVER_CHANGEOVER_REVERT ? 2 : 1, &f);
		if (rc == RC_OK)
			rc = json_opt_str(c->body, "why", &t->why, &f);
		if (rc == RC_OK)
			rc = json_opt_bool(c->body, "at_once", &at_once, &f);
	}
	if (rc == RC_OK)
		rc = api_check_text("why", t->why, 200, &f);
	if (at_once)
		t->what = DELIVER_CHANGEOVER_REVERT_AT_ONCE;
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else
		api_read(c, find, order);
}

void
api_changeover_hold(struct api_call *c)
{
	command(c, DELIVER_CHANGEOVER_HOLD, "changeover.hold");
}

void
api_changeover_resume(struct api_call *c)
{
	command(c, DELIVER_CHANGEOVER_RESUME, "changeover.resume");
}

void
api_changeover_confirm(struct api_call *c)
{
	command(c, DELIVER_CHANGEOVER_CONFIRM, "changeover.confirm");
}

void
api_changeover_revert(struct api_call *c)
{
	command(c, DELIVER_CHANGEOVER_REVERT, "changeover.revert");
}
