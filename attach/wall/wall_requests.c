/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_requests.h"

/* Why samples and waits cannot bear them; NULL: they can. Takes both. */
static struct cprof_error *judge(struct cprof_contexts *contexts, struct cprof_error *samples,
				 struct cprof_error *waits)
{
	if (samples && waits) {
		cprof_contexts_refused(contexts, waits);
		cprof_error_free(samples);
	} else if (samples) {
		cprof_contexts_partly(contexts, "samples of time on a CPU", samples);
	} else if (waits) {
		cprof_contexts_partly(contexts, "waits", waits);
	}
	return NULL;
}

static bool is_fatal(const struct cprof_error *err)
{
	return err && err->code == CPROF_ERR_NO_MEMORY;
}

struct cprof_error *cprof_wall_requests_look(struct cprof_cpu_feed *feed,
					     struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	struct cprof_context_place place;
	bool is_new;
	struct cprof_error *err =
		cprof_contexts_look(intake->contexts, intake->process, &is_new, &place);
	if (err || !is_new)
		return err;
	struct cprof_error *waits = cprof_wait_watch_place(watch, &place);
	if (is_fatal(waits))
		return waits;
	struct cprof_error *samples =
		feed ? cprof_cpu_feed_set_place(feed, &place)
		     : cprof_error_new(CPROF_ERR_UNSUPPORTED, "nothing is sampled");
	if (!is_fatal(samples))
		return judge(intake->contexts, samples, waits);
	cprof_error_free(waits);
	return samples;
}
