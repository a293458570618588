/* Old relay versions give up their secrets. */
#pragma once

#include "api/private.h"

/* Wipes the secrets of versions whose changeover is over for good (state retired), unless something
 * in use logs in with the same. Harmless to repeat: at start, and whenever one comes to its end. */
void api_relay_retire_tidy(struct api *a);
