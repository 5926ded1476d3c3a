// SPDX-License-Identifier: GPL-2.0
/* Exits to userspace: what each says, and how userspace completes it. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define DEV	0x80000000ULL	/* no slot is there */

/* ---- ports ---- */

static void guest_out(void)
{
	g_outb(0x80, 0x12);
	g_outb(0x3f8, 0xff);
	g_outw(0x1234, 0xabcd);
	g_outl(0xfffc, 0x87654321);
	/* The high part of RAX is no part of it. */
	asm volatile("outb %%al, $0x80" : : "a"(0xfedcba9876543210));
	asm volatile("outw %%ax, $0x80" : : "a"(0xfedcba9876543210));
}

TEST(port_out)
{
	static const struct {
		u16 port;
		u8 len;
		u32 data;
	} want[] = {
		{ 0x80, 1, 0x12 }, { 0x3f8, 1, 0xff }, { 0x1234, 2, 0xabcd },
		{ 0xfffc, 4, 0x87654321 }, { 0x80, 1, 0x10 }, { 0x80, 2, 0x3210 },
	};
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	const struct posada_exit_port *p = &v->run->port;
	u32 i;

	vcpu_start(v, guest_out, 0);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		vcpu_expect(v, POSADA_EXIT_PORT);
		EXPECT_EQ(p->port, want[i].port);
		EXPECT_EQ(p->len, want[i].len);
		EXPECT_EQ(p->data, want[i].data);
		EXPECT_EQ(p->flags, 0);
		EXPECT_EQ(v->run->exit_flags, 0);
	}
	vcpu_done(v);
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_PORT), ARRAY_SIZE(want) + 1);
}

static void guest_in(void)
{
	u64 a = 0x1122334455667788;

	asm volatile("inb $0x80, %%al" : "+a"(a));
	G_EXPECT_EQ(a, 0x11223344556677a5);
	asm volatile("inw %%dx, %%ax" : "+a"(a) : "d"(0x1234));
	G_EXPECT_EQ(a, 0x112233445566beef);
	asm volatile("inl %%dx, %%eax" : "+a"(a) : "d"(0xfffc));
	G_EXPECT_EQ(a, 0x00000000cafebabe);
	/* Wider than the port: only the low byte counts. */
	a = 0;
	asm volatile("inb $0x80, %%al" : "+a"(a));
	G_EXPECT_EQ(a, 0x44);
	asm volatile("inw $0x80, %%ax" : "+a"(a));
	G_EXPECT_EQ(a, 0x3344);
}

TEST(port_in)
{
	static const u32 data[] = { 0xa5, 0xbeef, 0xcafebabe, 0x11223344, 0x11223344 };
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_exit_port *p = &v->run->port;
	u32 i;

	vcpu_start(v, guest_in, 0);
	for (i = 0; i < ARRAY_SIZE(data); i++) {
		vcpu_expect(v, POSADA_EXIT_PORT);
		EXPECT_EQ(p->flags, POSADA_PORT_IN);
		p->data = data[i];
	}
	vcpu_done(v);
}

/* -EINTR between the exit and its completion loses nothing. */
TEST(port_in_then_interrupted)
{
	static const u32 data[] = { 0xa5, 0xbeef, 0xcafebabe, 0x44, 0x3344 };
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u32 i;

	vcpu_start(v, guest_in, 0);
	for (i = 0; i < 5; i++) {
		vcpu_expect(v, POSADA_EXIT_PORT);
		v->run->port.data = data[i];
		v->run->request = POSADA_RUN_EXIT_NOW;
		EXPECT_EQ(vcpu_run(v), -EINTR);
		EXPECT_EQ(vcpu_run(v), -EINTR);
		/* Once was enough: what stands there now is nobody's. */
		memset(v->run->raw, 0x5a, sizeof(v->run->raw));
		v->run->request = 0;
	}
	vcpu_done(v);
}

/* What userspace sets in RAX does not undo what IN read. */
static void guest_in_loop(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		G_EXPECT_EQ(g_inl(0x70), i * 3);
}

TEST(port_in_many)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u32 i;

	v->run->wanted = 0;
	vcpu_start(v, guest_in_loop, 500);
	for (i = 0; i < 500; i++) {
		vcpu_expect(v, POSADA_EXIT_PORT);
		v->run->port.data = i * 3;
	}
	vcpu_done(v);
}

extern const char guest_string_outs[], guest_string_ins[];

static void guest_string(void)
{
	static u8 buf[16];
	u64 c = 16, s = (u64)buf, d = (u64)buf;

	asm volatile("guest_string_outs: rep outsb" : "+c"(c), "+S"(s) : "d"(0x99) : "memory");
	G_EXPECT_EQ(c, 0);
	G_EXPECT_EQ(s, (u64)buf + 16);
	asm volatile("guest_string_ins: insw" : "+D"(d) : "d"(0x98) : "memory");
	G_EXPECT_EQ(d, (u64)buf + 2);
}

TEST(port_string)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	const struct posada_exit_port *p = &v->run->port;
	struct posada_regs *r;

	vcpu_start(v, guest_string, 0);
	vcpu_expect(v, POSADA_EXIT_PORT);
	EXPECT_EQ(p->port, 0x99);
	EXPECT_EQ(p->len, 1);
	EXPECT_EQ(p->flags, POSADA_PORT_STRING);
	ASSERT_GE(p->insn_len, 2);
	EXPECT_EQ(memcmp(p->insn, guest_string_outs, p->insn_len), 0);
	r = vcpu_regs_rw(v);
	EXPECT_EQ(r->rip, (u64)guest_string_outs);
	EXPECT_EQ(r->gpr[POSADA_RCX], 16);
	r->gpr[POSADA_RSI] += 16;
	r->gpr[POSADA_RCX] = 0;
	r->rip += 2;
	vcpu_expect(v, POSADA_EXIT_PORT);
	EXPECT_EQ(p->port, 0x98);
	EXPECT_EQ(p->len, 2);
	EXPECT_EQ(p->flags, POSADA_PORT_STRING | POSADA_PORT_IN);
	ASSERT_GE(p->insn_len, 2);
	EXPECT_EQ(memcmp(p->insn, guest_string_ins, p->insn_len), 0);
	r = vcpu_regs_rw(v);
	r->gpr[POSADA_RDI] += 2;
	r->rip += 2;
	vcpu_done(v);
}

/* ---- memory ---- */

extern const char guest_mem_load[], guest_mem_store[], guest_mem_rmw[];

static void guest_memory(void)
{
	u32 v;

	asm volatile("guest_mem_load: movl 0x80001234, %0" : "=a"(v) : : "memory");
	G_EXPECT_EQ(v, 0x600df00d);
	asm volatile("guest_mem_store: movb $0x5a, (%0)" : : "c"(DEV + 0x2fff) : "memory");
	asm volatile("guest_mem_rmw: lock addq $1, (%0)" : : "c"(DEV + 0x3008) : "memory");
}

/* Expect a memory exit at the instruction @at. */
static void expect_memory(struct vcpu *v, u64 gpa, u32 flags, const char *at)
{
	const struct posada_exit_memory *m = &v->run->memory;

	/* Userspace needs these two to decode, wanted or not. */
	v->run->wanted = 0;
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(m->gpa, gpa);
	/* QEMU with one CPU begins a read-modify-write with the read. */
	if (at != guest_mem_rmw || !host_is_tcg())
		EXPECT_EQ(m->flags, flags);
	EXPECT_EQ(v->run->valid & 3, POSADA_GROUP_REGS | POSADA_GROUP_SREGS);
	EXPECT_EQ(m->insn_len, 15);
	EXPECT_EQ(memcmp(m->insn, at, 15), 0);
	EXPECT_EQ(vcpu_regs(v)->rip, (u64)at);
}

TEST(memory)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_regs *r;

	vcpu_start(v, guest_memory, 0);
	expect_memory(v, DEV + 0x1234, 0, guest_mem_load);
	r = vcpu_regs_rw(v);
	r->gpr[POSADA_RAX] = 0x600df00d;
	r->rip += 9;
	expect_memory(v, DEV + 0x2fff, POSADA_MEM_WRITE, guest_mem_store);
	vcpu_regs_rw(v)->rip += 3;
	expect_memory(v, DEV + 0x3008, POSADA_MEM_WRITE, guest_mem_rmw);
	/* Not completed: the same again. */
	expect_memory(v, DEV + 0x3008, POSADA_MEM_WRITE, guest_mem_rmw);
	vcpu_regs_rw(v)->rip += 5;
	vcpu_done(v);
}

static void guest_jump(u64 to)
{
	((void (*)(void))to)();
}

TEST(memory_exec)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_regs *r;

	vcpu_start(v, guest_jump, DEV + 0x5678);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, DEV + 0x5678);
	EXPECT_EQ(v->run->memory.flags & ~POSADA_MEM_WRITE, POSADA_MEM_EXEC);
	EXPECT_EQ(v->run->memory.insn_len, 0);
	/* Do the RET for it. */
	r = vcpu_regs_rw(v);
	r->rip = *(u64 *)gpa_ptr(vm, r->gpr[POSADA_RSP]);
	r->gpr[POSADA_RSP] += 8;
	vcpu_done(v);
}

static void guest_read(u64 at)
{
	*(volatile u32 *)at;
}

/* A page table where no memory is: the walk faults, not the access. */
TEST(memory_walk)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pd = gpa_ptr(vm, G_PD);

	pd[512] = (DEV + 0x7000) | 0x7;
	vcpu_start(v, guest_read, 0x40000000 + 5 * 4096);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa & ~0xfffULL, DEV + 0x7000);
	EXPECT_EQ(v->run->memory.flags & POSADA_MEM_WALK, POSADA_MEM_WALK);
}

/* The bytes of an instruction end where the guest's mapping ends. */
TEST(memory_insn_at_end_of_mapping)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pd = gpa_ptr(vm, G_PD), *pt = gpa_ptr(vm, G_SPARE_TABLES);
	u8 *code = gpa_ptr(vm, G_HEAP);
	const struct posada_exit_memory *m = &v->run->memory;

	/* mov %eax, (%rdi) as the last two bytes of the only page mapped. */
	memcpy(code + 4094, "\x89\x07", 2);
	pt[0] = G_HEAP | 0x7;
	pd[512] = G_SPARE_TABLES | 0x7;
	vcpu_start_at(v, 0x40000ffe, DEV);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(m->insn_len, 2);
	EXPECT_EQ(memcmp(m->insn, code + 4094, 2), 0);
	/* With the next page there, it goes on in that one. */
	memset(code + 0x5000, 0x90, 16);
	pt[1] = (G_HEAP + 0x5000) | 0x7;
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(m->insn_len, 15);
	EXPECT_EQ(memcmp(m->insn, code + 4094, 2), 0);
	EXPECT_EQ(memcmp(m->insn + 2, code + 0x5000, 13), 0);
}

/* ---- the IRET of an NMI handler, whose stack is not there ---- */

/* Slot 1 has what the CPU pushes; what the handler does, and pops again, is below it. */
#define IRET_PAGE	G_MEM_BYTES
#define IRET_TOP	(IRET_PAGE + 48)	/* of 40 bytes and what aligns them */

static u64 nmi_rip[2];
static u32 nr_nmis;

static void on_nmi(struct g_frame *f)
{
	nmi_rip[nr_nmis++ % ARRAY_SIZE(nmi_rip)] = f->rip;
	g_sync(100 + nr_nmis);
}

static void guest_nmi_on_a_page(void)
{
	g_handlers[NMI] = on_nmi;
	asm volatile("mov %%rsp, %%rbx; mov %[top], %%rsp; outl %%eax, %[port]; mov %%rbx, %%rsp"
		     : : "a"(1), [top] "r"(IRET_TOP), [port] "i"(PORT_SYNC)
		     : "rbx", "memory");
	g_done(nr_nmis);
}

/* NMIs stay masked until it is executed: the next comes where the first did, not at the IRET. */
static void iret_faults(bool exits, bool early)
{
	const struct posada_exit_memory *m;
	void *page = map_anon(4096);
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 faults;

	if (host_is_bochs_svm())
		SKIP("Bochs's host does not survive the step over this IRET");
	slot_set(vm, 1, IRET_PAGE, page, 4096, 0);
	vcpu_start(v, guest_nmi_on_a_page, 0);
	EXPECT_SYNC(v, 1);
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	EXPECT_SYNC(v, 101);
	if (early)
		ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	slot_set(vm, 1, IRET_PAGE, page, 0, 0);
	if (exits) {
		vcpu_expect(v, POSADA_EXIT_MEMORY);
		m = &v->run->memory;
		EXPECT_EQ(m->gpa & ~0xfffULL, IRET_PAGE);
		EXPECT_EQ(memcmp(m->insn, "\x48\xcf", 2), 0);
		EXPECT_EQ(vcpu_events(v)->nmi_masked, 1);
		EXPECT_EQ(vcpu_regs(v)->rflags & BIT(8), 0);
	}
	if (!early)
		ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	slot_set(vm, 1, IRET_PAGE, page, 4096, 0);
	faults = vcpu_stat(v, POSADA_STAT_MEMORY);
	EXPECT_SYNC(v, 102);
	EXPECT_GT(vcpu_stat(v, POSADA_STAT_MEMORY), faults);
	EXPECT_EQ(G(vm, nmi_rip[1]), G(vm, nmi_rip[0]));
	EXPECT_EQ(vcpu_done(v), 2);
}

TEST(iret_faults)
{
	iret_faults(false, true);
}

TEST(iret_exits)
{
	iret_faults(true, false);
}

TEST(iret_exits_before_an_nmi)
{
	iret_faults(true, true);
}

/* ---- MSRs ---- */

static void guest_msr(void)
{
	u64 v = 0;

	G_EXPECT_EQ(g_try_rdmsr(0x12345, &v), -1);
	G_EXPECT_EQ(v, 0x1122334455667788);
	G_EXPECT_EQ(g_try_wrmsr(0x12345, 0xa1a2a3a4b1b2b3b4), -1);
	G_EXPECT_EQ(g_try_rdmsr(0x54321, &v), GP);
	G_EXPECT_EQ(g_cpu()->error, 0);
	G_EXPECT_EQ(g_try_wrmsr(0x54321, 1), GP);
	/* One that the kernel has never leaves it, right or wrong. */
	G_EXPECT_EQ(g_try_wrmsr(0x277, 0xff), GP);
	G_EXPECT_EQ(g_try_rdmsr(0x277, &v), -1);
}

TEST(msr_exit)
{
	struct vm *vm = vm_new_flags(1, POSADA_VM_MSR_EXITS);
	struct vcpu *v = vm->vcpu[0];
	struct posada_exit_msr *m = &v->run->msr;

	vcpu_start(v, guest_msr, 0);
	vcpu_expect(v, POSADA_EXIT_MSR);
	EXPECT_EQ(m->index, 0x12345);
	EXPECT_EQ(m->write, 0);
	EXPECT_EQ(m->error, 0);
	m->data = 0x1122334455667788;
	vcpu_expect(v, POSADA_EXIT_MSR);
	EXPECT_EQ(m->index, 0x12345);
	EXPECT_EQ(m->write, 1);
	EXPECT_EQ(m->data, 0xa1a2a3a4b1b2b3b4);
	vcpu_expect(v, POSADA_EXIT_MSR);
	m->error = 1;
	vcpu_expect(v, POSADA_EXIT_MSR);
	EXPECT_EQ(m->write, 1);
	m->error = 0xff;
	vcpu_done(v);
}

static void guest_msr_fault(void)
{
	u64 v = 0;

	G_EXPECT_EQ(g_try_rdmsr(0x12345, &v), GP);
	G_EXPECT_EQ(g_cpu()->error, 0);
	G_EXPECT_EQ(g_try_wrmsr(0x12345, 0), GP);
	G_EXPECT_EQ(g_cpu()->error, 0);
}

TEST(msr_fault)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_msr_fault, 0);
	vcpu_done(vm->vcpu[0]);
}

/* ---- shutdown ---- */

static void guest_triple_fault(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m"(none));
}

TEST(shutdown)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	vcpu_start(v, guest_triple_fault, 0);
	vcpu_expect(v, POSADA_EXIT_SHUTDOWN);
	/* As after a reset: userspace may start it anew. */
	vcpu_start(v, guest_msr_fault, 0);
	vcpu_done(v);
}

/* ---- the ExtINT window ---- */

static u32 got_irq;

void g_unused(void);
static void on_irq(struct g_frame *f)
{
	got_irq = f->vector;
}

static void guest_window(void)
{
	g_handlers[0x55] = on_irq;
	g_sync(1);
	g_sync(2);
	g_sti();
	asm volatile("nop; nop" : : : "memory");
	G_EXPECT_EQ(READ(got_irq), 0x55);
}

TEST(window)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	vcpu_start(v, guest_window, 0);
	EXPECT_SYNC(v, 1);
	v->run->request = POSADA_RUN_WINDOW;
	/* Interrupts are off: nothing to tell yet. */
	EXPECT_SYNC(v, 2);
	vcpu_expect(v, POSADA_EXIT_WINDOW);
	EXPECT_EQ(vcpu_regs(v)->rflags & BIT(9), BIT(9));
	EXPECT_EQ(vcpu_events(v)->shadow, 0);
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 0x55), 0);
	v->run->request = 0;
	vcpu_done(v);
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_INJECT_IRQ), 1);
}

/* ---- HLT, kicks ---- */

static void guest_halt(void)
{
	g_cli();
	for (;;)
		g_hlt();
}

static void *kick_until_told(void *arg)
{
	struct vcpu *v = arg;
	struct timespec gap = { .tv_nsec = 2000000 };

	while (!READ(v->result)) {
		EXPECT_EQ(px(v->fd, POSADA_KICK, NULL), 0);
		nanosleep(&gap, NULL);
	}
	return NULL;
}

/* HLT with interrupts off sleeps until something else ends it: a kick does. */
TEST(halt_and_kick)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_rec_mp mp;
	pthread_t t;
	int i;

	vcpu_start(v, guest_halt, 0);
	v->result = 0;
	ASSERT_EQ(pthread_create(&t, NULL, kick_until_told, v), 0);
	for (i = 0; i < 20; i++)
		vcpu_expect(v, POSADA_EXIT_KICK);
	WRITE(v->result, 1);
	pthread_join(t, NULL);
	/* A kick is no interrupt: the guest is in the same HLT all the time. */
	EXPECT_EQ(vcpu_stat(v, POSADA_STAT_HALT), 1);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_MP, &mp, sizeof(mp), NULL), 0);
	EXPECT_EQ(mp.state, POSADA_MP_HALTED);
	EXPECT_GT(vcpu_stat(v, POSADA_STAT_HALT_NS), 0);
}

static void guest_spin(void)
{
	for (;;)
		g_pause();
}

TEST(spin_and_kick)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	pthread_t t;
	int i;

	vcpu_start(v, guest_spin, 0);
	v->result = 0;
	ASSERT_EQ(pthread_create(&t, NULL, kick_until_told, v), 0);
	for (i = 0; i < 20; i++)
		vcpu_expect(v, POSADA_EXIT_KICK);
	WRITE(v->result, 1);
	pthread_join(t, NULL);
}

/* ---- several vCPUs: an exit is its own vCPU's ---- */

static void guest_out_id(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		g_outl(0x100 + g_cpu()->id, i);
}

TEST(two_vcpus_in_turns)
{
	struct vm *vm = vm_new(2);
	u32 i, id;

	for (id = 0; id < 2; id++)
		vcpu_start(vm->vcpu[id], guest_out_id, 50);
	for (i = 0; i < 50; i++)
		for (id = 0; id < 2; id++) {
			vcpu_expect(vm->vcpu[id], POSADA_EXIT_PORT);
			EXPECT_EQ(vm->vcpu[id]->run->port.port, 0x100 + id);
			EXPECT_EQ(vm->vcpu[id]->run->port.data, i);
		}
	vcpu_done(vm->vcpu[0]);
	vcpu_done(vm->vcpu[1]);
}
