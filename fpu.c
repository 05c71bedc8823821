// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's FPU and extended state, and XCR0, which says what of it is in use.
 *
 * "SDM" is Intel's manual; sections by title.
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_fpu.h"
#include "kvm_request.h"

#include <linux/export.h>
#include <linux/uaccess.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/pkru.h>

/*
 * ---- XCR0 ----
 */

/* SDM 1 "Enabling the XSAVE Feature Set and XSAVE-Enabled Features". */
static bool xcr0_valid(struct kvm_vcpu *vcpu, u64 xcr0)
{
	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~vcpu->guest_supported_xcr0))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if ((xcr0 & XFEATURE_MASK_XTILE) && (xcr0 & XFEATURE_MASK_XTILE) != XFEATURE_MASK_XTILE)
		return false;
	if (!(xcr0 & XFEATURE_MASK_AVX512))
		return true;
	return (xcr0 & XFEATURE_MASK_AVX512) == XFEATURE_MASK_AVX512 &&
	       (xcr0 & XFEATURE_MASK_YMM);
}

/** kvm_set_xcr - XSETBV: 0, or 1 with nothing changed: the guest gets #GP; there is only XCR0 */
int kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr)
{
	if (index != XCR_XFEATURE_ENABLED_MASK || !xcr0_valid(vcpu, xcr))
		return 1;
	vcpu->xcr0 = xcr;
	return 0;
}

/* The host's IA32_XSS: the same on all CPUs since boot. */
static u64 host_xss __read_mostly;

/* VMX makes XSAVES #UD in a guest without it, SVM does not. */
static bool has_xsaves(struct kvm_vcpu *vcpu)
{
	return kvm_ops.isa == KVM_ISA_SVM || (vcpu->guest_caps & KVM_GUEST_HAS_XSAVES);
}

/* Instructions that the guest may execute now use PKRU. */
static bool uses_pkru(struct kvm_vcpu *vcpu)
{
	return (vcpu->cr4 & X86_CR4_PKE) || (vcpu->xcr0 & XFEATURE_MASK_PKRU);
}

/* The kernel keeps PKRU in the register only: it is no part of what its FPU code switches. */
static void load_guest_pkru(struct kvm_vcpu *vcpu)
{
	if (uses_pkru(vcpu) && vcpu->pkru != vcpu->host_pkru)
		wrpkru(vcpu->pkru);
}

static void load_host_pkru(struct kvm_vcpu *vcpu)
{
	if (!uses_pkru(vcpu))
		return;
	vcpu->pkru = rdpkru();
	if (vcpu->pkru != vcpu->host_pkru)
		wrpkru(vcpu->host_pkru);
}

/** kvm_switch_to_guest_xstate - XCR0, IA32_XSS and PKRU become the guest's; interrupts are off */
void kvm_switch_to_guest_xstate(struct kvm_vcpu *vcpu)
{
	load_guest_pkru(vcpu);
	if (unlikely(!(vcpu->cr4 & X86_CR4_OSXSAVE)))
		return;
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->xss != host_xss) && has_xsaves(vcpu))
		wrmsrq(MSR_IA32_XSS, vcpu->xss);
}

/** kvm_switch_to_host_xstate - they become the host's again; interrupts are off */
void kvm_switch_to_host_xstate(struct kvm_vcpu *vcpu)
{
	load_host_pkru(vcpu);
	if (unlikely(!(vcpu->cr4 & X86_CR4_OSXSAVE)))
		return;
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
	if (unlikely(vcpu->xss != host_xss) && has_xsaves(vcpu))
		wrmsrq(MSR_IA32_XSS, host_xss);
}

/*
 * ---- FPU and extended state ----
 *
 * Between two KVM_RUNs the guest's state is in vcpu->guest_fpu, perhaps in the
 * compacted format and without components in their initial configuration; the
 * kernel's functions convert it to the format of KVM_GET_XSAVE and back.
 */

/* Components that the vcpu's state has room for; those of KVM_CAP_XSAVE2 must be asked for. */
static u64 uabi_xfeatures(struct kvm_vcpu *vcpu)
{
	return (kvm_supported_xcr0 & vcpu->guest_fpu.xfeatures) | XFEATURE_MASK_FPSSE;
}

/* Of the area that userspace sees; at least that of struct kvm_xsave. */
static size_t uabi_size(struct kvm_vcpu *vcpu)
{
	return max_t(size_t, sizeof(struct kvm_xsave), vcpu->guest_fpu.uabi_size);
}

static void *alloc_area(struct kvm_vcpu *vcpu)
{
	return kvzalloc(uabi_size(vcpu), GFP_KERNEL_ACCOUNT);
}

static void export_fpu(struct kvm_vcpu *vcpu, void *xsave)
{
	struct xregs_state *xregs = xsave;

	fpu_copy_guest_fpstate_to_uabi(&vcpu->guest_fpu, xsave, uabi_size(vcpu),
				       uabi_xfeatures(vcpu), vcpu->pkru);
	/* The kernel's PKRU may have been in its initial configuration when it saved the rest. */
	if (vcpu->pkru)
		xregs->header.xfeatures |= kvm_supported_xcr0 & XFEATURE_MASK_PKRU;
}

/* -EINVAL: components that are not offered, a malformed header, a reserved MXCSR bit. */
static int import_fpu(struct kvm_vcpu *vcpu, const void *xsave)
{
	/* Where it is not written, it is in its initial configuration. */
	u32 pkru = 0;
	int r = fpu_copy_uabi_to_guest_fpstate(&vcpu->guest_fpu, xsave, uabi_xfeatures(vcpu), &pkru);

	if (!r)
		vcpu->pkru = pkru;
	return r;
}

/** kvm_vcpu_get_xsave2 - KVM_GET_XSAVE2: all components that are offered, and asked for: 0, -EFAULT,
 * -ENOMEM
 * @user: as many bytes as KVM_CAP_XSAVE2 says
 */
long kvm_vcpu_get_xsave2(struct kvm_vcpu *vcpu, void __user *user)
{
	void *area = alloc_area(vcpu);
	long r = 0;

	if (!area)
		return -ENOMEM;
	export_fpu(vcpu, area);
	if (copy_to_user(user, area, uabi_size(vcpu)))
		r = -EFAULT;
	kvfree(area);
	return r;
}

/** kvm_vcpu_get_xsave - KVM_GET_XSAVE: likewise, or -EINVAL if struct kvm_xsave is too short for
 * what was asked for
 */
long kvm_vcpu_get_xsave(struct kvm_vcpu *vcpu, struct kvm_xsave __user *user)
{
	return uabi_size(vcpu) > sizeof(*user) ? -EINVAL : kvm_vcpu_get_xsave2(vcpu, user);
}

/** kvm_vcpu_set_xsave - KVM_SET_XSAVE: 0, -EFAULT, -ENOMEM, or -EINVAL for a state that XRSTOR would
 * refuse
 */
long kvm_vcpu_set_xsave(struct kvm_vcpu *vcpu, const void __user *user)
{
	void *area = vmemdup_user(user, uabi_size(vcpu));
	long r;

	if (IS_ERR(area))
		return PTR_ERR(area);
	r = import_fpu(vcpu, area);
	kvfree(area);
	return r;
}

/*
 * struct kvm_fpu's names for the fields of the FXSAVE area, but for the x87 and SSE
 * registers.
 */
#define FOR_EACH_FX_FIELD(X)						\
	X(fcw, cwd) X(fsw, swd) X(ftwx, twd) X(last_opcode, fop)	\
	X(last_ip, rip) X(last_dp, rdp) X(mxcsr, mxcsr)

/** kvm_vcpu_get_fpu - KVM_GET_FPU: x87 and SSE state; 0 or -ENOMEM */
long kvm_vcpu_get_fpu(struct kvm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	void *xsave = alloc_area(vcpu);
	const struct fxregs_state *fx = xsave;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
#define GET_FIELD(field, fxfield) fpu->field = fx->fxfield;
	FOR_EACH_FX_FIELD(GET_FIELD)
#undef GET_FIELD
	kvfree(xsave);
	return 0;
}

/** kvm_vcpu_set_fpu - KVM_SET_FPU: 0, -EINVAL for a reserved bit of MXCSR, -ENOMEM; components but
 * x87 and SSE stay as they are
 */
long kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	void *xsave = alloc_area(vcpu);
	struct xregs_state *xregs = xsave;
	struct fxregs_state *fx = &xregs->i387;
	int r;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
#define SET_FIELD(field, fxfield) fx->fxfield = fpu->field;
	FOR_EACH_FX_FIELD(SET_FIELD)
#undef SET_FIELD
	xregs->header.xfeatures |= XFEATURE_MASK_FPSSE;
	r = import_fpu(vcpu, xsave);
	kvfree(xsave);
	return r;
}

/** kvm_vcpu_get_xcrs - KVM_GET_XCRS: XCR0, where the host has XSAVE; returns 0 */
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

/** kvm_vcpu_set_xcrs - KVM_SET_XCRS: 0, or -EINVAL with nothing changed */
long kvm_vcpu_set_xcrs(struct kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u64 xcr0 = vcpu->xcr0;
	u32 i;

	if (xcrs->flags || xcrs->nr_xcrs > KVM_MAX_XCRS)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK ||
		    !xcr0_valid(vcpu, xcrs->xcrs[i].value))
			return -EINVAL;
		xcr0 = xcrs->xcrs[i].value;
	}
	vcpu->xcr0 = xcr0;
	return 0;
}

/*
 * ---- IA32_XFD ----
 *
 * A component that is disabled by it is #NM when it is used, and its state is not kept.  The
 * kernel switches the register with the rest of the state; IA32_XFD_ERR, which says what the
 * #NM was for, is the guest's only in xfd_err, as the host must find 0 (SDM 1 "Extended
 * Feature Disable").
 */

/** kvm_get_xfd_msr - RDMSR of IA32_XFD or IA32_XFD_ERR: 0 */
int kvm_get_xfd_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = msr->index == MSR_IA32_XFD ? vcpu->guest_fpu.fpstate->xfd :
						 vcpu->guest_fpu.xfd_err;
	return 0;
}

/** kvm_set_xfd_msr - WRMSR: 0, or -EINVAL for a component that cannot be disabled */
int kvm_set_xfd_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & ~(vcpu->guest_supported_xcr0 & XFEATURE_MASK_XTILE_DATA))
		return -EINVAL;
	if (msr->index == MSR_IA32_XFD_ERR) {
		vcpu->guest_fpu.xfd_err = msr->data;
		return 0;
	}
	fpu_update_guest_xfd(&vcpu->guest_fpu, msr->data);
	/* #NM is intercepted while it can be for this. */
	kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	return 0;
}

/** kvm_save_xfd_err - an exit by #NM: keep what it is for; interrupts off */
void kvm_save_xfd_err(struct kvm_vcpu *vcpu)
{
	if (!vcpu->guest_fpu.fpstate->xfd)
		return;
	rdmsrq(MSR_IA32_XFD_ERR, vcpu->guest_fpu.xfd_err);
	if (vcpu->guest_fpu.xfd_err)
		wrmsrq(MSR_IA32_XFD_ERR, 0);
}
EXPORT_SYMBOL_GPL(kvm_save_xfd_err);

/** kvm_fpu_reset - RESET: no component is disabled, and PKRU is 0 */
void kvm_fpu_reset(struct kvm_vcpu *vcpu)
{
	vcpu->pkru = 0;
	vcpu->guest_fpu.xfd_err = 0;
	if (vcpu->guest_fpu.fpstate->xfd)
		fpu_update_guest_xfd(&vcpu->guest_fpu, 0);
}

/** kvm_fpu_create - the first part of a vcpu to be made, 0 or -ENOMEM: what CPUID may offer
 * depends on the permissions of its FPU state
 */
int kvm_fpu_create(struct kvm_vcpu *vcpu)
{
	if (!fpu_alloc_guest_fpstate(&vcpu->guest_fpu))
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrq(MSR_IA32_XSS, host_xss);
	vcpu->xcr0 = XFEATURE_MASK_FP;
	kvm_derive_from_cpuid(vcpu);
	return 0;
}

/** kvm_fpu_destroy - undo kvm_fpu_create() */
void kvm_fpu_destroy(struct kvm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->guest_fpu);
}
