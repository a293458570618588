/* Whatever arrives in a mailbox, reading it for reports ends, and what it gives is bounded. */
#include "mail/report.h"

#include "base/arena.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_report r = { 0 };

	if (mail_report_read(str_make((const char *)data, size), &a, &r) != RC_OK)
		return 0;
	ASSERT(r.n_rcpts > 0 && r.n_rcpts <= MAIL_REPORT_RCPTS_MAX);
	ASSERT(r.message_id.n <= 998);
	for (size_t i = 0; i < r.n_rcpts; i++) {
		ASSERT(r.rcpts[i].address.n <= 512 && r.rcpts[i].action <= MAIL_REPORT_RELAYED);
		ASSERT(!str_has_byte(r.rcpts[i].text, '\n') || r.is_formal);
	}
	return 0;
}
