/* Alarms: who is told when something is wrong. */
#include "api/watch.h"

#include "mail/address.h"
#include "store/config_system.h"

#define TARGET_MAX 2000

struct alarm_task {
	struct store_alarm_row row;
	struct store_alarm_row *rows;
	uint32_t n;
};

static void
put_alarm(struct json_writer *w, const struct store_alarm_row *row)
{
	json_writer_object(w);
	json_writer_put_uint(w, "id", row->id);
	json_writer_put_str(w, "kind", row->kind);
	json_writer_put_str(w, "target", row->target);
	api_put_time(w, "created_at", row->created_us);
	json_writer_end(w);
}

static enum rc
put_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_alarm_row *rows;
	uint32_t n;
	enum rc rc = store_config_alarm_list(r, &c->arena, &rows, &n, f);

	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < n; i++)
		put_alarm(&c->json, &rows[i]);
	api_list_end(&c->json, false);
	return RC_OK;
}

void
api_alarm_list(struct api_call *c)
{
	api_answer_from(c, put_all);
}

/* ---- adding ---- */

static enum rc
read_alarm(struct api_call *c, struct store_alarm_row *row, struct fault *f)
{
	static const char *const fields[] = { "kind", "target" };
	struct mail_addr addr;
	const char *why;
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = api_need_str(c->body, "kind", &row->kind, f);
	if (rc == RC_OK)
		rc = api_need_str(c->body, "target", &row->target, f);
	if (rc == RC_OK)
		rc = api_check_text("target", row->target, TARGET_MAX, f);
	if (rc != RC_OK)
		return rc;
	if (row->target.n == 0)
		return fault_set(f, RC_INVALID, "target is empty");
	if (str_eq(row->kind, STR("mail"))) {
		if (mail_addr_parse(row->target, MAIL_ADDR_UTF8, &c->arena, &addr, &why) != RC_OK)
			return fault_set(f, RC_INVALID, "target '%.*s' is no address: %s",
			    STR_ARG(str_sub(row->target, 0, 80)), why);
		return RC_OK;
	}
	if (str_eq(row->kind, STR("url")))
		return str_starts(row->target, STR("https://")) ||
			       str_starts(row->target, STR("http://"))
			   ? RC_OK
			   : fault_set(f, RC_INVALID,
				 "target of kind url begins with https:// or http://");
	if (!str_eq(row->kind, STR("command")))
		return fault_set(f, RC_INVALID, "kind must be mail, command or url");
	return RC_OK;
}

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct alarm_task *t = c->data;
	enum rc rc;

	t->row.id = 0;
	t->row.created_us = clock_wall_us();
	rc = store_config_alarm_put(tx, &t->row, f);
	return rc == RC_OK ? api_audit(c, tx, "alarm.add", t->row.target, (struct str){ 0 }, f)
			   : rc;
}

static enum rc
put_added(struct api_call *c, struct store_reader *r, struct fault *f)
{
	const struct alarm_task *t = c->data;

	(void)r;
	(void)f;
	put_alarm(&c->json, &t->row);
	return RC_OK;
}

void
api_alarm_add(struct api_call *c)
{
	struct alarm_task *t = ARENA_NEW(&c->arena, struct alarm_task);
	struct fault f = { 0 };

	c->data = t;
	c->status = 201;
	if (read_alarm(c, &t->row, &f) != RC_OK)
		api_fail_with(c, &f);
	else
		api_change_quietly(c, add, put_added);
}

/* ---- removing and testing ---- */

static enum rc
drop(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	uint64_t id;

	if (str_to_u64(c->name, &id) != RC_OK)
		return fault_set(
		    f, RC_NOT_FOUND, "there is no alarm '%.*s'", STR_ARG(str_sub(c->name, 0, 40)));
	enum rc rc = store_config_alarm_remove(tx, id, f);
	if (rc == RC_NOT_FOUND)
		return fault_set(f, rc, "there is no alarm %llu", (unsigned long long)id);
	return rc == RC_OK ? api_audit(c, tx, "alarm.remove", c->name, (struct str){ 0 }, f) : rc;
}

void
api_alarm_remove(struct api_call *c)
{
	api_change_quietly(c, drop, NULL);
}

static enum rc
read_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct alarm_task *t = c->data;

	return store_config_alarm_list(r, &c->arena, &t->rows, &t->n, f);
}

static void
sound(struct api_call *c)
{
	const struct alarm_task *t = c->data;
	struct str subject = arena_strf(
	    &c->arena, "Posthouse on %.*s: this is a test", STR_ARG(c->api->opts.hostname));

	api_watch_sound(c->api, t->rows, t->n, subject,
	    STR("This is a test of the alarms. Nothing is wrong.\n"));
	json_writer_object(&c->json);
	json_writer_put_str(&c->json, "object", STR("done"));
	json_writer_put_uint(&c->json, "alarms", t->n);
	json_writer_end(&c->json);
	api_done(c);
}

void
api_alarm_test(struct api_call *c)
{
	c->data = ARENA_NEW(&c->arena, struct alarm_task);
	api_read(c, read_all, sound);
}
