// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"

void die(const char *fmt, ...)
{
	int e = errno;
	va_list ap;

	fprintf(stderr, "# ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d, %s)\n", e, strerror(e));
	exit(1);
}

void *xmmap(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", size);
	return p;
}

int vm_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, void *mem)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)mem,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

struct kvm_cpuid2 *supported_cpuid(int sys)
{
	int n = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

	c->nent = n;
	if (ioctl(sys, KVM_GET_SUPPORTED_CPUID, c))
		die("KVM_GET_SUPPORTED_CPUID");
	return c;
}

u32 cpuid_reg(int sys, u32 function, u32 index, int reg)
{
	static struct kvm_cpuid2 *c;

	if (!c)
		c = supported_cpuid(sys);
	for (u32 i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == function && e->index == index)
			return (u32[]){ e->eax, e->ebx, e->ecx, e->edx }[reg];
	}
	return 0;
}

void vcpu_create(struct vm *vm, struct vcpu *vcpu, int id)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vm->sys);

	/* What works with the kernel's APIC, and so is userspace's to offer. */
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 1)
			cpuid->entries[i].ecx |= vm->cpuid_1_ecx;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)id);
	if (vcpu->fd < 0)
		die("KVM_CREATE_VCPU %d", id);
	vcpu->run = xmmap(vm->run_size, MAP_SHARED, vcpu->fd);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		die("KVM_SET_CPUID2");
	free(cpuid);
}

void vm_open(struct vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	vm->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->sys < 0)
		die("/dev/kvm");
	vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0L);
	if (vm->fd < 0)
		die("KVM_CREATE_VM");
	/* Intel without unrestricted guest needs both in real mode. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfeffd000L))
		die("KVM_SET_TSS_ADDR");
	vm->run_size = ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0L);
	vm->mem = xmmap(MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (vm_slot(vm, 0, 0, 0, MEM_SIZE, vm->mem))
		die("KVM_SET_USER_MEMORY_REGION");
}

void vm_create(struct vm *vm)
{
	vm_open(vm);
	vcpu_create(vm, &vm->vcpu, 0);
}

void vm_create_split(struct vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	vm_open(vm);
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_SPLIT_IRQCHIP");
	vm->cpuid_1_ecx = BIT(24);
	vcpu_create(vm, &vm->vcpu, 0);
}

void vm_create_full(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	vm_open(vm);
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP))
		die("KVM_CREATE_IRQCHIP");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		die("KVM_CREATE_PIT2");
	vcpu_create(vm, &vm->vcpu, 0);
}

void vm_destroy(struct vm *vm)
{
	munmap(vm->vcpu.run, vm->run_size);
	close(vm->vcpu.fd);
	close(vm->fd);
	close(vm->sys);
	munmap(vm->mem, MEM_SIZE);
}

void vm_load(struct vm *vm, u64 gpa, const void *start, const void *end)
{
	memcpy(vm->mem + gpa, start, (const u8 *)end - (const u8 *)start);
}

struct kvm_regs vcpu_regs(struct vcpu *vcpu)
{
	struct kvm_regs r;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r))
		die("KVM_GET_REGS");
	return r;
}

void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	if (ioctl(vcpu->fd, KVM_SET_REGS, regs))
		die("KVM_SET_REGS");
}

struct kvm_sregs vcpu_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs s;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	return s;
}

void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (ioctl(vcpu->fd, KVM_SET_SREGS, sregs))
		die("KVM_SET_SREGS");
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

u64 vcpu_msr(struct vcpu *vcpu, u32 index)
{
	struct one_msr m = { { .nmsrs = 1 }, { .index = index } };

	if (ioctl(vcpu->fd, KVM_GET_MSRS, &m) != 1)
		die("KVM_GET_MSRS of %#x", index);
	return m.entry.data;
}

int vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	struct one_msr m = { { .nmsrs = 1 }, { .index = index, .data = value } };

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

int vcpu_run(struct vcpu *vcpu)
{
	while (ioctl(vcpu->fd, KVM_RUN, 0L) < 0)
		if (errno != EINTR || vcpu->run->immediate_exit)
			return -errno;
	return vcpu->run->exit_reason;
}

const char *exit_name(int reason)
{
	static const char * const names[] = {
		"UNKNOWN", "EXCEPTION", "IO", "HYPERCALL", "DEBUG", "HLT",
		"MMIO", "IRQ_WINDOW_OPEN", "SHUTDOWN", "FAIL_ENTRY", "INTR",
		"SET_TPR", "TPR_ACCESS", "13", "14", "15", "NMI",
		"INTERNAL_ERROR",
	};

	if (reason < 0)
		return strerror(-reason);
	return reason < (int)ARRAY_LEN(names) ? names[reason] : "another";
}

void vcpu_dump(struct vcpu *vcpu, const char *why)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs r = vcpu_regs(vcpu);
	struct kvm_sregs s = vcpu_sregs(vcpu);

	fprintf(stderr, "# %s: exit %s, rip %llx rflags %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x:%llx\n",
		why, exit_name(run->exit_reason), r.rip, r.rflags,
		s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.cs.selector, s.cs.base);
	fprintf(stderr, "#   rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx rsp %llx\n",
		r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp);
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		fprintf(stderr, "#   io %s size %u port %x count %u\n",
			run->io.direction ? "out" : "in", run->io.size,
			run->io.port, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		fprintf(stderr, "#   mmio %s %llx len %u\n",
			run->mmio.is_write ? "write" : "read",
			run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, "#   suberror %u ndata %u data %llx %llx %llx\n",
			run->internal.suberror, run->internal.ndata,
			run->internal.data[0], run->internal.data[1],
			run->internal.data[2]);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, "#   hardware says %llx\n",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	}
}

/* ---- Modes ---- */

/* A descriptor: base 0 and limit 4G but for the TSS. */
static u64 desc(u32 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 |
		(u64)access << 40 | (u64)(limit >> 16 & 0xf) << 48 |
		(u64)flags << 52 | (u64)(base >> 24) << 56;
}

static void make_gdt(struct vm *vm)
{
	u64 *gdt = (u64 *)(vm->mem + GPA_GDT);

	gdt[SEL_CODE32 / 8] = desc(0, 0xfffff, 0x9b, 0xc);
	gdt[SEL_DATA / 8] = desc(0, 0xfffff, 0x93, 0xc);
	gdt[SEL_CODE64 / 8] = desc(0, 0xfffff, 0x9b, 0xa);
	gdt[SEL_CODE16 / 8] = desc(0, 0xffff, 0x9b, 0x0);
	gdt[SEL_DATA16 / 8] = desc(0, 0xffff, 0x93, 0x0);
	gdt[SEL_UCODE32 / 8] = desc(0, 0xfffff, 0xfb, 0xc);
	gdt[SEL_UDATA / 8] = desc(0, 0xfffff, 0xf3, 0xc);
	gdt[SEL_UCODE64 / 8] = desc(0, 0xfffff, 0xfb, 0xa);
	/* available, for a guest that loads it itself */
	gdt[SEL_TSS / 8] = desc(GPA_TSS, 0x67, 0x89, 0x0);
	gdt[SEL_TSS / 8 + 1] = 0;
}

static void make_page_tables(struct vm *vm, enum vm_mode mode)
{
	const u64 rw = PTE_P | PTE_W;
	u64 *pml4 = (u64 *)(vm->mem + GPA_PML4), *pdpt = (u64 *)(vm->mem + GPA_PDPT);
	u64 *pd = (u64 *)(vm->mem + GPA_PD), *pt0 = (u64 *)(vm->mem + GPA_PT0);
	u64 *pd_mmio = (u64 *)(vm->mem + GPA_PD_MMIO);
	u32 *dir = (u32 *)pml4;

	memset(vm->mem + GPA_PT, 0, 0x5000);
	switch (mode) {
	case PG32:
		dir[0] = GPA_PT0 | rw;
		dir[GPA_MMIO >> 22] = GPA_PD_MMIO | rw;
		for (u32 i = 0; i < 1024; i++) {
			((u32 *)pt0)[i] = i << 12 | rw;
			((u32 *)pd_mmio)[i] = (GPA_MMIO + (i << 12)) | rw;
		}
		break;
	case PSE32:
		dir[0] = 0 | PTE_PS | rw;
		dir[GPA_MMIO >> 22] = GPA_MMIO | PTE_PS | rw;
		break;
	case PAE:
	case LONG:
		pml4[0] = GPA_PDPT | rw;
		pdpt[0] = GPA_PD | (mode == LONG ? rw : PTE_P);
		pdpt[3] = GPA_PD_MMIO | (mode == LONG ? rw : PTE_P);
		pd[0] = GPA_PT0 | rw;
		for (u64 i = 1; i < 512; i++)
			pd[i] = i << 21 | PTE_PS | rw;
		for (u64 i = 0; i < 512; i++) {
			pt0[i] = i << 12 | rw;
			pd_mmio[i] = (0xc0000000 + (i << 21)) | PTE_PS | rw;
		}
		break;
	default:
		break;
	}
}

extern const u8 stubs32[], stubs32_end[], stubs64[], stubs64_end[];

/* A gate for each vector, to a stub of 16 bytes each. */
static void make_idt(struct vm *vm, bool lm)
{
	u64 *idt = (u64 *)(vm->mem + GPA_IDT);

	for (u64 i = 0; i < 256; i++) {
		u64 to = GPA_STUBS + i * 16;
		u64 gate = (to & 0xffff) | (to >> 16 & 0xffff) << 48 |
			   (u64)(lm ? SEL_CODE64 : SEL_CODE32) << 16 |
			   0xee00ULL << 32;

		if (lm) {
			idt[2 * i] = gate;
			idt[2 * i + 1] = 0;
		} else {
			idt[i] = gate;
		}
	}
	if (lm)
		vm_load(vm, GPA_STUBS, stubs64, stubs64_end);
	else
		vm_load(vm, GPA_STUBS, stubs32, stubs32_end);
}

static void make_tss(struct vm *vm, bool lm)
{
	u8 *tss = vm->mem + GPA_TSS;

	memset(tss, 0, 0x68);
	if (lm) {
		*(u64 *)(tss + 4) = GPA_STACK - 0x1000;	/* rsp0 */
	} else {
		*(u32 *)(tss + 4) = GPA_STACK - 0x1000;	/* esp0 */
		*(u32 *)(tss + 8) = SEL_DATA;
	}
	*(u16 *)(tss + 0x66) = 0x68;			/* no I/O bitmap */
}

static struct kvm_segment flat(u16 sel, u8 type, u8 db, u8 l)
{
	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = sel, .type = type,
		.present = 1, .db = db, .l = l, .s = 1, .g = 1,
	};
}

static struct kvm_segment real(u16 sel, u8 type)
{
	return (struct kvm_segment){
		.base = (u64)sel << 4, .limit = 0xffff, .selector = sel,
		.type = type, .present = 1, .s = 1,
	};
}

void vm_mode(struct vm *vm, struct vcpu *vcpu, enum vm_mode mode)
{
	struct kvm_sregs s = vcpu_sregs(vcpu);
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	bool lm = mode == LONG;

	vm->mode = mode;
	memset(vm->mem + GPA_TRAP, 0, sizeof(struct trap));
	trap(vm)->sti_hlt = on_tcg();	/* where VMRUN forgets STI's shadow */
	s.cr0 = CR0_ET | CR0_NE;
	s.cr4 = 0;
	s.efer = 0;
	s.ldt = (struct kvm_segment){ .type = 2, .present = 1, .limit = 0xffff };
	s.tr = (struct kvm_segment){ .type = 11, .present = 1, .limit = 0xffff };
	if (mode == REAL) {
		s.cs = real(GPA_CODE >> 4, 11);
		s.ds = s.es = s.fs = s.gs = real(GPA_DATA >> 4, 3);
		s.ss = real(0, 3);
		s.gdt = s.idt = (struct kvm_dtable){ .limit = 0xffff };
		r.rip = 0;
	} else {
		make_gdt(vm);
		make_idt(vm, lm);
		make_tss(vm, lm);
		make_page_tables(vm, mode);
		s.cs = flat(lm ? SEL_CODE64 : SEL_CODE32, 11, !lm, lm);
		s.ds = s.es = s.fs = s.gs = s.ss = flat(SEL_DATA, 3, 1, 0);
		s.gdt = (struct kvm_dtable){ .base = GPA_GDT, .limit = 0x7ff };
		s.idt = (struct kvm_dtable){ .base = GPA_IDT, .limit = 0xfff };
		s.tr.base = GPA_TSS;
		s.tr.limit = 0x67;
		s.tr.selector = SEL_TSS;
		s.cr0 |= CR0_PE;
	}
	if (mode >= PG32) {
		s.cr0 |= CR0_PG | CR0_WP;
		s.cr3 = mode == PAE ? GPA_PDPT : GPA_PML4;
	}
	if (mode == PSE32)
		s.cr4 |= CR4_PSE;
	if (mode >= PAE)
		s.cr4 |= CR4_PAE;
	if (lm)
		s.efer = EFER_LME | EFER_LMA;
	vcpu_set_sregs(vcpu, &s);
	vcpu_set_regs(vcpu, &r);
}

u64 stat_of(int fd, const char *name)
{
	int stats = ioctl(fd, KVM_GET_STATS_FD, 0L);
	struct { struct kvm_stats_desc d; char name[256]; } e;
	struct kvm_stats_header h;
	u64 val = ~0ULL;

	if (stats < 0 || pread(stats, &h, sizeof(h), 0) != sizeof(h) || h.name_size > 256)
		die("KVM_GET_STATS_FD");
	for (u32 i = 0; i < h.num_desc && val == ~0ULL; i++) {
		size_t size = sizeof(e.d) + h.name_size;

		if (pread(stats, &e, size, h.desc_offset + i * size) != (ssize_t)size)
			die("no descriptor %u", i);
		if (!strcmp(e.name, name) && pread(stats, &val, 8, h.data_offset + e.d.offset) != 8)
			die("no value of %s", name);
	}
	close(stats);
	return val;
}

/*
 * The handlers.  Each stub leaves an error code (or 0) and the vector on the
 * stack; the rest is common, and keeps all registers.
 */
#define STR2(x)	#x
#define STR(x)	STR2(x)

#define STUBS(push, common)						\
	"	.altmacro\n"						\
	"	.set n, 0\n"						\
	"	.rept 256\n"						\
	"	.balign 16\n"						\
	"	.if n <> 8 && (n < 10 || n > 14) && n <> 17 && n <> 21\n" \
	"	" push " $0\n"						\
	"	.endif\n"						\
	"	" push " $n\n"						\
	"	jmp " common "\n"					\
	"	.set n, n + 1\n"					\
	"	.endr\n"						\
	"	.noaltmacro\n"

asm(".pushsection .rodata\n"
	".balign 16\n"
"stubs64:\n"
	STUBS("push", "common64")
"common64:\n"
	"push %rax\n"
	"push %rbx\n"
	"mov $" STR(GPA_TRAP) ", %ebx\n"
	"incq (%rbx)\n"
	".irp i, 1, 2, 3, 4, 5, 6\n"		/* vector, error, rip, cs, rflags, rsp */
	"mov 8 + 8 * \\i(%rsp), %rax\n"
	"mov %rax, 8 * \\i(%rbx)\n"
	".endr\n"
	"mov %cr2, %rax\n"
	"mov %rax, 56(%rbx)\n"
	"mov 64(%rbx), %rax\n"
	"test %rax, %rax\n"
	"jz 1f\n"
	"mov %rax, 32(%rsp)\n"
"2:	pop %rbx\n"
	"pop %rax\n"
	"add $16, %rsp\n"
	"iretq\n"
"1:	mov 8(%rbx), %rax\n"
	"cmp $32, %eax\n"
	"jae 3f\n"
	"dec %eax\n"
	"cmp $3, %eax\n"			/* 1, 2, 3 */
	"jb 2b\n"
	"out %al, $" STR(PORT_TRAP) "\n"
	"jmp 1b\n"
"3:	cmpq $0, 72(%rbx)\n"
	"je 2b\n"
	"mov 24(%rbx), %rax\n"
	"cmpb $0xf4, (%rax)\n"			/* HLT */
	"jne 2b\n"
	"cmpb $0xfb, -1(%rax)\n"		/* STI */
	"jne 2b\n"
	"incq 32(%rsp)\n"
	"jmp 2b\n"
"stubs64_end:\n"
	".code32\n"
	".balign 16\n"
"stubs32:\n"
	STUBS("pushl", "common32")
"common32:\n"
	"push %eax\n"
	"push %ebx\n"
	"mov $" STR(GPA_TRAP) ", %ebx\n"
	"incl %ss:(%ebx)\n"
	".irp i, 1, 2, 3, 4, 5, 6\n"
	"mov 4 + 4 * \\i(%esp), %eax\n"
	"mov %eax, %ss:8 * \\i(%ebx)\n"
	".endr\n"
	"mov %cr2, %eax\n"
	"mov %eax, %ss:56(%ebx)\n"
	"mov %ss:64(%ebx), %eax\n"
	"test %eax, %eax\n"
	"jz 1f\n"
	"mov %eax, 16(%esp)\n"
"2:	pop %ebx\n"
	"pop %eax\n"
	"add $8, %esp\n"
	"iretl\n"
"1:	mov %ss:8(%ebx), %eax\n"
	"cmp $32, %eax\n"
	"jae 2b\n"
	"dec %eax\n"
	"cmp $3, %eax\n"
	"jb 2b\n"
	"out %al, $" STR(PORT_TRAP) "\n"
	"jmp 1b\n"
"stubs32_end:\n"
	".code64\n"
	".popsection\n");

char module_parameter(const char *module, const char *name)
{
	char path[128], value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	f = fopen(path, "r");
	if (f && fread(&value, 1, 1, f) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

bool nested_paging(void)
{
	char ept = module_parameter("kvm_intel", "ept"), npt = module_parameter("kvm_amd", "npt");

	return ept == 'Y' || npt == 'Y' || npt == '1';	/* of the distribution's some are a number */
}

/*
 * Bochs writes accessed and dirty bits to a page table without asking the EPT, if
 * that has no such bits of its own: nothing then tells anybody.
 */
bool walks_write_unseen(void)
{
	const char *root = getenv("LAB_ROOT");

	return root && !strcmp(root, "cd") && module_parameter("kvm_intel", "ept") == 'Y' &&
	       module_parameter("kvm_intel", "eptad") == 'N' && !on_stock();
}
