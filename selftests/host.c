// SPDX-License-Identifier: GPL-2.0
/*
 * Posada and its host: loading and unloading, tracepoints, CPUs that go and
 * come, suspend, and KVM with guests of its own on the same CPUs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define TRACING "/sys/kernel/tracing/"

/* The file's text, in a buffer that the next call reuses. */
static const char *read_file(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n, all = 0;

	while (fd >= 0 && all < (ssize_t)sizeof(text) - 1) {
		n = read(fd, text + all, sizeof(text) - 1 - all);
		if (n <= 0)
			break;
		all += n;
	}
	if (fd >= 0)
		close(fd);
	text[all] = 0;
	return text;
}

static void guest_count(void)
{
	u64 n;

	for (n = 0;; n++) {
		g_cpuid(0, 0);
		g_sync(n);
	}
}

/* ---- the CPU under it ---- */

/*
 * What is left in RFLAGS by a CMPXCHG16B that finds what it looks for: before,
 * ADD leaves @i and half of it around, which an emulator may take for flags.
 */
static u64 flags_after_cmpxchg16b(u64 i)
{
	static u64 where[2] __attribute__((aligned(16)));
	u64 flags, sum = i;

	asm volatile("pushf; popf; jmp 1f; 1: add %[half], %[sum]; lock cmpxchg16b %[where]; pushf; pop %[flags];"
		     "push $0x202; popf"
		     : [flags] "=&r"(flags), [sum] "+&r"(sum), [where] "+m"(where)
		     : [half] "r"(i / 2), "a"(0UL), "d"(0UL), "b"(0UL), "c"(0UL) : "cc", "memory");
	return flags;
}

/*
 * The host's kernel, and guests' that see the CPU, allocate memory by it: where it
 * spoils RFLAGS, they die of it now and then. The lab keeps such a CPU from them.
 */
TEST(cmpxchg16b_is_sound_where_used)
{
	/* No flag but those of arithmetic, bit 1 and IF. */
	const u64 bad = ~0xad7ULL;
	u64 i;

	if (!strstr(read_file("/proc/cpuinfo"), " cx16 "))
		return;
	for (i = 0; i < BIT(20); i += 0x800)
		EXPECT_EQ(flags_after_cmpxchg16b(i) & bad, 0);
}

/* ---- the module ---- */

static int remove_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

TEST(module_in_use_stays)
{
	struct vm *vm = vm_empty(0);
	int fd;

	/* Each kind of fd holds it alone: first the VM's. */
	close(vm->sys);
	EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
	close(vm->fd);
	vm = vm_new(1);
	fd = vm->vcpu[0]->fd;
	EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
	vcpu_start(vm->vcpu[0], guest_count, 0);
	EXPECT_SYNC(vm->vcpu[0], 0);
	/* The vCPU's. */
	close(vm->sys);
	close(vm->fd);
	EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
	EXPECT_SYNC(vm->vcpu[0], 1);
	munmap(vm->vcpu[0]->run, 4096);
	EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
	fd = dup(fd);
	EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
}

static const char *kernel_log(void)
{
	static char text[1 << 20];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t all = 0;
	ssize_t n;

	/* A record a read; EPIPE says that some were overwritten. */
	while (fd >= 0 && all < sizeof(text) - 8192) {
		n = read(fd, text + all, 8191);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		all += n;
	}
	close(fd);
	text[all] = 0;
	return text;
}

TEST(says_what_it_offers)
{
	const char *line = strstr(kernel_log(), "posada: ready:");
	static const char *const names[] = { "", "svm", "vmx", "ring3" };
	char word[160];

	if (!line)
		FATAL("no line 'posada: ready: ...' in the kernel's log");
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, "\n"), line);
	EXPECT_TRUE(strstr(word, names[test_backend]));
}

TEST_ONCE(device_node)
{
	/* No read, no write, no mapping of the system fd. */
	int fd = sys_open();
	char c = 0;

	EXPECT_EQ(read(fd, &c, 1), -1);
	EXPECT_EQ(write(fd, &c, 1), -1);
	EXPECT_EQ(strncmp(read_file("/sys/class/misc/posada/uevent"), "MAJOR=10\n", 9), 0);
}

/* How often a case does its thing; --cycles N. */
static u32 cycles;

bool test_option(const char *name, const char *value)
{
	if (strcmp(name, "cycles"))
		return false;
	cycles = strtoul(value, NULL, 0);
	return true;
}

/* ---- the module goes and comes ---- */

/* What it was inserted with: its readable parameters, NAME=VALUE. */
static void parameters(char *text, size_t bytes)
{
	static const char folder[] = "/sys/module/posada/parameters";
	struct dirent *entry;
	DIR *dir = opendir(folder);
	char path[320];
	size_t n = 0;

	text[0] = 0;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		n += snprintf(text + n, bytes - n, "%s=%.16s ", entry->d_name, read_file(path));
		ASSERT_TRUE(n < bytes);
		text[strcspn(text, "\n")] = ' ';
	}
	if (dir)
		closedir(dir);
}

/* A VMM that is never still: at every instant of a removal it may be at the door. */
static void knock(void)
{
	struct posada_vm_create c = { .size = sizeof(c), .backend = test_backend };
	int fd;

	for (;;) {
		fd = open("/dev/posada", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		close(px(fd, POSADA_VM_CREATE, &c));
		close(fd);
	}
}

#define CPU1 "/sys/devices/system/cpu/cpu1/online"

TEST_SLOW(reload, 100000)
{
	int ko = open("/posada.ko", O_RDONLY | O_CLOEXEC), rc;
	char params[256];
	struct vm *vm;
	pid_t pid;
	u32 i;

	ASSERT_GE(ko, 0);
	parameters(params, sizeof(params));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		knock();
	for (i = 0; i < (cycles ?: 2); i++) {
		vm = checking_start(2);
		EXPECT_EQ(remove_module("posada"), -EWOULDBLOCK);
		WAIT_FOR(READ(G(vm, g_laps[0])) && READ(G(vm, g_laps[1])));
		checking_end(vm, 2);
		do {
			rc = remove_module("posada");
		} while (rc == -EWOULDBLOCK);
		ASSERT_EQ(rc, 0);
		EXPECT_NE(access("/sys/module/posada", F_OK), 0);
		/* Who would still call it there finds nothing. */
		if (!access(CPU1, W_OK))
			EXPECT_TRUE(write_file(CPU1, "0") && write_file(CPU1, "1"));
		ASSERT_EQ(syscall(SYS_finit_module, ko, params, 0), 0);
	}
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
}

/* ---- tracepoints ---- */

static void guest_for_trace(void)
{
	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	g_wrmsr(POSADA_MSR_HYPERCALL, G_SCRATCH | 1);
	asm volatile("call *%%rcx" : : "a"(POSADA_HC_FEATURES), "c"((u64)G_SCRATCH) : "memory");
	g_sti();
	g_apic_write(APIC_SELF_IPI, 0x40);
	asm volatile("nop");
	g_cli();
}

TEST(tracepoints)
{
	static const char *const wanted[] = {
		"posada_entry", "posada_exit", "posada_fault", "posada_inject", "posada_hypercall",
	};
	char path[128];
	const char *text;
	struct vm *vm;
	u32 i;

	if (access(TRACING "events", R_OK))
		SKIP("no " TRACING);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		snprintf(path, sizeof(path), TRACING "events/posada/%s/enable", wanted[i]);
		if (!write_file(path, "1"))
			FAIL("no tracepoint %s", wanted[i]);
	}
	write_file(TRACING "trace", "");
	vm = vm_new(1);
	vcpu_start(vm->vcpu[0], guest_for_trace, 0);
	vcpu_done(vm->vcpu[0]);
	write_file(TRACING "events/posada/enable", "0");
	text = read_file(TRACING "trace");
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		snprintf(path, sizeof(path), "%s:", wanted[i]);
		if (!strstr(text, path))
			FAIL("nothing traced by %s", wanted[i]);
	}
	write_file(TRACING "trace", "");
}

/* ---- CPU hotplug ---- */

TEST_SLOW(cpu_hotplug, 100000)
{
	struct vm *vm;
	u64 before;
	u32 i;

	if (access(CPU1, W_OK))
		SKIP("no second CPU to take away");
	vm = checking_start(4);
	for (i = 0; i < (cycles ?: 3) * 2; i++) {
		struct vm *other;

		ASSERT_TRUE(write_file(CPU1, i & 1 ? "1" : "0"));
		before = vm_stat(vm, POSADA_STAT_ENTRIES);
		WAIT_FOR(vm_stat(vm, POSADA_STAT_ENTRIES) > before + 100);
		/* A new one, too, with a CPU away or just back. */
		other = vm_new(1);
		vcpu_start(other->vcpu[0], guest_count, 0);
		EXPECT_SYNC(other->vcpu[0], 0);
		vm_free(other);
	}
	EXPECT_GT(checking_end(vm, 4), 100);
}

/* ---- suspend ---- */

#define PM_TEST	"/sys/power/pm_test"

/* All of a suspend but the sleep: the other CPUs go, this one's devices and syscore stop. */
TEST_SLOW(suspend, 100000)
{
	struct vm *vm, *idle;
	u64 before;
	u32 i;

	if (access(PM_TEST, W_OK) || !write_file(PM_TEST, "core"))
		SKIP("the host's kernel has no pm_test");
	vm = checking_start(2);
	idle = vm_new(1);
	vcpu_start(idle->vcpu[0], guest_count, 0);
	EXPECT_SYNC(idle->vcpu[0], 0);
	for (i = 0; i < (cycles ?: 1); i++) {
		if (!write_file("/sys/power/state", "mem"))
			SKIP("the host does not suspend: %s", strerror(errno));
		EXPECT_SYNC(idle->vcpu[0], 1 + i);
		before = vm_stat(vm, POSADA_STAT_ENTRIES);
		WAIT_FOR(vm_stat(vm, POSADA_STAT_ENTRIES) > before + 100);
	}
	write_file(PM_TEST, "none");
	EXPECT_GT(checking_end(vm, 2), 100);
}

/* ---- KVM beside ---- */

struct kvm {
	int sys, vm, vcpu;
	struct kvm_run *run;
	u8 *mem;
	u32 count;
};

static bool load_kvm(void)
{
	char command[64];

	if (!access("/dev/kvm", R_OK | W_OK))
		return true;
	if (access("/modules/load", X_OK))
		return false;
	snprintf(command, sizeof(command), "/modules/load %s 2>/dev/null",
		 test_backend == POSADA_BACKEND_VMX ? "kvm_intel" : "kvm_amd");
	return !system(command) && !access("/dev/kvm", R_OK | W_OK);
}

/* Real mode: count in AX, OUT, again. */
static bool kvm_new(struct kvm *k)
{
	static const u8 code[] = { 0x40, 0xe7, 0x80, 0xeb, 0xfb };	/* inc; out; jmp */
	struct kvm_userspace_memory_region r = { .memory_size = 4096 };
	struct kvm_sregs s;
	struct kvm_regs g = { .rflags = 2 };

	memset(k, 0, sizeof(*k));
	k->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	k->vm = ioctl(k->sys, KVM_CREATE_VM, 0);
	if (k->vm < 0)
		return false;
	k->mem = map_anon(4096);
	memcpy(k->mem, code, sizeof(code));
	r.userspace_addr = (u64)k->mem;
	ASSERT_EQ(ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	k->vcpu = ioctl(k->vm, KVM_CREATE_VCPU, 0);
	ASSERT_GE(k->vcpu, 0);
	k->run = mmap(NULL, ioctl(k->sys, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		      MAP_SHARED, k->vcpu, 0);
	ASSERT_TRUE(k->run != MAP_FAILED);
	ASSERT_EQ(ioctl(k->vcpu, KVM_GET_SREGS, &s), 0);
	s.cs.selector = 0;
	s.cs.base = 0;
	ASSERT_EQ(ioctl(k->vcpu, KVM_SET_SREGS, &s), 0);
	ASSERT_EQ(ioctl(k->vcpu, KVM_SET_REGS, &g), 0);
	return true;
}

static void kvm_step(struct kvm *k)
{
	u16 value, next = k->count + 1;

	while (ioctl(k->vcpu, KVM_RUN, 0) < 0)
		ASSERT_EQ(errno, EINTR);
	ASSERT_EQ(k->run->exit_reason, KVM_EXIT_IO);
	value = *(u16 *)((u8 *)k->run + k->run->io.data_offset);
	ASSERT_EQ(value, next);
	k->count++;
}

static void kvm_free(struct kvm *k)
{
	munmap(k->run, 4096);
	close(k->vcpu);
	close(k->vm);
	close(k->sys);
	munmap(k->mem, 4096);
}

/* Posada's VM is there first; KVM comes, runs, goes; and all over again. */
TEST_SLOW(kvm_in_turns, 60)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct kvm kvm;
	u32 i, round, n = 0;

	vcpu_start(v, guest_count, 0);
	EXPECT_SYNC(v, n++);
	if (!load_kvm())
		SKIP("no KVM on this host");
	for (round = 0; round < 3; round++) {
		EXPECT_SYNC(v, n++);
		if (!kvm_new(&kvm))
			FATAL("KVM cannot create a VM beside Posada: %s", strerror(errno));
		for (i = 0; i < 50; i++) {
			kvm_step(&kvm);
			EXPECT_SYNC(v, n++);
		}
		kvm_free(&kvm);
		/* KVM's last VM is gone, and with it what it had switched on. */
		for (i = 0; i < 10; i++)
			EXPECT_SYNC(v, n++);
	}
}

/* A Posada VM that is created while KVM runs guests. */
TEST_SLOW(kvm_first, 60)
{
	struct kvm kvm;
	u32 i, round;

	if (!load_kvm() || !kvm_new(&kvm))
		SKIP("no KVM on this host");
	for (round = 0; round < 5; round++) {
		struct vm *vm = vm_new(1);

		vcpu_start(vm->vcpu[0], guest_count, 0);
		for (i = 0; i < 10; i++) {
			kvm_step(&kvm);
			EXPECT_SYNC(vm->vcpu[0], i);
		}
		vm_free(vm);
		for (i = 0; i < 10; i++)
			kvm_step(&kvm);
	}
	kvm_free(&kvm);
}

static volatile bool over;

static void *kvm_thread(void *arg)
{
	while (!over)
		kvm_step(arg);
	return NULL;
}

TEST_SLOW(kvm_at_the_same_time, 60)
{
	struct kvm kvm[2];
	pthread_t t[2];
	struct vm *vm;
	u32 i;

	for (i = 0; i < 2; i++) {
		if (!load_kvm() || !kvm_new(&kvm[i]))
			SKIP("no KVM on this host");
		ASSERT_EQ(pthread_create(&t[i], NULL, kvm_thread, &kvm[i]), 0);
	}
	vm = checking_start(2);
	WAIT_FOR(kvm[0].count > 300 && kvm[1].count > 300 &&
		 READ(G(vm, g_laps[0])) > 100 && READ(G(vm, g_laps[1])) > 100);
	over = true;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	checking_end(vm, 2);
	for (i = 0; i < 2; i++)
		kvm_free(&kvm[i]);
}

/* KVM's module goes, a guest of Posada's runs on. */
TEST_SLOW(kvm_unloaded, 60)
{
	const char *vendor = test_backend == POSADA_BACKEND_VMX ? "kvm_intel" : "kvm_amd";
	struct vm *vm = vm_new(1);
	u32 i, n = 0;
	int rc;

	vcpu_start(vm->vcpu[0], guest_count, 0);
	EXPECT_SYNC(vm->vcpu[0], n++);
	if (!load_kvm())
		SKIP("no KVM on this host");
	EXPECT_SYNC(vm->vcpu[0], n++);
	rc = remove_module(vendor);
	if (rc)
		SKIP("%s cannot be removed: %s", vendor, strerror(-rc));
	for (i = 0; i < 50; i++)
		EXPECT_SYNC(vm->vcpu[0], n++);
}
