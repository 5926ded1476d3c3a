// SPDX-License-Identifier: GPL-2.0
/*
 * `posada doctor`: what this host offers, by looking at the CPU, the module,
 * the device node and the other hypervisors; and what would help.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "machine.h"

#define MSR_VM_CR		0xc0010114
#define VM_CR_SVMDIS		(1ULL << 4)
#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_LOCKED		(1ULL << 0)
#define FEATURE_VMX		(1ULL << 2)
#define MSR_VMX_PROCBASED	0x482
#define MSR_VMX_PROCBASED2	0x48b
#define PROCBASED_SECONDARY	31
#define PROCBASED2_EPT		1
#define PROCBASED2_UNRESTRICTED	7

#define ECX_VMX			(1U << 5)
#define ECX_HYPERVISOR		(1U << 31)
#define ECX_SVM			(1U << 2)
#define EDX_NPT			(1U << 0)
#define EDX_NRIP		(1U << 3)
#define LEAF_EXT_FEATURES	0x80000001
#define LEAF_SVM		0x8000000a
#define LEAF_HYPERVISOR		0x40000000
#define LEAF_BRAND		0x80000002

/* A finding about one backend: what is so, and what would help (or NULL). */
struct verdict {
	bool offered;
	const char *why;
	const char *help;
};

struct host {
	char cpu[49];
	char hypervisor[13];		/* "" on bare metal */
	struct utsname uts;
	const char *device;
	int open_error;			/* of the device node, 0: opened */
	struct posada_info info;	/* if it opened */
	bool kvm_loaded;
	struct verdict svm, vmx, ring3;
};

/* ---- the CPU ---- */

static void cpu_brand(char *to)
{
	uint32_t *r = (uint32_t *)to;
	char *at = to, *from;
	unsigned int i;

	memset(to, 0, 49);
	for (i = 0; i < 3; i++, r += 4)
		if (!__get_cpuid(LEAF_BRAND + i, &r[0], &r[1], &r[2], &r[3]))
			return;
	/* Brands come padded on the left and with runs of spaces. */
	for (from = to; *from; from++)
		if (*from != ' ' || (at > to && at[-1] != ' '))
			*at++ = *from;
	while (at > to && at[-1] == ' ')
		at--;
	*at = '\0';
}

static void hypervisor_name(char *to)
{
	uint32_t a, b, c, d, r[3];

	memset(to, 0, 13);
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & ECX_HYPERVISOR))
		return;
	__cpuid(LEAF_HYPERVISOR, a, r[0], r[1], r[2]);
	memcpy(to, r, sizeof(r));
	if (!*to)
		strcpy(to, "unnamed");
}

/* -> 0, or -1 where the msr driver is not there or not for us. */
static int read_msr(uint32_t index, uint64_t *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = pread(fd, value, sizeof(*value), index);
	close(fd);
	return n == sizeof(*value) ? 0 : -1;
}

static const char help_cloud[] =
	"the hypervisor below hides it: ask the provider for nested virtualization, or take a bare-metal instance";
static const char help_cpu[] =
	"another machine, or the ring3 backend once it is there";
static const char help_firmware[] =
	"enable it in the firmware setup (SVM mode, Virtualization Technology), then power-cycle";

static struct verdict no(const char *why, const char *help)
{
	return (struct verdict){ .why = why, .help = help };
}

static struct verdict yes(const char *why)
{
	return (struct verdict){ .offered = true, .why = why };
}

static struct verdict check_svm(const struct host *h)
{
	const char *help = *h->hypervisor ? help_cloud : help_cpu;
	uint32_t a, b, c, d;
	uint64_t vm_cr;

	if (!__get_cpuid(LEAF_EXT_FEATURES, &a, &b, &c, &d) || !(c & ECX_SVM))
		return no("the CPU shows no SVM", help);
	if (!read_msr(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS)
		return no("SVM is switched off by the firmware",
			  help_firmware);
	if (!__get_cpuid(LEAF_SVM, &a, &b, &c, &d) || !(d & EDX_NPT))
		return no("SVM without nested paging", help);
	return yes(d & EDX_NRIP ? "SVM with nested paging" :
		   "SVM with nested paging, without NRIP save (exits are slower)");
}

static bool vmx_may(uint64_t controls, int bit)
{
	return controls >> (32 + bit) & 1;
}

static struct verdict check_vmx(const struct host *h)
{
	const char *help = *h->hypervisor ? help_cloud : help_cpu;
	uint32_t a, b, c, d;
	uint64_t msr;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & ECX_VMX))
		return no("the CPU shows no VMX", help);
	if (read_msr(MSR_FEATURE_CONTROL, &msr))
		return yes("VMX (EPT and unrestricted guest not checked: no access to /dev/cpu/0/msr)");
	if (msr & FEATURE_LOCKED && !(msr & FEATURE_VMX))
		return no("VMX is switched off by the firmware",
			  help_firmware);
	if (read_msr(MSR_VMX_PROCBASED, &msr) ||
	    !vmx_may(msr, PROCBASED_SECONDARY) ||
	    read_msr(MSR_VMX_PROCBASED2, &msr) ||
	    !vmx_may(msr, PROCBASED2_EPT))
		return no("VMX without EPT", help);
	if (!vmx_may(msr, PROCBASED2_UNRESTRICTED))
		return no("VMX without unrestricted guest", help);
	return yes("VMX with EPT and unrestricted guest");
}

/* The module has the last word: hardware that it does not drive is no use. */
static void ask_module(const struct host *h, struct verdict *v,
		       enum posada_backend_id id)
{
	bool offered = h->info.backends >> id & 1;

	if (h->open_error)
		return;
	if (v->offered && !offered)
		*v = no("the CPU could, but the module does not offer it",
			"look at the module's line in the kernel log (dmesg)");
	else if (!v->offered && offered)
		*v = yes("offered by the module");
}

/* ---- the host ---- */

static void examine_device(struct host *h)
{
	int fd = posada_open(h->device);

	if (fd < 0) {
		h->open_error = -fd;
		return;
	}
	if (posada_info(fd, &h->info) < 0)
		h->open_error = ENOTTY;
	close(fd);
}

static void examine(struct host *h)
{
	memset(h, 0, sizeof(*h));
	h->device = POSADA_DEVICE;
	cpu_brand(h->cpu);
	hypervisor_name(h->hypervisor);
	uname(&h->uts);
	examine_device(h);
	h->kvm_loaded = !access("/sys/module/kvm_amd", F_OK) ||
			!access("/sys/module/kvm_intel", F_OK);
	h->svm = check_svm(h);
	h->vmx = check_vmx(h);
	h->ring3 = no("not in this version",
		      "svm or vmx until then");
	ask_module(h, &h->svm, POSADA_BACKEND_SVM);
	ask_module(h, &h->vmx, POSADA_BACKEND_VMX);
	ask_module(h, &h->ring3, POSADA_BACKEND_RING3);
}

static const char *module_state(const struct host *h)
{
	switch (h->open_error) {
	case 0:
		return "loaded, and you may use it";
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "not loaded: there is no " POSADA_DEVICE;
	case EACCES:
	case EPERM:
		return "loaded, but you may not open " POSADA_DEVICE;
	default:
		return POSADA_DEVICE " is there, but is not Posada's";
	}
}

static const char *module_help(const struct host *h)
{
	switch (h->open_error) {
	case 0:
		return NULL;
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "insmod posada.ko, as root";
	case EACCES:
	case EPERM:
		return "usermod -aG posada USER and log in again, or be root";
	default:
		return "load the module that belongs to this tool";
	}
}

static bool usable(const struct host *h)
{
	return !h->open_error && h->info.backends;
}

/* ---- reports ---- */

static void line(const char *name, const char *text)
{
	printf("  %-10s %s\n", name, text);
}

static void help_line(const char *text)
{
	if (text)
		printf("  %-10s -> %s\n", "", text);
}

static void verdict_line(const char *name, const struct verdict *v)
{
	printf("  %-10s %-4s %s\n", name, v->offered ? "yes" : "no", v->why);
	if (v->help)
		printf("  %-10s %-4s -> %s\n", "", "", v->help);
}

static void report_text(const struct host *h)
{
	puts("host");
	line("cpu", *h->cpu ? h->cpu : "unknown");
	line("kernel", h->uts.release);
	line("below", *h->hypervisor ? h->hypervisor : "nothing: bare metal");
	if (h->kvm_loaded)
		line("beside", "KVM is loaded");
	puts("\nmodule");
	line("posada", module_state(h));
	help_line(module_help(h));
	if (!h->open_error)
		printf("  %-10s API %u, %u vCPUs and %u slots a VM, %u-bit addresses, TSC %u kHz\n",
		       "", h->info.api_version, h->info.max_vcpus,
		       h->info.max_slots, h->info.phys_bits, h->info.tsc_khz);
	puts("\nbackends");
	verdict_line("svm", &h->svm);
	verdict_line("vmx", &h->vmx);
	verdict_line("ring3", &h->ring3);
	printf("\n%s\n", usable(h) ? "posada run can start guests here." :
	       "posada run cannot start guests here yet.");
}

static void json_pair(const char *name, const char *text, const char *end)
{
	printf("\"%s\": ", name);
	if (text)
		json_string(text);
	else
		printf("null");
	fputs(end, stdout);
}

static void json_verdict(const char *name, const struct verdict *v,
			 const char *end)
{
	printf("    \"%s\": {\"offered\": %s, ", name,
	       v->offered ? "true" : "false");
	json_pair("why", v->why, ", ");
	json_pair("help", v->help, "}");
	puts(end);
}

static void report_json(const struct host *h)
{
	printf("{\n  \"usable\": %s,\n  ", usable(h) ? "true" : "false");
	json_pair("cpu", h->cpu, ",\n  ");
	json_pair("kernel", h->uts.release, ",\n  ");
	json_pair("hypervisor", *h->hypervisor ? h->hypervisor : NULL, ",\n  ");
	printf("\"kvm_loaded\": %s,\n  ", h->kvm_loaded ? "true" : "false");
	printf("\"module\": {\"usable\": %s, ",
	       h->open_error ? "false" : "true");
	json_pair("why", module_state(h), ", ");
	json_pair("help", module_help(h), "},\n");
	puts("  \"backends\": {");
	json_verdict("svm", &h->svm, ",");
	json_verdict("vmx", &h->vmx, ",");
	json_verdict("ring3", &h->ring3, "");
	puts("  }\n}");
}

int doctor(bool json)
{
	struct host h;

	examine(&h);
	if (json)
		report_json(&h);
	else
		report_text(&h);
	return usable(&h) ? 0 : STATUS_FAILED;
}
