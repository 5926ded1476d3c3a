// SPDX-License-Identifier: GPL-2.0
/*
 * What a CPU in user mode cannot show of instruction completion: faults that
 * change nothing, page and device boundaries, other modes, long strings, the
 * trap flag; and bytes that are no instruction at all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decode_guest.h"
#include "decode_tests.h"
#include "unit.h"

#define rax	g.run->regs.gpr[POSADA_RAX]
#define rbx	g.run->regs.gpr[POSADA_RBX]
#define rcx	g.run->regs.gpr[POSADA_RCX]
#define rdx	g.run->regs.gpr[POSADA_RDX]
#define rsp	g.run->regs.gpr[POSADA_RSP]
#define rsi	g.run->regs.gpr[POSADA_RSI]
#define rdi	g.run->regs.gpr[POSADA_RDI]
#define rip	g.run->regs.rip
#define PAGE	((uint64_t)POSADA_PAGE_SIZE)
#define PAGE_AT(n)	(WINDOW_GVA + (n) * PAGE)

#define RUN(gva, flags, ...)	complete_at(gva, flags,			\
	(const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static int complete_at(uint64_t gva, uint32_t flags, const uint8_t *code,
		       unsigned int bytes)
{
	return guest_complete(code, bytes, window_gpa(gva), flags);
}

static bool faulted(uint8_t vector, int64_t error_code, uint64_t payload)
{
	return g.injections == 1 && g.injected.vector == vector &&
	       g.injected.kind == POSADA_INJECT_EXCEPTION &&
	       (error_code < 0 || g.injected.error_code == error_code) &&
	       g.injected.payload == payload && rip == CODE_RIP &&
	       g.run->regs.rflags & X86_FLAGS_RF;
}

/* mov [rbx], eax: what a driver does most. */
static bool store_is_one_access(void)
{
	rbx = PAGE_AT(1) + 0x10;
	rax = 0x1122334455667788;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x89, 0x03));
	CHECK(g.accesses == 1 && g.log[0].write && g.log[0].len == 4);
	CHECK(g.log[0].gpa == window_gpa(rbx) && g.log[0].data == 0x55667788);
	CHECK(rip == CODE_RIP + 2 && g.run->dirty == POSADA_GROUP_REGS);
	return true;
}

static bool high_byte_register(void)
{
	rbx = PAGE_AT(1);
	rax = 0xaabb;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x88, 0x23));	/* mov [rbx], ah */
	CHECK(g.log[0].len == 1 && g.log[0].data == 0xaa);
	return true;
}

/* movabs [moffs], al: the address is in the instruction. */
static bool moffs(void)
{
	rax = 0x42;
	CHECK(!RUN(PAGE_AT(2) + 5, POSADA_MEM_WRITE, 0xa2, 0x05, 0x20, 0x00,
		   0x20, 0, 0, 0, 0));
	CHECK(g.log[0].gpa == DEVICE_GPA + 2 * PAGE + 5 && rip == CODE_RIP + 9);
	return true;
}

static bool rip_relative(void)
{
	/* mov eax, [rip + x] with the window just behind */
	int32_t disp = (int32_t)(PAGE_AT(0) + 8 - (CODE_RIP + 6));
	uint8_t code[6] = { 0x8b, 0x05 };

	memcpy(code + 2, &disp, 4);
	*guest_byte(8) = 0x77;
	CHECK(!complete_at(PAGE_AT(0) + 8, 0, code, 6));
	CHECK(rax == 0x77);
	return true;
}

static bool segment_base(void)
{
	g.run->sregs.seg[POSADA_GS].base = PAGE_AT(3);
	rbx = 0x20;
	*guest_byte(3 * PAGE + 0x20) = 9;
	CHECK(!RUN(PAGE_AT(3) + 0x20, 0, 0x65, 0x8b, 0x03)); /* gs: */
	CHECK(rax == 9);
	return true;
}

/* ---- boundaries ---- */

static bool cross_two_device_pages(void)
{
	rbx = PAGE_AT(2) - 3;
	rax = 0x0807060504030201;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x48, 0x89, 0x03));
	/* 3 bytes as 2 + 1, then 5 as 4 + 1 */
	CHECK(g.accesses == 4);
	CHECK(g.log[0].len == 2 && g.log[1].len == 1);
	CHECK(g.log[2].len == 4 && g.log[3].len == 1);
	CHECK(g.log[2].gpa == DEVICE_GPA + 2 * PAGE);
	CHECK(*guest_byte(2 * PAGE - 3) == 1 && *guest_byte(2 * PAGE + 4) == 8);
	return true;
}

static bool cross_ram_to_device(void)
{
	guest_map(1, true, MAP_P | MAP_W);
	rbx = PAGE_AT(2) - 4;
	rax = 0x0807060504030201;
	/* the exit is for the second page */
	CHECK(!RUN(PAGE_AT(2), POSADA_MEM_WRITE, 0x48, 0x89, 0x03));
	CHECK(g.accesses == 1 && g.log[0].len == 4);
	CHECK(g.log[0].gpa == DEVICE_GPA + 2 * PAGE);
	CHECK(*guest_byte(2 * PAGE - 4) == 1 && *guest_byte(2 * PAGE) == 5);
	return true;
}

static bool cross_into_fault(void)
{
	guest_map(2, false, 0);
	rbx = PAGE_AT(2) - 4;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x48, 0x89, 0x03));
	CHECK(faulted(X86_PF, 2, PAGE_AT(2)) && !g.accesses);
	return true;
}

/* A RMW whose exit was for the read, on a page that must not be written. */
static bool read_exit_then_write_fault(void)
{
	guest_map(1, false, MAP_P);
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, 0, 0x83, 0x03, 0x01));	/* add dword [rbx], 1 */
	CHECK(faulted(X86_PF, 3, PAGE_AT(1)) && !g.accesses);
	return true;
}

static bool read_only_slot_writes_to_device(void)
{
	g.vm.slots[1] = (struct memory_slot){
		.gpa = DEVICE_GPA + PAGE, .bytes = PAGE, .hva = g.ram + 0xf0000,
		.flags = POSADA_SLOT_READONLY,
	};
	g.vm.nr_slots = 2;
	g.ram[0xf0000] = 0x30;
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WRITE | POSADA_MEM_READONLY,
		   0x80, 0x03, 0x05));		/* add byte [rbx], 5 */
	CHECK(g.accesses == 1 && g.log[0].write && g.log[0].data == 0x35);
	CHECK(g.ram[0xf0000] == 0x30);
	return true;
}

/* ---- faults ---- */

static bool non_canonical(void)
{
	rbx = 0x800000000000;
	CHECK(!RUN(PAGE_AT(0), POSADA_MEM_WALK, 0x8b, 0x03));
	CHECK(faulted(X86_GP, 0, 0));
	guest_reset();
	rsp = 0x800000000000;
	CHECK(!RUN(PAGE_AT(0), POSADA_MEM_WALK, 0x8b, 0x04, 0x24));
	CHECK(faulted(X86_SS, 0, 0));
	return true;
}

static bool user_mode_page_rights(void)
{
	g.run->sregs.cpl = 3;
	rbx = PAGE_AT(1) + 1;
	CHECK(!RUN(rbx, POSADA_MEM_WALK, 0x8b, 0x03));
	CHECK(faulted(X86_PF, 5, rbx));
	return true;
}

static bool smap(void)
{
	guest_map(1, false, MAP_P | MAP_W | MAP_U);
	g.run->sregs.cr4 |= X86_CR4_SMAP;
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WALK, 0x8b, 0x03));
	CHECK(faulted(X86_PF, 1, rbx));
	guest_reset();
	guest_map(1, false, MAP_P | MAP_W | MAP_U);
	g.run->sregs.cr4 |= X86_CR4_SMAP;
	g.run->regs.rflags |= X86_FLAGS_AC;
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WALK, 0x8b, 0x03));
	CHECK(!g.injections && g.accesses == 1);
	return true;
}

static bool walker_sets_accessed_and_dirty(void)
{
	guest_map(1, true, MAP_P | MAP_W);
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WALK | POSADA_MEM_WRITE, 0x89, 0x03));
	CHECK(g.ram[0x4008] == (MAP_P | MAP_W | 0x60));
	CHECK(g.ram[0x1000] & 0x20);
	return true;
}

static bool reserved_bit(void)
{
	uint32_t error;
	uint64_t gpa;

	guest_map(1, false, MAP_P | MAP_W | 1ULL << 45);
	CHECK(posada_gva_to_gpa(&g.vcpu, PAGE_AT(1), POSADA_ACCESS_READ, &gpa,
				&error) == -ENXIO);
	CHECK(error == 9);
	return true;
}

static bool aligned_vector_move(void)
{
	rbx = PAGE_AT(1) + 8;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x0f, 0x29, 0x03));
	CHECK(faulted(X86_GP, 0, 0) && !g.accesses);
	return true;
}

static bool alignment_check(void)
{
	guest_map(1, false, MAP_P | MAP_W | MAP_U);
	g.run->sregs.cpl = 3;
	g.run->sregs.cr0 |= X86_CR0_AM;
	g.run->regs.rflags |= X86_FLAGS_AC;
	rbx = PAGE_AT(1) + 1;
	CHECK(!RUN(rbx, POSADA_MEM_WALK, 0x8b, 0x03));
	CHECK(faulted(X86_AC, 0, 0));
	return true;
}

/* ---- the end of an instruction ---- */

static bool trap_flag(void)
{
	g.run->regs.rflags |= X86_FLAGS_TF | X86_FLAGS_RF;
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x89, 0x03));
	CHECK(rip == CODE_RIP + 2 && g.injections == 1);
	CHECK(g.injected.vector == X86_DB && g.injected.payload == X86_DR6_BS);
	CHECK(!(g.injected.flags & POSADA_INJECT_ERROR_CODE));
	CHECK(!(g.run->regs.rflags & X86_FLAGS_RF));
	return true;
}

static bool shadow_ends(void)
{
	g.run->events.shadow = POSADA_SHADOW_STI;
	rbx = PAGE_AT(1);
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x89, 0x03));
	CHECK(!g.run->events.shadow);
	CHECK(g.run->dirty == (POSADA_GROUP_REGS | POSADA_GROUP_EVENTS));
	return true;
}

static bool failing_device(void)
{
	g.fail_access = 0;
	rbx = PAGE_AT(1);
	CHECK(RUN(rbx, 0, 0x8b, 0x03) == -ECANCELED);
	CHECK(rip == CODE_RIP && !rax && !g.injections);
	return true;
}

/* ---- strings ---- */

static bool rep_to_device_with_fault(void)
{
	guest_map(0, true, MAP_P | MAP_W);
	guest_map(2, false, 0);
	rsi = PAGE_AT(0);
	rdi = PAGE_AT(2) - 8;
	rcx = 10;
	CHECK(!RUN(rdi, POSADA_MEM_WRITE, 0xf3, 0xa5));	/* rep movsd */
	CHECK(faulted(X86_PF, 2, PAGE_AT(2)));
	CHECK(rcx == 8 && rdi == PAGE_AT(2) && rsi == PAGE_AT(0) + 8);
	CHECK(g.accesses == 2 && g.run->dirty & POSADA_GROUP_REGS);
	return true;
}

static bool rep_in_batches(void)
{
	unsigned int runs = 0;

	rdi = PAGE_AT(0);
	rax = 0x5a;
	rcx = 5000;
	while (rcx && runs++ < 10) {
		CHECK(!RUN(rdi, POSADA_MEM_WRITE, 0xf3, 0xaa));
		CHECK(rip == (rcx ? CODE_RIP : CODE_RIP + 2));
	}
	CHECK(runs == 5 && g.accesses == 5000 && *guest_byte(4999) == 0x5a);
	return true;
}

static bool rep_traps_each_time(void)
{
	g.run->regs.rflags |= X86_FLAGS_TF;
	rdi = PAGE_AT(0);
	rcx = 2;
	CHECK(!RUN(rdi, POSADA_MEM_WRITE, 0xf3, 0xaa));
	CHECK(rcx == 1 && rip == CODE_RIP && g.injections == 1);
	CHECK(!RUN(rdi, POSADA_MEM_WRITE, 0xf3, 0xaa));
	CHECK(!rcx && rip == CODE_RIP + 2 && g.injections == 2);
	return true;
}

static bool rep_of_nothing(void)
{
	rdi = PAGE_AT(0);
	CHECK(!RUN(rdi, POSADA_MEM_WRITE, 0xf3, 0xaa));
	CHECK(rip == CODE_RIP + 2 && !g.accesses && rdi == PAGE_AT(0));
	return true;
}

static bool address_size_override(void)
{
	rdi = 0xffffffff00000000ULL | PAGE_AT(0);
	rax = 3;
	CHECK(!RUN(PAGE_AT(0), POSADA_MEM_WRITE, 0x67, 0xaa));
	CHECK(rdi == PAGE_AT(0) + 1 && *guest_byte(0) == 3);
	return true;
}

static bool outs_and_ins(void)
{
	static const uint8_t outsb[] = { 0xf3, 0x6e }, insw[] = { 0xf3, 0x66,
		0x6d };

	guest_map(0, true, MAP_P | MAP_W);
	memcpy(guest_byte(0), "\x10\x11\x12", 3);
	g.port_data = 0x10;
	rdx = 0x3f8;
	rsi = PAGE_AT(0);
	rcx = 3;
	CHECK(!guest_complete_port(outsb, 2, false));
	CHECK(g.port == 0x3f8 && !rcx && rip == CODE_RIP + 2);
	rdi = PAGE_AT(0) + 100;
	rcx = 2;
	CHECK(!guest_complete_port(insw, 3, true));
	CHECK(*guest_byte(100) == 0x13 && *guest_byte(102) == 0x14);
	CHECK(rdi == PAGE_AT(0) + 104);
	return true;
}

/* Nothing may be read from a port whose data has nowhere to go. */
static bool ins_resolves_first(void)
{
	static const uint8_t insb[] = { 0x6c };

	guest_map(1, false, 0);
	rdi = PAGE_AT(1);
	CHECK(!guest_complete_port(insb, 1, true));
	CHECK(faulted(X86_PF, 2, PAGE_AT(1)) && !g.port_data);
	return true;
}

/* ---- the stack, jumps ---- */

static bool call_through_memory(void)
{
	uint64_t target = 0x1234;

	guest_map(0, true, MAP_P | MAP_W);
	memcpy(guest_byte(PAGE), &target, 8);
	rbx = PAGE_AT(1);
	rsp = PAGE_AT(0) + 64;
	CHECK(!RUN(rbx, 0, 0xff, 0x13));	/* call [rbx] */
	CHECK(rip == 0x1234 && rsp == PAGE_AT(0) + 56);
	memcpy(&target, guest_byte(56), 8);
	CHECK(target == CODE_RIP + 2);
	return true;
}

static bool pop_with_rsp_base(void)
{
	guest_map(0, true, MAP_P | MAP_W);
	rsp = PAGE_AT(0) + 64;
	*guest_byte(64) = 0x99;
	CHECK(!RUN(PAGE_AT(1) + 72, POSADA_MEM_WRITE,
		   0x8f, 0x84, 0x24, 0x00, 0x10, 0, 0)); /* pop [rsp+4096] */
	CHECK(*guest_byte(PAGE + 72) == 0x99 && rsp == PAGE_AT(0) + 72);
	return true;
}

/* ---- other modes ---- */

static bool real_mode(void)
{
	guest_real();
	g.run->sregs.seg[POSADA_DS].base = DEVICE_GPA;
	rip = 0xfffe;
	rbx = 0x10020;
	rax = 0x55;
	/* mov [bx], al: base and IP wrap at 64 KiB */
	CHECK(!guest_complete((uint8_t[]){ 0x88, 0x07 }, 2, DEVICE_GPA + 0x20,
			      POSADA_MEM_WRITE));
	CHECK(g.log[0].gpa == DEVICE_GPA + 0x20 && rip == 0);
	return true;
}

static bool protected_limits(void)
{
	guest_protected();
	g.run->sregs.seg[POSADA_DS].base = DEVICE_GPA;
	g.run->sregs.seg[POSADA_DS].limit = 0xfff;
	rbx = 0xffe;
	CHECK(!guest_complete((uint8_t[]){ 0x8b, 0x03 }, 2, DEVICE_GPA + 0xffe,
			      POSADA_MEM_WALK));
	CHECK(faulted(X86_GP, 0, 0));
	return true;
}

static bool protected_read_only_segment(void)
{
	guest_protected();
	g.run->sregs.seg[POSADA_DS].attr = 0xc91;
	rbx = DEVICE_GPA;
	CHECK(!guest_complete((uint8_t[]){ 0x89, 0x03 }, 2, DEVICE_GPA,
			      POSADA_MEM_WALK));
	CHECK(faulted(X86_GP, 0, 0));
	return true;
}

/* ---- the cache, and rubbish ---- */

static bool same_rip_other_bytes(void)
{
	rbx = PAGE_AT(1);
	rax = 1;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x89, 0x03));
	rip = CODE_RIP;
	rdx = 2;
	CHECK(!RUN(rbx, POSADA_MEM_WRITE, 0x89, 0x13));
	CHECK(g.log[0].data == 1 && g.log[1].data == 2);
	rip = CODE_RIP;
	guest_protected();
	rbx = DEVICE_GPA;
	/* the same bytes are two instructions in 32-bit mode: dec eax, mov */
	CHECK(guest_complete((uint8_t[]){ 0x48, 0x89, 0x03 }, 3, DEVICE_GPA,
			     POSADA_MEM_WRITE) == -EOPNOTSUPP);
	return true;
}

static bool refused(void)
{
	rbx = PAGE_AT(1);
	CHECK(RUN(rbx, POSADA_MEM_EXEC, 0x89, 0x03) == -EOPNOTSUPP);
	CHECK(RUN(rbx, POSADA_MEM_DELIVERY, 0x89, 0x03) == -EOPNOTSUPP);
	CHECK(RUN(rbx, POSADA_MEM_FAULT, 0x89, 0x03) == -EFAULT);
	CHECK(RUN(rbx, 0, 0x0f, 0xae, 0x03) == -EOPNOTSUPP); /* fxsave */
	CHECK(guest_complete((uint8_t[]){ 0 }, 0, DEVICE_GPA, 0) ==
	      -EOPNOTSUPP);
	CHECK(!g.run->dirty || rip == CODE_RIP);
	return true;
}

static uint64_t random_address(void)
{
	return WINDOW_GVA + rnd() % WINDOW_BYTES;
}

/* Random bytes, registers and modes: the mock's callbacks check what they are
 * given, the sanitizers check the rest.
 */
static bool random_bytes(void)
{
	static const uint8_t common[] = { 0x0f, 0xf3, 0x66, 0x89, 0x8b, 0xff,
		0xc5, 0xa5 };
	uint8_t code[15];
	unsigned int i, r;

	for (i = 0; i < 200000; i++) {
		if (i % 64 == 0)
			guest_reset();
		rip = CODE_RIP;
		for (r = 0; r < 16; r++)
			g.run->regs.gpr[r] = rnd() % 8 ? random_address() :
					     rnd();
		rcx = rnd() % 16;
		if (rnd() % 4 == 0)
			guest_map(rnd() % WINDOW_PAGES, rnd() % 2, rnd() % 8);
		for (r = 0; r < sizeof(code); r++)
			code[r] = (uint8_t)rnd();
		/* short opcodes that access memory come up too rarely */
		if (rnd() % 2)
			code[0] = common[rnd() % sizeof(common)];
		guest_complete(code, 1 + rnd() % 15,
			       DEVICE_GPA + rnd() % WINDOW_BYTES,
			       rnd() & (POSADA_MEM_WRITE | POSADA_MEM_WALK |
					POSADA_MEM_READONLY));
		g.injections = 0;
	}
	return true;
}

static const struct {
	bool (*fn)(void);
	const char *name;
} tests[] = {
#define T(fn)	{ fn, #fn }
	T(store_is_one_access), T(high_byte_register), T(moffs),
	T(rip_relative), T(segment_base), T(cross_two_device_pages),
	T(cross_ram_to_device), T(cross_into_fault),
	T(read_exit_then_write_fault), T(read_only_slot_writes_to_device),
	T(non_canonical), T(user_mode_page_rights), T(smap),
	T(walker_sets_accessed_and_dirty), T(reserved_bit),
	T(aligned_vector_move), T(alignment_check), T(trap_flag),
	T(shadow_ends), T(failing_device), T(rep_to_device_with_fault),
	T(rep_in_batches), T(rep_traps_each_time), T(rep_of_nothing),
	T(address_size_override), T(outs_and_ins), T(ins_resolves_first),
	T(call_through_memory), T(pop_with_rsp_base), T(real_mode),
	T(protected_limits), T(protected_read_only_segment),
	T(same_rip_other_bytes), T(refused), T(random_bytes),
};

unsigned int directed_count(void)
{
	return sizeof(tests) / sizeof(*tests);
}

unsigned int directed_run(unsigned int first)
{
	unsigned int i, failed = 0;

	for (i = 0; i < directed_count(); i++) {
		bool ok;

		guest_reset();
		ok = tests[i].fn();
		printf("%sok %u %s\n", ok ? "" : "not ", first + i + 1,
		       tests[i].name);
		failed += !ok;
	}
	return failed;
}
