/* A mechanism is a row: what it says first, if anything, and what answers each challenge in turn.
 * An answer function appends the decoded response and names the state that follows; encoding, the
 * initial response and cancelling are the same for all.
 *
 *     NEW -start-> FIRST --> [LOGIN_SECRET] --> DONE     PLAIN, LOGIN, CRAM-MD5: the reply decides
 *                   |
 *                   +-> SERVER_FIRST --> SERVER_FINAL     SCRAM: then DONE, or REFUSED by e=
 *                   +-> SENT ------------> REFUSED        XOAUTH2: error JSON, answered by nothing
 *     any -bad challenge-> CANCELLED
 *
 * Where the initial response does not go with the command (RFC 4954 section 4: when the line grew
 * too long), the server's first challenge is empty and fetches it.
 *
 * SCRAM works without channel binding ("n,,") and, as crypto/scram.h says, without Unicode
 * normalisation. */
#include "smtp/sasl_client.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "crypto/hmac.h"
#include "crypto/random.h"
#include "crypto/scram.h"
#include "crypto/token.h"

#define COMMAND_MAX    510 /* octets of a command line without its CRLF */
#define NONCE_BYTES    18
#define NONCE_MAX      256
#define PEER_ERROR_MAX 512

enum state {
	NEW,
	FIRST,        /* AUTH is sent; the initial response is not */
	LOGIN_SECRET, /* the user name is sent */
	SENT,         /* XOAUTH2's token is sent */
	SERVER_FIRST, /* SCRAM: the client-first-message is sent */
	SERVER_FINAL, /* SCRAM: the proof is sent, the server's is awaited */
	DONE,         /* a 235 may be believed */
	REFUSED,      /* the server said why not; its reply follows */
	CANCELLED,
};

struct sasl_client {
	enum smtp_mech mech;
	enum state state;
	struct buf user;
	struct buf secret;
	struct buf nonce; /* SCRAM: ours */
	struct buf bare;  /* SCRAM: the client-first-message without its header */
	struct buf peer_error;
	uint8_t signature[SCRAM_KEY_SIZE]; /* SCRAM, in SERVER_FINAL: what proves the server */
};

/* ---- Choosing ---- */

/* Best first. A mechanism that shows the secret to who reads along comes with `shows`. */
static const struct preference {
	enum smtp_mech mech;
	bool shows;
} within_tls[] = {
	{ SMTP_MECH_SCRAM_SHA_256, false },
	{ SMTP_MECH_PLAIN, true },
	{ SMTP_MECH_LOGIN, true },
	{ SMTP_MECH_CRAM_MD5, false },
	{ SMTP_MECH_XOAUTH2, true },
}, without_tls[] = {
	{ SMTP_MECH_SCRAM_SHA_256, false },
	{ SMTP_MECH_CRAM_MD5, false },
	{ SMTP_MECH_PLAIN, true },
	{ SMTP_MECH_LOGIN, true },
	{ SMTP_MECH_XOAUTH2, true },
};

static_assert(COUNT_OF(within_tls) == COUNT_OF(without_tls), "both rank every mechanism");

static bool
is_wanted(const struct sasl_choice *choice, enum smtp_mech mech)
{
	if (choice->required != SMTP_MECH_COUNT)
		return mech == choice->required;
	return mech != SMTP_MECH_XOAUTH2;
}

enum rc
sasl_client_choose(const struct sasl_choice *choice, enum smtp_mech *out, struct fault *f)
{
	const struct preference *order = choice->tls ? within_tls : without_tls;
	bool would_show = false;

	for (size_t i = 0; i < COUNT_OF(within_tls); i++) {
		if ((choice->offered >> order[i].mech & 1) == 0 ||
		    !is_wanted(choice, order[i].mech))
			continue;
		if (!order[i].shows || choice->tls || choice->plain_ok) {
			*out = order[i].mech;
			return RC_OK;
		}
		would_show = true;
	}
	if (would_show)
		return fault_set(f, RC_DENIED,
		    "the relay offers only logins that would show the secret without TLS");
	if (choice->required != SMTP_MECH_COUNT)
		return fault_set(f, RC_NOT_FOUND,
		    "the relay does not offer %s, which its settings require",
		    smtp_caps_mech_name(choice->required));
	return fault_set(f, RC_NOT_FOUND, "the relay offers no login with a password known here");
}

static bool
is_ours(enum smtp_mech mech)
{
	for (size_t i = 0; i < COUNT_OF(within_tls); i++) {
		if (within_tls[i].mech == mech)
			return true;
	}
	return false;
}

/* ---- Lifetime ---- */

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	}
	return false;
}

static enum rc
check_input(struct str what, size_t max, const char *name, struct fault *f)
{
	if (what.n == 0)
		return fault_set(f, RC_INVALID, "the %s is empty", name);
	if (what.n > max)
		return fault_set(f, RC_INVALID, "the %s is longer than %zu octets", name, max);
	if (has_control(what))
		return fault_set(f, RC_INVALID, "the %s holds control characters", name);
	return RC_OK;
}

static void
copy(struct buf *b, struct str s, size_t max)
{
	buf_init(b, max);
	buf_add(b, s);
	ASSERT(buf_is_ok(b));
}

static void
copy_nonce(struct buf *b, struct str nonce)
{
	uint8_t raw[NONCE_BYTES];

	buf_init(b, NONCE_MAX);
	if (nonce.n != 0) {
		buf_add(b, nonce);
		return;
	}
	random_bytes(raw, sizeof(raw));
	base64_encode(b, str_make((const char *)raw, sizeof(raw)));
}

enum rc
sasl_client_new(enum smtp_mech mech, struct str user, struct str secret, struct str nonce,
    struct sasl_client **out, struct fault *f)
{
	enum rc rc = check_input(user, SASL_CLIENT_USER_MAX, "user name", f);

	if (rc == RC_OK)
		rc = check_input(secret, SASL_CLIENT_SECRET_MAX, "secret", f);
	if (rc != RC_OK)
		return rc;
	struct sasl_client *c = MEM_NEW(struct sasl_client);
	ASSERT(is_ours(mech));
	c->mech = mech;
	copy(&c->user, user, SASL_CLIENT_USER_MAX);
	copy(&c->secret, secret, SASL_CLIENT_SECRET_MAX);
	copy_nonce(&c->nonce, nonce);
	buf_init(&c->bare, 3 * SASL_CLIENT_USER_MAX + NONCE_MAX + 16);
	buf_init(&c->peer_error, PEER_ERROR_MAX);
	*out = c;
	return RC_OK;
}

void
sasl_client_free(struct sasl_client **cp)
{
	struct sasl_client *c = TAKE(*cp);

	if (c == NULL)
		return;
	buf_wipe(&c->secret);
	buf_done(&c->user);
	buf_done(&c->nonce);
	buf_done(&c->bare);
	buf_done(&c->peer_error);
	mem_wipe(c, sizeof(*c));
	free(c);
}

/* ---- What is said first ---- */

static enum state
plain_first(struct sasl_client *c, struct buf *out)
{
	buf_add_byte(out, '\0');
	buf_add(out, buf_str(&c->user));
	buf_add_byte(out, '\0');
	buf_add(out, buf_str(&c->secret));
	return DONE;
}

static enum state
xoauth2_first(struct sasl_client *c, struct buf *out)
{
	buf_add(out, STR("user="));
	buf_add(out, buf_str(&c->user));
	buf_add(out, STR("\001auth=Bearer "));
	buf_add(out, buf_str(&c->secret));
	buf_add(out, STR("\001\001"));
	return SENT;
}

/* A user name as a SCRAM attribute (RFC 5802 section 5.1). */
static void
add_saslname(struct buf *b, struct str user)
{
	for (size_t i = 0; i < user.n; i++) {
		if (user.p[i] == '=')
			buf_add(b, STR("=3D"));
		else if (user.p[i] == ',')
			buf_add(b, STR("=2C"));
		else
			buf_add_byte(b, user.p[i]);
	}
}

static enum state
scram_first(struct sasl_client *c, struct buf *out)
{
	buf_add(&c->bare, STR("n="));
	add_saslname(&c->bare, buf_str(&c->user));
	buf_add(&c->bare, STR(",r="));
	buf_add(&c->bare, buf_str(&c->nonce));
	buf_add(out, STR("n,,"));
	buf_add(out, buf_str(&c->bare));
	return SERVER_FIRST;
}

typedef enum state first_fn(struct sasl_client *c, struct buf *out);

/* NULL: the server speaks first. */
static first_fn *const firsts[SMTP_MECH_COUNT] = {
	[SMTP_MECH_PLAIN] = plain_first,
	[SMTP_MECH_SCRAM_SHA_256] = scram_first,
	[SMTP_MECH_XOAUTH2] = xoauth2_first,
};

/* A buffer for one response, roomy from the start: growing would leave copies of the secret behind.
 */
static void
init_response(struct buf *b, const struct sasl_client *c)
{
	buf_init(b, 2 * SASL_CLIENT_LINE_MAX);
	(void)buf_reserve(b, buf_len(&c->user) + buf_len(&c->secret) + 64);
}

void
sasl_client_start(struct sasl_client *c, struct buf *line)
{
	AUTO(buf_wipe) struct buf first = { 0 };
	first_fn *say_first = firsts[c->mech];
	struct str name = str_from(smtp_caps_mech_name(c->mech));

	ASSERT(c->state == NEW);
	c->state = FIRST;
	buf_add(line, STR("AUTH "));
	buf_add(line, name);
	if (say_first == NULL)
		return;
	init_response(&first, c);
	enum state next = say_first(c, &first);
	if (STR("AUTH  ").n + name.n + base64_size(buf_len(&first)) > COMMAND_MAX) {
		buf_clear(&c->bare);
		return;
	}
	buf_add_byte(line, ' ');
	base64_encode(line, buf_str(&first));
	c->state = next;
}

/* ---- Answers to challenges: the decoded response in `out` and the state that follows, or
 * CANCELLED ---- */

static enum state
cram_md5_answer(struct sasl_client *c, struct str challenge, struct buf *out, struct fault *f)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t mac[HASH_MD5_SIZE];

	if (challenge.n == 0) {
		(void)fault_set(f, RC_INVALID, "the relay's CRAM-MD5 challenge is empty");
		return CANCELLED;
	}
	if (hmac_md5(buf_str(&c->secret), challenge, mac) != RC_OK) {
		(void)fault_set(
		    f, RC_DENIED, "OpenSSL's configuration forbids MD5, and so CRAM-MD5");
		return CANCELLED;
	}
	buf_add(out, buf_str(&c->user));
	buf_add_byte(out, ' ');
	for (size_t i = 0; i < sizeof(mac); i++) {
		buf_add_byte(out, hex[mac[i] >> 4]);
		buf_add_byte(out, hex[mac[i] & 15]);
	}
	return DONE;
}

static enum state
first_answer(struct sasl_client *c, struct str challenge, struct buf *out, struct fault *f)
{
	first_fn *say_first = firsts[c->mech];

	if (c->mech == SMTP_MECH_CRAM_MD5)
		return cram_md5_answer(c, challenge, out, f);
	/* LOGIN's prompts go by order: every server words them differently. */
	if (say_first == NULL) {
		buf_add(out, buf_str(&c->user));
		return LOGIN_SECRET;
	}
	return say_first(c, out);
}

static enum state
login_secret_answer(
    struct sasl_client *c, UNUSED struct str challenge, struct buf *out, UNUSED struct fault *f)
{
	buf_add(out, buf_str(&c->secret));
	return DONE;
}

static void
keep_peer_error(struct sasl_client *c, struct str text)
{
	buf_add(&c->peer_error, str_sub(text, 0, PEER_ERROR_MAX));
}

/* XOAUTH2 gives its reason as a challenge; an empty line fetches the real reply. */
static enum state
sent_answer(
    struct sasl_client *c, struct str challenge, UNUSED struct buf *out, UNUSED struct fault *f)
{
	keep_peer_error(c, challenge);
	return REFUSED;
}

/* What a server-first-message says. */
struct scram_offer {
	struct str nonce;
	char salt[SCRAM_SALT_MAX];
	size_t salt_n;
	uint32_t iterations;
};

/* The decoder wants room for the padding too: hence two bytes more, here and below. */
static bool
parse_salt(struct str text, struct scram_offer *out)
{
	AUTO(buf_done) struct buf salt = { 0 };

	buf_init(&salt, SCRAM_SALT_MAX + 2);
	if (!base64_decode(&salt, text))
		return false;
	struct str s = buf_str(&salt);
	if (s.n == 0 || s.n > SCRAM_SALT_MAX)
		return false;
	out->salt_n = s.n;
	memcpy(out->salt, s.p, s.n);
	return true;
}

/* Extensions behind the iteration count are ignored, as RFC 5802 section 5.1 says; a mandatory one
 * ("m=") stands where the nonce should and so breaks the message. */
static bool
parse_server_first(const struct sasl_client *c, struct str text, struct scram_offer *out)
{
	struct str salt, count;
	uint64_t n;

	if (!scram_cut(&text, 'r', &out->nonce) || !scram_cut(&text, 's', &salt) ||
	    !scram_cut(&text, 'i', &count) || str_to_u64(count, &n) != RC_OK)
		return false;
	if (n < SCRAM_ITERATIONS_MIN || n > SCRAM_ITERATIONS_MAX)
		return false;
	out->iterations = (uint32_t)n;
	return out->nonce.n > buf_len(&c->nonce) && out->nonce.n <= 4 * NONCE_MAX &&
	       str_starts(out->nonce, buf_str(&c->nonce)) && parse_salt(salt, out);
}

static enum state
server_first_answer(struct sasl_client *c, struct str challenge, struct buf *out, struct fault *f)
{
	AUTO(buf_done) struct buf auth = { 0 };
	struct scram_offer offer;
	uint8_t salted[SCRAM_KEY_SIZE], key[SCRAM_KEY_SIZE], proof[SCRAM_KEY_SIZE];

	if (!parse_server_first(c, challenge, &offer)) {
		(void)fault_set(
		    f, RC_INVALID, "the relay's SCRAM challenge is malformed or unsafe");
		return CANCELLED;
	}
	buf_add(out, STR("c=biws,r="));
	buf_add(out, offer.nonce);
	buf_init(&auth, 3 * SASL_CLIENT_LINE_MAX);
	buf_add(&auth, buf_str(&c->bare));
	buf_add_byte(&auth, ',');
	buf_add(&auth, challenge);
	buf_add_byte(&auth, ',');
	buf_add(&auth, buf_str(out));
	scram_salt_password(
	    buf_str(&c->secret), str_make(offer.salt, offer.salt_n), offer.iterations, salted);
	scram_client_proof(salted, buf_str(&auth), proof);
	scram_server_key(salted, key);
	scram_server_signature(key, buf_str(&auth), c->signature);
	mem_wipe(salted, sizeof(salted));
	mem_wipe(key, sizeof(key));
	buf_add(out, STR(",p="));
	base64_encode(out, str_make((const char *)proof, sizeof(proof)));
	return SERVER_FINAL;
}

static enum state
server_final_answer(
    struct sasl_client *c, struct str challenge, UNUSED struct buf *out, struct fault *f)
{
	AUTO(buf_done) struct buf got = { 0 };
	struct str value, rest = challenge;

	buf_init(&got, SCRAM_KEY_SIZE + 2);
	if (scram_cut(&rest, 'e', &value)) {
		keep_peer_error(c, value);
		return REFUSED;
	}
	if (scram_cut(&rest, 'v', &value) && base64_decode(&got, value) &&
	    token_equal(buf_str(&got), str_make((const char *)c->signature, SCRAM_KEY_SIZE)))
		return DONE;
	(void)fault_set(f, RC_DENIED, "the relay did not prove that it knows the password");
	return CANCELLED;
}

typedef enum state answer_fn(
    struct sasl_client *c, struct str challenge, struct buf *out, struct fault *f);

/* NULL: no challenge is due. */
static answer_fn *const answers[] = {
	[NEW] = NULL,
	[FIRST] = first_answer,
	[LOGIN_SECRET] = login_secret_answer,
	[SENT] = sent_answer,
	[SERVER_FIRST] = server_first_answer,
	[SERVER_FINAL] = server_final_answer,
	[DONE] = NULL,
	[REFUSED] = NULL,
	[CANCELLED] = NULL,
};

static enum rc
cancel(struct sasl_client *c, struct buf *line, const struct fault *why, struct fault *f)
{
	c->state = CANCELLED;
	buf_add_byte(line, '*');
	return fault_set(f, why->rc, "%s", why->text);
}

enum rc
sasl_client_challenge(struct sasl_client *c, struct str text, struct buf *line, struct fault *f)
{
	AUTO(buf_done) struct buf challenge = { 0 };
	AUTO(buf_wipe) struct buf answer = { 0 };
	struct fault why = { 0 };

	buf_init(&challenge, SASL_CLIENT_LINE_MAX);
	init_response(&answer, c);
	/* LOGIN's prompts are not used, and some servers send them in plain text. */
	bool is_prompt = c->mech == SMTP_MECH_LOGIN;
	if (answers[c->state] == NULL) {
		(void)fault_set(&why, RC_INVALID, "the relay asks on where the login was complete");
	} else if (!is_prompt &&
		   (text.n > SASL_CLIENT_LINE_MAX || !base64_decode(&challenge, text))) {
		(void)fault_set(&why, RC_INVALID, "the relay's challenge is no base64");
	} else {
		enum state next = answers[c->state](c, buf_str(&challenge), &answer, &why);
		if (next != CANCELLED) {
			ASSERT(buf_is_ok(&answer));
			c->state = next;
			base64_encode(line, buf_str(&answer));
			return RC_OK;
		}
	}
	return cancel(c, line, &why, f);
}

enum rc
sasl_client_finish(const struct sasl_client *c, struct fault *f)
{
	if (c->state == DONE || c->state == SENT)
		return RC_OK;
	if (c->state == SERVER_FIRST || c->state == SERVER_FINAL)
		return fault_set(f, RC_DENIED,
		    "the relay accepted the login without proving that it knows the password");
	return fault_set(f, RC_DENIED, "the relay accepted the login before it was complete");
}

struct str
sasl_client_peer_error(const struct sasl_client *c)
{
	return buf_str(&c->peer_error);
}
