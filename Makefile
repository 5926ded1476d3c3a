# SPDX-License-Identifier: GPL-2.0
# The entry to everything; `make help` lists it. Each part has a Makefile of its own and
# builds into $(BUILD); the module is built out of a mirror of symbolic links, so that one
# source tree serves several kernels.

BUILD ?= build
override BUILD := $(abspath $(BUILD))
TOP := $(CURDIR)
LAB := selftests/lab
MAKEFLAGS += --no-print-directory
export BUILD

# Settings of `make run`, `make test` and the rest, passed on by the environment.
KERNEL ?= 6.1
# The debug kernels are kernels like others, but for being built here: HOST_KERNEL=debug.
ifdef HOST_KERNEL
override KERNEL := $(HOST_KERNEL)
endif
HOST ?= svm
export KERNEL HOST VCPUS MEM DISK APPEND SMP HOST_MEM TIMEOUT

# What selftests/lab/setup unpacked: RELEASE_*, IMAGE_*, BUILD_*.
CACHE := $(or $(POSADA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/posada)
-include $(CACHE)/kernels

.PHONY: all module userspace guest selftests unit modules module-% run run-files test check smoke \
	soak mutants bench setup guest-kernel install deb clean help
.NOTPARALLEL: run check smoke bench

all: module userspace

$(BUILD):
	@mkdir -p $@

# --- exit statuses --------------------------------------------------------------------------
# make turns every failure into status 2 and a message of its own. For these goals the job's
# status is make's, and the job has the last word: X-job runs it and keeps the status, and X's
# recipe, which make expands only when X-job is done, ends make by a function of a plugin.

STATUS := $(BUILD)/status.$(shell echo $$PPID)
job = status=0; $(1) || status=$$?; echo $$status >$(STATUS)
# Without the plugin, the shell's exit lets make fail in its own way.
end = $(exit-with $(shell cat $(STATUS); rm -f $(STATUS)))s=$$(cat $(STATUS)); rm -f $(STATUS); exit $$s

ifneq ($(filter run check smoke test,$(MAKECMDGOALS)),)
-load $(BUILD)/make_exit.so
$(BUILD)/make_exit.so: $(LAB)/make-exit.c
	@$(LAB)/setup run
	@mkdir -p $(BUILD)
	@gcc -shared -fPIC -O2 -Wall -o $@ $<
endif

# --- the module -----------------------------------------------------------------------------

# mirror DIR: links to the module's sources; links to deleted ones go.
mirror = mkdir -p $(1) && cp -asf $(TOP)/Kbuild $(TOP)/module $(TOP)/uapi $(1)/ && find $(1) -xtype l -delete

# Use all CPUs, unless the user has said how many.
JOBS := $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# For the kernel that runs here. KDIR names another one's build folder.
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	@if [ ! -f $(KDIR)/Makefile ]; then \
		echo "posada: no headers for the running kernel ($(KDIR)): apt-get install linux-headers-$$(uname -r);"; \
		echo "posada: leaving posada.ko out. 'make run' needs none: it brings its own kernel."; \
	else \
		$(call mirror,$(BUILD)/module-native) && \
		$(MAKE) $(JOBS) -C $(KDIR) M=$(BUILD)/module-native W=1 modules && \
		cp $(BUILD)/module-native/posada.ko $(TOP)/posada.ko; \
	fi

# For the lab's kernels: module-6.1, module-6.12. C=2 adds sparse.
modules: module-6.1 module-6.12
module-%:
	@kdir='$(BUILD_$(subst .,_,$*))'; \
	[ -n "$$kdir" ] || { echo "posada: no headers for $* yet: run selftests/lab/setup $*" >&2; exit 1; }; \
	$(call mirror,$(BUILD)/module-$*) && \
	$(MAKE) -s $(JOBS) -C "$$kdir" M=$(BUILD)/module-$* W=1 $(if $(C),C=$(C)) modules && \
	mkdir -p $(BUILD)/failnth-$* && cp -asf $(TOP)/selftests/failnth/. $(BUILD)/failnth-$*/ && \
	$(MAKE) -s -C "$$kdir" M=$(BUILD)/failnth-$* W=1 $(if $(C),C=$(C)) modules

# For the lab's guest kernel, in the same way.
GUEST_MIRROR := $(BUILD)/guest-linux
GUEST_KO := $(if $(BUILD_GUEST),$(GUEST_MIRROR)/guest/linux/posada_guest.ko)
GUEST_KO_SRCS := $(wildcard guest/linux/*.[chS]) guest/linux/Kbuild $(wildcard uapi/*.h)
$(GUEST_MIRROR)/guest/linux/posada_guest.ko: $(GUEST_KO_SRCS) $(CACHE)/kernels
	@mkdir -p $(@D) $(GUEST_MIRROR)/uapi && for f in $(GUEST_KO_SRCS); do ln -sf $(TOP)/$$f $(GUEST_MIRROR)/$$f; done && \
	find $(GUEST_MIRROR) -xtype l -delete
	@$(MAKE) -s $(JOBS) -C $(BUILD_GUEST) M=$(@D) W=1 modules && strip --strip-debug $@

# --- the rest -------------------------------------------------------------------------------

# part DIR,NAME,TARGET: build a part by its own Makefile.
part = @if [ -f $(1)/Makefile ]; then $(MAKE) -C $(1) BUILD=$(BUILD)/$(2) $(3); \
	else echo "posada: $(1) is not there yet" >&2; exit 1; fi

userspace:
	$(call part,userspace,userspace)
guest: $(GUEST_KO)
	$(if $(wildcard guest/Makefile),$(call part,guest,guest),@:)
	$(if $(GUEST_KO),,@echo "posada: no headers for the guest's kernel (selftests/lab/setup brings them): leaving posada_guest.ko out")
selftests: userspace guest
	$(call part,selftests,selftests)
unit:
	$(call part,selftests/unit,unit,check)

GUEST_MODULES := virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio_rng \
	virtio_balloon virtiofs vmw_vsock_virtio_transport
$(BUILD)/guest.cpio: $(LAB)/guest-initrd $(LAB)/init.guest $(LAB)/lab.py Makefile $(GUEST_KO)
	@$(LAB)/guest-initrd $(GUEST_KO:%=--file %:/posada_guest.ko) $(GUEST_MODULES:%=--module %) $@

# With programs for tests and the libraries they need; a big one, so a file of its own.
$(BUILD)/guest-stress.cpio: $(LAB)/guest-initrd $(LAB)/init.guest $(LAB)/lab.py $(GUEST_KO) $(BUILD)/guest-ptp $(BUILD)/guest-flush
	@$(LAB)/guest-initrd $(GUEST_KO:%=--file %:/posada_guest.ko) --file $(BUILD)/guest-ptp --file $(BUILD)/guest-flush \
		$(if $(wildcard /usr/bin/stress-ng),--file /usr/bin/stress-ng) $@

$(BUILD)/guest-ptp $(BUILD)/guest-flush: $(BUILD)/%: $(LAB)/%.c | $(BUILD)
	@gcc -std=gnu11 -O2 -Wall -Wextra -static -pthread -o $@ $<

# For `posada run ROOTFS`: the folder's kernel and modules.
$(BUILD)/root/boot: $(LAB)/root-folder $(LAB)/lab.py
	@$(LAB)/root-folder $(BUILD)/root

.PHONY: guest-files
guest-files: $(BUILD)/guest.cpio $(BUILD)/guest-stress.cpio $(BUILD)/root/boot

setup:
	@$(LAB)/setup check

# Linux with Posada's patches, for the job guest-patched; too long for check to build it.
guest-kernel:
	@$(LAB)/guest-kernel

# --- checks ---------------------------------------------------------------------------------

# One selftest after a change: only what it needs is built. T may name several.
.PHONY: test-job check-job smoke-job
test-job: module-$(KERNEL) userspace guest selftests $(BUILD)/guest.cpio $(BUILD)/root/boot
	@$(LAB)/setup run $(KERNEL) $(if $(filter vmx %-bochs,$(HOST)),bochs)
	@$(call job,$(LAB)/tests $(T))
check-job smoke-job: %-job: | $(BUILD)
	@$(call job,selftests/check/all $(filter smoke,$*))
test check smoke: %: %-job
	@$(end)

# The fuzzers with new seeds, MINUTES long. FUZZ names some of them; TAME=1 leaves out what aborts QEMU.
soak: module-$(KERNEL) userspace selftests
	@MINUTES=$(MINUTES) TAME=$(TAME) selftests/fuzz/soak $(FUZZ)

# Break the module on purpose, in one place at a time: does a test notice? M names some places.
mutants: module-$(KERNEL) userspace guest selftests $(BUILD)/guest.cpio
	@selftests/mutants/run $(M)

bench: module-$(KERNEL) userspace
	@$(LAB)/setup run $(KERNEL) $(if $(filter vmx %-bochs,$(HOST)),bochs)
	$(call part,selftests/bench,bench,LIBPOSADA=$(BUILD)/userspace)
	@selftests/bench/run

# --- make run -------------------------------------------------------------------------------

run-files: module-$(KERNEL) userspace $(BUILD)/guest.cpio

# EXEC is a shell command and must reach the guest byte for byte: never expanded by make, never
# in the environment, never on a command line.
unexport EXEC
ifneq ($(origin EXEC),undefined)
MAKEOVERRIDES :=
endif
RUN_EXEC := $(STATUS).exec

.PHONY: run-job
run-job: | $(BUILD)
	$(if $(value EXEC),$(file >$(RUN_EXEC),$(value EXEC)))
	@$(call job,$(LAB)/run $(if $(value EXEC),$(RUN_EXEC))); rm -f $(RUN_EXEC)
run: run-job
	@$(end)

# --- cleaning, installing, help -------------------------------------------------------------

clean:
	rm -rf $(BUILD) $(TOP)/posada.ko

install: all
	$(MAKE) -C $(KDIR) M=$(BUILD)/module-native modules_install
	$(MAKE) -C userspace BUILD=$(BUILD)/userspace install

deb: userspace
	@packaging/make-deb

help:
	@sed -n 's/^#> \{0,1\}//p' Makefile

#> Posada: a paravirtual hypervisor in one kernel module.
#>
#>   make              posada.ko for the running kernel, libposada, posada
#>   make run          boot a stock Linux guest on an emulated AMD host, to a shell;
#>                     Ctrl-C goes to the guest, poweroff ends it, Ctrl-A x the session
#>   make run EXEC=CMD run CMD in the guest: its output, its exit status
#>   make test T=NAME  one selftest (or several) on an emulated host
#>   make smoke        a few of them and one boot, under 2 minutes
#>   make check        everything: both kernels, all hosts, static checks, unit tests
#>   make soak MINUTES=n    the fuzzers, with new seeds
#>   make mutants      break the module on purpose; say what no test notices
#>   make bench        the benchmarks, for Posada and KVM
#>   make setup        install what check needs (run installs what it needs by itself)
#>   make guest-kernel a guest's Linux with Posada's patches, which check then tests, too
#>   make modules      posada.ko for the lab's kernels, build/module-*/posada.ko
#>   make userspace guest selftests unit    the parts
#>   make install      module, library and tool, on this machine (as root)
#>   make deb          Debian packages in build/deb: posada-dkms, posada, libposada-dev
#>   make clean        remove build/ and posada.ko
#>
#> Variables (with the default):
#>   VCPUS=1 MEM=512M  run: the guest's CPUs and memory
#>   DISK=             run: a raw image, the guest's /dev/vda; a system on it boots
#>   APPEND=           run: more of the guest's kernel command line
#>   HOST=svm          the emulated host: svm (AMD), none (no hardware virtualization); on the
#>                     slower Bochs: vmx (Intel), svm-bochs (another AMD CPU)
#>   KERNEL=6.1        the host's kernel: 6.1 or 6.12; debug or kcsan, once
#>                     selftests/lab/debug-kernel has built it
#>   SMP= HOST_MEM=    the host's CPUs and memory
#>   TIMEOUT=          seconds until the emulated host is stopped
#>   BUILD=build       where everything is built
#>   KDIR=             make, install: headers of the kernel to build for
#>   POSADA_CACHE=     where downloads are kept (~/.cache/posada)
