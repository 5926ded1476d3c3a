// SPDX-License-Identifier: GPL-2.0
/* VMs and vCPUs for the tests: see vm.h. */
#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm.h"

int px(int fd, unsigned int nr, const void *arg)
{
	int rc = ioctl(fd, nr, arg);

	return rc < 0 ? -errno : rc;
}

int sys_open(void)
{
	int fd = open("/dev/posada", O_RDWR | O_CLOEXEC);

	ASSERT_GE(fd, 0);
	return fd;
}

struct posada_info sys_info(int sys)
{
	struct posada_info info = { .size = sizeof(info) };

	ASSERT_EQ(px(sys, POSADA_INFO, &info), 0);
	return info;
}

bool host_is_tcg(void)
{
	u32 a, b, c, d;

	__cpuid(0x40000000, a, b, c, d);
	return b == 0x54474354;	/* "TCGT" */
}

static bool host_is(const char *wanted)
{
	const char *kind = getenv("HOST_KIND");

	return kind && !strcmp(kind, wanted);
}

bool host_is_bochs_svm(void)
{
	return host_is("svm-bochs");
}

bool host_is_bochs_vmx(void)
{
	return host_is("vmx");
}

u64 user_end(void)
{
	void *above = mmap((void *)(1ULL << 47), 0x1000, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool wide = (u64)above >= 1ULL << 47;

	munmap(above, 0x1000);
	return 1ULL << (wide ? 56 : 47);
}

void *map_anon(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(p != MAP_FAILED);
	return p;
}

void slot_set(struct vm *vm, u32 slot, u64 gpa, void *hva, u64 bytes, u32 flags)
{
	struct posada_slot s = {
		.size = sizeof(s), .flags = flags, .slot = slot,
		.gpa = gpa, .bytes = bytes, .hva = (u64)hva,
	};

	ASSERT_EQ(px(vm->fd, POSADA_SLOT_SET, &s), 0);
}

/* The harness's last word before it ends a case that takes too long. */
static int vcpu_fds[256];
static u32 nr_vcpu_fds;

static void on_timeout(int nr)
{
	u32 i;

	(void)nr;
	for (i = 0; i < nr_vcpu_fds; i++)
		ioctl(vcpu_fds[i], POSADA_KICK, 0);
}

struct vm *vm_empty(u32 flags)
{
	struct posada_vm_create c = {
		.size = sizeof(c), .flags = flags, .backend = test_backend,
	};
	struct vm *vm = calloc(1, sizeof(*vm));

	ASSERT_TRUE(vm);
	signal(SIGUSR1, on_timeout);
	vm->sys = sys_open();
	vm->fd = px(vm->sys, POSADA_VM_CREATE, &c);
	ASSERT_GE(vm->fd, 0);
	return vm;
}

void *gpa_ptr(struct vm *vm, u64 gpa)
{
	ASSERT_TRUE(gpa < vm->bytes);
	return vm->mem + gpa;
}

struct vm *vm_new_flags(u32 vcpus, u32 flags)
{
	struct vm *vm = vm_empty(flags);
	u32 i;

	vm->bytes = G_MEM_BYTES;
	vm->mem = map_anon(vm->bytes);
	image_fill(vm->mem, vm->bytes);
	slot_set(vm, 0, 0, vm->mem, vm->bytes, 0);
	for (i = 0; i < vcpus; i++)
		vcpu_add(vm, i);
	return vm;
}

struct vm *vm_new(u32 vcpus)
{
	return vm_new_flags(vcpus, 0);
}

struct vcpu *vcpu_add(struct vm *vm, u32 id)
{
	struct posada_vcpu_create c = { .size = sizeof(c), .id = id };
	struct vcpu *v = calloc(1, sizeof(*v));

	ASSERT_TRUE(v);
	v->vm = vm;
	v->id = id;
	v->fd = px(vm->fd, POSADA_VCPU_CREATE, &c);
	ASSERT_GE(v->fd, 0);
	v->run = mmap(NULL, POSADA_RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	ASSERT_TRUE(v->run != MAP_FAILED);
	v->run->wanted = POSADA_GROUP_ALL;
	if (nr_vcpu_fds < ARRAY_SIZE(vcpu_fds))
		vcpu_fds[nr_vcpu_fds++] = v->fd;
	vm->vcpu[id] = v;
	return v;
}

void vcpu_close(struct vcpu *v)
{
	munmap(v->run, POSADA_RUN_BYTES);
	close(v->fd);
	v->vm->vcpu[v->id] = NULL;
	free(v);
}

void vm_free(struct vm *vm)
{
	u32 i;

	for (i = 0; i < POSADA_MAX_VCPUS; i++)
		if (vm->vcpu[i])
			vcpu_close(vm->vcpu[i]);
	close(vm->fd);
	close(vm->sys);
	if (vm->mem)
		munmap(vm->mem, vm->bytes);
	free(vm);
}

static struct posada_segment segment(u16 selector, u16 attr, u64 base, u32 limit)
{
	return (struct posada_segment){ base, limit, selector, attr };
}

void fill_sregs64(struct vcpu *v, struct posada_sregs *s)
{
	struct posada_segment data = segment(G_DATA, 0xc93, 0, ~0U);

	memset(s, 0, sizeof(*s));
	s->seg[POSADA_CS] = segment(G_CODE64, 0xa9b, 0, ~0U);
	s->seg[POSADA_DS] = s->seg[POSADA_ES] = s->seg[POSADA_SS] = data;
	s->seg[POSADA_FS] = s->seg[POSADA_GS] = data;
	s->seg[POSADA_LDTR] = segment(0, 0x82, 0, 0xffff);
	s->seg[POSADA_TR] = segment(G_TSS_SEL(v->id), 0x8b, G_TSS + v->id * 128, 0x67);
	s->gdt = (struct posada_table){ .base = G_GDT, .limit = 0xfff };
	s->idt = (struct posada_table){ .base = G_IDT, .limit = 0xfff };
	s->cr0 = 0x80010033;
	s->cr3 = G_PML4;
	s->cr4 = 0x620;
	s->efer = 0xd01;
}

/* Only the bootstrap processor runs by itself. */
static void wake_ap(struct vcpu *v)
{
	if (v->id)
		vcpu_set_mp(v, POSADA_MP_RUNNABLE);
}

void vcpu_start_at(struct vcpu *v, u64 rip, u64 arg)
{
	u64 stack = G_STACKS + v->id * G_STACK;
	struct g_cpu *c = gpa_ptr(v->vm, stack);
	u64 *top = gpa_ptr(v->vm, stack + G_STACK - 8);
	struct posada_regs *r = &v->run->regs;

	memset(c, 0, sizeof(*c));
	c->id = v->id;
	c->vector = -1;
	*top = (u64)g_return;
	memset(r, 0, sizeof(*r));
	r->rip = rip;
	r->rflags = 2;
	r->gpr[POSADA_RDI] = arg;
	r->gpr[POSADA_RSP] = stack + G_STACK - 8;
	fill_sregs64(v, &v->run->sregs);
	v->run->dirty |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	wake_ap(v);
}

void vcpu_start_real(struct vcpu *v, u16 ip)
{
	struct posada_sregs *s = &v->run->sregs;
	struct posada_regs *r = &v->run->regs;
	int i;

	memset(r, 0, sizeof(*r));
	memset(s, 0, sizeof(*s));
	for (i = POSADA_ES; i <= POSADA_GS; i++)
		s->seg[i] = segment(0, 0x93, 0, 0xffff);
	s->seg[POSADA_CS].attr = 0x9b;
	s->seg[POSADA_LDTR] = segment(0, 0x82, 0, 0xffff);
	s->seg[POSADA_TR] = segment(0, 0x8b, 0, 0xffff);
	s->gdt.limit = s->idt.limit = 0xffff;
	s->cr0 = 0x10;
	r->rip = ip;
	r->rflags = 2;
	r->gpr[POSADA_RSP] = 0x7000;
	v->run->dirty |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	wake_ap(v);
}

void vcpu_start_prot32(struct vcpu *v, u32 eip)
{
	struct posada_sregs *s = &v->run->sregs;

	vcpu_start_at(v, eip, 0);
	s->seg[POSADA_CS] = segment(G_CODE32, 0xc9b, 0, ~0U);
	s->cr0 = 0x33;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
}

int vcpu_run(struct vcpu *v)
{
	return px(v->fd, POSADA_RUN, NULL);
}

const char *exit_name(u32 reason)
{
	static const char *const names[] = {
		"none", "port", "memory", "msr", "hypercall", "eoi", "window",
		"kick", "debug", "shutdown", "system", "killed", "task",
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : "?";
}

void vcpu_dump(struct vcpu *v)
{
	const struct posada_run *run = v->run;
	const u64 *raw = (const u64 *)run->raw;
	char insn[64] = "";
	u64 gpa = run->regs.rip;
	int i;

	test_note("vCPU %u: exit %s valid %x rip %llx rsp %llx rax %llx rcx %llx rdx %llx rdi %llx flags %llx",
		  v->id, exit_name(run->exit), run->valid, run->regs.rip,
		  run->regs.gpr[POSADA_RSP], run->regs.gpr[POSADA_RAX],
		  run->regs.gpr[POSADA_RCX], run->regs.gpr[POSADA_RDX],
		  run->regs.gpr[POSADA_RDI], run->regs.rflags);
	test_note("raw %016lx %016lx %016lx %016lx; cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x",
		  raw[0], raw[1], raw[2], raw[3], run->sregs.cr0, run->sregs.cr2,
		  run->sregs.cr3, run->sregs.cr4, run->sregs.efer,
		  run->sregs.seg[POSADA_CS].selector);
	for (i = 0; i < 16 && gpa + i < v->vm->bytes; i++)
		snprintf(insn + 3 * i, 4, " %02x", v->vm->mem[gpa + i]);
	test_note("at rip:%s", insn);
}

/* A report of the guest's is a failure of the test. */
static void take_report(struct vcpu *v, u32 gpa)
{
	const struct g_report *r = gpa_ptr(v->vm, gpa);

	if (r->file) {
		test_fail(r->file, (int)r->line, "guest, vCPU %u: %s: 0x%lx and 0x%lx",
			  v->id, r->expr, r->a, r->b);
		return;
	}
	test_fail("guest", 0, "vCPU %u: exception %lu error %lx at rip %lx, cr2 %lx rsp %lx",
		  v->id, r->frame.vector, r->frame.error, r->frame.rip, r->cr2, r->frame.rsp);
	test_abort();
}

u32 vcpu_exit_at(struct vcpu *v, const char *file, int line)
{
	struct posada_run *run = v->run;
	int rc;

	for (;;) {
		rc = vcpu_run(v);
		/* The freezer of a suspend, and a debugger, make themselves felt. */
		if (rc == -EINTR)
			continue;
		if (rc) {
			test_fail(file, line, "POSADA_RUN: %s", strerror(-rc));
			vcpu_dump(v);
			test_abort();
		}
		if (run->exit != POSADA_EXIT_PORT || run->port.port != PORT_REPORT)
			return run->exit;
		take_report(v, run->port.data);
	}
}

void vcpu_expect_at(struct vcpu *v, u32 reason, const char *file, int line)
{
	u32 got = vcpu_exit_at(v, file, line);

	if (got == reason)
		return;
	test_fail(file, line, "exit is %s, not %s", exit_name(got), exit_name(reason));
	vcpu_dump(v);
	test_abort();
}

u32 vcpu_out_at(struct vcpu *v, u16 port, const char *file, int line)
{
	const struct posada_exit_port *p = &v->run->port;

	vcpu_expect_at(v, POSADA_EXIT_PORT, file, line);
	if (p->port != port || p->len != 4 || p->flags) {
		test_fail(file, line, "port 0x%x len %u flags %x, not an OUT to 0x%x; value %x",
			  p->port, p->len, p->flags, port, p->data);
		vcpu_dump(v);
		test_abort();
	}
	return p->data;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	v->result = vcpu_done(v);
	return NULL;
}

void vcpu_go(struct vcpu *v)
{
	ASSERT_EQ(pthread_create(&v->thread, NULL, vcpu_thread, v), 0);
}

u32 vcpu_join(struct vcpu *v)
{
	ASSERT_EQ(pthread_join(v->thread, NULL), 0);
	return v->result;
}

struct vm *checking_start(u32 vcpus)
{
	struct vm *vm = vm_new(vcpus);
	u32 i;

	for (i = 0; i < vcpus; i++) {
		vcpu_start(vm->vcpu[i], g_own_pages, i);
		vcpu_set_mp(vm->vcpu[i], POSADA_MP_RUNNABLE);
		vcpu_go(vm->vcpu[i]);
	}
	return vm;
}

u64 checking_end(struct vm *vm, u32 vcpus)
{
	u64 laps = 0;
	u32 i;

	WRITE(G(vm, g_stop), 1);
	for (i = 0; i < vcpus; i++) {
		vcpu_join(vm->vcpu[i]);
		laps += READ(G(vm, g_laps[i]));
	}
	vm_free(vm);
	return laps;
}

void cpu_relax(void)
{
	sched_yield();
}
