/* One table of settings; three sources that override each other, each given to the same readers.
 *
 * A reader takes the text of a value and stores it at its place in the config; what it says against
 * a value is put behind the name of the source, so that every error names where it stands and what
 * would do. */
#include "daemon/config.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/ip.h"
#include "codec/name.h"

#define FILE_LIMIT   (1u << 20)
#define DEFAULT_FILE "/etc/posthouse/posthouse.conf"
#define LIST_MAX     64

/* ---- readers: one for each kind ---- */

typedef bool read_fn(struct daemon_config *c, void *field, struct str value, const char **why);

static bool
read_text(struct daemon_config *c, void *field, struct str value, const char **why)
{
	(void)why;
	*(const char **)field = value.n != 0 ? arena_str(&c->arena, value).p : NULL;
	return true;
}

static bool
read_path(struct daemon_config *c, void *field, struct str value, const char **why)
{
	return read_text(c, field, value, why);
}

static bool
read_yes_no(struct daemon_config *c, void *field, struct str value, const char **why)
{
	bool yes = str_eq_nocase(value, STR("yes")) || str_eq_nocase(value, STR("true")) ||
		   str_eq(value, STR("1"));
	bool no = str_eq_nocase(value, STR("no")) || str_eq_nocase(value, STR("false")) ||
		  str_eq(value, STR("0"));

	(void)c;
	*why = "write yes or no";
	*(bool *)field = yes;
	return yes || no;
}

static bool
read_count(struct daemon_config *c, void *field, struct str value, const char **why)
{
	uint64_t n;

	(void)c;
	*why = "write a whole number";
	if (str_to_u64(value, &n) != RC_OK || n > 100000000)
		return false;
	*(uint32_t *)field = (uint32_t)n;
	return true;
}

static bool
read_size(struct daemon_config *c, void *field, struct str value, const char **why)
{
	(void)c;
	return duration_parse_size(value, field, why);
}

static bool
read_span(struct daemon_config *c, void *field, struct str value, const char **why)
{
	uint64_t us;

	(void)c;
	if (!duration_parse(value, &us, why))
		return false;
	*(int64_t *)field = (int64_t)us;
	return true;
}

static bool
read_schedule(struct daemon_config *c, void *field, struct str value, const char **why)
{
	struct fault f = { 0 };

	*why = "";
	if (queue_retry_parse(value, field, &f) == RC_OK)
		return true;
	*why = arena_str(&c->arena, str_from(f.text)).p;
	return false;
}

static bool
read_level(struct daemon_config *c, void *field, struct str value, const char **why)
{
	(void)c;
	*why = "write error, warn, info or debug";
	return log_level_parse(value, field);
}

static bool
read_format(struct daemon_config *c, void *field, struct str value, const char **why)
{
	bool json = str_eq_nocase(value, STR("json"));

	(void)c;
	*why = "write text or json";
	*(enum log_format *)field = json ? LOG_JSON : LOG_TEXT;
	return json || str_eq_nocase(value, STR("text"));
}

static bool
next_item(struct str *rest, struct str *item_out)
{
	while (str_cut(rest, ',', item_out)) {
		*item_out = str_trim(*item_out);
		if (item_out->n != 0)
			return true;
	}
	return false;
}

static bool
read_addrs(struct daemon_config *c, void *field, struct str value, const char **why)
{
	struct daemon_addrs *out = field;
	struct str item;
	struct fault f = { 0 };

	*out = (struct daemon_addrs){ .v = ARENA_NEW_ARRAY(&c->arena, struct net_addr, LIST_MAX) };
	if (str_eq_nocase(value, STR("none")))
		return true;
	while (next_item(&value, &item)) {
		*why = "give at most 64 addresses";
		if (out->n == LIST_MAX)
			return false;
		if (net_addr_parse(item, &out->v[out->n], &f) != RC_OK) {
			*why = arena_str(&c->arena, str_from(f.text)).p;
			return false;
		}
		out->n++;
	}
	return true;
}

static bool
read_networks(struct daemon_config *c, void *field, struct str value, const char **why)
{
	struct cidr *v = ARENA_NEW_ARRAY(&c->arena, struct cidr, LIST_MAX);
	struct str item;

	*(struct cidr **)field = v;
	c->n_trusted = 0;
	if (str_eq_nocase(value, STR("none")))
		return true;
	while (next_item(&value, &item)) {
		*why = "give at most 64 networks";
		if (c->n_trusted == LIST_MAX || !ip_parse_cidr(item, &v[c->n_trusted], why))
			return false;
		c->n_trusted++;
	}
	return true;
}

/* ---- the table ---- */

static const struct row {
	const char *key;
	read_fn *read;
	size_t offset;
	const char *standard;
	const char *help;
} rows[] = {
#define X(key, kind, field, standard, help)                                                        \
	{ key, read_##kind, offsetof(struct daemon_config, field), standard, help },
#include "daemon/config_rows.def"
#undef X
};

static const struct row *
find_row(struct str key)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq(key, str_from(rows[i].key)))
			return &rows[i];
	}
	return NULL;
}

/* Levenshtein distance, for "did you mean". */
static size_t
distance(struct str a, struct str b)
{
	size_t row[64];

	if (a.n >= COUNT_OF(row) || b.n >= COUNT_OF(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t above = row[j];
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (above + 1 < best)
				best = above + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b.n];
}

static const char *
nearest(struct str key)
{
	size_t best = 0;

	for (size_t i = 1; i < COUNT_OF(rows); i++) {
		if (distance(key, str_from(rows[i].key)) < distance(key, str_from(rows[best].key)))
			best = i;
	}
	return rows[best].key;
}

/* Sets one key; `where` names the source for the error. */
static enum rc
set(struct daemon_config *c, struct str key, struct str value, const char *where, struct fault *f)
{
	const struct row *r = find_row(key);
	const char *why = "";

	value = str_trim(value);
	if (r == NULL)
		return fault_set(f, RC_INVALID,
		    "%s: there is no setting '%.*s'; did you mean '%s'?", where, STR_ARG(key),
		    nearest(key));
	if (!r->read(c, (char *)c + r->offset, value, &why))
		return fault_set(f, RC_INVALID, "%s: %s = %.*s: %s", where, r->key,
		    STR_ARG(str_sub(value, 0, 60)), why);
	return RC_OK;
}

/* ---- sources ---- */

static enum rc
from_text(struct daemon_config *c, struct str rest, const char *path, struct fault *f)
{
	char where[320];
	struct str line;

	for (unsigned no = 1; str_cut(&rest, '\n', &line); no++) {
		line = str_trim(str_sub(line, 0, str_find(line, '#')));
		size_t eq = str_find(line, '=');
		if (line.n == 0)
			continue;
		snprintf(where, sizeof(where), "%s line %u", path, no);
		if (eq == line.n)
			return fault_set(f, RC_INVALID, "%s: write 'key = value'", where);
		enum rc rc =
		    set(c, str_trim(str_sub(line, 0, eq)), str_skip(line, eq + 1), where, f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
from_file(struct daemon_config *c, const char *path, bool must_exist, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };
	FILE *file = fopen(path, "re");

	buf_init(&text, FILE_LIMIT);
	if (file == NULL && !must_exist && errno == ENOENT)
		return RC_OK;
	if (file == NULL)
		return fault_sys(f, RC_INVALID, "the configuration %s cannot be read", path);
	char *room;
	size_t n = 0;
	while ((room = buf_reserve(&text, 4096)) != NULL && (n = fread(room, 1, 4096, file)) > 0)
		buf_commit(&text, n);
	bool failed = ferror(file) != 0;
	fclose(file);
	if (failed)
		return fault_sys(f, RC_INVALID, "the configuration %s cannot be read", path);
	if (!buf_is_ok(&text))
		return fault_set(f, RC_INVALID, "the configuration %s is over 1 MB long", path);
	return from_text(c, buf_str(&text), path, f);
}

static enum rc
from_environment(struct daemon_config *c, struct fault *f)
{
	char name[64];

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int n = snprintf(name, sizeof(name), "POSTHOUSE_%s", rows[i].key);
		for (int k = 10; k < n; k++)
			name[k] =
			    name[k] == '-'
				? '_'
				: (char)(name[k] >= 'a' && name[k] <= 'z' ? name[k] - 32 : name[k]);
		const char *value = getenv(name);
		if (value == NULL)
			continue;
		enum rc rc = set(c, str_from(rows[i].key), str_from(value), name, f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* Walks "--key value" and "--key=value". With `config_out` it only looks for --config. */
static enum rc
from_words(struct daemon_config *c, int argc, char **argv, const char **config_out, struct fault *f)
{
	for (int i = 0; i < argc; i++) {
		struct str word = str_from(argv[i]);
		if (!str_starts(word, STR("--")))
			return fault_set(f, RC_INVALID,
			    "'%s' is not understood; settings look like --data DIR", argv[i]);
		word = str_skip(word, 2);
		size_t eq = str_find(word, '=');
		struct str key = str_sub(word, 0, eq);
		struct str value = str_skip(word, eq + 1);
		if (eq == word.n) {
			if (i + 1 == argc)
				return fault_set(f, RC_INVALID, "%s needs a value", argv[i]);
			value = str_from(argv[++i]);
		}
		bool is_config = str_eq(key, STR("config"));
		if (config_out != NULL) {
			if (is_config)
				*config_out = value.p;
			continue;
		}
		enum rc rc = is_config ? RC_OK : set(c, key, value, "command line", f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* ---- what follows from the rest ---- */

static const char *
machine_name(struct arena *a)
{
	char name[256] = "";
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM };
	struct addrinfo *info = NULL;
	struct str full;

	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		return "localhost";
	full = arena_str(a, str_from(name));
	if (!str_has_byte(full, '.') && getaddrinfo(name, NULL, &hints, &info) == 0) {
		if (info->ai_canonname != NULL && strchr(info->ai_canonname, '.') != NULL)
			full = arena_str(a, str_from(info->ai_canonname));
		freeaddrinfo(info);
	}
	return full.p;
}

/* What a value of the right kind can still get wrong. */
static enum rc
check_bounds(const struct daemon_config *c, struct fault *f)
{
	const struct {
		const char *key;
		uint64_t value, least;
		const char *why;
	} bounds[] = {
		{ "max-message-size", c->max_message_size, 1024, "no message would fit" },
		{ "max-recipients", c->max_recipients, 1, "no message could be sent" },
		{ "expire-after", (uint64_t)c->expire_after_us, SECONDS(60),
		    "mail would be given up before it can be sent" },
		{ "content-memory", c->content_memory, 1u << 20, "no message would be taken" },
	};

	for (size_t i = 0; i < COUNT_OF(bounds); i++) {
		if (bounds[i].value < bounds[i].least)
			return fault_set(f, RC_INVALID, "%s = %llu is too small: %s", bounds[i].key,
			    (unsigned long long)bounds[i].value, bounds[i].why);
	}
	return RC_OK;
}

/* Ours stands in greetings, EHLO and Message-ID. */
static bool
is_hostname(const char *name, const char **why)
{
	struct host_name host;
	struct ip ip;

	return name_parse(str_from(name), &host, why) || ip_parse_literal(str_from(name), &ip);
}

/* As given, or the machine's where that is a name. */
static enum rc
complete_hostname(struct daemon_config *c, struct fault *f)
{
	const char *why = "";

	if (c->hostname == NULL)
		c->hostname = machine_name(&c->arena);
	else if (!is_hostname(c->hostname, &why))
		return fault_set(f, RC_INVALID,
		    "hostname = %.80s is no name of a host (%s); write one such as mail.example.com",
		    c->hostname, why);
	if (!is_hostname(c->hostname, &why))
		c->hostname = "localhost";
	return RC_OK;
}

static enum rc
complete(struct daemon_config *c, struct fault *f)
{
	if (c->loops == 0) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);
		c->loops = n > 0 ? (uint32_t)n : 1;
	}
	if (c->loops > 256)
		return fault_set(f, RC_INVALID, "loops = %u: at most 256 make sense", c->loops);
	enum rc rc = check_bounds(c, f);
	if (rc == RC_OK)
		rc = complete_hostname(c, f);
	if (rc != RC_OK)
		return rc;
	if (c->data == NULL)
		return fault_set(f, RC_INVALID, "data: name a directory");
	for (size_t i = 0; i < c->http.n && !c->http_beyond_loopback; i++) {
		if (!net_addr_is_loopback(&c->http.v[i]))
			return fault_set(f, RC_INVALID,
			    "http: plain HTTP beyond loopback would show keys to the network; use https, "
			    "or set http-beyond-loopback = yes behind a proxy that adds TLS");
	}
	if ((c->tls_cert == NULL) != (c->tls_key == NULL))
		return fault_set(f, RC_INVALID, "tls-cert and tls-key belong together: set both");
	if (c->admin_key_file == NULL)
		c->admin_key_file = arena_strf(&c->arena, "%s/admin.key", c->data).p;
	return RC_OK;
}

static enum rc
defaults(struct daemon_config *c, struct fault *f)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < COUNT_OF(rows) && rc == RC_OK; i++)
		rc = set(c, str_from(rows[i].key), str_from(rows[i].standard), "built in", f);
	return rc;
}

enum rc
daemon_config_parse(struct str text, const char *name, struct daemon_config *out, struct fault *f)
{
	struct daemon_config c = { 0 };
	enum rc rc = defaults(&c, f);

	ASSERT(rc == RC_OK);
	rc = from_text(&c, text, name, f);
	if (rc == RC_OK)
		rc = complete(&c, f);
	if (rc == RC_OK)
		*out = c;
	else
		daemon_config_done(&c);
	return rc;
}

enum rc
daemon_config_load(int argc, char **argv, struct daemon_config *out, struct fault *f)
{
	struct daemon_config c = { 0 };
	const char *file = getenv("POSTHOUSE_CONFIG");
	enum rc rc = defaults(&c, f);

	ASSERT(rc == RC_OK);
	rc = from_words(&c, argc, argv, &file, f);
	if (rc == RC_OK)
		rc = from_file(&c, file != NULL ? file : DEFAULT_FILE, file != NULL, f);
	if (rc == RC_OK)
		rc = from_environment(&c, f);
	if (rc == RC_OK)
		rc = from_words(&c, argc, argv, NULL, f);
	if (rc == RC_OK)
		rc = complete(&c, f);
	if (rc == RC_OK)
		*out = c;
	else
		daemon_config_done(&c);
	return rc;
}

void
daemon_config_done(struct daemon_config *c)
{
	arena_done(&c->arena);
	*c = (struct daemon_config){ 0 };
}

void
daemon_config_print(struct buf *out)
{
	buf_add(out,
	    STR("# Posthouse: settings of the process. Every line shows its default; remove the '#' to change it.\n"
		"# Relays, routes, credentials and the like are not here: see 'posthouse help'.\n"));
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		buf_addf(out, "\n# %s\n#%s = %s\n", rows[i].help, rows[i].key, rows[i].standard);
}
