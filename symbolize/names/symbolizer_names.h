/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/symbolizer_names.h - a module's names as a symbolizer takes them, for others that look into the same modules.
 *
 * Names are read once for a module, by whoever asks first; so all have to ask alike.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_SYMBOLIZER_NAMES_H
#define CPROF_SYMBOLIZE_NAMES_SYMBOLIZER_NAMES_H

#include "symbolize/names/names.h"

struct cprof_symbolizer;

/* Valid as long as the symbolizer. */
struct cprof_names_options cprof_symbolizer_names_options(struct cprof_symbolizer *symbolizer);

/* What of cprof_symbolizer_notes() is about libdwfl. Borrowed until the next question. */
const char *cprof_symbolizer_library_notes(const struct cprof_symbolizer *symbolizer);

#endif
