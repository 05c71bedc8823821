/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cases that a machine is given on a disk, and what it says came of them (cases.S).
 *
 * The disk is a sequence of blocks: number of cases, whether their code is 16-bit, the
 * memory and the XSAVE image that each of them begins with, the cases.  The last has
 * none.  A result is a header and the words of memory and image that have changed.
 */
#ifndef BATCH_H
#define BATCH_H

/* Where user code, its data, and the page that leads into it lie. */
#define CASE_CODE 0x11000000
#define CASE_CODE_SIZE 0x4000
#define CASE_DATA 0x10000000
#define CASE_DATA_SIZE 0x2000
#define CASE_DATA_LIMIT 0x1bff		/* of 16-bit segments */
#define CASE_MEDIA_BYTES 832
#define WAY_IN 0x20000000
#define FIRMWARE 0xc0000000		/* 4 MiB */

#define BATCH_MAX_CASES 64
#define BATCH_CASE_BYTES 80
#define BATCH_CASE_CODE_BYTES 32
#define BATCH_CASE_EIP 32
#define BATCH_CASE_EFLAGS 36
#define BATCH_CASE_REGS 40
#define BATCH_CASE_CODE_AT 72

#define BATCH_IS_16BIT_AT 4
#define BATCH_PATTERN_AT 512
#define BATCH_MEDIA_AT (512 + 8192)
#define BATCH_CASES_AT (512 + 8192 + 1024)
#define BATCH_SECTORS 29		/* in a block */

#define BATCH_MARKER "Here are results"
#define BATCH_MARKER_BYTES 16
#define BATCH_RESULT_REGS 0
#define BATCH_RESULT_EIP 32
#define BATCH_RESULT_EFLAGS 36
#define BATCH_RESULT_TRAP 40
#define BATCH_RESULT_ERROR 44
#define BATCH_RESULT_CR2 48
#define BATCH_RESULT_COUNT 52
#define BATCH_RESULT_BYTES 56

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct batch_case {
	uint8_t code[BATCH_CASE_CODE_BYTES];
	uint32_t eip, eflags, regs[8];
	uint32_t code_at;		/* from CASE_CODE */
	uint32_t unused;
};

struct batch_result {
	uint32_t regs[8], eip, eflags, trap, error, cr2, count;
	struct {
		uint32_t nr, val;
	} changed[CASE_DATA_SIZE / 4 + CASE_MEDIA_BYTES / 4];
};

/* A disk that is being written */
struct batch {
	FILE *disk;
	unsigned int cases;
	uint8_t block[BATCH_SECTORS * 512] __attribute__((aligned(8)));
};

bool batch_create(struct batch *b, const char *path);
/* Memory and image are those of the block: a change of them begins another one. */
bool batch_add(struct batch *b, bool is_16bit, const uint8_t *pattern, const uint8_t *media,
	       const struct batch_case *c);
bool batch_close(struct batch *b);

/* NULL: there are no results. */
FILE *batch_results(const char *path);
bool batch_next(FILE *results, struct batch_result *r);

#endif
#endif
