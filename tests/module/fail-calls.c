// SPDX-License-Identifier: GPL-2.0-only
/* The calls: for each the VM that it needs, its arguments, and how to see what it did. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fail.h"

/*
 * ---- what can be read back in other ways ----
 */

/* Is there a slot? */
static u64 occupied(u64 gpa)
{
	int r = vm_slot(&e->vm, 400, 0, gpa, PAGE, e->vm.mem);

	if (!r && vm_slot(&e->vm, 400, 0, gpa, 0, NULL))
		die("a slot that does not go");
	return r ? errno : 0;
}

static u64 probe_slots(void)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = BAD_PTR };
	u64 logged = err(ioctl(e->vm.fd, KVM_GET_DIRTY_LOG, &log));

	return occupied(GPA_EXTRA) | occupied(GPA_EXTRA + EXTRA_SIZE) << 8 |
	       occupied(GPA_EXTRA + HUGE_SLOT - PAGE) << 16 | logged << 24;
}

static u64 probe_irqfd(void)
{
	u64 n = 1;

	if (write(e->efd, &n, sizeof(n)) != sizeof(n))
		die("eventfd");
	/* An irqfd has taken the count, and nobody else has it. */
	return read(e->efd, &n, sizeof(n)) == sizeof(n);
}

static u64 probe_port(void)
{
	u64 ret = PROBE_OUT(PORT_DEV), n;

	if (e->efd >= 0 && read(e->efd, &n, sizeof(n)) == sizeof(n))
		ret |= n << 48;
	return ret;
}

static u64 probe_route(void)
{
	struct kvm_irq_level up = { .irq = GSI, .level = 1 }, down = { .irq = GSI };

	ioctl(e->vm.fd, KVM_IRQ_LINE_STATUS, &up);
	ioctl(e->vm.fd, KVM_IRQ_LINE_STATUS, &down);
	/* It has no route. */
	return (int)up.status < 0;
}

static u64 probe_chips(void)
{
	struct kvm_pit_state2 pit;

	return err(ioctl(e->vm.fd, KVM_GET_IRQCHIP, &(struct kvm_irqchip){})) |
	       err(ioctl(e->vm.fd, KVM_GET_PIT2, &pit)) << 8;
}

static u64 probe_filter(void)
{
	return run_probe(2, 0, 0x174, 0) & 0xffffffff;
}

static u64 probe_alias(void)
{
	return run_probe(0, 0x20000000, 0, 0) & 0xffffffff;
}

/*
 * ---- the calls' arguments ----
 */

static void fill_msr(void)
{
	struct kvm_msr_entry entry = { .index = 0x174, .data = 8 };

	e->msrs.nmsrs = 1;
	e->msrs.entries[0] = entry;
}

static void fill_msr_apf(void)
{
	fill_msr();
	e->msrs.entries[0].index = MSR_APF_EN;
	e->msrs.entries[0].data = GPA_FREE | 9;
}

/* Tasks that wait for pages of another host are woken, all of them. */
static bool check_apf(void)
{
	run_probe(1, 0, 0, PORT_OK);
	return *(u32 *)(e->vm.mem + GPA_FREE + 4) == ~0U;
}

static void fill_dev_msr(void)
{
	fill_msr();
	e->msrs.entries[0].index = 0x8b;
}

static void fill_list(void) { e->words[0] = 1024; }
static void fill_nent(void) { e->words[0] = 256; }
static void fill_chip(void) { e->chip.chip_id = KVM_IRQCHIP_IOAPIC; }

static void fill_cpuid2(void)
{
	e->cpuid.nent = 256;
	if (ioctl(e->vm.sys, KVM_GET_SUPPORTED_CPUID, &e->cpuid))
		die("KVM_GET_SUPPORTED_CPUID");
}

/* Entries without subleaves: as many of nothing. */
static void fill_cpuid(void)
{
	memset(e->buf, 0, 8 + 100 * sizeof(struct kvm_cpuid_entry));
	e->cpuid.nent = 100;
}

static void fill_dev_attr(void)
{
	e->attr = (struct kvm_device_attr){ .attr = KVM_X86_XCOMP_GUEST_SUPP, .addr = (u64)e->bits };
}

static void fill_vcpu_attr(void)
{
	e->attr = (struct kvm_device_attr){
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (u64)e->bits,
	};
	if (ioctl(e->vm.vcpu.fd, KVM_GET_DEVICE_ATTR, &e->attr))
		die("KVM_GET_DEVICE_ATTR");
}

static void region(u32 slot, u32 flags, u64 gpa, u64 size, void *mem)
{
	e->region = (struct kvm_userspace_memory_region){
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (u64)mem,
	};
}

static void fill_slot_add(void) { region(1, 0, GPA_EXTRA, EXTRA_SIZE, e->extra); }
static void fill_slot_logged(void) { region(1, 1, GPA_EXTRA, EXTRA_SIZE, e->extra); }
static void fill_slot_move(void) { region(1, 1, GPA_EXTRA + EXTRA_SIZE, EXTRA_SIZE, e->extra); }
static void fill_slot_delete(void) { region(1, 0, 0, 0, NULL); }
/* No memory is behind it, of which no slot's making takes notice. */
static void fill_slot_huge(void) { region(1, 1, GPA_EXTRA, HUGE_SLOT, (void *)(1UL << 40)); }

/* The same with what is reserved behind. */
static void fill_slot2_add(void)
{
	memset(e->buf, 0, sizeof(struct kvm_userspace_memory_region2));
	fill_slot_add();
}

static void full_logged(void)
{
	full();
	add_extra(KVM_MEM_LOG_DIRTY_PAGES);
	if (run_probe(3, 0, 0x174, 0) == 0)	/* the guest has run, and a page is dirty */
		die("the probe");
	e->extra[0] = 1;
}

static void own_region(u32 flags, u64 gpa, u64 size)
{
	e->own_region = (struct kvm_memory_region){
		.slot = 1, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
	};
}

static void fill_own_add(void) { own_region(0, GPA_EXTRA, LARGE); }
static void fill_own_move(void) { own_region(1, GPA_EXTRA + EXTRA_SIZE, LARGE); }
static void fill_own_flags(void) { own_region(1, GPA_EXTRA, LARGE); }
static void fill_own_delete(void) { own_region(0, 0, 0); }

static void full_own(void)
{
	full();
	fill_own_add();
	if (ioctl(e->vm.fd, KVM_SET_MEMORY_REGION, &e->own_region))
		die("KVM_SET_MEMORY_REGION");
}

static void fill_alias(void)
{
	e->alias = (struct kvm_memory_alias){
		.guest_phys_addr = 0x20000000, .memory_size = PAGE, .target_phys_addr = GPA_FREE,
	};
}

/* A page of the log is dirty, by the guest's own write. */
static void full_dirty(void)
{
	full();
	add_extra(KVM_MEM_LOG_DIRTY_PAGES);
	touch_memory();
}

static void fill_log(void)
{
	memset(e->bits, 0, sizeof(e->bits));
	e->log = (struct kvm_dirty_log){ .slot = 1, .dirty_bitmap = e->buf + PAGE };
}

/* The 64 pages in a row are the third word. */
static bool check_log(void)
{
	return *(u64 *)(e->buf + PAGE + 16) == ~0ULL;
}

static void full_manual(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };

	full_dirty();
	if (ioctl(e->vm.fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
}

static void fill_clear(void)
{
	e->bits[0] = ~0ULL;
	e->clear = (struct kvm_clear_dirty_log){
		.slot = 1, .num_pages = 64, .first_page = 128, .dirty_bitmap = e->bits,
	};
}

static bool check_cleared(void)
{
	fill_log();
	return !ioctl(e->vm.fd, KVM_GET_DIRTY_LOG, &e->log) && !*(u64 *)(e->buf + PAGE + 16);
}

static void fill_routing(void)
{
	u32 n = 2000;

	memset(e->buf, 0, sizeof(e->routing) + n * sizeof(e->routing.entries[0]));
	e->routing.nr = n;
	for (u32 i = 0; i < n; i++) {
		e->routing.entries[i].gsi = 100 + i;
		e->routing.entries[i].type = KVM_IRQ_ROUTING_MSI;
	}
}

static bool check_routing(void)
{
	return probe_route();
}

static void irqfd(u32 flags)
{
	e->irqfd = (struct kvm_irqfd){
		.fd = e->efd, .gsi = GSI, .flags = flags, .resamplefd = e->resample,
	};
}

static void fill_irqfd(void) { irqfd(0); }
static void fill_resample(void) { irqfd(KVM_IRQFD_FLAG_RESAMPLE); }
static void fill_deassign(void) { irqfd(KVM_IRQFD_FLAG_DEASSIGN); }
static bool check_irqfd(void) { return !probe_irqfd(); }

static void full_irqfd(void)
{
	full_eventfds();
	irqfd(KVM_IRQFD_FLAG_RESAMPLE);
	if (ioctl(e->vm.fd, KVM_IRQFD, &e->irqfd))
		die("KVM_IRQFD");
}

static void ioeventfd(u32 flags)
{
	e->ioeventfd = (struct kvm_ioeventfd){
		.fd = e->efd, .addr = PORT_DEV, .len = 1, .flags = KVM_IOEVENTFD_FLAG_PIO | flags,
	};
}

static void fill_ioeventfd(void) { ioeventfd(0); }
static void fill_ioeventfd_gone(void) { ioeventfd(KVM_IOEVENTFD_FLAG_DEASSIGN); }
static bool check_taken(void) { return (probe_port() & 0xffffffff) == EXIT_OUT(PORT_OK); }
static bool check_exits(void) { return probe_port() == EXIT_OUT(PORT_DEV); }

static void full_ioeventfd(void)
{
	full_eventfds();
	ioeventfd(0);
	if (ioctl(e->vm.fd, KVM_IOEVENTFD, &e->ioeventfd))
		die("KVM_IOEVENTFD");
}

static void fill_zone(void)
{
	e->zone = (struct kvm_coalesced_mmio_zone){ .addr = PORT_DEV, .size = 1, .pio = 1 };
}

static void full_zone(void)
{
	full();
	fill_zone();
	if (ioctl(e->vm.fd, KVM_REGISTER_COALESCED_MMIO, &e->zone))
		die("KVM_REGISTER_COALESCED_MMIO");
}

/* Denies MSRs from 0x174 on, in two ranges. */
static void fill_filter(void)
{
	memset(&e->filter, 0, sizeof(e->filter));
	memset(e->bits, 0, sizeof(e->bits));
	for (int i = 0; i < 2; i++) {
		e->filter.ranges[i].flags = KVM_MSR_FILTER_READ;
		e->filter.ranges[i].base = 0x174 + 64 * i;
		e->filter.ranges[i].nmsrs = 64;
		e->filter.ranges[i].bitmap = (u8 *)e->bits;
	}
}

static void user_filter(void)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_FILTER },
	};

	full();
	if (ioctl(e->vm.fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_X86_USER_SPACE_MSR");
}

static bool check_filter(void) { return probe_filter() == KVM_EXIT_X86_RDMSR; }

/* Of a 32-bit process: low addresses, pointers of 32 bits, by the old gate. */
struct filter32 {
	u32 flags;
	struct { u32 flags, nmsrs, base, bitmap; } ranges[16];
};

static void fill_filter32(void)
{
	struct filter32 *f;

	if (!e->arg)
		e->arg = (long)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_POPULATE, -1, 0);
	f = (void *)e->arg;
	memset(f, 0, 2 * PAGE);
	f->ranges[0].flags = KVM_MSR_FILTER_READ;
	f->ranges[0].base = 0x174;
	f->ranges[0].nmsrs = 64;
	f->ranges[0].bitmap = e->arg + PAGE;
}

static long call_filter32(void *arg)
{
	int r;

	asm volatile("int $0x80" : "=a"(r)
		     : "0"(54), "b"(e->vm.fd), "c"(_IOW(KVMIO, 0xc6, struct filter32)), "d"(e->arg)
		     : "memory", "r8", "r9", "r10", "r11");
	errno = r < 0 ? -r : 0;
	return r < 0 ? -1 : r;
}

static void fill_split(void)
{
	e->cap = (struct kvm_enable_cap){ .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
}

static void fill_vcpu_cap(void)
{
	e->cap = (struct kvm_enable_cap){ .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID };
}

static void fill_tss(void) { e->arg = 0xfeffd000; }
static void fill_identity(void) { e->words[0] = 0xfeffc000; }
static void fill_nr_mmu(void) { e->arg = 1000; }
static void fill_one(void) { e->arg = 1; }
static void fill_cap_number(void) { e->arg = KVM_CAP_USER_MEMORY; }
static void fill_khz(void) { e->arg = ioctl(e->vm.vcpu.fd, KVM_GET_TSC_KHZ, 0L); }
static void fill_pit(void) { e->pit = (struct kvm_pit_config){}; }
static void fill_reinject(void) { e->reinject = (struct kvm_reinject_control){ .pit_reinject = 1 }; }
static void fill_msi(void) { e->msi = (struct kvm_msi){ .address_lo = 0xfee00000, .data = 0x50 }; }
static void fill_line(void) { e->line = (struct kvm_irq_level){ .irq = GSI }; }
static void fill_interrupt(void) { e->interrupt.irq = 0x50; }
static void fill_debug(void) { memset(&e->debug, 0, sizeof(e->debug)); }
static void fill_translation(void) { e->translation.linear_address = GPA_CODE; }
static void fill_vapic(void) { e->vapic.vapic_addr = GPA_FREE; }
static void fill_tpr(void) { memset(&e->tpr, 0, sizeof(e->tpr)); }
static void fill_mce(void) { e->mce = (struct kvm_x86_mce){ .status = BIT(63), .bank = 1 }; }
static void fill_mcg(void) { e->words[0] = 4; }
static void fill_clock(void) { memset(e->buf, 0, sizeof(struct kvm_clock_data)); }

static void fill_mask(void)
{
	e->mask.len = 8;
	memset(e->mask.sigset, 0, 8);
}

static void full_kvmclock(void)
{
	full();
	if (vcpu_set_msr(&e->vm.vcpu, MSR_CLOCK, GPA_FREE | 1) != 1)
		die("kvmclock's MSR");
}

static void full_apic_on(void)
{
	full();
	if (ioctl(e->vm.vcpu.fd, KVM_GET_LAPIC, e->buf))
		die("KVM_GET_LAPIC");
	*(u32 *)(e->buf + 0xf0) = 0x1ff;
	if (ioctl(e->vm.vcpu.fd, KVM_SET_LAPIC, e->buf))
		die("KVM_SET_LAPIC");
}

/* An IPI by hypercall comes to the vcpu itself. */
static bool check_own_ipi(void)
{
	return run_probe(4, 10, 0, 0) >> 32 == 1;
}

/* SYSENTER_ESP as a register. */
static void fill_one_reg(void)
{
	e->bits[0] = 8;
	e->one_reg = (struct kvm_one_reg){
		.id = KVM_X86_REG_MSR(0x175ULL), .addr = (u64)e->bits,
	};
}

/* The guest has written, and userspace has seen all of it. */
static int in_ring;

static void full_ring(void)
{
	enum { BYTES = 64 << 10 };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { BYTES } };
	volatile struct kvm_dirty_gfn *ring;

	vm_open(&e->vm);
	if (ioctl(e->vm.fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_DIRTY_LOG_RING");
	vcpu_create(&e->vm, &e->vm.vcpu, 0);
	ready();
	add_extra(KVM_MEM_LOG_DIRTY_PAGES);
	touch_memory();
	ring = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, e->vm.vcpu.fd,
		    KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	if (ring == MAP_FAILED)
		die("mmap of the ring");
	for (in_ring = 0; ring[in_ring].flags & KVM_DIRTY_GFN_F_DIRTY; in_ring++)
		ring[in_ring].flags = KVM_DIRTY_GFN_F_RESET;
	if (in_ring < 64)
		die("%d entries in the ring", in_ring);
	munmap((void *)ring, BYTES);
}

/* How many entries it has taken back; 1: all, as they should be. */
static long call_reset_rings(void *arg)
{
	int r = ioctl(e->vm.fd, KVM_RESET_DIRTY_RINGS, 0L);

	return r == in_ring ? 1 : r;
}

/* Only nested paging has it: elsewhere it is refused, each time. */
static long call_pre_fault(void *arg)
{
	struct kvm_pre_fault_memory r = { .gpa = GPA_EXTRA, .size = EXTRA_SIZE / 4 };
	bool nested = ioctl(e->vm.fd, KVM_CHECK_EXTENSION, (long)KVM_CAP_PRE_FAULT_MEMORY) > 0;

	if (!ioctl(e->vm.vcpu.fd, KVM_PRE_FAULT_MEMORY, &r))
		return 0;		/* whether all of it, or up to where it failed */
	return !nested && errno == EOPNOTSUPP ? 0 : -1;
}

/* Only whether it could be: the debugging kernel has no VFIO, which the one device is of. */
static long call_create_device(void *arg)
{
	struct kvm_create_device c = { .type = KVM_DEV_TYPE_VFIO, .flags = KVM_CREATE_DEVICE_TEST };

	return ioctl(e->vm.fd, KVM_CREATE_DEVICE, &c) && errno != ENODEV ? -1 : 0;
}

/*
 * ---- what is not an ioctl ----
 */

static long call_open(void *arg) { return open("/dev/kvm", O_RDWR | O_CLOEXEC); }

static long call_mmap(void *arg)
{
	volatile u8 *p = mmap(NULL, e->vm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, e->vm.vcpu.fd, 0);

	if (p == MAP_FAILED)
		return -1;
	p[0] = p[PAGE] = 0;
	return munmap((void *)p, e->vm.run_size);
}

/* The kernel's memory of a slot, by the VM's descriptor. */
static long call_vm_mmap(void *arg)
{
	volatile u8 *p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, e->vm.fd, GPA_EXTRA);

	if (p == MAP_FAILED)
		return -1;
	for (u64 at = 0; at < LARGE; at += LARGE / 4)
		p[at] = 1;
	return munmap((void *)p, LARGE);
}

/* All that a VM can have. */
static void everything(void)
{
	full_irqfd();
	add_extra(KVM_MEM_LOG_DIRTY_PAGES);
	fill_zone();
	ioctl(e->vm.fd, KVM_REGISTER_COALESCED_MMIO, &e->zone);
	fill_filter();
	ioctl(e->vm.fd, KVM_X86_SET_MSR_FILTER, &e->filter);
	ioeventfd(0);
	e->ioeventfd.addr++;
	ioctl(e->vm.fd, KVM_IOEVENTFD, &e->ioeventfd);
	touch_memory();
}

static long call_close_vm(void *arg)
{
	munmap(e->vm.vcpu.run, e->vm.run_size);
	e->vm.vcpu.run = NULL;
	close_fd(&e->vm.vcpu.fd);
	close(e->vm.fd);
	e->vm.fd = 0;
	return 0;
}

static long call_close_eventfd(void *arg)
{
	close_fd(&e->efd);
	return 0;
}

static void full_stats(void)
{
	full();
	e->fd = ioctl(e->vm.vcpu.fd, KVM_GET_STATS_FD, 0L);
}

static long call_read_stats(void *arg) { return pread(e->fd, e->buf, 4096, 0); }

/*
 * ---- the calls ----
 */

/* The names are made here, as deeper they would be numbers already. */
#define CALL(table, name, cmd_, ...) { table, name, .cmd = cmd_, __VA_ARGS__ }
#define ROW(table, name, ...)	CALL(table, #name, name, __VA_ARGS__)
#define GETS(name, flags_)	CALL(VCPU, #name, name, .setup = full, .flags = REPEATS | (flags_))
#define SETS(name, from, flags_) \
	CALL(VCPU, #name, name, .setup = full, .get = from, .flags = REPEATS | (flags_))
#define DOES(name, fill_) \
	CALL(VCPU, #name, name, .setup = full, .fill = fill_, .flags = REPEATS | PURE)
#define OF_DEV(name, fill_, flags_) \
	CALL(DEV, #name, name, .setup = open_bare, .fill = fill_, .flags = REPEATS | (flags_))
#define OF_VM(name, fill_, flags_) \
	CALL(VM, #name, name, .setup = full, .fill = fill_, .flags = (flags_))
#define RUN(about_, setup_, check_) \
	{ OTHER, "KVM_RUN", about_, .setup = setup_, .check = check_, .flags = RUNS, .fn = call_run }
#define DO(name_, setup_, fn_, flags_) \
	{ OTHER, name_, .setup = setup_, .fn = fn_, .flags = flags_ }

const struct call calls[] = {
	OF_DEV(KVM_GET_API_VERSION, NULL, PURE),
	OF_DEV(KVM_CREATE_VM, NULL, NEW_MM | MAKES_FD),
	OF_DEV(KVM_CHECK_EXTENSION, fill_cap_number, PURE),
	OF_DEV(KVM_GET_VCPU_MMAP_SIZE, NULL, PURE),
	OF_DEV(KVM_GET_MSR_INDEX_LIST, fill_list, PURE),
	OF_DEV(KVM_GET_MSR_FEATURE_INDEX_LIST, fill_list, PURE),
	OF_DEV(KVM_GET_MSRS, fill_dev_msr, 0),
	OF_DEV(KVM_GET_SUPPORTED_CPUID, fill_nent, PURE),
	OF_DEV(KVM_GET_EMULATED_CPUID, fill_nent, PURE),
	OF_DEV(KVM_X86_GET_MCE_CAP_SUPPORTED, NULL, PURE),
	OF_DEV(KVM_HAS_DEVICE_ATTR, fill_dev_attr, PURE),
	OF_DEV(KVM_GET_DEVICE_ATTR, fill_dev_attr, PURE),

	OF_VM(KVM_IRQ_LINE, fill_line, PURE | REPEATS),
	OF_VM(KVM_IRQ_LINE_STATUS, fill_line, PURE | REPEATS),
	OF_VM(KVM_SIGNAL_MSI, fill_msi, PURE | REPEATS),
	ROW(VM, KVM_CREATE_VCPU, .setup = full_apic_on, .fill = fill_one, .check = check_own_ipi,
	    .flags = MAKES_FD),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "add", .setup = full_unslotted, .fill = fill_slot_add,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "add, logged, 5G", .setup = full, .fill = fill_slot_huge,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "move", .setup = full_logged, .fill = fill_slot_move,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "log", .setup = full_extra, .fill = fill_slot_logged,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "stop the log", .setup = full_dirty, .fill = fill_slot_add,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, .about = "delete", .setup = full_dirty, .fill = fill_slot_delete,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_USER_MEMORY_REGION2, .setup = full_unslotted, .fill = fill_slot2_add,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_MEMORY_REGION, .about = "add", .setup = full, .fill = fill_own_add, .probe = probe_slots,
	    .flags = MAPS),
	ROW(VM, KVM_SET_MEMORY_REGION, .about = "move", .setup = full_own, .fill = fill_own_move,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_MEMORY_REGION, .about = "log", .setup = full_own, .fill = fill_own_flags,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_MEMORY_REGION, .about = "delete", .setup = full_own, .fill = fill_own_delete,
	    .probe = probe_slots),
	ROW(VM, KVM_SET_MEMORY_ALIAS, .setup = full, .fill = fill_alias, .probe = probe_alias),
	ROW(VM, KVM_GET_DIRTY_LOG, .setup = full_dirty, .fill = fill_log, .check = check_log),
	ROW(VM, KVM_CLEAR_DIRTY_LOG, .setup = full_manual, .fill = fill_clear, .check = check_cleared),
	{ VM, "KVM_RESET_DIRTY_RINGS", .setup = full_ring, .fn = call_reset_rings, .flags = PURE, .want = 1 },
	{ VM, "KVM_CREATE_DEVICE", .setup = full, .fn = call_create_device, .flags = REPEATS | PURE },
	OF_VM(KVM_SET_NR_MMU_PAGES, fill_nr_mmu, PURE),
	OF_VM(KVM_GET_NR_MMU_PAGES, NULL, PURE | REPEATS),
	OF_VM(KVM_SET_TSS_ADDR, fill_tss, PURE | REPEATS),
	ROW(VM, KVM_SET_IDENTITY_MAP_ADDR, .setup = bare, .fill = fill_identity, .flags = PURE),
	ROW(VM, KVM_SET_BOOT_CPU_ID, .setup = bare, .fill = fill_one, .flags = PURE),
	OF_VM(KVM_GET_CLOCK, NULL, PURE | REPEATS),
	OF_VM(KVM_SET_CLOCK, fill_clock, PURE | REPEATS),
	ROW(VM, KVM_CREATE_IRQCHIP, .setup = bare, .probe = probe_chips),
	OF_VM(KVM_GET_IRQCHIP, fill_chip, REPEATS),
	ROW(VM, KVM_SET_IRQCHIP, .setup = full, .fill = fill_chip, .get = KVM_GET_IRQCHIP, .flags = REPEATS),
	ROW(VM, KVM_SET_GSI_ROUTING, .setup = full, .fill = fill_routing, .probe = probe_route,
	    .check = check_routing),
	ROW(VM, KVM_CREATE_PIT, .setup = with_chips, .probe = probe_chips),
	ROW(VM, KVM_CREATE_PIT2, .setup = with_chips, .fill = fill_pit, .probe = probe_chips),
	OF_VM(KVM_GET_PIT, NULL, PURE | REPEATS),
	ROW(VM, KVM_SET_PIT, .setup = full, .get = KVM_GET_PIT, .flags = PURE),
	OF_VM(KVM_GET_PIT2, NULL, PURE | REPEATS),
	ROW(VM, KVM_SET_PIT2, .setup = full, .get = KVM_GET_PIT2, .flags = PURE),
	OF_VM(KVM_REINJECT_CONTROL, fill_reinject, PURE | REPEATS),
	ROW(VM, KVM_IRQFD, .about = "assign", .setup = full_eventfds, .fill = fill_irqfd, .probe = probe_irqfd,
	    .check = check_irqfd),
	ROW(VM, KVM_IRQFD, .about = "assign, resampled", .setup = full_eventfds, .fill = fill_resample,
	    .probe = probe_irqfd, .check = check_irqfd),
	ROW(VM, KVM_IRQFD, .about = "deassign", .setup = full_irqfd, .fill = fill_deassign, .probe = probe_irqfd,
	    .flags = PURE),
	ROW(VM, KVM_IOEVENTFD, .about = "assign", .setup = full_eventfds, .fill = fill_ioeventfd,
	    .probe = probe_port, .check = check_taken),
	ROW(VM, KVM_IOEVENTFD, .about = "deassign", .setup = full_ioeventfd, .fill = fill_ioeventfd_gone,
	    .probe = probe_port, .check = check_exits),
	ROW(VM, KVM_REGISTER_COALESCED_MMIO, .setup = full, .fill = fill_zone, .probe = probe_port,
	    .check = check_taken),
	ROW(VM, KVM_UNREGISTER_COALESCED_MMIO, .setup = full_zone, .fill = fill_zone,
	    .probe = probe_port, .check = check_exits),
	ROW(VM, KVM_X86_SET_MSR_FILTER, .setup = user_filter, .fill = fill_filter,
	    .probe = probe_filter, .check = check_filter),
	{ OTHER, "KVM_X86_SET_MSR_FILTER", "32-bit", .setup = user_filter, .fill = fill_filter32,
	  .fn = call_filter32, .probe = probe_filter, .check = check_filter },
	OF_VM(KVM_CHECK_EXTENSION, fill_cap_number, PURE | REPEATS),
	ROW(VM, KVM_ENABLE_CAP, .setup = bare, .fill = fill_split, .flags = PURE),
	OF_VM(KVM_GET_STATS_FD, NULL, REPEATS | MAKES_FD),

	GETS(KVM_GET_REGS, 0),
	SETS(KVM_SET_REGS, KVM_GET_REGS, 0),
	GETS(KVM_GET_SREGS, 0),
	SETS(KVM_SET_SREGS, KVM_GET_SREGS, 0),
	GETS(KVM_GET_SREGS2, 0),
	SETS(KVM_SET_SREGS2, KVM_GET_SREGS2, 0),
	ROW(VCPU, KVM_INTERRUPT, .setup = user, .fill = fill_interrupt, .flags = PURE),
	ROW(VCPU, KVM_NMI, .setup = full, .flags = PURE),
	GETS(KVM_GET_FPU, 0),
	SETS(KVM_SET_FPU, KVM_GET_FPU, 0),
	GETS(KVM_GET_XSAVE, 0),
	GETS(KVM_GET_XSAVE2, 0),
	SETS(KVM_SET_XSAVE, KVM_GET_XSAVE, 0),
	GETS(KVM_GET_XCRS, 0),
	SETS(KVM_SET_XCRS, KVM_GET_XCRS, 0),
	GETS(KVM_GET_DEBUGREGS, PURE),
	SETS(KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS, PURE),
	GETS(KVM_GET_VCPU_EVENTS, PURE),
	SETS(KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS, PURE),
	GETS(KVM_GET_MP_STATE, PURE),
	SETS(KVM_SET_MP_STATE, KVM_GET_MP_STATE, PURE),
	DOES(KVM_SET_GUEST_DEBUG, fill_debug),
	DOES(KVM_TRANSLATE, fill_translation),
	ROW(VCPU, KVM_SET_VAPIC_ADDR, .setup = full_apic_on, .fill = fill_vapic, .check = check_own_ipi),
	ROW(VCPU, KVM_TPR_ACCESS_REPORTING, .setup = full_apic_on, .fill = fill_tpr,
	    .check = check_own_ipi),
	GETS(KVM_GET_LAPIC, 0),
	ROW(VCPU, KVM_SET_LAPIC, .setup = full_apic_on, .get = KVM_GET_LAPIC, .check = check_own_ipi),
	ROW(VCPU, KVM_X86_SETUP_MCE, .setup = full, .fill = fill_mcg, .flags = PURE),
	ROW(VCPU, KVM_X86_SET_MCE, .setup = full, .fill = fill_mce, .flags = PURE),
	DOES(KVM_HAS_DEVICE_ATTR, fill_vcpu_attr),
	DOES(KVM_GET_DEVICE_ATTR, fill_vcpu_attr),
	DOES(KVM_SET_DEVICE_ATTR, fill_vcpu_attr),
	DOES(KVM_ENABLE_CAP, fill_vcpu_cap),
	ROW(VCPU, KVM_GET_MSRS, .setup = full, .fill = fill_msr, .flags = REPEATS, .want = 1),
	ROW(VCPU, KVM_SET_MSRS, .setup = full, .fill = fill_msr, .want = 1),
	ROW(VCPU, KVM_SET_MSRS, .about = "asynchronous page faults", .setup = full,
	    .fill = fill_msr_apf, .check = check_apf, .want = 1),
	DOES(KVM_GET_ONE_REG, fill_one_reg),
	DOES(KVM_SET_ONE_REG, fill_one_reg),
	{ VCPU, "KVM_PRE_FAULT_MEMORY", .setup = full_extra, .fn = call_pre_fault, .flags = NESTED },
	ROW(VCPU, KVM_SET_CPUID, .setup = full, .fill = fill_cpuid, .flags = NEVER_RAN),
	ROW(VCPU, KVM_SET_CPUID2, .setup = full, .fill = fill_cpuid2, .flags = NEVER_RAN),
	ROW(VCPU, KVM_GET_CPUID2, .setup = full, .fill = fill_nent, .flags = PURE | REPEATS),
	DOES(KVM_SET_SIGNAL_MASK, fill_mask),
	DOES(KVM_GET_TSC_KHZ, NULL),
	DOES(KVM_SET_TSC_KHZ, fill_khz),
	ROW(VCPU, KVM_KVMCLOCK_CTRL, .setup = full_kvmclock, .flags = PURE),
	GETS(KVM_GET_STATS_FD, MAKES_FD),

	RUN("memory that is there", run_touch, check_touch),
	RUN("memory that is not", run_lazy, check_touch),
	RUN("changes of page tables", run_tables, check_tables),
	RUN("emulation", run_emulated, check_emulated),
	RUN("registers in kvm_run", run_sync, NULL),
	RUN("kvmclock's MSR", run_pv_clock, NULL),
	RUN("steal time's MSR", run_pv_steal, NULL),
	RUN("the EOI's MSR", run_pv_eoi, NULL),
	RUN("asynchronous page faults' MSR", run_pv_apf, NULL),
	RUN("an asynchronous page fault", run_async_pf, NULL),
	DO("open of /dev/kvm", open_bare, call_open, REPEATS | MAKES_FD),
	DO("mmap of a vcpu", full, call_mmap, REPEATS | NO_ALL),
	DO("mmap of a VM", full_own, call_vm_mmap, NO_ALL),
	DO("read of statistics", full_stats, call_read_stats, REPEATS | PURE),
	DO("close of a VM", everything, call_close_vm, ALWAYS_OK),
	DO("close of an irqfd", full_irqfd, call_close_eventfd, ALWAYS_OK),
};

const unsigned int nr_calls = ARRAY_LEN(calls);
