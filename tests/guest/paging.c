// SPDX-License-Identifier: GPL-2.0-only
/* Guest paging: what a page walk allows, sets and remembers. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define VA	0x80000u	/* a 4k page of its own; its entry is the test's */
#define PA	0x90000u
#define LARGE	0x800000u	/* a large page's */
#define DONE	"out %al, $0x11\n"
#define IOPL3	0x3000

/*
 * ECX: 0 reads [RBX], 1 writes, 2 calls it, 3 is a read-modify-write.  The
 * bytes mean the same in 32 and 64 bits.  A fault goes on at the end.
 */
GUEST(probe, 32,
	"cmp $1, %ecx; je 1f; cmp $2, %ecx; je 2f; cmp $3, %ecx; je 3f\n"
	"mov (%ebx), %eax; jmp 9f\n"
	"1: mov %eax, (%ebx); jmp 9f\n"
	"2: call *%ebx; jmp 9f\n"
	"3: addl $1, (%ebx)\n"
	"9: " DONE);
#define PROBE_END	(GPA_CODE + (guest_probe_end - guest_probe) - 2)

enum op { READ, WRITE, EXEC, RMW };

FIXTURE(paging) {
	struct vm vm;
	enum vm_mode mode;
	bool lm;
	int esize;		/* of an entry */
};

FIXTURE_VARIANT(paging) {
	enum vm_mode mode;
};

FIXTURE_VARIANT_ADD(paging, pg32) { .mode = PG32 };
FIXTURE_VARIANT_ADD(paging, pse32) { .mode = PSE32 };
FIXTURE_VARIANT_ADD(paging, pae) { .mode = PAE };
FIXTURE_VARIANT_ADD(paging, long64) { .mode = LONG };

#define paging_self FIXTURE_DATA(paging)

static u64 get_entry(paging_self *self, u64 gpa)
{
	return self->esize == 4 ? *(volatile u32 *)(self->vm.mem + gpa)
				: *(volatile u64 *)(self->vm.mem + gpa);
}

/* For tables that the guest has not used yet. */
static void init_entry(paging_self *self, u64 gpa, u64 v)
{
	if (self->esize == 4)
		*(volatile u32 *)(self->vm.mem + gpa) = v;
	else
		*(volatile u64 *)(self->vm.mem + gpa) = v;
}

/*
 * Tables in use are changed and flushed by the guest: under shadow paging a
 * store by userspace goes unnoticed until KVM_SET_SREGS.  ESI: the entry; EDX, EDI:
 * the value; ECX: 4 or 8 bytes of it; EBX: 1 flushes by CR4.PGE, back and forth, after CR3.
 * The same bytes in 32 and 64 bits.
 */
GUEST(setter, 32,
	"cmp $4, %ecx; jb 1f; je 2f\n"
	"mov %edi, 4(%esi)\n"
	"2: mov %edx, (%esi)\n"
	"1: mov %cr3, %eax; mov %eax, %cr3\n"
	"cmp $1, %ebx; jne 3f\n"
	"mov %cr4, %eax; xor $0x80, %eax; mov %eax, %cr4\n"
	"xor $0x80, %eax; mov %eax, %cr4\n"
	"3: "
	DONE);
#define SETTER	(GPA_CODE + 0x2000)	/* a supervisor's page in every test */

static void set_cpl(paging_self *self, bool user)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	if ((s.cs.dpl == 3) == user)
		return;
	s.cs.selector = user ? SEL_UCODE64 : SEL_CODE64;
	s.ss.selector = user ? SEL_UDATA : SEL_DATA;
	s.cs.dpl = s.ss.dpl = user ? 3 : 0;
	vcpu_set_sregs(&self->vm.vcpu, &s);
}

/* Changes an entry and has the processor forget the old one. */
static void change(paging_self *self, u64 gpa, u64 entry)
{
	bool global = vcpu_sregs(&self->vm.vcpu).cr4 & CR4_PGE;
	struct kvm_regs r = { .rip = SETTER, .rsp = GPA_STACK, .rflags = 2,
		.rsi = gpa, .rdx = (u32)entry, .rdi = entry >> 32, .rcx = self->esize,
		.rbx = global };

	set_cpl(self, false);
	vm_load(&self->vm, SETTER, guest_setter, guest_setter_end);
	vcpu_set_regs(&self->vm.vcpu, &r);
	if (vm_run(&self->vm) != KVM_EXIT_IO || self->vm.vcpu.run->io.port != 0x11) {
		vcpu_dump(&self->vm.vcpu, "change");
		die("the guest cannot change entry %#lx", gpa);
	}
}

/* Where VA's entry lies, by level: 1 is the page's. */
static u64 pte_at(paging_self *self, u64 va)
{
	return GPA_PT0 + (va >> 12) * self->esize;
}

static u64 pde_at(paging_self *self, u64 va)
{
	return self->esize == 4 ? GPA_PML4 + (va >> 22) * 4 : GPA_PD + (va >> 21) * 8;
}

static void set_up(paging_self *self, enum vm_mode mode)
{
	self->mode = mode;
	self->lm = mode == LONG;
	self->esize = mode >= PAE ? 8 : 4;
	vm_mode(&self->vm, &self->vm.vcpu, mode);
	if (mode == PSE32) {
		/* the first 4M by 4k pages, for the tests to change */
		for (u32 i = 0; i < 1024; i++)
			((u32 *)(self->vm.mem + GPA_PT0))[i] = i << 12 | PTE_P | PTE_W;
		init_entry(self, GPA_PML4, GPA_PT0 | PTE_P | PTE_W);
	}
	GUEST_LOAD(&self->vm, probe);
	/* what is called returns */
	memset(self->vm.mem + PA, 0xc3, 4096);
}

FIXTURE_SETUP(paging)
{
	vm_create(&self->vm);
	set_up(self, variant->mode);
}

FIXTURE_TEARDOWN(paging)
{
	vm_destroy(&self->vm);
}

/* One access: -1 if it comes through, else #PF's error code. */
static int access_va(paging_self *self, u64 va, enum op op, bool user)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK,
		.rflags = 2 | IOPL3, .rbx = va, .rcx = op, .rax = 0xc3c3c3c3 };
	volatile struct trap *t = trap(&self->vm);
	u64 count = t->count;
	int exit;

	set_cpl(self, user);
	t->resume = PROBE_END;
	vcpu_set_regs(&self->vm.vcpu, &r);
	exit = vm_run(&self->vm);
	if (exit != KVM_EXIT_IO || self->vm.vcpu.run->io.port != 0x11) {
		vcpu_dump(&self->vm.vcpu, "access");
		return -1000 - exit;
	}
	if (t->count == count)
		return -1;
	if (t->vector != PF_VECTOR || t->cr2 != va)
		return -2000 - t->vector;
	return t->error;
}

static int probe(paging_self *self, u64 va, enum op op)
{
	return access_va(self, va, op, false);
}

#define AD	(PTE_A | PTE_D)

TEST_F(paging, accessed_dirty)
{
	u64 pte = pte_at(self, VA), pde = pde_at(self, VA);

	for (enum op op = READ; op <= RMW; op++) {
		change(self, pde, get_entry(self, pde) & ~AD);
		change(self, pte, PA | PTE_P | PTE_W);
		ASSERT_EQ(-1, probe(self, VA, op));
		EXPECT_EQ(op == WRITE || op == RMW ? AD : PTE_A, get_entry(self, pte) & AD)
			TH_LOG("access %d", op);
		EXPECT_EQ(PTE_A, get_entry(self, pde) & AD)
			TH_LOG("access %d", op);
	}
	/* first a read, then a write through what the read left behind */
	change(self, pte, PA | PTE_P | PTE_W);
	ASSERT_EQ(-1, probe(self, VA, READ));
	EXPECT_EQ(PTE_A, get_entry(self, pte) & AD);
	ASSERT_EQ(-1, probe(self, VA, WRITE));
	EXPECT_EQ(AD, get_entry(self, pte) & AD);
	/* a refused write dirties nothing */
	change(self, pte, PA | PTE_P);
	EXPECT_EQ(3, probe(self, VA, WRITE));
	EXPECT_EQ(0, get_entry(self, pte) & PTE_D);
	/* nothing but A and D has changed */
	EXPECT_EQ(PA | PTE_P, get_entry(self, pte) & ~AD);
}

/* Nor does it matter that nothing is there: a read goes first, then a write. */
TEST_F(paging, accessed_dirty_mmio)
{
	u64 pte = pte_at(self, VA);

	change(self, pte, GPA_MMIO | PTE_P | PTE_W);
	for (enum op op = READ; op <= WRITE; op++) {
		struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			.rbx = VA, .rcx = op };

		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_MMIO, vm_run(&self->vm));
		EXPECT_EQ(op == WRITE, self->vm.vcpu.run->mmio.is_write);
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
		EXPECT_EQ(op == WRITE ? AD : PTE_A, get_entry(self, pte) & AD)
			TH_LOG("access %d", op);
	}
}

/* The VMM hears of the address that the guest used, even if an alias leads to another. */
TEST_F(paging, mmio_in_an_alias)
{
	struct kvm_memory_alias alias = {
		.guest_phys_addr = GPA_MMIO, .memory_size = 4096, .target_phys_addr = GPA_MMIO + 0x10000,
	};

	if (ioctl(self->vm.fd, KVM_SET_MEMORY_ALIAS, &alias) && errno == ENOTTY)
		SKIP(return, "this KVM has no aliases (api/legacy_memory)");
	change(self, pte_at(self, VA), GPA_MMIO | PTE_P | PTE_W);
	for (enum op op = READ; op <= WRITE; op++) {
		struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			.rbx = VA + 8, .rcx = op };

		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_MMIO, vm_run(&self->vm));
		EXPECT_EQ(op == WRITE, self->vm.vcpu.run->mmio.is_write);
		EXPECT_EQ(GPA_MMIO + 8, self->vm.vcpu.run->mmio.phys_addr);
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	}
}

/* Accessed and dirty bits of 4M, 2M and 1G pages. */
TEST_F(paging, accessed_dirty_large)
{
	u64 at = pde_at(self, LARGE), flags = PTE_P | PTE_W | PTE_PS;
	u64 frame = self->esize == 4 ? 0 : 0x200000;

	if (variant->mode == PG32)
		SKIP(return, "no large pages without CR4.PSE");
	for (int level = 2; level < 4; level++) {
		if (level == 3) {
			if (!self->lm || !(cpuid_reg(self->vm.sys, 0x80000001, 0, 3) & BIT(26)))
				break;
			at = GPA_PDPT + 8;		/* VA 1G is gpa 0 */
			frame = 0;
		}
		for (enum op op = READ; op <= WRITE; op++) {
			u64 va = (level == 3 ? 0x40000000 : LARGE) + 0x90123;

			change(self, at, frame | flags);
			ASSERT_EQ(-1, probe(self, va, op));
			EXPECT_EQ(op == WRITE ? AD : PTE_A, get_entry(self, at) & AD)
				TH_LOG("level %d", level);
			EXPECT_EQ(frame | flags, get_entry(self, at) & ~AD);
			if (op == WRITE) {
				EXPECT_EQ(0, memcmp(self->vm.mem + frame + 0x90123, "\xc3\xc3\xc3\xc3", 4));
			}
		}
		change(self, at, (frame | flags) & ~PTE_W);
		EXPECT_EQ(3, probe(self, (level == 3 ? 0x40000000 : LARGE) + 0x90123, WRITE));
		/* a refused write dirties nothing; accessed or not is the processor's choice */
		EXPECT_EQ(0, get_entry(self, at) & PTE_D);
	}
}

/* What the manual has happen; user is the access's, the bits the entry's. */
static int expect(u64 pde, u64 pte, enum op op, bool user, bool wp, bool nx, bool smep, bool smap)
{
	u64 both = pde & pte;
	int code = (op == WRITE || op == RMW) * 2 + user * 4 + (op == EXEC && (nx || smep)) * 16;

	if (!(both & PTE_P))
		return code;
	code |= 1;
	if (user && !(both & PTE_U))
		return code;
	if ((op == WRITE || op == RMW) && !(both & PTE_W) && (user || wp))
		return code;
	if (op == EXEC && nx && (pde | pte) & PTE_NX)
		return code;
	if (op == EXEC && !user && smep && both & PTE_U)
		return code;
	if (op != EXEC && !user && smap && both & PTE_U)
		return code;
	return -1;
}

/*
 * Every combination of present, writable, user and no-execute, in the page's
 * entry and in the directory's, against each access, CPL and control bit.
 */
TEST_F_TIMEOUT(paging, permissions, 120)
{
	u64 pde = GPA_PD + 4 * 8, pt = 0x60000, va = 0x800000;
	int tried = 0, wrong = 0;

	if (self->esize == 4)
		pde = GPA_PML4 + 4 * 2;
	for (int controls = 0; controls < 16; controls++) {
		bool wp = controls & 1, nx = controls & 2, smep = controls & 4, smap = controls & 8;
		struct kvm_sregs s;

		if ((nx && (variant->mode < PAE || !has_nx(self->vm.sys))) ||
		    (smep && !has_smep(self->vm.sys)) || (smap && !has_smap(self->vm.sys)))
			continue;
		for (int user = 0; user < (self->lm ? 2 : 1); user++) {
			vm_destroy(&self->vm);
			vm_create(&self->vm);
			set_up(self, variant->mode);
			if (self->lm) {
				init_entry(self, GPA_PML4, GPA_PDPT | PTE_P | PTE_W | PTE_U);
				init_entry(self, GPA_PDPT, GPA_PD | PTE_P | PTE_W | PTE_U);
			}
			if (user) {
				/* the probe's code and no other page; its handler has
				 * a stack elsewhere
				 */
				init_entry(self, GPA_PD, GPA_PT0 | PTE_P | PTE_W | PTE_U);
				init_entry(self, pte_at(self, GPA_CODE), GPA_CODE | PTE_P | PTE_W | PTE_U);
				init_entry(self, pte_at(self, GPA_STACK - 0x1000), (GPA_STACK - 0x1000) | PTE_P | PTE_W | PTE_U);
				*(u64 *)(self->vm.mem + GPA_TSS + 4) = GPA_STACK - 0x2000;
			}
			s = vcpu_sregs(&self->vm.vcpu);
			s.cr0 = wp ? s.cr0 | CR0_WP : s.cr0 & ~CR0_WP;
			s.cr4 |= (smep ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0);
			s.efer |= nx ? EFER_NX : 0;
			vcpu_set_sregs(&self->vm.vcpu, &s);

			for (int bits = 0; bits < 256; bits++) {
				u64 d = (bits & 7) | (bits & 8 ? PTE_NX : 0);
				u64 p = (bits >> 4 & 7) | (bits & 128 ? PTE_NX : 0);

				/* one of the two absent is enough of that */
				if ((!(d & PTE_P) && bits & 0xe) || (!(p & PTE_P) && bits & 0xe0))
					continue;
				if (!nx && (d | p) & PTE_NX)
					continue;
				change(self, pt, PA | p);
				change(self, pde, pt | d);
				for (enum op op = READ; op <= EXEC; op++) {
					int want = expect(d, p, op, user, wp, nx, smep, smap);
					int got = access_va(self, va, op, user);

					tried++;
					if (want == got)
						continue;
					if (wrong++ < 10)
						TH_LOG("wp %d nx %d smep %d smap %d: pde %#lx pte %#lx op %d user %d: want %d, got %d",
						       wp, nx, smep, smap, d, p, op, user, want, got);
				}
			}
		}
	}
	TH_LOG("%d accesses", tried);
	EXPECT_GT(tried, 100);
	EXPECT_EQ(0, wrong);
}

/* The emulator's own walks forget to say that the entry was present. */
static int reserved(int code)
{
	return on_tcg() && code >= 0 && code & 8 ? code | 1 : code;
}

/* Bits that must be zero: the fault says so. */
TEST_F(paging, reserved_bits)
{
	u64 pte = pte_at(self, VA);
	u32 maxphy = cpuid_reg(self->vm.sys, 0x80000008, 0, 0) & 0xff;

	if (self->esize == 8) {
		if (self->lm && maxphy < 52) {
			change(self, pte, PA | PTE_P | PTE_W | BIT(51));
			EXPECT_EQ(9, reserved(probe(self, VA, READ)));
			EXPECT_EQ(11, reserved(probe(self, VA, WRITE)));
		}
		/* NX without EFER.NX */
		change(self, pte, PA | PTE_P | PTE_W | PTE_NX);
		EXPECT_EQ(9, reserved(probe(self, VA, READ)));
		/* a large page's low address bits */
		change(self, pde_at(self, LARGE), 0x200000 | BIT(13) | PTE_P | PTE_W | PTE_PS);
		EXPECT_EQ(9, reserved(probe(self, LARGE, READ)));
		change(self, pde_at(self, LARGE), 0x200000 | PTE_P | PTE_W | PTE_PS);
		EXPECT_EQ(-1, probe(self, LARGE, READ));
	}
	change(self, pte, PA | PTE_P | PTE_W);
	EXPECT_EQ(-1, probe(self, VA, READ));
	/* an absent entry may hold anything */
	change(self, pte, ~0ULL & ~PTE_P);
	EXPECT_EQ(0, probe(self, VA, READ));
}

/* 4M pages without CR4.PSE: the bit is ignored, the entry points to a table. */
TEST_F(paging, pse_off)
{
	u64 at = pde_at(self, LARGE);

	if (variant->mode != PG32)
		SKIP(return, "of 32-bit paging");
	((u32 *)(self->vm.mem + 0x60000))[0] = PA | PTE_P | PTE_W;
	change(self, at, 0x60000 | PTE_P | PTE_W | PTE_PS);
	*(u32 *)(self->vm.mem + PA) = 0x11223344;
	ASSERT_EQ(-1, probe(self, LARGE, READ));
	EXPECT_EQ(0x11223344, vcpu_regs(&self->vm.vcpu).rax);
}

/* ---- Page tables that the guest changes itself ---- */

/*
 * EBX: the page, ESI: its entry, EDX: flags and first frame, ECX: rounds,
 * EBP: how to flush (0 INVLPG, 1 CR3, 2 none: not-present to present).  Each
 * round maps another frame and adds up what it reads; and writes its number.
 */
GUEST(remap32, 32,
	"1: cmp $2, %ebp; jne 2f; movl $0, (%esi); invlpg (%ebx)\n"
	"2: mov %edx, (%esi)\n"
	"cmp $1, %ebp; je 3f; ja 4f; invlpg (%ebx); jmp 4f\n"
	"3: mov %cr3, %eax; mov %eax, %cr3\n"
	"4: add (%ebx), %edi\n"
	"mov %ecx, 4(%ebx)\n"
	"add $0x1000, %edx\n"
	"dec %ecx; jnz 1b\n"
	DONE);
GUEST(remap64, 64,
	"1: cmp $2, %ebp; jne 2f; movq $0, (%rsi); invlpg (%rbx)\n"
	"2: mov %rdx, (%rsi)\n"
	"cmp $1, %ebp; je 3f; ja 4f; invlpg (%rbx); jmp 4f\n"
	"3: mov %cr3, %rax; mov %rax, %cr3\n"
	"4: add (%rbx), %edi\n"
	"mov %ecx, 4(%rbx)\n"
	"add $0x1000, %rdx\n"
	"dec %ecx; jnz 1b\n"
	DONE);

TEST_F(paging, remap)
{
	const u32 n = 256, first = 0x100000;

	for (int flush = 0; flush < 3; flush++) {
		struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			.rbx = VA, .rsi = pte_at(self, VA), .rdx = first | PTE_P | PTE_W,
			.rcx = n, .rbp = flush };
		u32 sum = 0;

		if (self->lm)
			GUEST_LOAD(&self->vm, remap64);
		else
			GUEST_LOAD(&self->vm, remap32);
		for (u32 i = 0; i < n; i++) {
			u32 *p = (u32 *)(self->vm.mem + first + i * 0x1000);

			p[0] = i * 0x01010101 + 7;
			p[1] = 0;
			sum += p[0];
		}
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
		ASSERT_EQ(0x11, self->vm.vcpu.run->io.port);
		EXPECT_EQ(sum, (u32)vcpu_regs(&self->vm.vcpu).rdi)
			TH_LOG("flush %d", flush);
		for (u32 i = 0; i < n; i++) {
			ASSERT_EQ(n - i, ((u32 *)(self->vm.mem + first + i * 0x1000))[1])
				TH_LOG("flush %d, page %u", flush, i);
		}
	}
}

/*
 * The directory maps itself, so the guest sees its page tables through the
 * very walk that they make: writes there count at once.
 */
TEST_F(paging, self_map)
{
	const u32 n = 200, first = 0x100000;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rbx = VA, .rdx = first | PTE_P | PTE_W, .rcx = n };
	u32 sum = 0;

	if (variant->mode == PAE) {
		/* the directory's last four entries are the directories */
		init_entry(self, GPA_PD + 511 * 8, GPA_PD | PTE_P | PTE_W);
		r.rsi = 511ULL << 21 | (VA >> 12) * 8;
	} else if (self->lm) {
		u64 i = 0x1fe;		/* PML4's slot */

		init_entry(self, GPA_PML4 + i * 8, GPA_PML4 | PTE_P | PTE_W);
		r.rsi = 0xffffULL << 48 | i << 39 | (u64)(VA >> 12) * 8;
	} else {
		init_entry(self, GPA_PML4 + 1023 * 4, GPA_PML4 | PTE_P | PTE_W);
		r.rsi = 1023UL << 22 | (VA >> 12) * 4;
	}
	for (int round = 0; round < 3; round++) {
		if (self->lm)
			GUEST_LOAD(&self->vm, remap64);
		else
			GUEST_LOAD(&self->vm, remap32);
		sum = 0;
		for (u32 i = 0; i < n; i++) {
			u32 *p = (u32 *)(self->vm.mem + first + i * 0x1000);

			p[0] = i * 3 + round;
			sum += p[0];
		}
		r.rbp = round;
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
		ASSERT_EQ(0x11, self->vm.vcpu.run->io.port) {
			vcpu_dump(&self->vm.vcpu, "self map");
		}
		EXPECT_EQ(sum, (u32)vcpu_regs(&self->vm.vcpu).rdi)
			TH_LOG("round %d", round);
	}
}

/*
 * ESI: a list of ECX roots.  EDX rounds over all: CR3 loaded, [EBX] read and
 * added up, one added to [EBX].
 */
GUEST(spaces32, 32,
	"1: push %ecx; push %esi\n"
	"2: lodsl; mov %eax, %cr3; add (%ebx), %edi; incl (%ebx); dec %ecx; jnz 2b\n"
	"pop %esi; pop %ecx; dec %edx; jnz 1b\n"
	DONE);
GUEST(spaces64, 64,
	"1: push %rcx; push %rsi\n"
	"2: lodsl; mov %rax, %cr3; add (%rbx), %edi; incl (%rbx); dec %ecx; jnz 2b\n"
	"pop %rsi; pop %rcx; dec %edx; jnz 1b\n"
	DONE);

/* An address space at at, 4 pages of tables: all that there is, and va, which is another page. */
static void make_space(paging_self *self, u64 at, u64 va, u64 page)
{
	u8 *m = self->vm.mem;

	if (self->esize == 4) {
		memcpy(m + at, m + GPA_PML4, 4096);
		((u32 *)(m + at))[va >> 22] = (at + 0x1000) | PTE_P | PTE_W;
		((u32 *)(m + at + 0x1000))[0] = page | PTE_P | PTE_W;
		return;
	}
	if (self->lm) {
		memcpy(m + at, m + GPA_PML4, 4096);
		memcpy(m + at + 0x1000, m + GPA_PDPT, 4096);
		((u64 *)(m + at))[0] = (at + 0x1000) | PTE_P | PTE_W;
		((u64 *)(m + at + 0x1000))[1] = (at + 0x2000) | PTE_P | PTE_W;
	} else {
		memcpy(m + at, m + GPA_PDPT, 32);
		((u64 *)(m + at))[1] = (at + 0x2000) | PTE_P;
	}
	((u64 *)(m + at + 0x2000))[0] = (at + 0x3000) | PTE_P | PTE_W;
	((u64 *)(m + at + 0x3000))[0] = page | PTE_P | PTE_W;
}

/* Many address spaces, the same address in each another page. */
TEST_F(paging, address_spaces)
{
	const u32 n = 60, rounds = 20, base = 0x100000;
	u64 va = self->esize == 4 ? 0xc00000 : 0x40000000;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rbx = va, .rsi = GPA_FREE, .rcx = n, .rdx = rounds };
	u32 *list = (u32 *)(self->vm.mem + GPA_FREE), sum = 0;

	for (u32 i = 0; i < n; i++) {
		list[i] = base + i * 0x8000;
		make_space(self, list[i], va, list[i] + 0x4000);
		*(u32 *)(self->vm.mem + list[i] + 0x4000) = i * 100;
		for (u32 k = 0; k < rounds; k++)
			sum += i * 100 + k;
	}
	if (self->lm)
		GUEST_LOAD(&self->vm, spaces64);
	else
		GUEST_LOAD(&self->vm, spaces32);
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(0x11, self->vm.vcpu.run->io.port) {
		vcpu_dump(&self->vm.vcpu, "spaces");
	}
	EXPECT_EQ(sum, (u32)vcpu_regs(&self->vm.vcpu).rdi);
	for (u32 i = 0; i < n; i++)
		EXPECT_EQ(i * 100 + rounds, *(u32 *)(self->vm.mem + base + i * 0x8000 + 0x4000));
}

/* ESI: ECX times a root, an entry's address and what to write to it, after [EBX] was read. */
GUEST(visits32, 32,
	"1: lodsl; mov %eax, %cr3; add (%ebx), %edi\n"
	"lodsl; mov %eax, %ebp; lodsl; mov %eax, (%ebp); dec %ecx; jnz 1b\n"
	DONE);
GUEST(visits64, 64,
	"1: lodsl; mov %rax, %cr3; add (%rbx), %edi\n"
	"lodsl; mov %eax, %ebp; lodsl; mov %eax, (%rbp); dec %ecx; jnz 1b\n"
	DONE);

/*
 * Each space's entry is changed while the guest is in another one: to be seen from when it
 * comes back, and no later.  Few spaces, so that KVM may keep the roots of all.
 */
TEST_F(paging, changed_while_away)
{
	const u32 n = 10, visits = 600, base = 0x100000;
	u64 va = self->esize == 4 ? 0xc00000 : 0x40000000;
	u64 entry = self->esize == 4 ? 0x1000 : 0x3000;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rbx = va, .rsi = 0x200000, .rcx = visits };
	u32 *list = (u32 *)(self->vm.mem + 0x200000), sum = 0, now[10] = { 0 };

	for (u32 i = 0; i < n; i++) {
		u64 at = base + i * 0x8000;

		make_space(self, at, va, (at + 0x4000) | AD);
		*(u32 *)(self->vm.mem + at + 0x4000) = 1 + i;
		*(u32 *)(self->vm.mem + at + 0x5000) = 1000 * (1 + i);
	}
	for (u32 v = 0; v < visits; v++) {
		u32 i = v * 7 % n, other = (i + 1 + v % (n - 1)) % n;

		sum += now[i] ? 1000 * (1 + i) : 1 + i;
		now[other] ^= 1;
		*list++ = base + i * 0x8000;
		*list++ = base + other * 0x8000 + entry;
		*list++ = (base + other * 0x8000 + 0x4000 + now[other] * 0x1000) | PTE_P | PTE_W | AD;
	}
	if (self->lm)
		GUEST_LOAD(&self->vm, visits64);
	else
		GUEST_LOAD(&self->vm, visits32);
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(0x11, self->vm.vcpu.run->io.port) {
		vcpu_dump(&self->vm.vcpu, "visits");
	}
	EXPECT_EQ(sum, (u32)vcpu_regs(&self->vm.vcpu).rdi);
}

/* A page of tables becomes a page of data, and tables again. */
TEST_F(paging, table_becomes_data)
{
	u64 pt = 0x60000, pde = pde_at(self, LARGE);
	u32 *data = (u32 *)(self->vm.mem + pt);

	for (int i = 0; i < 20; i++) {
		change(self, pde, pt | PTE_P | PTE_W);
		change(self, pt, PA | PTE_P | PTE_W);
		ASSERT_EQ(-1, probe(self, LARGE, WRITE));
		ASSERT_EQ(0, memcmp(self->vm.mem + PA, "\xc3\xc3\xc3\xc3", 4));
		/* no longer a table: the identity map's writes to it are data */
		change(self, pde, 0);
		ASSERT_EQ(0, probe(self, LARGE, READ));
		ASSERT_EQ(-1, probe(self, pt + 8, WRITE));
		ASSERT_EQ(0xc3c3c3c3, data[2]);
		ASSERT_EQ(-1, probe(self, pt, RMW));
	}
}

/*
 * A table that nothing leads to is a frame as any other: what a device writes there counts
 * when the guest makes it a table again.  Entries have their accessed bits set, as KVM's own
 * setting of them is noticed; and another entry is used first, as that is walked anew.
 */
TEST_F(paging, table_written_while_unused)
{
	u64 pt = 0x60000, pd = 0x61000, pde = pde_at(self, LARGE), pdpte = GPA_PDPT + 8;
	u64 va = 0x40000000 + LARGE, next = variant->mode == LONG ? va + 0x200000 : 0;
	const u64 bits = PTE_P | PTE_W | AD;

	memset(self->vm.mem + pt, 0, 0x2000);
	init_entry(self, pt + 0x80 * self->esize, PA | bits);
	*(u32 *)(self->vm.mem + 0x91000) = 0x1111;
	*(u32 *)(self->vm.mem + 0x92000) = 0x2222;
	for (int i = 0; i < 6; i++) {
		int frame = 0x91000 + i % 2 * 0x1000;

		init_entry(self, pt, frame | bits);
		change(self, pde, pt | PTE_P | PTE_W);
		ASSERT_EQ(-1, probe(self, LARGE + 0x80000, READ));
		ASSERT_EQ(-1, probe(self, LARGE, READ));
		ASSERT_EQ(*(u32 *)(self->vm.mem + frame), vcpu_regs(&self->vm.vcpu).rax);
		change(self, pde, 0);
		ASSERT_EQ(0, probe(self, LARGE, READ));
	}
	/* and a directory, by whose entry there is a table or none */
	init_entry(self, pd + (next >> 21) % 512 * 8, pt | bits);
	for (int i = 0; i < 6 && next; i++) {
		init_entry(self, pd + (va >> 21) % 512 * 8, i % 2 ? 0 : pt | bits);
		change(self, pdpte, pd | PTE_P | PTE_W);
		ASSERT_EQ(-1, probe(self, next, READ));
		ASSERT_EQ(i % 2 ? 0 : -1, probe(self, va, READ));
		change(self, pdpte, 0);
		ASSERT_EQ(0, probe(self, va, READ));
	}
}

/* A large page made small with one frame moved, and large again. */
TEST_F(paging, split_and_join)
{
	u64 pde = pde_at(self, LARGE), pt = 0x60000;
	u64 size = self->esize == 4 ? 4096 * 1024 : 4096 * 512;
	u64 frame = self->esize == 4 ? 0 : 0x200000;

	if (variant->mode == PG32)
		SKIP(return, "no large pages without CR4.PSE");
	for (u64 i = 0; i < size / 4096; i++)
		init_entry(self, pt + i * self->esize, (frame + i * 4096) | PTE_P | PTE_W);
	init_entry(self, pt + 0x95 * self->esize, PA | PTE_P | PTE_W);
	*(u32 *)(self->vm.mem + frame + 0x95000) = 0x1111;
	*(u32 *)(self->vm.mem + frame + 0x96000) = 0x3333;
	for (int i = 0; i < 10; i++) {
		*(u32 *)(self->vm.mem + PA) = 0x2222;
		change(self, pde, frame | PTE_P | PTE_W | PTE_PS);
		ASSERT_EQ(-1, probe(self, LARGE + 0x95000, READ));
		ASSERT_EQ(0x1111, vcpu_regs(&self->vm.vcpu).rax);
		change(self, pde, pt | PTE_P | PTE_W);
		ASSERT_EQ(-1, probe(self, LARGE + 0x95000, READ));
		ASSERT_EQ(0x2222, vcpu_regs(&self->vm.vcpu).rax);
		ASSERT_EQ(-1, probe(self, LARGE + 0x96000, READ));
		ASSERT_EQ(0x3333, vcpu_regs(&self->vm.vcpu).rax);
	}
}

/* CR4.PGE: a global entry may outlive a CR3 load, but not PGE's toggling. */
TEST_F(paging, global_pages)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	if (variant->mode == PAE && on_tcg())
		SKIP(return, "the emulator's nested walks set the accessed bit of a PDPTE, and MOV to CR4 then faults");
	s.cr4 |= CR4_PGE;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	for (int i = 0; i < 20; i++) {
		u64 pa = 0x100000 + i * 0x1000;

		*(u32 *)(self->vm.mem + pa) = i + 1;
		change(self, pte_at(self, VA), pa | PTE_P | PTE_W | PTE_G);
		ASSERT_EQ(-1, probe(self, VA, READ));
		ASSERT_EQ(i + 1, vcpu_regs(&self->vm.vcpu).rax);
	}
}

/*
 * ---- A large page of the guest's that the host has in small ones, or holds tables ----
 *
 * REGION: 2M of memory of their own, in the host's pages as wanted.
 */
#define REGION	0x1000000u
#define REGION_SIZE	0x200000u
#define AD_PW	(PTE_P | PTE_W | AD)

static u8 *add_region(paging_self *self, int advice)
{
	u8 *p = xmmap(2 * REGION_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u8 *mem = (u8 *)(((uintptr_t)p + REGION_SIZE - 1) & ~(uintptr_t)(REGION_SIZE - 1));

	madvise(mem, REGION_SIZE, advice);
	memset(mem, 0, REGION_SIZE);
	if (vm_slot(&self->vm, 1, 0, REGION, REGION_SIZE, mem))
		die("the region's slot");
	return mem;
}

/*
 * Two directories map the same large page with small ones of the host; the
 * second directory lies in that page's first frame. One table of small pages
 * serves both, and goes with the second entry.
 */
TEST_F(paging, table_shared_by_its_own_directory)
{
	u64 *dir, first = pde_at(self, LARGE), va = 0x40000000;
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	if (self->esize == 4)
		SKIP(return, "one directory, which cannot lie within a page that it maps alone");
	dir = (u64 *)add_region(self, MADV_NOHUGEPAGE);
	dir[0] = REGION | AD_PW | PTE_PS;
	init_entry(self, first, REGION | AD_PW | PTE_PS);
	init_entry(self, GPA_PDPT + 8, REGION | PTE_P | (self->lm ? PTE_W | PTE_A : 0));
	init_entry(self, pte_at(self, VA), REGION | AD_PW);
	vcpu_set_sregs(&self->vm.vcpu, &s);	/* PAE: the PDPT is read */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(-1, probe(self, LARGE + 0x5000, READ));
		ASSERT_EQ(-1, probe(self, va + 0x5000, READ));
		change(self, first, 0);
		change(self, VA, 0);
		EXPECT_EQ(0, probe(self, LARGE + 0x5000, READ));
		EXPECT_EQ(0, probe(self, va + 0x5000, READ));
		change(self, VA, REGION | AD_PW | PTE_PS);
		change(self, first, REGION | AD_PW | PTE_PS);
	}
}

/*
 * A directory entry that the VMM changes, as any device's DMA may: what is
 * mapped by it from then on is of the new page, and goes when the host's page goes.
 */
TEST_F(paging, large_page_moved_by_the_vmm)
{
	u64 at = pde_at(self, LARGE), big = self->esize == 4 ? 0x400000 : 0x200000;
	u8 *mem;

	if (variant->mode == PG32)
		SKIP(return, "no large pages without CR4.PSE");
	mem = xmmap(4 * big, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(mem, 4 * big, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, REGION, 2 * big, mem));
	*(u32 *)(mem + 0x5000) = 1;
	*(u32 *)(mem + big + 0x95000) = 2;
	init_entry(self, at, REGION | AD_PW | PTE_PS);
	ASSERT_EQ(-1, probe(self, LARGE + 0x5000, READ));
	ASSERT_EQ(1, vcpu_regs(&self->vm.vcpu).rax);
	init_entry(self, at, (REGION + big) | AD_PW | PTE_PS);
	ASSERT_EQ(-1, probe(self, LARGE + 0x95000, READ));
	EXPECT_EQ(2, vcpu_regs(&self->vm.vcpu).rax);
	/* the guest takes it away, the host takes the frame away, and another comes */
	change(self, at, 0);
	ASSERT_EQ(0, madvise(mem + big + 0x95000, 4096, MADV_DONTNEED));
	*(u32 *)(mem + big + 0x95000) = 3;
	change(self, at, (REGION + big) | AD_PW | PTE_PS);
	ASSERT_EQ(-1, probe(self, LARGE + 0x95000, READ));
	EXPECT_EQ(3, vcpu_regs(&self->vm.vcpu).rax);
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, REGION, 0, mem));
	munmap(mem, 4 * big);
}

/* A large page over the very tables that map it: what is written there counts. */
TEST_F(paging, large_page_over_its_own_tables)
{
	u64 va = 1ULL << 39, tables = va + 0x2000;
	u64 *mem;

	if (!self->lm)
		SKIP(return, "with fewer levels the tables above a large page are roots");
	mem = (u64 *)add_region(self, MADV_HUGEPAGE);
	mem[0x1000 / 8] = (REGION + 0x2000) | AD_PW;		/* PDPT */
	mem[0x2000 / 8] = REGION | AD_PW | PTE_PS;		/* PD: the region itself, */
	mem[0x2000 / 8 + 1] = 0 | AD_PW | PTE_PS;		/* and a page to change */
	init_entry(self, GPA_PML4 + 8, (REGION + 0x1000) | AD_PW);
	*(u32 *)(self->vm.mem + 0x95000) = 1;
	*(u32 *)(self->vm.mem + 0x295000) = 2;
	ASSERT_EQ(-1, probe(self, va + 0x5000, WRITE));
	ASSERT_EQ(-1, probe(self, va + 0x295000, READ));
	ASSERT_EQ(1, vcpu_regs(&self->vm.vcpu).rax);
	change(self, tables + 8, 0x200000 | AD_PW | PTE_PS);
	ASSERT_EQ(-1, probe(self, va + 0x295000, READ));
	EXPECT_EQ(2, vcpu_regs(&self->vm.vcpu).rax);
}

/*
 * One frame mapped by 1,536 entries, and one table linked by as many: what is done for
 * each of them stays bounded, and the host can take the frame away from all.
 * EBX: where; ECX: how often; EDX: the step.  EAX: the sum of what is there.
 */
GUEST(sum, 64,
	"xor %eax, %eax\n"
	"1: addl (%rbx), %eax; add %rdx, %rbx; dec %ecx; jnz 1b\n"
	DONE);

static u64 sum(paging_self *self, u64 va, u64 n, u64 step)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rbx = va, .rcx = n, .rdx = step };

	vcpu_set_regs(&self->vm.vcpu, &r);
	if (vm_run(&self->vm) != KVM_EXIT_IO || self->vm.vcpu.run->io.port != 0x11)
		die("the guest cannot read from %#lx on", va);
	return vcpu_regs(&self->vm.vcpu).rax;
}

TEST_F_TIMEOUT(paging, mapped_very_often, 120)
{
	u8 *mem;

	if (!self->lm)
		SKIP(return, "smaller address spaces serve no better");
	mem = add_region(self, MADV_NOHUGEPAGE);
	GUEST_LOAD(&self->vm, sum);
	for (int i = 0; i < 3 * 512; i++)
		init_entry(self, 0x100000 + i * 8, REGION | AD_PW);
	for (int i = 0; i < 3; i++)
		init_entry(self, GPA_PD + (64 + i) * 8, (0x100000 + i * 0x1000) | AD_PW);
	/* three directories of links to the last of the three tables */
	for (int i = 0; i < 512; i++)
		init_entry(self, 0x110000 + i * 8, 0x102000 | AD_PW);
	for (int i = 0; i < 2; i++)
		init_entry(self, GPA_PDPT + (i + 1) * 8, (0x110000 + i * 0x1000) | AD_PW);
	for (int i = 0; i < 512; i++)
		init_entry(self, 0x111000 + i * 8, 0x102000 | AD_PW);
	for (int k = 1; k < 4; k++) {
		*(u32 *)mem = k;
		ASSERT_EQ(1536 * k, sum(self, 0x8000000, 1536, 0x1000));
		ASSERT_EQ(1024 * k, sum(self, 0x40000000, 1024, 0x200000));
		ASSERT_EQ(0, madvise(mem, 4096, MADV_DONTNEED));
	}
}

static void on_alarm(int sig)
{
}

/* Page tables in an MMIO hole or past all memory: a fault or an exit, no more. */
TEST_F(paging, tables_nowhere)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	int exit;

	s.cr3 = 0x7ff00000;
	if (ioctl(self->vm.vcpu.fd, KVM_SET_SREGS, &s))
		return;					/* PAE's roots cannot be read */
	vcpu_set_regs(&self->vm.vcpu, &r);
	/* or, as stock has it with nested paging, a loop that a signal ends */
	signal(SIGALRM, on_alarm);
	alarm(2);
	exit = ioctl(self->vm.vcpu.fd, KVM_RUN, 0L) ? -errno : (int)self->vm.vcpu.run->exit_reason;
	EXPECT_TRUE(exit == KVM_EXIT_SHUTDOWN || exit == KVM_EXIT_INTERNAL_ERROR ||
		    exit == KVM_EXIT_MMIO || exit == KVM_EXIT_FAIL_ENTRY || exit < 0)
		TH_LOG("%s", exit_name(exit));
}

TEST_HARNESS_MAIN
