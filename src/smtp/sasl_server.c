/* Each state in which a line of the client's is due has a function that takes the decoded line.
 *
 *     start --> PLAIN_RESPONSE ------------> VERIFY --> over
 *           +-> LOGIN_USER -> LOGIN_SECRET -> VERIFY --> over
 *           +-> SCRAM_FIRST --> LOOKUP --> SCRAM_FINAL --> SCRAM_PROVED --> over
 *
 * An initial response is a response that came early: it goes to the same function as the line that
 * an empty challenge would have fetched. A server's last word in SCRAM is data, which RFC 4954
 * section 4 sends as a challenge and has the client acknowledge with an empty line.
 *
 * A wrong proof, an unknown user and a credential without SCRAM keys take the same path and the
 * same time. */
#include "smtp/sasl_server.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/smtp_caps.h"
#include "codec/utf8.h"
#include "crypto/hmac.h"
#include "crypto/password.h"
#include "crypto/random.h"
#include "crypto/scram.h"
#include "crypto/token.h"

#define NONCE_BYTES   18
#define NONCE_MAX     256 /* of either side */
#define HEADER_MAX    (3 * SASL_SERVER_USER_MAX + 8)
#define MESSAGE_MAX   2048 /* a SCRAM message: names, nonces and room for extensions */
#define CHALLENGE_MAX 2048
#define SECRET_MAX    PASSWORD_MAX

enum state {
	OVER, /* also before the first start */
	PLAIN_RESPONSE,
	LOGIN_USER,
	LOGIN_SECRET,
	VERIFY, /* the caller checks the secret */
	SCRAM_FIRST,
	LOOKUP, /* the caller looks for the verifier */
	SCRAM_FINAL,
	SCRAM_PROVED, /* both sides are; an empty line is due */
};

struct sasl_server {
	enum state state;
	struct buf user;
	struct buf secret; /* in VERIFY */
	struct buf challenge;
	struct buf header;      /* SCRAM: the GS2 header as it came */
	struct buf nonce;       /* SCRAM: the client's, then both */
	struct buf auth;        /* SCRAM: AuthMessage as it grows */
	struct buf fixed_nonce; /* what _new was given */
	struct scram_keys keys;
	bool has_keys; /* false: those in `keys` are made up */
	uint8_t fake_key[32];
};

static void
forget(struct sasl_server *s)
{
	s->state = OVER;
	buf_wipe(&s->secret);
	buf_clear(&s->user);
	buf_clear(&s->challenge);
	buf_clear(&s->header);
	buf_clear(&s->nonce);
	buf_clear(&s->auth);
	mem_wipe(&s->keys, sizeof(s->keys));
	s->has_keys = false;
}

struct sasl_server *
sasl_server_new(const uint8_t fake_key[static 32], struct str nonce)
{
	struct sasl_server *s = MEM_NEW(struct sasl_server);

	buf_init(&s->user, SASL_SERVER_USER_MAX);
	buf_init(&s->secret, SECRET_MAX);
	buf_init(&s->challenge, CHALLENGE_MAX);
	buf_init(&s->header, HEADER_MAX);
	buf_init(&s->nonce, 2 * NONCE_MAX);
	buf_init(&s->auth, 3 * MESSAGE_MAX);
	buf_init(&s->fixed_nonce, NONCE_MAX);
	buf_add(&s->fixed_nonce, nonce);
	memcpy(s->fake_key, fake_key, sizeof(s->fake_key));
	return s;
}

void
sasl_server_free(struct sasl_server **sp)
{
	struct sasl_server *s = TAKE(*sp);

	if (s == NULL)
		return;
	forget(s);
	buf_done(&s->user);
	buf_done(&s->challenge);
	buf_done(&s->header);
	buf_done(&s->nonce);
	buf_done(&s->auth);
	buf_done(&s->fixed_nonce);
	mem_wipe(s, sizeof(*s));
	free(s);
}

static enum sasl_verdict
end(struct sasl_server *s, enum sasl_verdict verdict)
{
	s->state = OVER;
	buf_wipe(&s->secret);
	mem_wipe(&s->keys, sizeof(s->keys));
	return verdict;
}

/* Goes to `state`, in which the client answers `text`. */
static enum sasl_verdict
ask(struct sasl_server *s, enum state state, struct str text)
{
	buf_clear(&s->challenge);
	base64_encode(&s->challenge, text);
	ASSERT(buf_is_ok(&s->challenge));
	s->state = state;
	return SASL_CHALLENGE;
}

static bool
is_user_name(struct str user)
{
	for (size_t i = 0; i < user.n; i++) {
		if ((unsigned char)user.p[i] < 0x20 || user.p[i] == 0x7f)
			return false;
	}
	return user.n > 0 && user.n <= SASL_SERVER_USER_MAX && utf8_is_valid(user);
}

static bool
set_user(struct sasl_server *s, struct str user)
{
	if (!is_user_name(user))
		return false;
	buf_clear(&s->user);
	buf_add(&s->user, user);
	return true;
}

static enum sasl_verdict
ask_verify(struct sasl_server *s, struct str secret)
{
	if (secret.n == 0 || secret.n > SECRET_MAX)
		return end(s, SASL_FAIL);
	buf_add(&s->secret, secret);
	s->state = VERIFY;
	return SASL_NEED_VERIFY;
}

/* ---- PLAIN and LOGIN ---- */

/* RFC 4616 section 2: authzid NUL authcid NUL passwd. */
static enum sasl_verdict
plain_response(struct sasl_server *s, struct str text)
{
	struct str rest = text, authzid, authcid;

	if (!str_cut(&rest, '\0', &authzid) || !str_cut(&rest, '\0', &authcid) || rest.p == NULL ||
	    str_has_byte(rest, '\0'))
		return end(s, SASL_BROKEN);
	if (!set_user(s, authcid) || (authzid.n != 0 && !str_eq(authzid, authcid)))
		return end(s, SASL_FAIL);
	return ask_verify(s, rest);
}

static enum sasl_verdict
login_user(struct sasl_server *s, struct str text)
{
	if (!set_user(s, text))
		return end(s, SASL_FAIL);
	return ask(s, LOGIN_SECRET, STR("Password:"));
}

static enum sasl_verdict
login_secret(struct sasl_server *s, struct str text)
{
	return ask_verify(s, text);
}

enum sasl_verdict
sasl_server_verified(struct sasl_server *s, bool is_right)
{
	ASSERT(s->state == VERIFY);
	return end(s, is_right ? SASL_OK : SASL_FAIL);
}

/* ---- SCRAM ---- */

/* Appends a user name written as RFC 5802 section 5.1 has it, "=2C" for a comma and "=3D" for "=".
 */
static bool
add_saslname(struct buf *out, struct str name)
{
	while (name.n > 0) {
		if (name.p[0] != '=') {
			buf_add_byte(out, name.p[0]);
			name = str_skip(name, 1);
			continue;
		}
		bool is_comma = str_starts(name, STR("=2C"));
		if (!is_comma && !str_starts(name, STR("=3D")))
			return false;
		buf_add_byte(out, is_comma ? ',' : '=');
		name = str_skip(name, 3);
	}
	return buf_is_ok(out);
}

/* RFC 5802 section 7: printable ASCII but the comma. */
static bool
is_nonce(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ',')
			return false;
	}
	return s.n > 0 && s.n <= NONCE_MAX;
}

/* Takes the GS2 header "n,," or "n,a=authzid,", where "y" serves too: nothing with PLUS is offered.
 */
static bool
cut_header(struct sasl_server *s, struct str *rest, struct buf *authzid)
{
	struct str all = *rest, flag, id;

	if (!str_cut(rest, ',', &flag) || (!str_eq(flag, STR("n")) && !str_eq(flag, STR("y"))))
		return false;
	if (!str_cut(rest, ',', &id) || rest->p == NULL)
		return false;
	buf_add(&s->header, str_sub(all, 0, all.n - rest->n));
	if (id.n == 0)
		return buf_is_ok(&s->header);
	return buf_is_ok(&s->header) && str_starts(id, STR("a=")) &&
	       add_saslname(authzid, str_skip(id, 2));
}

static enum sasl_verdict
scram_first(struct sasl_server *s, struct str text)
{
	AUTO(buf_done) struct buf authzid = { 0 }, user = { 0 };
	struct str rest = text, name, nonce;

	buf_init(&authzid, SASL_SERVER_USER_MAX);
	buf_init(&user, SASL_SERVER_USER_MAX);
	if (text.n > MESSAGE_MAX / 2 || !cut_header(s, &rest, &authzid))
		return end(s, SASL_BROKEN);
	buf_add(&s->auth, rest);
	if (!scram_cut(&rest, 'n', &name) || !scram_cut(&rest, 'r', &nonce) || !is_nonce(nonce) ||
	    !add_saslname(&user, name))
		return end(s, SASL_BROKEN);
	if (!set_user(s, buf_str(&user)))
		return end(s, SASL_FAIL);
	if (buf_len(&authzid) != 0 && !str_eq(buf_str(&authzid), buf_str(&s->user)))
		return end(s, SASL_FAIL);
	buf_add(&s->nonce, nonce);
	s->state = LOOKUP;
	return SASL_NEED_LOOKUP;
}

static void
add_server_nonce(struct sasl_server *s)
{
	uint8_t raw[NONCE_BYTES];

	if (buf_len(&s->fixed_nonce) != 0) {
		buf_add(&s->nonce, buf_str(&s->fixed_nonce));
		return;
	}
	random_bytes(raw, sizeof(raw));
	base64_encode(&s->nonce, str_make((const char *)raw, sizeof(raw)));
}

/* Keys that nobody has the password to: the salt is the name's for ever, the rest stays zero. */
static void
make_up_keys(struct sasl_server *s)
{
	uint8_t mac[HASH_SHA256_SIZE];

	hmac_sha256(
	    str_make((const char *)s->fake_key, sizeof(s->fake_key)), buf_str(&s->user), mac);
	s->keys = (struct scram_keys){ .iterations = PASSWORD_SCRAM_ITERATIONS };
	memcpy(s->keys.salt, mac, sizeof(s->keys.salt));
}

enum sasl_verdict
sasl_server_found(struct sasl_server *s, const struct password_verifier *v)
{
	AUTO(buf_done) struct buf first = { 0 };

	ASSERT(s->state == LOOKUP);
	buf_init(&first, MESSAGE_MAX);
	s->has_keys = v != NULL && v->scram.iterations != 0;
	if (s->has_keys)
		s->keys = v->scram;
	else
		make_up_keys(s);
	add_server_nonce(s);
	buf_addf(&first, "r=%.*s,s=", STR_ARG(buf_str(&s->nonce)));
	base64_encode(&first, str_make((const char *)s->keys.salt, sizeof(s->keys.salt)));
	buf_addf(&first, ",i=%u", (unsigned)s->keys.iterations);
	buf_add_byte(&s->auth, ',');
	buf_add(&s->auth, buf_str(&first));
	return ask(s, SCRAM_FINAL, buf_str(&first));
}

/* Reads "c=...,r=...[,extensions],p=..." and adds all of it but the proof to AuthMessage. */
static bool
parse_final(struct sasl_server *s, struct str text, uint8_t proof_out[static SCRAM_KEY_SIZE])
{
	AUTO(buf_done) struct buf header = { 0 }, proof = { 0 };
	struct str rest = text, binding, nonce;
	size_t comma = str_find_last(text, ',');

	/* The decoder wants room for the padding too. */
	buf_init(&header, HEADER_MAX + 2);
	buf_init(&proof, SCRAM_KEY_SIZE + 2);
	if (text.n > MESSAGE_MAX || !scram_cut(&rest, 'c', &binding) ||
	    !scram_cut(&rest, 'r', &nonce) || rest.p == NULL)
		return false;
	struct str last = str_skip(text, comma + 1);
	if (!str_starts(last, STR("p=")) || !base64_decode(&proof, str_skip(last, 2)))
		return false;
	struct str got = buf_str(&proof);
	if (got.p == NULL || got.n != SCRAM_KEY_SIZE)
		return false;
	if (!base64_decode(&header, binding) || !str_eq(buf_str(&header), buf_str(&s->header)) ||
	    !str_eq(nonce, buf_str(&s->nonce)))
		return false;
	buf_add_byte(&s->auth, ',');
	buf_add(&s->auth, str_sub(text, 0, comma));
	memcpy(proof_out, got.p, SCRAM_KEY_SIZE);
	return buf_is_ok(&s->auth);
}

static enum sasl_verdict
scram_final(struct sasl_server *s, struct str text)
{
	AUTO(buf_done) struct buf last = { 0 };
	uint8_t proof[SCRAM_KEY_SIZE], signature[SCRAM_KEY_SIZE];

	buf_init(&last, 64);
	if (!parse_final(s, text, proof))
		return end(s, SASL_BROKEN);
	bool matches = scram_keys_match(&s->keys, buf_str(&s->auth), proof);
	if (!matches || !s->has_keys)
		return end(s, SASL_FAIL);
	scram_server_signature(s->keys.server_key, buf_str(&s->auth), signature);
	buf_add(&last, STR("v="));
	base64_encode(&last, str_make((const char *)signature, sizeof(signature)));
	return ask(s, SCRAM_PROVED, buf_str(&last));
}

static enum sasl_verdict
scram_proved(struct sasl_server *s, struct str text)
{
	return end(s, text.n == 0 ? SASL_OK : SASL_BROKEN);
}

/* ---- The exchange ---- */

typedef enum sasl_verdict response_fn(struct sasl_server *s, struct str text);

/* NULL: no line is due. */
static response_fn *const responses[] = {
	[OVER] = NULL,
	[PLAIN_RESPONSE] = plain_response,
	[LOGIN_USER] = login_user,
	[LOGIN_SECRET] = login_secret,
	[VERIFY] = NULL,
	[SCRAM_FIRST] = scram_first,
	[LOOKUP] = NULL,
	[SCRAM_FINAL] = scram_final,
	[SCRAM_PROVED] = scram_proved,
};

static enum sasl_verdict
take_response(struct sasl_server *s, struct str line)
{
	AUTO(buf_wipe) struct buf text = { 0 };

	buf_init(&text, SASL_SERVER_LINE_MAX);
	if (line.n > SASL_SERVER_LINE_MAX || !base64_decode(&text, line))
		return end(s, SASL_BROKEN);
	return responses[s->state](s, buf_str(&text));
}

/* The state in which a mechanism of ours begins and what it asks then. */
static bool
find_mechanism(struct str name, enum state *state_out, struct str *prompt_out)
{
	enum smtp_mech mech;

	if (!smtp_caps_find_mech(name, &mech))
		return false;
	*prompt_out = (struct str){ 0 };
	if (mech == SMTP_MECH_PLAIN) {
		*state_out = PLAIN_RESPONSE;
	} else if (mech == SMTP_MECH_SCRAM_SHA_256) {
		*state_out = SCRAM_FIRST;
	} else if (mech == SMTP_MECH_LOGIN) {
		*state_out = LOGIN_USER;
		*prompt_out = STR("Username:");
	} else {
		return false;
	}
	return true;
}

enum sasl_verdict
sasl_server_start(struct sasl_server *s, struct str args)
{
	struct str initial = str_trim(args), name, prompt;
	enum state first;

	forget(s);
	if (!str_cut(&initial, ' ', &name) || !find_mechanism(name, &first, &prompt))
		return SASL_UNKNOWN;
	if (initial.p == NULL)
		return ask(s, first, prompt);
	s->state = first;
	/* "=" stands for an initial response that is there and empty (RFC 4954 section 4). */
	return take_response(s, str_eq(initial, STR("=")) ? (struct str){ 0 } : initial);
}

enum sasl_verdict
sasl_server_respond(struct sasl_server *s, struct str line)
{
	ASSERT(responses[s->state] != NULL);
	if (str_eq(line, STR("*")))
		return end(s, SASL_CANCELLED);
	return take_response(s, line);
}

struct str
sasl_server_user(const struct sasl_server *s)
{
	return buf_str(&s->user);
}

struct str
sasl_server_secret(const struct sasl_server *s)
{
	return buf_str(&s->secret);
}

struct str
sasl_server_challenge(const struct sasl_server *s)
{
	return buf_str(&s->challenge);
}
