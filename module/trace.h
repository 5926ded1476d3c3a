/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, under events/posada/ of tracefs. trace.c creates them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM posada

#if !defined(POSADA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define POSADA_TRACE_H

#include <linux/tracepoint.h>
#include "backend.h"

/* Before each guest entry. */
TRACE_EVENT(posada_entry,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->vcpu = vcpu;
	),
	TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

#define posada_trace_exits				\
	{ POSADA_X_NONE,	"none" },		\
	{ POSADA_X_HOST_IRQ,	"host_irq" },		\
	{ POSADA_X_TIMER,	"timer" },		\
	{ POSADA_X_MSR,		"msr" },		\
	{ POSADA_X_PORT,	"port" },		\
	{ POSADA_X_MEMORY,	"memory" },		\
	{ POSADA_X_HALT,	"halt" },		\
	{ POSADA_X_HYPERCALL,	"hypercall" },		\
	{ POSADA_X_CPUID,	"cpuid" },		\
	{ POSADA_X_WINDOW,	"window" },		\
	{ POSADA_X_PAUSE,	"pause" },		\
	{ POSADA_X_SKIP,	"skip" },		\
	{ POSADA_X_XSETBV,	"xsetbv" },		\
	{ POSADA_X_CR,		"cr" },			\
	{ POSADA_X_DR,		"dr" },			\
	{ POSADA_X_FAULT,	"fault" },		\
	{ POSADA_X_DEBUG,	"debug" },		\
	{ POSADA_X_TASK,	"task" },		\
	{ POSADA_X_SHUTDOWN,	"shutdown" },		\
	{ POSADA_X_MACHINE_CHECK, "machine_check" },	\
	{ POSADA_X_BAD_STATE,	"bad_state" },		\
	{ POSADA_X_UNKNOWN,	"unknown" }

/* After each exit, once it is decoded. */
TRACE_EVENT(posada_exit,
	TP_PROTO(u32 vcpu, u32 kind, u64 rip),
	TP_ARGS(vcpu, kind, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, vcpu)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
	),
	TP_printk("vcpu %u %s rip 0x%llx", __entry->vcpu,
		  __print_symbolic(__entry->kind, posada_trace_exits),
		  __entry->rip)
);

/* A second-level fault; flags are POSADA_MEM_*. */
TRACE_EVENT(posada_fault,
	TP_PROTO(u32 vcpu, u64 gpa, u32 flags),
	TP_ARGS(vcpu, gpa, flags),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u32, vcpu)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->vcpu = vcpu;
		__entry->flags = flags;
	),
	TP_printk("vcpu %u gpa 0x%llx %s", __entry->vcpu, __entry->gpa,
		  __print_flags(__entry->flags, "|",
				{ POSADA_MEM_WRITE,	"write" },
				{ POSADA_MEM_EXEC,	"exec" },
				{ POSADA_MEM_WALK,	"walk" },
				{ POSADA_MEM_FAULT,	"fault" },
				{ POSADA_MEM_READONLY,	"readonly" },
				{ POSADA_MEM_DELIVERY,	"delivery" }))
);

/* An event goes into the guest; kind is enum posada_event_kind. */
TRACE_EVENT(posada_inject,
	TP_PROTO(u32 vcpu, u8 kind, u8 vector, bool has_error, u32 error),
	TP_ARGS(vcpu, kind, vector, has_error, error),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, error)
		__field(u8, kind)
		__field(u8, vector)
		__field(bool, has_error)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->error = error;
		__entry->kind = kind;
		__entry->vector = vector;
		__entry->has_error = has_error;
	),
	TP_printk("vcpu %u %s vector 0x%x%s 0x%x", __entry->vcpu,
		  __print_symbolic(__entry->kind,
				   { POSADA_EVENT_NONE,		"none" },
				   { POSADA_EVENT_INTERRUPT,	"interrupt" },
				   { POSADA_EVENT_NMI,		"nmi" },
				   { POSADA_EVENT_EXCEPTION,	"exception" }),
		  __entry->vector, __entry->has_error ? " error" : "",
		  __entry->error)
);

/* Numbers are KVM's and Posada's; the arguments are the first three. */
TRACE_EVENT(posada_hypercall,
	TP_PROTO(u32 vcpu, const char *name, u64 nr, u64 a0, u64 a1, u64 a2),
	TP_ARGS(vcpu, name, nr, a0, a1, a2),
	TP_STRUCT__entry(
		__array(char, name, 16)
		__field(u64, nr)
		__field(u64, a0)
		__field(u64, a1)
		__field(u64, a2)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		strscpy(__entry->name, name, sizeof(__entry->name));
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->vcpu = vcpu;
	),
	TP_printk("vcpu %u %s nr 0x%llx args 0x%llx 0x%llx 0x%llx",
		  __entry->vcpu, __entry->name, __entry->nr, __entry->a0,
		  __entry->a1, __entry->a2)
);

/* The guest's RDMSR or WRMSR, and what became of it (see posada_msr_read). */
TRACE_EVENT(posada_msr,
	TP_PROTO(u32 vcpu, bool write, u32 index, u64 value, int result),
	TP_ARGS(vcpu, write, index, value, result),
	TP_STRUCT__entry(
		__field(u64, value)
		__field(u32, vcpu)
		__field(u32, index)
		__field(int, result)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->value = value;
		__entry->vcpu = vcpu;
		__entry->index = index;
		__entry->result = result;
		__entry->write = write;
	),
	TP_printk("vcpu %u %s 0x%x value 0x%llx result %d", __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->index,
		  __entry->value, __entry->result)
);

#endif /* POSADA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

/* Must stay outside the guard: it reads this file again. */
#include <trace/define_trace.h>
