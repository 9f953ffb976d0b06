#include "attach/run/mode.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

extern const struct cprof_mode cprof_mode_block;
extern const struct cprof_mode cprof_mode_cpu;
extern const struct cprof_mode cprof_mode_heap;
extern const struct cprof_mode cprof_mode_mutex;
extern const struct cprof_mode cprof_mode_threads;

const struct cprof_mode *const cprof_modes[] = {
	&cprof_mode_cpu,   &cprof_mode_heap,    &cprof_mode_block,
	&cprof_mode_mutex, &cprof_mode_threads,
};
const size_t cprof_n_modes = sizeof(cprof_modes) / sizeof(cprof_modes[0]);

struct cprof_error *cprof_mode_find(const char *name, const struct cprof_mode **ret_mode)
{
	const char *names[sizeof(cprof_modes) / sizeof(cprof_modes[0])];
	CPROF_AUTO(buffer) struct cprof_buffer all = { 0 };
	for (size_t i = 0; i < cprof_n_modes; i++) {
		if (strcmp(cprof_modes[i]->name, name) == 0) {
			*ret_mode = cprof_modes[i];
			return NULL;
		}
		names[i] = cprof_modes[i]->name;
		cprof_buffer_printf(&all, "%s%s", i ? ", " : "", names[i]);
	}
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "unknown mode \"%s\"", name);
	const char *nearest = cprof_options_nearest(name, names, cprof_n_modes);
	if (nearest)
		return cprof_error_hint(err, "did you mean -mode %s?", nearest);
	return cprof_error_hint(err, "modes are %s", cprof_buffer_text(&all));
}
