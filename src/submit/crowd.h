/* How many connections one address has, over all loops together.
 *
 * Any thread. Every address that was added must be removed as often. */
#pragma once

#include <stddef.h>

#include "codec/ip.h"

/* One connection more from `ip`; how many there are now. Rarely a few more than there are (see
 * crowd.c), never fewer. */
size_t submit_crowd_add(const struct ip *ip);
/* One less. */
void submit_crowd_remove(const struct ip *ip);
