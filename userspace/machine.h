/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual machine that `posada run` builds: its settings, its parts, and
 * the life of its threads.
 *
 *	main thread	signals, the terminal's input; waits for the end
 *	one per vCPU	runs the guest, serves its exits
 *	console		writes what COM1 sends, in bursts
 *	calls		takes what is in the ring of the guest's console
 *	one per virtio device, and four more for a disk
 *	gdb		speaks with gdb, with --gdb
 *	control		answers `posada ps` and the rest
 *
 * Locks: each device has its own, taken in the order uart -> ioapic, or
 * calls -> console; nothing
 * is called with one held but the ioctl that delivers an interrupt. virtio.h
 * has the order of a virtio device's.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "libposada.h"
#include "agent_client.h"
#include "bus.h"
#include "cgroup.h"
#include "devices.h"

#define KIB			(1ULL << 10)
#define MIB			(1ULL << 20)
#define GIB			(1ULL << 30)

/* The guest-physical map. RAM is below the hole and above 4 GiB. */
#define HOLE_START		(3 * GIB)
#define HOLE_END		(4 * GIB)
#define LOW_RAM_END		0x9fc00U	/* conventional memory */
#define BIOS_START		0xe0000U	/* ACPI tables live here */
#define RESET_VECTOR		0xffff0U
#define BIOS_END		0x100000U
#define IOAPIC_GPA		0xfec00000U

#define COM1_PORT		0x3f8
#define COM1_PIN		4
#define COM2_PORT		0x2f8
#define COM2_PIN		3
#define POWER_BUTTON_PIN	21
#define SLEEP_CONTROL_PORT	0x600
#define SLEEP_STATUS_PORT	0x601
#define RESET_PORT		0xcf9
#define RESET_VALUE		0x06
#define SLEEP_TYPE_S5		5

#define MAX_MODULES		16
#define STATUS_FAILED		1
#define STATUS_USAGE		2

enum boot_kind { BOOT_AUTO, BOOT_LINUX, BOOT_PVH, BOOT_MULTIBOOT };
enum stats_kind { STATS_NONE, STATS_TEXT, STATS_JSON };

/* posada run ROOTFS: see root.h. */
struct root_config {
	const char *path;		/* NULL: no ROOTFS */
	const char *modules;		/* NULL: where the kernel's are */
	const char *hostname;		/* NULL: the VM's name */
	const char *short_exec;		/* -e, which is --exec without a ROOTFS */
	struct agent_command command;
	uint8_t *archive;		/* built by root_prepare() */
	size_t archive_bytes;
};

struct config {
	const char *device;
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *exec;
	const char *gdb;
	const char *name;
	const char *modules[MAX_MODULES];
	unsigned int nr_modules;
	unsigned int vcpus;
	uint64_t mem;
	enum boot_kind boot;
	enum stats_kind stats;
	enum stats_kind profile;
	enum posada_backend_id backend;
	bool portable_cpu;
	bool no_sandbox;
	struct device_config dev;
	struct limits limits;
	struct root_config root;
};

/* Slots of guest memory. */
enum { SLOT_LOW, SLOT_HIGH, SLOT_ECAM };

struct calls;
struct console;
struct control;
struct gdb;
struct ioapic;
struct uart;

struct machine {
	const struct config *cfg;
	struct posada_vm *vm;
	uint64_t low_bytes;		/* RAM from 0 */
	uint64_t high_bytes;		/* RAM from 4 GiB */

	struct bus ports;
	struct bus mmio;
	struct ioapic *ioapic;
	struct uart *com1;
	struct uart *com2;
	struct console *console;
	struct calls *calls;
	struct devices *devices;
	struct virtio_device *hvc;	/* the terminal's, NULL: it is COM1's */
	struct virtio_device *agent;	/* the port to it, NULL: there is none */
	bool has_pci;
	unsigned int nr_mmio;		/* virtio-mmio devices */
	struct gdb *gdb;		/* NULL without --gdb */
	struct control *control;	/* NULL where there is no folder */

	struct vcpu_thread {
		struct machine *m;
		struct posada_vcpu *vcpu;
		pthread_t thread;
		bool started;
	} cpu[POSADA_MAX_VCPUS];
	unsigned int nr_cpus;

	/* The first to end the machine sets the status and what to say. */
	atomic_bool stopping;
	int stop_fd;			/* eventfd: readable once stopping */
	int term_fd;			/* eventfd: SIGTERM for ROOTFS's command, or -1 */
	int status;
	char *last_words;		/* for stderr, after the console's */
	int exec_status;		/* what COM2 reported, or -1 */
	uint64_t created_ns, started_ns, stopped_ns; /* by now_ns() */
};

/* machine.c */
struct machine *machine_create(const struct config *cfg);
void machine_start(struct machine *m);
/* Stop with @status, unless stopping already; @words is given away. */
void machine_stop(struct machine *m, int status, char *words);
/* Press it: the guest powers off by itself, if it listens; a ROOTFS's command
 * gets SIGTERM. Any thread.
 */
void machine_power_button(struct machine *m);
/* Wait until all vCPU threads have ended and all output is out. */
void machine_finish(struct machine *m);
void machine_free(struct machine *m);
/* The memory at [gpa, gpa + bytes); ends the program if it is not RAM. */
void *guest_memory(struct machine *m, uint64_t gpa, uint64_t bytes,
		   const char *what);

/* vcpu.c */
void *vcpu_main(void *arg);

/* boot.c: load the kernel that cfg names, set the first vCPU's registers. */
struct image;
void boot_check(const struct config *cfg, struct image *kernel);
void boot_load(struct machine *m, const struct image *kernel);

/* acpi.c: build the tables; -> the gpa of the RSDP. */
uint64_t acpi_build(struct machine *m);

/* misc.c: the small port devices. */
void misc_init(struct machine *m);

/* dump.c: what a kernel hacker wants to see of a dead guest, to be freed. */
char *dump_death(struct machine *m, struct posada_vcpu *vcpu,
		 const char *why);

/* stats.c: the VM's counters as they are now; those asked for by --stats */
void stats_write(struct machine *m, enum stats_kind kind, FILE *to);
void stats_print(struct machine *m, FILE *to);

/* profile.c */
uint64_t now_ns(void);			/* CLOCK_MONOTONIC */
void profile_print(struct machine *m, FILE *to);

/* util.c */
/* Print one line that begins with "posada: ", and end with status 1. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void warn_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *xcalloc(size_t count, size_t bytes);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Print a JSON string. What is not UTF-8 comes as \udc80 to \udcff, by which
 * Python, for one, gets the bytes back (surrogateescape).
 */
void json_bytes(const char *text, size_t bytes);
void json_string(const char *text);
/* How many bytes at the end begin a character that is not whole. */
size_t utf8_tail(const char *text, size_t bytes);

#endif /* MACHINE_H */
