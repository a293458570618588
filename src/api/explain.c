/* GET /explain: what a refusal means. The same words as on the command line. */
#include "api/private.h"

#include "relay/explain.h"

void
api_explain(struct api_call *c)
{
	struct relay_explanation e;
	struct fault f = { 0 };

	if (relay_explain(http_query(c->request, "reply"), http_query(c->request, "provider"),
		http_query(c->request, "stage"), http_query(c->request, "lang"), &e, &f) != RC_OK) {
		api_fail_with(c, &f);
		return;
	}
	relay_explain_write(&e, &c->json);
	api_done(c);
}
