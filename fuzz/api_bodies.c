/* Bodies of requests: whatever JSON says, it is read whole or refused with a reason. */
#include "api/change.h"
#include "api/email.h"
#include "api/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_body(const struct json *body)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct api_relay_form form = { 0 };
	struct api_email email = { 0 };
	struct fault f = { 0 };

	if (api_email_compose(body, 1 << 20, &a, &email, &f) == RC_OK) {
		ASSERT(email.n_rcpts > 0 && email.content.n > 0);
		ASSERT(str_find_str(email.content, STR("\n\n")) == email.content.n);
	} else {
		ASSERT(f.text[0] != '\0');
	}
	f = (struct fault){ 0 };
	if (api_relay_form_read(body, true, &a, &form, &f) == RC_OK)
		ASSERT(form.name.n != 0 && form.v.host.n != 0 && form.v.port != 0);
	else
		ASSERT(f.text[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct api_selector selector;
	struct json *body = NULL;
	struct fault f = { 0 };
	int64_t us;

	if (json_parse(text, 1 << 20, &body, NULL) == RC_OK)
		read_body(body);
	json_free(&body);
	if (api_selector_parse(text, &selector, &f) != RC_OK)
		ASSERT(f.text[0] != '\0');
	(void)!api_parse_time(text, &us, NULL);
	return 0;
}
