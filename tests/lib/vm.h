/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test needs of a VMM: a VM with one slot of memory at 0, vcpus whose
 * state is made for one of the modes below, and guests written in assembly.
 */
#ifndef TESTS_VM_H
#define TESTS_VM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ULL << (n))

/* Where vm_mode() puts things in guest memory. */
#define GPA_GDT		0x1000
#define GPA_TSS		0x1800
#define GPA_IDT		0x2000
#define GPA_TRAP	0x3000		/* struct trap */
#define GPA_PT		0x4000		/* PML4 (or 32-bit directory), PDPT, PD, PT, PD for MMIO */
#define GPA_STACK	0xf000		/* top */
#define GPA_CODE	0x10000
#define GPA_DATA	0x20000
#define GPA_STUBS	0x30000
#define GPA_FREE	0x40000		/* and up: the test's own */
#define GPA_MMIO	0xd0000000	/* mapped, but no memory */
#define MEM_SIZE	0x400000

#define GPA_PML4	(GPA_PT + 0x0000)
#define GPA_PDPT	(GPA_PT + 0x1000)
#define GPA_PD		(GPA_PT + 0x2000)	/* long, PAE: 2M pages from 2M on */
#define GPA_PT0		(GPA_PT + 0x3000)	/* 4k pages from 0 on */
#define GPA_PD_MMIO	(GPA_PT + 0x4000)

/* Selectors of the GDT. */
#define SEL_CODE32	0x08
#define SEL_DATA	0x10
#define SEL_CODE64	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_UCODE32	0x33
#define SEL_UDATA	0x3b
#define SEL_UCODE64	0x43
#define SEL_TSS		0x50

#define CR0_PE		BIT(0)
#define CR0_MP		BIT(1)
#define CR0_EM		BIT(2)
#define CR0_TS		BIT(3)
#define CR0_ET		BIT(4)
#define CR0_NE		BIT(5)
#define CR0_WP		BIT(16)
#define CR0_AM		BIT(18)
#define CR0_NW		BIT(29)
#define CR0_CD		BIT(30)
#define CR0_PG		BIT(31)
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_PGE		BIT(7)
#define CR4_OSFXSR	BIT(9)
#define CR4_OSXSAVE	BIT(18)
#define CR4_SMEP	BIT(20)
#define CR4_SMAP	BIT(21)
#define EFER_SCE	BIT(0)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define EFER_NX		BIT(11)

#define PTE_P		BIT(0)
#define PTE_W		BIT(1)
#define PTE_U		BIT(2)
#define PTE_A		BIT(5)
#define PTE_D		BIT(6)
#define PTE_PS		BIT(7)
#define PTE_G		BIT(8)
#define PTE_NX		BIT(63)

enum vm_mode { REAL, PROT, PG32, PSE32, PAE, LONG };

struct vcpu {
	int fd;
	struct kvm_run *run;
};

struct vm {
	int sys, fd;
	size_t run_size;
	u8 *mem;			/* MEM_SIZE, slot 0, gpa 0 */
	struct vcpu vcpu;		/* id 0 */
	enum vm_mode mode;
	u32 cpuid_1_ecx;		/* features for the vcpus made from here on */
};

/*
 * The last exception or interrupt, as the handlers that vm_mode() installs
 * left it.  A fault goes on at resume, or, if that is 0, leaves by PORT_TRAP;
 * #DB, NMI, #BP and interrupts return.
 */
struct trap {
	u64 count;
	u64 vector, error, rip, cs, rflags, rsp, cr2;
	u64 resume;
	u64 sti_hlt;			/* an interrupt between STI and HLT returns behind HLT */
};

#define PORT_TRAP	0xf4

#define trap(vm)	((volatile struct trap *)((vm)->mem + GPA_TRAP))

/*
 * A guest: BITS of code that runs at GPA_CODE (1000:0 in real mode).  One that
 * loops without an exit begins with STI: Bochs 2.7 leaves a guest for the host's
 * interrupts only while the guest's own are on.
 */
#define GUEST(name, bits, ...)						\
	asm(".pushsection .rodata\n\t.code" #bits "\n"			\
	    "guest_" #name ":\n" __VA_ARGS__ "\n"			\
	    "guest_" #name "_end:\n\t.code64\n\t.popsection");		\
	extern const u8 guest_##name[], guest_##name##_end[]

#define GUEST_LOAD(vm, name) \
	vm_load(vm, GPA_CODE, guest_##name, guest_##name##_end)

/* Each dies with a message (and so fails its test) upon a failure. */
void vm_open(struct vm *vm);		/* no vcpu yet */
void vm_create(struct vm *vm);
void vm_create_split(struct vm *vm);	/* with local APICs in the kernel, and TSC-deadline timers */
void vm_create_full(struct vm *vm);	/* with all interrupt controllers and the 8254 */
void vm_destroy(struct vm *vm);
void vcpu_create(struct vm *vm, struct vcpu *vcpu, int id);
void vm_load(struct vm *vm, u64 gpa, const void *start, const void *end);
void vm_mode(struct vm *vm, struct vcpu *vcpu, enum vm_mode mode);
int vm_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, void *mem);
void *xmmap(size_t size, int flags, int fd);

/* create, mode, load: the usual beginning */
#define vm_start(vm, md, name) do {					\
	vm_create(vm);							\
	vm_mode(vm, &(vm)->vcpu, md);					\
	GUEST_LOAD(vm, name);						\
} while (0)

/* KVM_RUN until it ends by no signal: the exit reason, or -errno. */
int vcpu_run(struct vcpu *vcpu);
const char *exit_name(int reason);
void vcpu_dump(struct vcpu *vcpu, const char *why);

static inline int vm_run(struct vm *vm)
{
	return vcpu_run(&vm->vcpu);
}

struct kvm_regs vcpu_regs(struct vcpu *vcpu);
void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
struct kvm_sregs vcpu_sregs(struct vcpu *vcpu);
void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
u64 vcpu_msr(struct vcpu *vcpu, u32 index);
int vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value);
u64 stat_of(int fd, const char *name);	/* of a VM or a vcpu; ~0: there is none of the name */

/* of KVM_GET_SUPPORTED_CPUID; reg 0..3 is EAX, EBX, ECX, EDX */
struct kvm_cpuid2 *supported_cpuid(int sys);
u32 cpuid_reg(int sys, u32 function, u32 index, int reg);

#define has_smep(sys)	(cpuid_reg(sys, 7, 0, 1) & BIT(7))
#define has_smap(sys)	(cpuid_reg(sys, 7, 0, 1) & BIT(20))
#define has_nx(sys)	(cpuid_reg(sys, 0x80000001, 0, 3) & BIT(20))
#define has_xsave(sys)	(cpuid_reg(sys, 1, 0, 2) & BIT(26))

static inline int check_cap(int fd, int cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap);
}

/* The first character of a module's parameter, Y and N of a bool; 0: it is not there. */
char module_parameter(const char *module, const char *name);

/* Whether the vendor's module that is loaded has nested paging. */
bool nested_paging(void);

/*
 * Whether the distribution's modules are under test, which do here and there
 * what ours shall not; each use says what.
 */
static inline bool on_stock(void)
{
	const char *load = getenv("LAB_LOAD");

	return load && !strcmp(load, "stock");
}

/*
 * Whether the host's processor is QEMU's software emulation, whose SVM departs
 * from the manual in places; each use says where.
 */
static inline bool on_tcg(void)
{
	u32 eax = 0x40000000, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == 0x54474354 && ecx == 0x43544743;	/* "TCGTCGTCGTCG" */
}

/* Whether the host's processor is Bochs', which takes long for everything. */
static inline bool on_bochs(void)
{
	const char *emulator = getenv("LAB_EMULATOR");

	return emulator && !strcmp(emulator, "bochs");
}

/* Whether all takes several times as long, as in Bochs and on a debugging kernel: fewer rounds do. */
static inline bool is_slow(void)
{
	const char *slow = getenv("SLOW");

	return on_bochs() || (slow && atoi(slow) > 1);
}

bool walks_write_unseen(void);

/*
 * Whether the host's SVM is Bochs', which departs from the manual in other places,
 * and can end the whole lab host; each use says where.
 */
static inline bool on_bochs_svm(void)
{
	const char *module = getenv("LAB_VENDOR_MODULE");

	return on_bochs() && module && !strcmp(module, "kvm_amd");
}

/* Ahead of what that cannot do, or not survive. */
#define NOT_ON_BOCHS_SVM(why) do {					\
	if (on_bochs_svm())						\
		SKIP(return, why);					\
} while (0)
#define MAY_SHUT_DOWN()	NOT_ON_BOCHS_SVM("a guest's shutdown would end the emulator")
#define EXITS_WHILE_STEPPING() \
	NOT_ON_BOCHS_SVM("an exit while the guest single-steps would end the emulator")
#define LOADS_CR2()	NOT_ON_BOCHS_SVM("the emulator's VMRUN does not load CR2")

/* The errno that a call ends with, 0 upon success. */
#define err(call) ({ errno = 0; (call) < 0 ? errno : 0; })

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* An address at which no page is mapped. */
#define BAD_PTR		((void *)0x10)

#endif
