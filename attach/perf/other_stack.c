/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/other_stack.h"

#include <errno.h>
#include <string.h>

#include "symbolize/unwind/switch_sites.h"

_Static_assert(CPROF_SWITCH_SITES_MAX <= CPROF_OTHER_BPF_SWITCHES, "the program has room for all");

struct cprof_error *cprof_other_switches_find(struct cprof_other_switches *switches,
					      const struct cprof_maps *maps,
					      struct cprof_modules *modules)
{
	struct cprof_switch_sites sites;
	struct cprof_error *err = cprof_switch_sites_find(&sites, maps, modules);
	*switches = (struct cprof_other_switches){ .n = err ? 0 : (uint32_t)sites.n };
	for (size_t i = 0; i < switches->n; i++)
		switches->all[i] = (struct cprof_other_bpf_switch){ .ret = sites.all[i].ret,
								    .owner = sites.all[i].owner,
								    .depth = sites.all[i].depth,
								    .high = sites.all[i].high };
	return err;
}

bool cprof_other_switches_fewer(struct cprof_other_switches *switches, int why)
{
	if (!why || why == EPERM || !switches->n)
		return false;
	switches->n = switches->n > 1;
	return true;
}

void cprof_other_stack_add(struct cprof_session_sample *sample, const void *tail, size_t n)
{
	struct cprof_other_bpf other;
	const uint8_t *bytes = tail;
	if (n < sizeof(other))
		return;
	memcpy(&other, bytes, sizeof(other));
	/* What perf adds to fill up its record is no part of it. */
	if (!other.n || other.n > n - sizeof(other))
		return;
	sample->pieces[0] = (struct cprof_session_piece){
		other.end_at, bytes + offsetof(struct cprof_other_bpf, end), sizeof(other.end)
	};
	sample->pieces[1] =
		(struct cprof_session_piece){ other.sp, bytes + sizeof(other), (size_t)other.n };
}
