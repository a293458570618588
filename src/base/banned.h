/* Functions of the C library that cannot be used safely become compile errors.
 *
 * Where one of them looks right, the replacement stands beside it. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(fn, instead) fn##_is_banned_use_##instead

#undef strcpy
#define strcpy(d, s) BANNED(strcpy, str_or_buf)
#undef strncpy
#define strncpy(d, s, n) BANNED(strncpy, str_or_buf)
#undef strcat
#define strcat(d, s) BANNED(strcat, buf_add)
#undef strncat
#define strncat(d, s, n) BANNED(strncat, buf_add)
#undef sprintf
#define sprintf(...) BANNED(sprintf, snprintf_or_buf_addf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf, vsnprintf)
#undef strtok
#define strtok(s, d) BANNED(strtok, str_cut)
#undef gmtime
#define gmtime(t) BANNED(gmtime, gmtime_r)
#undef localtime
#define localtime(t) BANNED(localtime, localtime_r)
#undef ctime
#define ctime(t) BANNED(ctime, clock_format)
#undef asctime
#define asctime(t) BANNED(asctime, clock_format)
#undef atoi
#define atoi(s) BANNED(atoi, str_to_u64)
#undef atol
#define atol(s) BANNED(atol, str_to_u64)
#undef rand
#define rand() BANNED(rand, prng_next_or_crypto_random)
