// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "batch.h"

/* 16 heads of 63 sectors: a disk ends with a cylinder. */
#define CYLINDER (16 * 63 * 512L)

_Static_assert(sizeof(struct batch_case) == BATCH_CASE_BYTES, "cases.S has it so");
_Static_assert(offsetof(struct batch_case, code_at) == BATCH_CASE_CODE_AT, "cases.S has it so");
_Static_assert(offsetof(struct batch_result, changed) == BATCH_RESULT_BYTES, "cases.S has it so");
_Static_assert(BATCH_CASES_AT + BATCH_MAX_CASES * BATCH_CASE_BYTES <= BATCH_SECTORS * 512,
	       "a block holds it");

bool batch_create(struct batch *b, const char *path)
{
	b->cases = 0;
	b->disk = fopen(path, "wb");
	return b->disk != NULL;
}

static bool write_block(struct batch *b)
{
	uint32_t cases = b->cases;

	memcpy(b->block, &cases, 4);
	b->cases = 0;
	return fwrite(b->block, sizeof(b->block), 1, b->disk) == 1;
}

bool batch_add(struct batch *b, bool is_16bit, const uint8_t *pattern, const uint8_t *media,
	       const struct batch_case *c)
{
	uint32_t mode = is_16bit;

	if (b->cases == BATCH_MAX_CASES ||
	    (b->cases && memcmp(b->block + BATCH_PATTERN_AT, pattern, CASE_DATA_SIZE)))
		if (!write_block(b))
			return false;
	if (!b->cases) {
		memset(b->block, 0, sizeof(b->block));
		memcpy(b->block + BATCH_IS_16BIT_AT, &mode, 4);
		memcpy(b->block + BATCH_PATTERN_AT, pattern, CASE_DATA_SIZE);
		memcpy(b->block + BATCH_MEDIA_AT, media, CASE_MEDIA_BYTES);
	}
	memcpy(b->block + BATCH_CASES_AT + b->cases++ * BATCH_CASE_BYTES, c, sizeof(*c));
	return true;
}

bool batch_close(struct batch *b)
{
	bool good = !b->cases || write_block(b);
	long size;

	memset(b->block, 0, sizeof(b->block));
	good = write_block(b) && good;
	size = ftell(b->disk);
	good = fseek(b->disk, (size + CYLINDER - 1) / CYLINDER * CYLINDER - 1, SEEK_SET) == 0 &&
	       putc(0, b->disk) != EOF && good;
	return fclose(b->disk) == 0 && good;
}

/* The emulator says a few words of its own before. */
FILE *batch_results(const char *path)
{
	FILE *f = fopen(path, "rb");
	unsigned int n = 0;
	int c;

	while (f && n < BATCH_MARKER_BYTES && (c = getc(f)) != EOF)
		n = c == BATCH_MARKER[n] ? n + 1 : c == BATCH_MARKER[0];
	if (f && n < BATCH_MARKER_BYTES) {
		fclose(f);
		f = NULL;
	}
	return f;
}

bool batch_next(FILE *results, struct batch_result *r)
{
	size_t max = sizeof(r->changed) / sizeof(r->changed[0]);

	return fread(r, BATCH_RESULT_BYTES, 1, results) == 1 && r->count <= max &&
	       fread(r->changed, sizeof(r->changed[0]), r->count, results) == r->count;
}
