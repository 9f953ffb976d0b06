/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_row.h - is a changed place, as the page of a killed run names it, one that a heap profile makes?
 *
 * The page lies in the target's memory, and the target can have written it. What is put back into its code is therefore
 * believed only where it says what the file of that code says: then nothing gets there that was not there when the program
 * began. Does not stop or change the target.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_ROW_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_ROW_H

#include <stdbool.h>

#include "attach/heap/shim/shim_proto.h"
#include "cprof/maps.h"

enum cprof_heap_row {
	CPROF_HEAP_ROW_TRUE,    /* code of a file, and the original bytes are the file's */
	CPROF_HEAP_ROW_NOTHING, /* our jump is not there: whatever it says, nothing is to be done */
	CPROF_HEAP_ROW_FALSE,   /* its jump is there, but the rest is not so; *ret_why says what */
};

/*
 * `maps` must be fresh. Where the file cannot be read: TRUE for an ordinary user, who may change no more than what is his;
 * FALSE for root. *ret_why is static text.
 */
enum cprof_heap_row cprof_heap_row_check(const struct cprof_maps *maps,
					 const struct cprof_shim_patch *row, const char **ret_why);

#endif
