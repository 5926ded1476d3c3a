/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The guest's ABI of Posada: discovery by CPUID (when CPUID.1:ECX[31] is set).
 *
 *   0x40000000  EAX: highest leaf of this block; EBX, ECX, EDX "PosadaPosada"
 *   0x40000001  EAX: POSADA_CPUID_F_*, EBX: POSADA_GUEST_ABI, ECX = EDX = 0
 *   0x40000010  EAX: TSC kHz, EBX: APIC timer kHz
 *   0x40000100  EAX: highest leaf of that block; "KVMKVMKVM\0\0\0"
 *   0x40000101  EAX: KVM features that are implemented, EDX: KVM hints
 */
#ifndef _UAPI_POSADA_CPUID_H
#define _UAPI_POSADA_CPUID_H

#define POSADA_CPUID_SIGNATURE		0x40000000U
#define POSADA_CPUID_FEATURES		0x40000001U
#define POSADA_CPUID_TIMING		0x40000010U
#define POSADA_CPUID_KVM_SIGNATURE	0x40000100U
#define POSADA_CPUID_KVM_FEATURES	0x40000101U

/* "Posa" "daPo" "sada", in EBX, ECX, EDX. */
#define POSADA_SIGNATURE_EBX		0x61736f50U
#define POSADA_SIGNATURE_ECX		0x6f506164U
#define POSADA_SIGNATURE_EDX		0x61646173U

#define POSADA_GUEST_ABI		1U

#define POSADA_CPUID_F_HYPERCALL	(1U << 0) /* POSADA_MSR_HYPERCALL */
#define POSADA_CPUID_F_DOORBELL		(1U << 1)
#define POSADA_CPUID_F_KICK		(1U << 2)
#define POSADA_CPUID_F_YIELD_TO		(1U << 3)
#define POSADA_CPUID_F_SEND_IPI		(1U << 4)
#define POSADA_CPUID_F_FLUSH_TLB	(1U << 5)
#define POSADA_CPUID_F_CLOCK_PAIRING	(1U << 6)
#define POSADA_CPUID_F_CRASH		(1U << 7)
#define POSADA_CPUID_F_SHUTDOWN		(1U << 8)

#endif /* _UAPI_POSADA_CPUID_H */
