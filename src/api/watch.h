/* The watch: looks every ten seconds for what is wrong, and sounds the alarms when something begins
 * or ends. */
#pragma once

#include "api/private.h"

struct api_watch;
struct store_alarm_row;

struct api_watch *api_watch_new(struct api *a);
/* Takes NULL; nulls the pointer. Commands that still run go on. */
void api_watch_free(struct api_watch **w);
/* Sounds these alarms now: one line of subject, then the text. Main thread. */
void api_watch_sound(struct api *a, const struct store_alarm_row *alarms, size_t n,
    struct str subject, struct str text);
