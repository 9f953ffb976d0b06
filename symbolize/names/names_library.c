/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/names_library.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/printable_text.h"

#define FRAMES_MAX 64

/* Of the time that all names may take: a tenth where it fills gaps; six times that where it is all there is, being a hundred times slower. */
#define GAPS_SHARE  10
#define ALONE_TIMES 6
#define FILE_SHARE  3 /* of one file, of that */

enum { ASKED = 1, FAILED };

void cprof_names_library_deinit(struct cprof_names_library *library)
{
	cprof_dwfl_child_end(&library->child);
	cprof_map64_deinit(&library->asked);
	cprof_buffer_deinit(&library->notes);
}

/* In the child, whose clock and memory are its own. */
static struct cprof_error *open_module(void *ctx, uint32_t id, struct cprof_dwfl_files *ret_files)
{
	const struct cprof_names_library *library = ctx;
	struct cprof_names *names;
	cprof_budget_start_time(&library->modules->budget);
	struct cprof_error *err =
		cprof_names_get(library->modules->all[id], &library->from, &names);
	if (err)
		return err;
	if (!names->self)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "its sections cannot be read");
	*ret_files =
		(struct cprof_dwfl_files){ names->self, names->debug, names->alt, names->loaded };
	return NULL;
}

static void set_limits(struct cprof_names_library *library)
{
	struct cprof_dwfl_child *child = &library->child;
	const struct cprof_budget *budget = &library->modules->budget;
	const uint64_t time = cprof_budget_limit(budget, NULL, CPROF_BUDGET_TIME);
	child->open = open_module;
	child->ctx = library;
	child->all_cpu_ns =
		library->way == CPROF_SYMBOLIZER_LIBDWFL ? time * ALONE_TIMES : time / GAPS_SHARE;
	child->module_cpu_ns = child->all_cpu_ns / FILE_SHARE;
	child->memory_bytes = cprof_budget_limit(budget, NULL, CPROF_BUDGET_HELD);
}

/* The child knows what was open when it was started; what came from a server since, it would have to ask for again. */
static void begin_anew_for(struct cprof_names_library *library, uint32_t id, bool is_new)
{
	if (library->child.pid && (id >= library->n_known || (is_new && library->from.debuginfod)))
		cprof_dwfl_child_end(&library->child);
	if (library->child.pid)
		return;
	set_limits(library);
	library->n_known = library->modules->n;
}

/* What libdwfl knows of the address; none where it cannot be asked, and why, told once for a module. */
static size_t ask(struct cprof_names_library *library, const struct cprof_dwfl_place *place,
		  struct cprof_dwarf_frame *frames, size_t cap)
{
	const struct cprof_module *module = library->modules->all[place->id];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	bool is_new;
	size_t n = 0;
	uint64_t *state = cprof_map64_put(&library->asked, module->id, &is_new);
	if (!state || library->missing || *state == FAILED)
		return 0;
	*state = ASKED;
	begin_anew_for(library, module->id, is_new);
	struct cprof_error *err = cprof_dwfl_child_ask(&library->child, place, frames, cap, &n);
	if (!err)
		return n;
	library->missing = err->code == CPROF_ERR_UNSUPPORTED;
	*state = FAILED;
	cprof_buffer_printf(&text, "%s; names are what our own readers know", err->message);
	cprof_printable_put_line(&library->notes, library->missing ? "libdwfl" : module->path,
				 cprof_buffer_text(&text));
	cprof_error_free(err);
	return 0;
}

/* In place of what lacks something, if it says more. Our symbol stays: we know entries of linkage tables, and aliases. */
static void ask_for_more(struct cprof_names_library *library, const struct cprof_dwfl_place *place,
			 struct cprof_dwarf_frame *frames, size_t cap, size_t *n)
{
	struct cprof_dwarf_frame found[FRAMES_MAX];
	const char *symbol = frames[*n - 1].linkage_name;
	const size_t more = ask(library, place, found, cap < FRAMES_MAX ? cap : FRAMES_MAX);
	if (!more || more < *n || (more == *n && !*found[0].file))
		return;
	memcpy(frames, found, more * sizeof(*found));
	if (*symbol)
		frames[more - 1].linkage_name = symbol;
	*n = more;
}

struct cprof_error *cprof_names_library_frames(struct cprof_names_library *library,
					       struct cprof_names *names, uint64_t file_addr,
					       uint64_t bias, struct cprof_dwarf_frame *frames,
					       size_t cap, size_t *ret_n)
{
	const struct cprof_dwfl_place place = { file_addr + bias, bias, names->module->id };
	if (library->way == CPROF_SYMBOLIZER_LIBDWFL &&
	    (*ret_n = ask(library, &place, frames, cap)) > 0)
		return NULL;
	struct cprof_error *err = cprof_names_frames(names, file_addr, frames, cap, ret_n);
	if (!err && names->lacks && library->way == CPROF_SYMBOLIZER_AUTO)
		ask_for_more(library, &place, frames, cap, ret_n);
	return err;
}
