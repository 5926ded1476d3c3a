// SPDX-License-Identifier: GPL-2.0
/* uapi/posada_hypercall.h and posada_cpuid.h, seen from the guest. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm.h"

#define CALL_PAGE	G_SCRATCH
#define KVM_HC_KICK_CPU		5
#define KVM_HC_CLOCK_PAIRING	9
#define KVM_HC_SEND_IPI		10
#define KVM_HC_SCHED_YIELD	11
#define DEV_NOWHERE	0x80000000ULL	/* no slot is there */
#define DEV_READONLY	0x90000000ULL	/* a slot that is not written */

/* Call the page; every register but RAX must come back as it went in. */
static s64 call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	register u64 r10 asm("r10") = d;
	register u64 r8 asm("r8") = 0x8888888888888888;
	register u64 r9 asm("r9") = 0x9999999999999999;
	u64 rdi = a, rsi = b, rdx = c, rbx = 0xbbbbbbbbbbbbbbbb, rcx = 0xcccccccccccccccc;
	s64 rax = nr;

	asm volatile("call *%[page]"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8),
		       "+r"(r9), "+b"(rbx), "+c"(rcx)
		     : [page] "m"(*(const u64[]){ CALL_PAGE }) : "memory");
	G_EXPECT_EQ(rdi, a);
	G_EXPECT_EQ(rsi, b);
	G_EXPECT_EQ(rdx, c);
	G_EXPECT_EQ(r10, d);
	G_EXPECT_EQ(r8, 0x8888888888888888);
	G_EXPECT_EQ(r9, 0x9999999999999999);
	G_EXPECT_EQ(rbx, 0xbbbbbbbbbbbbbbbb);
	G_EXPECT_EQ(rcx, 0xcccccccccccccccc);
	return rax;
}

static void enable(void)
{
	g_wrmsr(POSADA_MSR_HYPERCALL, CALL_PAGE | POSADA_MSR_HC_ENABLE);
}

static struct vcpu *start(u32 vcpus, void (*fn)(void))
{
	struct vm *vm = vm_new(vcpus);

	vcpu_start(vm->vcpu[0], fn, 0);
	return vm->vcpu[0];
}

/* ---- discovery ---- */

static void guest_discover(void)
{
	struct g_cpuid c;

	c = g_cpuid(1, 0);
	G_EXPECT_TRUE(c.c & BIT(31));
	c = g_cpuid(POSADA_CPUID_SIGNATURE, 0);
	G_EXPECT_EQ(c.b, POSADA_SIGNATURE_EBX);
	G_EXPECT_EQ(c.c, POSADA_SIGNATURE_ECX);
	G_EXPECT_EQ(c.d, POSADA_SIGNATURE_EDX);
	G_EXPECT_TRUE(c.a >= POSADA_CPUID_TIMING && c.a < 0x40000100);
	c = g_cpuid(POSADA_CPUID_FEATURES, 0);
	G_EXPECT_TRUE(c.a & POSADA_CPUID_F_HYPERCALL);
	G_EXPECT_EQ(c.a, 0x3fff);
	G_EXPECT_EQ(c.b, POSADA_GUEST_ABI);
	G_EXPECT_EQ(c.c, 0);
	G_EXPECT_EQ(c.d, 0);
	c = g_cpuid(POSADA_CPUID_TIMING, 0);
	G_EXPECT_TRUE(c.a != 0);
	G_EXPECT_TRUE(c.b != 0);
	g_sync(c.a);
	c = g_cpuid(POSADA_CPUID_KVM_SIGNATURE, 0);
	G_EXPECT_TRUE(c.a >= POSADA_CPUID_KVM_FEATURES && c.a < 0x40000200);
	G_EXPECT_EQ(c.b, 0x4b4d564b);	/* "KVMK" */
	G_EXPECT_EQ(c.c, 0x564b4d56);	/* "VMKV" */
	G_EXPECT_EQ(c.d, 0x0000004d);	/* "M" */
	c = g_cpuid(POSADA_CPUID_KVM_FEATURES, 0);
	/* clock source 2 with a stable bit, steal time, PV unhalt, PV IPI, ... */
	G_EXPECT_TRUE(c.a & BIT(3));
	G_EXPECT_TRUE(c.a & BIT(24));
	/* The old clock MSRs, MMU ops and asynchronous page faults are not there. */
	G_EXPECT_EQ(c.a & (BIT(2) | BIT(4) | BIT(10)), 0);
	/* Leaves between the blocks are empty. */
	c = g_cpuid(0x40000080, 0);
	G_EXPECT_EQ(c.a | c.b | c.c | c.d, 0);
}

TEST(discovery)
{
	struct vcpu *v = start(1, guest_discover);

	EXPECT_EQ(vcpu_sync(v), sys_info(v->vm->sys).tsc_khz);
	vcpu_done(v);
}

/* ---- both vendors' instructions ---- */

static s64 call_by_vmcall(u64 nr)
{
	asm volatile("vmcall" : "+a"(nr) : : "memory");
	return nr;
}

static s64 call_by_vmmcall(u64 nr)
{
	asm volatile("vmmcall" : "+a"(nr) : : "memory");
	return nr;
}

/* A guest that was moved to another CPU goes on with what it found at first. */
static void guest_both(void)
{
	s64 want;

	enable();
	want = call(POSADA_HC_FEATURES, 0, 0, 0, 0);
	G_EXPECT_TRUE(want > 0);
	G_EXPECT_EQ(call_by_vmcall(POSADA_HC_FEATURES), want);
	G_EXPECT_EQ(call_by_vmmcall(POSADA_HC_FEATURES), want);
	/* Any other undefined instruction is one. */
	G_EXPECT_EQ(G_TRY("ud2"), UD);
}

TEST(either_instruction)
{
	vcpu_done(start(1, guest_both));
}

/* ---- the page ---- */

static void guest_page(void)
{
	const u8 *page = (const u8 *)CALL_PAGE;
	u64 v = 1;

	G_EXPECT_EQ(g_try_rdmsr(POSADA_MSR_HYPERCALL, &v), -1);
	G_EXPECT_EQ(v, 0);
	/* Reserved bits, a page out of memory. */
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_HYPERCALL, CALL_PAGE | 2 | 1), GP);
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_HYPERCALL, DEV_NOWHERE | 1), GP);
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_HYPERCALL, BIT(60) | 1), GP);
	G_EXPECT_EQ(page[0], 0);
	enable();
	G_EXPECT_EQ(g_rdmsr(POSADA_MSR_HYPERCALL), CALL_PAGE | 1);
	G_EXPECT_TRUE(page[0] != 0);
	G_EXPECT_EQ(page[4096], 0);
	G_EXPECT_EQ(call(POSADA_HC_FEATURES, 0, 0, 0, 0), g_cpuid(POSADA_CPUID_FEATURES, 0).a);
	g_wrmsr(POSADA_MSR_HYPERCALL, 0);
	G_EXPECT_EQ(g_rdmsr(POSADA_MSR_HYPERCALL), 0);
}

TEST(page)
{
	vcpu_done(start(1, guest_page));
}

/* ---- numbers ---- */

static void guest_unknown(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_BASE + POSADA_HC_COUNT, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(POSADA_HC_BASE - 1, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(POSADA_HC_USER_END, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(0, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(~0ULL, 0, 0, 0, 0), -POSADA_ENOSYS);
	/* In 64-bit mode the whole of RAX is the number. */
	G_EXPECT_EQ(call(POSADA_HC_FEATURES | 1ULL << 32, 0, 0, 0, 0), -POSADA_ENOSYS);
	/* KVM's that are not implemented. */
	G_EXPECT_EQ(call(1, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(2, 0, 0, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(12, 0, 0, 0, 0), -POSADA_ENOSYS);
}

TEST(unknown)
{
	vcpu_done(start(1, guest_unknown));
}

static void guest_user_call(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_USER_BASE, 1, 2, 3, 4), 0x1234567890abcdef);
	G_EXPECT_EQ(call(POSADA_HC_USER_END - 1, ~0ULL, 0, 0, 0), -POSADA_EINVAL);
}

TEST(user_range)
{
	struct vcpu *v = start(1, guest_user_call);
	struct posada_exit_hypercall *h = &v->run->hypercall;

	vcpu_expect(v, POSADA_EXIT_HYPERCALL);
	EXPECT_EQ(h->nr, POSADA_HC_USER_BASE);
	EXPECT_EQ(h->arg[0], 1);
	EXPECT_EQ(h->arg[1], 2);
	EXPECT_EQ(h->arg[2], 3);
	EXPECT_EQ(h->arg[3], 4);
	EXPECT_EQ(h->arg[4], 0x8888888888888888);
	EXPECT_EQ(h->arg[5], 0x9999999999999999);
	h->ret = 0x1234567890abcdef;
	vcpu_expect(v, POSADA_EXIT_HYPERCALL);
	EXPECT_EQ(h->nr, POSADA_HC_USER_END - 1);
	EXPECT_EQ(h->arg[0], ~0ULL);
	h->ret = -POSADA_EINVAL;
	vcpu_done(v);
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_HYPERCALL), 2);
}

/* ---- doorbell ---- */

static void guest_doorbell(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 7, 0x55, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 7, 0x66, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 8, 0x55, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 8, 0x56, 0, 0), -POSADA_ENOENT);
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 9, 0, 0, 0), -POSADA_ENOENT);
	/* A number above 32 bits is another one. */
	G_EXPECT_EQ(call(POSADA_HC_DOORBELL, 7 | 1ULL << 32, 0, 0, 0), -POSADA_ENOENT);
}

static u64 rings(int fd)
{
	u64 n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

TEST(doorbell)
{
	struct vcpu *v = start(1, guest_doorbell);
	int seven = eventfd(0, EFD_NONBLOCK), eight = eventfd(0, EFD_NONBLOCK);
	struct posada_doorbell d = {
		.size = sizeof(d), .kind = POSADA_DOORBELL_CALL, .addr = 7, .fd = seven,
	};

	ASSERT_EQ(px(v->vm->fd, POSADA_DOORBELL, &d), 0);
	d.addr = 8;
	d.fd = eight;
	d.flags = POSADA_DOORBELL_MATCH;
	d.match = 0x55;
	ASSERT_EQ(px(v->vm->fd, POSADA_DOORBELL, &d), 0);
	vcpu_done(v);
	EXPECT_EQ(rings(seven), 2);
	EXPECT_EQ(rings(eight), 1);
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_DOORBELL), 3);
}

/* ---- kick, yield, IPI, flush: errors here; what they do is in smp.c ---- */

static void guest_targets(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_KICK, 0, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_KICK, 1, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_KICK, 2, 0, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_KICK, 64, 0, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_KICK, ~0ULL, 0, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_KICK, 1ULL << 32, 0, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_YIELD_TO, 1, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_YIELD_TO, 5, 0, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_YIELD_TO, ~0ULL, 0, 0, 0), -POSADA_EINVAL);
	/* Fixed and NMI alone; nobody is at bit 60 or far above. */
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, 1ULL << 60, 0, 0, 0x40), 0);
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, ~0ULL, ~0ULL, 1000, 0x40), 0);
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, ~0ULL, ~0ULL, ~0ULL, 0x40), 0);
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, 1, 0, 0, 0x200), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, 1, 0, 0, ICR_INIT), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, 1, 0, 0, ICR_STARTUP), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_FLUSH_TLB, ~0ULL, ~0ULL, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_FLUSH_TLB, 0, 0, ~0ULL, 0), 0);
}

TEST(targets)
{
	vcpu_done(start(2, guest_targets));
}

/* ---- clock pairing ---- */

static void guest_pairing(void)
{
	struct posada_clock_pairing *p = (void *)G_HEAP;
	s64 rc;

	enable();
	G_EXPECT_EQ(call(POSADA_HC_CLOCK_PAIRING, DEV_NOWHERE, 0, 0, 0), -POSADA_EFAULT);
	G_EXPECT_EQ(call(POSADA_HC_CLOCK_PAIRING, ~0ULL - 63, 0, 0, 0), -POSADA_EFAULT);
	G_EXPECT_EQ(call(POSADA_HC_CLOCK_PAIRING, G_HEAP, 1, 0, 0), -POSADA_EINVAL);
	rc = call(POSADA_HC_CLOCK_PAIRING, G_HEAP, 0, 0, 0);
	if (rc == -POSADA_EOPNOTSUPP)
		g_done(1);
	G_EXPECT_EQ(rc, 0);
	G_EXPECT_TRUE(p->tsc <= g_rdtsc());
	G_EXPECT_EQ(p->flags, 0);
	g_sync((u32)p->sec);
}

TEST(clock_pairing)
{
	struct vcpu *v = start(1, guest_pairing);
	struct timespec now;

	vcpu_expect(v, POSADA_EXIT_PORT);
	if (v->run->port.port == PORT_DONE)
		SKIP("the host's clock source is not the TSC");
	clock_gettime(CLOCK_REALTIME, &now);
	EXPECT_LE((u32)now.tv_sec - v->run->port.data, 2);
	vcpu_done(v);
}

/* ---- crash, shutdown ---- */

static void guest_system(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_CRASH, G_HEAP, 5, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_SHUTDOWN, 0, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_SHUTDOWN, 1, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_SHUTDOWN, 2, 0, 0, 0), -POSADA_EINVAL);
}

TEST(system)
{
	struct vcpu *v = start(1, guest_system);
	const struct posada_exit_system *s = &v->run->system;

	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(s->event, POSADA_SYSTEM_CRASH);
	EXPECT_EQ(s->arg, G_HEAP);
	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(s->event, POSADA_SYSTEM_SHUTDOWN);
	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(s->event, POSADA_SYSTEM_REBOOT);
	vcpu_done(v);
}

/* What userspace answers is the result; without an answer: done. */
static void guest_crash(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_CRASH, G_HEAP, POSADA_CRASH_MAX, 0, 0), 77);
	G_EXPECT_EQ(call(POSADA_HC_CRASH, G_HEAP, POSADA_CRASH_MAX + 1, 0, 0), -POSADA_E2BIG);
	G_EXPECT_EQ(call(POSADA_HC_CRASH, G_HEAP, ~0ULL, 0, 0), -POSADA_E2BIG);
	/* Where it is, is for who reads it to check. */
	G_EXPECT_EQ(call(POSADA_HC_CRASH, ~0ULL, 1, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_SHUTDOWN, ~0ULL, 0, 0, 0), -POSADA_EINVAL);
}

TEST(crash_errors)
{
	struct vcpu *v = start(1, guest_crash);

	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(v->run->system.bytes, POSADA_CRASH_MAX);
	EXPECT_EQ(v->run->system.ret, 0);
	v->run->system.ret = 77;
	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(v->run->system.arg, ~0ULL);
	vcpu_done(v);
}

/* ---- console ---- */

#define RING_LEAST	(4096 + 4096)
#define RING_MOST	(4096 + 65536)

static void guest_console(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_WRITE, G_HEAP, 5, 0, 0), 5);
	/* A VMM that knows no console does not answer. */
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_WRITE, G_HEAP, POSADA_CONSOLE_MAX, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_WRITE, G_HEAP, POSADA_CONSOLE_MAX + 1, 0, 0), -POSADA_E2BIG);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, RING_LEAST, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, RING_MOST, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, 0, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP + 8, RING_LEAST, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, RING_LEAST + 1, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, 4096, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, 4096 + 2048, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, 4096 + 12288, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, 4096 + 131072, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, ~0ULL, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_CONSOLE_RING, G_HEAP, 1, 0, 0), -POSADA_EINVAL);
}

static void expect_system(struct vcpu *v, u32 event, u64 arg, u32 bytes)
{
	vcpu_expect(v, POSADA_EXIT_SYSTEM);
	EXPECT_EQ(v->run->system.event, event);
	EXPECT_EQ(v->run->system.arg, arg);
	EXPECT_EQ(v->run->system.bytes, bytes);
	EXPECT_EQ(v->run->system.ret, -POSADA_ENOSYS);
}

TEST(console)
{
	struct vcpu *v = start(1, guest_console);

	expect_system(v, POSADA_SYSTEM_CONSOLE_WRITE, G_HEAP, 5);
	v->run->system.ret = 5;
	expect_system(v, POSADA_SYSTEM_CONSOLE_WRITE, G_HEAP, POSADA_CONSOLE_MAX);
	expect_system(v, POSADA_SYSTEM_CONSOLE_RING, G_HEAP, RING_LEAST);
	v->run->system.ret = 0;
	expect_system(v, POSADA_SYSTEM_CONSOLE_RING, G_HEAP, RING_MOST);
	expect_system(v, POSADA_SYSTEM_CONSOLE_RING, 0, 0);
	v->run->system.ret = 0;
	vcpu_done(v);
}

/* ---- timer ---- */

static void guest_timer(void)
{
	u64 past;

	enable();
	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	G_EXPECT_EQ(call(POSADA_HC_TIMER, g_rdtsc(), 0, 0, 0), -POSADA_EINVAL);
	g_apic_write(APIC_LVT_TIMER, 0x40000 | 0x40);	/* TSC deadline */
	G_EXPECT_EQ(call(POSADA_HC_TIMER, ~0ULL, 0, 0, 0), 0);
	G_EXPECT_EQ(g_rdmsr(MSR_TSC_DEADLINE), ~0ULL);
	G_EXPECT_EQ(call(POSADA_HC_TIMER, 0, 0, 0, 0), 0);
	G_EXPECT_EQ(g_rdmsr(MSR_TSC_DEADLINE), 0);
	G_EXPECT_EQ(READ(g_cpu()->count[0x40]), 0);
	past = g_rdtsc();
	G_EXPECT_EQ(call(POSADA_HC_TIMER, past + 1000, 0, 0, 0), 0);
	while (!READ(g_cpu()->count[0x40]))
		g_sti_hlt();
	g_cli();
	G_EXPECT_TRUE(g_rdtsc() >= past + 1000);
	G_EXPECT_EQ(g_rdmsr(MSR_TSC_DEADLINE), 0);
}

TEST(timer)
{
	vcpu_done(start(1, guest_timer));
}

/* ---- free pages ---- */

static void guest_free_pages(void)
{
	enable();
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP, 3, 0, 0), 2);
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP, POSADA_RANGES_MAX, 0, 0), -POSADA_ENOSYS);
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP, POSADA_RANGES_MAX + 1, 0, 0), -POSADA_E2BIG);
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP, ~0ULL, 0, 0), -POSADA_E2BIG);
	G_EXPECT_EQ(call(POSADA_HC_FREE_PAGES, G_HEAP + 4, 1, 0, 0), -POSADA_EINVAL);
}

TEST(free_pages)
{
	struct vcpu *v = start(1, guest_free_pages);

	expect_system(v, POSADA_SYSTEM_FREE_PAGES, G_HEAP, 3 * sizeof(struct posada_range));
	v->run->system.ret = 2;
	expect_system(v, POSADA_SYSTEM_FREE_PAGES, G_HEAP,
		      POSADA_RANGES_MAX * sizeof(struct posada_range));
	vcpu_done(v);
}

/* ---- batch ---- */

static void batch_call(u32 i, u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	struct posada_batch_call *call = (struct posada_batch_call *)G_HEAP + i;

	call->nr = nr;
	call->arg[0] = a;
	call->arg[1] = b;
	call->arg[2] = c;
	call->arg[3] = d;
	call->result = 0x5555;
}

static void guest_batch(void)
{
	static const u32 refused[] = {
		POSADA_HC_CRASH, POSADA_HC_SHUTDOWN, POSADA_HC_CONSOLE_WRITE,
		POSADA_HC_CONSOLE_RING, POSADA_HC_FREE_PAGES, POSADA_HC_BATCH,
	};
	const struct posada_batch_call *call_of = (const void *)G_HEAP;
	u32 i;

	enable();
	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	batch_call(0, POSADA_HC_FEATURES, 0, 0, 0, 0);
	batch_call(1, POSADA_HC_SEND_IPI, 1, 0, 0, 0x40);
	batch_call(2, POSADA_HC_KICK, 9, 0, 0, 0);
	batch_call(3, POSADA_HC_FLUSH_TLB, 1, 0, 0, 0);
	batch_call(4, POSADA_HC_BASE + POSADA_HC_COUNT, 0, 0, 0, 0);
	batch_call(5, 5, 0, 0, 0, 0);	/* KVM's are not for batches */
	batch_call(6, POSADA_HC_USER_BASE, 0, 0, 0, 0);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		batch_call(7 + i, READ(refused[i]), 0, 0, 0, 0);
	batch_call(7 + i, POSADA_HC_FEATURES, 0, 0, 0, 0);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_HEAP, 7 + i, 0, 0), 7 + i);
	G_EXPECT_EQ(READ(call_of[0].result), g_cpuid(POSADA_CPUID_FEATURES, 0).a);
	G_EXPECT_EQ(READ(call_of[1].result), 1);
	G_EXPECT_EQ(READ(call_of[2].result), -POSADA_EINVAL);
	G_EXPECT_EQ(READ(call_of[3].result), 0);
	G_EXPECT_EQ(READ(call_of[4].result), -POSADA_ENOSYS);
	G_EXPECT_EQ(READ(call_of[5].result), -POSADA_ENOSYS);
	G_EXPECT_EQ(READ(call_of[6].result), -POSADA_ENOSYS);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		G_EXPECT_EQ(READ(call_of[7 + i].result), -POSADA_EPERM);
	G_EXPECT_EQ(READ(call_of[7 + i].result), 0x5555);
	/* The interrupt of the second is there. */
	g_sti();
	asm volatile("nop");
	g_cli();
	G_EXPECT_EQ(READ(g_cpu()->count[0x40]), 1);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_HEAP, 0, 0, 0), 0);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_HEAP, POSADA_BATCH_MAX + 1, 0, 0), -POSADA_E2BIG);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_HEAP + 4, 1, 0, 0), -POSADA_EINVAL);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, DEV_NOWHERE, 1, 0, 0), -POSADA_EFAULT);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, ~0ULL - 63, 2, 0, 0), -POSADA_EFAULT);
	/* A result that cannot be written. */
	G_EXPECT_EQ(call(POSADA_HC_BATCH, DEV_READONLY, 1, 0, 0), -POSADA_EFAULT);
	/* Memory ends behind the first: one is made. */
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_MEM_BYTES - 64, 2, 0, 0), 1);
	G_EXPECT_EQ(call(POSADA_HC_BATCH, G_HEAP, POSADA_BATCH_MAX, 0, 0), POSADA_BATCH_MAX);
}

TEST(batch)
{
	static struct posada_batch_call readonly[64] __attribute__((aligned(4096)));
	struct vcpu *v = start(1, guest_batch);

	readonly[0].nr = POSADA_HC_FEATURES;
	slot_set(v->vm, 1, DEV_READONLY, readonly, sizeof(readonly), POSADA_SLOT_READONLY);
	vcpu_done(v);
	EXPECT_EQ(readonly[0].result, 0);
}

/* ---- generation ---- */

#define GENERATION	G_HEAP

static u64 generation_seen[4];	/* by the NMI handler: sequence, step, id, count */

static void on_generation(struct g_frame *f)
{
	const struct posada_generation *g = (const void *)GENERATION;

	(void)f;
	WRITE(generation_seen[0], READ(g->sequence));
	WRITE(generation_seen[1], READ(g->step_ns));
	WRITE(generation_seen[2], *(const volatile u64 *)g->id);
	ADD(generation_seen[3], 1);
}

static void guest_generation(void)
{
	const struct posada_generation *g = (const void *)GENERATION;

	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_GENERATION, GENERATION | 2 | 1), GP);
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_GENERATION, (GENERATION + 64) | 1), GP);
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_GENERATION, DEV_NOWHERE | 1), GP);
	G_EXPECT_EQ(g_try_wrmsr(POSADA_MSR_GENERATION, BIT(60) | 1), GP);
	G_EXPECT_EQ(g_rdmsr(POSADA_MSR_GENERATION), 0);
	g_handlers[NMI] = on_generation;
	g_wrmsr(POSADA_MSR_GENERATION, GENERATION | 1);
	G_EXPECT_EQ(g_rdmsr(POSADA_MSR_GENERATION), GENERATION | 1);
	G_EXPECT_EQ(READ(g->sequence), 0);
	G_EXPECT_EQ(READ(g->step_ns), 0);
	G_EXPECT_TRUE(READ(g->real_ns) > 0);
	G_EXPECT_EQ(READ(generation_seen[3]), 0);
	g_sync(1);
	/* The NMI comes before the instruction that is next, interrupts off or not. */
	G_EXPECT_EQ(READ(generation_seen[3]), 1);
	g_sync(2);
	G_EXPECT_EQ(READ(generation_seen[3]), 2);
	g_wrmsr(POSADA_MSR_GENERATION, 0);
	g_sync(3);
	G_EXPECT_EQ(READ(generation_seen[3]), 2);
}

static bool same(const void *a, const void *b, u32 bytes)
{
	return !memcmp(a, b, bytes);
}

TEST(generation)
{
	struct vcpu *v = start(1, guest_generation);
	struct posada_generation_set set = { .size = sizeof(set) };
	struct posada_generation *g = gpa_ptr(v->vm, GENERATION), first, second;
	static const u8 nothing[64];

	/* Nobody listens yet. */
	EXPECT_EQ(px(v->vm->fd, POSADA_GENERATION, &set), 0);
	memset(set.id, 0, sizeof(set.id));
	v = start(1, guest_generation);
	g = gpa_ptr(v->vm, GENERATION);
	EXPECT_SYNC(v, 1);
	first = *g;
	EXPECT_TRUE(!same(first.id, nothing, 16));
	EXPECT_TRUE(!same(first.entropy, nothing, 64));
	/* An id of the kernel's. */
	set.step_ns = -12345;
	EXPECT_EQ(px(v->vm->fd, POSADA_GENERATION, &set), 1);
	second = *g;
	EXPECT_TRUE(same(second.id, set.id, 16));
	EXPECT_TRUE(!same(second.id, first.id, 16));
	EXPECT_TRUE(!same(second.entropy, first.entropy, 64));
	EXPECT_EQ(second.sequence, 2);
	EXPECT_EQ(second.step_ns, -12345);
	EXPECT_GE(second.real_ns, first.real_ns);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(G(v->vm, generation_seen[0]), 2);
	EXPECT_EQ(G(v->vm, generation_seen[1]), -12345);
	/* One of the VMM's. */
	memset(set.id, 0x11, sizeof(set.id));
	EXPECT_EQ(px(v->vm->fd, POSADA_GENERATION, &set), 1);
	EXPECT_EQ(g->id[15], 0x11);
	EXPECT_SYNC(v, 3);
	EXPECT_EQ(G(v->vm, generation_seen[0]), 4);
	EXPECT_EQ(G(v->vm, generation_seen[2]), 0x1111111111111111);
	/* It gave up its page. */
	EXPECT_EQ(px(v->vm->fd, POSADA_GENERATION, &set), 0);
	vcpu_done(v);
}

static void guest_restored(void)
{
	g_handlers[NMI] = on_generation;
	g_sync(READ(generation_seen[3]));
	g_sync(READ(generation_seen[3]));
}

/* The MSR is part of the state: a restored VM is told without asking anew. */
TEST(generation_after_restore)
{
	struct vcpu *v = start(1, guest_restored);
	struct posada_generation_set set = { .size = sizeof(set) };
	struct posada_generation *g = gpa_ptr(v->vm, GENERATION);

	EXPECT_SYNC(v, 0);
	EXPECT_EQ(vcpu_set_msr(v, POSADA_MSR_GENERATION, GENERATION | 1), 0);
	EXPECT_EQ(vcpu_msr(v, POSADA_MSR_GENERATION), GENERATION | 1);
	EXPECT_EQ(g->real_ns, 0);
	EXPECT_EQ(px(v->vm->fd, POSADA_GENERATION, &set), 1);
	EXPECT_EQ(g->sequence, 2);
	EXPECT_TRUE(same(g->id, set.id, 16));
	EXPECT_SYNC(v, 1);
	vcpu_done(v);
}

/* ---- CPL 3, and 32-bit code ---- */

static u64 cpl3_result[3];

/* At CPL 3: all of Posada's calls while the answer is EPERM, then INT 0x80 to come back. */
extern const char user_code[];
asm(".pushsection .text\n"
    "user_code:\n"
    "	mov $0x506f0000, %ebx\n"
    "1:	mov %ebx, %eax\n"
    "	mov $0x20000, %ecx\n"
    "	call *%rcx\n"
    "	cmp $-1, %rax\n"
    "	jne 2f\n"
    "	inc %ebx\n"
    "	cmp $0x506f000e, %ebx\n"
    "	jb 1b\n"
    "2:	int $0x80\n"
    "	ud2\n"
    ".popsection");

static void on_int80(struct g_frame *f)
{
	WRITE(cpl3_result[0], f->rax);
	WRITE(cpl3_result[1], f->cs);
	WRITE(cpl3_result[2], f->rbx);
	g_done(0);
}

static void guest_cpl3(void)
{
	enable();
	g_handlers[0x80] = on_int80;
	asm volatile("mov %%rsp, %%rax\n"
		     "push %[ss]; push %%rax; push $2; push %[cs]; push %[rip]; iretq"
		     : : [ss] "i"(G_UDATA | 3), [cs] "i"(G_UCODE64 | 3),
		     [rip] "r"((u64)user_code) : "rax", "memory");
}

TEST(from_cpl3)
{
	struct vcpu *v = start(1, guest_cpl3);

	if (host_is_bochs_svm())
		SKIP("Bochs leaves an old event in EXITINTINFO when INT n is cut short");
	vcpu_done(v);
	EXPECT_EQ(G(v->vm, cpl3_result[0]), -POSADA_EPERM);
	EXPECT_EQ(G(v->vm, cpl3_result[1]), G_UCODE64 | 3);
	EXPECT_EQ(G(v->vm, cpl3_result[2]), POSADA_HC_BASE + POSADA_HC_COUNT);
}

/*
 * 32-bit protected mode, the call in a page that 64-bit code enabled: the low
 * halves count. FEATURES, then a user call with arguments, then done.
 */
extern const char code32[], code32_end[];
asm(".pushsection .text; .code32\n"
    "code32:\n"
    "	mov $0x506f0000, %eax; call *%ecx\n"
    "	mov $0xd1, %edx; out %eax, %dx\n"
    "	mov $0x506f8001, %eax; mov $0x11111111, %edi; mov $0x22222222, %esi\n"
    "	mov $0x33333333, %edx; call *%ecx\n"
    "	mov $0xd0, %edx; out %eax, %dx\n"
    "	hlt\n"
    "code32_end:\n"
    ".code64; .popsection");

static void guest_enable_only(void)
{
	enable();
	g_sync(call(POSADA_HC_FEATURES, 0, 0, 0, 0));
}

TEST(from_32_bit_code)
{
	struct vcpu *v = start(1, guest_enable_only);
	u32 features = vcpu_sync(v);

	vcpu_start_prot32(v, (u32)(u64)code32);
	v->run->regs.gpr[POSADA_RCX] = CALL_PAGE;
	EXPECT_SYNC(v, features);
	vcpu_expect(v, POSADA_EXIT_HYPERCALL);
	EXPECT_EQ(v->run->hypercall.nr, POSADA_HC_USER_BASE + 1);
	EXPECT_EQ(v->run->hypercall.arg[0], 0x11111111);
	EXPECT_EQ(v->run->hypercall.arg[1], 0x22222222);
	EXPECT_EQ(v->run->hypercall.arg[2], 0x33333333);
	v->run->hypercall.ret = 0x777;
	EXPECT_EQ(vcpu_done(v), 0x777);
}

/* ---- KVM's calls by the same instruction ---- */

static s64 kvm_call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	u64 rbx = a, rcx = b, rdx = c, rsi = d;
	s64 rax = nr;

	asm volatile("call *%[page]"
		     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi)
		     : [page] "m"(*(const u64[]){ CALL_PAGE }) : "memory");
	G_EXPECT_EQ(rbx, a);
	G_EXPECT_EQ(rcx, b);
	G_EXPECT_EQ(rdx, c);
	G_EXPECT_EQ(rsi, d);
	return rax;
}

static void guest_kvm_calls(void)
{
	s64 rc;

	enable();
	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	G_EXPECT_EQ(kvm_call(KVM_HC_SEND_IPI, 1, 0, 0, 0x40), 1);
	g_sti();
	asm volatile("nop");
	G_EXPECT_EQ(READ(g_cpu()->count[0x40]), 1);
	/* The set is the destination: no shorthand, no logical mode. Fixed and NMI alone. */
	G_EXPECT_EQ(kvm_call(KVM_HC_SEND_IPI, 1, 0, 0, BIT(18) | 0x40), -POSADA_EINVAL);
	G_EXPECT_EQ(kvm_call(KVM_HC_SEND_IPI, 1, 0, 0, BIT(11) | 0x40), -POSADA_EINVAL);
	G_EXPECT_EQ(kvm_call(KVM_HC_SEND_IPI, 1, 0, 0, ICR_INIT), -POSADA_EINVAL);
	G_EXPECT_EQ(READ(g_cpu()->count[0x40]), 1);
	/* KVM gives no error for a vCPU that is not there. */
	G_EXPECT_EQ(kvm_call(KVM_HC_SCHED_YIELD, 1, 0, 0, 0), 0);
	G_EXPECT_EQ(kvm_call(KVM_HC_SCHED_YIELD, 77, 0, 0, 0), 0);
	G_EXPECT_EQ(kvm_call(KVM_HC_KICK_CPU, 0, 1, 0, 0), 0);
	G_EXPECT_EQ(kvm_call(KVM_HC_KICK_CPU, 0, ~0ULL, 0, 0), 0);
	G_EXPECT_EQ(kvm_call(KVM_HC_CLOCK_PAIRING, DEV_NOWHERE, 0, 0, 0), -POSADA_EFAULT);
	rc = kvm_call(KVM_HC_CLOCK_PAIRING, G_HEAP, 0, 0, 0);
	G_EXPECT_TRUE(rc == 0 || rc == -POSADA_EOPNOTSUPP);
	rc = kvm_call(KVM_HC_CLOCK_PAIRING, G_HEAP, 7, 0, 0);
	G_EXPECT_EQ(rc, -POSADA_EOPNOTSUPP);
}

TEST(kvm_calls)
{
	vcpu_done(start(2, guest_kvm_calls));
}
