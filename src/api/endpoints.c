/* Every path of the API, one row each. A literal segment wins over "{}" by standing before it; two
 * of
 * "{}" side by side are one name with a slash, such as the id of a recipient. */
#include "api/private.h"

static const struct api_endpoint endpoints[] = {
	/* clang-format off */
	{ HTTP_GET,    "/version",                api_version,           API_NO_BODY,       false },
	{ HTTP_GET,    "/healthz",                api_healthz,           API_NO_BODY,       true },
	{ HTTP_GET,    "/metrics",                api_metrics,           API_NO_BODY,       false },
	{ HTTP_GET,    "/status",                 api_status,            API_NO_BODY,       false },
	{ HTTP_GET,    "/relays",                 api_relay_list,        API_NO_BODY,       false },
	{ HTTP_POST,   "/relays",                 api_relay_add,         API_JSON,          false },
	{ HTTP_GET,    "/relays/{}",              api_relay_show,        API_NO_BODY,       false },
	{ HTTP_PATCH,  "/relays/{}",              api_relay_edit,        API_JSON,          false },
	{ HTTP_DELETE, "/relays/{}",              api_relay_remove,      API_NO_BODY,       false },
	{ HTTP_POST,   "/relays/{}/secret",       api_relay_secret,      API_JSON,          false },
	{ HTTP_POST,   "/relays/{}/check",        api_relay_check,       API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/relays/{}/pause",        api_relay_pause,       API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/relays/{}/resume",       api_relay_resume,      API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/relays/{}/retire",       api_relay_retire,      API_JSON_OPTIONAL, false },
	{ HTTP_GET,    "/routes",                 api_route_list,        API_NO_BODY,       false },
	{ HTTP_POST,   "/routes",                 api_route_add,         API_JSON,          false },
	{ HTTP_POST,   "/routes/test",            api_route_test,        API_JSON,          false },
	{ HTTP_PATCH,  "/routes/{}",              api_route_edit,        API_JSON,          false },
	{ HTTP_DELETE, "/routes/{}",              api_route_remove,      API_NO_BODY,       false },
	{ HTTP_GET,    "/changeovers",            api_changeover_list,   API_NO_BODY,       false },
	{ HTTP_POST,   "/changeovers",            api_changeover_start,  API_JSON,          false },
	{ HTTP_POST,   "/changeovers/plan",       api_changeover_plan,   API_JSON,          false },
	{ HTTP_GET,    "/changeovers/{}",         api_changeover_show,   API_NO_BODY,       false },
	{ HTTP_GET,    "/changeovers/{}/events",  api_changeover_events, API_NO_BODY,       false },
	{ HTTP_POST,   "/changeovers/{}/hold",    api_changeover_hold,   API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/changeovers/{}/resume",  api_changeover_resume, API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/changeovers/{}/confirm", api_changeover_confirm, API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/changeovers/{}/revert",  api_changeover_revert, API_JSON_OPTIONAL, false },
	{ HTTP_GET,    "/accounts",               api_account_list,      API_NO_BODY,       false },
	{ HTTP_POST,   "/accounts",               api_account_add,       API_JSON,          false },
	{ HTTP_PATCH,  "/accounts/{}",            api_account_edit,      API_JSON,          false },
	{ HTTP_DELETE, "/accounts/{}",            api_account_remove,    API_NO_BODY,       false },
	{ HTTP_GET,    "/credentials",            api_credential_list,   API_NO_BODY,       false },
	{ HTTP_POST,   "/credentials",            api_credential_add,    API_JSON,          false },
	{ HTTP_GET,    "/credentials/{}",         api_credential_show,   API_NO_BODY,       false },
	{ HTTP_PATCH,  "/credentials/{}",         api_credential_edit,   API_JSON,          false },
	{ HTTP_DELETE, "/credentials/{}",         api_credential_remove, API_NO_BODY,       false },
	{ HTTP_POST,   "/credentials/{}/pause",   api_credential_pause,  API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/credentials/{}/resume",  api_credential_resume, API_JSON_OPTIONAL, false },
	{ HTTP_GET,    "/emails",                 api_email_list,        API_NO_BODY,       false },
	{ HTTP_POST,   "/emails",                 api_email_send,        API_RAW,           false },
	{ HTTP_GET,    "/emails/{}",              api_email_show,        API_NO_BODY,       false },
	{ HTTP_POST,   "/emails/{}/cancel",       api_email_cancel,      API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/emails/{}/{}/cancel",     api_email_cancel,      API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/emails/{}/retry",        api_email_retry,       API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/emails/{}/{}/retry",      api_email_retry,       API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/emails/{}/release",      api_email_release,     API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/emails/{}/{}/release",    api_email_release,     API_JSON_OPTIONAL, false },
	{ HTTP_GET,    "/queue",                  api_queue_show,        API_NO_BODY,       false },
	{ HTTP_GET,    "/queue/recipients",       api_queue_list,        API_NO_BODY,       false },
	{ HTTP_POST,   "/queue/hold",             api_queue_hold,        API_JSON,          false },
	{ HTTP_POST,   "/queue/release",          api_queue_release,     API_JSON,          false },
	{ HTTP_POST,   "/queue/retry",            api_queue_retry,       API_JSON,          false },
	{ HTTP_POST,   "/queue/cancel",           api_queue_cancel,      API_JSON,          false },
	{ HTTP_POST,   "/queue/resolve",          api_queue_resolve,     API_JSON,          false },
	{ HTTP_GET,    "/explain",                api_explain,           API_NO_BODY,       false },
	{ HTTP_GET,    "/stats",                  api_stats,             API_NO_BODY,       false },
	{ HTTP_GET,    "/alarms",                 api_alarm_list,        API_NO_BODY,       false },
	{ HTTP_POST,   "/alarms",                 api_alarm_add,         API_JSON,          false },
	{ HTTP_POST,   "/alarms/test",            api_alarm_test,        API_JSON_OPTIONAL, false },
	{ HTTP_DELETE, "/alarms/{}",              api_alarm_remove,      API_NO_BODY,       false },
	{ HTTP_GET,    "/mailboxes",              api_mailbox_list,      API_NO_BODY,       false },
	{ HTTP_POST,   "/mailboxes",              api_mailbox_add,       API_JSON,          false },
	{ HTTP_GET,    "/mailboxes/{}",           api_mailbox_show,      API_NO_BODY,       false },
	{ HTTP_PATCH,  "/mailboxes/{}",           api_mailbox_edit,      API_JSON,          false },
	{ HTTP_DELETE, "/mailboxes/{}",           api_mailbox_remove,    API_NO_BODY,       false },
	{ HTTP_POST,   "/mailboxes/{}/check",     api_mailbox_check,     API_JSON_OPTIONAL, false },
	{ HTTP_POST,   "/relays/{}/probe",        api_probe_start,       API_JSON_OPTIONAL, false },
	{ HTTP_GET,    "/relays/{}/probe",        api_probe_show,        API_NO_BODY,       false },
	{ HTTP_GET,    "/audit",                  api_audit_list,        API_NO_BODY,       false },
	/* clang-format on */
};

static bool
matches(struct str pattern, struct str path, struct str *name_out)
{
	struct str want, have;

	for (;;) {
		bool more = str_cut(&pattern, '/', &want);
		if (more != str_cut(&path, '/', &have))
			return false;
		if (!more)
			return true;
		if (str_eq(want, STR("{}")) && have.n != 0)
			*name_out =
			    name_out->p == NULL
				? have
				: str_make(name_out->p, (size_t)(have.p + have.n - name_out->p));
		else if (!str_eq(want, have))
			return false;
	}
}

enum rc
api_endpoint_find(
    enum http_method method, struct str path, const struct api_endpoint **out, struct str *name_out)
{
	enum rc rc = RC_NOT_FOUND;

	if (method == HTTP_HEAD)
		method = HTTP_GET;
	if (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	for (size_t i = 0; i < COUNT_OF(endpoints); i++) {
		struct str name = { 0 };
		if (!matches(str_from(endpoints[i].pattern), path, &name))
			continue;
		rc = RC_DENIED;
		if (endpoints[i].method == method) {
			*out = &endpoints[i];
			*name_out = name;
			return RC_OK;
		}
	}
	return rc;
}
