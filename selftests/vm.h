/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's side of a test: VMs and vCPUs over the raw ioctls, so that every
 * error path can be driven. A VM has G_MEM_BYTES of anonymous memory at gpa 0
 * as slot 0, with the program's image, page tables, GDT, IDT and TSS in it (see
 * guest.h). Whatever fails in here ends the test case.
 */
#ifndef VM_H
#define VM_H

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "../uapi/posada.h"
#include "../uapi/posada_cpuid.h"
#include "../uapi/posada_hypercall.h"
#include "guest.h"

struct vcpu {
	int fd;
	u32 id;
	struct posada_run *run;
	struct vm *vm;
	pthread_t thread;	/* of vcpu_go() */
	u64 result;
};

struct vm {
	int sys, fd;
	u8 *mem;
	u64 bytes;
	struct vcpu *vcpu[POSADA_MAX_VCPUS];
};

/* An ioctl: its result, or -errno. */
int px(int fd, unsigned int nr, const void *arg);

int sys_open(void);
struct posada_info sys_info(int sys);
/* An emulated host, which leaves out checks that a CPU makes. */
bool host_is_tcg(void);
/* The lab's Bochs with SVM; Documentation/testing.rst says where it lies. */
bool host_is_bochs_svm(void);
/* And its Bochs with VMX. */
bool host_is_bochs_vmx(void);

/* A VM without memory or vCPUs. */
struct vm *vm_empty(u32 flags);
/* The usual one, with @vcpus vCPUs. */
struct vm *vm_new(u32 vcpus);
struct vm *vm_new_flags(u32 vcpus, u32 flags);
void vm_free(struct vm *vm);
struct vcpu *vcpu_add(struct vm *vm, u32 id);
void vcpu_close(struct vcpu *v);
void slot_set(struct vm *vm, u32 slot, u64 gpa, void *hva, u64 bytes, u32 flags);
void *map_anon(u64 bytes);
/* Where addresses of 4- or of 5-level paging are canonical no longer. */
u64 user_end(void);

/* The guest's copy of a variable of this program. */
#define G(vm, var)	(*(typeof(var) *)gpa_ptr(vm, (u64)&(var)))
void *gpa_ptr(struct vm *vm, u64 gpa);

/* Set the vCPU up to call @fn(@arg) in 64-bit mode, CPL 0, interrupts off. */
#define vcpu_start(v, fn, arg)	vcpu_start_at(v, (u64)(fn), (u64)(arg))
void vcpu_start_at(struct vcpu *v, u64 rip, u64 arg);
/* Set the vCPU up for real mode, at @ip of a segment at 0, SP = 0x7000. */
void vcpu_start_real(struct vcpu *v, u16 ip);
/* 32-bit protected mode, flat, no paging; ESP as the vCPU's stack. */
void vcpu_start_prot32(struct vcpu *v, u32 eip);
void fill_sregs64(struct vcpu *v, struct posada_sregs *s);

/* One POSADA_RUN: 0 or -errno. */
int vcpu_run(struct vcpu *v);
/* Run until an exit that is the test's to see; guest reports are failures. */
u32 vcpu_exit_at(struct vcpu *v, const char *file, int line);
#define vcpu_exit(v)		vcpu_exit_at(v, __FILE__, __LINE__)
/* The same, and it must be @reason. */
void vcpu_expect_at(struct vcpu *v, u32 reason, const char *file, int line);
#define vcpu_expect(v, reason)	vcpu_expect_at(v, reason, __FILE__, __LINE__)
/* The next exit must be an OUT to @port: its value. */
u32 vcpu_out_at(struct vcpu *v, u16 port, const char *file, int line);
#define vcpu_sync(v)		vcpu_out_at(v, PORT_SYNC, __FILE__, __LINE__)
#define vcpu_done(v)		vcpu_out_at(v, PORT_DONE, __FILE__, __LINE__)
#define EXPECT_SYNC(v, n)	EXPECT_EQ(vcpu_sync(v), n)
void vcpu_dump(struct vcpu *v);
const char *exit_name(u32 reason);

/* Run to PORT_DONE in a thread of its own. */
void vcpu_go(struct vcpu *v);
u32 vcpu_join(struct vcpu *v);

/* A VM whose vCPUs are in g_own_pages(), each in a thread of its own; its end, laps made. */
struct vm *checking_start(u32 vcpus);
u64 checking_end(struct vm *vm, u32 vcpus);

/* Registers, outside POSADA_RUN. */
struct posada_regs *vcpu_regs(struct vcpu *v);	/* to read */
struct posada_sregs *vcpu_sregs(struct vcpu *v);
struct posada_events *vcpu_events(struct vcpu *v);
struct posada_regs *vcpu_regs_rw(struct vcpu *v);	/* and marks dirty */
struct posada_sregs *vcpu_sregs_rw(struct vcpu *v);
struct posada_events *vcpu_events_rw(struct vcpu *v);

u64 vcpu_stat(struct vcpu *v, u32 index);
u64 vm_stat(struct vm *vm, u32 index);

/* State streams: one record each; 0 or -errno. */
int rec_get(int fd, u32 nr, u16 type, void *buf, u32 bytes, u32 *used);
int rec_set(int fd, u32 nr, u16 type, const void *buf, u32 bytes);
void vcpu_set_mp(struct vcpu *v, u32 state);
u64 vcpu_msr(struct vcpu *v, u32 index);
int vcpu_set_msr(struct vcpu *v, u32 index, u64 value);

/* POSADA_INJECT; 0 or -errno. */
int inject(struct vcpu *v, u32 kind, u32 vector);
int inject_error(struct vcpu *v, u32 vector, u32 error, u64 payload);
int msi(struct vm *vm, u64 addr, u32 data);
#define MSI_ADDR(id)	(0xfee00000ULL | (u64)((id) & 0xff) << 12)

/*
 * Run @fn in a process in a memory cgroup of its own. When it is gone, nothing
 * may be left: kernel memory charged to it, FPU states, references to the
 * module. A failure notes it.
 */
void accounted(void (*fn)(void));

/* Until @cond holds; the case's time limit ends it if it never does. */
#define WAIT_FOR(cond)	do { while (!(cond)) cpu_relax(); } while (0)
void cpu_relax(void);

#endif /* VM_H */
