/* RFC 5802 section 3, with H = SHA-256:
 *
 *     SaltedPassword  := Hi(password, salt, i)            PBKDF2
 *     ClientKey       := HMAC(SaltedPassword, "Client Key")
 *     StoredKey       := H(ClientKey)
 *     ServerKey       := HMAC(SaltedPassword, "Server Key")
 *     ClientSignature := HMAC(StoredKey, AuthMessage)
 *     ClientProof     := ClientKey xor ClientSignature
 *     ServerSignature := HMAC(ServerKey, AuthMessage)
 *
 * The server finds ClientKey = ClientProof xor ClientSignature and compares its hash with
 * StoredKey. */
#include "crypto/scram.h"

#include <openssl/evp.h>
#include <sodium.h>

#include "base/check.h"
#include "base/mem.h"
#include "crypto/hmac.h"
#include "crypto/private.h"
#include "crypto/random.h"

static struct str
key_str(const uint8_t key[static SCRAM_KEY_SIZE])
{
	return str_make((const char *)key, SCRAM_KEY_SIZE);
}

enum rc
scram_check_password(struct str password)
{
	for (size_t i = 0; i < password.n; i++) {
		unsigned char c = (unsigned char)password.p[i];
		if (c < 0x20 || c == 0x7f)
			return RC_INVALID;
		/* U+0080 to U+009F, the other control characters, are C2 80 to C2 9F in UTF-8. */
		if (c == 0xc2 && i + 1 < password.n && (unsigned char)password.p[i + 1] < 0xa0)
			return RC_INVALID;
	}
	return RC_OK;
}

void
scram_salt_password(struct str password, struct str salt, uint32_t iterations,
    uint8_t salted_out[static SCRAM_KEY_SIZE])
{
	ASSERT(password.n <= INT32_MAX && salt.n >= 1 && salt.n <= SCRAM_SALT_MAX);
	ASSERT(iterations >= 1 && iterations <= SCRAM_ITERATIONS_MAX);
	int ok = PKCS5_PBKDF2_HMAC(password.n != 0 ? password.p : "", (int)password.n,
	    (const uint8_t *)salt.p, (int)salt.n, (int)iterations, hash_digest(HASH_SHA256),
	    SCRAM_KEY_SIZE, salted_out);
	ASSERT(ok == 1);
}

static void
client_keys(const uint8_t salted[static SCRAM_KEY_SIZE], uint8_t client_key[static SCRAM_KEY_SIZE],
    uint8_t stored_key[static SCRAM_KEY_SIZE])
{
	hmac_sha256(key_str(salted), STR("Client Key"), client_key);
	hash_sha256(key_str(client_key), stored_key);
}

void
scram_client_proof(const uint8_t salted[static SCRAM_KEY_SIZE], struct str auth_message,
    uint8_t proof_out[static SCRAM_KEY_SIZE])
{
	uint8_t client_key[SCRAM_KEY_SIZE], stored_key[SCRAM_KEY_SIZE], signature[SCRAM_KEY_SIZE];

	client_keys(salted, client_key, stored_key);
	hmac_sha256(key_str(stored_key), auth_message, signature);
	for (size_t i = 0; i < SCRAM_KEY_SIZE; i++)
		proof_out[i] = client_key[i] ^ signature[i];
	mem_wipe(client_key, sizeof(client_key));
	mem_wipe(stored_key, sizeof(stored_key));
	mem_wipe(signature, sizeof(signature));
}

void
scram_server_key(
    const uint8_t salted[static SCRAM_KEY_SIZE], uint8_t server_key_out[static SCRAM_KEY_SIZE])
{
	hmac_sha256(key_str(salted), STR("Server Key"), server_key_out);
}

void
scram_keys_derive(struct str password, const uint8_t salt[static SCRAM_SALT_SIZE],
    uint32_t iterations, struct scram_keys *out)
{
	uint8_t salted[SCRAM_KEY_SIZE], client_key[SCRAM_KEY_SIZE];

	out->iterations = iterations;
	memcpy(out->salt, salt, SCRAM_SALT_SIZE);
	scram_salt_password(
	    password, str_make((const char *)salt, SCRAM_SALT_SIZE), iterations, salted);
	client_keys(salted, client_key, out->stored_key);
	scram_server_key(salted, out->server_key);
	mem_wipe(salted, sizeof(salted));
	mem_wipe(client_key, sizeof(client_key));
}

void
scram_keys_make(struct str password, uint32_t iterations, struct scram_keys *out)
{
	uint8_t salt[SCRAM_SALT_SIZE];

	random_bytes(salt, sizeof(salt));
	scram_keys_derive(password, salt, iterations, out);
}

bool
scram_keys_match(const struct scram_keys *keys, struct str auth_message,
    const uint8_t proof[static SCRAM_KEY_SIZE])
{
	uint8_t client_key[SCRAM_KEY_SIZE], signature[SCRAM_KEY_SIZE], found[SCRAM_KEY_SIZE];

	hmac_sha256(key_str(keys->stored_key), auth_message, signature);
	for (size_t i = 0; i < SCRAM_KEY_SIZE; i++)
		client_key[i] = proof[i] ^ signature[i];
	hash_sha256(key_str(client_key), found);
	mem_wipe(client_key, sizeof(client_key));
	return sodium_memcmp(found, keys->stored_key, SCRAM_KEY_SIZE) == 0;
}

void
scram_server_signature(const uint8_t server_key[static SCRAM_KEY_SIZE], struct str auth_message,
    uint8_t signature_out[static SCRAM_KEY_SIZE])
{
	hmac_sha256(key_str(server_key), auth_message, signature_out);
}

bool
scram_cut(struct str *rest, char letter, struct str *value_out)
{
	struct str after = *rest, field;

	if (!str_cut(&after, ',', &field) || field.n < 2 || field.p[0] != letter ||
	    field.p[1] != '=')
		return false;
	*value_out = str_skip(field, 2);
	*rest = after;
	return true;
}
