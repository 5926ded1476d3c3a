// SPDX-License-Identifier: GPL-2.0
/* posada top: what the running VMs do, once a second. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "machine.h"

static const char help[] =
	"usage: posada top [-n COUNT] [--json]\n"
	"\n"
	"Show what the running VMs do, once a second, until Ctrl-C.\n"
	"\n"
	"  -n COUNT              end after so many times\n"
	"      --json            for programs: a line with an array each time\n"
	"\n"
	"CPU is time in the guest, in per cent of one CPU; the rest is per second.\n";

/* What one VM had counted, at one time. */
struct sample {
	char *name;
	unsigned long long ms, guest_ns, entries, user, port, memory, irq;
};

struct samples {
	struct sample *at;
	size_t count;
};

static bool take_sample(struct sample *s, char *name)
{
	int fd = client_try(name);
	struct fields f;
	bool ok = fd >= 0 && client_fields(fd, "stats", &f);

	if (fd >= 0)
		close(fd);
	if (!ok)
		return false;
	*s = (struct sample){
		.name = name,
		.ms = client_number(&f, "uptime_ms"),
		.guest_ns = client_number(&f, "guest_ns"),
		.entries = client_number(&f, "entries"),
		.user = client_number(&f, "user_exits"),
		.port = client_number(&f, "port"),
		.memory = client_number(&f, "memory"),
		.irq = client_number(&f, "inject_irq"),
	};
	client_free(&f);
	return true;
}

static void take_samples(struct samples *all)
{
	char **names = client_names(), **name;

	*all = (struct samples){ 0 };
	for (name = names; *name; name++) {
		all->at = reallocarray(all->at, all->count + 1,
				       sizeof(*all->at));
		if (!all->at)
			die("out of memory");
		if (take_sample(&all->at[all->count], *name))
			all->count++;
		else
			free(*name);
	}
	free(names);
}

static void free_samples(struct samples *all)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		free(all->at[i].name);
	free(all->at);
}

static double rate(unsigned long long now, unsigned long long then,
		   unsigned long long ms)
{
	return ms ? (double)(now - then) * 1000 / (double)ms : 0;
}

/* A new VM of an old name has counted less than it had. */
static const struct sample *find(const struct samples *all,
				 const struct sample *s)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		if (!strcmp(all->at[i].name, s->name) &&
		    all->at[i].ms <= s->ms)
			return &all->at[i];
	return NULL;
}

static void print_one(const struct sample *s, const struct sample *old,
		      bool json, bool first)
{
	struct sample none = { 0 };
	unsigned long long ms;

	if (!old)
		old = &none;
	ms = s->ms - old->ms;
	printf(json ? "%s{\"name\": \"%s\", \"cpu\": %.1f, \"entries\": %.0f, \"user_exits\": %.0f, \"port\": %.0f, \"memory\": %.0f, \"inject_irq\": %.0f}" :
	       "%s%-16s %6.1f %10.0f %10.0f %9.0f %9.0f %9.0f\n",
	       json && !first ? ", " : "", s->name,
	       rate(s->guest_ns, old->guest_ns, ms) / 1e7,
	       rate(s->entries, old->entries, ms),
	       rate(s->user, old->user, ms), rate(s->port, old->port, ms),
	       rate(s->memory, old->memory, ms), rate(s->irq, old->irq, ms));
}

static void print_all(const struct samples *now, const struct samples *then,
		      bool json)
{
	size_t i;

	if (json) {
		putchar('[');
	} else {
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		printf("%-16s %6s %10s %10s %9s %9s %9s\n", "NAME", "CPU%",
		       "ENTRIES", "TO-VMM", "PORT", "MEMORY", "IRQ");
	}
	for (i = 0; i < now->count; i++)
		print_one(&now->at[i], find(then, &now->at[i]), json, !i);
	if (json)
		puts("]");
	fflush(stdout);
}

int cmd_top(int argc, char **argv)
{
	const struct timespec second = { .tv_sec = 1 };
	struct samples then, now;
	struct client_args a;
	unsigned int i;

	client_parse(&a, argc, argv, help, false);
	take_samples(&then);
	for (i = 0; !a.count || i < a.count; i++) {
		nanosleep(&second, NULL);
		take_samples(&now);
		print_all(&now, &then, a.json);
		free_samples(&then);
		then = now;
	}
	free_samples(&then);
	return 0;
}
