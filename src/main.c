/* Which program is meant: by the name it is called under, `sendmail` and `mailq`; else by its first
 * word, the service, the sink, or a command that talks to the service. */
#include <string.h>

#include "cli/cli.h"
#include "cli/mailq.h"
#include "cli/sendmail.h"
#include "daemon/config.h"
#include "daemon/serve.h"
#include "sink/sink.h"

int
main(int argc, char **argv)
{
	static const struct cli_programs programs = {
		.serve = daemon_serve,
		.sink = sink_main,
		.config = daemon_config_print,
	};
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	if (strcmp(name, "sendmail") == 0)
		return cli_sendmail_main(argc, argv);
	if (strcmp(name, "newaliases") == 0)
		return 0; /* there are no aliases to build */
	if (strcmp(name, "mailq") == 0)
		return cli_mailq_main(argc, argv);
	return cli_main(argc, argv, &programs);
}
