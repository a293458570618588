/* A relay's side of an AUTH exchange. The first byte picks the mechanism; each line is a challenge:
 * as it stands when it begins with '!', else in base64, so that mutations get past the decoder. */
#include "smtp/sasl_client.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/fault.h"
#include "codec/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum smtp_mech mechs[] = { SMTP_MECH_PLAIN, SMTP_MECH_LOGIN, SMTP_MECH_CRAM_MD5,
	SMTP_MECH_SCRAM_SHA_256, SMTP_MECH_XOAUTH2 };

/* An answer is base64 or a star: nothing in it can end the line. */
static void
check_answer(enum rc rc, struct str answer, const struct fault *f)
{
	if (rc != RC_OK) {
		ASSERT(str_eq(answer, STR("*")) && f->rc == rc && f->text[0] != '\0');
		return;
	}
	for (size_t i = 0; i < answer.n; i++) {
		char c = answer.p[i];
		ASSERT(ascii_is_alnum(c) || c == '+' || c == '/' || c == '=');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(sasl_client_free) struct sasl_client *c = NULL;
	AUTO(buf_done) struct buf line = { 0 }, answer = { 0 };
	struct str rest = str_make((const char *)data, size), field;

	if (size == 0)
		return 0;
	rest = str_skip(rest, 1);
	enum rc rc = sasl_client_new(mechs[data[0] % COUNT_OF(mechs)], STR("user"), STR("pencil"),
	    STR("rOprNGfwEbeRWgbNEkqO"), &c, NULL);
	ASSERT(rc == RC_OK);
	buf_init(&line, 2 * size + 16);
	buf_init(&answer, 65536);
	sasl_client_start(c, &answer);
	while (str_cut(&rest, '\n', &field)) {
		struct fault f = { 0 };
		buf_clear(&line);
		buf_clear(&answer);
		if (str_starts(field, STR("!")))
			buf_add(&line, str_skip(field, 1));
		else
			base64_encode(&line, field);
		rc = sasl_client_challenge(c, buf_str(&line), &answer, &f);
		check_answer(rc, buf_str(&answer), &f);
		ASSERT(rc == RC_OK || sasl_client_finish(c, NULL) == RC_DENIED);
		ASSERT(sasl_client_peer_error(c).n <= 512);
	}
	return 0;
}
