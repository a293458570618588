/* Which program is meant: the service, the sink, or a command of the two that talks to the service. */
#include <stdio.h>
#include <string.h>

#include "daemon/serve.h"
#include "sink/sink.h"

int
main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "serve") == 0)
		return daemon_serve(argc - 2, argv + 2);
	if (argc >= 2 && strcmp(argv[1], "sink") == 0)
		return sink_main(argc - 1, argv + 1);
	fprintf(stderr, "usage: posthouse serve|sink ...\n");
	return 2;
}
