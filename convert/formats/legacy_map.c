/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_map.c - memory maps in older profiles, and the frames that their kind wants dropped.
 *
 * Lines are those of /proc/PID/maps (proc(5)), or "START-END FILE (@OFFSET) BUILDID"; "name=value" lines
 * define what "$name" stands for further down.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/legacy.h"

#define MAX_WORDS     8
#define MAX_VARIABLES 64
#define MAIN_START    0x400000 /* where programs that are not position-independent begin */

struct variable {
	char *name, *value;
};

struct map_reader {
	struct cprof_profile *profile;
	struct variable variables[MAX_VARIABLES];
	size_t n_variables;
	struct cprof_buffer line;
};

/* Behind "file:123] ", the prefix that a logging library leaves on its lines. */
static const char *skip_log_prefix(const char *line)
{
	const char *bracket = line + strcspn(line, "[]");
	if (*bracket != ']' || !isspace((unsigned char)bracket[1]))
		return line;
	const char *digits = bracket;
	while (digits > line && isdigit((unsigned char)digits[-1]))
		digits--;
	return digits < bracket && digits > line + 1 && digits[-1] == ':' ? bracket + 2 : line;
}

/* `text` with the variables put in. */
static const char *expand(struct map_reader *r, const char *text)
{
	r->line.len = 0;
	cprof_buffer_puts(&r->line, ""); /* or a blank line would leave the previous one standing */
	while (*text) {
		size_t skip = 0;
		for (size_t i = 0; !skip && *text == '$' && i < r->n_variables; i++) {
			size_t n = strlen(r->variables[i].name);
			if (strncmp(text + 1, r->variables[i].name, n) != 0)
				continue;
			cprof_buffer_puts(&r->line, r->variables[i].value);
			skip = n + 1;
		}
		if (!skip)
			cprof_buffer_putc(&r->line, *text++);
		text += skip;
	}
	return cprof_buffer_text(&r->line);
}

static char *trimmed(const char *text, size_t n)
{
	while (n && isspace((unsigned char)*text)) {
		text++;
		n--;
	}
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	return strndup(text, n);
}

static void define(struct map_reader *r, const char *line)
{
	const char *equals = strchr(line, '=');
	if (!equals || r->n_variables == MAX_VARIABLES)
		return;
	struct variable *variable = &r->variables[r->n_variables];
	variable->name = trimmed(line, (size_t)(equals - line));
	variable->value = trimmed(equals + 1, strlen(equals + 1));
	if (variable->name && *variable->name && variable->value) {
		r->n_variables++;
		return;
	}
	free(variable->name);
	free(variable->value);
}

struct words {
	const char *at[MAX_WORDS];
	size_t length[MAX_WORDS], n;
};

static void split(const char *text, struct words *words)
{
	words->n = 0;
	while (words->n < MAX_WORDS) {
		text += strspn(text, " \t");
		size_t n = strcspn(text, " \t");
		if (!n)
			return;
		words->at[words->n] = text;
		words->length[words->n++] = n;
		text += n;
	}
}

static bool all_of(const struct words *words, size_t i, const char *set)
{
	return i < words->n && strspn(words->at[i], set) >= words->length[i];
}

#define HEX "0123456789abcdefABCDEF"

/* "08:02": the device, which tells a line of /proc/PID/maps from the other form. */
static bool is_device(const struct words *words, size_t i)
{
	return i < words->n && memchr(words->at[i], ':', words->length[i]) &&
	       all_of(words, i, HEX ":") && i + 1 < words->n &&
	       isdigit((unsigned char)words->at[i + 1][0]);
}

struct entry {
	struct cprof_mapping mapping;
	const char *file, *build_id;
	size_t file_n, build_id_n;
	bool executable;
};

static bool read_rest(const struct words *words, struct entry *entry)
{
	size_t i = 0;
	entry->executable = true;
	if (all_of(words, 0, "-rwxp")) {
		entry->executable = memchr(words->at[0], 'x', words->length[0]) != NULL;
		i = 1;
	}
	bool offset = all_of(words, i, HEX) && is_device(words, i + 1);
	if (offset || is_device(words, i)) {
		const char *at = words->at[i];
		if (offset && !cprof_scan_hex(&at, &entry->mapping.offset))
			return false;
		i += offset ? 3 : 2; /* past device and inode */
		if (i < words->n) {
			entry->file = words->at[i];
			entry->file_n = words->length[i];
		}
		return true;
	}
	if (i < words->n) {
		entry->file = words->at[i];
		entry->file_n = words->length[i++];
	}
	if (i < words->n && strncmp(words->at[i], "(@", 2) == 0) {
		const char *at = words->at[i++] + 2;
		if (!cprof_scan_hex(&at, &entry->mapping.offset))
			return false;
	}
	if (i < words->n) {
		entry->build_id_n = strspn(words->at[i], HEX);
		entry->build_id = words->at[i];
	}
	return true;
}

static bool read_entry(const char *line, struct entry *entry)
{
	*entry = (struct entry){ 0 };
	line += strspn(line, " \t");
	if (!cprof_scan_hex(&line, &entry->mapping.start))
		return false;
	if (*line != '-' && !isspace((unsigned char)*line))
		return false;
	line++;
	line += strspn(line, " \t");
	if (!cprof_scan_hex(&line, &entry->mapping.limit))
		return false;
	line += *line == ':';
	if (*line && !isspace((unsigned char)*line))
		return false;
	struct words words;
	split(line, &words);
	return read_rest(&words, entry);
}

static struct cprof_error *add_entry(struct map_reader *r, struct entry *entry)
{
	struct cprof_intern *strings = &r->profile->strings;
	struct cprof_error *err = cprof_intern_bytes(strings, entry->file ? entry->file : "",
						     entry->file_n, &entry->mapping.filename);
	if (!err)
		err = cprof_intern_bytes(strings, entry->build_id ? entry->build_id : "",
					 entry->build_id_n, &entry->mapping.build_id);
	return err ? err : cprof_profile_add_mapping(r->profile, &entry->mapping, NULL);
}

static struct cprof_error *read_map(struct map_reader *r, struct cprof_lines *lines)
{
	const char *line;
	while ((line = cprof_lines_next(lines))) {
		struct entry entry;
		line = expand(r, skip_log_prefix(line));
		if (!read_entry(line, &entry)) {
			define(r, line);
			continue;
		}
		struct cprof_error *err = entry.executable ? add_entry(r, &entry) : NULL;
		if (err)
			return err;
	}
	return cprof_buffer_error(&r->line);
}

/* Whether `b` goes on where `a` ends: one mapping that was split. */
static bool adjacent(const struct cprof_mapping *a, const struct cprof_mapping *b)
{
	return (!a->filename || !b->filename || a->filename == b->filename) &&
	       (!a->build_id || !b->build_id || a->build_id == b->build_id) &&
	       a->limit == b->start &&
	       (!a->offset || !b->offset || a->offset + (a->limit - a->start) == b->offset);
}

static void join_adjacent(struct cprof_profile *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		struct cprof_mapping *last = n ? &p->mappings[n - 1] : NULL;
		const struct cprof_mapping mapping = p->mappings[i];
		if (!last || !adjacent(last, &mapping)) {
			p->mappings[n++] = mapping;
			continue;
		}
		last->limit = mapping.limit;
		last->filename = mapping.filename ? mapping.filename : last->filename;
		last->build_id = mapping.build_id ? mapping.build_id : last->build_id;
	}
	p->n_mappings = n;
}

static bool is_library(const char *file)
{
	for (const char *at = file; (at = strstr(at, ".so")); at += 3) {
		if (!at[3] || ((at[3] == '.' || at[3] == '_') && isdigit((unsigned char)at[4])))
			return true;
	}
	return false;
}

/* The program stands first: it is the first that is no library and has a file. */
static void put_main_first(struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		const char *file = cprof_profile_text(p, p->mappings[i].filename);
		if (!*file || *file == '[' || strcmp(file, "(deleted)") == 0 || is_library(file))
			continue;
		struct cprof_mapping first = p->mappings[0];
		p->mappings[0] = p->mappings[i];
		p->mappings[i] = first;
		return;
	}
}

/* Known faults of the programs that wrote these maps. */
static void mend_main(struct cprof_profile *p)
{
	if (p->n_mappings > 1 &&
	    strncmp(cprof_profile_text(p, p->mappings[0].filename), "/anon_hugepage", 14) == 0 &&
	    p->mappings[0].limit == p->mappings[1].start) {
		p->n_mappings--;
		memmove(p->mappings, p->mappings + 1, p->n_mappings * sizeof(*p->mappings));
	}
	if (p->n_mappings && p->mappings[0].start - p->mappings[0].offset == MAIN_START) {
		p->mappings[0].start = MAIN_START;
		p->mappings[0].offset = 0;
	}
}

/* The number of the mapping around `address`; 0 where there is none. */
static uint32_t find_mapping(struct cprof_profile *p, uint64_t address)
{
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		if (p->mappings[i].start <= address && address < p->mappings[i].limit)
			return i + 1;
	}
	for (uint32_t i = 0; i < p->n_mappings;
	     i++) { /* the first part of a split one is missing */
		struct cprof_mapping *m = &p->mappings[i];
		if (m->offset && m->start - m->offset <= address && address < m->start) {
			m->start -= m->offset;
			m->offset = 0;
			return i + 1;
		}
	}
	return 0;
}

static struct cprof_error *assign_mappings(struct cprof_profile *p)
{
	uint32_t fake = 0;
	for (uint32_t i = 0; i < p->n_locations; i++) {
		struct cprof_location *location = &p->locations[i];
		if (!location->address)
			continue;
		location->mapping = find_mapping(p, location->address);
		if (location->mapping)
			continue;
		if (!fake) {
			struct cprof_mapping all = { .limit = UINT64_MAX };
			struct cprof_error *err = cprof_profile_add_mapping(p, &all, &fake);
			if (err)
				return err;
		}
		location->mapping = fake;
	}
	return NULL;
}

/* clang-format off */
/* What each kind of profile has at the leaf and nobody wants to see: allocators, lock and signal handlers. */
static const char *const allocator_frames[] = {
	"calloc", "cfree", "malloc", "free", "memalign", "do_memalign", "(__)?posix_memalign", "pvalloc", "valloc", "realloc",
	"tcmalloc::.*", "tc_calloc", "tc_cfree", "tc_malloc", "tc_free", "tc_memalign", "tc_posix_memalign", "tc_pvalloc",
	"tc_valloc", "tc_realloc", "tc_new", "tc_delete", "tc_newarray", "tc_deletearray", "tc_new_nothrow", "tc_newarray_nothrow",
	"malloc_zone_malloc", "malloc_zone_calloc", "malloc_zone_valloc", "malloc_zone_realloc", "malloc_zone_memalign",
	"malloc_zone_free", "runtime\\..*", "BaseArena::.*", "(::)?do_malloc_no_errno", "(::)?do_malloc_pages", "(::)?do_malloc",
	"DoSampledAllocation", "MallocedMemBlock::MallocedMemBlock", "_M_allocate", "__builtin_(vec_)?delete",
	"__builtin_(vec_)?new", "__gnu_cxx::new_allocator::allocate", "__libc_malloc", "__malloc_alloc_template::allocate",
	"allocate", "cpp_alloc", "operator new(\\[\\])?", "simple_alloc::allocate", NULL };
static const char *const allocator_kept[] = { "runtime\\.panic", "runtime\\.reflectcall", "runtime\\.call[0-9]*", NULL };
static const char *const lock_frames[] = {
	"RecordLockProfileData", "(base::)?RecordLockProfileData.*", "(base::)?SubmitMutexProfileData.*",
	"(base::)?SubmitSpinLockProfileData.*", "(base::Mutex::)?AwaitCommon.*", "(base::Mutex::)?Unlock.*",
	"(base::Mutex::)?UnlockSlow.*", "(base::Mutex::)?ReaderUnlock.*", "(base::MutexLock::)?~MutexLock.*",
	"(Mutex::)?AwaitCommon.*", "(Mutex::)?Unlock.*", "(Mutex::)?UnlockSlow.*", "(Mutex::)?ReaderUnlock.*",
	"(MutexLock::)?~MutexLock.*", "(SpinLock::)?Unlock.*", "(SpinLock::)?SlowUnlock.*",
	"(SpinLockHolder::)?~SpinLockHolder.*", NULL };
static const char *const signal_frames[] = { "ProfileData::Add", "ProfileData::prof_handler", "CpuProfiler::prof_handler",
	"__pthread_sighandler", "__restore", NULL };
/* clang-format on */

static struct cprof_error *join(struct cprof_profile *p, const char *const *parts, uint32_t *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	for (size_t i = 0; parts[i]; i++)
		cprof_buffer_printf(&text, "%s%s", i ? "|" : "", parts[i]);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_string(p, cprof_buffer_text(&text), ret);
}

static struct cprof_error *set_dropped(struct cprof_profile *p)
{
	const char *first = p->n_types ? cprof_profile_text(p, p->types[0].type) : "";
	bool heap = strcmp(first, "objects") == 0 || strcmp(first, "alloc_objects") == 0 ||
		    strcmp(first, "inuse_objects") == 0 || strcmp(first, "allocations") == 0;
	bool lock = strcmp(first, "contentions") == 0;
	struct cprof_error *err = join(p,
				       heap   ? allocator_frames
				       : lock ? lock_frames
					      : signal_frames,
				       &p->drop_frames);
	if (!err && heap)
		err = join(p, allocator_kept, &p->keep_frames);
	return err;
}

/* Locations in the order in which samples mention them; those that none does are left out. */
static struct cprof_error *renumber_locations(struct cprof_profile *p)
{
	CPROF_AUTO(free) uint32_t *number = calloc((size_t)p->n_locations + 1, sizeof(*number));
	struct cprof_location *ordered = calloc((size_t)p->n_locations + 1, sizeof(*ordered));
	if (!number || !ordered) {
		free(ordered);
		return cprof_error_no_memory();
	}
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		uint32_t *stack = p->stacks + p->samples[i].first_location;
		for (uint32_t j = 0; j < p->samples[i].n_locations; j++) {
			if (!number[stack[j]]) {
				ordered[n] = p->locations[stack[j]];
				number[stack[j]] = ++n;
			}
			stack[j] = number[stack[j]] - 1;
		}
	}
	free(p->locations);
	p->room.locations = p->n_locations + 1;
	p->locations = ordered;
	p->n_locations = n;
	return NULL;
}

struct cprof_error *cprof_legacy_finish(struct cprof_legacy *legacy, struct cprof_lines *lines)
{
	struct map_reader reader = { .profile = legacy->profile };
	struct cprof_error *err = lines ? read_map(&reader, lines) : NULL;
	for (size_t i = 0; i < reader.n_variables; i++) {
		free(reader.variables[i].name);
		free(reader.variables[i].value);
	}
	cprof_buffer_deinit(&reader.line);
	if (err)
		return err;
	join_adjacent(legacy->profile);
	put_main_first(legacy->profile);
	mend_main(legacy->profile);
	err = renumber_locations(legacy->profile);
	if (!err)
		err = assign_mappings(legacy->profile);
	return err ? err : set_dropped(legacy->profile);
}
