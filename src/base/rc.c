#include "base/rc.h"

#include "base/check.h"

const char *
rc_name(enum rc rc)
{
	switch (rc) {
	case RC_OK: return "ok";
	case RC_AGAIN: return "again";
	case RC_DONE: return "done";
	case RC_INVALID: return "invalid";
	case RC_NOT_FOUND: return "not_found";
	case RC_EXISTS: return "exists";
	case RC_LIMIT: return "limit";
	case RC_DENIED: return "denied";
	case RC_TIMEOUT: return "timeout";
	case RC_CLOSED: return "closed";
	case RC_IO: return "io";
	case RC_TLS: return "tls";
	case RC_DNS: return "dns";
	case RC_DB: return "db";
	case RC_CANCELLED: return "cancelled";
	}
	UNREACHABLE();
}
