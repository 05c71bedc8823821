// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port and memory-mapped I/O on its way to userspace and back: kvm_run packing
 * and completion.
 */
#include "kvm_host.h"
#include "trace.h"

#include <linux/module.h>

/*
 * ---- ports ----
 */

/**
 * kvm_pio_to_userspace - KVM_EXIT_IO
 * @vcpu: the vcpu, loaded
 * @pio: the access; the data of an output are in vcpu->pio.data
 * @count: units of pio->size bytes, a page at most
 * Returns 0: to userspace.
 */
int kvm_pio_to_userspace(struct kvm_vcpu *vcpu, const struct kvm_pio *pio, unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	vcpu->pio.req = *pio;
	vcpu->pio.count = count;
	vcpu->stat.io_exits++;
	if (!pio->in)
		trace_kvm_pio(KVM_TRACE_PIO_OUT, pio->port, pio->size, count, vcpu->pio.data);
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = pio->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = pio->size;
	run->io.port = pio->port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return 0;
}

/* The single step of an OUT that went to userspace first. */
static int complete_out_step(struct kvm_vcpu *vcpu)
{
	return kvm_debug_exit(vcpu, X86_TRAP_DB, BIT(14));
}

/*
 * OUT is over when it leaves: RIP is past it at the exit, so that userspace
 * may save, reset or migrate the vcpu there.
 */
static int pio_out(struct kvm_vcpu *vcpu, const struct kvm_pio *pio)
{
	unsigned long rax = kvm_rax_read(vcpu);
	int r = kvm_skip_emulated_instruction(vcpu);

	if (r < 0 || (r == 0 && vcpu->run->exit_reason != KVM_EXIT_DEBUG))
		return r;
	if (r == 0)
		vcpu->complete_userspace_io = complete_out_step;
	memcpy(vcpu->pio.data, &rax, pio->size);
	return kvm_pio_to_userspace(vcpu, pio, 1);
}

/* If userspace moved RIP meanwhile (reset, restore), the IN is gone. */
static int complete_pio_in(struct kvm_vcpu *vcpu)
{
	unsigned long rax;

	if (kvm_rip_read(vcpu) != vcpu->pio.rip)
		return 1;
	/* A 32-bit IN clears the upper half, as all 32-bit writes do. */
	rax = vcpu->pio.req.size < 4 ? kvm_rax_read(vcpu) : 0;
	memcpy(&rax, vcpu->pio.data, vcpu->pio.req.size);
	trace_kvm_pio(KVM_TRACE_PIO_IN, vcpu->pio.req.port, vcpu->pio.req.size, 1, vcpu->pio.data);
	kvm_rax_write(vcpu, rax);
	return kvm_skip_emulated_instruction(vcpu);
}

/**
 * kvm_emulate_pio - an IN, OUT, INS or OUTS exited
 * @vcpu: the vcpu, loaded
 * @pio: as the vendor decoded it; strings go through the emulator
 * Returns as exit handlers do.
 */
int kvm_emulate_pio(struct kvm_vcpu *vcpu, const struct kvm_pio *pio)
{
	if (pio->string)
		return kvm_emulate_insn(vcpu, 0, 0, NULL, 0);
	if (!pio->in)
		return pio_out(vcpu, pio);
	vcpu->pio.rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = complete_pio_in;
	return kvm_pio_to_userspace(vcpu, pio, 1);
}
EXPORT_SYMBOL_GPL(kvm_emulate_pio);

/*
 * ---- memory-mapped I/O ----
 */

/**
 * kvm_mmio_to_userspace - KVM_EXIT_MMIO for the current fragment
 * @vcpu: the vcpu, loaded
 * Returns 0: to userspace.
 */
int kvm_mmio_to_userspace(struct kvm_vcpu *vcpu)
{
	const struct kvm_mmio_fragment *frag = &vcpu->mmio.frag[vcpu->mmio.cur];
	struct kvm_run *run = vcpu->run;

	vcpu->stat.mmio_exits++;
	trace_kvm_mmio(vcpu->mmio.is_write ? KVM_TRACE_MMIO_WRITE : KVM_TRACE_MMIO_READ_UNSATISFIED,
		       frag->len, frag->gpa, vcpu->mmio.is_write ? frag->data : NULL);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = frag->gpa;
	run->mmio.len = frag->len;
	run->mmio.is_write = vcpu->mmio.is_write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (vcpu->mmio.is_write)
		memcpy(run->mmio.data, frag->data, frag->len);
	return 0;
}

bool kvm_mmio_queue_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	struct kvm_mmio_fragment *frag = &vcpu->mmio.frag[vcpu->mmio.nr];

	if (vcpu->mmio.nr == ARRAY_SIZE(vcpu->mmio.frag))
		return false;
	frag->gpa = gpa;
	frag->len = len;
	memcpy(frag->data, data, len);
	vcpu->mmio.nr++;
	return true;
}

/* Userspace has taken one fragment: the next, until there is none. */
int kvm_mmio_complete_writes(struct kvm_vcpu *vcpu)
{
	if (++vcpu->mmio.cur >= vcpu->mmio.nr) {
		vcpu->mmio.nr = 0;
		return 1;
	}
	vcpu->complete_userspace_io = kvm_mmio_complete_writes;
	return kvm_mmio_to_userspace(vcpu);
}
