/* POST /changeovers: settings are measured first, then everything is decided and written in one
 * transaction: a snapshot, the changeover as a row with its machine in DRAFT, the audit entry. From
 * the moment the books are published the dispatcher carries it out. */
#include "api/books.h"
#include "api/changeover.h"

struct start_task {
	struct api_changeover_plan plan;
	struct store_changeover_row row;
};

/* The machine as it begins, as JSON in the arena. */
static enum rc
make_machine(struct api_call *c, const struct api_changeover_plan *p,
    struct store_changeover_row *row, struct fault *f)
{
	struct relay_changeover_opts o = {
		.id = row->id,
		.kind = p->form.kind,
		.schedule = p->schedule,
		.rules = p->rules,
		.old_outcomes = p->volume.outcomes,
		.old_faults = p->volume.faults,
		.has_probe = p->has_probe,
		.now_us = row->started_us,
	};
	AUTO(relay_changeover_free) struct relay_changeover *machine = NULL;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	memcpy(o.usual, p->volume.group_per_day, sizeof(o.usual));
	machine = relay_changeover_new(&o);
	buf_init(&b, 1 << 20);
	json_writer_init(&w, &b);
	relay_changeover_write(machine, &w);
	json_writer_done(&w);
	if (!buf_is_ok(&b))
		return fault_set(f, RC_INVALID, "the changeover is too large to be kept");
	row->machine = arena_str(&c->arena, buf_str(&b));
	return RC_OK;
}

/* Whether the books can be built with it. */
static enum rc
judge(struct store_tx *tx, struct fault *f)
{
	AUTO(relay_book_unref) struct relay_book *book = NULL;

	return api_books_read(store_tx_reader(tx), &book, NULL, f);
}

static struct str
describe(struct api_call *c, const struct api_changeover_way *way)
{
	return arena_strf(&c->arena, "%.*s@%u -> %.*s@%u", STR_ARG(way->from_relay->name),
	    way->from->number, STR_ARG(way->to_relay->name), way->to->number);
}

static enum rc
start(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct start_task *t = c->data;
	struct api_changeover_plan *p = &t->plan;
	struct store_changeover_row *row = &t->row;
	enum rc rc = api_changeover_resolve(c, store_tx_reader(tx), &p->form, &p->way, f);

	*row = (struct store_changeover_row){ .open = true,
		.who = c->who,
		.note = p->form.note,
		.allow_weaker = p->form.allow_weaker,
		.state = str_from(relay_changeover_state_name(RELAY_CHANGEOVER_DRAFT)),
		.machine = STR("{}"), /* it wants the id */
		.started_us = clock_wall_us() };
	if (rc != RC_OK)
		return rc;
	row->from = p->way.from->id;
	row->to = p->way.to->id;
	row->routes = api_changeover_route_ids(&c->arena, &p->way);
	rc = store_config_changeover_add(tx, row, f);
	if (rc == RC_OK)
		rc = make_machine(c, p, row, f);
	if (rc == RC_OK)
		rc = store_config_changeover_keep(tx, row, f);
	if (rc == RC_OK)
		rc = judge(tx, f);
	if (rc != RC_OK)
		return rc;
	c->name = arena_strf(&c->arena, "%llu", (unsigned long long)row->id);
	return api_audit(c, tx, "changeover.start", describe(c, &p->way),
	    p->form.allow_weaker.n != 0
		? arena_strf(&c->arena, "may be weaker: %.*s", STR_ARG(p->form.allow_weaker))
		: p->form.note,
	    f);
}

static void
published(struct api_call *c)
{
	api_changeover_show_one(c);
}

static void
publish(struct api_call *c)
{
	api_publish(c, published);
}

static void
write_start(struct api_call *c)
{
	api_write(c, start, publish);
}

static enum rc
read_plan(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct start_task *t = c->data;

	return api_changeover_plan_read(c, r, &t->plan, f);
}

void
api_changeover_start(struct api_call *c)
{
	struct start_task *t = ARENA_NEW(&c->arena, struct start_task);
	struct fault f = { 0 };

	c->data = t;
	c->status = 201;
	if (api_changeover_form_read(c->body, &t->plan.form, &f) != RC_OK)
		api_fail_with(c, &f);
	else
		api_read(c, read_plan, write_start);
}
