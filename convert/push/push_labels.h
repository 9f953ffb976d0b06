/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_labels.h - the labels of a series, as a server's grammar wants them.
 *
 * Names are made of the characters that the server takes, values are UTF-8 and not longer than it bears, and no name is
 * there twice. What people gave goes before what we found by ourselves.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_LABELS_H
#define CPROF_CONVERT_PUSH_PUSH_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_push_grammar {
	const char *more_in_names; /* what a name may have besides letters and digits */
	bool digit_first;          /* a name may begin with a digit */
	const char *not_in_values; /* NULL: a value may have everything */
	size_t max_value;          /* bytes; 0: no limit known */
	size_t max_labels;         /* 0: no limit known */
};

struct cprof_push_labels {
	struct cprof_push_label {
		char *name, *value; /* owned */
	} * items;                  /* owned */
	size_t len, cap;
};
void cprof_push_labels_deinit(struct cprof_push_labels *labels);
static inline void cprof_auto_push_labels(struct cprof_push_labels *labels)
{
	cprof_push_labels_deinit(labels);
}

/*
 * Add "name=value" as `grammar` (NULL: as it is) wants it. Nothing is added for an empty name or value, and for names that
 * begin with two underscores, which servers keep for themselves. Errors: USAGE for a second label that comes out with the same name, or
 * for more than the server takes; with `found` both are no error, and the label is left out.
 */
struct cprof_error *cprof_push_labels_add(struct cprof_push_labels *labels,
					  const struct cprof_push_grammar *grammar,
					  const char *pair, bool found);

/*
 * Append the `n` (>0) bytes of a name, or a value, as `grammar` (NULL: as it is) wants it; the value without what a terminal would act on.
 */
void cprof_push_labels_put_name(const struct cprof_push_grammar *grammar, const char *name,
				size_t n, struct cprof_buffer *out);
void cprof_push_labels_put_value(const struct cprof_push_grammar *grammar, const char *value,
				 struct cprof_buffer *out);

/* The value, or NULL. */
const char *cprof_push_labels_get(const struct cprof_push_labels *labels, const char *name);

#endif
