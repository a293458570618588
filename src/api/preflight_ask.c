#include "api/preflight_ask.h"

void
api_preflight_ask(struct api_call *c, struct api_check *k, api_step *then)
{
	k->rc = RC_NOT_FOUND;
	k->summary = STR("nothing was checked, because this program has no preflight");
	then(c);
}
