/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/dwfl_child.h - libdwfl asked in a process of its own, which can open nothing while it asks and whose end harms nobody.
 *
 * Owns that process, in which there is one Dwfl of all modules that are asked about: started by the first question, with everything open that is open then, and ended with this. It has a limit of processor
 * time for each module and for all, and one of memory; it is killed by the kernel when it goes over them, and by its own faults, and by us where it
 * stands still: stopped by somebody, frozen, waiting. Who asked then learns which, and may ask about other modules: another process is started.
 *
 * Leaves which files are a module's to who asks: `open` is called in the child, which is a copy of the asking process.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_DWFL_CHILD_H
#define CPROF_SYMBOLIZE_DWFL_DWFL_CHILD_H

#include <sys/types.h>

#include "cprof/buffer.h"
#include "symbolize/dwarf/dwarf.h"
#include "symbolize/dwfl/dwfl.h"

/* The files of module `id`, borrowed as long as the child. Errors are passed on to who asked. */
typedef struct cprof_error *cprof_dwfl_open_fn(void *ctx, uint32_t id,
					       struct cprof_dwfl_files *ret_files);

/* Set all before the first question but what is private. */
struct cprof_dwfl_child {
	cprof_dwfl_open_fn *open;
	void *ctx;
	uint64_t module_cpu_ns, all_cpu_ns; /* processor time; all: of one child after the other */
	uint64_t memory_bytes;              /* over what we have ourselves */
	uint64_t still_ms; /* how long it may neither run nor wait for a processor; 0: 10 s */

	/* Private. */
	pid_t pid; /* 0: none */
	int fd;    /* owned; what is asked and answered goes through it */
	uint64_t spent_cpu_ns;
	struct cprof_buffer reply; /* the last answer's bytes */
};

/* An address of a process, and what is known of it. */
struct cprof_dwfl_place {
	uint64_t addr;
	uint64_t
		bias; /* what it lies above the address in the file; 0: it is that one, or of a kernel module */
	uint32_t id; /* of the module whose file was mapped there */
};

/*
 * The frames at `place`, as dwfl_frames.h says; *ret_n 0: not known. Strings are borrowed until the next question. Only one thread
 * may be running at the first one. Errors: UNSUPPORTED (no libdw here), BAD_DATA (libdw broke, stood still or took too much: the
 * child is gone), OS, and what `open` says.
 */
struct cprof_error *cprof_dwfl_child_ask(struct cprof_dwfl_child *child,
					 const struct cprof_dwfl_place *place,
					 struct cprof_dwarf_frame *frames, size_t cap,
					 size_t *ret_n);

/* End it; may be asked again afterwards. */
void cprof_dwfl_child_end(struct cprof_dwfl_child *child);

#endif
