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
HOST ?= svm
export KERNEL HOST VCPUS MEM SMP HOST_MEM TIMEOUT

# What selftests/lab/setup unpacked: RELEASE_*, IMAGE_*, BUILD_*.
CACHE := $(or $(POSADA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/posada)
-include $(CACHE)/kernels

.PHONY: all module userspace guest selftests unit modules module-% run run-files test check smoke \
	bench setup install clean help
.NOTPARALLEL: run check smoke bench

all: module userspace

# --- the module -----------------------------------------------------------------------------

# mirror DIR: links to the module's sources; links to deleted ones go.
mirror = mkdir -p $(1) && cp -asf $(TOP)/Kbuild $(TOP)/module $(TOP)/uapi $(1)/ && find $(1) -xtype l -delete

# For the kernel that runs here. KDIR names another one's build folder.
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	@if [ ! -f $(KDIR)/Makefile ]; then \
		echo "posada: no headers for the running kernel ($(KDIR)): apt-get install linux-headers-$$(uname -r);"; \
		echo "posada: leaving posada.ko out. 'make run' needs none: it brings its own kernel."; \
	else \
		$(call mirror,$(BUILD)/module-native) && \
		$(MAKE) -C $(KDIR) M=$(BUILD)/module-native W=1 modules && \
		cp $(BUILD)/module-native/posada.ko $(TOP)/posada.ko; \
	fi

# For the lab's kernels: module-6.1, module-6.12. C=2 adds sparse.
modules: module-6.1 module-6.12
module-%:
	@kdir='$(BUILD_$(subst .,_,$*))'; \
	[ -n "$$kdir" ] || { echo "posada: no headers for $* yet: run selftests/lab/setup $*" >&2; exit 1; }; \
	$(call mirror,$(BUILD)/module-$*) && \
	$(MAKE) -s -C "$$kdir" M=$(BUILD)/module-$* W=1 KBUILD_MODPOST_WARN= $(if $(C),C=$(C)) modules

# --- the rest -------------------------------------------------------------------------------

# part DIR,NAME,TARGET: build a part by its own Makefile.
part = @if [ -f $(1)/Makefile ]; then $(MAKE) -C $(1) BUILD=$(BUILD)/$(2) $(3); \
	else echo "posada: $(1) is not there yet" >&2; exit 1; fi

userspace:
	$(call part,userspace,userspace)
guest:
	$(call part,guest,guest)
selftests: userspace guest
	$(call part,selftests,selftests)
unit:
	$(call part,selftests/unit,unit,check)

$(BUILD)/guest.cpio: $(LAB)/guest-initrd $(LAB)/init.guest $(LAB)/lab.py
	@$(LAB)/guest-initrd $@

setup:
	@$(LAB)/setup check

# --- make run -------------------------------------------------------------------------------

run-files: module-$(KERNEL) userspace $(BUILD)/guest.cpio

ifneq ($(filter run,$(MAKECMDGOALS)),)
# EXEC is a shell command and must reach the guest byte for byte: never expanded by make, never
# in the environment, never on a command line.
unexport EXEC
MAKEOVERRIDES :=
RUN_EXEC := $(BUILD)/run.exec
# make itself would turn every status into 2 and a message.
-load $(BUILD)/make_exit.so
$(BUILD)/make_exit.so: $(LAB)/make-exit.c
	@$(LAB)/setup run
	@mkdir -p $(BUILD)
	@gcc -shared -fPIC -O2 -Wall -o $@ $<

.PHONY: run-job
run-job:
	@mkdir -p $(BUILD)
	$(if $(value EXEC),$(file >$(RUN_EXEC),$(value EXEC)))
	@$(LAB)/run $(if $(value EXEC),$(RUN_EXEC)); echo $$? >$(BUILD)/run.status
# Expanded only when run-job is done.
run: run-job
	@$(exit-with $(shell cat $(BUILD)/run.status)):
endif

# --- cleaning, installing, help -------------------------------------------------------------

clean:
	rm -rf $(BUILD) $(TOP)/posada.ko

install: all
	$(MAKE) -C $(KDIR) M=$(BUILD)/module-native modules_install
	$(MAKE) -C userspace BUILD=$(BUILD)/userspace install

help:
	@sed -n 's/^#> \{0,1\}//p' Makefile

#> Posada: a paravirtual hypervisor in one kernel module.
#>
#>   make             posada.ko for the running kernel, libposada, posada
#>   make run         boot a stock Linux guest on an emulated AMD host, to a shell
#>   make help        this text
