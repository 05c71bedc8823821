// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMCS for the log, with dump_invalid_vmcs=1.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "vmx.h"

#include <linux/printk.h>

/* Fields that tell most, by name. */
#define DUMP_FIELDS(X)							\
	X(PIN_BASED_VM_EXEC_CONTROL) X(CPU_BASED_VM_EXEC_CONTROL)	\
	X(SECONDARY_VM_EXEC_CONTROL) X(VM_ENTRY_CONTROLS) X(VM_EXIT_CONTROLS) \
	X(EXCEPTION_BITMAP) X(VM_ENTRY_INTR_INFO_FIELD)			\
	X(VM_EXIT_REASON) X(EXIT_QUALIFICATION) X(VM_EXIT_INTR_INFO)	\
	X(IDT_VECTORING_INFO_FIELD) X(EPT_POINTER)			\
	X(GUEST_CR0) X(CR0_READ_SHADOW) X(GUEST_CR3) X(GUEST_CR4)	\
	X(CR4_READ_SHADOW) X(GUEST_IA32_EFER) X(GUEST_RSP) X(GUEST_RIP)	\
	X(GUEST_RFLAGS) X(GUEST_DR7) X(GUEST_INTERRUPTIBILITY_INFO)	\
	X(GUEST_ACTIVITY_STATE) X(GUEST_PENDING_DBG_EXCEPTIONS)		\
	X(GUEST_IA32_DEBUGCTL) X(VMCS_LINK_POINTER)			\
	X(GUEST_GDTR_BASE) X(GUEST_GDTR_LIMIT) X(GUEST_IDTR_BASE) X(GUEST_IDTR_LIMIT) \
	X(GUEST_SYSENTER_CS) X(GUEST_SYSENTER_ESP) X(GUEST_SYSENTER_EIP) \
	X(HOST_CR0) X(HOST_CR3) X(HOST_CR4) X(HOST_RSP) X(HOST_RIP)	\
	X(HOST_GS_BASE) X(HOST_TR_BASE)

/** vmx_dump - to the log: the VMCS of a VM entry that failed; on the vcpu's CPU */
void vmx_dump(struct vcpu_vmx *vmx)
{
	static const char * const names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };
	static const struct { const char *name; u32 field; } fields[] = {
#define DUMP_FIELD(field) { #field, field },
		DUMP_FIELDS(DUMP_FIELD)
	};
	int i;

	pr_err("vcpu %d: the processor refused to enter it: exit reason %#x, error %u\n",
	       vmx->vcpu.vcpu_id, vmx->exit_reason, vmx->entry_error);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		pr_err("  %-28s %016lx\n", fields[i].name, vmcs_read_any(fields[i].field));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		pr_err("  %-4s %04lx base %016lx limit %08lx ar %05lx\n", names[i],
		       vmcs_read_any(SEG_FIELD(GUEST_ES_SELECTOR, i)),
		       vmcs_read_any(SEG_FIELD(GUEST_ES_BASE, i)),
		       vmcs_read_any(SEG_FIELD(GUEST_ES_LIMIT, i)),
		       vmcs_read_any(SEG_FIELD(GUEST_ES_AR_BYTES, i)));
}
