/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_jemalloc.c - the heap dumps of jemalloc (MALLOC_CONF=prof:true), as jeprof reads them.
 *
 * "heap_v2/RATE", then the sums of all threads and of each, then stacks: a line "@ 0x.. 0x.." and below it, again for all
 * threads and each, "t*: OBJECTS: BYTES [OBJECTS: BYTES]", in use and allocated (0 without prof_accum); then the
 * memory map. Source of truth: jemalloc's prof_dump and jeprof's ReadThreadedHeapProfile.
 */
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"

/* jemalloc's own frames, from malloc and its like down, under the prefixes that it is built with. */
/* clang-format off */
static const char own_frames[] =
	"|(je_|_rjem_|_rjem_je_)?(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|memalign|valloc|pvalloc"
	"|mallocx|rallocx|xallocx|dallocx|sdallocx|malloc_default)"
	"|(je_|_rjem_je_)?prof_.*|imalloc.*|fallback_impl.*|do_rallocx"
	"|libjemalloc\\.so[.0-9]*\\+0x[0-9a-f]+";
/* clang-format on */

struct dump {
	int64_t rate;
	bool has_accum;
	bool in_stack; /* a line "@ ..." was read, so what follows is about it */
};

/* "t*: 3: 1048576 [0: 0]": of all threads; counts[]: in use, then allocated. */
static bool scan_sum(const char *line, int64_t counts[4])
{
	return cprof_scan_literal(&line, "t*:") && cprof_scan_number(&line, &counts[0]) &&
	       cprof_scan_literal(&line, ":") && cprof_scan_number(&line, &counts[1]) &&
	       cprof_scan_literal(&line, "[") && cprof_scan_number(&line, &counts[2]) &&
	       cprof_scan_literal(&line, ":") && cprof_scan_number(&line, &counts[3]) &&
	       cprof_scan_literal(&line, "]");
}

static struct cprof_error *add_types(struct cprof_profile *p, const struct dump *dump)
{
	struct cprof_error *err = cprof_profile_set_period(p, "space", "bytes", dump->rate);
	if (!err && dump->has_accum)
		err = cprof_profile_add_type(p, "alloc_objects", "count");
	if (!err && dump->has_accum)
		err = cprof_profile_add_type(p, "alloc_space", "bytes");
	if (!err)
		err = cprof_profile_add_type(p, "inuse_objects", "count");
	return err ? err : cprof_profile_add_type(p, "inuse_space", "bytes");
}

/* The stack that was read before, with what it stands for. */
static struct cprof_error *add_sample(struct cprof_legacy *legacy, const struct dump *dump,
				      int64_t counts[4])
{
	int64_t values[4], *in_use = values + (dump->has_accum ? 2 : 0);
	const int64_t *sizes = counts[0] ? counts : counts + 2;
	int64_t block = sizes[0] ? sizes[1] / sizes[0] : 0;
	cprof_legacy_unsample(&counts[0], &counts[1], dump->rate);
	cprof_legacy_unsample(&counts[2], &counts[3], dump->rate);
	values[0] = counts[2];
	values[1] = counts[3];
	in_use[0] = counts[0];
	in_use[1] = counts[1];
	return cprof_legacy_add(legacy, values, &block);
}

static struct cprof_error *read_line(struct cprof_legacy *legacy, const struct cprof_lines *lines,
				     struct dump *dump, const char *line)
{
	int64_t counts[4];
	line += strspn(line, " \t");
	if (*line == '@') {
		dump->in_stack = true;
		legacy->n_stack = 0;
		return cprof_legacy_push_all(legacy, line, 1, 1);
	}
	if (*line != 't')
		return cprof_lines_error(lines, "neither a stack nor a count of threads");
	if (line[1] != '*' || !dump->in_stack)
		return NULL; /* of one thread, or of all stacks */
	dump->in_stack = false;
	if (!scan_sum(line, counts))
		return cprof_lines_error(lines, "not a count of objects and bytes");
	return add_sample(legacy, dump, counts);
}

/* The first two lines; false where the file is something else. */
static bool read_header(struct cprof_lines *lines, struct dump *dump)
{
	int64_t sums[4];
	const char *line = cprof_lines_next(lines);
	if (!line || strncmp(line, "heap_v2/", 8) != 0)
		return false;
	line += 8;
	if (!cprof_scan_number(&line, &dump->rate) || *line || dump->rate < 0)
		return false;
	line = cprof_lines_next(lines);
	if (!line || !scan_sum(line, sums))
		return false;
	dump->has_accum = sums[2] || sums[3];
	return true;
}

static struct cprof_error *drop_own_frames(struct cprof_profile *p)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "%s%s", cprof_profile_text(p, p->drop_frames), own_frames);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_string(p, cprof_buffer_text(&text), &p->drop_frames);
}

static struct cprof_error *read_jemalloc(const char *bytes, size_t n,
					 struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	struct dump dump = { 0 };
	if (!read_header(&lines, &dump))
		return NULL;
	struct cprof_error *err = cprof_legacy_init(&legacy);
	if (!err)
		err = add_types(legacy.profile, &dump);
	const char *line;
	while (!err && (line = cprof_lines_next(&lines)) && !cprof_legacy_is_map_marker(line)) {
		if (!cprof_legacy_is_blank(line))
			err = cprof_lines_forgive(&lines, read_line(&legacy, &lines, &dump, line));
	}
	if (!err)
		err = cprof_lines_settle(&lines, legacy.profile);
	if (!err && !line)
		err = cprof_lines_tell_open(&lines, legacy.profile);
	if (!err)
		err = cprof_legacy_finish(&legacy, &lines);
	if (!err)
		err = drop_own_frames(legacy.profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&legacy.profile);
	return err;
}

const struct cprof_input_format cprof_input_jemalloc = { "heap dump of jemalloc", read_jemalloc };
