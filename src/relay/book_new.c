/* Building a book: rows are copied and checked one kind after the other, then everything is sorted
 * and what is told apart is collected. The first thing found wrong ends it; its fault names the row
 * and the remedy. */
#include "base/check.h"
#include "base/mem.h"
#include "mail/address.h"
#include "relay/book.h"
#include "relay/private.h"
#include "relay/provider.h"

#define NAME_MAX_BYTES 64
#define TEXT_MAX_BYTES 1024

#define BAD(...)       return fault_set(f, RC_INVALID, __VA_ARGS__)

static void
add_name(struct arena *a, struct book_names *names, struct str name)
{
	if (names->n == names->cap) {
		size_t cap = names->cap != 0 ? names->cap * 2 : 8;
		struct str *v = ARENA_NEW_ARRAY(a, struct str, cap);
		if (names->n != 0)
			memcpy(v, names->v, names->n * sizeof(*v));
		names->v = v;
		names->cap = cap;
	}
	names->v[names->n++] = name;
}

static int
cmp_names(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void
sort_names(struct book_names *names)
{
	size_t n = 0;

	if (names->n == 0)
		return;
	qsort(names->v, names->n, sizeof(*names->v), cmp_names);
	for (size_t i = 0; i < names->n; i++) {
		if (n == 0 || !str_eq(names->v[n - 1], names->v[i]))
			names->v[n++] = names->v[i];
	}
	names->n = n;
}

/* Cuts the next entry off a list with blanks or line ends between entries; false at its end. */
static bool
next_entry(struct str *rest, struct str *out)
{
	size_t n = 0;

	*rest = str_trim(*rest);
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t' && rest->p[n] != '\n' &&
	       rest->p[n] != '\r')
		n++;
	*out = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	return n != 0;
}

/* Printable ASCII or UTF-8 without control bytes, of bearable length. */
static bool
is_plain(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	}
	return s.n <= max;
}

static bool
is_relay_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) && !str_has_byte(STR("._-"), s.p[i]))
			return false;
	}
	return s.n != 0 && s.n <= NAME_MAX_BYTES;
}

static bool
is_host(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) && !str_has_byte(STR("._-:"), s.p[i]) &&
		    ((unsigned char)s.p[i] & 0x80) == 0)
			return false;
	}
	return s.n != 0 && s.n <= 255;
}

static bool
is_loopback(struct str host)
{
	uint64_t part;
	struct str rest = host, field;
	int fields = 0;

	if (str_eq_nocase(host, STR("localhost")) || str_ends_nocase(host, STR(".localhost")) ||
	    str_eq(host, STR("::1")))
		return true;
	/* Four numbers: a name such as 127.example.org is none of ours. */
	while (str_cut(&rest, '.', &field)) {
		if (str_to_u64(field, &part) != RC_OK || part > 255 ||
		    (fields++ == 0 && part != 127))
			return false;
	}
	return fields == 4;
}

static enum rc
add_relays(struct relay_book *book, const struct relay_book_rows *rows, struct fault *f)
{
	book->relays = ARENA_NEW_ARRAY(&book->arena, struct relay_row, rows->relay_count);
	book->relay_version = ARENA_NEW_ARRAY(&book->arena, size_t, rows->relay_count);
	for (size_t i = 0; i < rows->relay_count; i++) {
		const struct relay_row *r = &rows->relays[i];
		if (!is_relay_name(r->name))
			BAD("relay name \"%.*s\" must be 1 to 64 letters, digits, dots, hyphens and "
			    "underscores",
			    STR_ARG(r->name));
		if (relay_book_relay_named(book, r->name) != NULL)
			BAD("there are two relays called %.*s: rename one", STR_ARG(r->name));
		if (ID_IS_NONE(r->id) || relay_book_relay(book, r->id) != NULL)
			BAD("relay %.*s has no id of its own", STR_ARG(r->name));
		book->relays[i] = *r;
		book->relays[i].name = arena_str(&book->arena, r->name);
		book->relay_count++;
	}
	return RC_OK;
}

static enum rc
add_senders(struct arena *a, struct book_version *v, const char *name, struct fault *f)
{
	struct str rest = v->row.senders, entry, canonical;
	const char *why = "";

	while (next_entry(&rest, &entry)) {
		if (relay_sender_parse(entry, a, &canonical, NULL, &why) != RC_OK)
			BAD("%s: sender \"%.*s\" is no address, @domain or <>: %s", name,
			    STR_ARG(entry), why);
		add_name(a, &v->senders, canonical);
	}
	sort_names(&v->senders);
	return RC_OK;
}

/* Reads "OLD=NEW". The last '=' divides, since a local part may hold one and a domain may not. */
static enum rc
read_rewrite(
    struct arena *a, struct book_version *v, struct str entry, const char *name, struct fault *f)
{
	struct book_rewrite *r = &v->rewrites[v->rewrite_count];
	size_t at = str_find_last(entry, '=');
	struct str from = str_sub(entry, 0, at), to = str_skip(entry, at + 1);
	const char *why = "there is no =";

	if (at == entry.n)
		BAD("%s: rewrite \"%.*s\" must be OLD=NEW", name, STR_ARG(entry));
	if (str_eq(from, STR("*")))
		r->from = from;
	else if (str_eq(from, STR("<>")) ||
		 relay_sender_parse(from, a, &r->from, NULL, &why) != RC_OK)
		BAD("%s: rewrite \"%.*s\": OLD must be an address, @domain or *", name,
		    STR_ARG(entry));
	if (str_starts(to, STR("@")) || str_eq(to, STR("<>")) ||
	    relay_sender_parse(to, a, &r->to, &r->typed, &why) != RC_OK)
		BAD("%s: rewrite \"%.*s\": NEW must be an address", name, STR_ARG(entry));
	if (v->senders.n != 0 && !relay_book_has_name(&v->senders, r->to) &&
	    !relay_book_has_name(&v->senders, relay_sender_domain(r->to)))
		BAD("%s rewrites to %.*s, which it does not carry: add --from %.*s", name,
		    STR_ARG(to), STR_ARG(to));
	for (size_t i = 0; i < v->rewrite_count; i++) {
		if (str_eq(v->rewrites[i].from, r->from))
			BAD("%s rewrites %.*s twice: keep one", name, STR_ARG(from));
	}
	v->rewrite_count++;
	return RC_OK;
}

static enum rc
add_rewrites(struct arena *a, struct book_version *v, const char *name, struct fault *f)
{
	struct str rest = v->row.rewrites, entry;
	size_t count = 0;

	while (next_entry(&rest, &entry))
		count++;
	v->rewrites = ARENA_NEW_ARRAY(a, struct book_rewrite, count);
	rest = v->row.rewrites;
	while (next_entry(&rest, &entry)) {
		enum rc rc = read_rewrite(a, v, entry, name, f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
check_version(const struct relay_version_row *v, const char *name, struct fault *f)
{
	if (!is_host(v->host))
		BAD("%s: host \"%.*s\" is no host name or address", name, STR_ARG(v->host));
	if (v->port == 0)
		BAD("%s has no port: 465 for implicit TLS, 587 for STARTTLS", name);
	if ((unsigned)v->tls >= RELAY_TLS_COUNT || (unsigned)v->auth >= RELAY_AUTH_COUNT)
		BAD("%s: TLS or authentication mechanism is unknown", name);
	if (v->tls == RELAY_TLS_NONE && !is_loopback(v->host) && v->allow_plaintext.n == 0)
		BAD("%s would send in clear to %.*s: use --tls implicit or starttls, or "
		    "--allow-plaintext \"REASON\"",
		    name, STR_ARG(v->host));
	if (v->tls_name.n != 0 && !is_host(v->tls_name))
		BAD("%s: TLS name \"%.*s\" is no host name", name, STR_ARG(v->tls_name));
	if (!is_plain(v->user, 320) || !is_plain(v->ca_file, TEXT_MAX_BYTES) ||
	    !is_plain(v->bounces, TEXT_MAX_BYTES) || !is_plain(v->provider, NAME_MAX_BYTES) ||
	    !is_plain(v->allow_plaintext, TEXT_MAX_BYTES))
		BAD("%s: a setting is too long or holds control characters", name);
	if (v->user.n == 0 && v->secret.n != 0)
		BAD("%s has a secret but no user: add --user", name);
	if (v->rate.count > RELAY_RATE_MAX || (v->rate.count != 0 && v->rate.per_s == 0))
		BAD("%s: a rate is N/s, N/m, N/h or N/d", name);
	return RC_OK;
}

/* Copies what the row points at, and fills in what it left to the provider. */
static void
copy_version(struct arena *a, const struct relay_version_row *from, struct relay_version_row *to)
{
	*to = *from;
	struct str *const texts[] = { &to->host, &to->tls_name, &to->ca_file, &to->user,
		&to->secret, &to->senders, &to->rewrites, &to->bounces, &to->provider,
		&to->allow_plaintext };
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		*texts[i] = arena_str(a, *texts[i]);
	const struct relay_provider *p = to->provider.n != 0 ? relay_provider_named(to->provider)
							     : relay_provider_of_host(to->host);
	if (p != NULL)
		to->provider = str_from(p->name);
	if (to->max_connections == 0)
		to->max_connections = p != NULL ? p->max_connections : RELAY_DEFAULT_CONNECTIONS;
	if (to->max_recipients == 0)
		to->max_recipients = p != NULL ? p->max_recipients : RELAY_DEFAULT_RECIPIENTS;
}

static enum rc
add_version(struct relay_book *book, const struct relay_version_row *row, struct fault *f)
{
	struct book_version *v = &book->versions[book->version_count];
	const struct relay_row *relay = relay_book_relay(book, row->relay);
	enum rc rc;

	if (relay == NULL)
		BAD("relay version %llu belongs to no relay", (unsigned long long)row->id.v);
	struct str name =
	    arena_strf(&book->arena, "relay %.*s@%u", STR_ARG(relay->name), row->number);
	if (ID_IS_NONE(row->id) || relay_book_version(book, row->id) != NULL)
		BAD("%s has no id of its own", name.p);
	if ((rc = check_version(row, name.p, f)) != RC_OK)
		return rc;
	copy_version(&book->arena, row, &v->row);
	if ((rc = add_senders(&book->arena, v, name.p, f)) != RC_OK ||
	    (rc = add_rewrites(&book->arena, v, name.p, f)) != RC_OK)
		return rc;
	book->version_count++;
	return RC_OK;
}

static enum rc
add_versions(struct relay_book *book, const struct relay_book_rows *rows, struct fault *f)
{
	book->versions = ARENA_NEW_ARRAY(&book->arena, struct book_version, rows->version_count);
	for (size_t i = 0; i < rows->version_count; i++) {
		enum rc rc = add_version(book, &rows->versions[i], f);
		if (rc != RC_OK)
			return rc;
	}
	for (size_t i = 0; i < book->relay_count; i++) {
		size_t v = 0;
		while (v < book->version_count &&
		       (!ID_EQ(book->versions[v].row.id, book->relays[i].current) ||
			   !ID_EQ(book->versions[v].row.relay, book->relays[i].id)))
			v++;
		if (v == book->version_count)
			BAD("relay %.*s has no current version", STR_ARG(book->relays[i].name));
		book->relay_version[i] = v;
	}
	return RC_OK;
}

/* Fills in pattern and shape from the row's attributes. */
static enum rc
read_pattern(struct arena *a, struct book_route *route, struct fault *f)
{
	struct relay_route_row *row = &route->row;
	unsigned long long id = row->id.v;
	struct book_pattern *p = &route->pattern;
	const char *why = "";

	p->stream = -1;
	if (row->sender.n != 0) {
		if (str_eq(row->sender, STR("<>")) ||
		    relay_sender_parse(row->sender, a, &p->sender, NULL, &why) != RC_OK)
			BAD("route %llu: sender \"%.*s\" is no address or @domain", id,
			    STR_ARG(row->sender));
		bool whole = str_starts(p->sender, STR("@"));
		route->shape |= whole ? BOOK_BY_DOMAIN : BOOK_BY_ADDRESS;
	}
	if (row->rcpt_domain.n != 0) {
		/* "@qq.com" is as clear as "qq.com". */
		struct str bare = str_skip(row->rcpt_domain, row->rcpt_domain.p[0] == '@');
		struct str text = arena_strf(a, "@%.*s", STR_ARG(bare)), canonical;
		if (str_has_byte(bare, '@') ||
		    relay_sender_parse(text, a, &canonical, NULL, &why) != RC_OK)
			BAD("route %llu: recipient domain \"%.*s\" is no domain", id,
			    STR_ARG(row->rcpt_domain));
		p->rcpt_domain = str_skip(canonical, 1);
		route->shape |= BOOK_BY_RCPT;
	}
	if (!ID_IS_NONE(row->account)) {
		p->account = row->account.v;
		route->shape |= BOOK_BY_ACCOUNT;
	}
	if (row->by_stream) {
		if ((unsigned)row->stream >= STREAM_COUNT)
			BAD("route %llu: stream is unknown", id);
		p->stream = (int)row->stream;
		route->shape |= BOOK_BY_STREAM;
	}
	return RC_OK;
}

static enum rc
add_route(struct relay_book *book, const struct relay_route_row *row, struct fault *f)
{
	struct book_route *route = &book->routes[book->route_count];
	unsigned long long id = row->id.v;
	enum rc rc;

	if (ID_IS_NONE(row->id) || relay_book_route_row(book, row->id) != NULL)
		BAD("route %llu has no id of its own", id);
	while (
	    route->relay < book->relay_count && !ID_EQ(book->relays[route->relay].id, row->relay))
		route->relay++;
	if (route->relay == book->relay_count)
		BAD("route %llu names a relay that does not exist: edit or remove it", id);
	route->row = *row;
	route->row.sender = arena_str(&book->arena, row->sender);
	route->row.rcpt_domain = arena_str(&book->arena, row->rcpt_domain);
	if ((rc = read_pattern(&book->arena, route, f)) != RC_OK)
		return rc;
	bool special = row->is_default || row->for_bounces;
	if (special && route->shape != 0)
		BAD("route %llu is the %s and matches everything: take its conditions away", id,
		    row->is_default ? "default" : "one for bounces");
	if (row->is_default && row->for_bounces)
		BAD("route %llu cannot be both the default and the one for bounces", id);
	if (!special && route->shape == 0)
		BAD("route %llu has no condition: edit the default route instead", id);
	book->route_count++;
	return RC_OK;
}

static int
cmp_routes(const void *a, const void *b)
{
	const struct book_route *p = a, *q = b;

	if (p->row.for_bounces != q->row.for_bounces)
		return p->row.for_bounces ? -1 : 1;
	return relay_book_cmp_routes(p, q);
}

static enum rc
add_routes(struct relay_book *book, const struct relay_book_rows *rows, struct fault *f)
{
	size_t n = rows->route_count;

	book->routes = ARENA_NEW_ARRAY(&book->arena, struct book_route, n);
	for (size_t i = 0; i < n; i++) {
		enum rc rc = add_route(book, &rows->routes[i], f);
		if (rc != RC_OK)
			return rc;
	}
	if (n == 0)
		return RC_OK;
	qsort(book->routes, n, sizeof(*book->routes), cmp_routes);
	for (size_t i = 0; i < n; i++) {
		const struct book_route *route = &book->routes[i];
		unsigned long long id = route->row.id.v;
		if (i != 0 && cmp_routes(&book->routes[i - 1], route) == 0)
			BAD("routes %llu and %llu match the same mail: remove one",
			    (unsigned long long)book->routes[i - 1].row.id.v, id);
		if (route->row.for_bounces) {
			book->bounces = route;
			continue;
		}
		book->shapes |= 1u << route->shape;
		if (route->row.is_default)
			book->fallback = route;
	}
	if (book->fallback == NULL)
		BAD("there is no default route: posthouse route add --default --relay NAME");
	return RC_OK;
}

static int
cmp_accounts(const void *a, const void *b)
{
	uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;

	return p < q ? -1 : p > q;
}

/* Collects what some route, list or rewrite tells apart. */
static void
collect_marks(struct relay_book *book)
{
	struct arena *a = &book->arena;

	book->account_marks = ARENA_NEW_ARRAY(a, uint64_t, book->route_count);
	for (size_t i = 0; i < book->route_count; i++) {
		const struct book_pattern *p = &book->routes[i].pattern;
		if (p->account != 0)
			book->account_marks[book->account_mark_count++] = p->account;
		if (p->rcpt_domain.n != 0)
			add_name(a, &book->rcpt_marks, p->rcpt_domain);
		if (p->sender.n != 0)
			add_name(a, &book->sender_marks, p->sender);
		book->stream_mark |= p->stream >= 0;
	}
	if (book->account_mark_count != 0)
		qsort(
		    book->account_marks, book->account_mark_count, sizeof(uint64_t), cmp_accounts);
	book->null_mark = book->bounces != NULL;
	for (size_t i = 0; i < book->version_count; i++) {
		const struct book_version *v = &book->versions[i];
		book->null_mark |= v->senders.n != 0 || v->rewrite_count != 0;
		for (size_t s = 0; s < v->senders.n; s++) {
			if (!str_eq(v->senders.v[s], STR("<>")))
				add_name(a, &book->sender_marks, v->senders.v[s]);
		}
		for (size_t r = 0; r < v->rewrite_count; r++) {
			add_name(a, &book->sender_marks, v->rewrites[r].to);
			if (!str_eq(v->rewrites[r].from, STR("*")))
				add_name(a, &book->sender_marks, v->rewrites[r].from);
		}
	}
	sort_names(&book->sender_marks);
	sort_names(&book->rcpt_marks);
}

enum rc
relay_book_new(const struct relay_book_rows *rows, struct relay_book **out, struct fault *f)
{
	AUTO(relay_book_unref) struct relay_book *book = MEM_NEW(struct relay_book);
	enum rc rc;

	atomic_init(&book->refs, 1);
	book->had_relay = rows->had_relay;
	if ((rc = add_relays(book, rows, f)) != RC_OK ||
	    (rc = add_versions(book, rows, f)) != RC_OK ||
	    (rc = add_routes(book, rows, f)) != RC_OK)
		return rc;
	collect_marks(book);
	relay_book_add_moves(book, rows);
	*out = TAKE(book);
	return RC_OK;
}
