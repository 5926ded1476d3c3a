// SPDX-License-Identifier: GPL-2.0
/*
 * A stub in writable and executable memory: load all registers from a block
 * beside it, run the instruction in the hole, store all registers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "decode_native.h"

#define STUB_BYTES	8192
#define HOLE_BYTES	15

extern const uint8_t stub_start[], stub_hole[], stub_data[], stub_end[];

/* The block is addressed relative to RIP, so a copy of all works anywhere. */
asm(".pushsection .rodata\n"
    "stub_start:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, 1f(%rip)\n"
    ".set n, 0\n"
    ".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "	vmovdqu stub_data + 136 + 32 * \\r(%rip), %ymm\\r\n"
    ".endr\n"
    "	push stub_data + 128(%rip); popf\n"
    ".irp r, rax,rcx,rdx,rbx,rsp,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "	mov stub_data + n(%rip), %\\r\n"
    ".set n, n + 8\n"
    ".endr\n"
    "stub_hole: .skip 15, 0x90\n"
    ".set n, 0\n"
    ".irp r, rax,rcx,rdx,rbx,rsp,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "	mov %\\r, stub_data + n(%rip)\n"
    ".set n, n + 8\n"
    ".endr\n"
    "	mov 1f(%rip), %rsp\n"
    "	pushf; pop stub_data + 128(%rip)\n"
    "	cld\n"
    ".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "	vmovdqu %ymm\\r, stub_data + 136 + 32 * \\r(%rip)\n"
    ".endr\n"
    "	vzeroupper\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    "	.balign 16\n"
    "1:	.quad 0, 0\n"
    "stub_data: .skip 16 * 8 + 8 + 16 * 32\n"
    "stub_end:\n"
    ".popsection\n");

static uint8_t *stub;

static void make_stub(void)
{
	stub = mmap(NULL, STUB_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stub == MAP_FAILED) {
		printf("Bail out! no executable memory\n");
		exit(1);
	}
	memcpy(stub, stub_start, (size_t)(stub_end - stub_start));
}

void native_run(struct native *state, const uint8_t *code, unsigned int bytes)
{
	uint8_t *hole, *data;

	if (!stub)
		make_stub();
	hole = stub + (stub_hole - stub_start);
	data = stub + (stub_data - stub_start);
	memset(hole, 0x90, HOLE_BYTES);
	memcpy(hole, code, bytes);
	memcpy(data, state, sizeof(*state));
	__builtin___clear_cache((char *)stub, (char *)stub + STUB_BYTES);
	((void (*)(void))(uintptr_t)stub)();
	memcpy(state, data, sizeof(*state));
}
