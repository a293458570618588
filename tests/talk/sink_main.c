/* The sink as a program of its own, for the conversations. */
#include "sink/sink.h"

int
main(int argc, char **argv)
{
	return sink_main(argc, argv);
}
