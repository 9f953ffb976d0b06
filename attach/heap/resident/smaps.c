/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/resident/smaps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/search.h"

#define TEXT_MAX ((size_t)256 << 20)

void cprof_smaps_deinit(struct cprof_smaps *smaps)
{
	free(smaps->rows);
	cprof_buffer_deinit(&smaps->text);
	*smaps = (struct cprof_smaps){ 0 };
}

static bool is_head(const char *line)
{
	return (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
}

/* "559e27c17000-559e27c19000 r--p 00000000 fe:00 247026    /usr/bin/cat" */
static bool parse_head(const char *line, struct cprof_smaps_row *row)
{
	char prot[8] = "";
	int name_at = 0;
	unsigned long long offset;
	unsigned major, minor;
	*row = (struct cprof_smaps_row){ 0 };
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %llx %x:%x %" SCNu64 " %n", &row->start,
		   &row->end, prot, &offset, &major, &minor, &row->inode, &name_at) < 7 ||
	    !name_at || strlen(prot) != 4 || row->start >= row->end)
		return false;
	row->read = prot[0] == 'r';
	row->write = prot[1] == 'w';
	row->shared = prot[3] == 's';
	row->name = line + name_at;
	return true;
}

/* "Rss:                   8 kB" */
static bool parse_member(const char *line, struct cprof_smaps_row *row)
{
	static const struct {
		const char *key;
		size_t member;
	} keys[] = {
		{ "Rss:", offsetof(struct cprof_smaps_row, rss) },
		{ "Anonymous:", offsetof(struct cprof_smaps_row, anonymous) },
		{ "Shared_Clean:", offsetof(struct cprof_smaps_row, common) },
		{ "Shared_Dirty:", offsetof(struct cprof_smaps_row, common) },
		{ "Swap:", offsetof(struct cprof_smaps_row, swap) },
		{ "Private_Hugetlb:", offsetof(struct cprof_smaps_row, huge) },
		{ "Shared_Hugetlb:", offsetof(struct cprof_smaps_row, huge) },
	};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const size_t n = strlen(keys[i].key);
		uint64_t kib;
		if (strncmp(line, keys[i].key, n) != 0)
			continue;
		if (sscanf(line + n, "%" SCNu64 " kB", &kib) != 1 || kib > UINT64_MAX >> 16)
			return false;
		uint64_t value;
		memcpy(&value, (char *)row + keys[i].member, sizeof(value));
		value += kib * 1024;
		memcpy((char *)row + keys[i].member, &value, sizeof(value));
		return true;
	}
	return true;
}

static bool is_sound(const struct cprof_smaps_row *row)
{
	return row->rss <= row->end - row->start && row->anonymous <= row->rss &&
	       row->common <= row->rss;
}

static struct cprof_error *add_row(struct cprof_smaps *smaps, const struct cprof_smaps_row *row)
{
	if (smaps->n && smaps->rows[smaps->n - 1].end > row->start)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "mapping 0x%" PRIx64 " out of order",
				       row->start);
	if (!CPROF_ARRAY_ROOM(smaps->rows, smaps->n, smaps->cap, 1))
		return cprof_error_no_memory();
	smaps->rows[smaps->n++] = *row;
	return NULL;
}

static struct cprof_error *parse_line(struct cprof_smaps *smaps, const char *line)
{
	struct cprof_smaps_row row;
	if (is_head(line) && parse_head(line, &row))
		return add_row(smaps, &row);
	if (is_head(line) || !smaps->n || !parse_member(line, &smaps->rows[smaps->n - 1]))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "no line of an smaps file: \"%.80s\"",
				       line);
	return NULL;
}

static struct cprof_error *sum_up(struct cprof_smaps *smaps)
{
	for (size_t i = 0; i < smaps->n; i++) {
		const struct cprof_smaps_row *row = &smaps->rows[i];
		if (!is_sound(row))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "mapping 0x%" PRIx64
					       " has more resident than it is long",
					       row->start);
		smaps->rss += row->rss;
		smaps->swap += row->swap;
		smaps->huge += row->huge;
	}
	return NULL;
}

struct cprof_error *cprof_smaps_parse(struct cprof_smaps *smaps)
{
	struct cprof_error *err = cprof_buffer_error(&smaps->text);
	if (!smaps->text.len)
		return err;
	for (char *line = (char *)smaps->text.data; !err && *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = 0;
		err = parse_line(smaps, line);
		if (!end)
			break;
		line = end + 1;
	}
	return err ? err : sum_up(smaps);
}

struct cprof_error *cprof_smaps_read(pid_t tid, struct cprof_smaps *ret_smaps)
{
	char path[64];
	struct cprof_smaps smaps = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)tid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &smaps.text);
	if (!err)
		err = cprof_smaps_parse(&smaps);
	if (err)
		cprof_smaps_deinit(&smaps);
	else
		*ret_smaps = smaps;
	return err;
}

const struct cprof_smaps_row *cprof_smaps_find(const struct cprof_smaps *smaps, uint64_t addr)
{
	const size_t at = CPROF_SEARCH(i, smaps->n, smaps->rows[i].end <= addr);
	return at < smaps->n && smaps->rows[at].start <= addr ? &smaps->rows[at] : NULL;
}
