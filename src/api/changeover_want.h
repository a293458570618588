/* One want of a changeover on its way: the data of its call. */
#pragma once

#include "api/changeover.h"
#include "api/preflight_ask.h"

struct api_changeover_want {
	uint64_t id;
	enum relay_want want;
	uint64_t since;
	struct store_changeover_row row;
	struct api_relay_rows rows;
	enum rc rc; /* of reading these two */
	struct fault fault;
	struct api_check check;
	enum relay_answer answer;
	struct str why; /* one sentence, in the arena */
};

/* Each ends, now or later, in api_changeover_answered: changeover_ask.c. */
void api_changeover_ask_preflight(struct api_call *c);
void api_changeover_ask_probe(struct api_call *c);
void api_changeover_ask_control(struct api_call *c);
/* Gives the answer to the dispatcher and ends the call. */
void api_changeover_answered(struct api_call *c, enum relay_answer answer, struct str why);
