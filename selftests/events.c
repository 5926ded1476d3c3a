// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions, NMIs and interrupts on their way into the guest: order, masking,
 * and deliveries that an exit cuts short.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

static struct vcpu *start(void (*fn)(void))
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], fn, 0);
	return vm->vcpu[0];
}

/* ---- exceptions from userspace ---- */

static struct {
	u64 vector, error, cr2, rip, dr6;
} seen[64];
static u32 nr_seen;

static void on_exception(struct g_frame *f)
{
	u32 i = nr_seen++ % ARRAY_SIZE(seen);

	seen[i].vector = f->vector;
	seen[i].error = f->error;
	seen[i].cr2 = g_read_cr2();
	seen[i].rip = f->rip;
	seen[i].dr6 = g_read_dr6();
}

static void guest_take_all(void)
{
	int i;

	for (i = 0; i < 32; i++)
		g_handlers[i] = on_exception;
	for (;;)
		g_sync(nr_seen);
}

static bool has_error_code(u32 vector)
{
	return vector == DF || (vector >= TS && vector <= PF) || vector == AC ||
	       vector == 21 || vector == 29 || vector == 30;
}

/* Each that there is, with its error code or without. */
TEST(inject_each_exception)
{
	struct vcpu *v = start(guest_take_all);
	struct vm *vm = v->vm;
	u32 vector, n = 0;
	int rc;

	EXPECT_SYNC(v, 0);
	for (vector = 0; vector < 22; vector++) {
		u64 rip = vcpu_regs(v)->rip, payload = 0;

		/* Reserved ones, and those of CPUs that have the feature. */
		if (vector == NMI || vector == 9 || vector == 15 || vector > XM)
			continue;
		if (vector == PF)
			payload = 0x7fff12345678;
		if (has_error_code(vector))
			rc = inject_error(v, vector, vector == DF ? 0 : 0x7, payload);
		else
			rc = inject(v, POSADA_INJECT_EXCEPTION, vector);
		EXPECT_EQ(rc, 0);
		EXPECT_SYNC(v, n + 1);
		EXPECT_EQ(G(vm, seen[n]).vector, vector);
		EXPECT_EQ(G(vm, seen[n]).error, has_error_code(vector) && vector != DF ? 7 : 0);
		/* VMRUN of Bochs leaves CR2 as it is. */
		if (vector == PF && !host_is_bochs_svm())
			EXPECT_EQ(G(vm, seen[n]).cr2, payload);
		/* Faults point at where the guest stood: behind the OUT. */
		if (vector != BP && vector != OF)
			EXPECT_EQ(G(vm, seen[n]).rip, rip);
		n++;
	}
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_INJECT_EXCEPTION), n);
}

TEST(inject_debug_exception)
{
	struct vcpu *v = start(guest_take_all);
	struct posada_inject i = {
		.size = sizeof(i), .kind = POSADA_INJECT_EXCEPTION, .vector = DB,
		.payload = BIT(0) | BIT(14),
	};

	EXPECT_SYNC(v, 0);
	ASSERT_EQ(px(v->fd, POSADA_INJECT, &i), 0);
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(G(v->vm, seen[0]).vector, DB);
	EXPECT_EQ(G(v->vm, seen[0]).dr6 & (BIT(0) | BIT(14)), BIT(0) | BIT(14));
}

/* By the run page: what was read there can be put back. */
TEST(inject_by_events_group)
{
	struct vcpu *v = start(guest_take_all);
	struct posada_events *e;

	EXPECT_SYNC(v, 0);
	e = vcpu_events_rw(v);
	EXPECT_EQ(e->kind, POSADA_EVENT_NONE);
	e->kind = POSADA_EVENT_EXCEPTION;
	e->vector = GP;
	e->has_error_code = 1;
	e->error_code = 0x58;
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(G(v->vm, seen[0]).vector, GP);
	EXPECT_EQ(G(v->vm, seen[0]).error, 0x58);
	EXPECT_EQ(vcpu_events(v)->kind, POSADA_EVENT_NONE);
	/* While it waits it can be seen, and taken back. */
	ASSERT_EQ(inject(v, POSADA_INJECT_EXCEPTION, UD), 0);
	v->run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	v->run->request = 0;
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_EVENTS, &v->run->events,
			  sizeof(*e), NULL), 0);
	EXPECT_EQ(v->run->events.kind, POSADA_EVENT_EXCEPTION);
	EXPECT_EQ(v->run->events.vector, UD);
	v->run->events.kind = POSADA_EVENT_NONE;
	v->run->dirty |= POSADA_GROUP_EVENTS;
	EXPECT_SYNC(v, 1);
}

/*
 * An entry that nobody could foresee: Bochs wants the RPL of CS to be its DPL,
 * which no manual asks for. The guest ends, and is told why.
 */
TEST(refused_entry)
{
	const struct posada_exit_killed *k;
	struct vcpu *v = start(guest_take_all);

	if (!host_is_bochs_vmx())
		SKIP("other CPUs enter");
	EXPECT_SYNC(v, 0);
	vcpu_sregs_rw(v)->seg[POSADA_CS].selector |= 1;
	vcpu_expect(v, POSADA_EXIT_KILLED);
	k = &v->run->killed;
	EXPECT_EQ(k->reason, POSADA_KILL_BAD_STATE);
	EXPECT_EQ(k->vcpu, 0);
	/* Exit reason 33 of an entry that failed. */
	EXPECT_EQ(k->info[0], 0x80000021);
	EXPECT_EQ(k->info[1], 0);
	/* The next VM on this CPU has nothing to do with it. */
	EXPECT_SYNC(start(guest_take_all), 0);
}

/* ---- the guest's own faults, unaided ---- */

#define CR0_NW	BIT(29)		/* not without CD */

static void guest_reserved_cr(u64 nr)
{
	u64 cr3 = g_read_cr3();

	g_sync(0);
	if (nr == 0)
		g_sync(G_TRY("mov %[v], %%cr0", [v] "r"(g_read_cr0() | CR0_NW)));
	else if (nr == 3)
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr3", [v] "r"(cr3 | BIT(52))), GP);
	else
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr4", [v] "r"(g_read_cr4() | BIT(31))), GP);
	G_EXPECT_EQ(g_read_cr3(), cr3);
	g_done(0);
}

/*
 * What a CPU refuses of a guest by #GP, QEMU refuses by the exit of a bad
 * entry: of CR3 and CR4 at once, of CR0 at the next entry. That one leaves the
 * host's registers in the VMCB, and they must not go further.
 */
static void expect_killed_by_qemu(struct vcpu *v, u64 nr)
{
	u32 exit = vcpu_exit(v);
	const u8 *at;

	if (nr == 0 && exit == POSADA_EXIT_PORT)
		exit = vcpu_exit(v);
	ASSERT_EQ(exit, POSADA_EXIT_KILLED);
	EXPECT_EQ(v->run->killed.reason, POSADA_KILL_BAD_STATE);
	if (nr == 0) {
		EXPECT_EQ(vcpu_regs(v)->rip, 0);
		EXPECT_EQ(vcpu_regs(v)->gpr[POSADA_RSP], 0);
		EXPECT_EQ(vcpu_sregs(v)->cr3, 0);
		EXPECT_EQ(vcpu_sregs(v)->gdt.base, 0);
		return;
	}
	at = gpa_ptr(v->vm, vcpu_regs(v)->rip);
	EXPECT_EQ(at[0] << 8 | at[1], 0x0f22);
}

TEST(reserved_control_bits)
{
	static const u64 nrs[] = { 0, 3, 4 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(nrs); i++) {
		struct vcpu *v = vm_new(1)->vcpu[0];

		vcpu_start(v, guest_reserved_cr, nrs[i]);
		EXPECT_SYNC(v, 0);
		if (host_is_tcg() && test_backend == POSADA_BACKEND_SVM) {
			expect_killed_by_qemu(v, nrs[i]);
			continue;
		}
		if (nrs[i] == 0)
			EXPECT_SYNC(v, GP);
		EXPECT_EQ(vcpu_done(v), 0);
	}
}

static void guest_faults(void)
{
	G_EXPECT_EQ(G_TRY("ud2", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("int3", "a"(0)), BP);
	G_EXPECT_EQ(G_TRY("div %%ecx", "a"(1), "d"(0), "c"(0)), DE);
	G_EXPECT_EQ(G_TRY("cmpb $0, (%[p])", [p] "r"(BIT(63) - 1)), GP);
	G_EXPECT_EQ(G_TRY("mov %[p], %%fs", [p] "r"(0x7f8)), GP);
	G_EXPECT_EQ(g_cpu()->error, 0x7f8);
	G_EXPECT_EQ(G_TRY("cmpb $0, (%[p])", [p] "r"(1ULL << 40)), PF);
	G_EXPECT_EQ(g_cpu()->error, 0);
	G_EXPECT_EQ(g_cpu()->cr2, 1ULL << 40);
	G_EXPECT_EQ(G_TRY("movb $0, (%[p])", [p] "r"(1ULL << 40)), PF);
	G_EXPECT_EQ(g_cpu()->error, 2);
	G_EXPECT_EQ(G_TRY("int $0x0", "a"(0)), DE);
	g_write_cr0(g_read_cr0() | BIT(3));
	G_EXPECT_EQ(G_TRY("fnop", "a"(0)), NM);
	g_write_cr0(g_read_cr0() & ~BIT(3));
}

TEST(guest_faults)
{
	struct vcpu *v = start(guest_faults);

	vcpu_done(v);
	/* These need nobody's help. */
	EXPECT_LE(vcpu_stat(v, POSADA_STAT_EXCEPTION), 2);
}

/* ---- NMI ---- */

static u32 nmis, nmi_depth, nmi_most;

static void on_nmi(struct g_frame *f)
{
	(void)f;
	nmis++;
	nmi_depth++;
	if (nmi_depth > nmi_most)
		nmi_most = nmi_depth;
	g_sync(100);
	nmi_depth--;
}

static void guest_nmi(void)
{
	g_handlers[NMI] = on_nmi;
	g_sync(1);
	g_sync(2);
	g_sync(nmis);
	g_done(nmi_most);
}

/* One goes in; two more sent from within the handler wait for its IRET. */
TEST(nmi_masking)
{
	struct vcpu *v = start(guest_nmi);

	EXPECT_SYNC(v, 1);
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	EXPECT_SYNC(v, 100);
	EXPECT_EQ(vcpu_events(v)->nmi_masked, 1);
	EXPECT_EQ(vcpu_events(v)->nmi_pending, 0);
	/* Three: the third is dropped, as two wait already. */
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	EXPECT_SYNC(v, 100);
	EXPECT_EQ(vcpu_events(v)->nmi_pending, 1);
	EXPECT_SYNC(v, 100);
	EXPECT_EQ(vcpu_events(v)->nmi_pending, 0);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(vcpu_events(v)->nmi_masked, 0);
	EXPECT_SYNC(v, 3);
	EXPECT_EQ(vcpu_done(v), 1);
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_INJECT_NMI), 3);
}

/* The mask is state: set it from outside, and the NMI waits for an IRET. */
static void guest_nmi_mask(void)
{
	g_handlers[NMI] = on_exception;
	g_sync(1);
	g_cpuid(0, 0);
	g_sync(nr_seen);
	/* IRET to the next instruction, with nothing else changed. */
	asm volatile("mov %%ss, %%eax; mov %%rsp, %%rcx; push %%rax; push %%rcx; pushfq\n"
		     "mov %%cs, %%eax; push %%rax; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
		     : : : "rax", "rcx", "memory");
	g_cpuid(0, 0);
	g_sync(nr_seen);
}

TEST(nmi_mask_is_state)
{
	struct vcpu *v = start(guest_nmi_mask);

	if (host_is_bochs_svm())
		SKIP("Bochs's host does not survive the step over this IRET");
	EXPECT_SYNC(v, 1);
	vcpu_events_rw(v)->nmi_masked = 1;
	vcpu_events_rw(v)->nmi_pending = 1;
	EXPECT_SYNC(v, 0);
	EXPECT_EQ(vcpu_events(v)->nmi_masked, 1);
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(vcpu_events(v)->nmi_masked, 0);
	vcpu_done(v);
}

/* Its vector is 2, whatever a record says. */
TEST(nmi_by_events_group)
{
	struct vcpu *v = start(guest_nmi);

	EXPECT_SYNC(v, 1);
	vcpu_events_rw(v)->kind = POSADA_EVENT_NMI;
	EXPECT_SYNC(v, 100);
	EXPECT_SYNC(v, 2);
	EXPECT_SYNC(v, 1);
}

/* An NMI wakes HLT, interrupts on or off. */
static void guest_nmi_hlt(void)
{
	g_handlers[NMI] = on_exception;
	g_sync(1);
	g_hlt();
	g_done(nr_seen);
}

TEST(nmi_wakes_hlt)
{
	struct vcpu *v = start(guest_nmi_hlt);

	EXPECT_SYNC(v, 1);
	vcpu_go(v);
	WAIT_FOR(vcpu_stat(v, POSADA_STAT_HALT));
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	EXPECT_EQ(vcpu_join(v), 1);
}

/* ---- interrupts ---- */

static u32 order[16], nr_order;

static void on_irq(struct g_frame *f)
{
	order[nr_order++ % ARRAY_SIZE(order)] = f->vector;
	g_eoi();
}

static void guest_if(void)
{
	g_apic_on();
	g_handlers[0x40] = g_handlers[0x80] = g_handlers[0xc0] = on_irq;
	g_sync(1);
	/* Interrupts off: nothing comes, however long. */
	g_cpuid(0, 0);
	g_sync(nr_order);
	g_sti();
	asm volatile("nop; nop");
	g_cli();
	g_sync(nr_order);
}

/* Ten times what a CPU with a virtual APIC does itself: five accesses each, and a self IPI, an exit. */
#define OWN_ROUNDS	10

static void guest_own(void)
{
	int i;

	g_apic_on();
	g_handlers[0x55] = g_eoi_handler;
	g_sync(0);
	for (i = 0; i < OWN_ROUNDS; i++) {
		g_apic_write(APIC_TPR, 0x60);
		g_apic_write(APIC_SELF_IPI, 0x55);
		g_sti();
		G_EXPECT_EQ(g_apic_read(APIC_IRR + 0x20) >> 21 & 1, 1);
		g_apic_write(APIC_TPR, 0x40);	/* it comes, with its EOI */
		g_cli();
		G_EXPECT_EQ(READ(g_cpu()->count[0x55]), i + 1);
		G_EXPECT_EQ(g_apic_read(APIC_ISR + 0x20), 0);
	}
	g_sync(1);
}

TEST(what_the_cpu_does_itself)
{
	struct vcpu *v = start(guest_own);
	u64 before, exits, each;

	EXPECT_SYNC(v, 0);
	before = vcpu_stat(v, POSADA_STAT_MSR);
	EXPECT_SYNC(v, 1);
	exits = vcpu_stat(v, POSADA_STAT_MSR);
	vcpu_done(v);
	each = sys_info(v->vm->sys).features & POSADA_FEATURE_VIRTUAL_APIC ? 1 : 6;
	EXPECT_EQ(exits - before, each * OWN_ROUNDS);
}

/* All three at once: the highest first. */
TEST(interrupts_wait_for_if)
{
	struct vcpu *v = start(guest_if);

	EXPECT_SYNC(v, 1);
	EXPECT_EQ(msi(v->vm, MSI_ADDR(0), 0x40), 1);
	EXPECT_EQ(msi(v->vm, MSI_ADDR(0), 0xc0), 1);
	EXPECT_EQ(msi(v->vm, MSI_ADDR(0), 0x80), 1);
	EXPECT_SYNC(v, 0);
	EXPECT_SYNC(v, 3);
	EXPECT_EQ(G(v->vm, order[0]), 0xc0);
	EXPECT_EQ(G(v->vm, order[1]), 0x80);
	EXPECT_EQ(G(v->vm, order[2]), 0x40);
	vcpu_done(v);
	/* Some CPUs do it by themselves. */
	if (!(sys_info(v->vm->sys).features & POSADA_FEATURE_VIRTUAL_APIC))
		EXPECT_EQ(vcpu_stat(v, POSADA_STAT_INJECT_IRQ), 3);
}

/*
 * QEMU aborts at a MOV to CR8 while a virtual interrupt is pending, and takes
 * one of the TPR's own class, which is not above it.
 */
static u32 no_cr8;

static void set_priority(u32 class)
{
	if (no_cr8)
		g_apic_write(APIC_TPR, class << 4);
	else
		g_write_cr8(class);
}

static void guest_tpr(void)
{
	g_apic_on();
	g_handlers[0x40] = g_handlers[0x80] = g_handlers[0xc0] = on_irq;
	g_write_cr8(8 + no_cr8);
	G_EXPECT_EQ(g_apic_read(APIC_TPR), 0x80 + (no_cr8 << 4));
	g_sti();
	g_sync(1);
	g_cpuid(0, 0);
	G_EXPECT_EQ(nr_order, 1);	/* 0xc0 alone is above 8 */
	g_apic_write(APIC_TPR, 0x70);
	asm volatile("nop");
	G_EXPECT_EQ(nr_order, 2);
	G_EXPECT_EQ(g_read_cr8(), 7);
	set_priority(4 + no_cr8);	/* 0x40 is not above 4 */
	asm volatile("nop");
	G_EXPECT_EQ(READ(nr_order), 2);
	set_priority(3);
	asm volatile("nop");
	G_EXPECT_EQ(READ(nr_order), 3);
}

TEST(task_priority)
{
	struct vcpu *v;

	no_cr8 = host_is_tcg();
	v = start(guest_tpr);

	EXPECT_SYNC(v, 1);
	EXPECT_EQ(vcpu_sregs(v)->cr8, 8 + no_cr8);
	msi(v->vm, MSI_ADDR(0), 0x40);
	msi(v->vm, MSI_ADDR(0), 0x80);
	msi(v->vm, MSI_ADDR(0), 0xc0);
	vcpu_done(v);
	EXPECT_EQ(G(v->vm, order[0]), 0xc0);
	EXPECT_EQ(G(v->vm, order[1]), 0x80);
	EXPECT_EQ(G(v->vm, order[2]), 0x40);
}

/* ExtINT goes past the APIC's priorities, and before what waits there. */
TEST(extint)
{
	struct vcpu *v = start(guest_if);

	EXPECT_SYNC(v, 1);
	msi(v->vm, MSI_ADDR(0), 0xc0);
	ASSERT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 0x40), 0);
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 0x80), -EBUSY);
	EXPECT_SYNC(v, 0);
	EXPECT_EQ(vcpu_events(v)->extint_pending, 1);
	EXPECT_EQ(vcpu_events(v)->extint_vector, 0x40);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(vcpu_events(v)->extint_pending, 0);
	EXPECT_EQ(G(v->vm, order[0]), 0x40);
	EXPECT_EQ(G(v->vm, order[1]), 0xc0);
}

/* ---- a delivery that a second-level fault cuts short ---- */

static u64 *idt_copy(struct vm *vm)
{
	return gpa_ptr(vm, G_HEAP);
}

static void guest_moved_idt(u64 what)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) idt = { 0xfff, G_HEAP };

	g_apic_on();
	g_handlers[0x40] = on_irq;
	g_handlers[UD] = on_exception;
	g_handlers[NMI] = on_exception;
	asm volatile("lidt %0" : : "m"(idt));
	g_sync(1);
	if (what == 0) {
		g_sti();
		asm volatile("nop");
		g_cli();
	} else if (what == 1) {
		g_cpuid(0, 0);
	} else {
		asm volatile("int $0x40" : : : "memory");
	}
	g_sync(nr_order + nr_seen);
}

/*
 * The IDT's page is thrown away on the host just before the delivery: the CPU
 * faults in the middle of it, and it must begin anew, exactly once.
 */
static void cut_short(u64 what, void (*raise)(struct vcpu *v))
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u8 saved[4096];

	memcpy(idt_copy(vm), gpa_ptr(vm, G_IDT), 4096);
	memcpy(saved, idt_copy(vm), 4096);
	vcpu_start(v, guest_moved_idt, what);
	EXPECT_SYNC(v, 1);
	ASSERT_EQ(madvise(idt_copy(vm), 4096, MADV_DONTNEED), 0);
	memcpy(idt_copy(vm), saved, 4096);
	raise(v);
	EXPECT_SYNC(v, 1);
	vcpu_done(v);
	if (what < 2)
		EXPECT_GE(vcpu_stat(v, POSADA_STAT_REINJECT), 1);
}

static void raise_irq(struct vcpu *v)
{
	EXPECT_EQ(msi(v->vm, MSI_ADDR(0), 0x40), 1);
}

static void raise_exception(struct vcpu *v)
{
	EXPECT_EQ(inject(v, POSADA_INJECT_EXCEPTION, UD), 0);
}

static void raise_nmi(struct vcpu *v)
{
	EXPECT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
}

static void raise_nothing(struct vcpu *v)
{
	/* INT 0x40 by the guest; the handler's EOI finds nothing in service. */
	(void)v;
}

TEST(interrupt_cut_short)
{
	cut_short(0, raise_irq);
}

TEST(exception_cut_short)
{
	cut_short(1, raise_exception);
}

TEST(nmi_cut_short)
{
	cut_short(1, raise_nmi);
}

TEST(software_interrupt_cut_short)
{
	if (host_is_bochs_svm())
		SKIP("Bochs leaves an old event in EXITINTINFO when INT n is cut short");
	cut_short(2, raise_nothing);
}

/* Where only userspace could serve the IDT, the VM ends and says why. */
TEST(delivery_through_a_device)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	vcpu_start(v, guest_take_all, 0);
	EXPECT_SYNC(v, 0);
	vcpu_sregs_rw(v)->idt.base = 0x80000000;
	ASSERT_EQ(inject(v, POSADA_INJECT_EXCEPTION, UD), 0);
	vcpu_exit(v);
	if (v->run->exit == POSADA_EXIT_MEMORY) {
		EXPECT_EQ(v->run->memory.flags & POSADA_MEM_DELIVERY, POSADA_MEM_DELIVERY);
		EXPECT_EQ(v->run->memory.gpa & ~0xfffULL, 0x80000000);
		return;
	}
	EXPECT_EQ(v->run->exit, POSADA_EXIT_KILLED);
	EXPECT_EQ(v->run->killed.reason, POSADA_KILL_DELIVERY);
	EXPECT_EQ(v->run->killed.vcpu, 0);
	EXPECT_EQ(v->run->killed.info[0] & ~0xfffULL, 0x80000000);
	/* Dead once, dead for good; and of the same cause. */
	vcpu_start(v, guest_take_all, 0);
	vcpu_expect(v, POSADA_EXIT_KILLED);
	EXPECT_EQ(v->run->killed.reason, POSADA_KILL_DELIVERY);
}

/* ---- double and triple faults ---- */

static void on_double_fault(struct g_frame *f)
{
	G_EXPECT_EQ(f->error, 0);
	g_done(0xdf);
}

/* No stack that could be pushed to: #PF, then #DF on a stack of its own. */
static void guest_double_fault(void)
{
	g_handlers[DF] = on_double_fault;
	g_sync(1);
	asm volatile("mov %0, %%rsp; push %%rax" : : "r"(1ULL << 40) : "memory");
}

TEST(double_fault)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *idt = gpa_ptr(vm, G_IDT);

	/* IST 1 is the lower half of the stack. */
	*(u64 *)gpa_ptr(vm, G_TSS + 36) = G_STACKS + G_STACK / 2;
	idt[2 * DF] |= 1ULL << 32;
	vcpu_start(v, guest_double_fault, 0);
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(vcpu_done(v), 0xdf);
}

/* The same, where an injected exception meets the fault. */
static void guest_wait(void)
{
	g_handlers[DF] = on_double_fault;
	for (;;)
		g_sync(1);
}

TEST(injected_double_fault)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *idt = gpa_ptr(vm, G_IDT);

	*(u64 *)gpa_ptr(vm, G_TSS + 36) = G_STACKS + G_STACK / 2;
	idt[2 * DF] |= 1ULL << 32;
	vcpu_start(v, guest_wait, 0);
	EXPECT_SYNC(v, 1);
	vcpu_regs_rw(v)->gpr[POSADA_RSP] = 1ULL << 40;
	ASSERT_EQ(inject_error(v, GP, 0, 0), 0);
	EXPECT_EQ(vcpu_done(v), 0xdf);
}

TEST(triple_fault)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *idt = gpa_ptr(vm, G_IDT);

	/* #DF on the same bad stack. */
	idt[2 * DF] &= ~(7ULL << 32);
	vcpu_start(v, guest_double_fault, 0);
	EXPECT_SYNC(v, 1);
	vcpu_expect(v, POSADA_EXIT_SHUTDOWN);
}

/* CVE-2015-5307 and -8104: #AC and #DB that raise themselves for ever. */
static void guest_endless(u64 which)
{
	if (which) {
		/* #DB whose handler's first push hits the watchpoint. */
		g_write_dr0(G_HEAP + 0x1000 - 8);
		g_write_dr7(0x90001 | 0x400);
		asm volatile("mov %0, %%rsp; push %%rax" : : "r"(G_HEAP + 0x1000UL));
	}
	/* #AC in the delivery of #AC: at CPL 3 with a misaligned stack. */
	g_write_cr0(g_read_cr0() | BIT(18));
	asm volatile("push %[ss]; push %[sp]; push $0x40002; push %[cs]\n"
		     "lea 1f(%%rip), %%rax; push %%rax; iretq\n"
		     "1: mov 1(%%rsp), %%rax"
		     : : [ss] "i"(G_UDATA | 3), [sp] "r"(G_HEAP + 0x801UL),
		     [cs] "i"(G_UCODE64 | 3) : "rax", "memory");
}

#define KICKS	5

static bool endless_over;

/* Kick it each time that it is in the guest again. */
static void *kick_again(void *arg)
{
	struct vcpu *v = arg;
	u64 seen = 0;

	while (!endless_over) {
		usleep(10000);
		if (vcpu_stat(v, POSADA_STAT_ENTRIES) > seen)
			px(v->fd, POSADA_KICK, NULL);
		seen = vcpu_stat(v, POSADA_STAT_ENTRIES);
	}
	return NULL;
}

/* The host must get it back: a kick is enough, whatever the guest does. */
static void endless(struct vcpu *v, u64 which)
{
	pthread_t kicker;
	int i, rc = 0;

	vcpu_start(v, guest_endless, which);
	ASSERT_EQ(pthread_create(&kicker, NULL, kick_again, v), 0);
	for (i = 0; i < KICKS && !rc; i++) {
		rc = vcpu_run(v);
		if (v->run->exit != POSADA_EXIT_KICK)
			break;
	}
	endless_over = true;
	ASSERT_EQ(pthread_join(kicker, NULL), 0);
	ASSERT_EQ(rc, 0);
}

TEST(endless_alignment_check)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	endless(v, 0);
	/* #AC is the host's to see; QEMU's CPU has none. */
	if (!host_is_tcg())
		EXPECT_GE(vcpu_stat(v, POSADA_STAT_EXCEPTION), 1);
}

TEST(endless_debug_exception)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	endless(v, 1);
	/* Nor does it arm what raises #DB. */
	if (!host_is_tcg())
		EXPECT_GE(vcpu_stat(v, POSADA_STAT_EXCEPTION), 1);
}
