/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/java/method_name.h - the name of a Java method, read from the virtual machine's own description of it.
 *
 * Source of truth: OpenJDK, src/hotspot/share/oops: method.hpp, constMethod.hpp, constantPool.hpp, symbol.hpp. Untrusted memory:
 * what is no name of a method (JVM Specification, "Unqualified Names") is none.
 */
#ifndef CPROF_SYMBOLIZE_JAVA_METHOD_NAME_H
#define CPROF_SYMBOLIZE_JAVA_METHOD_NAME_H

#include "symbolize/java/vm_tables.h"

#define CPROF_METHOD_NAME_MAX 1024

/* What tells a method from another one that has taken its place in memory; false if `method` is none. One read. */
bool cprof_method_identity(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
			   uint64_t method, uint64_t *ret_identity);

/*
 * "java.util.TreeMap.merge" of the Method at `method`; false if it cannot be read or is no name. A hidden class's number, which
 * differs from run to run, is left out. Some 8 reads.
 */
bool cprof_method_name(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
		       uint64_t method, char name[CPROF_METHOD_NAME_MAX]);

#endif
