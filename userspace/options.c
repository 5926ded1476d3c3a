// SPDX-License-Identifier: GPL-2.0
/* The options of `posada run`. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "machine.h"
#include "names.h"
#include "options.h"

#define MIN_MEM		(1 * MIB)
#define MAX_MEM		(64ULL << 40)
#define DEFAULT_MEM	(512 * MIB)

static const char help[] =
	"usage: posada run [options] KERNEL\n"
	"       posada run [options] ROOTFS [-- COMMAND [ARGUMENT...]]\n"
	"\n"
	"Boot KERNEL, a bzImage, or an ELF image with a multiboot header or a PVH entry,\n"
	"in a virtual machine. Its first serial port is this terminal.\n"
	"\n"
	"Or run COMMAND (/bin/sh) in one whose root is the folder ROOTFS: what it writes\n"
	"stays in the guest's memory. Its stdin, stdout and stderr are these here.\n"
	"\n"
	"The guest\n"
	"  -k, --kernel FILE     the same as KERNEL\n"
	"  -i, --initrd FILE     initial RAM disk (multiboot: the first module)\n"
	"  -a, --append TEXT     kernel command line; a bzImage gets console=ttyS0\n"
	"                        before it unless TEXT has a console= of its own\n"
	"      --module 'FILE [ARGS]'\n"
	"                        multiboot module; may be given several times\n"
	"      --boot KIND       linux, multiboot or pvh, where the image allows several\n"
	"\n"
	"A folder as root\n"
	"  -k, --kernel FILE     [the newest in ROOTFS/boot, else in /boot]\n"
	"      --modules DIR     its modules, with modules.dep  [ROOTFS/lib/modules/RELEASE,\n"
	"                        else /lib/modules/RELEASE]\n"
	"  -e, --env NAME[=VALUE]\n"
	"                        set, or pass on, a variable of the environment\n"
	"  -w, --workdir DIR     the working folder                        [/]\n"
	"  -u, --user USER[:GROUP]\n"
	"                        names or numbers                          [root]\n"
	"      --hostname NAME   the guest's name                          [that of --name]\n"
	"  -t, --tty             a terminal in the guest, as where stdin and stdout are one\n"
	"  -T, --no-tty          none\n"
	"\n"
	"The machine\n"
	"  -m, --mem SIZE        memory, in MiB or with suffix K, M, G, T  [512M]\n"
	"  -c, --vcpus N         virtual CPUs                              [1]\n"
	"      --cpu NAME        host: all that this host has; portable: what any has [host]\n"
	"      --backend NAME    svm or vmx                                [the fastest]\n"
	"      --limit [cpus=N][,memory=SIZE][,io=SIZE]\n"
	"                        what this process may take: CPUs, memory, bytes a second\n"
	"                        from and to each disk\n"
	"      --cgroup DIR      where its control group is made   [/sys/fs/cgroup/posada]\n"
	"      --device PATH     the module's device node                  [/dev/posada]\n"
	"\n"
	"Devices (virtio; posada(1) has more on each)\n"
	"      --disk FILE[,ro][,serial=TEXT][,queues=N]\n"
	"                        a raw image, or a block device\n"
	"      --net user[,hostfwd=PORT:PORT][,isolated][,mac=ADDRESS]\n"
	"                        a network through the host's sockets, with ports of the\n"
	"                        host that lead to the guest's\n"
	"      --net tap=NAME[,mac=ADDRESS][,vhost=on|off]\n"
	"                        a tap interface of the host\n"
	"      --share DIR[:TAG][,ro]\n"
	"                        a folder: mount -t virtiofs TAG /mnt  [share]\n"
	"      --console serial|virtio|ring\n"
	"                        the terminal is ttyS0, a virtio console, or the console\n"
	"                        of Posada's hypercalls                [serial]\n"
	"      --agent           a port to posada-agent in the guest, for posada exec\n"
	"      --vsock CID       sockets between host and guest\n"
	"      --balloon[=SIZE]  give back memory that is free, or all above SIZE\n"
	"      --rng             the host's random numbers\n"
	"      --virtio pci|mmio[,packed=off]\n"
	"                        how the guest finds them              [pci]\n"
	"\n"
	"The session\n"
	"  -e, --exec CMD        have the guest's init run CMD: print its output, exit\n"
	"                        with its status (an initrd that knows how: posada(1))\n"
	"      --name NAME       for posada ps, stop, console and the rest   [vm and the PID]\n"
	"      --gdb ADDR        serve gdb at [HOST]:PORT, PORT or unix:PATH; the guest\n"
	"                        waits for gdb's continue, but not with ,nowait behind ADDR\n"
	"      --no-sandbox      do not confine this process once the machine is set up\n"
	"      --stats[=json]    print exit counters at the end, on stderr\n"
	"      --profile-boot[=json]\n"
	"                        print where the time and the exits went, on stderr\n"
	"  -h, --help            this help\n"
	"\n"
	"Keys (with a terminal on stdin)\n"
	"  Ctrl-A x              end the session\n"
	"  Ctrl-A Ctrl-A         send Ctrl-A to the guest\n"
	"  Ctrl-A h              list these keys\n"
	"  Ctrl-C                goes to the guest\n"
	"\n"
	"Exit status\n"
	"  0 when the guest powers off or reboots, or the session is ended by key;\n"
	"  that of CMD with --exec, of COMMAND with ROOTFS; (v << 1) | 1 when the guest writes v to port 0xf4;\n"
	"  1 on any failure, 2 on a usage error, 128 + N when ended by signal N.\n";

enum {
	OPT_MODULE = 256, OPT_BOOT, OPT_BACKEND, OPT_CPU, OPT_DEVICE, OPT_STATS,
	OPT_DISK, OPT_RNG, OPT_VIRTIO, OPT_NET, OPT_SHARE, OPT_CONSOLE,
	OPT_VSOCK, OPT_BALLOON, OPT_PROFILE,
	OPT_GDB, OPT_NAME, OPT_MODULES, OPT_ENV, OPT_HOSTNAME, OPT_AGENT, OPT_NO_SANDBOX, OPT_LIMIT, OPT_CGROUP,
	OPT_EXEC,
};

static const struct option options[] = {
	{ "kernel",  required_argument, NULL, 'k' },
	{ "initrd",  required_argument, NULL, 'i' },
	{ "append",  required_argument, NULL, 'a' },
	{ "module",  required_argument, NULL, OPT_MODULE },
	{ "boot",    required_argument, NULL, OPT_BOOT },
	{ "mem",     required_argument, NULL, 'm' },
	{ "vcpus",   required_argument, NULL, 'c' },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "cpu",     required_argument, NULL, OPT_CPU },
	{ "device",  required_argument, NULL, OPT_DEVICE },
	{ "exec",    required_argument, NULL, OPT_EXEC },
	{ "gdb",     required_argument, NULL, OPT_GDB },
	{ "name",    required_argument, NULL, OPT_NAME },
	{ "stats",   optional_argument, NULL, OPT_STATS },
	{ "limit",   required_argument, NULL, OPT_LIMIT },
	{ "cgroup",  required_argument, NULL, OPT_CGROUP },
	{ "no-sandbox", no_argument,    NULL, OPT_NO_SANDBOX },
	{ "modules", required_argument, NULL, OPT_MODULES },
	{ "env",     required_argument, NULL, OPT_ENV },
	{ "workdir", required_argument, NULL, 'w' },
	{ "user",    required_argument, NULL, 'u' },
	{ "hostname", required_argument, NULL, OPT_HOSTNAME },
	{ "tty",     no_argument,       NULL, 't' },
	{ "no-tty",  no_argument,       NULL, 'T' },
	{ "agent",   no_argument,       NULL, OPT_AGENT },
	{ "disk",    required_argument, NULL, OPT_DISK },
	{ "net",     required_argument, NULL, OPT_NET },
	{ "share",   required_argument, NULL, OPT_SHARE },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "vsock",   required_argument, NULL, OPT_VSOCK },
	{ "balloon", optional_argument, NULL, OPT_BALLOON },
	{ "rng",     no_argument,       NULL, OPT_RNG },
	{ "virtio",  required_argument, NULL, OPT_VIRTIO },
	{ "profile-boot", optional_argument, NULL, OPT_PROFILE },
	{ "help",    no_argument,       NULL, 'h' },
	{ 0 }
};

void usage_error(const char *topic, const char *fmt, ...)
{
	va_list args;

	fputs("posada: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; see `posada%s%s --help`\n", *topic ? " " : "", topic);
	exit(STATUS_USAGE);
}

/* A number with a suffix; without one it is in MiB. */
static uint64_t parse_mem(const char *option, const char *text)
{
	static const char suffixes[] = "KMGT";
	unsigned long long n;
	const char *suffix;
	unsigned int shift = 20;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno)
		goto bad;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix)
			goto bad;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		end++;
		if (*end == 'i')
			end++;
		if (*end == 'B' || *end == 'b')
			end++;
	}
	if (*end || n > MAX_MEM >> shift)
		goto bad;
	n <<= shift;
	if (n < MIN_MEM || n % POSADA_PAGE_SIZE)
		usage_error("run", "--%s %s: at least 1M, in whole pages of 4K",
			    option, text);
	return n;
bad:
	usage_error("run", "--%s '%s': not a size such as 512M or 4G", option,
		    text);
}

static unsigned int parse_vcpus(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || !n ||
	    n > POSADA_MAX_VCPUS)
		usage_error("run", "--vcpus '%s': a number from 1 to %d", text,
			    POSADA_MAX_VCPUS);
	return (unsigned int)n;
}

/* The index of @text in @names. */
static unsigned int parse_name(const char *option, const char *text,
			       const char *const *names, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!strcmp(text, names[i]))
			return i;
	usage_error("run", "--%s '%s': no such name", option, text);
}

static enum boot_kind parse_boot(const char *text)
{
	static const char *const names[] = {
		[BOOT_AUTO] = "auto", [BOOT_LINUX] = "linux",
		[BOOT_PVH] = "pvh", [BOOT_MULTIBOOT] = "multiboot",
	};

	return parse_name("boot", text, names, 4);
}

static enum posada_backend_id parse_backend(const char *text)
{
	static const char *const names[] = { "any", "svm", "vmx", "ring3" };

	return parse_name("backend", text, names, 4);
}

static bool parse_cpu(const char *text)
{
	static const char *const names[] = { "host", "portable" };

	return parse_name("cpu", text, names, 2);
}

static enum stats_kind parse_stats(const char *option, const char *text)
{
	if (!text)
		return STATS_TEXT;
	if (strcmp(text, "json"))
		usage_error("run", "--%s=%s: only json", option, text);
	return STATS_JSON;
}

static void take_device(struct device_config *dev, int c, char *arg)
{
	switch (c) {
	case OPT_DISK:
		option_disk(dev, arg);
		break;
	case OPT_NET:
		option_net(dev, arg);
		break;
	case OPT_SHARE:
		option_share(dev, arg);
		break;
	case OPT_CONSOLE:
		option_console(dev, arg);
		break;
	case OPT_VSOCK:
		option_vsock(dev, arg);
		break;
	case OPT_BALLOON:
		dev->balloon = true;
		dev->balloon_target = arg ? parse_mem("balloon", arg) : 0;
		break;
	case OPT_AGENT:
		dev->agent = true;
		break;
	case OPT_RNG:
		dev->rng = true;
		break;
	case OPT_VIRTIO:
		option_virtio(dev, arg);
		break;
	}
}

/* Those of a folder as root; what is left is for devices. */
static void take_root_option(struct config *cfg, int c, char *arg)
{
	switch (c) {
	case 'e':
		/* With a ROOTFS, which may come later, it is --env. */
		cfg->root.short_exec = arg;
		option_command(&cfg->root.command, 'e', arg, "run");
		break;
	case OPT_ENV:
		option_command(&cfg->root.command, 'e', arg, "run");
		break;
	case OPT_MODULES:
		cfg->root.modules = arg;
		break;
	case OPT_HOSTNAME:
		if (!name_is_valid(arg))
			usage_error("run", "--hostname '%s': letters, digits, dots, dashes and underscores",
				    arg);
		cfg->root.hostname = arg;
		break;
	default:
		if (!option_command(&cfg->root.command, c, arg, "run"))
			take_device(&cfg->dev, c, arg);
	}
}

static void take_option(struct config *cfg, int c, char *arg)
{
	switch (c) {
	case 'k':
		cfg->kernel = arg;
		break;
	case 'i':
		cfg->initrd = arg;
		break;
	case 'a':
		cfg->append = arg;
		break;
	case 'm':
		cfg->mem = parse_mem("mem", arg);
		break;
	case 'c':
		cfg->vcpus = parse_vcpus(arg);
		break;
	case OPT_EXEC:
		cfg->exec = arg;
		break;
	case 'h':
		fputs(help, stdout);
		exit(0);
	case OPT_MODULE:
		if (cfg->nr_modules == MAX_MODULES)
			usage_error("run", "more than %d modules", MAX_MODULES);
		if (!*arg || *arg == ' ')
			usage_error("run", "--module without a file");
		cfg->modules[cfg->nr_modules++] = arg;
		break;
	case OPT_BOOT:
		cfg->boot = parse_boot(arg);
		break;
	case OPT_BACKEND:
		cfg->backend = parse_backend(arg);
		break;
	case OPT_CPU:
		cfg->portable_cpu = parse_cpu(arg);
		break;
	case OPT_LIMIT:
		option_limit(&cfg->limits, arg);
		break;
	case OPT_CGROUP:
		cfg->limits.folder = arg;
		break;
	case OPT_NO_SANDBOX:
		cfg->no_sandbox = true;
		break;
	case OPT_DEVICE:
		cfg->device = arg;
		break;
	case OPT_NAME:
		if (!name_is_valid(arg))
			usage_error("run", "--name '%s': letters, digits, dots, dashes and underscores, at most %d",
				    arg, NAME_MAX_BYTES);
		cfg->name = arg;
		break;
	case OPT_GDB:
		cfg->gdb = arg;
		break;
	case OPT_STATS:
		cfg->stats = parse_stats("stats", arg);
		break;
	case OPT_PROFILE:
		cfg->profile = parse_stats("profile-boot", arg);
		break;
	default:
		take_root_option(cfg, c, arg);
	}
}

/* getopt's own message names argv[0], which is "run" here: say it ourselves. */
static void bad_option(int c, char **argv)
{
	const char *arg = argv[optind - 1];

	if (c == ':')
		usage_error("run", "%s needs an argument", arg);
	if (optopt && optopt < 256)
		usage_error("run", "unknown option -%c", optopt);
	usage_error("run", "unknown option or bad use: %s", arg);
}

/* What stands behind "--" is the command's. -> the arguments before it. */
static int split_command(struct agent_command *cmd, int argc, char **argv)
{
	static char *shell[2] = { (char *)"/bin/sh" };
	int i;

	cmd->argv = shell;
	cmd->argc = 1;
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		;
	if (i + 1 < argc) {
		cmd->argv = argv + i + 1;
		cmd->argc = (unsigned int)(argc - i - 1);
	}
	return i;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static void check_root(const struct config *cfg)
{
	if (cfg->exec || cfg->nr_modules || cfg->boot == BOOT_MULTIBOOT)
		usage_error("run", "--exec, --module and --boot multiboot are not for a ROOTFS");
}

/* KERNEL or ROOTFS, and that nothing is given that is for the other. */
static void take_words(struct config *cfg, int argc, char **argv, bool command)
{
	if (optind < argc && is_folder(argv[optind]))
		cfg->root.path = argv[optind++];
	else if (optind < argc && !cfg->kernel)
		cfg->kernel = argv[optind++];
	if (optind < argc)
		usage_error("run", "unexpected argument '%s'; a command stands behind --",
			    argv[optind]);
	if (cfg->root.path) {
		check_root(cfg);
		return;
	}
	if (command || cfg->root.modules || cfg->root.hostname ||
	    cfg->root.command.folder || cfg->root.command.user ||
	    cfg->root.command.tty)
		usage_error("run", "a command, --modules, --workdir, --user, --hostname and --tty take a folder as ROOTFS%s%s",
			    cfg->kernel ? ", not " : "",
			    cfg->kernel ? cfg->kernel : "");
	if (cfg->root.short_exec)
		cfg->exec = cfg->root.short_exec;
	if (!cfg->kernel)
		usage_error("run", "no kernel given");
}

void options_parse(struct config *cfg, int argc, char **argv)
{
	int c, words;
	bool given;

	*cfg = (struct config){
		.device = POSADA_DEVICE, .vcpus = 1, .mem = DEFAULT_MEM,
	};
	words = split_command(&cfg->root.command, argc, argv);
	given = words < argc;
	opterr = 0;
	while ((c = getopt_long(words, argv, ":k:i:a:m:c:e:w:u:tTh", options,
				NULL)) != -1) {
		if (c == '?' || c == ':')
			bad_option(c, argv);
		take_option(cfg, c, optarg);
	}
	take_words(cfg, words, argv, given);
}
