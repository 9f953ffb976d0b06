/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bytes_text.h - an amount of memory as people read it: "512 B", "4.2 MiB".
 */
#ifndef CPROF_BASE_BYTES_TEXT_H
#define CPROF_BASE_BYTES_TEXT_H

#include <stddef.h>

#define CPROF_BYTES_TEXT 32 /* room for any */

enum cprof_bytes_digits {
	CPROF_BYTES_TENTHS, /* "4.0 MiB" */
	CPROF_BYTES_FOUR,   /* four digits that count: "4 MiB", "4.188 MiB" */
};

/* `text`, which has room for CPROF_BYTES_TEXT. Bytes below 1 KiB are whole. */
const char *cprof_bytes_text(double bytes, enum cprof_bytes_digits digits,
			     char text[CPROF_BYTES_TEXT]);

#endif
