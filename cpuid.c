// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: what is supported (KVM_GET_SUPPORTED_CPUID), what userspace sets
 * (KVM_SET_CPUID2), what the guest's CPUID instruction returns, and what the rest of
 * the module derives from it.
 *
 * "SDM" is Intel's manual, "APM 3" AMD's third volume, appendix "Obtaining
 * Processor Information Via the CPUID Instruction".
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_speculation.h"

#include <linux/export.h>
#include <linux/kvm_para.h>
#include <linux/overflow.h>
#include <linux/sched/stat.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/processor.h>

#include "compat/regs.h"

/* The tables of old VMMs have no more entries (kvmtool: 100). */
#define MAX_SUPPORTED	99

#define MAXPHYADDR_DEFAULT	36	/* SDM 3A "Enumeration of Paging Features by CPUID" */
#define MAXPHYADDR_MAX		52

u64 kvm_supported_xcr0 __read_mostly;
u32 kvm_host_maxphyaddr __read_mostly;

/* The supported entries, made when the vendor's module is loaded. */
static struct kvm_cpuid_entry2 supported[MAX_SUPPORTED] __read_mostly;
static int nr_supported __read_mostly;
static u32 caps[KVM_NR_CPUID_WORDS] __read_mostly;	/* the same, by X86_FEATURE_* */

/*
 * ---- feature words ----
 */

enum { EAX, EBX, ECX, EDX };

/* The register of CPUID that a feature word is; Linux's synthetic words have none. */
static const struct feature_word {
	u32 function;
	u8 index, reg;
} feature_words[KVM_NR_CPUID_WORDS] = {
	[CPUID_1_EDX]		= { 1, 0, EDX },
	[CPUID_8000_0001_EDX]	= { 0x80000001, 0, EDX },
	[CPUID_1_ECX]		= { 1, 0, ECX },
	[CPUID_8000_0001_ECX]	= { 0x80000001, 0, ECX },
	[CPUID_7_0_EBX]		= { 7, 0, EBX },
	[CPUID_D_1_EAX]		= { 0xd, 1, EAX },
	[CPUID_7_1_EAX]		= { 7, 1, EAX },
	[CPUID_8000_0008_EBX]	= { 0x80000008, 0, EBX },
	[CPUID_6_EAX]		= { 6, 0, EAX },
	[CPUID_7_ECX]		= { 7, 0, ECX },
	[CPUID_7_EDX]		= { 7, 0, EDX },
	[CPUID_8000_0021_EAX]	= { 0x80000021, 0, EAX },
	[KVM_CPUID_7_1_EDX]	= { 7, 1, EDX },
	[KVM_CPUID_7_2_EDX]	= { 7, 2, EDX },
	[KVM_CPUID_8000_0021_ECX] = { 0x80000021, 0, ECX },
};

#define FEATURE_WORD(feature)	((feature) / 32)
#define FEATURE_MASK(feature)	BIT((feature) % 32)

static u32 *entry_reg(struct kvm_cpuid_entry2 *e, int reg)
{
	return (u32 *)((char *)e + offsetof(struct kvm_cpuid_entry2, eax)) + reg;
}

/* See cpuid_table.h for what they mean. */
enum how {
	HOST, SOFTWARE, PAGING, MSR, MODE, AMX, AVX10, VIRT_SSBD,
	NO_VIRT, NO_PMU, NO_POWER, NO_MACHINE, NO_SECURE, NO_STATE, NO_EMULATOR, NO_VMM, NO_SENSE,
};

static const struct {
	u16 feature;
	u8 how;
} cpuid_bits[] = {
#define CPUID_BIT(word, bit, name, how) { (word) * 32 + (bit), how },
#include "cpuid_table.h"
#undef CPUID_BIT
};

/* Bits that AMD's processors have both in leaf 1 EDX and in leaf 0x80000001 EDX. */
#define AMD_REPEATED							\
	(FEATURE_MASK(X86_FEATURE_FPU) | FEATURE_MASK(X86_FEATURE_VME) |	\
	 FEATURE_MASK(X86_FEATURE_DE) | FEATURE_MASK(X86_FEATURE_PSE) |	\
	 FEATURE_MASK(X86_FEATURE_TSC) | FEATURE_MASK(X86_FEATURE_MSR) |	\
	 FEATURE_MASK(X86_FEATURE_PAE) | FEATURE_MASK(X86_FEATURE_MCE) |	\
	 FEATURE_MASK(X86_FEATURE_CX8) | FEATURE_MASK(X86_FEATURE_APIC) |	\
	 FEATURE_MASK(X86_FEATURE_MTRR) | FEATURE_MASK(X86_FEATURE_PGE) |	\
	 FEATURE_MASK(X86_FEATURE_MCA) | FEATURE_MASK(X86_FEATURE_CMOV) |	\
	 FEATURE_MASK(X86_FEATURE_PAT) | FEATURE_MASK(X86_FEATURE_PSE36) |	\
	 FEATURE_MASK(X86_FEATURE_MMX) | FEATURE_MASK(X86_FEATURE_FXSR))

static bool host_is_amd(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	       boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

static void clear_cap(unsigned int feature)
{
	caps[FEATURE_WORD(feature)] &= ~FEATURE_MASK(feature);
}

static void set_cap(unsigned int feature)
{
	caps[FEATURE_WORD(feature)] |= FEATURE_MASK(feature);
}

/* A subleaf of leaf 7, or a leaf, that the processor does not have says nothing. */
static bool leaf_exists(const struct feature_word *w)
{
	if (cpuid_eax(w->function & 0x80000000) < w->function)
		return false;
	return w->function != 7 || cpuid_eax(7) >= w->index;
}

/* What the kernel left of its processor's features, or where it knows no such word CPUID itself. */
static bool host_has(unsigned int feature)
{
	const struct feature_word *w = &feature_words[FEATURE_WORD(feature)];
	struct kvm_cpuid_entry2 e = {};

	if (FEATURE_WORD(feature) < NCAPINTS)
		return boot_cpu_has(feature);
	if (leaf_exists(w))
		cpuid_count(w->function, w->index, &e.eax, &e.ebx, &e.ecx, &e.edx);
	return *entry_reg(&e, w->reg) & FEATURE_MASK(feature);
}

/* Without its MSR a feature's first use would be #GP. */
static bool msr_usable(unsigned int feature)
{
	switch (feature) {
	case X86_FEATURE_FLUSH_L1D:
		return true;
	case X86_FEATURE_SPEC_CTRL:
		return boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL) && boot_cpu_has(X86_FEATURE_IBPB);
	case X86_FEATURE_AMD_IBPB:
	case X86_FEATURE_AMD_IBPB_RET:
	case X86_FEATURE_SBPB:
	case X86_FEATURE_IBPB_BRTYPE:
		return boot_cpu_has(X86_FEATURE_IBPB);
	default:
		return boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	}
}

/* Whether the vendor's controls allow its use. */
static bool mode_usable(unsigned int feature)
{
	switch (feature) {
	case X86_FEATURE_RDTSCP:
	case X86_FEATURE_RDPID:
		return kvm_ops.has_tsc_aux;
	case X86_FEATURE_INVPCID:
		return kvm_ops.nested_paging && kvm_ops.has_invpcid;
	case X86_FEATURE_WAITPKG:
		return kvm_ops.has_waitpkg;
	default:
		return kvm_ops.has_xsaves;
	}
}

/* Shadow tables know neither five levels nor keys or PCIDs. */
static bool paging_usable(unsigned int feature)
{
	if (!kvm_ops.nested_paging)
		return false;
	switch (feature) {
	case X86_FEATURE_LA57:
		return !(kvm_ops.cr4_guest_reserved & X86_CR4_LA57);
	case X86_FEATURE_PCID:
		return !(kvm_ops.cr4_guest_reserved & X86_CR4_PCIDE);
	default:
		/* PKRU is read and written by the host, too */
		return boot_cpu_has(X86_FEATURE_OSPKE) && !(kvm_ops.cr4_guest_reserved & X86_CR4_PKE);
	}
}

static bool given(unsigned int feature, enum how how)
{
	switch (how) {
	case HOST:
		return host_has(feature);
	case SOFTWARE:
		return true;
	case PAGING:
		return host_has(feature) && paging_usable(feature);
	case MSR:
		return host_has(feature) && msr_usable(feature);
	case MODE:
		return host_has(feature) && mode_usable(feature);
	case AMX:
		return host_has(feature) && (kvm_supported_xcr0 & XFEATURE_MASK_XTILE_DATA);
	case AVX10:
		return host_has(feature) && (kvm_supported_xcr0 & XFEATURE_MASK_AVX512);
	case VIRT_SSBD:
		/* By LS_CFG, too: what the guest writes goes to x86_virt_spec_ctrl(). */
		return kvm_ops.isa == KVM_ISA_SVM && (boot_cpu_has(X86_FEATURE_LS_CFG_SSBD) ||
						      boot_cpu_has(X86_FEATURE_VIRT_SSBD));
	default:
		return false;
	}
}

/* One control has a bit by Intel and another by AMD: guests of either vendor find theirs. */
static void add_twins(void)
{
	static const struct { u16 feature; u16 bits[2]; } twins[] = {
		{ X86_FEATURE_IBPB, { X86_FEATURE_AMD_IBPB } },
		{ X86_FEATURE_IBRS, { X86_FEATURE_AMD_IBRS, X86_FEATURE_SPEC_CTRL } },
		{ X86_FEATURE_STIBP, { X86_FEATURE_AMD_STIBP, X86_FEATURE_INTEL_STIBP } },
		{ X86_FEATURE_SPEC_CTRL_SSBD, { X86_FEATURE_AMD_SSBD } },
		{ X86_FEATURE_AMD_SSBD, { X86_FEATURE_SPEC_CTRL_SSBD } },
	};
	int i, k;

	for (i = 0; i < ARRAY_SIZE(twins); i++)
		for (k = 0; k < ARRAY_SIZE(twins[i].bits); k++)
			if (boot_cpu_has(twins[i].feature) && twins[i].bits[k] &&
			    msr_usable(twins[i].bits[k]))
				set_cap(twins[i].bits[k]);
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		set_cap(X86_FEATURE_AMD_SSB_NO);
}

/* What AMD's older processors do not say of themselves, but the kernel knows; and no SMM to control. */
static void add_absent(void)
{
	if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
		set_cap(KVM_FEATURE_BIT_LFENCE_SERIALIZES);
	if (!boot_cpu_has_bug(X86_BUG_NULL_SEG))
		set_cap(KVM_FEATURE_BIT_NULL_SEL_CLR_BASE);
	if (!boot_cpu_has_bug(X86_BUG_TSA)) {
		set_cap(KVM_FEATURE_TSA_SQ_NO);
		set_cap(KVM_FEATURE_TSA_L1_NO);
	}
	set_cap(KVM_FEATURE_BIT_NO_SMM_CTL_MSR);
}

static void find_caps(void)
{
	int i;

	memset(caps, 0, sizeof(caps));
	for (i = 0; i < ARRAY_SIZE(cpuid_bits); i++)
		if (given(cpuid_bits[i].feature, cpuid_bits[i].how))
			set_cap(cpuid_bits[i].feature);
	add_twins();
	if (!kvm_supported_xcr0) {
		clear_cap(X86_FEATURE_XSAVE);
		caps[CPUID_D_1_EAX] = 0;
	}
	if (!host_is_amd())
		return;
	caps[CPUID_8000_0001_EDX] |= caps[CPUID_1_EDX] & AMD_REPEATED;
	add_absent();
}

/** kvm_cpu_cap_has - is a feature, an X86_FEATURE_* of a CPUID word, supported? */
bool kvm_cpu_cap_has(unsigned int feature)
{
	if (FEATURE_WORD(feature) >= KVM_NR_CPUID_WORDS)
		return false;
	return caps[FEATURE_WORD(feature)] & FEATURE_MASK(feature);
}

/*
 * ---- XSAVE areas ----
 */

/* Of component i from 2 on, as leaf 0xD has it. */
static struct {
	u32 size, offset;
	bool aligned;
} components[XFEATURE_MAX] __read_mostly;

/* Tiles need both components, and XFD, by which the kernel gives them out on demand. */
static bool amx_usable(void)
{
	return kvm_ops.isa == KVM_ISA_VMX && boot_cpu_has(X86_FEATURE_AMX_TILE) &&
	       boot_cpu_has(X86_FEATURE_XFD) &&
	       (xgetbv(XCR_XFEATURE_ENABLED_MASK) & XFEATURE_MASK_XTILE) == XFEATURE_MASK_XTILE;
}

static void find_components(void)
{
	u32 eax, ebx, ecx, edx;
	int i;

	kvm_supported_xcr0 = 0;
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	kvm_supported_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK) &
		(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 |
		 (boot_cpu_has(X86_FEATURE_PKU) && paging_usable(X86_FEATURE_PKU) ?
		  XFEATURE_MASK_PKRU : 0) |
		 (amx_usable() ? XFEATURE_MASK_XTILE : 0));
	for (i = FIRST_EXTENDED_XFEATURE; i < XFEATURE_MAX; i++) {
		if (!(kvm_supported_xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		components[i].size = eax;
		components[i].offset = ebx;
		components[i].aligned = ecx & BIT(1);
	}
}

/* SDM 1 "XSAVE Area": the legacy region, the header, then the components. */
static u32 xsave_area_size(u64 features, bool compacted)
{
	u32 size = sizeof(struct fxregs_state) + sizeof(struct xstate_header);
	int i;

	for (i = FIRST_EXTENDED_XFEATURE; i < XFEATURE_MAX; i++) {
		if (!(features & BIT_ULL(i)))
			continue;
		if (!compacted)
			size = max(size, components[i].offset + components[i].size);
		else
			size = (components[i].aligned ? ALIGN(size, 64) : size) + components[i].size;
	}
	return size;
}

/* What this process's guests may have: components of KVM_CAP_XSAVE2 must be asked for. */
static u64 permitted_xcr0(void)
{
	return kvm_supported_xcr0 & (xstate_get_guest_group_perm() | ~(u64)XFEATURE_MASK_XTILE_DATA);
}

/** kvm_xsave_size - KVM_CAP_XSAVE2: how long KVM_GET_XSAVE2's area may be in this process */
u32 kvm_xsave_size(void)
{
	return max_t(u32, sizeof(struct kvm_xsave), xsave_area_size(permitted_xcr0(), false));
}

/*
 * ---- KVM_GET_SUPPORTED_CPUID ----
 */

static u32 max_basic_leaf(void)
{
	/* 0x14 and above: traces, clocks, caches by another way, of which guests are told nothing */
	return min_t(u32, cpuid_eax(0), kvm_cpu_cap_has(KVM_FEATURE_AVX10) ? 0x24 : 0x1f);
}

static u32 max_extended_leaf(void)
{
	/* The last one has much that the kernel knows of processors without it. */
	return host_is_amd() ? 0x80000021 : min_t(u32, cpuid_eax(0x80000000), 0x80000008);
}

static void limit_basic(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0:
		e->eax = max_basic_leaf();
		break;
	case 1:
		/* The initial APIC id differs between vcpus. */
		e->ebx &= 0x00ffffff;
		break;
	case 2:
		/* Intel's cache descriptors */
		break;
	case 4:
		/* Which vcpus share a cache userspace decides. */
		e->eax &= 0x3fff;
		break;
	case 6:
		e->ebx = e->ecx = e->edx = 0;
		break;
	case 7:
		if (e->index == 0)
			e->eax = min_t(u32, e->eax, 2);
		else
			e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x1d:
	case 0x1e:
		/* palettes and multipliers of tiles */
		if (!(kvm_supported_xcr0 & XFEATURE_MASK_XTILE_DATA))
			e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x24:
		/* AVX10's version and vector lengths; no subleaf */
		e->ebx &= 0x000700ff;
		e->eax = e->ecx = e->edx = 0;
		break;
	default:
		/*
		 * 0xa: no performance counters; 0xb, 0x1f: topology, which userspace decides
		 * on; 0x12: no SGX; 0x14: no trace; 0x15, 0x16: the guest's TSC may have another
		 * frequency, of which kvmclock tells.
		 */
		e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}

static void limit_xsave(struct kvm_cpuid_entry2 *e)
{
	switch (e->index) {
	case 0:
		e->eax = kvm_supported_xcr0;
		e->edx = kvm_supported_xcr0 >> 32;
		e->ebx = e->ecx = xsave_area_size(kvm_supported_xcr0, false);
		break;
	case 1:
		e->ebx = caps[CPUID_D_1_EAX] & (FEATURE_MASK(X86_FEATURE_XSAVEC) |
						FEATURE_MASK(X86_FEATURE_XSAVES)) ?
			 xsave_area_size(kvm_supported_xcr0, true) : 0;
		/* no component of XSS */
		e->ecx = e->edx = 0;
		break;
	default:
		/* size, offset, alignment, whether XFD can disable it */
		e->ecx &= BIT(1) | (kvm_cpu_cap_has(X86_FEATURE_XFD) ? BIT(2) : 0);
		e->edx = 0;
	}
}

static void limit_hypervisor(struct kvm_cpuid_entry2 *e)
{
	static const char signature[12] = KVM_SIGNATURE;

	e->eax = e->ebx = e->ecx = e->edx = 0;
	switch (e->function) {
	case KVM_CPUID_SIGNATURE:
		e->eax = KVM_CPUID_FEATURES;
		memcpy(&e->ebx, signature, 4);
		memcpy(&e->ecx, signature + 4, 4);
		memcpy(&e->edx, signature + 8, 4);
		break;
	case KVM_CPUID_FEATURES:
		e->eax = BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |
			 BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_PV_EOI) |
			 BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_ASYNC_PF_INT) |
			 BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_TLB_FLUSH) |
			 BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_POLL_CONTROL) |
			 BIT(KVM_FEATURE_PV_SCHED_YIELD) | BIT(KVM_FEATURE_MSI_EXT_DEST_ID) |
			 BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) |
			 (sched_info_on() ? BIT(KVM_FEATURE_STEAL_TIME) : 0);
		break;
	}
}

static void limit_extended(struct kvm_cpuid_entry2 *e)
{
	u32 virt_bits = kvm_cpu_cap_has(X86_FEATURE_LA57) ? 57 : 48;

	switch (e->function) {
	case 0x80000000:
		e->eax = max_extended_leaf();
		break;
	case 0x80000001:
		e->ebx = 0;
		break;
	case 0x80000002 ... 0x80000006:
	case 0x80000019:
	case 0x8000001a:
		/* the processor's name, caches, TLBs, speeds */
		break;
	case 0x80000007:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		/* The TSC is the host's. */
		if (boot_cpu_has(X86_FEATURE_CONSTANT_TSC) && boot_cpu_has(X86_FEATURE_NONSTOP_TSC))
			e->edx = BIT(8);
		break;
	case 0x80000008:
		e->eax = kvm_host_maxphyaddr | virt_bits << 8;
		e->ecx = e->edx = 0;
		break;
	case 0x8000001d:
		e->eax &= 0x3fff;
		break;
	case 0x80000021:
		e->ebx = e->edx = 0;
		break;
	default:
		e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}

static struct kvm_cpuid_entry2 *add_leaf(u32 function, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e;
	int i;

	if (nr_supported == MAX_SUPPORTED)
		return NULL;
	e = &supported[nr_supported++];
	*e = (struct kvm_cpuid_entry2){ .function = function, .index = index, .flags = flags };
	if (function <= cpuid_eax(function & 0xc0000000))
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	if (function == 0xd)
		limit_xsave(e);
	else if (function < KVM_CPUID_SIGNATURE)
		limit_basic(e);
	else if (function < 0x80000000)
		limit_hypervisor(e);
	else
		limit_extended(e);
	for (i = 0; i < ARRAY_SIZE(feature_words); i++) {
		const struct feature_word *w = &feature_words[i];

		if (w->function && w->function == function && w->index == index)
			*entry_reg(e, w->reg) = caps[i];
	}
	return e;
}

static void add_plain(u32 function)
{
	add_leaf(function, 0, 0);
}

static void add_indexed(u32 function, u32 index)
{
	add_leaf(function, index, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

/* Leaves 4 and 0x8000001d: one cache a subleaf, the type 0 ends them. */
static void add_caches(u32 function)
{
	const struct kvm_cpuid_entry2 *e;
	u32 i = 0;

	do {
		e = add_leaf(function, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	} while (e && (e->eax & 0x1f) && ++i < 8);
}

static void add_basic_leaves(void)
{
	u32 max = max_basic_leaf();
	int i, first7;

	add_plain(0);
	add_plain(1);
	if (max >= 2)
		add_plain(2);
	if (max >= 4 && !host_is_amd())
		add_caches(4);
	if (max >= 6)
		add_plain(6);
	if (max >= 7) {
		first7 = nr_supported;
		add_indexed(7, 0);
		for (i = 1; i <= supported[first7].eax; i++)
			add_indexed(7, i);
	}
	if (max >= 0xa)
		add_plain(0xa);
	if (max >= 0xb)
		add_indexed(0xb, 0);
	if (max < 0xd)
		return;
	if (kvm_supported_xcr0) {
		add_indexed(0xd, 0);
		add_indexed(0xd, 1);
	}
	for (i = FIRST_EXTENDED_XFEATURE; i < XFEATURE_MAX; i++)
		if (kvm_supported_xcr0 & BIT_ULL(i))
			add_indexed(0xd, i);
	if (kvm_supported_xcr0 & XFEATURE_MASK_XTILE_DATA) {
		add_indexed(0x1d, 0);
		add_indexed(0x1d, 1);
		add_indexed(0x1e, 0);
	}
	if (max >= 0x1f)
		add_indexed(0x1f, 0);
	if (max >= 0x24)
		add_indexed(0x24, 0);
}

static void add_extended_leaves(void)
{
	u32 max = max_extended_leaf(), i;

	for (i = 0x80000000; i <= min(max, 0x80000008U); i++)
		add_plain(i);
	if (max >= 0x80000019)
		add_plain(0x80000019);
	if (max >= 0x8000001a)
		add_plain(0x8000001a);
	if (max >= 0x8000001d && kvm_cpu_cap_has(X86_FEATURE_TOPOEXT))
		add_caches(0x8000001d);
	if (max >= 0x8000001e)
		add_plain(0x8000001e);
	if (max >= 0x80000021)
		add_plain(0x80000021);
}

/* The vendor may have changed feature words: kvm_cpu_cap_has() agrees with the entries. */
static void read_caps_back(void)
{
	int i, w;

	memset(caps, 0, sizeof(caps));
	for (i = 0; i < nr_supported; i++) {
		for (w = 0; w < ARRAY_SIZE(feature_words); w++) {
			const struct feature_word *fw = &feature_words[w];

			if (fw->function && fw->function == supported[i].function &&
			    fw->index == supported[i].index)
				caps[w] = *entry_reg(&supported[i], fw->reg);
		}
	}
}

/** kvm_cpuid_module_init - find out what is supported; after the vendor's hardware_setup */
void kvm_cpuid_module_init(void)
{
	kvm_host_maxphyaddr = boot_cpu_data.x86_phys_bits;
	/* Where memory is encrypted the kernel has fewer bits than the processor. */
	if (cpuid_eax(0x80000000) >= 0x80000008)
		kvm_host_maxphyaddr = min(cpuid_eax(0x80000008) & 0xff, (u32)MAXPHYADDR_MAX);
	find_components();
	find_caps();
	nr_supported = 0;
	add_basic_leaves();
	add_plain(KVM_CPUID_SIGNATURE);
	add_plain(KVM_CPUID_FEATURES);
	add_extended_leaves();
	read_caps_back();
}

/* Leaf 0xD without the components that this process has not asked for: 0 or -EFAULT. */
static long hide_components(struct kvm_cpuid2 __user *cpuid)
{
	u64 xcr0 = permitted_xcr0();
	int i;

	for (i = 0; i < nr_supported; i++) {
		struct kvm_cpuid_entry2 e = supported[i];

		if (e.function != 0xd)
			continue;
		if (e.index == 0) {
			e.eax = xcr0;
			e.edx = xcr0 >> 32;
			e.ebx = e.ecx = xsave_area_size(xcr0, false);
		} else if (e.index >= FIRST_EXTENDED_XFEATURE && !(xcr0 & BIT_ULL(e.index))) {
			e.eax = e.ebx = e.ecx = e.edx = 0;
		}
		if (copy_to_user(&cpuid->entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	return 0;
}

/** kvm_get_supported_cpuid - KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID: 0, -E2BIG with the
 * number needed in nent, or -EFAULT
 * @cpuid: userspace's header and room for header.nent entries
 * @emulated: only what the host lacks and is emulated nevertheless, of which there is nothing
 */
long kvm_get_supported_cpuid(struct kvm_cpuid2 __user *cpuid, bool emulated)
{
	u32 nent = emulated ? 0 : nr_supported;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, cpuid, sizeof(head)))
		return -EFAULT;
	if (put_user(nent, &cpuid->nent))
		return -EFAULT;
	if (head.nent < nent)
		return -E2BIG;
	if (copy_to_user(cpuid->entries, supported, nent * sizeof(supported[0])))
		return -EFAULT;
	return emulated || permitted_xcr0() == kvm_supported_xcr0 ? 0 : hide_components(cpuid);
}

/*
 * ---- lookup ----
 *
 * On the path of each CPUID exit, so the list is not searched linearly: the key found
 * last is tried first, then a binary search is done in an array of keys.
 */

struct kvm_cpuid_key {
	u64 key;		/* function : index */
	u16 pos;		/* in vcpu->cpuid */
	bool any_index;		/* the entry is for all indices; it has 0 in its key */
};

static u64 make_key(u32 function, u32 index)
{
	return (u64)function << 32 | index;
}

static bool key_matches(const struct kvm_cpuid_key *k, u64 want)
{
	return k->key == want || (k->any_index && k->key >> 32 == want >> 32);
}

/** kvm_find_cpuid - the guest's entry as userspace has set it, or NULL; see also kvm_cpuid() */
const struct kvm_cpuid_entry2 *kvm_find_cpuid(struct kvm_vcpu *vcpu, u32 function, u32 index)
{
	const struct kvm_cpuid_key *keys = vcpu->cpuid_keys;
	unsigned int low = 0, high = vcpu->cpuid_nkeys;
	u64 want = make_key(function, index);

	if (unlikely(!high))
		return NULL;
	if (likely(key_matches(&keys[vcpu->cpuid_hint], want)))
		return &vcpu->cpuid[keys[vcpu->cpuid_hint].pos];
	/* The last key that is not above. */
	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (keys[mid].key <= want)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || !key_matches(&keys[low - 1], want))
		return NULL;
	vcpu->cpuid_hint = low - 1;
	return &vcpu->cpuid[keys[low - 1].pos];
}

/** kvm_guest_has - does the guest's CPUID have a feature?  False for Linux's synthetic ones.
 * If CPUID was never set the vcpu has all that is supported: small VMMs start guests, even 64-bit
 * ones, without setting it.
 */
bool kvm_guest_has(struct kvm_vcpu *vcpu, unsigned int feature)
{
	const struct kvm_cpuid_entry2 *e;
	const struct feature_word *w;

	if (!vcpu->cpuid)
		return kvm_cpu_cap_has(feature);
	if (FEATURE_WORD(feature) >= KVM_NR_CPUID_WORDS)
		return false;
	w = &feature_words[FEATURE_WORD(feature)];
	if (!w->function)
		return false;
	e = kvm_find_cpuid(vcpu, w->function, w->index);
	return e && (*entry_reg((struct kvm_cpuid_entry2 *)e, w->reg) & FEATURE_MASK(feature));
}
EXPORT_SYMBOL_GPL(kvm_guest_has);

/*
 * ---- the guest's CPUID instruction ----
 */

/* The highest leaf of the range that function belongs to; 0 if there is no such range. */
static u32 highest_in_range(struct kvm_vcpu *vcpu, u32 function)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base = 0;

	if (function >= 0x80000000)
		base = function & 0xffff0000;
	else if (function >= KVM_CPUID_SIGNATURE)
		base = function & 0xffffff00;
	e = kvm_find_cpuid(vcpu, base, 0);
	return e ? e->eax : 0;
}

/*
 * Above the highest leaf Intel's processors answer with their highest basic
 * leaf, AMD's with zeros (SDM 2A "CPUID—CPU Identification", APM 3).
 */
static const struct kvm_cpuid_entry2 *beyond_range(struct kvm_vcpu *vcpu, u32 *function, u32 index)
{
	const struct kvm_cpuid_entry2 *leaf0;

	if (!vcpu->cpuid || (vcpu->guest_caps & KVM_GUEST_IS_AMD) ||
	    *function <= highest_in_range(vcpu, *function))
		return NULL;
	leaf0 = kvm_find_cpuid(vcpu, 0, 0);
	if (!leaf0)
		return NULL;
	*function = leaf0->eax;
	return kvm_find_cpuid(vcpu, *function, index);
}

/* Zeros, but for the fields of a topology leaf that do not depend on the subleaf. */
static void answer_without_entry(struct kvm_vcpu *vcpu, u32 function, u32 index,
			   struct kvm_cpuid_entry2 *out)
{
	const struct kvm_cpuid_entry2 *first;

	memset(out, 0, sizeof(*out));
	if (function != 0xb && function != 0x1f)
		return;
	first = kvm_find_cpuid(vcpu, function, 0);
	if (first) {
		out->ecx = index & 0xff;
		out->edx = first->edx;
	}
}

/** kvm_guest_has_ibpb - may the guest write PRED_CMD?  Not if its filter has a word in it. */
bool kvm_guest_has_ibpb(struct kvm_vcpu *vcpu)
{
	static const u32 pred_cmd = MSR_IA32_PRED_CMD;

	return (kvm_guest_has(vcpu, X86_FEATURE_SPEC_CTRL) ||
		kvm_guest_has(vcpu, X86_FEATURE_AMD_IBPB)) && kvm_pred_cmd_bits() &&
	       kvm_msr_passthrough(vcpu, &pred_cmd, 1);
}
EXPORT_SYMBOL_GPL(kvm_guest_has_ibpb);

/* IA32_MISC_ENABLE enables MONITOR and MWAIT, unless KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT is on. */
static bool mwait_follows_msr(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm->disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;
}

/** kvm_guest_has_mwait - would the guest's CPUID instruction report MWAIT now? */
bool kvm_guest_has_mwait(struct kvm_vcpu *vcpu)
{
	if (mwait_follows_msr(vcpu))
		return vcpu->msr.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT;
	return kvm_guest_has(vcpu, X86_FEATURE_MWAIT);
}

/* Some bits depend on other registers of the guest (SDM 2A, APM 3, at each leaf). */
static void answer_dynamic(struct kvm_vcpu *vcpu, u32 function, u32 index,
			   struct kvm_cpuid_entry2 *out)
{
	switch (function) {
	case 1:
		out->ecx &= ~FEATURE_MASK(X86_FEATURE_OSXSAVE);
		if (kvm_read_cr4(vcpu) & X86_CR4_OSXSAVE)
			out->ecx |= FEATURE_MASK(X86_FEATURE_OSXSAVE);
		if (!(vcpu->apic_base & MSR_IA32_APICBASE_ENABLE))
			out->edx &= ~FEATURE_MASK(X86_FEATURE_APIC);
		if (mwait_follows_msr(vcpu)) {
			out->ecx &= ~FEATURE_MASK(X86_FEATURE_MWAIT);
			if (vcpu->msr.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT)
				out->ecx |= FEATURE_MASK(X86_FEATURE_MWAIT);
		}
		break;
	case 7:
		if (index)
			break;
		out->ecx &= ~FEATURE_MASK(X86_FEATURE_OSPKE);
		if (kvm_read_cr4(vcpu) & X86_CR4_PKE)
			out->ecx |= FEATURE_MASK(X86_FEATURE_OSPKE);
		/* SDM 1 "Enumeration of TSX" with IA32_TSX_CTRL */
		if (unlikely(vcpu->msr.tsx_ctrl & TSX_CTRL_CPUID_CLEAR))
			out->ebx &= ~(FEATURE_MASK(X86_FEATURE_RTM) | FEATURE_MASK(X86_FEATURE_HLE));
		break;
	case KVM_CPUID_FEATURES:
		/* KVM_HC_KICK_CPU cannot end a HLT that did not exit. */
		if (kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT))
			out->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
		break;
	case 0x80000001:
		if (!(vcpu->apic_base & MSR_IA32_APICBASE_ENABLE))
			out->edx &= ~FEATURE_MASK(X86_FEATURE_APIC);
		break;
	case 0xd:
		if (index == 0)
			out->ebx = xsave_area_size(vcpu->xcr0, false);
		else if (index == 1 && (out->eax & (FEATURE_MASK(X86_FEATURE_XSAVEC) |
						    FEATURE_MASK(X86_FEATURE_XSAVES))))
			out->ebx = xsave_area_size(vcpu->xcr0 | vcpu->xss, true);
		break;
	}
}

/** kvm_cpuid - what the guest's CPUID instruction returns; @eax and @ecx: in: leaf and subleaf */
void kvm_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 function = *eax, index = *ecx;
	const struct kvm_cpuid_entry2 *e = kvm_find_cpuid(vcpu, function, index);
	struct kvm_cpuid_entry2 out;

	if (unlikely(!e))
		e = beyond_range(vcpu, &function, index);
	if (likely(e)) {
		out = *e;
		answer_dynamic(vcpu, function, index, &out);
	} else {
		answer_without_entry(vcpu, function, index, &out);
	}
	*eax = out.eax;
	*ebx = out.ebx;
	*ecx = out.ecx;
	*edx = out.edx;
}

/*
 * ---- what is derived from the guest's CPUID ----
 */

static bool guest_is_amd(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;

	if (!vcpu->cpuid)
		return host_is_amd();
	e = kvm_find_cpuid(vcpu, 0, 0);
	if (!e)
		return false;
	/* "AuthenticAMD", "HygonGenuine" */
	return (e->ebx == 0x68747541 && e->edx == 0x69746e65 && e->ecx == 0x444d4163) ||
	       (e->ebx == 0x6f677948 && e->edx == 0x6e65476e && e->ecx == 0x656e6975);
}

static u64 find_guest_caps(struct kvm_vcpu *vcpu)
{
	static const struct { u64 cap; unsigned int feature; } map[] = {
		{ KVM_GUEST_HAS_LM, X86_FEATURE_LM },
		{ KVM_GUEST_HAS_NX, X86_FEATURE_NX },
		{ KVM_GUEST_HAS_GBPAGES, X86_FEATURE_GBPAGES },
		{ KVM_GUEST_HAS_PSE36, X86_FEATURE_PSE36 },
		{ KVM_GUEST_HAS_XSAVE, X86_FEATURE_XSAVE },
		{ KVM_GUEST_HAS_RDTSCP, X86_FEATURE_RDTSCP },
		{ KVM_GUEST_HAS_RTM, X86_FEATURE_RTM },
		{ KVM_GUEST_HAS_XSAVES, X86_FEATURE_XSAVES },
	};
	u64 found = guest_is_amd(vcpu) ? KVM_GUEST_IS_AMD : 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (kvm_guest_has(vcpu, map[i].feature))
			found |= map[i].cap;
	return found;
}

/*
 * A bit of CR4 needs its feature to be supported and to be in the guest's CPUID, once
 * that is set: userspace may set registers first.
 */
static unsigned long find_cr4_reserved(struct kvm_vcpu *vcpu)
{
	static const struct { unsigned long bits; unsigned int feature; } map[] = {
		{ X86_CR4_VME | X86_CR4_PVI, X86_FEATURE_VME },
		{ X86_CR4_TSD, X86_FEATURE_TSC },
		{ X86_CR4_DE, X86_FEATURE_DE },
		{ X86_CR4_PSE, X86_FEATURE_PSE },
		{ X86_CR4_PAE, X86_FEATURE_PAE },
		{ X86_CR4_MCE, X86_FEATURE_MCE },
		{ X86_CR4_PGE, X86_FEATURE_PGE },
		{ X86_CR4_OSFXSR, X86_FEATURE_FXSR },
		{ X86_CR4_OSXMMEXCPT, X86_FEATURE_XMM },
		{ X86_CR4_UMIP, X86_FEATURE_UMIP },
		{ X86_CR4_LA57, X86_FEATURE_LA57 },
		{ X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE },
		{ X86_CR4_OSXSAVE, X86_FEATURE_XSAVE },
		{ X86_CR4_SMEP, X86_FEATURE_SMEP },
		{ X86_CR4_SMAP, X86_FEATURE_SMAP },
		{ X86_CR4_PCIDE, X86_FEATURE_PCID },
		{ X86_CR4_PKE, X86_FEATURE_PKU },
	};
	/* RDPMC is #GP whatever PCE says. */
	unsigned long allowed = X86_CR4_PCE;
	int i;

	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (kvm_cpu_cap_has(map[i].feature) &&
		    (!vcpu->cpuid || kvm_guest_has(vcpu, map[i].feature)))
			allowed |= map[i].bits;
	/* All processors with virtualization have these, even if an emulator does not report them. */
	if (!vcpu->cpuid)
		allowed |= X86_CR4_VME | X86_CR4_PVI;
	return ~allowed | kvm_ops.cr4_guest_reserved;
}

static u8 find_maxphyaddr(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = kvm_find_cpuid(vcpu, 0x80000000, 0);

	if (!e || e->eax < 0x80000008)
		return MAXPHYADDR_DEFAULT;
	e = kvm_find_cpuid(vcpu, 0x80000008, 0);
	return e && (e->eax & 0xff) ? e->eax & 0xff : MAXPHYADDR_DEFAULT;
}

/* x87 state is always allowed: QEMU sets XCR0 to 1 at each reset, even without XSAVE. */
static u64 find_guest_xcr0(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;
	u64 xcr0 = permitted_xcr0();

	if (vcpu->cpuid) {
		e = kvm_find_cpuid(vcpu, 0xd, 0);
		xcr0 &= e ? (u64)e->edx << 32 | e->eax : 0;
	} else {
		xcr0 &= ~(u64)XFEATURE_MASK_XTILE_DATA;
	}
	/* There is room for those of KVM_CAP_XSAVE2 in the vcpu's FPU state: begin_tiles(). */
	return (xcr0 & vcpu->guest_fpu.xfeatures) | XFEATURE_MASK_FP;
}

/** kvm_derive_from_cpuid - CPUID was set, or the vcpu is new: derive what depends on it */
void kvm_derive_from_cpuid(struct kvm_vcpu *vcpu)
{
	vcpu->guest_caps = find_guest_caps(vcpu);
	vcpu->cr4_guest_rsvd = find_cr4_reserved(vcpu);
	vcpu->maxphyaddr = find_maxphyaddr(vcpu);
	vcpu->rsvd_gpa_bits = GENMASK_ULL(63, vcpu->maxphyaddr);
	vcpu->guest_supported_xcr0 = find_guest_xcr0(vcpu);
	if (vcpu->xcr0 & ~vcpu->guest_supported_xcr0)
		vcpu->xcr0 = XFEATURE_MASK_FP;
	kvm_pv_derive(vcpu);
}

/*
 * ---- KVM_SET_CPUID, KVM_SET_CPUID2, KVM_GET_CPUID2 ----
 */

/* A guest's entries and their keys, one allocation. */
struct cpuid_set {
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid_key *keys;
	u32 nent, nkeys;
};

static int compare_keys(const void *a, const void *b)
{
	const struct kvm_cpuid_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (int)x->pos - (int)y->pos;
}

/*
 * Sorted.  Of several entries for a leaf and subleaf the first counts.  An entry for
 * all subleaves is for subleaf 0 only, if there are others for single subleaves.
 */
static void make_keys(struct cpuid_set *set)
{
	u32 i, n = 0;

	for (i = 0; i < set->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &set->entries[i];
		bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		set->keys[i] = (struct kvm_cpuid_key){
			.key = make_key(e->function, indexed ? e->index : 0),
			.pos = i,
			.any_index = !indexed,
		};
	}
	sort(set->keys, set->nent, sizeof(set->keys[0]), compare_keys, NULL);
	for (i = 0; i < set->nent; i++)
		if (!n || set->keys[n - 1].key != set->keys[i].key)
			set->keys[n++] = set->keys[i];
	for (i = 0; i + 1 < n; i++)
		if (set->keys[i].key >> 32 == set->keys[i + 1].key >> 32)
			set->keys[i].any_index = false;
	set->nkeys = n;
}

/* Addresses wider than any paging mode has would pass our checks and fail the hardware's. */
static bool widths_valid(const struct cpuid_set *set)
{
	u32 i;

	for (i = 0; i < set->nent; i++) {
		u32 eax = set->entries[i].eax, virt = (eax >> 8) & 0xff;

		if (set->entries[i].function != 0x80000008)
			continue;
		if ((eax & 0xff) > MAXPHYADDR_MAX || ((eax & 0xff) && (eax & 0xff) < 32))
			return false;
		if (virt && virt != 32 && virt != 48 && virt != 57)
			return false;
	}
	return true;
}

/* An entry as the guest reads it now. */
static struct kvm_cpuid_entry2 as_read_now(struct kvm_vcpu *vcpu,
					   const struct kvm_cpuid_entry2 *set)
{
	struct kvm_cpuid_entry2 e = *set;

	answer_dynamic(vcpu, e.function, e.index, &e);
	return e;
}

static bool same_as_now(struct kvm_vcpu *vcpu, const struct cpuid_set *set)
{
	struct kvm_cpuid_entry2 now, then;
	u32 i;

	if (vcpu->cpuid_nent != set->nent)
		return false;
	for (i = 0; i < set->nent; i++) {
		now = as_read_now(vcpu, &vcpu->cpuid[i]);
		then = as_read_now(vcpu, &set->entries[i]);
		if (memcmp(&now, &then, sizeof(now)))
			return false;
	}
	return true;
}

/* Room for as many entries as the head says: 0, -EFAULT, -E2BIG or -ENOMEM. */
static int begin_set(struct cpuid_set *set, const void __user *user_head)
{
	struct kvm_cpuid2 head;

	static_assert(sizeof(head) == sizeof(struct kvm_cpuid));
	if (copy_from_user(&head, user_head, sizeof(head)))
		return -EFAULT;
	if (head.nent > KVM_MAX_CPUID_ENTRIES)
		return -E2BIG;
	*set = (struct cpuid_set){ .nent = head.nent };
	/* At least one entry's room: a set of none is a set too. */
	set->entries = kvcalloc(max(head.nent, 1U), sizeof(set->entries[0]) + sizeof(set->keys[0]),
				GFP_KERNEL_ACCOUNT);
	if (!set->entries)
		return -ENOMEM;
	set->keys = (void *)(set->entries + max(head.nent, 1U));
	return 0;
}

/* Room for the components that the guest has by its leaf 0xD, if it may: 0 or -errno. */
static long begin_tiles(struct kvm_vcpu *vcpu, const struct cpuid_set *set)
{
	u64 xcr0 = 0;
	u32 i;

	for (i = 0; i < set->nent; i++)
		if (set->entries[i].function == 0xd && set->entries[i].index == 0)
			xcr0 = set->entries[i].eax & permitted_xcr0() & XFEATURE_MASK_XTILE_DATA;
	return xcr0 ? fpu_enable_guest_xfd_features(&vcpu->guest_fpu, xcr0) : 0;
}

/* Consumes the set in any case. */
static long install_set(struct kvm_vcpu *vcpu, struct cpuid_set *set)
{
	long r = -EINVAL;

	if (vcpu->launched) {
		/* The guest has seen its CPUID, and much is derived from it. */
		r = same_as_now(vcpu, set) ? 0 : -EINVAL;
		goto out_free;
	}
	if (!widths_valid(set))
		goto out_free;
	r = begin_tiles(vcpu, set);
	if (r)
		goto out_free;
	make_keys(set);
	swap(vcpu->cpuid, set->entries);
	vcpu->cpuid_keys = set->keys;
	vcpu->cpuid_nent = set->nent;
	vcpu->cpuid_nkeys = set->nkeys;
	vcpu->cpuid_hint = 0;
	kvm_derive_from_cpuid(vcpu);
	kvm_ops.update_intercepts(vcpu);
	kvm_mmu_reset_context(vcpu);
	r = 0;
out_free:
	kvfree(set->entries);
	return r;
}

/** kvm_vcpu_set_cpuid - KVM_SET_CPUID: entries without subleaves; as kvm_vcpu_set_cpuid2() */
long kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct kvm_cpuid __user *cpuid)
{
	struct kvm_cpuid_entry *old;
	struct cpuid_set set;
	u32 i;
	int r = begin_set(&set, cpuid);

	if (r)
		return r;
	old = vmemdup_user(cpuid->entries, array_size(set.nent, sizeof(*old)));
	if (IS_ERR(old)) {
		kvfree(set.entries);
		return PTR_ERR(old);
	}
	for (i = 0; i < set.nent; i++)
		set.entries[i] = (struct kvm_cpuid_entry2){
			.function = old[i].function,
			.eax = old[i].eax,
			.ebx = old[i].ebx,
			.ecx = old[i].ecx,
			.edx = old[i].edx,
		};
	kvfree(old);
	return install_set(vcpu, &set);
}

/** kvm_vcpu_set_cpuid2 - KVM_SET_CPUID2: 0, -E2BIG, -EFAULT, -EINVAL or -ENOMEM.  Once the vcpu
 * has run only the same entries are accepted.
 */
long kvm_vcpu_set_cpuid2(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 __user *cpuid)
{
	struct cpuid_set set;
	int r = begin_set(&set, cpuid);

	if (r)
		return r;
	if (copy_from_user(set.entries, cpuid->entries, set.nent * sizeof(set.entries[0]))) {
		kvfree(set.entries);
		return -EFAULT;
	}
	return install_set(vcpu, &set);
}

/** kvm_vcpu_get_cpuid2 - KVM_GET_CPUID2: what the guest would read; 0, -E2BIG with nent, -EFAULT */
long kvm_vcpu_get_cpuid2(struct kvm_vcpu *vcpu, struct kvm_cpuid2 __user *cpuid)
{
	struct kvm_cpuid_entry2 e;
	struct kvm_cpuid2 head;
	u32 i;

	if (copy_from_user(&head, cpuid, sizeof(head)))
		return -EFAULT;
	if (put_user((u32)vcpu->cpuid_nent, &cpuid->nent))
		return -EFAULT;
	if (head.nent < vcpu->cpuid_nent)
		return -E2BIG;
	for (i = 0; i < vcpu->cpuid_nent; i++) {
		e = as_read_now(vcpu, &vcpu->cpuid[i]);
		if (copy_to_user(&cpuid->entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	return 0;
}

/** kvm_cpuid_free - free the vcpu's entries */
void kvm_cpuid_free(struct kvm_vcpu *vcpu)
{
	kvfree(vcpu->cpuid);
}
