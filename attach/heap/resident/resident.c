/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/resident/resident.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define CLAIMS_MAX (4u << 20)

static const char rest_line[] = "other anonymous memory";
static const char more_line[] = "anything else";

void cprof_resident_deinit(struct cprof_resident *resident)
{
	free(resident->claims);
	*resident = (struct cprof_resident){ 0 };
}

uint32_t cprof_resident_line(struct cprof_resident *resident, const char *what)
{
	struct cprof_resident_line line = { 0 };
	const uint32_t last = CPROF_RESIDENT_LINES - 1;
	snprintf(line.what, sizeof(line.what), "%s", what);
	for (uint32_t i = 0; i < resident->n_lines; i++) {
		if (strcmp(resident->lines[i].what, line.what) == 0)
			return i;
	}
	/* The last two are for what nobody claimed and for what found no line. */
	if (resident->n_lines >= last - 1 && strcmp(line.what, rest_line) != 0) {
		snprintf(resident->lines[last].what, sizeof(line.what), "%s", more_line);
		return last;
	}
	resident->lines[resident->n_lines] = line;
	return resident->n_lines++;
}

uint32_t cprof_resident_rest(struct cprof_resident *resident)
{
	return cprof_resident_line(resident, rest_line);
}

struct cprof_error *cprof_resident_claim(struct cprof_resident *resident, uint64_t start,
					 uint64_t end, uint32_t line, uint32_t rank)
{
	if (start >= end)
		return NULL;
	if (resident->n_claims) {
		struct cprof_resident_claim *last = &resident->claims[resident->n_claims - 1];
		if (last->line == line && last->rank == rank && last->end == start) {
			last->end = end;
			return NULL;
		}
	}
	if (resident->n_claims >= CLAIMS_MAX)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "more than %u pieces of memory",
				       CLAIMS_MAX);
	if (!CPROF_ARRAY_ROOM(resident->claims, resident->n_claims, resident->cap_claims, 1))
		return cprof_error_no_memory();
	resident->claims[resident->n_claims++] = (struct cprof_resident_claim){
		.start = start, .end = end, .line = line, .rank = rank
	};
	return NULL;
}

/* ---- claims that overlap ---- */

static int by_rank(const void *a_, const void *b_)
{
	const struct cprof_resident_claim *a = a_, *b = b_;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

struct claims {
	struct cprof_resident_claim *all;
	size_t n, cap;
};

/* `sure`, and what of `more` lies outside of it, both by start; within `sure` nothing overlaps. */
static bool lay_over(const struct claims *sure, const struct cprof_resident_claim *more,
		     size_t n_more, struct claims *out)
{
	size_t s = 0;
	uint64_t from = 0; /* all below is given out */
	if (!CPROF_ARRAY_ROOM(out->all, out->n, out->cap, 2 * sure->n + n_more + 1))
		return false;
	for (size_t m = 0; m < n_more; m++) {
		struct cprof_resident_claim rest = more[m];
		if (rest.start < from)
			rest.start = from;
		while (rest.start < rest.end) {
			while (s < sure->n && sure->all[s].end <= rest.start)
				out->all[out->n++] = sure->all[s++];
			const bool hit = s < sure->n && sure->all[s].start < rest.end;
			const uint64_t end = hit ? sure->all[s].start : rest.end;
			if (rest.start < end) {
				out->all[out->n] = rest;
				out->all[out->n++].end = end;
			}
			rest.start = hit ? sure->all[s].end : rest.end;
		}
		if (rest.end > from)
			from = rest.end;
	}
	while (s < sure->n)
		out->all[out->n++] = sure->all[s++];
	return true;
}

static struct cprof_error *untangle(struct cprof_resident *resident)
{
	struct claims sure = { 0 };
	if (resident->n_claims)
		qsort(resident->claims, resident->n_claims, sizeof(*resident->claims), by_rank);
	for (size_t i = 0, n; i < resident->n_claims; i += n) {
		struct claims next = { 0 };
		for (n = 1; i + n < resident->n_claims &&
			    resident->claims[i + n].rank == resident->claims[i].rank;)
			n++;
		const bool ok = lay_over(&sure, resident->claims + i, n, &next);
		free(sure.all);
		sure = next;
		if (!ok)
			return cprof_error_no_memory();
	}
	free(resident->claims);
	resident->claims = sure.all;
	resident->n_claims = sure.n;
	resident->cap_claims = sure.cap;
	return NULL;
}

/* ---- giving out ---- */

struct left { /* of one mapping */
	uint64_t bytes, common;
};

/* Whose the pages are that others have as well is not known page by page: in proportion. */
static void give(struct cprof_resident *resident, uint32_t line, uint64_t bytes, struct left *left)
{
	const uint64_t common =
		left->bytes ? (uint64_t)((__uint128_t)left->common * bytes / left->bytes) : 0;
	resident->lines[line].bytes += bytes;
	resident->lines[line].common += common;
	left->bytes -= bytes;
	left->common -= common;
}

static uint64_t resident_of(struct cprof_resident *resident, const struct cprof_smaps_row *row,
			    uint64_t start, uint64_t end, cprof_resident_pages_fn *pages, void *ctx)
{
	const uint64_t size = row->end - row->start;
	uint64_t bytes;
	if (!row->rss || row->rss == size)
		return row->rss ? end - start : 0;
	if (start == row->start && end == row->end)
		return row->rss;
	if (pages && pages(ctx, start, end, row->common > 0, &bytes))
		return bytes;
	bytes = (uint64_t)((__uint128_t)row->rss * (end - start) / size);
	resident->guessed += bytes;
	return bytes;
}

/* By the beginning of its name: files that are no files. */
static const struct {
	const char *name, *what;
} memory_files[] = {
	{ "/memfd:", "shared memory: memfd" },
	{ "/dev/shm/", "shared memory: /dev/shm" },
	{ "/SYSV", "shared memory: System V" },
	{ "/dev/zero", "shared memory: anonymous" },
	{ "/anon_hugepage", "shared memory: anonymous" },
	{ "/[aio]", "shared memory: rings of the kernel" },
	{ "anon_inode:", "shared memory: rings of the kernel" },
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static uint32_t named_line(struct cprof_resident *resident, const struct cprof_smaps_row *row)
{
	char what[96];
	if (begins(row->name, "[stack"))
		return cprof_resident_line(resident, "stacks of threads");
	if (begins(row->name, "[heap]"))
		return cprof_resident_line(resident, "[heap], not told by an allocator");
	if (begins(row->name, "[anon:") || begins(row->name, "[anon_shmem:"))
		snprintf(what, sizeof(what), "memory named %s", row->name);
	else
		snprintf(what, sizeof(what), "the kernel's pages ([vdso] and the like)");
	return cprof_resident_line(resident, what);
}

/* Pages that other processes have as well are the file's first; written ones are only those that a fork has left. */
static void give_file(struct cprof_resident *resident, const struct cprof_smaps_row *row,
		      struct left *left)
{
	struct left own = { 0 };
	if (!row->shared)
		own.bytes = row->anonymous < left->bytes ? row->anonymous : left->bytes;
	const uint64_t files = left->bytes - own.bytes;
	own.common = left->common > files ? left->common - files : 0;
	left->bytes -= own.bytes;
	left->common -= own.common;
	give(resident, cprof_resident_line(resident, "pages of files: code, constants"),
	     left->bytes, left);
	give(resident, cprof_resident_line(resident, "written data of programs and libraries"),
	     own.bytes, &own);
}

/* What nobody claimed of a mapping, by what the mapping is. */
static void give_rest(struct cprof_resident *resident, const struct cprof_smaps_row *row,
		      struct left *left)
{
	const char *memory = row->shared && !row->inode ? "shared memory: anonymous" : NULL;
	for (size_t i = 0; i < sizeof(memory_files) / sizeof(memory_files[0]); i++) {
		if (begins(row->name, memory_files[i].name))
			memory = memory_files[i].what;
	}
	if (memory) {
		give(resident, cprof_resident_line(resident, memory), left->bytes, left);
	} else if (row->inode) {
		give_file(resident, row, left);
	} else {
		const uint32_t line =
			*row->name ? named_line(resident, row) : cprof_resident_rest(resident);
		give(resident, line, left->bytes, left);
	}
}

struct cprof_error *cprof_resident_settle(struct cprof_resident *resident,
					  const struct cprof_smaps *smaps,
					  cprof_resident_pages_fn *pages, void *ctx)
{
	struct cprof_error *err = untangle(resident);
	size_t c = 0;
	for (size_t i = 0; !err && i < smaps->n; i++) {
		const struct cprof_smaps_row *row = &smaps->rows[i];
		struct left left = { .bytes = row->rss, .common = row->common };
		resident->total += row->rss;
		while (c < resident->n_claims && resident->claims[c].end <= row->start)
			c++;
		for (size_t k = c; k < resident->n_claims && resident->claims[k].start < row->end;
		     k++) {
			const struct cprof_resident_claim *claim = &resident->claims[k];
			const uint64_t start =
				claim->start > row->start ? claim->start : row->start;
			const uint64_t end = claim->end < row->end ? claim->end : row->end;
			uint64_t bytes = resident_of(resident, row, start, end, pages, ctx);
			if (bytes > left.bytes) {
				resident->cut += bytes - left.bytes;
				bytes = left.bytes;
			}
			give(resident, claim->line, bytes, &left);
		}
		give_rest(resident, row, &left);
	}
	return err;
}

uint64_t cprof_resident_move(struct cprof_resident *resident, uint32_t from, uint32_t to,
			     uint64_t bytes)
{
	struct cprof_resident_line *line = &resident->lines[from];
	struct left left = { .bytes = line->bytes, .common = line->common };
	if (bytes > left.bytes)
		bytes = left.bytes;
	give(resident, to, bytes, &left);
	line->bytes = left.bytes;
	line->common = left.common;
	return bytes;
}

/* ---- text ---- */

static void amount(uint64_t bytes, char *text, size_t n)
{
	snprintf(text, n, "%.1f", (double)bytes / 1024);
}

void cprof_resident_text(const struct cprof_resident *resident, const char *whose,
			 struct cprof_buffer *out)
{
	char kib[32], common[32];
	amount(resident->total, kib, sizeof(kib));
	cprof_buffer_printf(out, "resident memory of %s: %s KiB%s", whose, kib,
			    resident->total ? ", of which" : "");
	for (uint32_t i = 0; i < CPROF_RESIDENT_LINES; i++) {
		const struct cprof_resident_line *line = &resident->lines[i];
		if (!line->bytes)
			continue;
		amount(line->bytes, kib, sizeof(kib));
		cprof_buffer_printf(out, "\n  %12s KiB %5.1f %%  %s", kib,
				    100.0 * (double)line->bytes / (double)resident->total,
				    line->what);
		amount(line->common, common, sizeof(common));
		if (line->common)
			cprof_buffer_printf(out, " (%s KiB of it in other processes, too)", common);
	}
}
