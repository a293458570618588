/* The sealed form, and what the authenticator covers:
 *
 *     1 version | 4 key mark | 24 nonce | ciphertext | 16 authenticator
 *     \___ header ___/
 *     associated data of the cipher = header, then the caller's
 *
 * The header has a fixed size, so the two parts of the associated data cannot be shifted against
 * each other. The key mark is four bytes of a MAC under the key: it tells "the wrong key file" from
 * "damaged" and says nothing else. Random nonces of 192 bits do not meet. */
#include "crypto/seal.h"

#include <sodium.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "crypto/hmac.h"
#include "crypto/keyfile.h"
#include "crypto/random.h"

#define VERSION      1
#define MARK_SIZE    4
#define HEADER_SIZE  (1 + MARK_SIZE)
#define NONCE_SIZE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY_TEXT_MAX 256

static_assert(SEAL_OVERHEAD == HEADER_SIZE + NONCE_SIZE + TAG_SIZE, "the header tells the truth");
static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "256 bits");

static enum rc
parse_key(struct str text, struct seal_key *out)
{
	struct seal_key key;
	size_t n = 0;

	text = str_trim(text);
	if (text.n != 2 * SEAL_KEY_SIZE)
		return RC_INVALID;
	int bad = sodium_hex2bin(key.k, sizeof(key.k), text.p, text.n, NULL, &n, NULL);
	if (bad == 0 && n == sizeof(key.k))
		*out = key;
	seal_key_wipe(&key);
	return bad == 0 && n == SEAL_KEY_SIZE ? RC_OK : RC_INVALID;
}

static enum rc
read_key(const char *path, struct seal_key *out, struct fault *f)
{
	AUTO(buf_wipe) struct buf text = { 0 };

	buf_init(&text, KEY_TEXT_MAX);
	enum rc rc = keyfile_read(path, &text, f);
	if (rc == RC_OK && parse_key(buf_str(&text), out) != RC_OK)
		rc = fault_set(
		    f, RC_INVALID, "%s: does not hold a key of 64 hexadecimal digits", path);
	return rc;
}

static enum rc
make_key(const char *path, struct fault *f)
{
	struct seal_key key;
	char text[2 * SEAL_KEY_SIZE + 2];

	random_bytes(key.k, sizeof(key.k));
	sodium_bin2hex(text, sizeof(text), key.k, sizeof(key.k));
	text[sizeof(text) - 2] = '\n';
	enum rc rc = keyfile_create(path, str_make(text, sizeof(text) - 1), f);
	mem_wipe(text, sizeof(text));
	seal_key_wipe(&key);
	return rc;
}

enum rc
seal_key_load(const char *path, struct seal_key *out, struct fault *f)
{
	struct fault why = { 0 };
	enum rc rc = read_key(path, out, &why);

	if (rc == RC_NOT_FOUND) {
		why = (struct fault){ 0 };
		rc = make_key(path, &why);
		/* Another process may have made it meanwhile; then its key is the one. */
		if (rc == RC_OK || rc == RC_EXISTS) {
			why = (struct fault){ 0 };
			rc = read_key(path, out, &why);
		}
	}
	if (rc != RC_OK && f != NULL && f->rc == RC_OK)
		*f = why;
	return rc;
}

void
seal_key_wipe(struct seal_key *key)
{
	mem_wipe(key, sizeof(*key));
}

static void
make_header(const struct seal_key *key, uint8_t out[static HEADER_SIZE])
{
	uint8_t mac[HASH_SHA256_SIZE];

	hmac_sha256(str_make((const char *)key->k, sizeof(key->k)), STR("seal key mark"), mac);
	out[0] = VERSION;
	memcpy(out + 1, mac, MARK_SIZE);
}

/* The cipher's associated data, in `out`. */
static void
bind(struct buf *out, const uint8_t header[static HEADER_SIZE], struct str associated)
{
	buf_init(out, HEADER_SIZE + associated.n);
	buf_add(out, str_make((const char *)header, HEADER_SIZE));
	buf_add(out, associated);
}

enum rc
seal_close(const struct seal_key *key, struct str secret, struct str associated, struct buf *out)
{
	AUTO(buf_done) struct buf bound = { 0 };
	uint8_t header[HEADER_SIZE];
	unsigned long long n;

	if (secret.n > SEAL_SECRET_MAX)
		return RC_LIMIT;
	uint8_t *p = (uint8_t *)buf_reserve(out, secret.n + SEAL_OVERHEAD);
	if (p == NULL)
		return RC_LIMIT;
	make_header(key, header);
	bind(&bound, header, associated);
	memcpy(p, header, HEADER_SIZE);
	random_bytes(p + HEADER_SIZE, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p + HEADER_SIZE + NONCE_SIZE, &n,
	    (const uint8_t *)secret.p, secret.n, (const uint8_t *)buf_str(&bound).p,
	    buf_len(&bound), NULL, p + HEADER_SIZE, key->k);
	ASSERT(n == secret.n + TAG_SIZE);
	buf_commit(out, secret.n + SEAL_OVERHEAD);
	return RC_OK;
}

enum rc
seal_open(const struct seal_key *key, struct str sealed, struct str associated, struct buf *out,
    struct fault *f)
{
	AUTO(buf_done) struct buf bound = { 0 };
	uint8_t header[HEADER_SIZE];
	const uint8_t *in = (const uint8_t *)sealed.p;
	unsigned long long n;

	if (sealed.n < SEAL_OVERHEAD || sealed.n > SEAL_SECRET_MAX + SEAL_OVERHEAD)
		return fault_set(f, RC_INVALID, "a sealed secret has an impossible length");
	make_header(key, header);
	if (in[0] != VERSION)
		return fault_set(f, RC_INVALID, "a sealed secret is of unknown version %d", in[0]);
	if (memcmp(in, header, HEADER_SIZE) != 0)
		return fault_set(f, RC_NOT_FOUND, "a secret was sealed with another key file");
	size_t want = sealed.n - SEAL_OVERHEAD;
	/* The cipher wants an address even for an empty secret. */
	uint8_t *p = (uint8_t *)buf_reserve(out, want != 0 ? want : 1);
	if (p == NULL)
		return fault_set(f, RC_LIMIT, "a sealed secret is too long for its place");
	bind(&bound, header, associated);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(p, &n, NULL, in + HEADER_SIZE + NONCE_SIZE,
		sealed.n - HEADER_SIZE - NONCE_SIZE, (const uint8_t *)buf_str(&bound).p,
		buf_len(&bound), in + HEADER_SIZE, key->k) != 0)
		return fault_set(f, RC_INVALID, "a sealed secret was altered or belongs elsewhere");
	ASSERT(n == want);
	buf_commit(out, want);
	return RC_OK;
}
