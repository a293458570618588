/* HTTP requests and their answers without blocking, on a loop.
 *
 * The same requests as net/fetch.h (never over a Unix socket here) for services that run beside
 * others: token endpoints, published settings. Names are looked up by our own resolver. One fetcher
 * a loop. Loop thread only. */
#pragma once

#include "base/compiler.h"
#include "loop/loop.h"
#include "net/fetch.h"
#include "net/resolver.h"

struct fetcher;
struct fetch;

struct fetch_result {
	enum rc rc;      /* as of net_fetch */
	unsigned status; /* RC_OK: any status is an answer */
	struct str body;
	struct fault fault; /* when not RC_OK: one sentence */
};

/* Exactly once, from the loop. The result is valid during the call, and wiped afterwards. */
typedef void fetch_fn(void *arg, const struct fetch_result *result);

/* `resolver` outlives the fetcher. */
struct fetcher *fetcher_new(struct loop *loop, struct resolver *resolver);
/* Requests still running are cancelled, their handles are gone. Takes NULL; nulls the pointer. */
void fetcher_free(struct fetcher **fp);

/* Starts a request; everything is copied. The handle is valid until the callback begins. */
struct fetch *fetcher_start(
    struct fetcher *f, const struct net_fetch_request *request, fetch_fn *on_done, void *arg);
/* No callback from now on. Takes NULL, nulls the pointer. */
void fetcher_cancel(struct fetch **xp);
