/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/label_units.h - which unit the numbers of each label key have.
 *
 * The first unit met with a key; where there is none, "bytes" for the keys that older profiles used for sizes, else the
 * key itself.
 */
#ifndef CPROF_CONVERT_REPORT_LABEL_UNITS_H
#define CPROF_CONVERT_REPORT_LABEL_UNITS_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_label_units {
	const struct cprof_profile *profile; /* borrowed */
	uint32_t *unit_of;                   /* owned: string of a key -> string of its unit */
	uint32_t n;
};

/* Look through the labels of `profile`. A key with several units adds a line to `warnings`. */
struct cprof_error *cprof_label_units_init(struct cprof_label_units *units,
					   struct cprof_profile *profile,
					   struct cprof_buffer *warnings);
void cprof_label_units_deinit(struct cprof_label_units *units);

/* The unit of the numbers of `key`, a string of the profile's; borrowed from it. */
const char *cprof_label_units_get(const struct cprof_label_units *units, uint32_t key);

#endif
