/* The text form is a version and fields, each `name:value`, split by ';':
 *
 *     1;argon2id:$argon2id$v=19$m=65536,t=2,p=1$SALT$HASH;scram-sha-256:20000:SALT:STORED:SERVER
 *     1;sha256:SALT:DIGEST;scram-sha-256:...
 *
 * Binary values are hexadecimal. The Argon2 string is libsodium's, in its own form; before it is
 * believed, its memory and passes are bounded, so that a damaged row cannot ask for gigabytes. */
#include "crypto/password.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "crypto/random.h"

#define OPSLIMIT          crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEMLIMIT          crypto_pwhash_MEMLIMIT_INTERACTIVE
#define ARGON2_KIB_MAX    (UINT64_C(1) << 20)
#define ARGON2_PASSES_MAX 16

static_assert(PASSWORD_ARGON2_SIZE == crypto_pwhash_STRBYTES, "room for libsodium's string");

/* SHA-256 of the salt and the secret. */
static void
salted_digest(const uint8_t salt[static PASSWORD_SALT_SIZE], struct str secret,
    uint8_t out[static HASH_SHA256_SIZE])
{
	struct hash_stream h;

	hash_stream_init(&h);
	hash_stream_add(&h, str_make((const char *)salt, PASSWORD_SALT_SIZE));
	hash_stream_add(&h, secret);
	hash_stream_end(&h, out);
	hash_stream_done(&h);
}

enum rc
password_make(
    struct str secret, enum password_kind kind, bool with_scram, struct password_verifier *out)
{
	struct password_verifier v = { .kind = kind };

	if (secret.n == 0 || secret.n > PASSWORD_MAX || scram_check_password(secret) != RC_OK)
		return RC_INVALID;
	switch (kind) {
	case PASSWORD_CHOSEN:
		if (crypto_pwhash_str_alg(v.argon2, secret.p, secret.n, OPSLIMIT, MEMLIMIT,
			crypto_pwhash_ALG_ARGON2ID13) != 0)
			return RC_AGAIN;
		break;
	case PASSWORD_GENERATED:
		random_bytes(v.salt, sizeof(v.salt));
		salted_digest(v.salt, secret, v.digest);
		break;
	}
	if (with_scram)
		scram_keys_make(secret, PASSWORD_SCRAM_ITERATIONS, &v.scram);
	*out = v;
	mem_wipe(&v, sizeof(v));
	return RC_OK;
}

static enum rc
check_argon2(const char *argon2, struct str secret)
{
	errno = 0;
	if (crypto_pwhash_str_verify(argon2, secret.p, secret.n) == 0)
		return RC_OK;
	/* libsodium tells a mismatch by EINVAL, and anything else is memory that could not be had.
	 */
	return errno == EINVAL ? RC_DENIED : RC_AGAIN;
}

enum rc
password_check(const struct password_verifier *v, struct str secret)
{
	uint8_t digest[HASH_SHA256_SIZE];

	if (secret.n == 0 || secret.n > PASSWORD_MAX)
		return RC_DENIED;
	switch (v->kind) {
	case PASSWORD_CHOSEN: return check_argon2(v->argon2, secret);
	case PASSWORD_GENERATED:
		salted_digest(v->salt, secret, digest);
		return sodium_memcmp(digest, v->digest, sizeof(digest)) == 0 ? RC_OK : RC_DENIED;
	}
	UNREACHABLE();
}

void
password_check_nobody(struct str secret)
{
	static const uint8_t salt[crypto_pwhash_SALTBYTES];
	uint8_t out[32];

	if (secret.n == 0 || secret.n > PASSWORD_MAX)
		return;
	if (crypto_pwhash(out, sizeof(out), secret.p, secret.n, salt, OPSLIMIT, MEMLIMIT,
		crypto_pwhash_ALG_ARGON2ID13) == 0)
		mem_wipe(out, sizeof(out));
}

bool
password_needs_rehash(const struct password_verifier *v)
{
	bool old_scram =
	    v->scram.iterations != 0 && v->scram.iterations < PASSWORD_SCRAM_ITERATIONS;

	if (v->kind == PASSWORD_GENERATED)
		return old_scram;
	return old_scram || crypto_pwhash_str_needs_rehash(v->argon2, OPSLIMIT, MEMLIMIT) != 0;
}

static void
add_hex(struct buf *out, const uint8_t *p, size_t n)
{
	char *at = buf_reserve(out, 2 * n + 1);

	if (at == NULL)
		return;
	sodium_bin2hex(at, 2 * n + 1, p, n);
	buf_commit(out, 2 * n);
}

void
password_format(const struct password_verifier *v, struct buf *out)
{
	buf_add(out, STR("1;"));
	switch (v->kind) {
	case PASSWORD_CHOSEN: buf_addf(out, "argon2id:%s", v->argon2); break;
	case PASSWORD_GENERATED:
		buf_add(out, STR("sha256:"));
		add_hex(out, v->salt, sizeof(v->salt));
		buf_add_byte(out, ':');
		add_hex(out, v->digest, sizeof(v->digest));
		break;
	}
	if (v->scram.iterations == 0)
		return;
	buf_addf(out, ";scram-sha-256:%" PRIu32 ":", v->scram.iterations);
	add_hex(out, v->scram.salt, sizeof(v->scram.salt));
	buf_add_byte(out, ':');
	add_hex(out, v->scram.stored_key, sizeof(v->scram.stored_key));
	buf_add_byte(out, ':');
	add_hex(out, v->scram.server_key, sizeof(v->scram.server_key));
}

/* Takes the next field, which must be exactly `n` bytes in hexadecimal. */
static bool
cut_hex(struct str *rest, uint8_t *out, size_t n)
{
	struct str field;
	size_t got = 0;

	return str_cut(rest, ':', &field) && field.n == 2 * n &&
	       sodium_hex2bin(out, n, field.p, field.n, NULL, &got, NULL) == 0 && got == n;
}

/* Takes `name` followed by a number of at most `max`, and the byte `end`. */
static bool
cut_setting(struct str *rest, struct str name, char end, uint64_t max)
{
	struct str value;
	uint64_t n;

	if (!str_starts(*rest, name))
		return false;
	*rest = str_skip(*rest, name.n);
	return str_cut(rest, end, &value) && str_to_u64(value, &n) == RC_OK && n >= 1 && n <= max;
}

static bool
is_base64(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '+' && s.p[i] != '/')
			return false;
	}
	return s.n > 0;
}

static bool
parse_argon2(struct str value, struct password_verifier *v)
{
	struct str rest = value, salt;

	if (value.n >= sizeof(v->argon2) || !str_starts(rest, STR("$argon2id$v=19$")))
		return false;
	rest = str_skip(rest, STR("$argon2id$v=19$").n);
	if (!cut_setting(&rest, STR("m="), ',', ARGON2_KIB_MAX) ||
	    !cut_setting(&rest, STR("t="), ',', ARGON2_PASSES_MAX) ||
	    !cut_setting(&rest, STR("p="), '$', 1))
		return false;
	if (!str_cut(&rest, '$', &salt) || !is_base64(salt) || !is_base64(rest))
		return false;
	v->kind = PASSWORD_CHOSEN;
	memcpy(v->argon2, value.p, value.n);
	v->argon2[value.n] = '\0';
	return true;
}

static bool
parse_sha256(struct str value, struct password_verifier *v)
{
	v->kind = PASSWORD_GENERATED;
	return cut_hex(&value, v->salt, sizeof(v->salt)) &&
	       cut_hex(&value, v->digest, sizeof(v->digest)) && value.p == NULL;
}

static bool
parse_scram(struct str value, struct scram_keys *keys)
{
	struct str count;
	uint64_t n;

	if (!str_cut(&value, ':', &count) || str_to_u64(count, &n) != RC_OK ||
	    n < SCRAM_ITERATIONS_MIN || n > SCRAM_ITERATIONS_MAX)
		return false;
	keys->iterations = (uint32_t)n;
	return cut_hex(&value, keys->salt, sizeof(keys->salt)) &&
	       cut_hex(&value, keys->stored_key, sizeof(keys->stored_key)) &&
	       cut_hex(&value, keys->server_key, sizeof(keys->server_key)) && value.p == NULL;
}

enum rc
password_parse(struct str text, struct password_verifier *out)
{
	struct password_verifier v = { 0 };
	struct str rest = text, field, name;

	if (text.n > PASSWORD_TEXT_MAX || !str_cut(&rest, ';', &field) || !str_eq(field, STR("1")))
		return RC_INVALID;
	if (!str_cut(&rest, ';', &field) || !str_cut(&field, ':', &name))
		return RC_INVALID;
	bool ok = (str_eq(name, STR("argon2id")) && parse_argon2(field, &v)) ||
		  (str_eq(name, STR("sha256")) && parse_sha256(field, &v));
	if (ok && str_cut(&rest, ';', &field))
		ok = str_cut(&field, ':', &name) && str_eq(name, STR("scram-sha-256")) &&
		     parse_scram(field, &v.scram) && rest.p == NULL;
	if (ok)
		*out = v;
	mem_wipe(&v, sizeof(v));
	return ok ? RC_OK : RC_INVALID;
}
