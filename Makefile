# SPDX-License-Identifier: GPL-2.0-only
#
# The user's targets; `make help` lists them. What kbuild reads is in Kbuild.

# Which kernel: KVER= names one whose headers are installed, KDIR= a headers
# directory anywhere. By default the running one, or, where its headers are not
# to be had, the newest of Debian's 6.1 headers.
# Debian's 6.1 headers have the flavour in .kernelvariables only.
ifdef KDIR
  release := $(shell sed -n 's/^override KERNELRELEASE *= *//p' $(KDIR)/.kernelvariables 2>/dev/null)
  KVER ?= $(or $(release),$(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null))
else
  running := $(shell uname -r)
  debian := $(shell ls -d /lib/modules/6.1.*-amd64/build 2>/dev/null | sort -V | tail -n 1 | cut -d/ -f4)
  KVER ?= $(if $(wildcard /lib/modules/$(running)/build/Makefile),$(running),$(or $(debian),$(running)))
  KDIR := /lib/modules/$(KVER)/build
endif

# One directory for each kernel, with links to the sources, so that objects of
# several kernels never mix and each rebuilds only what changed.
BUILD ?= $(CURDIR)/build/$(KVER)
override BUILD := $(abspath $(BUILD))
INSTALL_HDR_PATH ?= $(CURDIR)/build/usr
export KVM_CACHE ?= $(CURDIR)/.cache

# All that kbuild reads: these folders, and the sources beside this file.
FOLDERS := compat devices emulator include svm vmx
SOURCES := Kbuild $(wildcard *.[chS])

kbuild = $(MAKE) -C $(KDIR) M=$(BUILD)

.PHONY: all modules
all: modules

modules: links
	+$(kbuild) modules

.PHONY: links
links: have-headers
	@mkdir -p $(BUILD)
	@cd $(BUILD) && for d in $(FOLDERS); do [ ! -h $$d ] || rm $$d; done
	@find $(BUILD) -type l ! -exec test -e {} \; -delete
	@cp -rsf $(addprefix $(CURDIR)/,$(SOURCES) $(FOLDERS)) $(BUILD)/

.PHONY: have-headers
have-headers:
	@test -e $(KDIR)/Makefile || { \
		echo "No kernel headers in $(KDIR)."; \
		case "$(KVER)" in \
		*-amd64) echo "Install them: apt-get install linux-headers-$(KVER)" ;; \
		*) echo "On Debian: apt-get install linux-headers-amd64" ;; \
		esac; \
		echo "or name others by KVER=VERSION or KDIR=DIRECTORY."; \
		exit 1; } >&2

# depmod looks into updates/ first, so these go before the kernel's own. Debian's
# headers lack the System.map without which modules_install leaves depmod out.
.PHONY: install uninstall
install: modules
	+$(kbuild) INSTALL_MOD_DIR=updates modules_install
	depmod -b $(or $(INSTALL_MOD_PATH),/) $(KVER)

uninstall:
	rm -f $(foreach m,kvm kvm-amd kvm-intel,$(INSTALL_MOD_PATH)/lib/modules/$(KVER)/updates/$(m).ko*)
	depmod -b $(or $(INSTALL_MOD_PATH),/) $(KVER)

# For DKMS: the sources, as they lie here, in the place where it wants them.
VERSION := $(shell sed -n 's/^\#define KVM_MODULE_VERSION "\(.*\)"/\1/p' include/kvm_arch_ops.h)
dkms_dir = $(DESTDIR)/usr/src/kvm-$(VERSION)

.PHONY: dkms-sources dkms-install dkms-uninstall
dkms-sources:
	rm -rf $(dkms_dir)
	install -d $(dkms_dir)
	cp -r $(SOURCES) $(FOLDERS) $(dkms_dir)/
	chmod -R u=rwX,go=rX $(dkms_dir)
	sed 's/#MODULE_VERSION#/$(VERSION)/' dkms.conf >$(dkms_dir)/dkms.conf

dkms-install: dkms-sources
	dkms install kvm/$(VERSION) -k $(KVER)

dkms-uninstall:
	dkms remove kvm/$(VERSION) --all
	rm -rf $(dkms_dir)

# dpkg-buildpackage writes beside its directory and into it: give it a copy.
.PHONY: deb
deb:
	@lacks=$$(LC_ALL=C dpkg-checkbuilddeps 2>&1 | sed -e 's/.*[Uu]nmet build dependencies: //; s/ ([^)]*)//g' \
		-e 's/:native//g; s/debhelper-compat/debhelper/' \
		-e 's/.*dpkg-checkbuilddeps.*not found/build-essential debhelper dh-dkms/'); \
		test -z "$$lacks" || { echo "make deb lacks: apt-get install $$lacks" >&2; exit 1; }
	rm -rf build/deb
	mkdir -p build/deb/kvm-$(VERSION)
	cp -r Makefile NEWS README.md dkms.conf $(SOURCES) $(FOLDERS) debian Documentation build/deb/kvm-$(VERSION)/
	cd build/deb/kvm-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -b -us -uc
	rm -rf build/deb/kvm-$(VERSION)
	@echo "build/deb/kvm-dkms_$(VERSION)_amd64.deb"

# The tree as it lies here, without what git does not know; of an unpacked tarball all.
# The same files make the same tarball.
tarball := build/kvm-$(VERSION).tar.xz
dist_files = $(if $(wildcard .git),git ls-files -z --deduplicate | xargs -0 -r ls -d 2>/dev/null, \
	find . \( -path ./build -o -path ./.cache \) -prune -o ! -type d -printf '%P\n')

.PHONY: dist
dist:
	@mkdir -p build
	@$(dist_files) | LC_ALL=C sort | \
		tar -c -J -f $(tarball) --no-recursion --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@$(dist_time) \
			--transform='s|^|kvm-$(VERSION)/|S' -T -
	@echo "$(tarball)"

# the changelog's last entry tells the day
dist_time = $(shell date -d "$$(sed -n 's/^ -- .*>  //p' debian/changelog | head -n 1)" +%s)

.PHONY: headers_install
headers_install:
	cd include/uapi && find . -name '*.h' -exec install -D -m 644 {} $(abspath $(INSTALL_HDR_PATH))/include/{} \;

.PHONY: tests check check-kernels check-peer check-guests check-migrate check-coherence check-emulate demo bench bench-vm bench-irq bench-emulate bench-mitigations bench-holds bench-mmu debug-kernel
.PHONY: check-packages check-host bench-host rt-kernel
.PHONY: fuzz-emulate fuzz-mmu fuzz-ioctl fuzz-guest
tests:
	$(MAKE) -C tests

check:
	+@exec env VENDOR='$(VENDOR)' tests/lab/check

# The package in the systems of Debian 12, 13 and sid.
check-packages:
	@env ALL=1 tests/packaging/packaging_test
	@exec env SUITES='$(or $(SUITES),bookworm trixie sid)' FLAVOURS=1 tests/package/package_test

# On a real machine, with the modules that are loaded.
check-host: tests
	@exec tests/host/check

bench-host: tests
	@exec env RUNS='$(or $(RUNS),9)' tests/host/bench

check-kernels:
	+@exec env KERNELS='$(KERNELS)' LIST='$(LIST)' JOBS='$(JOBS)' tests/lab/check-kernels

# The emulator alone: no lab, no module.
check-emulate:
	@$(MAKE) -s -C tests/emulate check

fuzz-emulate:
	$(MAKE) -s -C tests/emulate fuzz

# What guests may do, for hours.
fuzz-guest:
	@exec env SEED='$(SEED)' MINUTES='$(MINUTES)' VENDOR='$(VENDOR)' CPU='$(CPU)' MODULE_OPTS='$(MODULE_OPTS)' \
		KERNEL='$(KERNEL)' tests/fuzz/guest-hours

fuzz-ioctl:
	@exec env SEED='$(SEED)' MINUTES='$(MINUTES)' PROGRAM='$(PROGRAM)' TIMES='$(TIMES)' NO_CORPUS='$(NO_CORPUS)' \
		KERNEL='$(KERNEL)' MODULE_OPTS='$(MODULE_OPTS)' THREADS='$(THREADS)' tests/fuzz/ioctl-hours

fuzz-mmu:
	@exec env SEED='$(SEED)' MINUTES='$(MINUTES)' MODULE_OPTS='$(MODULE_OPTS)' KERNEL='$(KERNEL)' \
		VENDOR='$(VENDOR)' CPU='$(CPU)' AUDIT='$(AUDIT)' tests/fuzz/mmu-hours

check-peer:
	+@exec env MODULE_OPTS='$(MODULE_OPTS)' STOCK='$(STOCK)' KERNEL='$(KERNEL)' tests/peer/check

check-guests:
	+@exec env MODULE_OPTS='$(MODULE_OPTS)' STOCK='$(STOCK)' KERNEL='$(KERNEL)' ROWS='$(ROWS)' LIST='$(LIST)' \
		SCREENSHOT='$(SCREENSHOT)' VENDOR='$(VENDOR)' CPU='$(CPU)' tests/guests/check

check-migrate:
	+@exec env STOCK='$(STOCK)' KERNEL='$(KERNEL)' ROWS='$(ROWS)' LIST='$(LIST)' PAGING='$(PAGING)' \
		HOPS='$(HOPS)' SHORT='$(SHORT)' tests/migrate/check

# Guest memory under all that a host does to its pages; two nodes, for pages to move between.
check-coherence: tests
	@tests/lab/run --kernel $(or $(KERNEL),6.1) --append numa=fake=2 --module-opts '$(MODULE_OPTS)' \
		--timeout $$(($(or $(MINUTES),10) * 60 * 4 + 600)) --env COHERENCE_SECONDS=$$(($(or $(MINUTES),10) * 60)) \
		-- tests/lab/run-tests guest/coherence

demo:
	+@exec env MODULE_OPTS='$(MODULE_OPTS)' SHELL_IN_GUEST='$(SHELL_IN_GUEST)' STOCK='$(STOCK)' KERNEL='$(KERNEL)' \
		VENDOR='$(VENDOR)' CPU='$(CPU)' tests/lab/demo

bench:
	+@exec env KERNEL='$(KERNEL)' VENDOR='$(VENDOR)' tests/lab/boot-count

bench-vm:
	+@exec env KERNEL='$(KERNEL)' tests/lab/bench-vm

bench-irq:
	+@exec env KERNEL='$(KERNEL)' tests/lab/bench-irq

bench-emulate:
	+@exec env KERNEL='$(KERNEL)' tests/lab/bench-emulate

bench-mitigations:
	+@exec env KERNEL='$(KERNEL)' VENDOR='$(VENDOR)' tests/lab/bench-mitigations

bench-holds:
	+@exec env KERNEL='$(KERNEL)' tests/lab/bench-holds

bench-mmu:
	+@exec env KERNEL='$(KERNEL)' VENDOR='$(VENDOR)' SHORT='$(SHORT)' ROWS='$(ROWS)' RECORD='$(RECORD)' tests/lab/bench-mmu

debug-kernel:
	+@exec tests/lab/debug-kernel

rt-kernel:
	@exec tests/lab/debug-kernel rt

# All of Documentation/ and the sources' kernel-doc comments as one site.
.PHONY: htmldocs
htmldocs:
	@Documentation/htmldocs

.PHONY: clean distclean
clean:
	rm -rf build

distclean: clean
	rm -rf $(KVM_CACHE)

.PHONY: help
help:
	@echo 'Modules (kvm.ko, kvm-intel.ko, kvm-amd.ko), in build/<kernel version>/:'
	@echo '  make                  build them for KVER=$(KVER)'
	@echo '  make W=1              the same with more warnings; AUDIT=1: with kvm.audit;'
	@echo '                        UNTESTED=1: for a kernel of a series that was not tested'
	@echo '  make install          install them into that kernel'"'"'s updates/'
	@echo '  make uninstall        take them out of there again'
	@echo '  make dkms-install     install them by DKMS; make dkms-uninstall'
	@echo '  make deb              the Debian package kvm-dkms, in build/deb/'
	@echo '  make dist             the sources as a tarball, build/kvm-$(VERSION).tar.xz'
	@echo '  make htmldocs         the documentation as a site with a search, in build/htmldocs/'
	@echo '  make headers_install  the userspace ABI headers, to INSTALL_HDR_PATH='
	@echo '     KVER=VERSION or KDIR=DIRECTORY choose another kernel'
	@echo
	@echo 'Trying and testing, in an emulated PC (Documentation/lab.rst):'
	@echo '  make demo             boot a Linux guest; MODULE_OPTS=kvm_amd.npt=0,'
	@echo '                        SHELL_IN_GUEST=1, STOCK=1, KERNEL=6.12, VENDOR=intel,'
	@echo '                        CPU=core2_penryn_t9600'
	@echo '  make check            all tests; ends with "N passed, N failed, N skipped";'
	@echo '                        on both vendors, or with VENDOR=amd or intel on one'
	@echo '  make check-host       not in the lab: the tests on this machine with the modules that are'
	@echo '                        loaded, and one file that reports it (Documentation/hardware.rst)'
	@echo '  make bench-host       likewise what exits cost, in cycles and nanoseconds'
	@echo '  make check-kernels    each of Debian'"'"'s kernels in each flavour: builds, boots, a guest;'
	@echo '                        KERNELS=REGEX, LIST=1, JOBS=2'
	@echo '  make check-packages   the package in roots of Debian 12, 13 and sid; SUITES='
	@echo '  make check-peer       the kernel'"'"'s own KVM selftests on our modules; STOCK=1'
	@echo '  make check-guests     systems, firmware and a memory test under QEMU, a line for'
	@echo '                        each; ROWS=REGEX, LIST=1, STOCK=1, SCREENSHOT=FILE.png;'
	@echo '                        VENDOR=intel: a few of them; CPU=MODEL'
	@echo '  make check-migrate    guests under load that are saved, restored and moved, a line'
	@echo '                        for each; ROWS=REGEX, LIST=1, HOPS=N, PAGING=npt=0, STOCK=0,'
	@echo '                        SHORT=1'
	@echo '  make check-coherence  guest memory while the host merges, moves, swaps … its pages, for'
	@echo '                        MINUTES=10; KERNEL=debug, MODULE_OPTS='
	@echo '  make check-emulate    the instruction emulator alone, against this CPU'
	@echo '  make fuzz-emulate     the same for hours: 10^9 cases, and libFuzzer'
	@echo '  make fuzz-guest       random guests for MINUTES=60; SEED=, VENDOR=intel, CPU=MODEL,'
	@echo '                        MODULE_OPTS=kvm_amd.npt=0, KERNEL=debug'
	@echo '  make fuzz-ioctl       the ioctl fuzzer under the debugging kernel: MINUTES=120, SEED=;'
	@echo '                        PROGRAM= runs one again (Documentation/fuzzing.rst)'
	@echo '  make fuzz-mmu         guest page tables, slots and the host'"'"'s pages, against a model of'
	@echo '                        them; MINUTES=60, SEED=, MODULE_OPTS=kvm_amd.npt=0, VENDOR=, CPU='
	@echo '  make bench            instructions for a guest'"'"'s boot, ours against stock;'
	@echo '                        VENDOR=intel: and for exits'
	@echo '  make bench-vm         instructions for a VM'"'"'s making and end, ours against stock'
	@echo '  make bench-irq        instructions for interrupts, timers and eventfds, ours against stock'
	@echo '  make bench-emulate    instructions for an emulated access, ours against stock'
	@echo '  make bench-mitigations  instructions that each of the host'"'"'s mitigations adds to an exit'
	@echo '  make bench-holds      instructions that mmu_lock is held for, by the size of the guest'
	@echo '  make bench-mmu        instructions for guest memory, ours against stock; SHORT=1: in a'
	@echo '                        minute; ROWS=REGEX, VENDOR=, RECORD=1: to Documentation/'
	@echo '  make tests            only build the test programs, in build/tests/'
	@echo '  make debug-kernel     build the lab'"'"'s KASAN and lockdep kernel; make rt-kernel: its'
	@echo '                        realtime kernel with lockdep'
	@echo
	@echo '  make clean            remove build/'
	@echo '  make distclean        remove the cache of fetched packages, too'
