/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/cleanup.h"
#include "convert/profile/measure.h"
#include "cprof/buffer.h"

#define KERNEL "[kernel]"
#define KERNEL_FRAMES                                                                              \
	"[kernel" /* how the name of the kernel's mapping begins: attach/run/mapping_numbers.c */

/* One window on its way into all tables. */
struct window {
	struct cprof_live_model *model;
	const struct cprof_profile *profile;
	struct cprof_buffer name; /* owned; the one that is being made */
	bool *kernel;             /* owned; by mapping: it is the kernel's */
	uint32_t *rows
		[CPROF_LIVE_GROUPS]
		[2]; /* owned; row + 1 of each line, and of each location behind these; 0: not known yet */
};

static void each_table(struct cprof_live_model *model, void (*act)(struct cprof_live_table *table))
{
	for (size_t g = 0; g < CPROF_LIVE_GROUPS; g++) {
		act(&model->tables[g][false]);
		act(&model->tables[g][true]);
	}
}

void cprof_live_model_init(struct cprof_live_model *model, size_t max_rows)
{
	*model = (struct cprof_live_model){ 0 };
	for (size_t g = 0; g < CPROF_LIVE_GROUPS; g++) {
		cprof_live_table_init(&model->tables[g][false], max_rows);
		cprof_live_table_init(&model->tables[g][true], max_rows);
	}
}

void cprof_live_model_deinit(struct cprof_live_model *model)
{
	each_table(model, cprof_live_table_deinit);
}

/* ---- names ---- */

static const char *text(const struct window *window, uint32_t string)
{
	return cprof_profile_text(window->profile, string);
}

static const char *module_of(const struct window *window, const struct cprof_location *location)
{
	if (!location->mapping)
		return "[unknown]";
	const struct cprof_mapping *mapping = &window->profile->mappings[location->mapping - 1];
	const char *file = text(window, mapping->filename);
	return *file ? cprof_path_base(file) : "[unknown]";
}

static bool in_kernel(const struct window *window, const struct cprof_location *location)
{
	return location->mapping && window->kernel[location->mapping - 1];
}

/* Of a frame: an inlined function is one of its own. `line` NULL: nobody knows what is there. */
static const char *frame_name(struct window *window, enum cprof_live_group group,
			      const struct cprof_location *location, const struct cprof_line *line)
{
	struct cprof_buffer *name = &window->name;
	name->len = 0;
	if (group == CPROF_LIVE_MODULES) {
		cprof_buffer_puts(name, in_kernel(window, location) ? KERNEL
								    : module_of(window, location));
	} else if (!line) {
		cprof_buffer_printf(name, "%s+%#" PRIx64, module_of(window, location),
				    location->address);
	} else {
		const struct cprof_function *function = &window->profile->functions[line->function];
		const char *file = text(window, function->filename);
		cprof_buffer_puts(name, text(window, function->name));
		if (group == CPROF_LIVE_LINES && *file)
			cprof_buffer_printf(name, " %s:%" PRId64, cprof_path_base(file),
					    line->line);
	}
	return cprof_buffer_text(name);
}

static const char *thread_name(struct window *window, const struct cprof_sample *sample)
{
	const struct cprof_label *labels = &window->profile->labels[sample->first_label];
	const char *name = "";
	int64_t tid = 0;
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const char *key = text(window, labels[i].key);
		if (!labels[i].is_num && strcmp(key, "thread") == 0)
			name = text(window, labels[i].text);
		else if (labels[i].is_num && strcmp(key, "tid") == 0)
			tid = labels[i].num;
	}
	window->name.len = 0;
	cprof_buffer_puts(&window->name, *name ? name : "[unknown]");
	if (tid)
		cprof_buffer_printf(&window->name, " %" PRId64, tid);
	return cprof_buffer_text(&window->name);
}

/* ---- a window ---- */

static void window_deinit(struct window *window)
{
	for (size_t g = 0; g < CPROF_LIVE_GROUPS; g++) {
		free(window->rows[g][false]);
		free(window->rows[g][true]);
	}
	free(window->kernel);
	cprof_buffer_deinit(&window->name);
}

/* A name is made and looked up once in a window, however many stacks it stands in. */
static struct cprof_error *window_init(struct window *window)
{
	const struct cprof_profile *profile = window->profile;
	const size_t places = (size_t)profile->n_lines + profile->n_locations + 1;
	bool whole = true;
	for (size_t g = 0; g < CPROF_LIVE_GROUPS; g++) {
		for (int kernel = 0; kernel < 2; kernel++) {
			window->rows[g][kernel] = calloc(places, sizeof(uint32_t));
			whole = whole && window->rows[g][kernel];
		}
	}
	window->kernel = calloc((size_t)profile->n_mappings + 1, sizeof(bool));
	for (uint32_t i = 0; window->kernel && i < profile->n_mappings; i++)
		window->kernel[i] = strncmp(text(window, profile->mappings[i].filename),
					    KERNEL_FRAMES, strlen(KERNEL_FRAMES)) == 0;
	return whole && window->kernel ? NULL : cprof_error_no_memory();
}

static struct cprof_error *add_name(struct window *window, struct cprof_live_table *table,
				    const char *name, const int64_t *values)
{
	size_t row = 0;
	struct cprof_error *err = cprof_live_table_find(table, name, &row);
	if (!err)
		cprof_live_table_count(table, row, values, window->profile->n_types, true);
	return err;
}

static struct cprof_error *find_row(struct window *window, enum cprof_live_group group, bool kernel,
				    uint32_t index, const struct cprof_line *line, size_t *ret_row)
{
	const struct cprof_profile *profile = window->profile;
	const size_t place =
		line ? (size_t)(line - profile->lines) : (size_t)profile->n_lines + index;
	uint32_t *row = &window->rows[group][kernel][place];
	struct cprof_error *err = NULL;
	size_t found = *row - 1;
	if (!*row)
		err = cprof_live_table_find(
			&window->model->tables[group][kernel],
			frame_name(window, group, &profile->locations[index], line), &found);
	if (err)
		return err;
	*row = (uint32_t)found + 1;
	*ret_row = found;
	return NULL;
}

static struct cprof_error *add_location(struct window *window, enum cprof_live_group group,
					bool kernel, uint32_t index, const int64_t *values,
					bool own)
{
	const struct cprof_location *location = &window->profile->locations[index];
	const bool one = group == CPROF_LIVE_MODULES || !location->n_lines;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < (one ? 1 : location->n_lines); i++) {
		const struct cprof_line *line =
			one ? NULL : &window->profile->lines[location->first_line + i];
		size_t row = 0;
		err = find_row(window, group, kernel, index, line, &row);
		if (!err)
			cprof_live_table_count(&window->model->tables[group][kernel], row, values,
					       window->profile->n_types, own && i == 0);
	}
	return err;
}

/* Without the kernel's frames what called it has it of its own. */
static struct cprof_error *add_stack(struct window *window, enum cprof_live_group group,
				     bool kernel, const struct cprof_sample *sample,
				     const int64_t *values)
{
	struct cprof_live_table *table = &window->model->tables[group][kernel];
	const uint32_t *stack = &window->profile->stacks[sample->first_location];
	struct cprof_error *err = NULL;
	bool own = true;
	cprof_live_table_next_sample(table);
	for (uint32_t i = 0; !err && i < sample->n_locations; i++) {
		if (!kernel && in_kernel(window, &window->profile->locations[stack[i]]))
			continue;
		err = add_location(window, group, kernel, stack[i], values, own);
		own = false;
	}
	if (!err && own) /* nothing else is there */
		err = add_name(window, table, KERNEL, values);
	return err;
}

static struct cprof_error *add_thread(struct window *window, bool kernel,
				      const struct cprof_sample *sample, const int64_t *values)
{
	struct cprof_live_table *table = &window->model->tables[CPROF_LIVE_THREADS][kernel];
	cprof_live_table_next_sample(table);
	return add_name(window, table, thread_name(window, sample), values);
}

static struct cprof_error *add_sample(struct window *window, uint32_t index)
{
	const struct cprof_sample *sample = &window->profile->samples[index];
	const int64_t *values = &window->profile->values[(size_t)index * window->profile->n_types];
	struct cprof_error *err = cprof_buffer_error(&window->name);
	for (size_t t = 0; t < window->profile->n_types; t++) {
		int64_t *total = &window->model->totals[0][t];
		*total = cprof_measure_add(*total, values[t]);
	}
	for (int kernel = 0; kernel < 2; kernel++) {
		for (int group = 0; !err && group < CPROF_LIVE_GROUPS; group++)
			err = group == CPROF_LIVE_THREADS
				      ? add_thread(window, kernel, sample, values)
				      : add_stack(window, (enum cprof_live_group)group, kernel,
						  sample, values);
	}
	return err;
}

/* What is in use is a state; all else is counted. */
static struct cprof_error *take_types(struct cprof_live_model *model,
				      const struct cprof_profile *profile)
{
	if (profile->n_types > CPROF_LIVE_TYPES)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "a live table of %" PRIu32 " sample types",
				       profile->n_types);
	if (model->n_types)
		return NULL;
	model->n_types = profile->n_types;
	model->default_type = cprof_profile_default_type(profile);
	for (size_t t = 0; t < model->n_types; t++) {
		struct cprof_live_type *type = &model->types[t];
		snprintf(type->name, sizeof(type->name), "%s",
			 cprof_profile_text(profile, profile->types[t].type));
		snprintf(type->unit, sizeof(type->unit), "%s",
			 cprof_profile_text(profile, profile->types[t].unit));
		model->states[t] = strncmp(type->name, "inuse_", 6) == 0;
	}
	return NULL;
}

static void end_totals(struct cprof_live_model *model)
{
	for (size_t t = 0; t < CPROF_LIVE_TYPES; t++) {
		int64_t *now = &model->totals[0][t], *all = &model->totals[1][t];
		const int64_t value = *now;
		if (model->states[t])
			*now = value - *all;
		*all = model->states[t] ? value : cprof_measure_add(*all, value);
	}
}

static struct cprof_error *end_tables(struct cprof_live_model *model)
{
	struct cprof_error *err = NULL;
	for (size_t g = 0; g < CPROF_LIVE_GROUPS; g++) {
		for (int kernel = 0; !err && kernel < 2; kernel++)
			err = cprof_live_table_end(&model->tables[g][kernel], model->states);
	}
	return err;
}

struct cprof_error *cprof_live_model_add(struct cprof_live_model *model,
					 const struct cprof_profile *profile, uint64_t length_ns)
{
	struct window window = { .model = model, .profile = profile };
	struct cprof_error *err = profile ? take_types(model, profile) : NULL;
	each_table(model, cprof_live_table_begin);
	memset(model->totals[0], 0, sizeof(model->totals[0]));
	if (!err && profile)
		err = window_init(&window);
	for (uint32_t i = 0; !err && profile && i < profile->n_samples; i++)
		err = add_sample(&window, i);
	window_deinit(&window);
	if (!err)
		err = end_tables(model);
	end_totals(model);
	model->now_ns = length_ns;
	model->all_ns += length_ns;
	model->windows++;
	return err;
}
