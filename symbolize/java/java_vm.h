/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/java/java_vm.h - the HotSpot virtual machine in a process: which generated code is at an address, and what it is called.
 *
 * Hangs on the mapping of the process's libjvm.so, so that whoever walks stacks and whoever names them share it. Names are read
 * when an address is first met on a stack, not at the end of a run: code is thrown away and methods are unloaded meanwhile, and a
 * process may have ended by then. Nothing is asked of the machine, loaded into it or stopped; its memory is read.
 */
#ifndef CPROF_SYMBOLIZE_JAVA_JAVA_VM_H
#define CPROF_SYMBOLIZE_JAVA_JAVA_VM_H

#include "cprof/maps.h"
#include "cprof/module.h"
#include "symbolize/java/code_cache.h"

struct cprof_java_vm;

/*
 * The machine of a living process, NULL if there is none, or none that can be read (yet: it is asked again when `epoch` is another
 * one). `modules` opens libjvm.so. `hint` is the number of the mapping that it was found on last, and will be; where it is on another one
 * a pass over the mappings is taken. The first time takes some milliseconds. Borrowed, as long as the mappings.
 */
struct cprof_java_vm *cprof_java_vm_get(const struct cprof_maps *maps,
					struct cprof_modules *modules, uint32_t epoch,
					uint32_t *hint);

/* The machine that the process has, or had: for cprof_java_vm_name() only. NULL: none was met. */
const struct cprof_java_vm *cprof_java_vm_met(const struct cprof_maps *maps);

/*
 * The piece of generated code at `addr`, whose name is remembered; NULL: none. Borrowed until the next call. What is said of the code
 * cache holds for the epoch that cprof_java_vm_get() was told last.
 */
const struct cprof_code_blob *cprof_java_vm_code(struct cprof_java_vm *vm,
						 const struct cprof_memory *memory, uint64_t addr);

/*
 * `addr` is where a virtual thread's frames end on this stack, since the rest of them is suspended on the heap: it is named so. Returns the
 * frame words of the code that runs the virtual thread here, whose frame comes next; 0: that cannot be told.
 */
uint32_t cprof_java_vm_suspended(struct cprof_java_vm *vm, const struct cprof_memory *memory,
				 uint64_t addr);

/* Remember the name of the method whose description is at `method`, for a frame of the interpreter; false if it is none. */
bool cprof_java_vm_method(struct cprof_java_vm *vm, const struct cprof_memory *memory,
			  uint64_t method);

/* What was remembered of the address of code, or of a method; NULL: it was not met. As long as the machine's mapping is. */
const char *cprof_java_vm_name(const struct cprof_java_vm *vm, uint64_t addr);

#endif
