/* Random numbers fit for secrets. Reproducible ones come from base/prng.h. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
uint64_t random_u64(void);
/* Uniform in [0, n), without bias; n > 0. */
uint64_t random_below(uint64_t n);
