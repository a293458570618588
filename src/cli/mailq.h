/* The face of `mailq`: what waits, in the layout that scripts have read for forty years. */
#pragma once

/* Exit status of sysexits.h. */
int cli_mailq_main(int argc, char **argv);
