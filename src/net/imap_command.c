/* What may be asked of a mailbox: its folders, opening one, searching it, fetching a message.
 *
 * Untagged data of the kind that the command asked for is collected; all else a server says
 * meanwhile is passed over. The answer is given at the tagged end, when nothing of the response is
 * needed any more. LIMITS: ESEARCH is not used; a search that finds more than fits into the input
 * ends the connection, which `from_uid` and `since_us` are there to prevent. */
#include "base/clock.h"
#include "base/mem.h"
#include "net/imap_private.h"

static void
begin(struct imap *i, enum imap_stage stage, imap_answer_fn *on_answer)
{
	ASSERT(i->state == IMAP_READY && on_answer != NULL);
	imap_set_state(i, IMAP_COMMAND);
	i->stage = stage;
	i->on_answer = on_answer;
	arena_clear(&i->answer_arena);
	i->answer = (struct imap_answer){ 0 };
	i->folders = NULL;
	i->uids = NULL;
	i->n_uids = 0;
	i->wanted_uid = 0;
}

/* ---- asking ---- */

void
imap_folders(struct imap *i, imap_answer_fn *on_answer)
{
	begin(i, IMAP_STAGE_FOLDERS, on_answer);
	i->folders = ARENA_NEW_ARRAY(&i->answer_arena, struct imap_folder, IMAP_FOLDERS_MAX);
	i->answer.folders = i->folders;
	buf_add(&i->out, STR("LIST \"\" \"*\""));
	/* Servers with special use that announce no SPECIAL-USE give it unasked, or never. */
	if (imap_has(i, STR("SPECIAL-USE")) && imap_has(i, STR("LIST-EXTENDED")))
		buf_add(&i->out, STR(" RETURN (SPECIAL-USE)"));
	imap_send(i);
}

void
imap_open(struct imap *i, struct str folder, imap_answer_fn *on_answer)
{
	/* The name may come from the answer that `begin` forgets. */
	buf_add(&i->out, STR("EXAMINE "));
	enum rc rc = imap_quote(&i->out, folder);
	begin(i, IMAP_STAGE_OPEN, on_answer);
	if (rc == RC_OK)
		imap_send(i);
	else
		imap_fail(i, RC_INVALID, "the name of a folder cannot be written");
}

void
imap_search(struct imap *i, const struct imap_query *query, imap_answer_fn *on_answer)
{
	enum rc rc = RC_OK;

	buf_add(&i->out, STR("UID SEARCH"));
	if (query->from_uid != 0)
		buf_addf(&i->out, " UID %u:*", query->from_uid);
	if (query->since_us != 0) {
		buf_add(&i->out, STR(" SINCE "));
		imap_date(&i->out, query->since_us);
	}
	if (query->header.n != 0) {
		buf_addf(&i->out, " HEADER %.*s ", STR_ARG(query->header));
		rc = imap_quote(&i->out, query->value);
	}
	if (query->from_uid == 0 && query->since_us == 0 && query->header.n == 0)
		buf_add(&i->out, STR(" ALL"));
	uint32_t from = query->from_uid;
	begin(i, IMAP_STAGE_SEARCH, on_answer);
	i->wanted_uid = from;
	if (rc == RC_OK)
		imap_send(i);
	else
		imap_fail(i, RC_INVALID, "what is searched for cannot be written");
}

void
imap_fetch(struct imap *i, uint32_t uid, size_t max, imap_answer_fn *on_answer)
{
	bool labels = imap_has(i, STR("X-GM-EXT-1"));

	begin(i, IMAP_STAGE_FETCH, on_answer);
	i->wanted_uid = uid;
	buf_addf(&i->out, "UID FETCH %u (UID RFC822.SIZE%s BODY.PEEK[]<0.%zu>)", uid,
	    labels ? " X-GM-LABELS" : "", max < IMAP_FETCH_MAX ? max : (size_t)IMAP_FETCH_MAX);
	imap_send(i);
}

/* ---- collecting ---- */

static void
add_folder(struct imap *i, const struct imap_value *v)
{
	const struct imap_value *delimiter = imap_value_at(v, 1), *name = imap_value_at(v, 2);
	struct imap_folder *f;

	if (i->answer.n_folders == IMAP_FOLDERS_MAX || name == NULL || v->kind != IMAP_LIST ||
	    name->kind == IMAP_LIST || name->text.n == 0)
		return;
	f = &i->folders[i->answer.n_folders++];
	*f = (struct imap_folder){ .name = arena_str(&i->answer_arena, name->text),
		.role = imap_role_of_attributes(v->first),
		.delimiter = delimiter->text.n != 0 ? delimiter->text.p[0] : '\0',
		.selectable = !imap_value_has(v->first, STR("\\Noselect")) &&
			      !imap_value_has(v->first, STR("\\NonExistent")) };
	if (str_eq_nocase(f->name, STR("INBOX")))
		f->role = IMAP_ROLE_INBOX;
}

/* Usual names count only for roles that no attribute gave away, and each role once. */
static void
settle_roles(struct imap *i)
{
	unsigned taken = 0;

	for (size_t k = 0; k < i->answer.n_folders; k++) {
		struct imap_folder *f = &i->folders[k];
		if ((taken & 1u << f->role) != 0)
			f->role = IMAP_ROLE_NONE;
		taken |= 1u << f->role;
	}
	for (size_t k = 0; k < i->answer.n_folders; k++) {
		struct imap_folder *f = &i->folders[k];
		if (f->role != IMAP_ROLE_NONE)
			continue;
		enum imap_role role = imap_role_of_name(f->name, f->delimiter);
		if ((taken & 1u << role) == 0)
			f->role = role;
		taken |= 1u << f->role;
	}
}

static void
add_found(struct imap *i, const struct imap_value *v)
{
	uint64_t n;

	if (i->uids == NULL)
		i->uids = ARENA_NEW_ARRAY(&i->answer_arena, uint32_t, IMAP_UIDS_MAX);
	for (; v != NULL; v = v->next) {
		/* "N:*" matches the last message even where its number is below N. */
		if (!imap_value_number(v, &n) || n == 0 || n > UINT32_MAX || n < i->wanted_uid)
			continue;
		/* A ring: the last ones stay. Servers give them in ascending order. */
		i->uids[i->n_uids++ % IMAP_UIDS_MAX] = (uint32_t)n;
	}
}

static int
compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
settle_found(struct imap *i)
{
	size_t n = i->n_uids < IMAP_UIDS_MAX ? i->n_uids : IMAP_UIDS_MAX;

	if (n > 1)
		qsort(i->uids, n, sizeof(*i->uids), compare_uids);
	i->answer.uids = i->uids;
	i->answer.n_uids = n;
}

static void
take_message(struct imap *i, const struct imap_value *list)
{
	const struct imap_value *v = list != NULL ? list->first : NULL;
	const struct imap_value *content = imap_value_of(v, STR("BODY[]"));
	const struct imap_value *labels = imap_value_of(v, STR("X-GM-LABELS"));
	uint64_t uid = 0, size = 0;

	/* Flags of some other message may have changed meanwhile. */
	if (!imap_value_number(imap_value_of(v, STR("UID")), &uid) || uid != i->wanted_uid ||
	    content == NULL || i->answer.uid != 0)
		return;
	i->answer.uid = (uint32_t)uid;
	i->answer.content = arena_str(&i->answer_arena, content->text);
	i->answer.size = content->text.n;
	if (imap_value_number(imap_value_of(v, STR("RFC822.SIZE")), &size))
		i->answer.size = size;
	if (labels == NULL || labels->kind != IMAP_LIST)
		return;
	i->answer.labels_known = true;
	i->answer.label_inbox = imap_value_has(labels->first, STR("\\Inbox"));
	i->answer.label_junk = imap_value_has(labels->first, STR("\\Spam")) ||
			       imap_value_has(labels->first, STR("\\Junk"));
}

static void
take_code(struct imap *i, struct str code)
{
	struct str rest;
	uint64_t n;

	if (imap_code_is(code, STR("UIDVALIDITY"), &rest) && str_to_u64(rest, &n) == RC_OK &&
	    n <= UINT32_MAX)
		i->answer.uidvalidity = (uint32_t)n;
	if (imap_code_is(code, STR("UIDNEXT"), &rest) && str_to_u64(rest, &n) == RC_OK &&
	    n <= UINT32_MAX)
		i->answer.uidnext = (uint32_t)n;
}

static void
collect(struct imap *i, const struct imap_response *r)
{
	if (i->stage == IMAP_STAGE_OPEN && r->code.n != 0)
		take_code(i, r->code);
	if (r->status != IMAP_DATA || r->odd)
		return;
	if (i->stage == IMAP_STAGE_FOLDERS && str_eq_nocase(r->name, STR("LIST")) &&
	    r->values != NULL)
		add_folder(i, r->values);
	else if (i->stage == IMAP_STAGE_OPEN && str_eq_nocase(r->name, STR("EXISTS")))
		i->answer.exists = r->number;
	else if (i->stage == IMAP_STAGE_SEARCH && str_eq_nocase(r->name, STR("SEARCH")))
		add_found(i, r->values);
	else if (i->stage == IMAP_STAGE_FETCH && str_eq_nocase(r->name, STR("FETCH")))
		take_message(i, r->values);
}

void
imap_command_response(struct imap *i, const struct imap_response *r)
{
	if (r->status == IMAP_CONTINUE) {
		imap_fail(i, RC_INVALID, "the server asks for more where nothing follows");
		return;
	}
	if (!imap_is_end(i, r)) {
		collect(i, r);
		return;
	}
	if (r->status != IMAP_OK && r->status != IMAP_NO) {
		imap_fail(i, RC_INVALID, "the server does not understand us: %.*s",
		    STR_ARG(str_sub(r->text, 0, 200)));
		return;
	}
	if (i->stage == IMAP_STAGE_OPEN)
		take_code(i, r->code);
	i->answer.rc = r->status == IMAP_OK ? RC_OK : RC_DENIED;
	i->answer.text = arena_str(&i->answer_arena, str_sub(r->text, 0, 200));
	settle_roles(i);
	settle_found(i);
	imap_set_state(i, IMAP_READY);
	/* The callback may give the next command, which clears what this one collected: the answer
	 * goes by value, and its arena lives until that call. */
	struct imap_answer answer = i->answer;
	TAKE(i->on_answer)(i, &answer, i->arg);
}
