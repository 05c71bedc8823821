// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's FPU and extended state, and XCR0, which says what of it there is.
 *
 * "SDM" is Intel's manual; sections by title.
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_fpu.h"

#include <asm/fpu/xcr.h>
#include <asm/msr.h>

/*
 * ---- XCR0 ----
 */

/* SDM 1 "XSAVE-Supported Features and State-Component Bitmaps". */
static bool xcr0_possible(struct kvm_vcpu *vcpu, u64 xcr0)
{
	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~vcpu->guest_supported_xcr0))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if (!(xcr0 & XFEATURE_MASK_AVX512))
		return true;
	return (xcr0 & XFEATURE_MASK_AVX512) == XFEATURE_MASK_AVX512 &&
	       (xcr0 & XFEATURE_MASK_YMM);
}

/** kvm_set_xcr - XSETBV: 0, or 1 for a register or a value that the guest has not */
int kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr)
{
	if (index != XCR_XFEATURE_ENABLED_MASK || !xcr0_possible(vcpu, xcr))
		return 1;
	vcpu->xcr0 = xcr;
	return 0;
}

/* The host's IA32_XSS: the same on all CPUs since boot. */
static u64 host_xss __read_mostly;

void kvm_switch_to_guest_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->xss != host_xss))
		wrmsrl(MSR_IA32_XSS, vcpu->xss);
}

void kvm_switch_to_host_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
	if (unlikely(vcpu->xss != host_xss))
		wrmsrl(MSR_IA32_XSS, host_xss);
}

/*
 * ---- FPU and extended state ----
 *
 * Between two KVM_RUNs the guest's state lies in vcpu->guest_fpu, perhaps
 * compacted and without what is in its initial state; the kernel's functions
 * turn that into the format of KVM_GET_XSAVE and back.
 */

static u64 uabi_xfeatures(void)
{
	return kvm_supported_xcr0 | XFEATURE_MASK_FPSSE;
}

static void export_fpu(struct kvm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->guest_fpu, xsave, sizeof(*xsave),
				       uabi_xfeatures(), 0);
}

/* -EINVAL: components that are not offered, a malformed header, a reserved MXCSR bit. */
static int import_fpu(struct kvm_vcpu *vcpu, const struct kvm_xsave *xsave)
{
	u32 pkru;

	return fpu_copy_uabi_to_guest_fpstate(&vcpu->guest_fpu, xsave, uabi_xfeatures(), &pkru);
}

long kvm_vcpu_get_xsave(struct kvm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	memset(xsave, 0, sizeof(*xsave));
	export_fpu(vcpu, xsave);
	return 0;
}

long kvm_vcpu_set_xsave(struct kvm_vcpu *vcpu, const struct kvm_xsave *xsave)
{
	return import_fpu(vcpu, xsave);
}

long kvm_vcpu_get_fpu(struct kvm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	struct kvm_xsave *xsave = kzalloc(sizeof(*xsave), GFP_KERNEL_ACCOUNT);
	const struct fxregs_state *fx = (void *)xsave;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
	kfree(xsave);
	return 0;
}

/* The upper parts of vector registers and all that is newer stay as they are. */
long kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct kvm_xsave *xsave = kzalloc(sizeof(*xsave), GFP_KERNEL_ACCOUNT);
	struct xregs_state *xregs = (void *)xsave;
	struct fxregs_state *fx = &xregs->i387;
	int r;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->mxcsr = fpu->mxcsr;
	xregs->header.xfeatures |= XFEATURE_MASK_FPSSE;
	r = import_fpu(vcpu, xsave);
	kfree(xsave);
	return r;
}

long kvm_vcpu_get_xcrs(struct kvm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!kvm_supported_xcr0)
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
	return 0;
}

long kvm_vcpu_set_xcrs(struct kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u64 xcr0 = vcpu->xcr0;
	u32 i;

	if (xcrs->flags || xcrs->nr_xcrs > KVM_MAX_XCRS)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK ||
		    !xcr0_possible(vcpu, xcrs->xcrs[i].value))
			return -EINVAL;
		xcr0 = xcrs->xcrs[i].value;
	}
	vcpu->xcr0 = xcr0;
	return 0;
}

/* First of a vcpu's parts: what it may do by CPUID depends on the FPU's permissions. */
int kvm_fpu_create(struct kvm_vcpu *vcpu)
{
	if (!fpu_alloc_guest_fpstate(&vcpu->guest_fpu))
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, host_xss);
	vcpu->xcr0 = XFEATURE_MASK_FP;
	kvm_derive_from_cpuid(vcpu);
	return 0;
}

void kvm_fpu_destroy(struct kvm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->guest_fpu);
}
