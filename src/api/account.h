/* Shared by those that deal with accounts and credentials. */
#pragma once

#include "api/private.h"
#include "store/config_account.h"

struct api_accounts {
	struct store_account_row *rows; /* `local` always among them */
	uint32_t n;
};

enum rc api_accounts_read(
    struct store_reader *r, struct arena *a, struct api_accounts *out, struct fault *f);
/* By name, any case; RC_NOT_FOUND with a fault that says so. */
enum rc api_accounts_find(const struct api_accounts *all, struct str name,
    struct store_account_row **out, struct fault *f);
struct str api_accounts_name(const struct api_accounts *all, struct account_id id);
/* Puts the row of `local` where there is no account yet. */
enum rc api_accounts_keep_local(struct store_tx *tx, struct arena *a, struct fault *f);
/* Whether the book can be built from what the transaction has written so far. */
enum rc api_accounts_judge(struct store_tx *tx, struct fault *f);
