// SPDX-License-Identifier: GPL-2.0
/*
 * posada-bench [--json]: what one operation costs on KVM and on Posada, on the
 * same host in the same run, in TSC ticks. On an emulated host whose TSC counts
 * instructions (selftests/bench/run) the figures are instructions and repeat;
 * elsewhere they are time and compare only with each other.
 *
 * posada-bench --profile KEY [LOOPS] [kvm]: one round of one operation, for
 * selftests/bench/profile, which traces the host meanwhile: says "ready" and
 * waits for a line on stdin when all that comes once is behind it.
 */
#include <cpuid.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

/* The goals are those of the design, for QEMU's SVM and Bochs's VMX. */
static const struct row {
	const char *name, *key;
	u32 loops;
	s64 goal_svm, goal_vmx;	/* 0: none */
} rows[NR_ROWS] = {
	[ROW_HYPERCALL] = { "empty hypercall", "hypercall", 2000, 300, 450 },
	[ROW_CPUID] = { "CPUID", "cpuid", 2000, 300, 450 },
	[ROW_RDMSR] = { "RDMSR (TSC_ADJUST)", "rdmsr", 2000, 300, 450 },
	[ROW_OUT] = { "OUT to userspace and back", "out", 1000, 1100, 5000 },
	[ROW_MMIO] = { "4-byte MMIO store to userspace and back, decoded", "mmio", 1000,
		       2000, 6000 },
	[ROW_TOUCH_PRESENT] = { "first touch of a 4 KiB page, host page present",
				"touch_present", 0, 900, 1200 },
	[ROW_TOUCH_ABSENT] = { "first touch, host page absent", "touch_absent", 0, 8000, 5500 },
	[ROW_CREATE] = { "VM + vCPU create and destroy", "create", 0, 1000000, 0 },
};

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "posada-bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static bool on_intel(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_INTEL_ebx;
}

static u8 *map_small_pages(u64 bytes)
{
	u8 *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no memory");
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static s64 median(u64 *sample, int n)
{
	qsort(sample, n, sizeof(*sample), compare);
	return sample[n / 2];
}

/* Before each round of a first-touch row: no second-level mapping is left. */
static void prepare_touch(u32 row, u8 *touch)
{
	u64 bytes = TOUCH_PAGES * 4096UL;

	if (row != ROW_TOUCH_PRESENT && row != ROW_TOUCH_ABSENT)
		return;
	madvise(touch, bytes, MADV_DONTNEED);
	if (row == ROW_TOUCH_PRESENT)
		memset(touch, 1, bytes);
}

static s64 measure_in_guest(const struct hypervisor *h, u32 row)
{
	u8 *mem = map_small_pages(BENCH_MEM), *touch = map_small_pages(TOUCH_PAGES * 4096UL);
	struct bench_args *a;

	bench_args = (struct bench_args){
		.row = row, .loops = rows[row].loops, .call_nr = h->call_nr, .intel = on_intel(),
	};
	image_fill(mem, BENCH_MEM);
	h->create(mem, touch);
	while (h->run() == PORT_SYNC)
		prepare_touch(row, touch);
	h->destroy();
	a = (struct bench_args *)(mem + (u64)&bench_args);
	memcpy(bench_args.sample, a->sample, sizeof(a->sample));
	munmap(mem, BENCH_MEM);
	munmap(touch, TOUCH_PAGES * 4096UL);
	return median(bench_args.sample, ROUNDS);
}

/* Round 0 fills caches and tables; the second is the one to look at. */
static void wait_for_tracer(void)
{
	char line[8];

	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		die("nobody traces");
}

static u32 row_by_key(const char *key)
{
	u32 i;

	for (i = 0; i < NR_ROWS; i++)
		if (!strcmp(rows[i].key, key))
			return i;
	die("no operation is called %s", key);
}

static void profile_churn(const struct hypervisor *h, u32 loops)
{
	h->churn();
	wait_for_tracer();
	while (loops--)
		h->churn();
	puts("done");
}

static void profile_in_guest(const struct hypervisor *h, u32 row, u32 loops)
{
	u8 *mem = map_small_pages(BENCH_MEM), *touch = map_small_pages(TOUCH_PAGES * 4096UL);
	int round;

	bench_args = (struct bench_args){
		.row = row, .loops = loops, .call_nr = h->call_nr, .intel = on_intel(),
	};
	image_fill(mem, BENCH_MEM);
	h->create(mem, touch);
	for (round = 0; h->run() == PORT_SYNC && round < 2; round++) {
		prepare_touch(row, touch);
		if (round == 1)
			wait_for_tracer();
	}
	puts("done");
	h->destroy();
}

static int profile(int argc, char **argv)
{
	const struct hypervisor *h = &bench_posada;
	u32 row = row_by_key(argv[2]), loops = argc > 3 ? atoi(argv[3]) : 64;
	const char *why;

	if (argc > 4 && !strcmp(argv[4], "kvm"))
		h = &bench_kvm;
	why = h->open();
	if (why)
		die("%s", why);
	if (row == ROW_CREATE)
		profile_churn(h, loops);
	else
		profile_in_guest(h, row, loops);
	return 0;
}

static s64 measure_churn(const struct hypervisor *h)
{
	u64 sample[ROUNDS], t;
	int i;

	h->churn();
	for (i = 0; i < ROUNDS; i++) {
		t = g_rdtsc();
		h->churn();
		sample[i] = g_rdtsc() - t;
	}
	return median(sample, ROUNDS);
}

static void measure(const struct hypervisor *h, struct results *r)
{
	u32 row;

	r->why_not = h->open();
	for (row = 0; row < NR_ROWS; row++) {
		if (r->why_not)
			r->value[row] = -1;
		else if (row == ROW_CREATE)
			r->value[row] = measure_churn(h);
		else
			r->value[row] = measure_in_guest(h, row);
	}
}

static s64 goal(u32 row)
{
	return on_intel() ? rows[row].goal_vmx : rows[row].goal_svm;
}

static const char *number(s64 v, char *buf, size_t bytes)
{
	if (v < 0)
		return "-";
	snprintf(buf, bytes, "%lld", (long long)v);
	return buf;
}

static void print_table(const struct results *kvm, const struct results *posada)
{
	char a[24], b[24], c[24], ratio[24];
	u32 i;

	printf("%-50s %10s %10s %7s %9s\n", "operation", "KVM", "Posada", "ratio", "goal");
	for (i = 0; i < NR_ROWS; i++) {
		s64 k = kvm->value[i], p = posada->value[i], g = goal(i);

		snprintf(ratio, sizeof(ratio), "-");
		if (k > 0 && p > 0)	/* one decimal, without floating point */
			snprintf(ratio, sizeof(ratio), "%lld.%lldx", (long long)(k / p),
				 (long long)(k * 10 / p % 10));
		printf("%-50s %10s %10s %7s %9s%s\n", rows[i].name, number(k, a, sizeof(a)),
		       number(p, b, sizeof(b)), ratio, g ? number(g, c, sizeof(c)) : "-",
		       !g || p < 0 ? "" : p <= g ? " met" : " NOT MET");
	}
	if (kvm->why_not)
		printf("KVM: /dev/kvm: %s\n", kvm->why_not);
	if (posada->why_not)
		printf("Posada: /dev/posada: %s\n", posada->why_not);
}

static void json_number(const char *key, s64 v)
{
	printf("\"%s\": ", key);
	if (v < 0)
		printf("null, ");
	else
		printf("%lld, ", (long long)v);
}

static void print_json(const struct results *kvm, const struct results *posada)
{
	struct utsname u;
	u32 i;

	uname(&u);
	printf("{\"kernel\": \"%s\", \"cpu\": \"%s\", \"unit\": \"TSC ticks\", \"rows\": [\n",
	       u.release, on_intel() ? "vmx" : "svm");
	for (i = 0; i < NR_ROWS; i++) {
		s64 p = posada->value[i], g = goal(i);

		printf("  {\"key\": \"%s\", \"operation\": \"%s\", ", rows[i].key, rows[i].name);
		json_number("kvm", kvm->value[i]);
		json_number("posada", p);
		json_number("goal", g ? g : -1);
		printf("\"met\": %s}%s\n", !g || p < 0 ? "null" : p <= g ? "true" : "false",
		       i + 1 < NR_ROWS ? "," : "");
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct results kvm, posada;
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	cpu_set_t one;

	/* One CPU: the TSCs of several may differ. */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (argc > 2 && !strcmp(argv[1], "--profile"))
		return profile(argc, argv);
	if (argc > 2 || (argc == 2 && !json)) {
		fprintf(stderr, "usage: posada-bench [--json]\n");
		return 2;
	}
	measure(&bench_kvm, &kvm);
	measure(&bench_posada, &posada);
	if (json)
		print_json(&kvm, &posada);
	else
		print_table(&kvm, &posada);
	return kvm.why_not && posada.why_not ? 1 : 0;
}
