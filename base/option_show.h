/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/option_show.h - what options have been set to and where each value came from, as a table for people.
 */
#ifndef CPROF_BASE_OPTION_SHOW_H
#define CPROF_BASE_OPTION_SHOW_H

#include "base/options.h"
#include "cprof/buffer.h"

/*
 * A line for each value, "NAME = VALUE  # ORIGIN", so that the lines are a file for base/option_file.h; a row without a value is a
 * comment. Of URLs only what is no secret is shown, and nothing of a value K=V whose key names a secret. `layers.rows` has been
 * filled by cprof_options_parse_layers(). `skip` ends with NULL: names of rows that are no settings.
 */
void cprof_option_show(const struct cprof_option_table *table,
		       const struct cprof_option_layers *layers, const char *const *skip,
		       struct cprof_buffer *out);

#endif
