/* SPDX-License-Identifier: GPL-2.0 */
#ifndef OPTIONS_H
#define OPTIONS_H

struct config;

/* Read the arguments of `posada run` (argv[0] is "run"). A usage error ends
 * the program with status 2, --help with 0.
 */
void options_parse(struct config *cfg, int argc, char **argv);

/* Print one line on stderr and where help is, and end with status 2. */
void usage_error(const char *topic, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* An option of posada exec, or of posada run ROOTFS; -> whether it is one. */
struct agent_command;
bool option_command(struct agent_command *cmd, int c, const char *arg,
		    const char *topic);

#endif /* OPTIONS_H */
