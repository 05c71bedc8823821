/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions.  All but VMXON live with VMX going off under them,
 * when the machine reboots in an emergency: then they are #UD and do nothing,
 * and what they read is 0.
 */
#ifndef VMX_OPS_H
#define VMX_OPS_H

#include <linux/build_bug.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

void vmx_vmwrite_failed(unsigned long field, unsigned long value);
void vmx_insn_failed(const char *insn, u64 operand);

/* SDM 3C "VMCS Component Encoding": bits 14:13 are the width, bit 0 the upper half. */
enum vmcs_width { VMCS_16 = 0x0000, VMCS_64 = 0x2000, VMCS_32 = 0x4000, VMCS_NATURAL = 0x6000 };

/* A field that is known when compiling is accessed in its own width or not at all. */
#define VMCS_CHECK(field, width)						\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) && ((field) & 0x6001) != (width), \
			 "VMCS field of another width")

/*
 * Only fields that the processor has are read, so VMREAD itself cannot fail;
 * nothing is spent on asking.
 */
static __always_inline unsigned long vmcs_read_any(unsigned long field)
{
	unsigned long value;

	asm volatile("1: vmread %[field], %[value]\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %k[value])
		     : [value] "=r" (value) : [field] "r" (field) : "cc");
	return value;
}

static __always_inline void vmcs_write_any(unsigned long field, unsigned long value)
{
	asm goto("1: vmwrite %[value], %[field]\n"
		 "jbe %l[failed]\n"
		 _ASM_EXTABLE(1b, %l[off])
		 : : [field] "r" (field), [value] "rm" (value) : "cc" : failed, off);
off:
	return;
failed:
	vmx_vmwrite_failed(field, value);
}

#define VMCS_ACCESSORS(suffix, type, width)					\
static __always_inline type vmcs_read##suffix(unsigned long field)		\
{										\
	VMCS_CHECK(field, width);						\
	return vmcs_read_any(field);						\
}										\
static __always_inline void vmcs_write##suffix(unsigned long field, type value)	\
{										\
	VMCS_CHECK(field, width);						\
	vmcs_write_any(field, value);						\
}
VMCS_ACCESSORS(16, u16, VMCS_16)
VMCS_ACCESSORS(32, u32, VMCS_32)
VMCS_ACCESSORS(64, u64, VMCS_64)
VMCS_ACCESSORS(, unsigned long, VMCS_NATURAL)

/* Instructions whose operand is a physical address in memory. */
#define VMX_PA_INSN(name)							\
static inline void name(u64 pa)							\
{										\
	asm goto("1: " #name " %[pa]\n"						\
		 "jbe %l[failed]\n"						\
		 _ASM_EXTABLE(1b, %l[off])					\
		 : : [pa] "m" (pa) : "cc", "memory" : failed, off);		\
off:										\
	return;									\
failed:										\
	vmx_insn_failed(#name, pa);						\
}
VMX_PA_INSN(vmptrld)
VMX_PA_INSN(vmclear)

/* VMXON: false if it failed or faulted. */
static inline bool vmxon(u64 pa)
{
	asm goto("1: vmxon %[pa]\n"
		 "jbe %l[failed]\n"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : [pa] "m" (pa) : "cc", "memory" : failed);
	return true;
failed:
	return false;
}

static inline void vmxoff(void)
{
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

struct vmx_inv_operand {
	u64 first;	/* EPT pointer, or VPID */
	u64 second;	/* 0, or linear address */
};

#define VMX_INV_INSN(name)							\
static inline void name(unsigned long type, u64 first, u64 second)		\
{										\
	struct vmx_inv_operand operand = { first, second };			\
										\
	asm goto("1: " #name " %[operand], %[type]\n"				\
		 "jbe %l[failed]\n"						\
		 _ASM_EXTABLE(1b, %l[off])					\
		 : : [operand] "m" (operand), [type] "r" (type)			\
		 : "cc", "memory" : failed, off);				\
off:										\
	return;									\
failed:										\
	vmx_insn_failed(#name, first);						\
}
VMX_INV_INSN(invept)
VMX_INV_INSN(invvpid)

#endif
