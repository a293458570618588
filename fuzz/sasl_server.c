/* A client's side of an AUTH exchange: the first line is what follows AUTH, the others are
 * responses. A line that begins with '!' is sent as it stands, the rest of any other in base64, so
 * that mutations get past the decoder. */
#include "smtp/sasl_server.h"

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "codec/base64.h"
#include "codec/utf8.h"
#include "crypto/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t fake_key[32] = { 1 };
/* The exchange of RFC 7677 is in the corpus and succeeds. */
static const uint8_t salt[SCRAM_SALT_SIZE] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec,
	0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };

static void
add_line(struct buf *b, struct str line)
{
	if (str_starts(line, STR("!")))
		buf_add(b, str_skip(line, 1));
	else
		base64_encode(b, line);
}

static void
check_user(struct str user)
{
	ASSERT(user.n > 0 && user.n <= SASL_SERVER_USER_MAX && utf8_is_valid(user));
	for (size_t i = 0; i < user.n; i++)
		ASSERT((unsigned char)user.p[i] >= 0x20 && user.p[i] != 0x7f);
}

/* Answers what the engine asks its caller. */
static enum sasl_verdict
settle(struct sasl_server *s, enum sasl_verdict verdict, const struct password_verifier *v)
{
	if (verdict == SASL_NEED_LOOKUP) {
		check_user(sasl_server_user(s));
		bool known = str_eq(sasl_server_user(s), STR("user"));
		verdict = sasl_server_found(s, known ? v : NULL);
	}
	if (verdict == SASL_NEED_VERIFY) {
		check_user(sasl_server_user(s));
		ASSERT(sasl_server_secret(s).n > 0);
		verdict = sasl_server_verified(s, sasl_server_secret(s).p[0] == 's');
	}
	if (verdict == SASL_OK)
		check_user(sasl_server_user(s));
	return verdict;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct password_verifier v;
	AUTO(sasl_server_free)
	struct sasl_server *s = sasl_server_new(fake_key, STR("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
	AUTO(buf_done) struct buf line = { 0 };
	struct str rest = str_make((const char *)data, size), field;
	enum sasl_verdict verdict = SASL_OK;

	if (v.scram.iterations == 0)
		scram_keys_derive(STR("pencil"), salt, 4096, &v.scram);
	buf_init(&line, 4 * size + 16);
	for (bool started = false; str_cut(&rest, '\n', &field);) {
		buf_clear(&line);
		if (verdict == SASL_CHALLENGE) {
			add_line(&line, field);
			verdict = settle(s, sasl_server_respond(s, buf_str(&line)), &v);
		} else if (!started || str_starts(field, STR("AUTH "))) {
			struct str mechanism;
			field = str_skip(field, started ? 5 : 0);
			if (!str_cut(&field, ' ', &mechanism))
				break;
			buf_add(&line, mechanism);
			if (field.p != NULL) {
				buf_add_byte(&line, ' ');
				add_line(&line, field);
			}
			verdict = settle(s, sasl_server_start(s, buf_str(&line)), &v);
			started = true;
		}
		ASSERT(verdict != SASL_NEED_LOOKUP && verdict != SASL_NEED_VERIFY);
	}
	return 0;
}
