/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cases that once diverged, as differential prints them: mode, instruction, rip,
 * rflags, pattern, registers.  They are run before all others.
 */

/* None so far since rows are printed; this one, ADD RAX, RBX, shows the form. */
{ 4, { 0x48, 0x01, 0xd8, },
  0x11002000, 0x202, 0x1, { 0x7fffffffffffffff, 0, 0, 0x1, 0x10000800, } },
