/* The rows of checks.def as tables. */
#include "preflight/finding.h"

#include "base/check.h"

#define EXIT_OF_FIRST_STAGE 10

static const struct {
	const char *id;
	const char *title;
	enum preflight_stage stage;
} checks[] = {
#define X(id, stage, title) [PREFLIGHT_##id] = { #id, (title), PREFLIGHT_STAGE_##stage },
#include "preflight/checks.def"
#undef X
};
static_assert(COUNT_OF(checks) == PREFLIGHT_CHECK_COUNT, "every check has a row");

static const char *const stage_names[] = {
#define X(name, text) [PREFLIGHT_STAGE_##name] = (text),
	PREFLIGHT_STAGES(X)
#undef X
};

static const char *const verdict_names[] = {
	[PREFLIGHT_OK] = "ok",
	[PREFLIGHT_INFO] = "info",
	[PREFLIGHT_WARN] = "warn",
	[PREFLIGHT_FAIL] = "fail",
	[PREFLIGHT_SKIPPED] = "skipped",
};
static_assert(COUNT_OF(verdict_names) == PREFLIGHT_VERDICT_COUNT, "every verdict has a name");

const char *
preflight_check_id(enum preflight_check check)
{
	ASSERT(check < PREFLIGHT_CHECK_COUNT);
	return checks[check].id;
}

const char *
preflight_check_title(enum preflight_check check)
{
	ASSERT(check < PREFLIGHT_CHECK_COUNT);
	return checks[check].title;
}

enum preflight_stage
preflight_check_stage(enum preflight_check check)
{
	ASSERT(check < PREFLIGHT_CHECK_COUNT);
	return checks[check].stage;
}

const char *
preflight_stage_name(enum preflight_stage stage)
{
	ASSERT(stage < PREFLIGHT_STAGE_COUNT);
	return stage_names[stage];
}

const char *
preflight_verdict_name(enum preflight_verdict verdict)
{
	return verdict_names[verdict];
}

int
preflight_stage_exit(enum preflight_stage stage)
{
	return EXIT_OF_FIRST_STAGE + (int)stage;
}
