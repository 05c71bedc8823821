// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines and states for the guest fuzzer.  Each state starts out as one that an
 * operating system could have made, in one of the modes; then some of it is changed.
 */
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "guest.h"

#define CR4_VME		BIT(0)
#define CR4_UMIP	BIT(11)
#define CR4_PCIDE	BIT(17)

/*
 * ---- memory ----
 */

/* Where a guest may look: each kind of memory, and none. */
u64 pick_gpa(struct rng *r, int v)
{
	u64 region = GPA_REGION(one_in(r, 8) ? below(r, MAX_VCPUS) : v), gpa;

	switch (below(r, 16)) {
	case 0:
		gpa = region + R_GDT + below(r, 0x5000);
		break;
	case 1:
		gpa = region + R_PT + below(r, 0x7000);
		break;
	case 2:
		gpa = region + R_CODE + below(r, 0x1000);
		break;
	case 3:
		gpa = GPA_VGA + below(r, GPA_ROM - GPA_VGA);
		break;
	case 4:
	case 5:
		gpa = GPA_MMIO + below(r, 0x3000);
		break;
	case 6:
		gpa = GPA_ROM + below(r, ROM_SIZE);
		break;
	case 7:
		gpa = GPA_APIC + (one_in(r, 4) ? below(r, 0x1000) : below(r, 0x40) * 16);
		break;
	case 8:
		gpa = GPA_IOAPIC + below(r, 0x50);
		break;
	case 9:
		gpa = GPA_ODD + below(r, ODD_SIZE + 0x1000);
		break;
	case 10:
		gpa = PICK(r, ((u64[]){ 0xfeffd000, 0xfffffff0, 0x100000000, 0x3ffff8, 0x400000, MEM_SIZE - 2,
					0xfffffffff000, 0x8000000000000, 0x7fffffffe000, 0 }));
		break;
	case 11:					/* across a border */
		gpa = PICK(r, ((u64[]){ region + R_BORDER, GPA_VGA, GPA_ROM, GPA_HIGH, GPA_ODD,
					GPA_ODD + ODD_SIZE, GPA_HOLE, GPA_APIC, GPA_APIC + 0x1000 }));
		return gpa - 1 - below(r, 16);
	default:
		gpa = region + R_DATA + below(r, 0x4000);
	}
	return one_in(r, 3) ? gpa : gpa & ~7ULL;
}

/* Userspace's address of guest memory, or NULL. */
u8 *machine_mem(struct machine *m, u64 gpa, u32 len)
{
	if (gpa + len <= GPA_VGA || (gpa >= GPA_HIGH && gpa + len <= MEM_SIZE))
		return m->vm.mem + gpa;
	if (gpa >= GPA_ROM && gpa + len <= GPA_ROM + ROM_SIZE)
		return m->rom + (gpa - GPA_ROM);
	if (gpa >= GPA_ODD && gpa + len <= GPA_HOLE)
		return m->odd + (gpa - GPA_ODD);
	return NULL;
}

static void make_memory(struct machine *m)
{
	struct vm *vm = &m->vm;

	m->rom = xmmap(ROM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	m->odd = xmmap(ODD_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	munmap(m->odd + (GPA_HOLE - GPA_ODD), 0x2000);
	if (vm_slot(vm, 0, 0, 0, 0, vm->mem) ||
	    vm_slot(vm, 0, 0, 0, GPA_VGA, vm->mem) ||
	    vm_slot(vm, 1, 0, GPA_HIGH, MEM_SIZE - GPA_HIGH, vm->mem + GPA_HIGH) ||
	    vm_slot(vm, 2, KVM_MEM_READONLY, GPA_ROM, ROM_SIZE, m->rom) ||
	    vm_slot(vm, 3, KVM_MEM_LOG_DIRTY_PAGES, GPA_ODD, ODD_SIZE, m->odd))
		die("the slots");
	/* What SIPI starts: IN, so that it exits, and a halt. */
	for (int i = 0; i < 8; i++)
		memcpy(vm->mem + GPA_SIPI + i * 0x1000, "\xe4\x80\xfb\xf4\xeb\xfd", 6);
	/* Real mode's vectors, all to one IRET. */
	for (int i = 0; i < 256; i++)
		((u32 *)vm->mem)[i] = 0x600;
	vm->mem[0x600] = 0xcf;
}

/*
 * ---- machines ----
 */

static void enable(int fd, u32 cap, u64 arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	ioctl(fd, KVM_ENABLE_CAP, &c);		/* what one vendor or irqchip lacks is refused */
}

/* All MSRs to userspace, or some denied. */
static void filter_msrs(struct machine *m, struct rng *r)
{
	static u8 bitmap[0x100];
	struct kvm_msr_filter f = { .flags = below(r, 2) };
	static const u32 bases[] = { 0x10, 0x174, 0x800, 0xc0000080, 0x4b564d00, 0x200 };

	memset(bitmap, rnd(r), sizeof(bitmap));
	for (u32 i = 0; i < 3; i++)
		f.ranges[i] = (struct kvm_msr_filter_range){
			.flags = 1 + below(r, 3), .base = PICK(r, bases), .nmsrs = 1 + below(r, 0x200),
			.bitmap = bitmap,
		};
	ioctl(m->vm.fd, KVM_X86_SET_MSR_FILTER, &f);
}

static void ask_capabilities(struct machine *m, struct rng *r)
{
	int fd = m->vm.fd;

	if (one_in(r, 3))
		enable(fd, KVM_CAP_X86_DISABLE_EXITS, below(r, 16));
	if (one_in(r, 2))
		enable(fd, KVM_CAP_X2APIC_API, below(r, 4));
	if (one_in(r, 3))
		enable(fd, KVM_CAP_EXCEPTION_PAYLOAD, 1);
	if (one_in(r, 3))
		enable(fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
	if (one_in(r, 3))
		enable(fd, KVM_CAP_X86_USER_SPACE_MSR, below(r, 8));
	if (one_in(r, 4))
		filter_msrs(m, r);
	if (one_in(r, 3))
		enable(fd, KVM_CAP_DISABLE_QUIRKS2, below(r, 0x80));
	if (one_in(r, 3))
		enable(fd, KVM_CAP_EXIT_HYPERCALL, BIT(12));
	if (one_in(r, 4))
		enable(fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	if (one_in(r, 4))
		enable(fd, KVM_CAP_HALT_POLL, below(r, 200000));
}

/* Doorbells, a ring of coalesced writes, and a route: devices that need no exit. */
static void make_devices(struct machine *m, struct rng *r)
{
	struct kvm_coalesced_mmio_zone z = { .addr = GPA_MMIO + 0x2000, .size = 0x1000 };
	struct kvm_ioeventfd bell = { .addr = GPA_MMIO + 0x800, .len = 4 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (one_in(r, 2))
		ioctl(m->vm.fd, KVM_REGISTER_COALESCED_MMIO, &z);
	bell.fd = fd;
	if (one_in(r, 2))
		ioctl(m->vm.fd, KVM_IOEVENTFD, &bell);
	bell = (struct kvm_ioeventfd){ .addr = 0x510, .len = 2, .fd = fd, .flags = KVM_IOEVENTFD_FLAG_PIO };
	if (one_in(r, 2))
		ioctl(m->vm.fd, KVM_IOEVENTFD, &bell);
	if (fd >= 0)
		close(fd);		/* a doorbell holds its own reference */
}

/* What is supported, but for a few bits now and then. */
static void set_cpuid(struct machine *m, struct vcpu *vcpu, struct rng *r)
{
	struct kvm_cpuid2 *c = supported_cpuid(m->vm.sys);

	for (u32 i = 0; m->irqchip && i < c->nent; i++)
		if (c->entries[i].function == 1)
			c->entries[i].ecx |= BIT(21) | BIT(24);
	for (u32 n = one_in(r, 3) ? below(r, 8) : 0; n; n--) {
		struct kvm_cpuid_entry2 *e = &c->entries[below(r, c->nent)];
		u32 *reg = (u32 *[]){ &e->eax, &e->ebx, &e->ecx, &e->edx }[below(r, 4)];

		*reg &= ~BIT(below(r, 32));
	}
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, c) && errno != EINVAL)
		die("KVM_SET_CPUID2");
	free(c);
}

void machine_create(struct machine *m, struct rng *r)
{
	struct kvm_pit_config pit = { .flags = below(r, 2) };
	u32 chip = below(r, 4);

	memset(m, 0, sizeof(*m));
	vm_open(&m->vm);
	m->irqchip = chip > 0;
	if (chip == 1)
		enable(m->vm.fd, KVM_CAP_SPLIT_IRQCHIP, 24);
	else if (chip && ioctl(m->vm.fd, KVM_CREATE_IRQCHIP))
		die("KVM_CREATE_IRQCHIP");
	if (chip > 1 && ioctl(m->vm.fd, KVM_CREATE_PIT2, &pit))
		die("KVM_CREATE_PIT2");
	ask_capabilities(m, r);
	make_memory(m);
	make_devices(m, r);
	m->nr = one_in(r, 2) ? 1 : 2 + below(r, MAX_VCPUS - 1);
	for (int v = 0; v < m->nr; v++) {
		vcpu_create(&m->vm, &m->vcpu[v], v);
		set_cpuid(m, &m->vcpu[v], r);
		m->stats_fd[v] = ioctl(m->vcpu[v].fd, KVM_GET_STATS_FD, NULL);
		if (m->stats_fd[v] < 0)
			die("KVM_GET_STATS_FD");
	}
	m->vm.vcpu = m->vcpu[0];
}

void machine_destroy(struct machine *m)
{
	for (int v = 1; v < m->nr; v++) {
		munmap(m->vcpu[v].run, m->vm.run_size);
		close(m->vcpu[v].fd);
	}
	for (int v = 0; v < m->nr; v++)
		close(m->stats_fd[v]);
	vm_destroy(&m->vm);
	munmap(m->rom, ROM_SIZE);
	munmap(m->odd, ODD_SIZE);
}

/*
 * ---- tables ----
 */

static u64 descriptor(u64 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)flags << 52 | (base >> 24 & 0xff) << 56;
}

static u64 gate(u64 to, u16 sel, u8 access)
{
	return (to & 0xffff) | (u64)sel << 16 | (u64)access << 40 | (to >> 16 & 0xffff) << 48;
}

static bool is_long(const struct episode *e)
{
	return e->mode >= F_COMPAT16;
}

static bool is_real(const struct episode *e)
{
	return e->mode <= F_UNREAL;
}

static bool is_v86(const struct episode *e)
{
	return e->mode == F_V86 || e->mode == F_V86PG;
}

static bool is_paged(const struct episode *e)
{
	return e->mode >= F_PG32;
}

static void make_gdt(struct machine *m, int v, struct rng *r, struct episode *e)
{
	u64 region = GPA_REGION(v), *g = (u64 *)(m->vm.mem + region + R_GDT);
	u64 code = region + R_CODE, cs = (is_long(e) ? D_CODE64 : D_CODE32) << 3;

	for (int i = 0; i < D_END; i++)
		g[i] = i < D_NOISE ? 0 : rnd(r);
	g[D_CODE32] = descriptor(0, 0xfffff, 0x9b, 0xc);
	g[D_DATA] = descriptor(0, 0xfffff, 0x93, 0xc);
	g[D_CODE64] = descriptor(0, 0xfffff, 0x9b, 0xa);
	g[D_CODE16] = descriptor(code, 0xffff, 0x9b, 0);
	g[D_DATA16] = descriptor(region, 0xffff, 0x93, 0);
	g[D_UCODE32] = descriptor(0, 0xfffff, 0xfb, 0xc);
	g[D_UDATA] = descriptor(0, 0xfffff, 0xf3, 0xc);
	g[D_UCODE64] = descriptor(0, 0xfffff, 0xfb, 0xa);
	g[D_UCODE16] = descriptor(code, 0xffff, 0xfb, 0);
	g[D_TSS] = descriptor(region + R_TSS, 0x67, 0x8b, 0);
	g[D_TSS_B] = descriptor(region + R_TSS + 0x100, 0x67, 0x89, 0);
	g[D_TSS16] = descriptor(region + R_TSS + 0x200, 0x2b, 0x81, 0);
	g[D_LDT] = descriptor(region + R_LDT, 0x7ff, 0x82, 0);
	g[D_GATE32] = gate(e->code_rip, cs, 0xec);
	g[D_GATE16] = gate(e->code_rip - code, D_CODE16 << 3, 0xe4);
	g[D_GATE64] = gate(e->code_rip, D_CODE64 << 3, 0xec);
	g[D_TASK] = gate(0, D_TSS_B << 3, 0xe5);
	g[D_CONFORMING] = descriptor(0, 0xfffff, 0x9f, is_long(e) ? 0xa : 0xc);
	g[D_ABSENT] = descriptor(0, 0xfffff, 0x13, 0xc);
	g[D_DOWN] = descriptor(region, 0xf000, 0xf7, 0x4);
	g[D_MMIO] = descriptor(GPA_MMIO, 0xfff, 0xf3, 0x4);
	if (is_long(e))
		for (int i = D_TSS; i <= D_LDT; i += 2)
			g[i + 1] = 0;
	memcpy(m->vm.mem + region + R_LDT, g, D_END * 8);
	if (one_in(r, 4))
		g[1 + below(r, D_END - 1)] ^= BIT(below(r, 64));
}

/*
 * Exceptions leave by PORT_TRAP, with the same bytes in all modes; interrupts
 * return, some with an EOI.
 */
static void make_stubs(struct machine *m, int v, struct episode *e)
{
	static const u8 trap_out[] = { 0xe6, PORT_TRAP, 0xeb, 0xfc };
	static const u8 iret64[] = { 0x48, 0xcf }, iret32[] = { 0xcf };
	/* push rax; mov $0xfee000b0, %eax; movl $0, (%rax); pop rax; iret */
	static const u8 eoi64[] = { 0x50, 0xb8, 0xb0, 0, 0xe0, 0xfe, 0xc7, 0, 0, 0, 0, 0, 0x58, 0x48, 0xcf };
	static const u8 eoi32[] = { 0x50, 0xb8, 0xb0, 0, 0xe0, 0xfe, 0xc7, 0, 0, 0, 0, 0, 0x58, 0xcf };
	u8 *p = m->vm.mem + GPA_REGION(v) + R_STUBS;

	for (int i = 0; i < 256; i++, p += 16) {
		if (i < 32)
			memcpy(p, trap_out, sizeof(trap_out));
		else if (is_long(e) && i % 4)
			memcpy(p, eoi64, sizeof(eoi64));
		else if (is_long(e))
			memcpy(p, iret64, sizeof(iret64));
		else if (i % 4 && !is_real(e))
			memcpy(p, eoi32, sizeof(eoi32));
		else
			memcpy(p, iret32, sizeof(iret32));
	}
}

static u64 odd_gate(struct rng *r, u64 to)
{
	switch (below(r, 6)) {
	case 0:
		return gate(0, (one_in(r, 2) ? D_TSS_B : D_TSS16) << 3, 0xe5);	/* to a task */
	case 1:
		return gate(to, D_CODE16 << 3, 0xe6);				/* of 16 bits */
	case 2:
		return gate(to, D_CODE32 << 3, 0x6e);				/* not present */
	case 3:
		return gate(to, below(r, D_END) << 3, 0xee + below(r, 2));
	case 4:
		return gate(pick_gpa(r, 0), D_CODE32 << 3, 0xef);
	}
	return rnd(r);
}

static void make_idt(struct machine *m, int v, struct rng *r, struct episode *e)
{
	u64 region = GPA_REGION(v), *idt = (u64 *)(m->vm.mem + region + R_IDT);
	u32 odd = one_in(r, 3) ? 4 : 64;

	for (u64 i = 0; i < 256; i++) {
		u64 to = region + R_STUBS + i * 16;
		u64 g = gate(to, (is_long(e) ? D_CODE64 : D_CODE32) << 3, 0xee);

		if (one_in(r, odd))
			g = odd_gate(r, to);
		if (is_real(e)) {
			((u32 *)idt)[i] = (u32)region >> 4 << 16 | (R_STUBS + (u32)i * 16);
		} else if (is_long(e)) {
			idt[2 * i] = g | (one_in(r, 16) ? (u64)below(r, 8) << 32 : 0);
			idt[2 * i + 1] = one_in(r, 256) ? rnd(r) : 0;
		} else {
			idt[i] = g;
		}
	}
}

static void make_tss64(u8 *tss, u64 region)
{
	for (int i = 0; i < 3; i++)
		*(u64 *)(tss + 4 + 8 * i) = region + R_STACK - 0x800;
	for (int i = 0; i < 7; i++)
		*(u64 *)(tss + 0x24 + 8 * i) = region + R_STACK - 0x1000 - 0x100 * i;
}

static void make_tss32(u8 *tss, u64 region, struct rng *r, struct episode *e)
{
	u32 *t = (u32 *)tss;
	u16 cs = one_in(r, 4) ? below(r, D_END) << 3 | below(r, 8) : D_CODE32 << 3;
	u16 ds = one_in(r, 4) ? below(r, D_END) << 3 | below(r, 8) : D_DATA << 3;

	for (int i = 0; i < 3; i++) {
		t[1 + 2 * i] = region + R_STACK - 0x800;
		t[2 + 2 * i] = D_DATA << 3;
	}
	t[7] = one_in(r, 8) ? pick_gpa(r, 0) : e->sregs.cr3;
	t[8] = e->code_rip + below(r, 256);
	t[9] = 2 | (one_in(r, 4) ? rnd(r) & 0x277fd7 : 0);
	for (int i = 10; i < 18; i++)
		t[i] = i == 14 ? region + R_STACK - 0x400 : rnd(r);
	for (int i = 18; i < 24; i++)
		t[i] = i == 19 ? cs : ds;
	t[24] = one_in(r, 2) ? D_LDT << 3 : 0;
	t[25] = 0x68 << 16 | one_in(r, 16);
}

static void make_tss16(u8 *tss, struct rng *r, struct episode *e)
{
	u16 *t = (u16 *)tss;

	for (int i = 0; i < 22; i++)
		t[i] = one_in(r, 2) ? rnd(r) : D_DATA16 << 3;
	t[7] = e->code_rip;
	t[8] = 2;
	t[18] = D_CODE16 << 3;
	t[19] = D_DATA16 << 3;
}

static void make_tss(struct machine *m, int v, struct rng *r, struct episode *e)
{
	u64 region = GPA_REGION(v);
	u8 *tss = m->vm.mem + region + R_TSS;

	memset(tss, 0, 0x400);
	if (is_long(e))
		make_tss64(tss, region);
	else
		make_tss32(tss, region, r, e);
	*(u16 *)(tss + 0x66) = one_in(r, 3) ? 0x100 + below(r, 0x100) : 0x68;
	make_tss32(tss + 0x100, region, r, e);
	make_tss16(tss + 0x200, r, e);
	if (one_in(r, 4))
		tss[below(r, 0x300)] = rnd(r);
}

/*
 * ---- page tables ----
 */

static void make_tables32(u8 *pt, u64 region, bool pse, u32 bits)
{
	u32 *dir = (u32 *)pt, *t;
	static const u32 at[] = { 0, GPA_ODD >> 22, GPA_MMIO >> 22, GPA_APIC >> 22 };

	for (u32 n = 0; n < 4; n++) {
		if (pse && n) {
			dir[at[n]] = at[n] << 22 | PTE_PS | bits;
			continue;
		}
		t = (u32 *)(pt + 0x1000 * (n + 1));
		dir[at[n]] = (u32)(region + R_PT + 0x1000 * (n + 1)) | bits;
		for (u32 i = 0; i < 1024; i++)
			t[i] = (at[n] << 22 | i << 12) | bits;
	}
	t = (u32 *)(pt + 0x1000);
	t[(region + R_BORDER) >> 12] = (GPA_MMIO + 0x1000) | bits;
}

static void make_tables64(u8 *pt, u64 region, bool pae, u64 bits)
{
	u64 *pml4 = (u64 *)pt, *pdpt = pml4 + 512, *pd = pml4 + 1024, *pt0 = pml4 + 1536;
	u64 *pd_mmio = pml4 + 2048, *odd = pml4 + 2560, at = region + R_PT;
	u64 top = pae ? PTE_P : bits;

	pml4[0] = pml4[511] = (at + 0x1000) | bits;
	pdpt[0] = pdpt[510] = (at + 0x2000) | top;
	pdpt[3] = (at + 0x4000) | top;
	for (u64 i = 0; i < 512; i++) {
		pd[i] = i << 21 | PTE_PS | bits;
		pt0[i] = i << 12 | bits;
		odd[i] = (GPA_ODD + (i << 12)) | bits;
		pd_mmio[i] = (0xc0000000 + (i << 21)) | PTE_PS | bits;
	}
	pd[0] = (at + 0x3000) | bits;
	pd[GPA_ODD >> 21] = (at + 0x5000) | bits;
	pt0[(region + R_BORDER) >> 12] = (GPA_MMIO + 0x1000) | bits;
}

/* An entry to somewhere else, or with other bits. */
static void change_entry(struct rng *r, int v, u8 *entry, bool pae)
{
	u64 val = pae ? *(u64 *)entry : *(u32 *)entry;

	switch (below(r, 4)) {
	case 0:
		val = (val & 0xfff) | (pick_gpa(r, v) & ~0xfffULL);
		break;
	case 1:
		val ^= BIT(below(r, pae ? 64 : 32));
		break;
	case 2:						/* to one of the tables themselves */
		val = (val & 0xfff) | (GPA_REGION(v) + R_PT + below(r, 7) * 0x1000);
		break;
	default:
		val ^= BIT(PICK(r, ((u8[]){ 0, 1, 2, 5, 6, 7 })));
	}
	memcpy(entry, &val, pae ? 8 : 4);
}

static void make_tables(struct machine *m, int v, struct rng *r, struct episode *e)
{
	u64 region = GPA_REGION(v);
	u8 *pt = m->vm.mem + region + R_PT;
	bool pae = e->mode >= F_PAE && e->mode != F_V86PG;
	u64 bits = PTE_P | PTE_W | PTE_U | (one_in(r, 2) ? PTE_A | PTE_D : 0);

	memset(pt, 0, 0x7000);
	if (pae)
		make_tables64(pt, region, !is_long(e), bits);
	else
		make_tables32(pt, region, e->mode == F_PSE32, bits);
	for (u32 n = one_in(r, 3) ? 1 + below(r, 6) : 0; n; n--) {
		u32 page = below(r, 6), i = below(r, one_in(r, 2) ? 8 : 512);

		change_entry(r, v, pt + page * 0x1000 + i * 8, pae);
	}
	e->sregs.cr3 = region + R_PT + (e->mode == F_PAE ? 0x1000 : 0);
	switch (one_in(r, 6) ? below(r, 4) : ~0U) {
	case 0:						/* the upper table in ROM */
		memcpy(m->rom + 0x1000, m->vm.mem + e->sregs.cr3, 0x1000);
		e->sregs.cr3 = GPA_ROM + 0x1000;
		break;
	case 1:						/* a lower one */
		memcpy(m->rom + 0x2000, pt + 0x1000, 0x1000);
		memcpy(pt, &(u32){ (GPA_ROM + 0x2000) | bits }, 4);
		break;
	case 2:
		e->sregs.cr3 = pick_gpa(r, v) & ~0xfffULL;
		break;
	case 3:
		memcpy(pt, &(u32){ GPA_MMIO | bits }, 4);
		break;
	}
}

/*
 * ---- registers ----
 */

static struct kvm_segment segment(u16 sel, u64 base, u32 limit, u8 type, u8 dpl, u8 db, u8 l)
{
	return (struct kvm_segment){
		.base = base, .limit = limit, .selector = sel, .type = type, .present = 1,
		.dpl = dpl, .db = db, .l = l, .s = 1, .g = limit > 0xfffff,
	};
}

static void real_segments(struct episode *e, u64 region)
{
	struct kvm_sregs *s = &e->sregs;
	u8 dpl = is_v86(e) ? 3 : 0;
	u64 cs = e->code_gpa - e->code_rip, ds = region + R_DATA;
	u32 limit = e->mode == F_UNREAL ? 0xffffffff : 0xffff;

	s->cs = segment(cs >> 4, cs, 0xffff, is_v86(e) ? 3 : 11, dpl, 0, 0);
	s->ss = segment(region >> 4, region, 0xffff, 3, dpl, 0, 0);
	s->ds = segment(ds >> 4, ds, limit, 3, dpl, 0, 0);
	if (e->mode == F_UNREAL)
		s->ds = segment(D_DATA << 3, 0, limit, 3, 0, 0, 0);
	s->es = s->fs = s->gs = s->ds;
}

static void flat_segments(struct episode *e)
{
	struct kvm_sregs *s = &e->sregs;
	bool user = e->cpl == 3, l = e->mode == F_LONG;
	u16 cs = l ? (user ? D_UCODE64 : D_CODE64) : (user ? D_UCODE32 : D_CODE32);
	u16 ds = (user ? D_UDATA : D_DATA) << 3 | e->cpl;

	s->cs = segment(cs << 3 | e->cpl, 0, ~0U, 11, e->cpl, e->bits == 32, l);
	if (e->bits == 16)
		s->cs = segment((user ? D_UCODE16 : D_CODE16) << 3 | e->cpl, e->code_gpa - e->code_rip,
				0xffff, 11, e->cpl, 0, 0);
	s->ds = s->es = s->fs = s->gs = s->ss = segment(ds, 0, ~0U, 3, e->cpl, 1, 0);
}

static void make_sregs(struct episode *e, u64 region, struct rng *r)
{
	struct kvm_sregs *s = &e->sregs;

	s->cr0 = CR0_ET | CR0_NE | (is_real(e) ? 0 : CR0_PE) |
		 (is_paged(e) ? CR0_PG | (one_in(r, 4) ? 0 : CR0_WP) : 0);
	s->cr2 = s->cr8 = 0;
	s->cr4 = one_in(r, 2) ? CR4_OSFXSR | BIT(10) : 0;
	if (is_v86(e) && one_in(r, 2))
		s->cr4 |= CR4_VME;
	if (e->mode == F_PSE32 || one_in(r, 4))
		s->cr4 |= CR4_PSE;
	if (e->mode >= F_PAE && e->mode != F_V86PG)
		s->cr4 |= CR4_PAE;
	s->efer = is_long(e) ? EFER_LME | EFER_LMA : 0;
	s->efer |= (one_in(r, 2) ? EFER_SCE : 0) | (one_in(r, 2) ? EFER_NX : 0);
	s->gdt = (struct kvm_dtable){ .base = region + R_GDT, .limit = D_END * 8 - 1 };
	s->idt = (struct kvm_dtable){ .base = region + R_IDT, .limit = is_real(e) ? 0x3ff : 0xfff };
	if (is_real(e) && one_in(r, 2))
		s->idt = (struct kvm_dtable){ .limit = 0x3ff };
	s->tr = segment(D_TSS << 3, region + R_TSS, is_long(e) || one_in(r, 2) ? 0x67 : 0x21ff, 11, 0, 0, 0);
	s->ldt = segment(D_LDT << 3, region + R_LDT, 0x7ff, 2, 0, 0, 0);
	s->tr.s = s->ldt.s = 0;
	s->apic_base = GPA_APIC | 0x900;
	memset(s->interrupt_bitmap, 0, sizeof(s->interrupt_bitmap));
	if (is_real(e) || is_v86(e))
		real_segments(e, region);
	else
		flat_segments(e);
}

static void change_segment(struct rng *r, int v, struct kvm_segment *s)
{
	switch (below(r, 12)) {
	case 0:
		s->base = pick_value(r, v);
		break;
	case 1:
		s->limit = rnd(r) >> below(r, 32);
		break;
	case 2:
		s->selector = one_in(r, 2) ? rnd(r) : below(r, D_END) << 3 | below(r, 8);
		break;
	case 3:
		s->type = below(r, 16);
		break;
	case 4:
		s->present ^= 1;
		break;
	case 5:
		s->dpl = below(r, 4);
		break;
	case 6:
		s->db ^= 1;
		break;
	case 7:
		s->s ^= 1;
		break;
	case 8:
		s->l ^= 1;
		break;
	case 9:
		s->g ^= 1;
		break;
	case 10:
		s->unusable ^= 1;
		break;
	default:
		s->base = pick_gpa(r, v);
	}
}

/*
 * QEMU ends with "invalid tss type" when an interrupt switches stacks by a TR that
 * is no TSS, and with "invalid tss" when it is not present (Documentation/lab.rst, "A busy
 * TSS that ends the emulator"): APM 2 has VMRUN load TR unchecked.
 */
static void spare_the_emulator(struct kvm_sregs *s)
{
	if (!on_tcg())
		return;
	s->tr.present = 1;
	s->tr.unusable = s->tr.s = 0;
	if ((s->tr.type & 5) != 1)
		s->tr.type = 11;
	if (!(s->cr0 & CR0_PG) && !(s->cr4 & CR4_PAE) && spare_long_mode())
		s->efer &= ~(u64)EFER_LME;
}

static void change_sregs(struct rng *r, int v, struct kvm_sregs *s)
{
	struct kvm_segment *segs[] = { &s->cs, &s->ds, &s->es, &s->fs, &s->gs, &s->ss, &s->tr, &s->ldt };

	switch (below(r, 9)) {
	case 0:
		s->cr0 ^= BIT(PICK(r, ((u8[]){ 0, 1, 2, 3, 5, 16, 18, 29, 30, 31 })));
		break;
	case 1:
		s->cr4 ^= BIT(below(r, 24));
		break;
	case 2:
		s->efer ^= BIT(PICK(r, ((u8[]){ 0, 8, 10, 11, 12, 13, 14, 15 })));
		break;
	case 3:
		s->idt.base = pick_gpa(r, v);
		break;
	case 4:
		if (one_in(r, 2))
			s->gdt.base = pick_gpa(r, v);
		else
			s->gdt.limit = rnd(r);
		break;
	case 5:
		s->apic_base = (one_in(r, 2) ? GPA_APIC : pick_gpa(r, v) & ~0xfffULL) |
			       PICK(r, ((u64[]){ 0x800, 0x900, 0xc00, 0xd00, 0, 0x400 }));
		break;
	case 6:
		s->cr8 = below(r, 16);
		break;
	default:
		change_segment(r, v, PICK(r, segs));
	}
	spare_the_emulator(s);
}

static u64 make_flags(struct rng *r, struct episode *e)
{
	u64 flags = 2 | (one_in(r, 2) ? 0x200 : 0) | (one_in(r, 2) ? 3 << 12 : 0);

	if (one_in(r, 4))
		flags ^= rnd(r) & 0x255cd5;		/* all but TF, VM, VIF, VIP */
	if (one_in(r, 12))
		flags |= 0x100;
	if (is_v86(e))
		flags |= 1 << 17 | (one_in(r, 2) ? rnd(r) & 0x180000 : 0);
	return flags;
}

/* Where the code lies: within the region, at a border, in ROM, in what is no memory. */
static void place_code(struct rng *r, int v, struct episode *e)
{
	u64 region = GPA_REGION(v), gpa = region + R_CODE;

	switch (below(r, 12)) {
	case 0:
		gpa = region + R_BORDER - 16 * (1 + below(r, 32));
		break;
	case 1:
		gpa = GPA_ROM + 0x4000 + (below(r, 0x800) & ~15);
		break;
	case 2:
		gpa += 0x1000 - 16 * (1 + below(r, 32));
		break;
	case 3:
		if (e->bits != 16)
			gpa = GPA_HOLE - 16 * (1 + below(r, 64));
		break;
	case 4:
		gpa = one_in(r, 4) ? GPA_VGA + 0x1000 : GPA_ROM + ROM_SIZE - 0x400;
		break;
	}
	e->code_gpa = gpa;
	e->code_rip = gpa;
	if (e->bits == 16)
		e->code_rip = gpa & 0xf;
	if (e->bits == 16 && one_in(r, 4) && gpa > 0x8000)
		e->code_rip += 0xfff0 - (below(r, 0x800) & ~15);	/* the segment's end is near */
	if (e->mode == F_LONG && one_in(r, 8))
		e->code_rip |= 0xffffff8000000000;
}

static void random_regs(struct rng *r, int v, struct kvm_regs *regs)
{
	__u64 *gpr = &regs->rax;

	for (int i = 0; i < 16; i++)
		gpr[i] = pick_value(r, v);
}

/* Everything that an episode of vcpu v needs, into guest memory and *e. */
void episode_make(struct machine *m, int v, struct rng *r, struct episode *e)
{
	static const u8 bits[F_MODES] = { 16, 16, 16, 32, 16, 32, 32, 32, 16, 16, 32, 64 };
	u64 region = GPA_REGION(v);

	memset(e, 0, sizeof(*e));
	e->mode = one_in(r, 4) ? F_LONG : below(r, F_MODES);
	e->bits = bits[e->mode];
	e->cpl = is_v86(e) || (!is_real(e) && one_in(r, 3)) ? 3 : 0;
	place_code(r, v, e);
	make_sregs(e, region, r);
	if (is_paged(e))
		make_tables(m, v, r, e);
	make_gdt(m, v, r, e);
	make_tss(m, v, r, e);
	make_stubs(m, v, e);
	make_idt(m, v, r, e);
	random_regs(r, v, &e->regs);
	e->regs.rflags = make_flags(r, e);
	e->regs.rsp = is_real(e) || is_v86(e) ? R_STACK : region + R_STACK;
	if (one_in(r, 12))
		e->regs.rsp = pick_gpa(r, v);
	/* what LGDT and others find at the data's start */
	memcpy(m->vm.mem + region + R_DATA, &(u16){ D_END * 8 - 1 }, 2);
	memcpy(m->vm.mem + region + R_DATA + 2, &(u64){ region + R_GDT }, 8);
	code_make(m, v, r, e);
}

/*
 * ---- into the vcpu ----
 */

static void random_events(struct vcpu *vcpu, struct rng *r)
{
	/* All exceptions; of vectors that are none SVM may say VMEXIT_INVALID (APM 2 "Event Injection"). */
	static const u8 vectors[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 21 };
	struct kvm_vcpu_events ev;

	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev))
		return;
	switch (below(r, 5)) {
	case 0:
		ev.exception.injected = 1;
		ev.exception.nr = PICK(r, vectors);
		ev.exception.has_error_code = one_in(r, 2);
		ev.exception.error_code = rnd(r) & 0xffff;
		break;
	case 1:
		ev.nmi.injected = one_in(r, 2);
		ev.nmi.pending = below(r, 3);
		ev.nmi.masked = one_in(r, 2);
		break;
	case 2:
		ev.interrupt.injected = 1;
		ev.interrupt.nr = rnd(r);
		ev.interrupt.soft = one_in(r, 2);
		break;
	case 3:
		ev.interrupt.shadow = below(r, 4);
		break;
	default:
		ev.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		ev.triple_fault.pending = one_in(r, 4);
	}
	ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev);
}

static void random_msrs(struct vcpu *vcpu, struct rng *r, int v)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e[4]; } msrs = { .h.nmsrs = 1 };

	for (u32 n = below(r, 4); n; n--) {
		msrs.e[0] = (struct kvm_msr_entry){ .index = pick_msr(r), .data = pick_value(r, v) };
		if (msrs.e[0].index == 0xc0000080 && spare_long_mode())
			continue;
		ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
	}
}

/* Kinds and lengths in DR7; in QEMU those of code only, see guest-code.c. */
static u32 data_breakpoints(struct rng *r)
{
	u32 bits = rnd(r) & 0xffff0000;

	return on_tcg() ? 0 : bits;
}

static void random_debug(struct vcpu *vcpu, struct rng *r, struct episode *e)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE };

	if (one_in(r, 3))
		d.control |= KVM_GUESTDBG_SINGLESTEP;
	if (one_in(r, 2))
		d.control |= KVM_GUESTDBG_USE_SW_BP;
	if (one_in(r, 2)) {
		d.control |= KVM_GUESTDBG_USE_HW_BP;
		for (int i = 0; i < 4; i++)
			d.arch.debugreg[i] = e->code_rip + below(r, 256);
		d.arch.debugreg[7] = 0x455 | (one_in(r, 2) ? data_breakpoints(r) : 0);
	}
	ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d);
}

static void random_debugregs(struct vcpu *vcpu, struct rng *r, struct episode *e, int v)
{
	struct kvm_debugregs d = { .dr6 = 0xffff0ff0, .dr7 = 0x400 | (rnd(r) & 0xff) };

	for (int i = 0; i < 4; i++)
		d.db[i] = one_in(r, 2) ? e->code_rip + below(r, 512) : pick_gpa(r, v);
	d.dr7 |= one_in(r, 2) ? data_breakpoints(r) : 0;
	ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d);
}

static void random_apic(struct vcpu *vcpu, struct rng *r)
{
	struct kvm_lapic_state s;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &s))
		return;
	*(u32 *)(s.regs + 0xf0) = 0x1ff;
	for (u32 n = below(r, 6); n; n--)
		*(u32 *)(s.regs + below(r, 0x40) * 16) = one_in(r, 2) ? rnd(r) : 0x20 + below(r, 0xe0);
	ioctl(vcpu->fd, KVM_SET_LAPIC, &s);
}

static void random_rest(struct machine *m, int v, struct rng *r, struct episode *e)
{
	struct vcpu *vcpu = &m->vcpu[v];
	struct kvm_guest_debug off = {};
	struct kvm_debugregs none = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = PICK(r, ((u64[]){ 1, 3, 7 })) } } };

	if (one_in(r, 12))
		random_debug(vcpu, r, e);
	else
		ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &off);
	if (one_in(r, 12))
		random_debugregs(vcpu, r, e, v);
	else
		ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &none);
	if (one_in(r, 4))
		random_msrs(vcpu, r, v);
	if (one_in(r, 8))
		ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs);
	if (m->irqchip && one_in(r, 3))
		random_apic(vcpu, r);
	if (one_in(r, 8))
		random_events(vcpu, r);
}

static void clear_events(struct machine *m, int v)
{
	struct vcpu *vcpu = &m->vcpu[v];
	struct kvm_mp_state mp;
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};

	/* INIT and SIPI that have arrived are taken by the first */
	if (m->irqchip && !ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp)) {
		mp.mp_state = KVM_MP_STATE_RUNNABLE;
		ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);
	}
	ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev);
}

/* To unit's start, all that a guest has by then done to its registers undone. */
void episode_restart(struct machine *m, int v, struct rng *r, struct episode *e, u32 unit)
{
	struct kvm_regs regs = e->regs;

	clear_events(m, v);
	ioctl(m->vcpu[v].fd, KVM_SET_SREGS, &e->sregs);
	if (one_in(r, 4))
		random_regs(r, v, &regs), regs.rsp = e->regs.rsp;
	regs.rip = e->code_rip + e->start[unit];
	ioctl(m->vcpu[v].fd, KVM_SET_REGS, &regs);
	if (one_in(r, 32))
		random_events(&m->vcpu[v], r);
}

/* The episode's state, changed here and there if that is accepted: 0, or errno. */
int episode_enter(struct machine *m, int v, struct rng *r, struct episode *e)
{
	struct kvm_sregs s = e->sregs;

	for (u32 n = one_in(r, 2) ? 1 + below(r, 3) : 0; n; n--)
		change_sregs(r, v, &s);
	clear_events(m, v);
	if (ioctl(m->vcpu[v].fd, KVM_SET_SREGS, &s)) {
		if (ioctl(m->vcpu[v].fd, KVM_SET_SREGS, &e->sregs))
			return errno;
	} else {
		e->sregs = s;
	}
	episode_restart(m, v, r, e, 0);
	random_rest(m, v, r, e);
	return 0;
}

/*
 * ---- after a case ----
 */

/* What writes to guest memory by itself. */
static void stop_writers(struct vcpu *vcpu)
{
	static const u32 msrs[] = { 0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04 };
	struct { struct kvm_msrs h; struct kvm_msr_entry e[1]; } one = { .h.nmsrs = 1 };

	for (u32 i = 0; i < ARRAY_LEN(msrs); i++) {
		one.e[0] = (struct kvm_msr_entry){ .index = msrs[i] };
		ioctl(vcpu->fd, KVM_SET_MSRS, &one);
	}
}

GUEST(alive, 32, "mov $0x1234, %eax; cpuid; mov $0x42, %al; out %al, $0x99");

/* Whatever became of the machine, its first vcpu runs what it is given: true. */
bool machine_settle(struct machine *m)
{
	struct vcpu *vcpu = &m->vcpu[0];
	struct kvm_guest_debug off = {};
	struct kvm_debugregs none = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_sregs s;

	stop_writers(vcpu);
	ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &off);
	ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &none);
	clear_events(m, 0);
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return false;
	s.cr0 = CR0_ET;
	s.cr4 = s.efer = s.cr8 = 0;
	s.apic_base = GPA_APIC | 0x900;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &s))
		return false;
	m->vm.vcpu = *vcpu;
	vm_mode(&m->vm, vcpu, PG32);
	GUEST_LOAD(&m->vm, alive);
	vcpu->run->immediate_exit = 0;
	for (int i = 0; i < 8; i++) {
		if (vcpu_run(vcpu) == KVM_EXIT_IO && vcpu->run->io.port == 0x99)
			return true;
	}
	vcpu_dump(vcpu, "not alive");
	return false;
}
