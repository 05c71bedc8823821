// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl of the three dispatch tables, and how its arguments are made: valid
 * ones first of all, which perturb() then makes their neighbours.
 */
#include <signal.h>
#include <stdio.h>
#include "ioctl.h"

u64 odd_value(struct rng *r)
{
	static const u64 odd[] = {
		0, 1, 2, 3, 7, 8, 0x1f, 0x20, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xfee00000, 0xfec00000,
		0xfffff000, 0x7fffffffffff, 0x800000000000, 0xffff800000000000,
		0x7fffffffffffffff, 0x8000000000000000, ~0ULL,
	};

	switch (below(r, 4)) {
	case 0:
		return rnd(r);
	case 1:
		return BIT(below(r, 64)) + below(r, 3) - 1;
	case 2:
		return rnd(r) % 0x1000;
	}
	return odd[below(r, ARRAY_LEN(odd))];
}

void perturb(struct rng *r, void *buf, size_t len)
{
	for (u32 i = 0, n = 1 + below(r, 3); i < n && len; i++) {
		size_t size = 1 << below(r, 4), at;
		u64 v = odd_value(r);

		if (size > len)
			size = 1;
		at = below(r, len / size) * size;
		if (one_in(r, 3))	/* one bit */
			((u8 *)buf)[at] ^= 1 << below(r, 8);
		else
			memcpy((u8 *)buf + at, &v, size);
	}
}

/* ---- arguments ---- */

#define MAKER(name) \
	static void name(struct rng *r, const struct row *row, struct arg *arg)

/* Begin a structure of @type at the start of the buffer. */
#define NEW(type)	({ arg->len = sizeof(type); memset(arg->buf, 0, sizeof(type)); \
			   (type *)arg->buf; })

/* No argument; seldom one. */
MAKER(none)
{
	arg->value = one_in(r, 8) ? odd_value(r) : 0;
}

/* A structure that is only written, or of which any bytes are meant. */
MAKER(plain)
{
	arg->len = _IOC_SIZE(row->cmd);
	memset(arg->buf, 0, arg->len);
}

MAKER(bytes)
{
	arg->len = _IOC_SIZE(row->cmd);
	for (size_t i = 0; i < arg->len; i++)
		arg->buf[i] = rnd(r);
}

/* What is there now, for a call that sets it. */
MAKER(state)
{
	plain(r, row, arg);
	ioctl(arg->fd, row->get, arg->buf);
}

/* For a vcpu that has a kvmclock, as nothing else here gives it one often enough. */
MAKER(clock_ctrl)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry entry; } on = {
		.head.nmsrs = 1, .entry = { 0x4b564d01, 0, (below(r, MEM_SIZE) & ~3ULL) | 1 },
	};

	none(r, row, arg);
	if (!one_in(r, 4))
		ioctl(arg->fd, KVM_SET_MSRS, &on);
}

MAKER(extension)
{
	arg->value = one_in(r, 8) ? odd_value(r) : below(r, 260);
}

MAKER(vcpu_id)
{
	arg->value = one_in(r, 8) ? odd_value(r) : below(r, 6);
}

MAKER(msr_list)
{
	struct kvm_msr_list *list = NEW(struct kvm_msr_list);

	list->nmsrs = one_in(r, 2) ? 1000 : below(r, 64);
	arg->len += list->nmsrs * 4;
}

static u32 some_msr(struct rng *r)
{
	static const u32 msrs[] = {
		0x10, 0x11, 0x12, 0x1b, 0x3a, 0x3b, 0x48, 0x8b, 0xce, 0xfe, 0x10a, 0x140, 0x174,
		0x175, 0x176, 0x179, 0x17a, 0x17b, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x258,
		0x26f, 0x277, 0x2ff, 0x400, 0x401, 0x402, 0x403, 0x480, 0x48c, 0x6e0, 0x800,
		0x802, 0x803, 0x808, 0x80b, 0x80d, 0x80f, 0x828, 0x830, 0x832, 0x838, 0x83e, 0x83f,
		0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101,
		0xc0000102, 0xc0000103, 0xc0010015, 0xc001001f, 0xc0010112, 0xc0010114, 0xc0010117,
		0xc0011029, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04,
		0x4b564d05, 0x4b564d06, 0x4b564d07,
	};

	if (one_in(r, 10))
		return rnd(r);
	if (one_in(r, 6))
		return (one_in(r, 2) ? 0xc0010000 : one_in(r, 2) ? 0xc0000000 : 0) + below(r, 0x900);
	return msrs[below(r, ARRAY_LEN(msrs))];
}

MAKER(msr_values)
{
	struct kvm_msrs *m = NEW(struct kvm_msrs);

	m->nmsrs = one_in(r, 10) ? below(r, 400) : 1 + below(r, 6);
	for (u32 i = 0; i < m->nmsrs; i++)
		m->entries[i] = (struct kvm_msr_entry){
			.index = some_msr(r),
			.data = one_in(r, 2) ? odd_value(r) : below(r, MEM_SIZE) | 1,
		};
	arg->len += m->nmsrs * sizeof(m->entries[0]);
}

MAKER(one_reg)
{
	struct kvm_one_reg *reg = NEW(struct kvm_one_reg);

	reg->id = KVM_X86_REG_MSR((u64)some_msr(r));
	if (one_in(r, 8))
		reg->id ^= BIT(below(r, 64));
	reg->addr = some_address(r);
}

MAKER(cpuid_list)
{
	struct kvm_cpuid2 *c = NEW(struct kvm_cpuid2);

	c->nent = one_in(r, 2) ? 256 : below(r, 80);
	arg->len += c->nent * sizeof(c->entries[0]);
}

MAKER(cpuid2)
{
	struct kvm_cpuid2 *c = NEW(struct kvm_cpuid2);

	c->nent = 256;
	ioctl(world.vm.sys, KVM_GET_SUPPORTED_CPUID, c);
	for (u32 i = 0; i < c->nent; i++)	/* x2APIC, TSC-deadline */
		if (c->entries[i].function == 1)
			c->entries[i].ecx |= rnd(r) & (BIT(21) | BIT(24));
	if (one_in(r, 4))
		c->nent = below(r, c->nent + 1);
	if (one_in(r, 3))
		perturb(r, c->entries, c->nent * sizeof(c->entries[0]));
	arg->len += c->nent * sizeof(c->entries[0]);
}

MAKER(cpuid)
{
	struct kvm_cpuid *c = NEW(struct kvm_cpuid);

	c->nent = below(r, 40);
	for (u32 i = 0; i < c->nent; i++)
		c->entries[i] = (struct kvm_cpuid_entry){
			.function = (one_in(r, 2) ? 0x80000000 : 0) + below(r, 0x20),
			.eax = rnd(r), .ebx = rnd(r), .ecx = rnd(r), .edx = rnd(r),
		};
	arg->len += c->nent * sizeof(c->entries[0]);
}

static u64 some_gpa(struct rng *r)
{
	if (one_in(r, 8))
		return odd_value(r);
	if (one_in(r, 4))
		return GPA_MMIO + (below(r, 16) << 12);
	return (u64)below(r, 2 * MEM_SIZE) & ~0xfffULL;
}

MAKER(user_region)
{
	struct kvm_userspace_memory_region *m = NEW(struct kvm_userspace_memory_region);

	m->slot = below(r, 6);
	m->flags = one_in(r, 3) ? below(r, 4) : KVM_MEM_LOG_DIRTY_PAGES;
	m->guest_phys_addr = some_gpa(r);
	m->memory_size = one_in(r, 4) ? 0 : (1 + below(r, 300)) << 12;
	m->userspace_addr = some_address(r) & ~0xfffULL;
	if (one_in(r, 4)) {	/* slot 0 as it was, for another flag or place */
		m->slot = 0;
		m->guest_phys_addr = one_in(r, 2) ? 0 : some_gpa(r);
		m->memory_size = MEM_SIZE;
		m->userspace_addr = (uintptr_t)world.vm.mem;
	}
}

MAKER(user_region2)
{
	struct kvm_userspace_memory_region2 *m;

	user_region(r, row, arg);
	m = (void *)arg->buf;
	memset((u8 *)m + arg->len, 0, sizeof(*m) - arg->len);
	arg->len = sizeof(*m);
	if (one_in(r, 4)) {
		m->flags |= KVM_MEM_GUEST_MEMFD;
		m->guest_memfd = some_fd(r, EVENT);
	}
}

MAKER(kernel_region)
{
	struct kvm_memory_region *m = NEW(struct kvm_memory_region);

	m->slot = 1 + below(r, 6);
	m->flags = below(r, 2);
	m->guest_phys_addr = MEM_SIZE + some_gpa(r);
	m->memory_size = one_in(r, 4) ? 0 : (1 + below(r, 64)) << 12;
}

MAKER(alias)
{
	struct kvm_memory_alias *a = NEW(struct kvm_memory_alias);

	a->slot = below(r, 4);
	a->guest_phys_addr = 2 * MEM_SIZE + some_gpa(r);
	a->memory_size = one_in(r, 4) ? 0 : (1 + below(r, 64)) << 12;
	a->target_phys_addr = some_gpa(r);
}

MAKER(get_log)
{
	struct kvm_dirty_log *l = NEW(struct kvm_dirty_log);

	l->slot = one_in(r, 4) ? below(r, 6) : 0;
	l->padding2 = some_address(r);
}

MAKER(clear_log)
{
	struct kvm_clear_dirty_log *l = NEW(struct kvm_clear_dirty_log);

	l->slot = one_in(r, 4) ? below(r, 6) : 0;
	l->first_page = below(r, 16) * 64;
	l->num_pages = one_in(r, 4) ? 1024 - l->first_page : below(r, 16) * 64;
	l->padding2 = some_address(r);
}

MAKER(nr_pages)
{
	arg->value = one_in(r, 8) ? odd_value(r) : 64 + below(r, 200);
}

MAKER(tss_addr)
{
	arg->value = one_in(r, 4) ? odd_value(r) : (u64)below(r, 0xfffff) << 12;
}

MAKER(page_addr)
{
	*NEW(u64) = (u64)below(r, 0xfffff) << 12;
}

MAKER(clock_data)
{
	struct kvm_clock_data *c = NEW(struct kvm_clock_data);

	ioctl(arg->fd, KVM_GET_CLOCK, c);
	c->flags = one_in(r, 2) ? 0 : KVM_CLOCK_REALTIME;
}

MAKER(irqchip)
{
	struct kvm_irqchip *c = NEW(struct kvm_irqchip);

	c->chip_id = below(r, 3);
	if (row->get)
		ioctl(arg->fd, KVM_GET_IRQCHIP, c);
}

MAKER(pit_config)
{
	NEW(struct kvm_pit_config)->flags = below(r, 2);
}

MAKER(reinject)
{
	NEW(struct kvm_reinject_control)->pit_reinject = below(r, 2);
}

static u32 some_gsi(struct rng *r)
{
	return one_in(r, 10) ? odd_value(r) : below(r, 28);
}

MAKER(irq_line)
{
	struct kvm_irq_level *l = NEW(struct kvm_irq_level);

	l->irq = some_gsi(r);
	l->level = below(r, 2);
}

MAKER(routing)
{
	struct kvm_irq_routing *t = NEW(struct kvm_irq_routing);

	t->nr = one_in(r, 12) ? below(r, 1000) : below(r, 30);
	for (u32 i = 0; i < t->nr; i++) {
		struct kvm_irq_routing_entry *e = &t->entries[i];

		memset(e, 0, sizeof(*e));
		e->gsi = i;
		e->type = KVM_IRQ_ROUTING_MSI;
		if (i < 24 && !one_in(r, 3)) {
			e->type = KVM_IRQ_ROUTING_IRQCHIP;
			e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
			e->u.irqchip.pin = i;
		} else {
			e->u.msi.address_lo = 0xfee00000 | below(r, 4) << 12;
			e->u.msi.data = below(r, 256);
		}
	}
	arg->len += t->nr * sizeof(t->entries[0]);
}

MAKER(msi)
{
	struct kvm_msi *m = NEW(struct kvm_msi);

	m->address_lo = 0xfee00000 | below(r, 4) << 12 | (below(r, 4) << 2);
	m->data = below(r, 256) | (one_in(r, 4) ? below(r, 8) << 8 : 0);
}

MAKER(irqfd)
{
	struct kvm_irqfd *i = NEW(struct kvm_irqfd);

	i->fd = some_fd(r, EVENT);
	i->gsi = some_gsi(r);
	i->flags = one_in(r, 3) ? KVM_IRQFD_FLAG_DEASSIGN : below(r, 4);
	i->resamplefd = some_fd(r, EVENT);
}

MAKER(ioeventfd)
{
	struct kvm_ioeventfd *e = NEW(struct kvm_ioeventfd);

	e->flags = one_in(r, 4) ? rnd(r) & 7 : below(r, 4);
	e->len = one_in(r, 3) ? 0 : 1 << below(r, 4);
	e->addr = e->flags & KVM_IOEVENTFD_FLAG_PIO ? below(r, 8) : GPA_MMIO + below(r, 4) * 8;
	e->datamatch = below(r, 4);
	e->fd = some_fd(r, EVENT);
}

MAKER(zone)
{
	struct kvm_coalesced_mmio_zone *z = NEW(struct kvm_coalesced_mmio_zone);

	z->pio = below(r, 2);
	z->addr = z->pio ? below(r, 8) : GPA_MMIO + below(r, 4) * 8;
	z->size = 1 + below(r, 4096);
}

MAKER(msr_filter)
{
	struct kvm_msr_filter *f = NEW(struct kvm_msr_filter);

	f->flags = below(r, 2);
	for (u32 i = 0, n = below(r, 4); i < n; i++) {
		struct kvm_msr_filter_range *range = &f->ranges[below(r, 16)];

		range->flags = 1 + below(r, 3);
		range->base = some_msr(r);
		range->nmsrs = one_in(r, 8) ? odd_value(r) : 1 + below(r, 0x600);
		range->bitmap = (u8 *)(uintptr_t)some_address(r);
	}
}

MAKER(vm_cap)
{
	static const struct { u16 cap; u64 mask; } caps[] = {
		{ KVM_CAP_EXCEPTION_PAYLOAD, 1 }, { KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
		{ KVM_CAP_X86_USER_SPACE_MSR, 7 }, { KVM_CAP_MSR_PLATFORM_INFO, 1 },
		{ KVM_CAP_DISABLE_QUIRKS, 0xff }, { KVM_CAP_SPLIT_IRQCHIP, 31 },
		{ KVM_CAP_SPLIT_IRQCHIP, 24 }, { KVM_CAP_HALT_POLL, 0xffff },
		{ KVM_CAP_DISABLE_QUIRKS2, 0xff }, { KVM_CAP_EXIT_HYPERCALL, BIT(12) },
		{ KVM_CAP_X86_DISABLE_EXITS, 15 }, { KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3 },
		{ KVM_CAP_X2APIC_API, 3 }, { KVM_CAP_MAX_VCPU_ID, 15 },
		{ KVM_CAP_DIRTY_LOG_RING, 0x5000 }, { KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0x301000 },
		{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1 }, { KVM_CAP_X86_APIC_BUS_CYCLES_NS, 0x7fffff },
	};
	struct kvm_enable_cap *c = NEW(struct kvm_enable_cap);
	u32 i = below(r, ARRAY_LEN(caps));

	c->cap = one_in(r, 10) ? below(r, 260) : caps[i].cap;
	c->args[0] = rnd(r) & caps[i].mask;
}

MAKER(vcpu_cap)
{
	struct kvm_enable_cap *c = NEW(struct kvm_enable_cap);

	c->cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
	c->args[0] = below(r, 2);
}

MAKER(vector)
{
	NEW(struct kvm_interrupt)->irq = below(r, 256);
}

MAKER(guest_debug)
{
	struct kvm_guest_debug *d = NEW(struct kvm_guest_debug);

	d->control = one_in(r, 4) ? 0 : 1 | (rnd(r) & 0x3f0002);
	for (u32 i = 0; i < 4; i++)
		d->arch.debugreg[i] = GPA_CODE + below(r, 64);
	d->arch.debugreg[7] = one_in(r, 2) ? odd_value(r) : 0x400 | below(r, 256);
}

MAKER(translation)
{
	NEW(struct kvm_translation)->linear_address = some_gpa(r) + below(r, 4096);
}

MAKER(pre_fault)
{
	struct kvm_pre_fault_memory *p = NEW(struct kvm_pre_fault_memory);

	p->gpa = some_gpa(r);
	p->size = (1 + below(r, 300)) << 12;
}

MAKER(vapic)
{
	NEW(struct kvm_vapic_addr)->vapic_addr = one_in(r, 4) ? 0 : some_gpa(r) + (below(r, 1024) << 2);
}

MAKER(tpr_access)
{
	NEW(struct kvm_tpr_access_ctl)->enabled = below(r, 2);
}

MAKER(mce_cap)
{
	*NEW(u64) = BIT(8) | below(r, 33) | (one_in(r, 2) ? BIT(24) : 0);
}

MAKER(mce)
{
	struct kvm_x86_mce *m = NEW(struct kvm_x86_mce);

	m->status = BIT(63) | (one_in(r, 2) ? BIT(61) : 0) | (rnd(r) & 0x1fffffffffffffff);
	m->addr = odd_value(r);
	m->mcg_status = below(r, 8);
	m->bank = below(r, 12);
}

MAKER(dev_attr)
{
	struct kvm_device_attr *a = NEW(struct kvm_device_attr);

	a->group = 0;
	a->attr = 0;	/* KVM_X86_XCOMP_GUEST_SUPP, KVM_VCPU_TSC_OFFSET */
	a->addr = some_address(r);
}

MAKER(device)
{
	struct kvm_create_device *d = NEW(struct kvm_create_device);

	d->type = KVM_DEV_TYPE_VFIO;
	d->flags = one_in(r, 4) ? KVM_CREATE_DEVICE_TEST : 0;
}

/* No file of VFIO's is there: each is to be refused. */
MAKER(vfio_attr)
{
	struct kvm_device_attr *a = NEW(struct kvm_device_attr);

	a->group = KVM_DEV_VFIO_FILE;
	a->attr = 1 + below(r, 3);
	a->addr = some_address(r);
}

MAKER(signal_mask)
{
	struct kvm_signal_mask *m = NEW(struct kvm_signal_mask);
	u64 mask = rnd(r) & ~BIT(SIGUSR1 - 1);	/* which ends a guest that loops */

	m->len = one_in(r, 10) ? odd_value(r) : 8;
	memcpy(m->sigset, &mask, sizeof(mask));
	arg->len += 8;
}

MAKER(tsc_khz)
{
	arg->value = one_in(r, 3) ? odd_value(r) : one_in(r, 2) ? 0 : ioctl(arg->fd, KVM_GET_TSC_KHZ);
}

/* ---- what is not an ioctl: ioctl-acts.c ---- */

long act_close(struct rng *r), act_dup(struct rng *r), act_fork(struct rng *r), act_exec(struct rng *r);
long act_end(struct rng *r), act_map_vcpu(struct rng *r), act_unmap(struct rng *r);
long act_protect(struct rng *r), act_write_run(struct rng *r), act_write_guest(struct rng *r);
long act_advise(struct rng *r), act_arena(struct rng *r), act_map_vm(struct rng *r);
long act_eventfd(struct rng *r), act_signal_event(struct rng *r), act_read(struct rng *r);
long act_poll(struct rng *r), act_signal(struct rng *r), act_move(struct rng *r), act_wait(struct rng *r);
long act_map_ring(struct rng *r), act_write_ring(struct rng *r);

/* tests/api-doc compares the first three parts with kvm_main.c. */
#define ROW(on, cmd, make, subject)		{ on, subject, cmd, 0, #cmd, make, NULL }
#define SETS(on, cmd, get, subject)		{ on, subject, cmd, get, #cmd, state, NULL }
#define DOES(name, subject)			{ ACT, subject, 0, 0, #name, NULL, act_##name }

const struct row rows[] = {
	ROW(DEV, KVM_GET_API_VERSION, none, ANY),
	ROW(DEV, KVM_CREATE_VM, none, LIFE),
	ROW(DEV, KVM_CHECK_EXTENSION, extension, ANY),
	ROW(DEV, KVM_GET_VCPU_MMAP_SIZE, none, ANY),
	ROW(DEV, KVM_GET_MSR_INDEX_LIST, msr_list, ANY),
	ROW(DEV, KVM_GET_MSR_FEATURE_INDEX_LIST, msr_list, ANY),
	ROW(DEV, KVM_GET_MSRS, msr_values, ANY),
	ROW(DEV, KVM_GET_SUPPORTED_CPUID, cpuid_list, ANY),
	ROW(DEV, KVM_GET_EMULATED_CPUID, cpuid_list, ANY),
	ROW(DEV, KVM_X86_GET_MCE_CAP_SUPPORTED, plain, ANY),
	ROW(DEV, KVM_HAS_DEVICE_ATTR, dev_attr, ANY),
	ROW(DEV, KVM_GET_DEVICE_ATTR, dev_attr, ANY),

	ROW(VM, KVM_IRQ_LINE, irq_line, IRQ),
	ROW(VM, KVM_IRQ_LINE_STATUS, irq_line, IRQ),
	ROW(VM, KVM_SIGNAL_MSI, msi, IRQ),
	ROW(VM, KVM_CREATE_VCPU, vcpu_id, LIFE),
	ROW(VM, KVM_CREATE_DEVICE, device, LIFE),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, user_region, MEM),
	ROW(VM, KVM_SET_USER_MEMORY_REGION2, user_region2, MEM),
	ROW(VM, KVM_SET_MEMORY_REGION, kernel_region, MEM),
	ROW(VM, KVM_SET_MEMORY_ALIAS, alias, MEM),
	ROW(VM, KVM_GET_DIRTY_LOG, get_log, MEM),
	ROW(VM, KVM_CLEAR_DIRTY_LOG, clear_log, MEM),
	ROW(VM, KVM_RESET_DIRTY_RINGS, none, MEM),
	ROW(VM, KVM_SET_NR_MMU_PAGES, nr_pages, MEM),
	ROW(VM, KVM_GET_NR_MMU_PAGES, none, MEM),
	ROW(VM, KVM_SET_TSS_ADDR, tss_addr, LIFE),
	ROW(VM, KVM_SET_IDENTITY_MAP_ADDR, page_addr, LIFE),
	ROW(VM, KVM_SET_BOOT_CPU_ID, vcpu_id, LIFE),
	ROW(VM, KVM_GET_CLOCK, plain, TIME),
	ROW(VM, KVM_SET_CLOCK, clock_data, TIME),
	ROW(VM, KVM_CREATE_IRQCHIP, none, IRQ),
	ROW(VM, KVM_GET_IRQCHIP, irqchip, IRQ),
	{ VM, IRQ, KVM_SET_IRQCHIP, KVM_GET_IRQCHIP, "KVM_SET_IRQCHIP", irqchip, NULL },
	ROW(VM, KVM_SET_GSI_ROUTING, routing, IRQ),
	ROW(VM, KVM_CREATE_PIT, none, IRQ),
	ROW(VM, KVM_CREATE_PIT2, pit_config, IRQ),
	ROW(VM, KVM_GET_PIT, plain, IRQ),
	SETS(VM, KVM_SET_PIT, KVM_GET_PIT, IRQ),
	ROW(VM, KVM_GET_PIT2, plain, IRQ),
	SETS(VM, KVM_SET_PIT2, KVM_GET_PIT2, IRQ),
	ROW(VM, KVM_REINJECT_CONTROL, reinject, IRQ),
	ROW(VM, KVM_IRQFD, irqfd, IRQ),
	ROW(VM, KVM_IOEVENTFD, ioeventfd, IRQ),
	ROW(VM, KVM_REGISTER_COALESCED_MMIO, zone, IRQ),
	ROW(VM, KVM_UNREGISTER_COALESCED_MMIO, zone, IRQ),
	ROW(VM, KVM_X86_SET_MSR_FILTER, msr_filter, MSR),
	ROW(VM, KVM_CHECK_EXTENSION, extension, ANY),
	ROW(VM, KVM_ENABLE_CAP, vm_cap, LIFE),
	ROW(VM, KVM_GET_STATS_FD, none, LIFE),

	ROW(VCPU, KVM_RUN, none, LIFE),
	ROW(VCPU, KVM_DEBUG_GUEST, bytes, ANY),
	ROW(VCPU, KVM_GET_REGS, plain, STATE),
	SETS(VCPU, KVM_SET_REGS, KVM_GET_REGS, STATE),
	ROW(VCPU, KVM_GET_SREGS, plain, STATE),
	SETS(VCPU, KVM_SET_SREGS, KVM_GET_SREGS, STATE),
	ROW(VCPU, KVM_GET_SREGS2, plain, STATE),
	SETS(VCPU, KVM_SET_SREGS2, KVM_GET_SREGS2, STATE),
	ROW(VCPU, KVM_INTERRUPT, vector, IRQ),
	ROW(VCPU, KVM_NMI, none, IRQ),
	ROW(VCPU, KVM_GET_FPU, plain, STATE),
	SETS(VCPU, KVM_SET_FPU, KVM_GET_FPU, STATE),
	ROW(VCPU, KVM_GET_XSAVE, plain, STATE),
	ROW(VCPU, KVM_GET_XSAVE2, plain, STATE),
	SETS(VCPU, KVM_SET_XSAVE, KVM_GET_XSAVE, STATE),
	ROW(VCPU, KVM_GET_XCRS, plain, STATE),
	SETS(VCPU, KVM_SET_XCRS, KVM_GET_XCRS, STATE),
	ROW(VCPU, KVM_GET_DEBUGREGS, plain, STATE),
	SETS(VCPU, KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS, STATE),
	ROW(VCPU, KVM_GET_VCPU_EVENTS, plain, STATE),
	SETS(VCPU, KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS, STATE),
	ROW(VCPU, KVM_GET_MP_STATE, plain, STATE),
	SETS(VCPU, KVM_SET_MP_STATE, KVM_GET_MP_STATE, STATE),
	ROW(VCPU, KVM_SET_GUEST_DEBUG, guest_debug, STATE),
	ROW(VCPU, KVM_TRANSLATE, translation, MEM),
	ROW(VCPU, KVM_PRE_FAULT_MEMORY, pre_fault, MEM),
	ROW(VCPU, KVM_SET_VAPIC_ADDR, vapic, IRQ),
	ROW(VCPU, KVM_TPR_ACCESS_REPORTING, tpr_access, IRQ),
	ROW(VCPU, KVM_GET_LAPIC, plain, IRQ),
	SETS(VCPU, KVM_SET_LAPIC, KVM_GET_LAPIC, IRQ),
	ROW(VCPU, KVM_X86_SETUP_MCE, mce_cap, MSR),
	ROW(VCPU, KVM_X86_SET_MCE, mce, MSR),
	ROW(VCPU, KVM_HAS_DEVICE_ATTR, dev_attr, TIME),
	ROW(VCPU, KVM_GET_DEVICE_ATTR, dev_attr, TIME),
	ROW(VCPU, KVM_SET_DEVICE_ATTR, dev_attr, TIME),
	ROW(VCPU, KVM_ENABLE_CAP, vcpu_cap, MSR),
	ROW(VCPU, KVM_GET_MSRS, msr_values, MSR),
	ROW(VCPU, KVM_SET_MSRS, msr_values, MSR),
	ROW(VCPU, KVM_GET_ONE_REG, one_reg, MSR),
	ROW(VCPU, KVM_SET_ONE_REG, one_reg, MSR),
	ROW(VCPU, KVM_SET_CPUID, cpuid, MSR),
	ROW(VCPU, KVM_SET_CPUID2, cpuid2, MSR),
	ROW(VCPU, KVM_GET_CPUID2, cpuid_list, MSR),
	ROW(VCPU, KVM_SET_SIGNAL_MASK, signal_mask, LIFE),
	ROW(VCPU, KVM_GET_TSC_KHZ, none, TIME),
	ROW(VCPU, KVM_SET_TSC_KHZ, tsc_khz, TIME),
	ROW(VCPU, KVM_KVMCLOCK_CTRL, clock_ctrl, TIME),
	ROW(VCPU, KVM_GET_STATS_FD, none, LIFE),

	ROW(DEVICE, KVM_HAS_DEVICE_ATTR, vfio_attr, LIFE),
	ROW(DEVICE, KVM_GET_DEVICE_ATTR, vfio_attr, LIFE),
	ROW(DEVICE, KVM_SET_DEVICE_ATTR, vfio_attr, LIFE),

	DOES(close, LIFE),
	DOES(dup, LIFE),
	DOES(fork, LIFE),
	DOES(map_vcpu, LIFE),
	DOES(map_ring, MEM),
	DOES(write_ring, MEM),
	DOES(unmap, LIFE),
	DOES(protect, MEM),
	DOES(write_run, STATE),
	DOES(write_guest, MEM),
	DOES(advise, MEM),
	DOES(arena, MEM),
	DOES(map_vm, MEM),
	DOES(eventfd, IRQ),
	DOES(signal_event, IRQ),
	DOES(read, LIFE),
	DOES(poll, LIFE),
	DOES(signal, LIFE),
	DOES(move, LIFE),
	DOES(wait, ANY),
	DOES(exec, LIFE),	/* last, as these two may be */
	DOES(end, LIFE),
};

const u32 nr_rows = ARRAY_LEN(rows);
_Static_assert(ARRAY_LEN(rows) <= MAX_ROWS, "MAX_ROWS");

const char *row_name(u32 row, char *buf, size_t size)
{
	static const char * const on[] = { "/dev/kvm", "VM", "vcpu", "device", "", "", "", "process" };

	snprintf(buf, size, "%s on %s", rows[row].name, on[rows[row].on]);
	return buf;
}
