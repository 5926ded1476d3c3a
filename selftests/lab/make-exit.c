// SPDX-License-Identifier: GPL-2.0
/*
 * A function for GNU make: $(exit-with N) ends make with exit status N.
 *
 * A failed recipe makes make print an error and exit with 2, whatever the status was;
 * `make run EXEC=CMD` has to exit with CMD's own, and to print nothing but CMD's output.
 */
#include <stdlib.h>
#include <gnumake.h>

int plugin_is_GPL_compatible;

static char *exit_with(const char *name, unsigned int argc, char **argv)
{
	(void)name;
	(void)argc;
	exit(atoi(argv[0]));
}

int make_exit_gmk_setup(const gmk_floc *floc);
int make_exit_gmk_setup(const gmk_floc *floc)
{
	(void)floc;
	gmk_add_function("exit-with", exit_with, 1, 1, GMK_FUNC_DEFAULT);
	return 1;
}
