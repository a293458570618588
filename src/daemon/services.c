/* What lives on the background thread: each service is made here and hosted there, and what others
 * need of it is kept in struct daemon. In the order in which they drain at shutdown. */
#include "daemon/background.h"
#include "daemon/private.h"

enum rc
services_make(struct daemon *d, struct fault *f)
{
	enum rc rc = background_new(&d->background, f);

	return rc;
}
