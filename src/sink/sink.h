/* `posthouse sink`: an SMTP server that counts, keeps, or misbehaves on command.
 *
 * For demonstrations, tests and development. It is the real server (smtp/server.h) with an owner
 * that takes everything, unless told to refuse, delay or hang up at some stage. What it does to a
 * connection depends only on the seed and the connection's number (the first is 1), so a run can be
 * repeated. */
#pragma once

/* The command's main; `argv[0]` is its name. Returns the exit status: 0 after SIGTERM or SIGINT, 1
 * when it could not start, 2 for wrong usage. Blocks signals and starts threads: call it first. */
int sink_main(int argc, char **argv);
