// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions on device memory. Each form runs twice, on RAM and on a device
 * that holds the same value; registers and flags must come out the same. The
 * devices: an address where there is none, which reads as all ones (or zeros)
 * and takes any width; and a redirection entry of the I/O APIC, 32 bits of
 * storage, whose new value is compared as well.
 */
#include "guest.h"

#define HOLE		0xfd000000UL
#define IOAPIC_INDEX	(*(volatile u32 *)0xfec00000UL)
#define IOAPIC_WINDOW	0xfec00010UL
#define REDIRECTION	0x10		/* entry 0, low half: masked, so harmless */

struct regs {
	u64 a, b, c, d, si, di, flags;
};

struct form {
	const char *name;
	void (*fn)(struct regs *r);
};

/* RDI points to memory; RAX, RBX, RCX, RDX and the flags are what is tested. */
#define BODY(insn)							\
	asm volatile("push %[f]; popfq\n\t" insn "\n\tpushfq; pop %[f]"	\
		     : "+a"(r->a), "+b"(r->b), "+c"(r->c), "+d"(r->d),	\
		       "+S"(r->si), "+D"(r->di), [f] "+r"(r->flags)	\
		     : : "memory", "cc")

#define FORMS_ALL(x)							\
	/* loads, each width, zero- and sign-extended */		\
	x(ldb, "movb (%%rdi), %%al") x(ldw, "movw (%%rdi), %%ax")	\
	x(ldl, "movl (%%rdi), %%eax") x(ldq, "movq (%%rdi), %%rax")	\
	x(ldh, "movb (%%rdi), %%bh")					\
	x(zbw, "movzbw (%%rdi), %%ax") x(zbl, "movzbl (%%rdi), %%eax")	\
	x(zbq, "movzbq (%%rdi), %%rax") x(zwl, "movzwl (%%rdi), %%eax")	\
	x(zwq, "movzwq (%%rdi), %%rax") x(sbw, "movsbw (%%rdi), %%ax")	\
	x(sbl, "movsbl (%%rdi), %%eax") x(sbq, "movsbq (%%rdi), %%rax")	\
	x(swl, "movswl (%%rdi), %%eax") x(swq, "movswq (%%rdi), %%rax")	\
	x(slq, "movslq (%%rdi), %%rax")					\
	/* addressing */						\
	x(ad1, "movl -16(%%rdi, %%rcx, 8), %%eax")			\
	x(ad2, "lea -0x1000(%%rdi), %%rbx; movl 0x1000(%%rbx), %%eax")	\
	x(ad3, "movl %%es:(%%edi), %%eax")				\
	/* arithmetic from memory */					\
	x(adl, "addl (%%rdi), %%eax") x(acl, "stc; adcl (%%rdi), %%eax")	\
	x(sul, "subl (%%rdi), %%eax") x(sbb, "stc; sbbl (%%rdi), %%eax") \
	x(anl, "andl (%%rdi), %%eax") x(orl, "orl (%%rdi), %%eax")	\
	x(xol, "xorl (%%rdi), %%eax") x(cml, "cmpl (%%rdi), %%eax")	\
	x(cmb, "cmpb (%%rdi), %%al") x(cmw, "cmpw %%ax, (%%rdi)")	\
	x(cmq, "cmpq (%%rdi), %%rax") x(cmi, "cmpl $-1, (%%rdi)")	\
	x(cib, "cmpb $0x7f, (%%rdi)") x(tsl, "testl %%eax, (%%rdi)")	\
	x(tsb, "testb $0x80, (%%rdi)") x(tsi, "testl $0x80000000, (%%rdi)") \
	x(btl, "btl $5, (%%rdi)") x(btr, "btl %%ecx, (%%rdi)")		\
	x(cmv, "cmovel (%%rdi), %%eax") x(cmn, "cmovnel (%%rdi), %%eax")	\
	x(iml, "imull (%%rdi), %%eax") x(im3, "imull $3, (%%rdi), %%eax") \
	/* strings, towards registers and RAM */			\
	x(lob, "mov %%rdi, %%rsi; lodsb") x(lol, "mov %%rdi, %%rsi; lodsl") \
	x(loq, "mov %%rdi, %%rsi; lodsq") x(scb, "scasb") x(scl, "scasl")	\
	x(scr, "mov $4, %%ecx; repe scasb") x(std, "std; lodsl; cld")	\
	/* vectors and others that read */				\
	x(mvd, "movd (%%rdi), %%xmm1; movd %%xmm1, %%eax")		\
	x(mvq, "movq (%%rdi), %%xmm1; movq %%xmm1, %%rax")		\
	x(mvu, "movups (%%rdi), %%xmm1; movq %%xmm1, %%rax")		\
	x(pus, "push (%%rdi); pop %%rax")

/* Where the CPU has it. */
#define CPUID_1_ECX_MOVBE	(1U << 22)
#define FORMS_MOVBE(x)	x(mvb, "movbe (%%rdi), %%eax")

/* Those that write. On the hole the values go nowhere; flags are compared. */
#define FORMS_WRITE(x)							\
	x(stb, "movb %%al, (%%rdi)") x(stw, "movw %%ax, (%%rdi)")	\
	x(stq, "movq %%rax, (%%rdi)") x(ibw, "movb $0x12, (%%rdi)")	\
	x(iww, "movw $0x1234, (%%rdi)") x(iqw, "movq $-2, (%%rdi)")	\
	x(adb, "addb %%al, (%%rdi)") x(aqw, "addq $1, (%%rdi)")		\
	x(inb, "incb (%%rdi)") x(dqw, "decq (%%rdi)")			\
	x(ngw, "negw (%%rdi)") x(nob, "notb (%%rdi)")			\
	x(xcb, "xchgb %%al, (%%rdi)") x(xcw, "xchgw %%ax, (%%rdi)")	\
	x(xcq, "xchgq %%rax, (%%rdi)")					\
	x(cxb, "lock cmpxchgb %%cl, (%%rdi)")				\
	x(cxq, "lock cmpxchgq %%rcx, (%%rdi)")				\
	x(c8b, "lock cmpxchg8b (%%rdi)")				\
	x(seb, "cmp %%eax, %%eax; sete (%%rdi)")			\
	x(ssb, "stosb") x(ssw, "stosw") x(ssq, "stosq")			\
	x(rsb, "mov $7, %%ecx; rep stosb")				\
	x(rsl, "mov $5, %%ecx; rep stosl")				\
	x(psh, "push %%rax; pop (%%rdi)")				\
	x(mud, "movd %%eax, %%xmm1; movd %%xmm1, (%%rdi)")		\
	x(muu, "xorps %%xmm1, %%xmm1; movups %%xmm1, (%%rdi)")		\
	x(nti, "movnti %%rax, (%%rdi)")

/* 32-bit read-modify-write, on storage that can tell. */
#define FORMS_STORAGE(x)						\
	x(s_st, "movl %%eax, (%%rdi)") x(s_si, "movl $0x10055, (%%rdi)")	\
	x(s_ad, "addl $1, (%%rdi)") x(s_ar, "addl %%ecx, (%%rdi)")	\
	x(s_ac, "stc; adcl $0, (%%rdi)") x(s_su, "subl %%ecx, (%%rdi)")	\
	x(s_sb, "stc; sbbl $0, (%%rdi)")				\
	x(s_an, "andl $0xffffff0f, (%%rdi)") x(s_ai, "andl $-16, (%%rdi)")	\
	x(s_or, "orl $0x80, (%%rdi)") x(s_xo, "xorl %%ecx, (%%rdi)")	\
	x(s_in, "incl (%%rdi)") x(s_de, "decl (%%rdi)")			\
	x(s_xc, "xchgl %%edx, (%%rdi)")					\
	x(s_lk, "lock; orl $2, (%%rdi)")				\
	x(s_c1, "movl (%%rdi), %%eax; lock cmpxchgl %%edx, (%%rdi)")	\
	x(s_c0, "xor %%eax, %%eax; lock cmpxchgl %%edx, (%%rdi)")	\
	x(s_xa, "lock xaddl %%ecx, (%%rdi)")				\
	x(s_bs, "lock btsl $6, (%%rdi)") x(s_br, "btrl $0, (%%rdi)")	\
	x(s_bc, "btcl $1, (%%rdi)")					\
	x(s_sl, "shll $1, (%%rdi); orl $0x10000, (%%rdi)")		\
	x(s_sr, "shrl $1, (%%rdi); orl $0x10000, (%%rdi)")		\
	x(s_ss, "stosl") x(s_mv, "mov %%rbx, %%rsi; movsl")

#define FUNCTION(nm, insn) static void f_##nm(struct regs *r) { BODY(insn); }
#define ROW(nm, insn) { insn, f_##nm },

FORMS_ALL(FUNCTION)
FORMS_MOVBE(FUNCTION)
FORMS_WRITE(FUNCTION)
FORMS_STORAGE(FUNCTION)

static const struct form reading[] = { FORMS_ALL(ROW) };
static const struct form movbe[] = { FORMS_MOVBE(ROW) };
static const struct form writing[] = { FORMS_WRITE(ROW) };
static const struct form storage[] = { FORMS_STORAGE(ROW) };

/* AF of a shift or a logic operation, and most flags of IMUL, are undefined. */
#define FLAGS_TESTED	0x8c5	/* OF SF ZF PF CF */
#define FLAGS_OF_IMUL	0x801

static u64 tested(const struct form *f)
{
	return f->name[0] == 'i' && f->name[1] == 'm' ? FLAGS_OF_IMUL : FLAGS_TESTED;
}

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static u8 ram[256] __attribute__((aligned(64)));
static u32 forms_run;

static void fill(u8 *at, u64 value)
{
	u32 i;

	for (i = 0; i < 128; i += 8)
		*(u64 *)(at + i) = value;
}

/* The same start for both; @seed varies what meets what. */
static struct regs start(u64 at, u32 seed)
{
	static const u64 values[] = {
		0, 1, ~0ULL, 0x8000000000000000, 0x123456789abcdef0, 0x7fffffff, 0xffffffff,
	};

	return (struct regs){
		.a = values[seed % 7], .b = 0x1111111111111111, .c = 2,
		.d = values[(seed / 7) % 7] & 0xff, .di = at, .flags = seed & 1 ? 0x46 : 0x2,
	};
}

static void compare(const struct form *f, const struct regs *x, const struct regs *y, u64 on_x,
		    u64 on_y)
{
	u64 mask = tested(f);

	/* Pointers differ by where the memory is. */
	if (x->a == y->a && x->c == y->c && x->d == y->d && x->di - on_x == y->di - on_y &&
	    !((x->flags ^ y->flags) & mask))
		return;
	print("%s:\n  RAM    a %lx c %lx d %lx di %lx flags %lx\n"
	      "  device a %lx c %lx d %lx di %lx flags %lx\n", f->name,
	      x->a, x->c, x->d, x->di - on_x, x->flags & mask,
	      y->a, y->c, y->d, y->di - on_y, y->flags & mask);
	failures++;
}

static void run_on_hole(const struct form *f, u32 n)
{
	u64 base = *(volatile u64 *)HOLE;
	struct regs x, y;
	u32 seed;

	for (; n--; f++)
		for (seed = 0; seed < 14; seed++) {
			fill(ram, base);
			fill(ram + 128, base);
			x = start((u64)ram + 64, seed);
			y = start(HOLE + 64, seed);
			x.si = y.si = (u64)ram + 64;
			f->fn(&x);
			f->fn(&y);
			compare(f, &x, &y, (u64)ram + 64, HOLE + 64);
			forms_run++;
		}
}

static void run_on_ioapic(const struct form *f, u32 n)
{
	static u32 source = 0x10077;
	u32 seed, left;
	struct regs x, y;

	for (; n--; f++)
		for (seed = 0; seed < 14; seed++) {
			u32 value = 0x10000 | (seed * 37 & 0xff);

			*(u32 *)ram = value;
			IOAPIC_INDEX = REDIRECTION;
			*(volatile u32 *)IOAPIC_WINDOW = value;
			x = start((u64)ram, seed);
			y = start(IOAPIC_WINDOW, seed);
			/* Only bits that the register keeps; masked in any case. */
			x.a = y.a = 0x10000 | (x.a & 0xff);
			x.d = y.d = 0x10000 | x.d;
			x.b = y.b = (u64)&source;
			f->fn(&x);
			f->fn(&y);
			x.si = y.si = 0;
			compare(f, &x, &y, (u64)ram, IOAPIC_WINDOW);
			left = *(volatile u32 *)IOAPIC_WINDOW;
			/* Bits 12 and 14 are status, above 16 nothing. */
			if ((left ^ *(u32 *)ram) & 0x1afff) {
				print("%s: seed %u: RAM %x, device %x\n", f->name, seed,
				      *(u32 *)ram, left);
				failures++;
			}
			forms_run++;
		}
	*(volatile u32 *)IOAPIC_WINDOW = 0x10000;
}

/* Block moves between RAM and the device, forwards and backwards. */
static void run_moves(void)
{
	u64 base = *(volatile u64 *)HOLE, s, d, n;
	u32 i;

	fill(ram, 0x55aa55aa55aa55aa);
	s = HOLE;
	d = (u64)ram;
	n = 37;
	asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	CHECK(s == HOLE + 37 && d == (u64)ram + 37 && n == 0);
	for (i = 0; i < 37; i++)
		CHECK(ram[i] == (u8)base);
	CHECK(ram[37] == 0x55);
	s = HOLE + 36;
	d = (u64)ram + 36 + 64;
	n = 9;
	asm volatile("std; rep movsl; cld" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	CHECK(s == HOLE && d == (u64)ram + 64 && n == 0);
	CHECK(*(u32 *)(ram + 68) == (u32)base);
	/* Across a page of the device, and a whole one. */
	s = (u64)ram;
	d = HOLE + 4096 - 10;
	n = 20;
	asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	CHECK(d == HOLE + 4096 + 10 && n == 0);
	d = HOLE;
	n = 1024;
	asm volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(0) : "memory");
	CHECK(d == HOLE + 4096 && n == 0);
	/* A count of 0 touches nothing. */
	s = d = HOLE;
	n = 0;
	asm volatile("rep movsq" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	CHECK(s == HOLE && d == HOLE);
}

/* The I/O APIC's own registers answer, by the plainest accesses. */
static void check_ioapic(void)
{
	IOAPIC_INDEX = 1;
	CHECK(IOAPIC_INDEX == 1);
	CHECK((*(volatile u32 *)IOAPIC_WINDOW & 0xff) >= 0x10);	/* version */
	CHECK((*(volatile u32 *)IOAPIC_WINDOW >> 16 & 0xff) >= 23);	/* last entry */
}

int guest_main(u32 booted_by, const void *info)
{
	u32 a, b, c, d;

	(void)booted_by;
	(void)info;
	check_ioapic();
	run_on_hole(reading, COUNT(reading));
	cpuid(1, &a, &b, &c, &d);
	if (c & CPUID_1_ECX_MOVBE)
		run_on_hole(movbe, COUNT(movbe));
	run_on_hole(writing, COUNT(writing));
	run_on_ioapic(storage, COUNT(storage));
	run_moves();
	print("%u forms run, %u failures\n", forms_run, failures);
	return verdict();
}
