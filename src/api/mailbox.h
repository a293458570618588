/* Mailboxes by name. */
#pragma once

#include "api/private.h"
#include "store/config_mailbox.h"

/* RC_NOT_FOUND with a fault that says so. */
enum rc api_mailbox_find(struct store_reader *r, struct str name, struct arena *a,
    struct store_mailbox_row *out, struct fault *f);
/* For a relay's `bounces`: RC_INVALID, with the remedy, unless `name` is empty or there. */
enum rc api_mailbox_must_exist(
    struct store_reader *r, struct str name, struct arena *a, struct fault *f);
