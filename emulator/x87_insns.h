/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any x87 instruction, by its number: there is no way to execute one that is not in
 * the code.  The caller sees to the state that it finds and leaves.
 */
#ifndef X87_INSNS_H
#define X87_INSNS_H

#define X87_4(insn, n)	insn(n) insn((n) + 1) insn((n) + 2) insn((n) + 3)
#define X87_8(insn, n)	X87_4(insn, n) X87_4(insn, (n) + 4)
#define X87_64(insn, n) \
	X87_8(insn, n) X87_8(insn, (n) + 8) X87_8(insn, (n) + 16) X87_8(insn, (n) + 24) \
	X87_8(insn, (n) + 32) X87_8(insn, (n) + 40) X87_8(insn, (n) + 48) X87_8(insn, (n) + 56)

/* Opcode and ModRM.reg, with the address in a register. */
#define X87_MEMORY(n) \
	case n: \
		__asm__ volatile(".byte %c1, %c2" : : "D"(mem), "i"(0xd8 + (n) / 8), \
				 "i"((n) % 8 * 8 + 7) : "memory"); \
		break;

/*
 * Opcode and ModRM.reg, with ST(0) to ST(7), which st counts down to: a case for each
 * would take three times the text.
 */
#define X87_PICK \
	"	sub $1, %[st]\n jc 0f\n sub $1, %[st]\n jc 1f\n" \
	"	sub $1, %[st]\n jc 2f\n sub $1, %[st]\n jc 3f\n" \
	"	sub $1, %[st]\n jc 4f\n sub $1, %[st]\n jc 5f\n" \
	"	sub $1, %[st]\n jc 6f\n jmp 7f\n"
#define X87_EACH(before, after) \
	"0:	" before ".byte %c[op], %c[low] + 0\n" after "jmp 8f\n" \
	"1:	" before ".byte %c[op], %c[low] + 1\n" after "jmp 8f\n" \
	"2:	" before ".byte %c[op], %c[low] + 2\n" after "jmp 8f\n" \
	"3:	" before ".byte %c[op], %c[low] + 3\n" after "jmp 8f\n" \
	"4:	" before ".byte %c[op], %c[low] + 4\n" after "jmp 8f\n" \
	"5:	" before ".byte %c[op], %c[low] + 5\n" after "jmp 8f\n" \
	"6:	" before ".byte %c[op], %c[low] + 6\n" after "jmp 8f\n" \
	"7:	" before ".byte %c[op], %c[low] + 7\n" after \
	"8:\n"
#define X87_REGISTERS(n) \
	case n: \
		__asm__ volatile(X87_PICK X87_EACH("", "") : [st] "+r"(st) \
				 : [op] "i"(0xd8 + (n) / 8), [low] "i"(0xc0 + (n) % 8 * 8) \
				 : "cc"); \
		break;
/* What reads or writes flags: AH holds them as LAHF has them, and AL holds OF. */
#define X87_FLAGS(n) \
	case n: \
		__asm__ volatile(X87_PICK \
				 X87_EACH("addb $0x7f, %%al\n sahf\n", "lahf\n seto %%al\n") \
				 : [st] "+r"(st), "+a"(ax) \
				 : [op] "i"(0xd8 + (n) / 8), [low] "i"(0xc0 + (n) % 8 * 8) \
				 : "cc"); \
		break;

#define X87_STATUS_FLAGS 0x8d5

static inline void x87_with_memory(unsigned char opcode, unsigned char modrm, void *mem)
{
	switch ((opcode & 7) * 8 + (modrm >> 3 & 7)) {
	X87_64(X87_MEMORY, 0)
	}
}

/* What opcodes.c has.  Returns the status flags. */
static inline unsigned int x87_with_registers(unsigned char opcode, unsigned char modrm,
					      unsigned int flags)
{
	unsigned int ax = (flags & 0xff) << 8 | (flags >> 11 & 1), st = modrm & 7;

	switch ((opcode & 7) * 8 + (modrm >> 3 & 7)) {
	X87_8(X87_REGISTERS, 0x00)
	X87_REGISTERS(0x08)
	X87_REGISTERS(0x09)
	X87_REGISTERS(0x0a)
	X87_4(X87_REGISTERS, 0x0c)
	X87_4(X87_FLAGS, 0x10)
	X87_REGISTERS(0x15)
	X87_4(X87_FLAGS, 0x18)
	X87_REGISTERS(0x1c)
	X87_FLAGS(0x1d)
	X87_FLAGS(0x1e)
	X87_REGISTERS(0x20)
	X87_REGISTERS(0x21)
	X87_4(X87_REGISTERS, 0x24)
	X87_REGISTERS(0x28)
	X87_4(X87_REGISTERS, 0x2a)
	X87_REGISTERS(0x30)
	X87_REGISTERS(0x31)
	X87_REGISTERS(0x33)
	X87_4(X87_REGISTERS, 0x34)
	X87_FLAGS(0x3d)
	X87_FLAGS(0x3e)
	}
	return ((ax >> 8 & 0xff) | (ax & 1) << 11) & X87_STATUS_FLAGS;
}

#endif
