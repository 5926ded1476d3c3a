// SPDX-License-Identifier: GPL-2.0
/* posada: the tool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "calls.h"
#include "client.h"
#include "control.h"
#include "doctor.h"
#include "exec.h"
#include "gdb.h"
#include "image.h"
#include "options.h"
#include "root.h"
#include "sandbox.h"
#include "term.h"
#include "uart.h"

#ifndef POSADA_VERSION
#define POSADA_VERSION "unknown"
#endif

static const char help[] =
	"usage: posada COMMAND [options]\n"
	"\n"
	"Commands\n"
	"  run       boot a kernel in a virtual machine, or run a program in a folder\n"
	"  ps        list the virtual machines that run\n"
	"  stop      press a machine's power button, wait until it is off\n"
	"  kill      end a machine at once\n"
	"  exec      run a program in a machine that runs\n"
	"  console   a machine's serial line on this terminal\n"
	"  generation tell a machine's guest that it was restored or copied\n"
	"  stats     a machine's counters\n"
	"  top       what the machines do, once a second\n"
	"  doctor    say what this host offers, and what would help\n"
	"\n"
	"Options\n"
	"  --help    this help; `posada run --help` for a command's\n"
	"  --version the version\n";

static const char doctor_help[] =
	"usage: posada doctor [--json]\n"
	"\n"
	"Say which backends this host offers, and for each that it does not, why and\n"
	"what would help.\n"
	"\n"
	"  --json    for programs\n"
	"\n"
	"Exit status: 0 if guests can be started here, 1 if not, 2 on a usage error.\n";

static int cmd_doctor(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") ||
			  !strcmp(argv[1], "-h"))) {
		fputs(doctor_help, stdout);
		return 0;
	}
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json")))
		usage_error("doctor", "unexpected argument '%s'",
			    argv[argc > 2 ? 2 : 1]);
	return doctor(argc == 2);
}

/* The status of --exec is that of its command; only then. */
static int final_status(struct machine *m)
{
	if (m->cfg->root.path)
		return root_status(m);
	if (!m->cfg->exec || m->status)
		return m->status;
	if (m->exec_status >= 0)
		return m->exec_status;
	warn_line("the guest ended before it reported the command's status (does its init know --exec? try without)");
	return STATUS_FAILED;
}

/* All has been opened, and no thread has been started. */
static void confine(const struct config *cfg)
{
	struct sandbox s;

	if (cfg->no_sandbox)
		return;
	sandbox_plan(&s, cfg);
	sandbox_enter(&s);
}

static int run_machine(struct machine *m, struct exec *exec, int room_fd)
{
	bool root = m->cfg->root.path;
	int status;

	misc_init(m);
	if (m->cfg->gdb)
		m->gdb = gdb_create(m, m->cfg->gdb);
	confine(m->cfg);
	/* What the command writes is all that is for stdout. */
	m->console = console_create(m->control, root ? -1 : STDOUT_FILENO);
	m->com1 = uart_create(m, COM1_PORT, COM1_PIN,
			      root ? root_console_put : console_put,
			      root ? (void *)m : m->console, room_fd);
	m->com2 = uart_create(m, COM2_PORT, COM2_PIN, exec_put, exec, -1);
	if (!root)
		term_raw();
	if (m->hvc)
		hvc_set_output(m->hvc, console_put, m->console);
	m->calls = calls_create(m, room_fd);
	calls_start(m->calls);
	devices_start(m->devices);
	gdb_start(m->gdb);
	control_start(m->control, m);
	machine_start(m);
	if (root)
		root_attend(m);
	else
		term_loop(m, room_fd);
	machine_finish(m);
	gdb_finish(m->gdb);
	control_finish(m->control);
	term_restore();
	if (m->last_words)
		fputs(m->last_words, stderr);
	stats_print(m, stderr);
	profile_print(m, stderr);
	devices_free(m->devices);
	status = final_status(m);
	machine_free(m);
	return status;
}

static int cmd_run(int argc, char **argv)
{
	struct control *control;
	struct config cfg;
	struct devices *devices;
	struct image kernel;
	struct machine *m;
	struct exec *exec;
	int status, room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (room_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	options_parse(&cfg, argc, argv);
	if (cfg.root.path)
		root_prepare(&cfg);
	/* Whatever can be found wrong is found before anything is created. */
	boot_check(&cfg, &kernel);
	/* Before any thread starts: the devices' inherit this. */
	term_block_signals();
	control = control_create(&cfg);
	cgroup_enter(&cfg);
	devices = devices_create(&cfg, room_fd);
	m = machine_create(&cfg);
	m->control = control;
	devices_attach(m, devices);
	exec = exec_create(m);
	boot_load(m, &kernel);
	image_free(&kernel);
	status = run_machine(m, exec, room_fd);
	exec_free(exec);
	close(room_fd);
	return status;
}

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
} commands[] = {
	{ "run", cmd_run }, { "ps", cmd_ps }, { "stop", cmd_stop },
	{ "kill", cmd_kill }, { "console", cmd_console },
	{ "exec", cmd_exec }, { "stats", cmd_stats }, { "top", cmd_top },
	{ "doctor", cmd_doctor }, { "generation", cmd_generation },
};

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2)
		usage_error("", "no command given");
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].fn(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		fputs(help, stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("posada " POSADA_VERSION);
		return 0;
	}
	usage_error("", "unknown command '%s'", argv[1]);
}
