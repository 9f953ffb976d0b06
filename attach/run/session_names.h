/*
 * attach/run/session_names.h - the end of a session: each distinct address named once, times and comments put in;
 * a part of session.h.
 */
#ifndef CPROF_ATTACH_RUN_SESSION_NAMES_H
#define CPROF_ATTACH_RUN_SESSION_NAMES_H

#include "attach/run/mode.h"
#include "base/prefetch.h"
#include "convert/profile/builder.h"
#include "symbolize/names/demangle.h"
#include "symbolize/process/maps.h"
#include "symbolize/process/module.h"

/* The address of the marker frame "[truncated]", which is in no mapping. */
#define CPROF_SESSION_TRUNCATED 0
/* And this one is "[allocated before attach]", the heap mode's. */
#define CPROF_SESSION_BEFORE 1

/* Both x86-64 and AArch64 keep the kernel in the upper half. */
#define CPROF_SESSION_KERNEL_START 0xffff800000000000ull

/* What a mapping number of the builder stands for. */
struct cprof_session_names {
	struct cprof_session_name_source {
		struct cprof_maps *maps; /* borrowed; NULL: the kernel */
		struct cprof_map *map;
	} * sources; /* owned; [number - 1] */
	size_t n, cap;
};

/* A zeroed struct is empty. */
void cprof_session_names_deinit(struct cprof_session_names *names);
struct cprof_error *cprof_session_names_set(struct cprof_session_names *names, uint32_t number,
					    struct cprof_maps *maps, struct cprof_map *map);

/* What -demangle HOW asks for. */
enum cprof_demangle cprof_session_names_demangle(const char *how);

/* The profile, without its period. `kernel_text` as in symbolizer.h. Counts named locations in the run's log. */
struct cprof_error *cprof_session_names_finish(const struct cprof_session_names *names,
					       const struct cprof_mode_run *run,
					       struct cprof_modules *modules,
					       struct cprof_builder *builder,
					       const struct cprof_prefetch_piece *kernel_text,
					       uint32_t kernel_mapping,
					       struct cprof_profile **ret_profile);

#endif
