// SPDX-License-Identifier: GPL-2.0
/* What bare-metal guests share: see guest.h. */
#include <stdarg.h>

#include "guest.h"

#define COM1		0x3f8
#define LINE_STATUS	5
#define THR_EMPTY	0x20
#define EXIT_PORT	0xf4

u32 failures;
void (*handlers[256])(struct frame *f);

extern const char idt_stubs[], trampoline[], trampoline_end[];
extern u64 idt[512];
extern volatile u32 next_cpu;

/* ---- the serial line ---- */

static void put(char c)
{
	if (c == '\n')
		put('\r');
	while (!(in8(COM1 + LINE_STATUS) & THR_EMPTY))
		pause();
	out8(COM1, c);
}

static void put_number(u64 n, u32 base)
{
	char buf[24];
	int i = 0;

	do
		buf[i++] = "0123456789abcdef"[n % base];
	while (n /= base);
	while (i)
		put(buf[--i]);
}

void print(const char *fmt, ...)
{
	const char *s;
	bool wide;
	va_list a;
	long n;

	va_start(a, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		wide = *++fmt == 'l';
		fmt += wide;
		switch (*fmt) {
		case 's':
			for (s = va_arg(a, const char *); *s; s++)
				put(*s);
			break;
		case 'c':
			put(va_arg(a, int));
			break;
		case 'd':
			n = wide ? va_arg(a, long) : va_arg(a, int);
			if (n < 0)
				put('-');
			put_number(n < 0 ? -(u64)n : (u64)n, 10);
			break;
		case 'u':
		case 'x':
			put_number(wide ? va_arg(a, u64) : va_arg(a, u32), *fmt == 'x' ? 16 : 10);
			break;
		default:
			put(*fmt);
		}
	}
	va_end(a);
}

void finish(u32 value)
{
	for (;;) {
		out32(EXIT_PORT, value);
		asm volatile("cli; hlt");
	}
}

/* ---- exceptions ---- */

void build_idt(void);
void build_idt(void)
{
	u64 at;
	int i;

	/* A PC's firmware may leave the old interrupt controllers on. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	for (i = 0; i < 256; i++) {
		at = (u64)idt_stubs + 16 * i;
		idt[2 * i] = (at & 0xffff) | (u64)SEL_CODE64 << 16 | 0x8eULL << 40 |
			     (at & 0xffff0000) << 32;
		idt[2 * i + 1] = at >> 32;
	}
}

void handle_vector(struct frame *f);
void handle_vector(struct frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
	} else if (f->vector < 32) {
		print("exception %lu, error %lx, at %lx\n", f->vector, f->error, f->rip);
		finish(FAIL);
	}
	if (f->vector >= 32)
		eoi();
}

/* ---- the loader's gifts ---- */

const char *command_line(u32 booted_by, const void *info)
{
	const u32 *mb = info;
	const u64 *pvh = info;

	if (booted_by == BOOTED_BY_MULTIBOOT)
		return mb[0] & 4 ? (const char *)(u64)mb[4] : "";
	return pvh[3] ? (const char *)pvh[3] : "";
}

/* ---- CPUs ---- */

static bool same(const void *a, const char *b, u32 n)
{
	const u8 *x = a, *y = (const u8 *)b;

	while (n--)
		if (*x++ != *y++)
			return false;
	return true;
}

static const u8 *find_rsdp(void)
{
	const u8 *at;

	for (at = (u8 *)0xe0000; at < (u8 *)0x100000; at += 16)
		if (same(at, "RSD PTR ", 8))
			return at;
	return 0;
}

#define MADT_LAPIC	0
#define MADT_X2APIC	9

static u32 count_in_madt(const u8 *madt)
{
	const u8 *end = madt + *(const u32 *)(madt + 4), *e;
	u32 n = 0;

	for (e = madt + 44; e + 2 <= end && e[1]; e += e[1])
		if ((e[0] == MADT_LAPIC && e[4] & 1) || (e[0] == MADT_X2APIC && e[8] & 1))
			n++;
	return n;
}

u32 count_cpus(void)
{
	const u8 *rsdp = find_rsdp(), *root, *table;
	bool wide = rsdp && rsdp[15] >= 2 && *(const u64 *)(rsdp + 24);
	u32 i, n;

	if (!rsdp)
		return 1;
	root = wide ? (const u8 *)*(const u64 *)(rsdp + 24) :
		      (const u8 *)(u64)*(const u32 *)(rsdp + 16);
	n = (*(const u32 *)(root + 4) - 36) / (wide ? 8 : 4);
	for (i = 0; i < n; i++) {
		table = wide ? (const u8 *)((const u64 *)(root + 36))[i] :
			       (const u8 *)(u64)((const u32 *)(root + 36))[i];
		if (same(table, "APIC", 4))
			return count_in_madt(table);
	}
	return 1;
}

void start_others(void)
{
	u32 i, n = trampoline_end - trampoline;

	for (i = 0; i < n; i++)
		((u8 *)TRAMPOLINE)[i] = trampoline[i];
	wrmsr(X2_ICR, ICR_INIT_OTHERS);
	wrmsr(X2_ICR, ICR_STARTUP_OTHERS | TRAMPOLINE >> 12);
	wrmsr(X2_ICR, ICR_STARTUP_OTHERS | TRAMPOLINE >> 12);
}

__attribute__((weak)) void ap_main(u32 cpu)
{
	(void)cpu;
}
