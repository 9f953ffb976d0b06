/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_java.h - rules for Java's generated code, which has neither unwind information nor frame pointers.
 *
 * The code cache says how large a compiled method's frame is (symbolize/java/code_cache.h); at its edges the instructions say how much of
 * it is there (frame_edge.h). The interpreter keeps its frames by frame pointer and in them the caller's stack pointer. A frame found so
 * must hold: its return address follows a call, or is in code that has such a rule itself (the interpreter pushes return
 * addresses, and code that is thrown away while it runs gets others).
 *
 * Source of truth: OpenJDK, src/hotspot/cpu/x86/frame_x86.hpp (the same from JDK 11 to 25). x86-64 only.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_JAVA_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_JAVA_H

#include "cprof/stack.h"
#include "symbolize/java/java_vm.h"
#include "symbolize/unwind/unwind_rule.h"

/* An interpreted method's description is that many bytes below the frame pointer. */
#define CPROF_JAVA_METHOD_BELOW 24

/*
 * The rule for an address of a process that has the machine `vm`; false: it is in no code that has one. `memory` is the process as it
 * is now, `code` its code.
 */
bool cprof_unwind_java_rule(const struct cprof_arch *arch, struct cprof_java_vm *vm,
			    const struct cprof_memory *memory, const struct cprof_memory *code,
			    struct cprof_code_addr at, struct cprof_unwind_rule *ret_rule);

#endif
