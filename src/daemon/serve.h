/* `posthouse serve`: the service. */
#pragma once

/* Runs until SIGTERM or SIGINT; returns the exit status. `argv` holds the words behind "serve". */
int daemon_serve(int argc, char **argv);
