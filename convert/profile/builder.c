/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/builder_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct cprof_error *cprof_builder_new(const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_builder **ret_builder)
{
	struct cprof_builder *builder = calloc(1, sizeof(*builder));
	if (!builder)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_intern_init(&builder->strings);
	if (!err)
		err = BUILDER_ROOM(builder->types, n_types);
	if (!err)
		err = BUILDER_ROOM(builder->label_runs, 1);
	if (!err)
		builder->label_runs.at[builder->label_runs.n++] = (struct builder_run){ 0 };
	for (size_t i = 0; !err && i < n_types; i++) {
		struct cprof_value_type *type = &builder->types.at[builder->types.n++];
		err = cprof_intern_text(&builder->strings, types[i].type, &type->type);
		if (!err)
			err = cprof_intern_text(&builder->strings, types[i].unit, &type->unit);
	}
	if (err) {
		cprof_builder_free(builder);
		return err;
	}
	*ret_builder = builder;
	return NULL;
}

void cprof_builder_free(struct cprof_builder *builder)
{
	if (!builder)
		return;
	cprof_intern_deinit(&builder->strings);
	cprof_map64_deinit(&builder->label_map);
	cprof_map64_deinit(&builder->sample_map);
	free(builder->types.at);
	free(builder->mappings.at);
	cprof_stack_table_deinit(&builder->stacks);
	free(builder->labels.at);
	free(builder->label_runs.at);
	free(builder->label_scratch.at);
	free(builder->samples.at);
	free(builder->values);
	free(builder);
}

static struct cprof_error *intern(struct cprof_builder *builder, const char *text, uint32_t *ret)
{
	return cprof_intern_text(&builder->strings, text ? text : "", ret);
}

struct cprof_error *cprof_builder_mapping(struct cprof_builder *builder,
					  const struct cprof_builder_mapping *mapping,
					  uint32_t *ret_number)
{
	struct cprof_mapping added = { .start = mapping->start,
				       .limit = mapping->limit,
				       .offset = mapping->offset };
	struct cprof_error *err = intern(builder, mapping->filename, &added.filename);
	if (!err)
		err = intern(builder, mapping->build_id, &added.build_id);
	if (!err)
		err = BUILDER_ROOM(builder->mappings, 1);
	if (err)
		return err;
	builder->mappings.at[builder->mappings.n++] = added;
	*ret_number = builder->mappings.n;
	return NULL;
}

/* Label sets are compared by content, so the order in which a caller lists them must not matter. */
static int compare_labels(const void *a, const void *b)
{
	const struct cprof_label *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->is_num != y->is_num)
		return x->is_num ? 1 : -1;
	if (x->text != y->text)
		return x->text < y->text ? -1 : 1;
	return (x->num > y->num) - (x->num < y->num);
}

static bool same_labels(const struct cprof_label *a, const struct cprof_label *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (compare_labels(&a[i], &b[i]) != 0)
			return false;
	}
	return true;
}

static uint64_t hash_labels(const struct cprof_label *labels, size_t n)
{
	uint64_t hash = n;
	for (size_t i = 0; i < n; i++) {
		hash = cprof_hash_mix(hash, (uint64_t)labels[i].key << 32 | labels[i].text);
		hash = cprof_hash_mix(hash, (uint64_t)labels[i].num);
		hash = cprof_hash_mix(hash, labels[i].is_num);
	}
	return hash;
}

static struct cprof_error *read_label(struct cprof_builder *builder,
				      const struct cprof_builder_label *from,
				      struct cprof_label *ret)
{
	*ret = (struct cprof_label){ .is_num = !from->str, .num = from->str ? 0 : from->num };
	struct cprof_error *err = intern(builder, from->key, &ret->key);
	return err ? err : intern(builder, ret->is_num ? from->unit : from->str, &ret->text);
}

/* The number of the set that label_scratch has, in any order. */
static struct cprof_error *find_set(struct cprof_builder *builder, uint32_t n, uint32_t *ret_labels)
{
	const struct cprof_label *set = builder->label_scratch.at;
	qsort(builder->label_scratch.at, n, sizeof(*set), compare_labels);
	struct cprof_error *err = BUILDER_ROOM(builder->labels, n);
	if (!err)
		err = BUILDER_ROOM(builder->label_runs, 1);
	if (err)
		return err;
	for (uint64_t hash = hash_labels(set, n);; hash = cprof_hash_u64(hash + 1)) {
		bool added;
		uint64_t *place = cprof_map64_put(&builder->label_map, hash, &added);
		if (!place)
			return cprof_error_no_memory();
		if (added) {
			memcpy(builder->labels.at + builder->labels.n, set, n * sizeof(*set));
			builder->label_runs.at[builder->label_runs.n] =
				(struct builder_run){ builder->labels.n, n };
			builder->labels.n += n;
			*place = builder->label_runs.n++;
		}
		const struct builder_run *run = &builder->label_runs.at[*place];
		if (run->n == n && same_labels(builder->labels.at + run->first, set, n)) {
			*ret_labels = (uint32_t)*place;
			return NULL;
		}
	}
}

struct cprof_error *cprof_builder_labels(struct cprof_builder *builder,
					 const struct cprof_builder_label *labels, size_t n_labels,
					 uint32_t *ret_labels)
{
	*ret_labels = 0;
	if (!n_labels)
		return NULL;
	builder->label_scratch.n = 0;
	struct cprof_error *err = BUILDER_ROOM(builder->label_scratch, n_labels);
	for (size_t i = 0; !err && i < n_labels; i++)
		err = read_label(builder, &labels[i], &builder->label_scratch.at[i]);
	return err ? err : find_set(builder, (uint32_t)n_labels, ret_labels);
}

struct cprof_error *cprof_builder_labels_and(struct cprof_builder *builder, uint32_t labels,
					     const struct cprof_builder_label *more,
					     uint32_t *ret_labels)
{
	if (labels >= builder->label_runs.n)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "there is no label set %u", labels);
	const struct builder_run run = builder->label_runs.at[labels];
	builder->label_scratch.n = 0;
	struct cprof_error *err = BUILDER_ROOM(builder->label_scratch, (size_t)run.n + 1);
	if (err)
		return err;
	if (run.n)
		memcpy(builder->label_scratch.at, builder->labels.at + run.first,
		       run.n * sizeof(*builder->labels.at));
	err = read_label(builder, more, &builder->label_scratch.at[run.n]);
	return err ? err : find_set(builder, run.n + 1, ret_labels);
}

/* samples.room counts both arrays; it is only moved on once both have grown. */
static struct cprof_error *grow_samples(struct cprof_builder *builder)
{
	uint32_t room = builder->samples.room;
	struct cprof_error *err = BUILDER_ROOM(builder->samples, 1);
	if (err || builder->samples.room == room)
		return err;
	size_t row_bytes = builder->types.n * sizeof(*builder->values);
	int64_t *values =
		reallocarray(builder->values, builder->samples.room, row_bytes ? row_bytes : 1);
	if (!values) {
		builder->samples.room = room;
		return cprof_error_no_memory();
	}
	builder->values = values;
	return NULL;
}

static struct cprof_error *sample_of(struct cprof_builder *builder, struct builder_sample sample,
				     uint32_t *ret)
{
	struct cprof_error *err = grow_samples(builder);
	if (err)
		return err;
	bool added;
	uint64_t key = (uint64_t)sample.stack << 32 | sample.labels;
	uint64_t *place = cprof_map64_put(&builder->sample_map, key, &added);
	if (!place)
		return cprof_error_no_memory();
	if (added) {
		uint32_t types = builder->types.n;
		*place = builder->samples.n++;
		builder->samples.at[*place] = sample;
		if (types)
			memset(builder->values + *place * types, 0,
			       types * sizeof(*builder->values));
	}
	*ret = (uint32_t)*place;
	return NULL;
}

struct cprof_error *cprof_builder_stack(struct cprof_builder *builder,
					const struct cprof_stack_frame *frames, size_t n_frames,
					uint32_t *ret_stack)
{
	for (size_t i = 0; i < n_frames; i++) {
		if (frames[i].mapping > builder->mappings.n)
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "frame %zu names mapping %u of %u", i,
					       frames[i].mapping, builder->mappings.n);
	}
	return cprof_stack_table_add(&builder->stacks, frames, n_frames, ret_stack);
}

struct cprof_error *cprof_builder_add_stack(struct cprof_builder *builder, uint32_t stack,
					    uint32_t labels, const int64_t *values)
{
	if (labels >= builder->label_runs.n)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "sample names label set %u of %u",
				       labels, builder->label_runs.n - 1);
	uint32_t index;
	struct cprof_error *err =
		sample_of(builder, (struct builder_sample){ stack, labels }, &index);
	for (uint32_t i = 0; !err && i < builder->types.n; i++)
		builder->values[(size_t)index * builder->types.n + i] += values[i];
	return err;
}

struct cprof_error *cprof_builder_add(struct cprof_builder *builder,
				      const struct cprof_stack_frame *frames, size_t n_frames,
				      uint32_t labels, const int64_t *values)
{
	uint32_t stack;
	struct cprof_error *err = cprof_builder_stack(builder, frames, n_frames, &stack);
	return err ? err : cprof_builder_add_stack(builder, stack, labels, values);
}

/* All that sample `index` counts goes to the one with stack `to`. */
static struct cprof_error *move_sample(struct cprof_builder *builder, uint32_t index, uint32_t to)
{
	const uint32_t types = builder->types.n;
	uint32_t target;
	struct cprof_error *err = sample_of(
		builder, (struct builder_sample){ to, builder->samples.at[index].labels }, &target);
	for (uint32_t i = 0; !err && i < types; i++) {
		int64_t *from = &builder->values[(size_t)index * types + i];
		builder->values[(size_t)target * types + i] += *from;
		*from = 0;
	}
	return err;
}

struct cprof_error *cprof_builder_restack(struct cprof_builder *builder,
					  cprof_builder_restacker *restack, void *ctx)
{
	const uint32_t n = builder->samples.n;
	CPROF_AUTO(free)
	uint32_t *known = calloc((size_t)builder->stacks.n_stacks + 1, sizeof(*known));
	struct cprof_error *err = known ? NULL : cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < n; i++) {
		const uint32_t stack = builder->samples.at[i].stack;
		uint32_t to = known[stack] - 1;
		if (!known[stack])
			err = restack(ctx, stack, &to);
		if (err)
			break;
		known[stack] = to + 1;
		if (to != stack)
			err = move_sample(builder, i, to);
	}
	return err;
}

const struct cprof_stack_table *cprof_builder_stacks(const struct cprof_builder *builder)
{
	return &builder->stacks;
}

size_t cprof_builder_sampled_stacks(const struct cprof_builder *builder)
{
	size_t n = 0;
	CPROF_AUTO(free) bool *seen = calloc(builder->stacks.n_stacks + 1, sizeof(*seen));
	for (uint32_t i = 0; seen && i < builder->samples.n; i++) {
		uint32_t stack = builder->samples.at[i].stack;
		n += !seen[stack];
		seen[stack] = true;
	}
	return n;
}

void cprof_builder_reset_values(struct cprof_builder *builder)
{
	size_t n = (size_t)builder->samples.n * builder->types.n;
	if (n)
		memset(builder->values, 0, n * sizeof(*builder->values));
}

/* What finish() carries along: where the builder's things have gone in the profile. */
struct finish {
	const struct cprof_builder *builder;
	struct cprof_profile *profile; /* owned until handed out */
	uint32_t *strings;             /* builder's string -> profile's + 1, 0: not yet */
	uint32_t *locations;           /* likewise */
	cprof_builder_namer *namer;
	void *ctx;
	BUILDER_ARRAY(struct cprof_line) lines; /* of one location */
	uint32_t *stack;                        /* of one sample */
	uint32_t stack_room;
	struct flags {
		bool any, functions, filenames, lines, inlines;
	} * flags; /* one a mapping */
};

static struct cprof_error *carry_string(struct finish *f, uint32_t from, uint32_t *ret)
{
	if (!f->strings[from]) {
		uint32_t string;
		struct cprof_error *err = cprof_profile_string(
			f->profile, cprof_intern_get(&f->builder->strings, from), &string);
		if (err)
			return err;
		f->strings[from] = string + 1;
	}
	*ret = f->strings[from] - 1;
	return NULL;
}

static struct cprof_error *name_line(struct finish *f, const struct cprof_builder_line *from,
				     struct cprof_line *ret)
{
	struct cprof_function function = { .start_line = from->start_line };
	struct cprof_error *err = cprof_profile_string(f->profile, from->name, &function.name);
	if (!err)
		err = cprof_profile_string(f->profile,
					   from->system_name ? from->system_name : from->name,
					   &function.system_name);
	if (!err)
		err = cprof_profile_string(f->profile, from->filename, &function.filename);
	*ret = (struct cprof_line){ .line = from->line, .column = from->column };
	if (!err)
		err = cprof_profile_function(f->profile, &function, &ret->function);
	return err;
}

static void note_flags(struct flags *flags, const struct cprof_builder_line *lines, size_t n)
{
	bool named = n > 0, filed = n > 0, lined = n > 0;
	for (size_t i = 0; i < n; i++) {
		filed = filed && lines[i].filename && *lines[i].filename;
		lined = lined && lines[i].line;
	}
	/* Inlines: known for the mapping once one was resolved; pprof's own symbolizer says it so. */
	*flags = (struct flags){
		.any = true,
		.functions = named && (!flags->any || flags->functions),
		.filenames = filed && (!flags->any || flags->filenames),
		.lines = lined && (!flags->any || flags->lines),
		.inlines = n > 1 || flags->inlines,
	};
}

static struct cprof_error *name_location(struct finish *f, uint32_t index)
{
	const struct cprof_stack_frame *from = &f->builder->stacks.frames[index];
	const struct cprof_builder_line *lines = NULL;
	size_t n = 0;
	struct cprof_error *err = f->namer ? f->namer(f->ctx, from, &lines, &n) : NULL;
	f->lines.n = 0;
	if (!err)
		err = BUILDER_ROOM(f->lines, n);
	for (size_t i = 0; !err && i < n; i++)
		err = name_line(f, &lines[i], &f->lines.at[i]);
	struct cprof_location location = { .address = from->addr, .mapping = from->mapping };
	if (!err)
		err = cprof_profile_add_location(f->profile, &location, f->lines.at, n,
						 &f->locations[index]);
	if (err)
		return err;
	f->locations[index]++;
	if (from->mapping)
		note_flags(&f->flags[from->mapping - 1], lines, n);
	return NULL;
}

static struct cprof_error *carry_header(struct finish *f)
{
	const struct cprof_builder *b = f->builder;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < b->types.n; i++)
		err = cprof_profile_add_type(f->profile,
					     cprof_intern_get(&b->strings, b->types.at[i].type),
					     cprof_intern_get(&b->strings, b->types.at[i].unit));
	for (uint32_t i = 0; !err && i < b->mappings.n; i++) {
		struct cprof_mapping mapping = b->mappings.at[i];
		err = carry_string(f, mapping.filename, &mapping.filename);
		if (!err)
			err = carry_string(f, mapping.build_id, &mapping.build_id);
		if (!err)
			err = cprof_profile_add_mapping(f->profile, &mapping, NULL);
	}
	return err;
}

static bool all_zero(const int64_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (values[i])
			return false;
	}
	return true;
}

static struct cprof_error *carry_labels(struct finish *f, struct builder_run run,
					struct cprof_label **ret)
{
	struct cprof_label *labels = calloc(run.n ? run.n : 1, sizeof(*labels));
	if (!labels)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < run.n; i++) {
		labels[i] = f->builder->labels.at[run.first + i];
		err = carry_string(f, labels[i].key, &labels[i].key);
		if (!err)
			err = carry_string(f, labels[i].text, &labels[i].text);
	}
	*ret = labels;
	return err;
}

static struct cprof_error *carry_sample(struct finish *f, uint32_t index)
{
	const struct cprof_builder *b = f->builder;
	const int64_t *values = b->values + (size_t)index * b->types.n;
	if (all_zero(values, b->types.n))
		return NULL;
	uint32_t n;
	const uint32_t *frames =
		cprof_stack_table_items(&b->stacks, b->samples.at[index].stack, &n);
	struct cprof_error *err =
		cprof_profile_grow(&f->stack, 0, &f->stack_room, n, sizeof(*f->stack));
	for (uint32_t i = 0; !err && i < n; i++) {
		if (!f->locations[frames[i]])
			err = name_location(f, frames[i]);
		f->stack[i] = f->locations[frames[i]] - 1;
	}
	CPROF_AUTO(free) struct cprof_label *labels = NULL;
	struct builder_run label_run = b->label_runs.at[b->samples.at[index].labels];
	if (!err)
		err = carry_labels(f, label_run, &labels);
	if (!err)
		err = cprof_profile_add_sample(f->profile, f->stack, n, labels, label_run.n,
					       values);
	return err;
}

static void set_flags(struct finish *f)
{
	for (uint32_t i = 0; i < f->profile->n_mappings; i++) {
		struct cprof_mapping *mapping = &f->profile->mappings[i];
		mapping->has_functions = f->flags[i].functions;
		mapping->has_filenames = f->flags[i].filenames;
		mapping->has_line_numbers = f->flags[i].lines;
		mapping->has_inline_frames = f->flags[i].inlines;
	}
}

struct cprof_error *cprof_builder_finish(struct cprof_builder *builder, cprof_builder_namer *namer,
					 void *ctx, struct cprof_profile **ret_profile)
{
	struct finish f = { .builder = builder, .namer = namer, .ctx = ctx };
	f.strings = calloc(builder->strings.len, sizeof(*f.strings));
	f.locations = calloc((size_t)builder->stacks.n_frames + 1, sizeof(*f.locations));
	f.flags = calloc((size_t)builder->mappings.n + 1, sizeof(*f.flags));
	struct cprof_error *err = f.strings && f.locations && f.flags
					  ? cprof_profile_new(&f.profile)
					  : cprof_error_no_memory();
	if (!err)
		err = carry_header(&f);
	for (uint32_t i = 0; !err && i < builder->samples.n; i++)
		err = carry_sample(&f, i);
	if (!err) {
		set_flags(&f);
		*ret_profile = f.profile;
	} else {
		cprof_profile_free(f.profile);
	}
	free(f.strings);
	free(f.locations);
	free(f.flags);
	free(f.lines.at);
	free(f.stack);
	return err;
}
