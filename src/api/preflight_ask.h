/* Asking the preflight service to look at a relay version, as a step of a call. */
#pragma once

#include "api/private.h"
#include "preflight/finding.h"

struct api_check {
	/* Asked; strings in the call's arena. */
	bool in_full; /* else: connection, TLS and login only */
	struct version_id version;
	struct version_id against; /* what it must not be weaker than; none: nothing */
	struct str allow_weaker;   /* why it may be; empty: it may not */
	struct str snapshot;       /* the one that was taken; empty: none was */
	/* Answered. */
	enum rc rc;                  /* RC_OK: it was looked at, whatever came of it */
	bool passed;                 /* nothing failed */
	bool hold;                   /* what failed is only a limit below the present demand */
	enum preflight_stage failed; /* unless passed */
	struct str summary;          /* one sentence, also where it could not be looked at */
	struct str report;           /* JSON, an object; empty where it was not looked at */
};

/* `then` runs when `k` is answered; a run in full takes up to two minutes. */
void api_preflight_ask(struct api_call *c, struct api_check *k, api_step *then);
