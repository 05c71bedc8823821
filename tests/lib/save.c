// SPDX-License-Identifier: GPL-2.0-only
#include "save.h"

#define MSR_DEADLINE	0x6e0

static void call(int fd, unsigned long cmd, const void *arg, const char *name)
{
	if (ioctl(fd, cmd, arg) < 0)
		die("%s", name);
}

#define CALL(fd, cmd, arg)	call(fd, cmd, arg, #cmd)

/* -ENXIO, -EINVAL: the chips, or this one, are userspace's. */
static bool has(int fd, unsigned long cmd, void *arg)
{
	return !ioctl(fd, cmd, arg);
}

static u32 list_msrs(int sys, struct kvm_msr_entry *out)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + SAVED_MSRS * sizeof(u32));
	u32 n;

	list->nmsrs = SAVED_MSRS;
	CALL(sys, KVM_GET_MSR_INDEX_LIST, list);
	n = list->nmsrs;
	for (u32 i = 0; i < n; i++)
		out[i].index = list->indices[i];
	free(list);
	return n;
}

static void msrs(int fd, unsigned long cmd, struct kvm_msr_entry *msrs, u32 n)
{
	struct kvm_msrs *m = calloc(1, sizeof(*m) + n * sizeof(*msrs));
	int done;

	m->nmsrs = n;
	memcpy(m->entries, msrs, n * sizeof(*msrs));
	done = ioctl(fd, cmd, m);
	if (done != (int)n)
		die("MSR %#x is not %s, %#llx", msrs[done < 0 ? 0 : done].index,
		    cmd == KVM_GET_MSRS ? "read" : "written", msrs[done < 0 ? 0 : done].data);
	memcpy(msrs, m->entries, n * sizeof(*msrs));
	free(m);
}

/*
 * Events first, then whether it runs; the deadline, an MSR, before the local APIC: if its
 * timer fires between the two, it is saved as armed and as fired, not as neither.
 */
void vcpu_save(struct vm *vm, struct vcpu *vcpu, struct saved_vcpu *out)
{
	memset(out, 0, sizeof(*out));
	CALL(vcpu->fd, KVM_GET_VCPU_EVENTS, &out->events);
	CALL(vcpu->fd, KVM_GET_MP_STATE, &out->mp);
	CALL(vcpu->fd, KVM_GET_REGS, &out->regs);
	CALL(vcpu->fd, KVM_GET_SREGS2, &out->sregs);
	if (check_cap(vm->fd, KVM_CAP_XSAVE2) > SAVED_XSAVE)
		die("KVM_CAP_XSAVE2");
	CALL(vcpu->fd, KVM_GET_XSAVE2, out->xsave);
	if (has_xsave(vm->sys))
		CALL(vcpu->fd, KVM_GET_XCRS, &out->xcrs);
	CALL(vcpu->fd, KVM_GET_DEBUGREGS, &out->debug);
	out->tsc_khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);
	out->nmsrs = list_msrs(vm->sys, out->msrs);
	msrs(vcpu->fd, KVM_GET_MSRS, out->msrs, out->nmsrs);
	has(vcpu->fd, KVM_GET_LAPIC, &out->lapic);
}

/* The local APIC's base and mode are in SREGS; its deadline needs its mode and the TSC. */
void vcpu_restore(struct vm *vm, struct vcpu *vcpu, const struct saved_vcpu *in)
{
	struct kvm_msr_entry deadline = { 0 }, rest[SAVED_MSRS];
	struct kvm_lapic_state lapic;
	u32 n = 0;

	for (u32 i = 0; i < in->nmsrs; i++) {
		if (in->msrs[i].index == MSR_DEADLINE)
			deadline = in->msrs[i];
		else
			rest[n++] = in->msrs[i];
	}
	CALL(vcpu->fd, KVM_SET_REGS, &in->regs);
	CALL(vcpu->fd, KVM_SET_SREGS2, &in->sregs);
	if (has_xsave(vm->sys))
		CALL(vcpu->fd, KVM_SET_XCRS, &in->xcrs);
	CALL(vcpu->fd, KVM_SET_XSAVE, in->xsave);
	CALL(vcpu->fd, KVM_SET_DEBUGREGS, &in->debug);
	msrs(vcpu->fd, KVM_SET_MSRS, rest, n);
	if (has(vcpu->fd, KVM_GET_LAPIC, &lapic))
		CALL(vcpu->fd, KVM_SET_LAPIC, &in->lapic);
	if (deadline.index)
		msrs(vcpu->fd, KVM_SET_MSRS, &deadline, 1);
	CALL(vcpu->fd, KVM_SET_MP_STATE, &in->mp);
	CALL(vcpu->fd, KVM_SET_VCPU_EVENTS, &in->events);
}

void vm_save(struct vm *vm, struct saved_vm *out)
{
	memset(out, 0, sizeof(*out));
	CALL(vm->fd, KVM_GET_CLOCK, &out->clock);
	for (u32 i = 0; i < ARRAY_LEN(out->chips); i++) {
		out->chips[i].chip_id = i;
		has(vm->fd, KVM_GET_IRQCHIP, &out->chips[i]);
	}
	has(vm->fd, KVM_GET_PIT2, &out->pit);
}

/* After all vcpus: a pin that is asserted interrupts one at once. */
void vm_restore(struct vm *vm, const struct saved_vm *in)
{
	struct kvm_clock_data clock = in->clock;
	struct kvm_irqchip chip = { 0 };
	struct kvm_pit_state2 pit;

	clock.flags &= KVM_CLOCK_REALTIME;
	CALL(vm->fd, KVM_SET_CLOCK, &clock);
	for (u32 i = 0; i < ARRAY_LEN(in->chips); i++)
		if (has(vm->fd, KVM_GET_IRQCHIP, &chip))
			CALL(vm->fd, KVM_SET_IRQCHIP, &in->chips[i]);
	if (has(vm->fd, KVM_GET_PIT2, &pit))
		CALL(vm->fd, KVM_SET_PIT2, &in->pit);
}
