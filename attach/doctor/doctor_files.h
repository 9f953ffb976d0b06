/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_files.h - which files of a process do not tell their names, and which package would.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_FILES_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_doctor_files {
	struct cprof_doctor_file {
		char *path, *lacks, *advice; /* owned; advice may be NULL */
		bool functions;              /* names are missing, not only lines */
	} * all;                             /* owned */
	size_t n, cap;
};

/*
 * Into zeros. `budget` as in struct cprof_run_naming. Nothing where we may not read its mappings. Errors: NO_TARGET, NO_MEMORY; what
 * there is by then is in it.
 */
struct cprof_error *cprof_doctor_files_find(struct cprof_doctor_files *files,
					    struct cprof_target *target, uint64_t budget);
void cprof_doctor_files_deinit(struct cprof_doctor_files *files);

#endif
