// SPDX-License-Identifier: GPL-2.0
/* posada exec: a command in a running VM, by the agent there. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/protocol.h"
#include "agent_client.h"
#include "client.h"
#include "machine.h"
#include "options.h"
#include "term.h"

static const char help[] =
	"usage: posada exec [options] NAME -- COMMAND [ARGUMENT...]\n"
	"\n"
	"Run COMMAND in a VM that runs, with this terminal or these files as its stdin,\n"
	"stdout and stderr, by the agent in its guest: one that posada run ROOTFS brings,\n"
	"or posada-agent, installed there, for a VM with --agent or --vsock.\n"
	"\n"
	"  -e, --env NAME[=VALUE]\n"
	"                        set, or pass on, a variable of the environment\n"
	"  -w, --workdir DIR     the working folder               [/]\n"
	"  -u, --user USER[:GROUP]\n"
	"                        names or numbers                 [root]\n"
	"  -t, --tty             a terminal in the guest, as where stdin and stdout are one\n"
	"  -T, --no-tty          none\n"
	"      --json            for programs: no terminal, and when COMMAND has ended an\n"
	"                        object with its status, stdout and stderr\n"
	"\n"
	"Exit status: that of COMMAND, 128 + N if signal N ended it; 127 where there is no\n"
	"such command, 126 where it cannot be run; 125 where the agent cannot, 1 on any\n"
	"other failure.\n";

static const struct option options[] = {
	{ "env",     required_argument, NULL, 'e' },
	{ "workdir", required_argument, NULL, 'w' },
	{ "user",    required_argument, NULL, 'u' },
	{ "tty",     no_argument,       NULL, 't' },
	{ "no-tty",  no_argument,       NULL, 'T' },
	{ "json",    no_argument,       NULL, 'j' },
	{ "help",    no_argument,       NULL, 'h' },
	{ 0 }
};

bool option_command(struct agent_command *cmd, int c, const char *arg,
		    const char *topic)
{
	const char *setting;

	switch (c) {
	case 'e':
		setting = agent_env(arg);
		if (cmd->nr_env == MAX_ENV)
			usage_error(topic, "more than %d variables", MAX_ENV);
		if (setting)
			cmd->env[cmd->nr_env++] = setting;
		return true;
	case 'w':
		cmd->folder = arg;
		return true;
	case 'u':
		cmd->user = arg;
		return true;
	case 't':
		cmd->tty = TTY_YES;
		return true;
	case 'T':
		cmd->tty = TTY_NO;
		return true;
	default:
		return false;
	}
}

/* What follows the name, with or without the dashes. */
static const char *parse(struct agent_command *cmd, bool *json, int argc,
			 char **argv)
{
	const char *name;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:e:w:u:tTh", options, NULL)) !=
	       -1) {
		if (c == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (c == 'j')
			*json = true;
		else if (!option_command(cmd, c, optarg, "exec"))
			usage_error("exec", "unknown option or bad use: %s",
				    argv[optind - 1]);
	}
	if (*json && cmd->tty == TTY_YES)
		usage_error("exec", "--json goes without a terminal");
	if (optind >= argc)
		usage_error("exec", "no VM named");
	name = argv[optind++];
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	if (optind >= argc)
		usage_error("exec", "no command given");
	cmd->argv = argv + optind;
	cmd->argc = (unsigned int)(argc - optind);
	return name;
}

static int connect_vsock(const char *name, unsigned int cid)
{
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK, .svm_cid = cid,
		.svm_port = AGENT_VSOCK_PORT,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("this host has no vsock (%s): modprobe vhost_vsock, or start the VM with --agent",
		    strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("no agent answers in the VM '%s' at vsock %u:%u (%s): install posada-agent in the guest and start it",
		    name, cid, AGENT_VSOCK_PORT, strerror(errno));
	return fd;
}

static int connect_agent(const char *name)
{
	struct fields f;
	unsigned int cid;
	bool port;
	int fd = client_connect(name);

	if (!client_fields(fd, "info", &f))
		die("the VM '%s' has just ended", name);
	close(fd);
	port = !strcmp(client_text(&f, "agent"), "port");
	cid = (unsigned int)client_number(&f, "vsock");
	client_free(&f);
	if (!port && !cid)
		die("the VM '%s' has no way to an agent: start it with --agent, and posada-agent in its guest",
		    name);
	if (!port)
		return connect_vsock(name, cid);
	fd = client_connect(name);
	if (!client_ask(fd, "exec"))
		exit(STATUS_FAILED);
	return fd;
}

/* The command's output, kept for the end. */
struct text {
	char *data;
	size_t bytes;
};

static void keep_output(struct agent_command *cmd, struct text *text)
{
	unsigned int i;

	cmd->tty = TTY_NO;
	for (i = AGENT_STDOUT; i <= AGENT_STDERR; i++) {
		cmd->output[i] = open_memstream(&text[i].data, &text[i].bytes);
		if (!cmd->output[i])
			die("out of memory");
	}
}

static void print_result(const struct agent_command *cmd, const char *name,
			 int status, const struct text *text)
{
	unsigned int i;

	for (i = AGENT_STDOUT; i <= AGENT_STDERR; i++)
		if (fclose(cmd->output[i]))
			die("out of memory for the command's output");
	printf("{\"name\": \"%s\", \"status\": %d, \"stdout\": ", name, status);
	json_bytes(text[AGENT_STDOUT].data, text[AGENT_STDOUT].bytes);
	printf(", \"stderr\": ");
	json_bytes(text[AGENT_STDERR].data, text[AGENT_STDERR].bytes);
	puts("}");
}

int cmd_exec(int argc, char **argv)
{
	static struct text text[AGENT_STREAMS];
	static struct agent_command cmd;
	bool json = false;
	const char *name = parse(&cmd, &json, argc, argv);
	int fd, status;

	if (json)
		keep_output(&cmd, text);
	agent_check(&cmd);
	fd = connect_agent(name);
	term_block_signals();
	if (agent_run(fd, &cmd, -1, -1, &status) == AGENT_LOST)
		die("the VM '%s', or the agent in it, ended before the command did",
		    name);
	close(fd);
	if (json)
		print_result(&cmd, name, status, text);
	return status;
}
