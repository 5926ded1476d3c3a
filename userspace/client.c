// SPDX-License-Identifier: GPL-2.0
/* posada ps, stop, kill, stats. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "machine.h"
#include "options.h"

#define STOP_TIMEOUT	60	/* seconds */
#define STEP_MAX	1000000000

static const char ps_help[] =
	"usage: posada ps [--json]\n"
	"\n"
	"List the VMs that this user runs.\n"
	"\n"
	"      --json            for programs: an array of objects\n";

static const char stop_help[] =
	"usage: posada stop [--timeout SECONDS] [--json] NAME\n"
	"\n"
	"Press the VM's power button, and wait until it is off. A guest must listen to\n"
	"that button: systemd does.\n"
	"\n"
	"      --timeout SECONDS give up after this time        [60]\n"
	"      --json            for programs\n"
	"\n"
	"Exit status: 0 when the VM is off, 1 when it is not.\n";

static const char kill_help[] =
	"usage: posada kill [--json] NAME\n"
	"\n"
	"End a VM at once, as if its power failed; `posada run` there exits with 137.\n"
	"\n"
	"      --json            for programs\n";

static const char generation_help[] =
	"usage: posada generation [--step SECONDS] [--json] NAME\n"
	"\n"
	"Tell the guest that it is not the one that it was: its disk was put back or\n"
	"copied, say. It gets fresh entropy, and an id that nobody had before.\n"
	"\n"
	"      --step SECONDS    what its wall clock missed, 86400 or -1.5, say\n"
	"      --json            for programs\n"
	"\n"
	"Exit status: 0 when it has been told, 1 when it does not listen.\n";

static const char stats_help[] =
	"usage: posada stats [--json] NAME\n"
	"\n"
	"Print the counters of a running VM, as posada run --stats does at its end.\n"
	"\n"
	"      --json            for programs\n";

enum { OPT_JSON = 256, OPT_TIMEOUT, OPT_STEP };

/* A count, from 1 to a million. */
static unsigned int parse_count(const char *topic, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || !n || n > 1000000)
		usage_error(topic, "'%s': not a number from 1 to 1000000",
			    text);
	return (unsigned int)n;
}

static long long parse_step(const char *topic, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= -STEP_MAX && s <= STEP_MAX))
		usage_error(topic, "'%s': not a number of seconds, of at most %d",
			    text, STEP_MAX);
	return (long long)(s * 1e9 + (s < 0 ? -0.5 : 0.5));
}

void client_parse(struct client_args *a, int argc, char **argv,
		  const char *help, bool takes_name)
{
	static const struct option options[] = {
		{ "json",    no_argument,       NULL, OPT_JSON },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "step",    required_argument, NULL, OPT_STEP },
		{ "help",    no_argument,       NULL, 'h' },
		{ 0 }
	};
	int c;

	*a = (struct client_args){ .timeout = STOP_TIMEOUT };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":n:h", options, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (c == 'h') {
			fputs(help, stdout);
			exit(0);
		} else if (c == OPT_JSON && strstr(help, "--json")) {
			a->json = true;
		} else if (c == OPT_TIMEOUT && strstr(help, "--timeout")) {
			a->timeout = parse_count(argv[0], optarg);
		} else if (c == OPT_STEP && strstr(help, "--step")) {
			a->step_ns = parse_step(argv[0], optarg);
		} else if (c == 'n' && strstr(help, "-n ")) {
			a->count = parse_count(argv[0], optarg);
		} else {
			usage_error(argv[0], "unknown option or bad use: %s",
				    word);
		}
	}
	if (takes_name && optind < argc)
		a->name = argv[optind++];
	if (optind < argc)
		usage_error(argv[0], "unexpected argument '%s'", argv[optind]);
	if (takes_name && !a->name)
		usage_error(argv[0], "no VM named");
}

/* ---- ps ---- */

static void print_uptime(unsigned long long ms)
{
	unsigned long long s = ms / 1000;
	char text[32];

	if (s < 60)
		snprintf(text, sizeof(text), "%llus", s);
	else if (s < 3600)
		snprintf(text, sizeof(text), "%llum%llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, sizeof(text), "%lluh%llum", s / 3600,
			 s / 60 % 60);
	else
		snprintf(text, sizeof(text), "%llud%lluh", s / 86400,
			 s / 3600 % 24);
	printf("%-8s ", text);
}

static void print_row(const struct fields *f)
{
	printf("%-16s %7llu  %-8s ", client_text(f, "name"),
	       client_number(f, "pid"), client_text(f, "state"));
	print_uptime(client_number(f, "uptime_ms"));
	printf("%5llu %6lluM  %s\n", client_number(f, "vcpus"),
	       client_number(f, "memory") / MIB, client_text(f, "kernel"));
}

int cmd_ps(int argc, char **argv)
{
	char **names, **name;
	struct client_args a;
	struct fields f;
	bool first = true;
	int fd;

	client_parse(&a, argc, argv, ps_help, false);
	names = client_names();
	if (a.json)
		putchar('[');
	else
		printf("%-16s %7s  %-8s %-8s %5s %7s  %s\n", "NAME", "PID",
		       "STATE", "UPTIME", "VCPUS", "MEMORY", "KERNEL");
	for (name = names; *name; name++) {
		fd = client_try(*name);
		if (fd >= 0 && client_fields(fd, "info", &f)) {
			if (a.json && !first)
				fputs(",\n ", stdout);
			first = false;
			if (a.json)
				client_json(&f);
			else
				print_row(&f);
			client_free(&f);
		}
		if (fd >= 0)
			close(fd);
		free(*name);
	}
	free(names);
	if (a.json)
		puts("]");
	return 0;
}

/* ---- stop, kill ---- */

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The VM closes the connection when it has ended. */
static bool wait_for_end(int fd, unsigned int seconds)
{
	long long end = now_ms() + seconds * 1000LL, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	for (;;) {
		left = end - now_ms();
		if (left <= 0)
			return false;
		if (poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) <= 0)
			continue;
		if (read(fd, &byte, 1) <= 0)
			return true;
	}
}

/* What has been done, for programs: a failure is a line on stderr, as ever. */
static void report(const struct client_args *a, const char *done)
{
	if (a->json)
		printf("{\"name\": \"%s\", \"%s\": true}\n", a->name, done);
}

int cmd_stop(int argc, char **argv)
{
	struct client_args a;
	int fd;

	client_parse(&a, argc, argv, stop_help, true);
	fd = client_connect(a.name);
	if (!client_ask(fd, "stop"))
		die("the VM '%s' did not take the order", a.name);
	if (!wait_for_end(fd, a.timeout))
		die("the VM '%s' is not off after %u s: does its system listen to the power button? `posada kill %s` ends it at once",
		    a.name, a.timeout, a.name);
	close(fd);
	report(&a, "stopped");
	return 0;
}

int cmd_kill(int argc, char **argv)
{
	struct client_args a;
	int fd;

	client_parse(&a, argc, argv, kill_help, true);
	fd = client_connect(a.name);
	if (!client_ask(fd, "kill"))
		die("the VM '%s' did not take the order", a.name);
	if (!wait_for_end(fd, a.timeout))
		die("the VM '%s' does not end: kill -9 its process (`posada ps` has the PID)",
		    a.name);
	close(fd);
	report(&a, "killed");
	return 0;
}

int cmd_generation(int argc, char **argv)
{
	unsigned long long told;
	struct client_args a;
	char command[48];
	struct fields f;
	int fd;

	client_parse(&a, argc, argv, generation_help, true);
	fd = client_connect(a.name);
	snprintf(command, sizeof(command), "generation %lld", a.step_ns);
	if (!client_fields(fd, command, &f))
		die("the VM '%s' did not take the order", a.name);
	told = client_number(&f, "told");
	client_free(&f);
	close(fd);
	if (!told)
		die("the guest of '%s' does not listen: it has no driver for POSADA_MSR_GENERATION",
		    a.name);
	report(&a, "told");
	return 0;
}

/* ---- stats ---- */

int cmd_stats(int argc, char **argv)
{
	struct client_args a;
	struct fields f;
	size_t i;
	int fd;

	client_parse(&a, argc, argv, stats_help, true);
	fd = client_connect(a.name);
	if (!client_fields(fd, "stats", &f))
		die("the VM '%s' has just ended", a.name);
	close(fd);
	if (a.json) {
		client_json(&f);
		putchar('\n');
	}
	for (i = 0; i < f.count && !a.json; i++)
		if (strcmp(f.field[i].value, "0"))
			printf("%-18s %14s\n", f.field[i].name,
			       f.field[i].value);
	client_free(&f);
	return 0;
}
