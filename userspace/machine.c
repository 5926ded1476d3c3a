// SPDX-License-Identifier: GPL-2.0
/* Build the machine, start it, end it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "calls.h"
#include "exec.h"
#include "gdb.h"
#include "ioapic.h"
#include "machine.h"
#include "term.h"
#include "uart.h"

/* Say why the device cannot be had, and what would help. */
static void die_open(const char *path, int error)
{
	switch (-error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		die("there is no %s: insmod posada.ko (`posada doctor` says what this host can do)",
		    path);
	case EACCES:
	case EPERM:
		die("no permission to open %s: join the group posada (usermod -aG posada USER), or be root",
		    path);
	default:
		die("cannot open %s: %s", path, strerror(-error));
	}
}

static void create_vm(struct machine *m)
{
	const char *path = m->cfg->device;
	struct posada_info info;
	int ret, fd = posada_open(path);

	if (fd < 0)
		die_open(path, fd);
	ret = posada_info(fd, &info);
	if (ret < 0)
		die("%s is not Posada's: %s", path, strerror(-ret));
	if (info.api_version != POSADA_API_VERSION)
		die("the module speaks version %u of the API, this tool %u: install both from one source",
		    info.api_version, POSADA_API_VERSION);
	if (m->cfg->vcpus > info.max_vcpus)
		die("--vcpus %u: the module allows %u a VM", m->cfg->vcpus,
		    info.max_vcpus);
	ret = posada_vm_create(&m->vm, fd, m->cfg->backend,
			       m->cfg->profile == STATS_NONE ? 0 :
			       POSADA_VM_PROFILE_EXITS);
	if (ret == -ENODEV)
		die("this host does not offer the backend %s; see `posada doctor`",
		    posada_backend_name(m->cfg->backend));
	if (ret == -ENOSPC)
		die("as many VMs as the module allows are running (its parameter max_vms)");
	if (ret < 0)
		die("cannot create a VM: %s", strerror(-ret));
	close(fd);
}

/* Give the VM the CPU of --cpu, which its vCPUs have when they first run. */
static void choose_cpu(struct machine *m)
{
	struct posada_cpuid_entry e[POSADA_MAX_CPUID];
	struct posada_stream s = { 0 };
	unsigned int n;
	uint32_t bytes;
	void *policy;
	int ret;

	if (!m->cfg->portable_cpu)
		return;
	ret = posada_vm_load(m->vm, 1ULL << POSADA_REC_CPUID, &s);
	policy = ret ? NULL : posada_stream_find(&s, POSADA_REC_CPUID, &bytes);
	if (!policy || bytes > sizeof(e))
		die("cannot read the CPUID policy: %s", strerror(ret ? -ret : EINVAL));
	memcpy(e, policy, bytes);
	posada_stream_free(&s);
	n = bytes / sizeof(e[0]);
	ret = posada_cpuid_portable(e, &n);
	if (!ret && !posada_stream_add(&s, POSADA_REC_CPUID, e, n * sizeof(e[0])))
		ret = -ENOMEM;
	if (!ret)
		ret = posada_vm_store(m->vm, &s, false);
	if (ret == -EOPNOTSUPP && s.bad_type == POSADA_REC_CPUID)
		die("--cpu portable: this host has not all of CPUID leaf 0x%x",
		    s.bad_index < n ? e[s.bad_index].leaf : 0);
	if (ret)
		die("cannot write the CPUID policy: %s", strerror(-ret));
	posada_stream_free(&s);
}

static void create_memory(struct machine *m)
{
	uint64_t mem = m->cfg->mem;
	int ret;

	m->low_bytes = mem < HOLE_START ? mem : HOLE_START;
	m->high_bytes = mem - m->low_bytes;
	ret = posada_memory_add(m->vm, SLOT_LOW, 0, m->low_bytes, 0, NULL,
				NULL);
	if (!ret && m->high_bytes)
		ret = posada_memory_add(m->vm, SLOT_HIGH, HOLE_END,
					m->high_bytes, 0, NULL, NULL);
	if (ret == -ENOMEM)
		die("the host has not enough memory for --mem %lluM: ask for less",
		    (unsigned long long)(mem / MIB));
	if (ret < 0)
		die("cannot map the guest's memory: %s", strerror(-ret));
}

static void create_cpus(struct machine *m)
{
	unsigned int i;
	int ret;

	for (i = 0; i < m->cfg->vcpus; i++) {
		ret = posada_vcpu_create(&m->cpu[i].vcpu, m->vm, i);
		if (ret < 0)
			die("cannot create vCPU %u: %s", i, strerror(-ret));
		m->cpu[i].m = m;
		m->nr_cpus++;
	}
}

void *guest_memory(struct machine *m, uint64_t gpa, uint64_t bytes,
		   const char *what)
{
	void *hva = posada_hva(m->vm, gpa, bytes);

	if (!hva)
		die("--mem %lluM is too little: %s needs memory up to %lluM",
		    (unsigned long long)(m->cfg->mem / MIB), what,
		    (unsigned long long)((gpa + bytes) / MIB + 1));
	return hva;
}

struct machine *machine_create(const struct config *cfg)
{
	struct machine *m = xcalloc(1, sizeof(*m));

	m->cfg = cfg;
	m->created_ns = now_ns();
	m->exec_status = -1;
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (m->stop_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	m->term_fd = cfg->root.path ? eventfd(0, EFD_CLOEXEC) : -1;
	create_vm(m);
	choose_cpu(m);
	create_memory(m);
	create_cpus(m);
	m->ioapic = ioapic_create(m);
	return m;
}

void machine_start(struct machine *m)
{
	unsigned int i;

	m->started_ns = now_ns();
	for (i = 0; i < m->nr_cpus; i++) {
		if (pthread_create(&m->cpu[i].thread, NULL, vcpu_main,
				   &m->cpu[i]))
			die("cannot start a thread for vCPU %u", i);
		m->cpu[i].started = true;
	}
}

void machine_stop(struct machine *m, int status, char *words)
{
	bool no = false;

	if (!atomic_compare_exchange_strong(&m->stopping, &no, true)) {
		free(words);
		return;
	}
	m->status = status;
	m->last_words = words;
	eventfd_write(m->stop_fd, 1);
}

void machine_power_button(struct machine *m)
{
	if (m->term_fd >= 0) {
		eventfd_write(m->term_fd, 1);
		return;
	}
	ioapic_set(m->ioapic, POWER_BUTTON_PIN, true);
	ioapic_set(m->ioapic, POWER_BUTTON_PIN, false);
}

/* A vCPU may be in the guest, asleep in HLT, or waiting for the console. */
void machine_finish(struct machine *m)
{
	unsigned int i;

	console_unblock(m->console);
	gdb_release(m->gdb);
	for (i = 0; i < m->nr_cpus; i++)
		posada_vcpu_kick(m->cpu[i].vcpu);
	for (i = 0; i < m->nr_cpus; i++)
		if (m->cpu[i].started)
			pthread_join(m->cpu[i].thread, NULL);
	m->stopped_ns = now_ns();
	devices_stop(m->devices);
	calls_stop(m->calls);
	console_finish(m->console);
	m->console = NULL;
}

void machine_free(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_cpus; i++)
		posada_vcpu_close(m->cpu[i].vcpu);
	posada_vm_close(m->vm);
	calls_free(m->calls);
	uart_free(m->com1);
	uart_free(m->com2);
	ioapic_free(m->ioapic);
	free(m->last_words);
	close(m->stop_fd);
	if (m->term_fd >= 0)
		close(m->term_fd);
	free(m);
}
