/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/label_groups.h - samples in groups by the value of one label.
 */
#ifndef CPROF_CONVERT_GRAPH_LABEL_GROUPS_H
#define CPROF_CONVERT_GRAPH_LABEL_GROUPS_H

#include <stdint.h>

#include "convert/report/report.h"
#include "cprof/error.h"

struct cprof_label_groups {
	const struct cprof_profile *profile; /* borrowed */
	uint32_t key;                        /* string */
	uint32_t *group_of;                  /* owned: by sample */
	struct cprof_label *values;          /* owned: by group; key 0: samples without the label */
	uint32_t n, room;
};

/* By the first value that a sample has for `key`. */
struct cprof_error *cprof_label_groups_init(struct cprof_label_groups *groups,
					    const struct cprof_profile *profile, uint32_t key);
void cprof_label_groups_deinit(struct cprof_label_groups *groups);

/* A group's value for people: "worker", "4096 bytes", "(none)"; appended. */
void cprof_label_groups_name(const struct cprof_label_groups *groups, uint32_t group,
			     struct cprof_buffer *out);

/* The keys that the profile's labels have, those on most samples first; pprof's own are left out. `*ret_keys` is the caller's. */
struct cprof_error *cprof_label_groups_keys(const struct cprof_profile *profile,
					    uint32_t **ret_keys, uint32_t *ret_n);

#endif
