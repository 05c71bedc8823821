// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the instruction emulator, which knows nothing of KVM, and the vcpu:
 * its callbacks, and the exits to userspace that an emulated instruction needs.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "compat/regs.h"
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_guest_mem.h"
#include "kvm_handlers.h"
#include "kvm_io.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_regs.h"
#include "trace.h"
#include "x86_emulate.h"

#include <linux/module.h>
#include <asm/archrandom.h>

/*
 * An instruction that exits does so again and again.  What its length was found
 * by is kept: the entries of the guest's page tables that lead to it, and its
 * bytes.  As long as all of them read the same, so is the length.
 */
#define INSN_MEMOS	32
#define MEMO_BYTES	8

struct insn_memo {
	unsigned long rip, cr3;
	u64 generation;			/* of the memory slots; 0: empty */
	u8 cpl, len, levels;
	const u64 __user *gpte_at[5];
	u64 gpte[5];
	const u64 __user *code_at;
	u64 code, mask;
};

struct kvm_emulate {
	struct x86_emulate_ctxt ctxt;
	bool halted;
	bool tpr_lowered;	/* CR8 went down: userspace's APIC must hear of it */
	bool no_error;
	unsigned long rip;	/* at the start: userspace may have moved it */
	/* The hardware has walked for the one access that the instruction makes. */
	bool gpa_known;
	gpa_t gpa;
	/* A read that userspace answers, fragment by fragment. */
	struct {
		u64 linear;
		unsigned int bytes, have;
		bool active;
		u8 data[64];
	} rd;
	/* INS: the answer to the pending input is in pio.data. */
	bool pio_in_done;
	bool pio_out_pending;
	/* An MSR access that userspace handles: pending there, or answered. */
	bool msr_asked, msr_done;
	struct insn_memo memo[INSN_MEMOS];
};

static struct kvm_vcpu *to_vcpu(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->priv;
}

static struct kvm_emulate *to_emul(struct x86_emulate_ctxt *ctxt)
{
	return container_of(ctxt, struct kvm_emulate, ctxt);
}

/*
 * ---- memory ----
 */

static u64 walk_access(struct kvm_vcpu *vcpu, unsigned int access)
{
	u64 pferr = 0;

	if (access & X86EMUL_ACC_WRITE)
		pferr |= PFERR_WRITE_MASK;
	if (access & X86EMUL_ACC_SYSTEM)
		pferr |= PFERR_IMPLICIT_ACCESS;
	else if (kvm_ops.get_cpl(vcpu) == 3)
		pferr |= PFERR_USER_MASK;
	return pferr;
}

/* linear -> gpa, or the page fault in ctxt->exception. */
static int translate(struct x86_emulate_ctxt *ctxt, u64 linear, u64 access, gpa_t *gpa)
{
	struct kvm_emulate *e = to_emul(ctxt);
	struct kvm_exception ex = {};

	if (e->gpa_known && offset_in_page(linear) == offset_in_page(e->gpa) &&
	    !(access & PFERR_FETCH_MASK)) {
		*gpa = e->gpa;
		return X86EMUL_CONTINUE;
	}
	*gpa = kvm_mmu_gva_to_gpa(to_vcpu(ctxt), linear, access, &ex);
	if (*gpa != INVALID_GPA)
		return X86EMUL_CONTINUE;
	if (ex.vector == X86_TRAP_PF)
		return x86_emulate_page_fault(ctxt, ex.address, ex.error_code);
	return x86_emulate_fault_code(ctxt, ex.vector, ex.error_code);
}

/* At most two pages are touched: bytes in the first, and both frames. */
struct span {
	gpa_t gpa[2];
	unsigned int len[2];
};

static int translate_span(struct x86_emulate_ctxt *ctxt, u64 linear, unsigned int bytes,
			  u64 access, struct span *s)
{
	int r = translate(ctxt, linear, access, &s->gpa[0]);

	s->len[0] = min_t(unsigned int, bytes, PAGE_SIZE - offset_in_page(linear));
	s->len[1] = bytes - s->len[0];
	if (r == X86EMUL_CONTINUE && s->len[1])
		r = translate(ctxt, linear + s->len[0], access, &s->gpa[1]);
	return r;
}

/* Device registers in the kernel.  Returns true if one was accessed. */
static bool kernel_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data)
{
	return kvm_lapic_mmio_read(vcpu, gpa, len, data) ||
	       (len <= 8 && kvm_io_read(vcpu, KVM_MMIO_BUS, gpa, len, data));
}

static bool kernel_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data)
{
	return kvm_lapic_mmio_write(vcpu, gpa, len, data) ||
	       (len <= 8 && kvm_io_write(vcpu, KVM_MMIO_BUS, gpa, len, data));
}

/* A part of a read that goes to userspace, eight bytes at most. */
static int read_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len)
{
	vcpu->mmio.nr = 1;
	vcpu->mmio.cur = 0;
	vcpu->mmio.is_write = false;
	vcpu->mmio.frag[0].gpa = gpa;
	vcpu->mmio.frag[0].len = min(len, 8u);
	return X86EMUL_IO_NEEDED;
}

/* Fill rd.data from rd.have on; IO_NEEDED at each part that userspace must supply. */
static int read_span(struct kvm_emulate *e, const struct span *s)
{
	struct kvm_vcpu *vcpu = to_vcpu(&e->ctxt);
	unsigned int base = 0, i;

	for (i = 0; i < 2; base += s->len[i], i++) {
		unsigned int off, left;

		if (e->rd.have >= base + s->len[i])
			continue;
		off = e->rd.have - base;
		left = s->len[i] - off;
		/* A part that userspace has begun to supply, it completes. */
		if (off || (kvm_read_guest(vcpu, s->gpa[i], e->rd.data + base, left) &&
			    !kernel_mmio_read(vcpu, s->gpa[i], left, e->rd.data + base)))
			return read_mmio(vcpu, s->gpa[i] + off, left);
		e->rd.have += left;
	}
	return X86EMUL_CONTINUE;
}

static int emul_read(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		     unsigned int bytes, unsigned int access)
{
	struct kvm_emulate *e = to_emul(ctxt);
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	struct span s;
	int r = translate_span(ctxt, linear, bytes, walk_access(vcpu, access), &s);

	if (r != X86EMUL_CONTINUE)
		return r;
	/* What faulted is rarely memory: look among the devices first. */
	if (e->gpa_known && !s.len[1] && kernel_mmio_read(vcpu, s.gpa[0], bytes, val))
		return X86EMUL_CONTINUE;
	/* All of it ordinary memory: one copy, up to a page. */
	if (!s.len[1] && !kvm_read_guest(vcpu, s.gpa[0], val, bytes))
		return X86EMUL_CONTINUE;
	if (bytes > sizeof(e->rd.data))
		return X86EMUL_UNHANDLEABLE;
	if (!e->rd.active || e->rd.linear != linear || e->rd.bytes != bytes) {
		e->rd.active = true;
		e->rd.linear = linear;
		e->rd.bytes = bytes;
		e->rd.have = 0;
	}
	r = read_span(e, &s);
	if (r == X86EMUL_CONTINUE) {
		memcpy(val, e->rd.data, bytes);
		e->rd.active = false;
	}
	return r;
}

static int write_mmio(struct x86_emulate_ctxt *ctxt, gpa_t gpa, const u8 *data, unsigned int len)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);

	while (len) {
		unsigned int n = min(len, 8u);

		if (!kvm_mmio_queue_write(vcpu, gpa, data, n))
			return X86EMUL_UNHANDLEABLE;
		gpa += n;
		data += n;
		len -= n;
	}
	ctxt->posted = true;
	return X86EMUL_CONTINUE;
}

static int write_part(struct x86_emulate_ctxt *ctxt, gpa_t gpa, const void *val, unsigned int len)
{
	if (!kvm_write_guest(to_vcpu(ctxt), gpa, val, len))
		return X86EMUL_CONTINUE;
	if (kernel_mmio_write(to_vcpu(ctxt), gpa, len, val)) {
		ctxt->posted = true;
		return X86EMUL_CONTINUE;
	}
	return write_mmio(ctxt, gpa, val, len);
}

static int emul_write(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		      unsigned int bytes, unsigned int access)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	struct span s;
	int r = translate_span(ctxt, linear, bytes,
			       walk_access(vcpu, access | X86EMUL_ACC_WRITE), &s);

	if (r == X86EMUL_CONTINUE)
		r = write_part(ctxt, s.gpa[0], val, s.len[0]);
	if (r == X86EMUL_CONTINUE && s.len[1])
		r = write_part(ctxt, s.gpa[1], val + s.len[0], s.len[1]);
	return r;
}

static int emul_fetch(struct x86_emulate_ctxt *ctxt, u64 linear, void *val, unsigned int bytes)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	gpa_t gpa;
	int r = translate(ctxt, linear, walk_access(vcpu, 0) | PFERR_FETCH_MASK, &gpa);

	if (r != X86EMUL_CONTINUE)
		return r;
	/* Code in a device, or nowhere: not emulated. */
	return kvm_read_guest(vcpu, gpa, val, bytes) ? X86EMUL_UNHANDLEABLE : X86EMUL_CONTINUE;
}

static int emul_probe(struct x86_emulate_ctxt *ctxt, u64 linear, unsigned int bytes,
		      unsigned int access)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	bool write = access & X86EMUL_ACC_WRITE;
	struct span s;
	int r = translate_span(ctxt, linear, bytes, walk_access(vcpu, access), &s);

	if (r != X86EMUL_CONTINUE)
		return r;
	if (!kvm_gpa_is_ram(vcpu, s.gpa[0], write) ||
	    (s.len[1] && !kvm_gpa_is_ram(vcpu, s.gpa[1], write)))
		return X86EMUL_IO_NEEDED;
	return X86EMUL_CONTINUE;
}

static int emul_cmpxchg(struct x86_emulate_ctxt *ctxt, u64 linear, const void *old,
			const void *new, unsigned int bytes)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	u8 cur[16];
	struct span s;
	int r = translate_span(ctxt, linear, bytes,
			       walk_access(vcpu, X86EMUL_ACC_WRITE), &s);

	if (r != X86EMUL_CONTINUE)
		return r;
	/* A split lock has no atomic counterpart here: two plain writes. */
	if (s.len[1] || !kvm_gpa_is_ram(vcpu, s.gpa[0], true))
		return emul_write(ctxt, linear, new, bytes, 0);
	memcpy(cur, old, bytes);
	r = kvm_cmpxchg_guest(vcpu, s.gpa[0], cur, new, bytes);
	if (r < 0)
		return emul_write(ctxt, linear, new, bytes, 0);
	return r ? X86EMUL_RETRY_INSTR : X86EMUL_CONTINUE;
}

static void emul_invlpg(struct x86_emulate_ctxt *ctxt, u64 linear)
{
	kvm_mmu_invlpg(to_vcpu(ctxt), linear);
}

static void emul_flush_tlb(struct x86_emulate_ctxt *ctxt)
{
	kvm_mmu_guest_tlb_flush(to_vcpu(ctxt));
}

/*
 * ---- ports ----
 */

static int emul_pio_in(struct x86_emulate_ctxt *ctxt, unsigned int size, u16 port,
		       void *buf, unsigned int count)
{
	struct kvm_emulate *e = to_emul(ctxt);
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);

	if (e->pio_in_done && vcpu->pio.req.port == port && vcpu->pio.req.size == size &&
	    vcpu->pio.count >= count) {
		memcpy(buf, vcpu->pio.data, size * count);
		e->pio_in_done = false;
		return X86EMUL_CONTINUE;
	}
	if (kvm_pio_read_units(vcpu, port, size, buf, count))
		return X86EMUL_CONTINUE;
	vcpu->pio.req = (struct kvm_pio){ .in = true, .size = size, .port = port };
	vcpu->pio.count = count;
	return X86EMUL_IO_NEEDED;
}

static int emul_pio_out(struct x86_emulate_ctxt *ctxt, unsigned int size, u16 port,
			const void *buf, unsigned int count)
{
	struct kvm_emulate *e = to_emul(ctxt);
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	unsigned int done = kvm_pio_write_units(vcpu, port, size, buf, count);

	ctxt->posted = true;
	if (done == count)
		return X86EMUL_CONTINUE;
	vcpu->pio.req = (struct kvm_pio){ .size = size, .port = port };
	vcpu->pio.count = count - done;
	memcpy(vcpu->pio.data, buf + done * size, size * (count - done));
	e->pio_out_pending = true;
	return X86EMUL_CONTINUE;
}

/*
 * ---- segments, tables, control state ----
 */

static void emul_get_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, struct x86_seg *val)
{
	struct kvm_segment var;

	kvm_ops.get_segment(to_vcpu(ctxt), &var, seg);
	*val = (struct x86_seg){
		.base = var.base, .limit = var.limit, .selector = var.selector,
		.type = var.type, .s = var.s, .dpl = var.dpl, .present = var.present,
		.avl = var.avl, .l = var.l, .db = var.db, .g = var.g,
		.unusable = var.unusable,
	};
}

static void emul_set_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			     const struct x86_seg *val)
{
	struct kvm_segment var = {
		.base = val->base, .limit = val->limit, .selector = val->selector,
		.type = val->type, .s = val->s, .dpl = val->dpl, .present = val->present,
		.avl = val->avl, .l = val->l, .db = val->db, .g = val->g,
		.unusable = val->unusable,
	};

	kvm_ops.set_segment(to_vcpu(ctxt), &var, seg);
}

static int dtable_seg(enum x86emul_dtable which)
{
	return which == X86EMUL_GDT ? VCPU_SREG_GDTR : VCPU_SREG_IDTR;
}

static void emul_get_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which,
			    struct x86_dtable *val)
{
	struct kvm_dtable dt;

	kvm_ops.get_dtable(to_vcpu(ctxt), &dt, dtable_seg(which));
	val->base = dt.base;
	val->limit = dt.limit;
}

static void emul_set_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which,
			    const struct x86_dtable *val)
{
	struct kvm_dtable dt = { .base = val->base, .limit = val->limit };

	kvm_ops.set_dtable(to_vcpu(ctxt), &dt, dtable_seg(which));
}

static unsigned int emul_get_cpl(struct x86_emulate_ctxt *ctxt)
{
	return kvm_ops.get_cpl(to_vcpu(ctxt));
}

static u64 emul_get_cr(struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);

	switch (nr) {
	case 0:
		return kvm_read_cr0(vcpu);
	case 2:
		return vcpu->cr2;
	case 3:
		return kvm_read_cr3(vcpu);
	case 4:
		return kvm_read_cr4(vcpu);
	default:
		return vcpu->cr8;
	}
}

static int emul_set_cr(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	unsigned long tpr = vcpu->cr8;
	int bad = 0;

	vcpu->stat.cr_exits++;
	switch (nr) {
	case 0:
		bad = kvm_set_cr0(vcpu, val);
		break;
	case 2:
		vcpu->cr2 = val;
		break;
	case 3:
		bad = kvm_set_cr3(vcpu, val);
		break;
	case 4:
		bad = kvm_set_cr4(vcpu, val);
		break;
	case 8:
		bad = kvm_set_cr8(vcpu, val);
		to_emul(ctxt)->tpr_lowered = !bad && val < tpr && !vcpu->lapic;
		break;
	default:
		return x86_emulate_fault(ctxt, X86_TRAP_UD);
	}
	return bad ? x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0) : X86EMUL_CONTINUE;
}

static int emul_get_dr(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 *val)
{
	*val = kvm_get_dr(to_vcpu(ctxt), nr);
	return X86EMUL_CONTINUE;
}

static int emul_set_dr(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	if (kvm_set_dr(to_vcpu(ctxt), nr, val))
		return x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0);
	return X86EMUL_CONTINUE;
}

/* An MSR access that fails here may be one for userspace: KVM_CAP_X86_USER_SPACE_MSR. */
static int msr_refused(struct x86_emulate_ctxt *ctxt, struct msr_data *msr, bool write, int error)
{
	struct kvm_emulate *e = to_emul(ctxt);
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);
	struct kvm_run *run = vcpu->run;

	if (e->msr_done) {
		e->msr_done = false;
		msr->data = READ_ONCE(run->msr.data);
		if (!READ_ONCE(run->msr.error))
			return X86EMUL_CONTINUE;
	} else if (kvm_msr_to_userspace(vcpu, msr, write, error)) {
		e->msr_asked = true;
		return X86EMUL_IO_NEEDED;
	}
	return x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0);
}

static int emul_get_msr(struct x86_emulate_ctxt *ctxt, u32 index, u64 *val)
{
	struct msr_data msr = { .index = index };
	int r = kvm_guest_get_msr(to_vcpu(ctxt), &msr);

	r = r ? msr_refused(ctxt, &msr, false, r) : X86EMUL_CONTINUE;
	*val = msr.data;
	return r;
}

static int emul_set_msr(struct x86_emulate_ctxt *ctxt, u32 index, u64 val)
{
	struct msr_data msr = { .index = index, .data = val };
	int r = kvm_guest_set_msr(to_vcpu(ctxt), &msr);

	return r ? msr_refused(ctxt, &msr, true, r) : X86EMUL_CONTINUE;
}

static u64 apparent_time(struct kvm *kvm)
{
	struct kvm_clock_data now;

	kvm_vm_get_clock(kvm, &now);
	return now.clock;
}

static int emul_rdpmc(struct x86_emulate_ctxt *ctxt, u32 counter, u64 *val)
{
	if (ctxt->vmware_backdoor) {
		switch (counter) {
		case X86EMUL_VMWARE_PMC_HOST_TSC:
			*val = rdtsc();
			return X86EMUL_CONTINUE;
		case X86EMUL_VMWARE_PMC_REAL_TIME:
			*val = ktime_get_boottime_ns();
			return X86EMUL_CONTINUE;
		case X86EMUL_VMWARE_PMC_APPARENT_TIME:
			*val = apparent_time(to_vcpu(ctxt)->kvm);
			return X86EMUL_CONTINUE;
		}
	}
	return x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0);
}

static int emul_rdtsc(struct x86_emulate_ctxt *ctxt, u64 *val)
{
	*val = kvm_read_guest_tsc(to_vcpu(ctxt));
	return X86EMUL_CONTINUE;
}

static int emul_cpuid(struct x86_emulate_ctxt *ctxt, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	kvm_cpuid(to_vcpu(ctxt), eax, ebx, ecx, edx);
	return X86EMUL_CONTINUE;
}

/* CPUID may offer the guest what the processor does not have. */
static bool processor_random(bool seed, unsigned long *val)
{
	if (seed)
		return boot_cpu_has(X86_FEATURE_RDSEED) && rdseed_long(val);
	return boot_cpu_has(X86_FEATURE_RDRAND) && rdrand_long(val);
}

static bool emul_random(struct x86_emulate_ctxt *ctxt, bool seed, u64 *val)
{
	unsigned long part[sizeof(u64) / sizeof(unsigned long)];
	int i;

	for (i = 0; i < ARRAY_SIZE(part); i++)
		if (!processor_random(seed, &part[i]))
			return false;
	memcpy(val, part, sizeof(part));
	return true;
}

static bool emul_has_feature(struct x86_emulate_ctxt *ctxt, enum x86emul_feature f)
{
#define FEATURE(name) [X86EMUL_FEAT_##name] = X86_FEATURE_##name
	static const unsigned int features[] = {
		FEATURE(POPCNT), FEATURE(MOVBE), FEATURE(CX16), FEATURE(LAHF_LM), FEATURE(ADX),
		FEATURE(BMI1), FEATURE(BMI2), FEATURE(AVX), FEATURE(AVX2), FEATURE(3DNOW),
		FEATURE(MOVDIRI), FEATURE(MOVDIR64B), FEATURE(CLFLUSHOPT), FEATURE(CLWB),
		FEATURE(CLZERO), FEATURE(CMPCCXADD), FEATURE(RDRAND), FEATURE(RDSEED),
		FEATURE(RTM), FEATURE(SERIALIZE), FEATURE(RDTSCP), FEATURE(RDPID),
		FEATURE(FSGSBASE), FEATURE(SYSCALL), FEATURE(INVPCID),
		[X86EMUL_FEAT_LZCNT] = X86_FEATURE_ABM,
		[X86EMUL_FEAT_TZCNT] = X86_FEATURE_BMI1,
		[X86EMUL_FEAT_SSE42] = X86_FEATURE_XMM4_2,
		[X86EMUL_FEAT_SYSENTER] = X86_FEATURE_SEP,
	};
#undef FEATURE
	struct kvm_vcpu *vcpu = to_vcpu(ctxt);

	/* The same condition as in kvm_handle_mwait(). */
	if (f == X86EMUL_FEAT_MWAIT)
		return !(vcpu->kvm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) ||
		       kvm_guest_has_mwait(vcpu);
	return f < ARRAY_SIZE(features) && kvm_guest_has(vcpu, features[f]);
}

/*
 * ---- actions ----
 */

/* INVD, too, which would lose what others have in the cache. */
static int emul_wbinvd(struct x86_emulate_ctxt *ctxt)
{
	kvm_write_back_caches(to_vcpu(ctxt));
	return X86EMUL_CONTINUE;
}

static int emul_halt(struct x86_emulate_ctxt *ctxt)
{
	to_emul(ctxt)->halted = true;
	return X86EMUL_CONTINUE;
}

static void emul_unblock_nmi(struct x86_emulate_ctxt *ctxt)
{
	kvm_ops.set_nmi_mask(to_vcpu(ctxt), false);
}

static const struct x86_emulate_ops kvm_emulate_ops = {
#define OP(name) .name = emul_##name
	OP(read), OP(write), OP(fetch), OP(probe), OP(cmpxchg), OP(invlpg), OP(flush_tlb),
	OP(pio_in), OP(pio_out),
	OP(get_segment), OP(set_segment), OP(get_dtable), OP(set_dtable), OP(get_cpl),
	OP(get_cr), OP(set_cr), OP(get_dr), OP(set_dr), OP(get_msr), OP(set_msr),
	OP(rdpmc), OP(rdtsc), OP(cpuid), OP(random), OP(has_feature),
	OP(wbinvd), OP(halt), OP(unblock_nmi),
#undef OP
#define OP(name) .name = kvm_emulate_##name
	OP(get_vec), OP(put_vec), OP(get_mmx), OP(put_mmx), OP(x87), OP(fxsave), OP(fxrstor),
	OP(get_xcr), OP(set_xcr),
#undef OP
};

/*
 * ---- one instruction ----
 */

static enum x86emul_mode emulation_mode(struct kvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	if (!is_protmode(vcpu))
		return X86EMUL_MODE_REAL;
	if (kvm_ops.get_rflags(vcpu) & X86_EFLAGS_VM)
		return X86EMUL_MODE_VM86;
	kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
	if (is_long_mode(vcpu) && cs.l)
		return X86EMUL_MODE_PROT64;
	return cs.db ? X86EMUL_MODE_PROT32 : X86EMUL_MODE_PROT16;
}

static void load_gprs(struct kvm_vcpu *vcpu, struct x86_emulate_ctxt *ctxt)
{
	const u32 all = BIT(X86_NR_GPR) - 1;
	int i;

	if (sizeof(vcpu->regs[0]) == sizeof(ctxt->regs[0]) && (vcpu->regs_avail & all) == all) {
		memcpy(ctxt->regs, vcpu->regs, sizeof(ctxt->regs));
		return;
	}
	for (i = 0; i < X86_NR_GPR; i++)
		ctxt->regs[i] = kvm_reg_read(vcpu, i);
}

static void load_ctxt(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	struct x86_emulate_ctxt *ctxt = &e->ctxt;

	load_gprs(vcpu, ctxt);
	ctxt->rip = e->rip = kvm_rip_read(vcpu);
	ctxt->rflags = kvm_get_rflags(vcpu);
	ctxt->mode = emulation_mode(vcpu);
	ctxt->amd = vcpu->guest_caps & KVM_GUEST_IS_AMD;
	ctxt->va_bits = vcpu_virt_bits(vcpu);
	e->gpa_known = false;
	e->halted = false;
	e->tpr_lowered = false;
	e->msr_asked = e->msr_done = false;
	e->rd.active = false;
	e->pio_in_done = false;
	e->pio_out_pending = false;
	vcpu->mmio.nr = 0;
	vcpu->mmio.cur = 0;
}

static void store_ctxt(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	struct x86_emulate_ctxt *ctxt = &e->ctxt;
	unsigned long dirty = ctxt->regs_dirty;
	int i;

	for_each_set_bit(i, &dirty, X86_NR_GPR)
		kvm_reg_write(vcpu, i, ctxt->regs[i]);
	kvm_rip_write(vcpu, ctxt->rip);
	if (ctxt->rflags != kvm_get_rflags(vcpu)) {
		kvm_set_rflags(vcpu, ctxt->rflags);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	}
}

/* KVM_EXIT_INTERNAL_ERROR with the instruction's bytes. */
static int emulation_failed(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	struct x86_emulate_ctxt *ctxt = &e->ctxt;
	struct kvm_run *run = vcpu->run;
	unsigned int n = min_t(unsigned int, ctxt->fetch_len, X86_MAX_INSN_LEN);

	vcpu->mmio.nr = 0;
	if (e->no_error)
		return -EOPNOTSUPP;
	vcpu->stat.insn_emulation_fail++;
	kvm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	memset(&run->emulation_failure.insn_bytes, 0x90, sizeof(run->emulation_failure.insn_bytes));
	run->emulation_failure.ndata = 3;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = n;
	memcpy(run->emulation_failure.insn_bytes, ctxt->fetch, n);
	return 0;
}

/*
 * An instruction that the emulator lacks.  A process of the guest's that gets at a device's
 * memory must not stop the VM by it: #UD is for its kernel to deal with, unless the VMM
 * wants to hear of such, too.
 */
static int insn_failed(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	if (e->no_error || READ_ONCE(vcpu->kvm->exit_on_emulation_failure) ||
	    kvm_ops.get_cpl(vcpu) != 3)
		return emulation_failed(vcpu, e);
	vcpu->mmio.nr = 0;
	vcpu->stat.insn_emulation_fail++;
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

static void propagate_fault(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	const struct x86_exception *x = &e->ctxt.exception;
	struct kvm_exception ex = {
		.vector = x->vector,
		.error_code_valid = x->has_error_code,
		.error_code = x->error_code,
		.address = x->address,
	};

	kvm_inject_page_fault(vcpu, &ex);
}

static int resume_emulation(struct kvm_vcpu *vcpu);

/* IO_NEEDED: the read, IN or MSR that userspace is to answer. */
static int exit_for_input(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	vcpu->complete_userspace_io = resume_emulation;
	if (e->msr_asked)
		return 0;
	if (e->rd.active)
		return kvm_mmio_to_userspace(vcpu);
	return kvm_pio_to_userspace(vcpu, &vcpu->pio.req, vcpu->pio.count);
}

/* The single step of an instruction whose output went to userspace first. */
static int complete_output_step(struct kvm_vcpu *vcpu)
{
	int r = vcpu->mmio.nr ? kvm_mmio_complete_writes(vcpu) : 1;

	if (r <= 0) {
		vcpu->complete_userspace_io = complete_output_step;
		return r;
	}
	return kvm_debug_exit(vcpu, X86_TRAP_DB, BIT(14));
}

/*
 * A software interrupt takes the guest's TF away with the trap that would come
 * behind it; its IRET brings it back.  MOV SS puts the trap off by one instruction.
 */
static bool guest_step_lost(const struct x86_emulate_ctxt *ctxt)
{
	bool software_int = !ctxt->d.map && ((ctxt->d.opcode >= 0xcc && ctxt->d.opcode <= 0xce) ||
					     ctxt->d.opcode == 0xf1);

	return (software_int && !(ctxt->rflags & X86_EFLAGS_TF)) ||
	       (ctxt->interruptibility & X86EMUL_SHADOW_MOV_SS);
}

/* The instruction is done: what it posted, its halt, its single step. */
static int finish_insn(struct kvm_vcpu *vcpu, struct kvm_emulate *e, bool tf)
{
	bool step_exit = false;
	u32 shadow = e->ctxt.interruptibility;

	if (kvm_ops.get_interrupt_shadow(vcpu) != shadow) {
		kvm_ops.set_interrupt_shadow(vcpu, shadow);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	}
	if (unlikely(tf)) {
		step_exit = vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP;
		if (!step_exit && !guest_step_lost(&e->ctxt))
			kvm_queue_exception_p(vcpu, X86_TRAP_DB, BIT(14));
	}
	if (vcpu->mmio.nr) {
		vcpu->mmio.cur = 0;
		vcpu->mmio.is_write = true;
		vcpu->complete_userspace_io = step_exit ? complete_output_step :
					      kvm_mmio_complete_writes;
		return kvm_mmio_to_userspace(vcpu);
	}
	if (e->pio_out_pending) {
		e->pio_out_pending = false;
		if (step_exit)
			vcpu->complete_userspace_io = complete_output_step;
		return kvm_pio_to_userspace(vcpu, &vcpu->pio.req, vcpu->pio.count);
	}
	if (step_exit) {
		if (e->halted)
			kvm_halt_behind_step(vcpu);
		return kvm_debug_exit(vcpu, X86_TRAP_DB, BIT(14));
	}
	if (e->tpr_lowered) {
		vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
		return 0;
	}
	return e->halted ? kvm_halt_exit(vcpu) : 1;
}

static int emulate_decoded(struct kvm_vcpu *vcpu, struct kvm_emulate *e)
{
	bool tf = kvm_ops.get_rflags(vcpu) & X86_EFLAGS_TF;

	switch (x86_emulate_insn(&e->ctxt)) {
	case X86EMUL_CONTINUE:
		store_ctxt(vcpu, e);
		/* Between the iterations of a REP, no single-step trap is raised here. */
		return finish_insn(vcpu, e, tf);
	case X86EMUL_PROPAGATE_FAULT:
		store_ctxt(vcpu, e);
		propagate_fault(vcpu, e);
		return finish_insn(vcpu, e, false);
	case X86EMUL_IO_NEEDED:
		/* Some iterations of a REP may be done: userspace sees them. */
		store_ctxt(vcpu, e);
		return exit_for_input(vcpu, e);
	case X86EMUL_RETRY_INSTR:
		return 1;
	default:
		return insn_failed(vcpu, e);
	}
}

/*
 * Userspace has answered; unless it moved the vcpu elsewhere, go on, with the
 * registers as it left them.
 */
static int resume_emulation(struct kvm_vcpu *vcpu)
{
	struct kvm_emulate *e = vcpu->emul;
	struct kvm_mmio_fragment *frag = &vcpu->mmio.frag[0];

	if (kvm_rip_read(vcpu) != e->rip)
		return 1;
	load_gprs(vcpu, &e->ctxt);
	if (e->msr_asked) {
		e->msr_asked = false;
		e->msr_done = true;
	} else if (e->rd.active) {
		memcpy(e->rd.data + e->rd.have, vcpu->run->mmio.data, frag->len);
		trace_kvm_mmio(KVM_TRACE_MMIO_READ, frag->len, frag->gpa, e->rd.data + e->rd.have);
		e->rd.have += frag->len;
		vcpu->mmio.nr = 0;
	} else {
		e->pio_in_done = true;
		trace_kvm_pio(KVM_TRACE_PIO_IN, vcpu->pio.req.port, vcpu->pio.req.size,
			      vcpu->pio.count, vcpu->pio.data);
	}
	return emulate_decoded(vcpu, e);
}

static struct insn_memo *find_memo(struct kvm_vcpu *vcpu)
{
	unsigned long rip = kvm_rip_read(vcpu);

	return &vcpu->emul->memo[(rip ^ rip >> 4) % INSN_MEMOS];
}

static bool memo_holds(struct kvm_vcpu *vcpu, const struct insn_memo *m)
{
	u64 val;
	int i;

	if (m->rip != kvm_rip_read(vcpu) || m->cr3 != kvm_read_cr3(vcpu) ||
	    m->cpl != kvm_ops.get_cpl(vcpu) || m->generation != kvm_slots_generation(vcpu->kvm))
		return false;
	for (i = 0; i < m->levels; i++)
		if (__get_user(val, m->gpte_at[i]) || val != m->gpte[i])
			return false;
	return !__get_user(val, m->code_at) && !((val ^ m->code) & m->mask);
}

/* Note how the length was found, if that is simple enough. */
static void fill_memo(struct kvm_vcpu *vcpu, struct insn_memo *m, int len)
{
	unsigned long rip = kvm_rip_read(vcpu);
	struct kvm_walk_trace trace;
	int i, n;

	m->generation = 0;
	if (len > MEMO_BYTES || offset_in_page(rip) > PAGE_SIZE - MEMO_BYTES)
		return;
	n = kvm_mmu_trace_walk(vcpu, rip, walk_access(vcpu, 0) | PFERR_FETCH_MASK, &trace);
	if (!n)
		return;
	for (i = 0; i < n; i++) {
		m->gpte_at[i] = kvm_gpa_to_user(vcpu, trace.gpte_gpa[i]);
		m->gpte[i] = trace.gpte[i];
		if (!m->gpte_at[i])
			return;
	}
	m->code_at = kvm_gpa_to_user(vcpu, trace.gpa);
	if (!m->code_at || __get_user(m->code, m->code_at))
		return;
	m->mask = GENMASK_ULL(8 * len - 1, 0);
	m->rip = rip;
	m->cr3 = kvm_read_cr3(vcpu);
	m->cpl = kvm_ops.get_cpl(vcpu);
	m->len = len;
	m->levels = n;
	m->generation = kvm_slots_generation(vcpu->kvm);
}

/* The context to fetch at RIP by; nothing else of it holds. */
static struct x86_emulate_ctxt *fetch_ctxt(struct kvm_vcpu *vcpu)
{
	struct x86_emulate_ctxt *ctxt = &vcpu->emul->ctxt;

	ctxt->rip = kvm_rip_read(vcpu);
	ctxt->mode = emulation_mode(vcpu);
	ctxt->va_bits = vcpu_virt_bits(vcpu);
	ctxt->fetch_len = 0;
	return ctxt;
}

static int decode_length(struct kvm_vcpu *vcpu)
{
	struct x86_emulate_ctxt *ctxt = fetch_ctxt(vcpu);
	int len;

	/* To the page's end first: the next page need not be there. */
	do {
		if (x86_fetch_more(ctxt) != X86EMUL_CONTINUE)
			return -EFAULT;
		len = x86_insn_length(ctxt->mode, ctxt->fetch, ctxt->fetch_len);
	} while (len == -ENODATA);
	return len;
}

/**
 * kvm_insn_length - how long is the instruction at RIP, for processors that do not tell
 * @vcpu: no instruction of it is being emulated; it stays as it was
 * @code64: it executes 64-bit code
 *
 * Return: 1 to 15 bytes, or -EFAULT, -EINVAL.
 */
int kvm_insn_length(struct kvm_vcpu *vcpu, bool code64)
{
	struct insn_memo *m = find_memo(vcpu);
	int len;

	if (likely(code64 && memo_holds(vcpu, m)))
		return m->len;
	len = decode_length(vcpu);
	if (code64 && len > 0)
		fill_memo(vcpu, m, len);
	return len;
}
EXPORT_SYMBOL_GPL(kvm_insn_length);

/**
 * kvm_software_int_length - how long is the INT n, INT3 or INTO at RIP that raises this vector?
 * @vcpu: no instruction of it is being emulated
 * @vector: the event's
 *
 * Return: as kvm_insn_length(); -EINVAL for another instruction.
 */
int kvm_software_int_length(struct kvm_vcpu *vcpu, u8 vector)
{
	int len = decode_length(vcpu);
	const u8 *end = vcpu->emul->ctxt.fetch + len;

	if (len <= 0)
		return len;
	if ((vector == X86_TRAP_BP && end[-1] == 0xcc) || (vector == X86_TRAP_OF && end[-1] == 0xce) ||
	    (len > 1 && end[-2] == 0xcd && end[-1] == vector))
		return len;
	return -EINVAL;
}

#define INSN_PEEK	4

/**
 * kvm_insn_repeats - does the instruction at RIP have a REP prefix?  False, too, when in doubt
 * @vcpu: no instruction of it is being emulated
 * @insn: the instruction's bytes where the hardware gave them, or NULL
 * @insn_len: how many there are
 */
bool kvm_insn_repeats(struct kvm_vcpu *vcpu, const u8 *insn, int insn_len)
{
	struct x86_emulate_ctxt *ctxt;
	int i;

	if (insn_len < INSN_PEEK) {
		ctxt = fetch_ctxt(vcpu);
		if (x86_fetch_more(ctxt) != X86EMUL_CONTINUE)
			return false;
		insn = ctxt->fetch;
		insn_len = ctxt->fetch_len;
	}
	for (i = 0; i < min(insn_len, INSN_PEEK); i++) {
		if (insn[i] == 0xf3 || insn[i] == 0xf2)
			return true;
		/* Other prefixes that string instructions have. */
		if (insn[i] != 0x66 && insn[i] != 0x67 && (insn[i] & 0xf0) != 0x40)
			return false;
	}
	return false;
}

/* From the bytes that the last exit of this instruction has left, if they still hold. */
static int decode_insn(struct kvm_vcpu *vcpu, struct kvm_emulate *e, const u8 *insn, int insn_len)
{
	struct insn_memo *m = find_memo(vcpu);
	int r;

	if (insn || e->ctxt.mode != X86EMUL_MODE_PROT64)
		return x86_decode_insn(&e->ctxt, insn, insn ? insn_len : 0);
	/* What follows the instruction may have changed, but is not looked at. */
	if (memo_holds(vcpu, m))
		return x86_decode_insn(&e->ctxt, &m->code, MEMO_BYTES);
	r = x86_decode_insn(&e->ctxt, NULL, 0);
	if (r == X86EMUL_CONTINUE && x86_emulate_one_access(&e->ctxt))
		fill_memo(vcpu, m, e->ctxt.d.len);
	return r;
}

/**
 * kvm_emulate_insn - emulate the instruction at RIP, as an exit handler
 * @vcpu: the vcpu
 * @addr: with EMULTYPE_GPA, the guest-physical address of its one access to memory
 * @type: EMULTYPE_*; with EMULTYPE_NO_ERROR -EOPNOTSUPP is returned for what the emulator
 *	lacks, nothing changed
 * @insn: the instruction's bytes where the hardware gave them, or NULL
 * @insn_len: how many there are
 */
int kvm_emulate_insn(struct kvm_vcpu *vcpu, u64 addr, int type, const u8 *insn, int insn_len)
{
	struct kvm_emulate *e = vcpu->emul;

	vcpu->stat.insn_emulation++;
	kvm_forget_soft_event(vcpu);
	load_ctxt(vcpu, e);
	e->no_error = type & EMULTYPE_NO_ERROR;
	switch (decode_insn(vcpu, e, insn, insn_len)) {
	case X86EMUL_CONTINUE:
		break;
	case X86EMUL_PROPAGATE_FAULT:
		propagate_fault(vcpu, e);
		return 1;
	default:
		if (type & EMULTYPE_VMWARE_GP)
			return kvm_handle_gp(vcpu);
		return insn_failed(vcpu, e);
	}
	if ((type & EMULTYPE_VMWARE_GP) && !x86_emulate_is_io(&e->ctxt))
		return kvm_handle_gp(vcpu);
	e->gpa_known = type & EMULTYPE_GPA && x86_emulate_one_access(&e->ctxt);
	e->gpa = addr;
	return emulate_decoded(vcpu, e);
}
EXPORT_SYMBOL_GPL(kvm_emulate_insn);

/**
 * kvm_emulate_real_interrupt - deliver an event through real mode's vector table
 * @vcpu: in real mode, on a processor that cannot deliver it
 * @vector: the event's
 * @insn_len: in bytes, of the instruction that it returns behind, or 0
 *
 * It is what INT n does: SDM 3B "Interrupt and Exception Handling" in real-address mode.
 */
int kvm_emulate_real_interrupt(struct kvm_vcpu *vcpu, u8 vector, unsigned int insn_len)
{
	const u8 int_n[] = { 0xcd, vector };
	struct kvm_emulate *e = vcpu->emul;

	vcpu->stat.insn_emulation++;
	load_ctxt(vcpu, e);
	e->no_error = false;
	if (x86_decode_insn(&e->ctxt, int_n, sizeof(int_n)) != X86EMUL_CONTINUE)
		return emulation_failed(vcpu, e);
	e->ctxt.d.len = insn_len;
	switch (x86_emulate_insn(&e->ctxt)) {
	case X86EMUL_CONTINUE:
		kvm_clear_injected(vcpu);
		store_ctxt(vcpu, e);
		kvm_ops.set_interrupt_shadow(vcpu, 0);
		return 1;
	case X86EMUL_PROPAGATE_FAULT:
		/* An exception that is being delivered counts, for a double fault. */
		vcpu->events.irq.injected = false;
		vcpu->events.soft.injected = false;
		vcpu->events.nmi_injected = false;
		propagate_fault(vcpu, e);
		return 1;
	default:
		return emulation_failed(vcpu, e);
	}
}
EXPORT_SYMBOL_GPL(kvm_emulate_real_interrupt);

/**
 * kvm_task_switch - an event's way through a task gate, which hardware leaves to us
 * @vcpu: RIP is what the old task goes on with
 * @selector: the new task's TSS
 * @error_code: what the event pushes, or NULL
 *
 * The event is delivered by this: it must not be pending any more.  Instructions
 * that switch tasks are emulated as any other.  SDM 3A "Task Switching".
 */
int kvm_task_switch(struct kvm_vcpu *vcpu, u16 selector, const u32 *error_code)
{
	struct kvm_emulate *e = vcpu->emul;

	load_ctxt(vcpu, e);
	e->no_error = false;
	e->ctxt.fetch_len = 0;
	switch (x86_emulate_task_switch(&e->ctxt, selector, X86EMUL_TASK_GATE, error_code)) {
	case X86EMUL_CONTINUE:
		store_ctxt(vcpu, e);
		return finish_insn(vcpu, e, false);
	case X86EMUL_PROPAGATE_FAULT:
		store_ctxt(vcpu, e);
		propagate_fault(vcpu, e);
		return 1;
	default:
		return emulation_failed(vcpu, e);
	}
}
EXPORT_SYMBOL_GPL(kvm_task_switch);

/** kvm_emulate_create - give a new vcpu its emulator's context: 0, or -ENOMEM */
int kvm_emulate_create(struct kvm_vcpu *vcpu)
{
	struct kvm_emulate *e = kvzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);

	if (!e)
		return -ENOMEM;
	x86_emulate_init(&e->ctxt);
	e->ctxt.ops = &kvm_emulate_ops;
	e->ctxt.priv = vcpu;
	e->ctxt.vmware_backdoor = kvm_vmware_backdoor;
	vcpu->emul = e;
	return 0;
}

/** kvm_emulate_destroy - free what kvm_emulate_create() made, if it did */
void kvm_emulate_destroy(struct kvm_vcpu *vcpu)
{
	kvfree(vcpu->emul);
}
