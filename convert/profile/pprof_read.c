/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/pprof_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "convert/profile/inflate.h"
#include "convert/profile/profile.pb-c.h"
#include "convert/profile/wire.h"

/* File ids (any 64-bit number) to indices: an array while they are small, as they nearly always are. */
struct id_map {
	uint32_t *dense; /* index + 1 by id */
	size_t dense_len;
	struct cprof_map64 sparse;
};

struct reader {
	struct cprof_profile *profile; /* owned until handed out */
	struct cprof_wire file;
	uint32_t *strings; /* string_table index -> intern id */
	size_t n_strings;
	size_t strings_room;
	struct id_map mappings, functions, locations;
	uint32_t mapping_ids_room, location_ids_room; /* of the profile's arrays */
	bool time_seen;
	uint32_t *stack; /* one sample's locations; its values; its labels; one location's lines */
	uint32_t n_stack, stack_room;
	int64_t *values;
	uint32_t n_values, values_room;
	struct cprof_label *labels;
	uint32_t n_labels, labels_room;
	struct cprof_line *lines;
	uint32_t n_lines, lines_room;
};

#define TYPE(name) (&perftools__profiles__##name##__descriptor)

/* Numbers of a message whose fields 1..n are all plain varints, into `ret` (zeroed); other numbers are skipped. */
static struct cprof_error *read_scalars(struct cprof_wire message,
					const ProtobufCMessageDescriptor *type, uint64_t *ret,
					uint32_t n)
{
	struct cprof_wire_field field;
	bool more;
	struct cprof_error *err;
	while (!(err = cprof_wire_next(&message, &field, &more)) && more) {
		if (field.number > n)
			continue;
		err = cprof_wire_expect(&field, CPROF_WIRE_VARINT, &message, type);
		if (err)
			return err;
		ret[field.number - 1] = field.value;
	}
	return err;
}

static struct cprof_error *string_of(const struct reader *r, const uint8_t *at, uint64_t index,
				     uint32_t *ret)
{
	if (index == 0 && r->n_strings == 0) {
		*ret = 0;
		return NULL;
	}
	if (index >= r->n_strings)
		return cprof_wire_bad(&r->file, at, "string %" PRId64 " of a table of %zu",
				      (int64_t)index, r->n_strings);
	*ret = r->strings[index];
	return NULL;
}

static struct cprof_error *put_id(struct reader *r, struct id_map *map, const uint8_t *at,
				  uint64_t id, uint32_t index, const char *what)
{
	if (id == 0)
		return cprof_wire_bad(&r->file, at, "%s with the reserved id 0", what);
	uint64_t *place = NULL;
	bool added = true;
	if (id < map->dense_len) {
		added = !map->dense[id] && !cprof_map64_get(&map->sparse, id);
		map->dense[id] = added ? index + 1 : map->dense[id];
	} else if (id <= (uint64_t)index * 2 + 1024) {
		const size_t len = map->dense_len;
		if (!CPROF_ARRAY_ROOM(map->dense, len, map->dense_len, id + 1024 - len))
			return cprof_error_no_memory();
		memset(map->dense + len, 0, (map->dense_len - len) * sizeof(*map->dense));
		/* An id met while the array was shorter stays in the map; both are looked at. */
		added = !cprof_map64_get(&map->sparse, id);
		map->dense[id] = index + 1;
	} else {
		place = cprof_map64_put(&map->sparse, id, &added);
		if (!place)
			return cprof_error_no_memory();
		*place = (uint64_t)index + 1;
	}
	if (!added)
		return cprof_wire_bad(&r->file, at, "a second %s with id %" PRIu64, what, id);
	return NULL;
}

/* Remember an id for -raw, from the first on that is not what its place says. */
static struct cprof_error *keep_id(uint64_t **ids, uint32_t *n, uint32_t *room, uint32_t index,
				   uint64_t id)
{
	if (!*ids && id == (uint64_t)index + 1)
		return NULL;
	if (!CPROF_ARRAY_ROOM(*ids, *n, *room, (size_t)index + 1 - *n))
		return cprof_error_no_memory();
	for (; *n < index; ++*n)
		(*ids)[*n] = (uint64_t)*n + 1;
	(*ids)[(*n)++] = id;
	return NULL;
}

/* Index + 1, or 0 where the file has no such id. */
static inline uint32_t get_id(const struct id_map *map, uint64_t id)
{
	if (id < map->dense_len && map->dense[id])
		return map->dense[id];
	uint64_t *place = map->sparse.len ? cprof_map64_get(&map->sparse, id) : NULL;
	return place ? (uint32_t)*place : 0;
}

static struct cprof_error *read_string(struct reader *r, const struct cprof_wire_field *field)
{
	if (r->n_strings == 0 && field->bytes.at != field->bytes.end)
		return cprof_wire_bad(&r->file, field->tag, "string_table[0] must be ''");
	if (!CPROF_ARRAY_ROOM(r->strings, r->n_strings, r->strings_room, 1))
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_intern_bytes(
		&r->profile->strings, (const char *)field->bytes.at,
		(size_t)(field->bytes.end - field->bytes.at), &r->strings[r->n_strings]);
	if (!err)
		r->n_strings++;
	return err;
}

static struct cprof_error *read_value_type(struct reader *r, const struct cprof_wire_field *field,
					   struct cprof_value_type *ret)
{
	uint64_t v[2] = { 0 };
	struct cprof_error *err = read_scalars(field->bytes, TYPE(value_type), v, 2);
	if (!err)
		err = string_of(r, field->tag, v[0], &ret->type);
	if (!err)
		err = string_of(r, field->tag, v[1], &ret->unit);
	return err;
}

static struct cprof_error *read_mapping(struct reader *r, const struct cprof_wire_field *field)
{
	uint64_t v[10] = { 0 };
	struct cprof_error *err = read_scalars(field->bytes, TYPE(mapping), v, 10);
	if (err)
		return err;
	struct cprof_mapping mapping = {
		.start = v[1],
		.limit = v[2],
		.offset = v[3],
		.has_functions = v[6],
		.has_filenames = v[7],
		.has_line_numbers = v[8],
		.has_inline_frames = v[9],
	};
	err = string_of(r, field->tag, v[4], &mapping.filename);
	if (!err)
		err = string_of(r, field->tag, v[5], &mapping.build_id);
	if (!err)
		err = put_id(r, &r->mappings, field->tag, v[0], r->profile->n_mappings, "mapping");
	if (!err)
		err = keep_id(&r->profile->mapping_ids, &r->profile->n_mapping_ids,
			      &r->mapping_ids_room, r->profile->n_mappings, v[0]);
	return err ? err : cprof_profile_add_mapping(r->profile, &mapping, NULL);
}

static struct cprof_error *read_function(struct reader *r, const struct cprof_wire_field *field)
{
	uint64_t v[5] = { 0 };
	struct cprof_error *err = read_scalars(field->bytes, TYPE(function), v, 5);
	if (err)
		return err;
	struct cprof_function function = { .start_line = (int64_t)v[4] };
	err = string_of(r, field->tag, v[1], &function.name);
	if (!err)
		err = string_of(r, field->tag, v[2], &function.system_name);
	if (!err)
		err = string_of(r, field->tag, v[3], &function.filename);
	if (!err)
		err = put_id(r, &r->functions, field->tag, v[0], r->profile->n_functions,
			     "function");
	return err ? err : cprof_profile_add_function(r->profile, &function, NULL);
}

static struct cprof_error *read_line(struct reader *r, const struct cprof_wire_field *field)
{
	uint64_t v[3] = { 0 };
	struct cprof_error *err = read_scalars(field->bytes, TYPE(line), v, 3);
	if (err)
		return err;
	uint32_t function = get_id(&r->functions, v[0]);
	if (!function)
		return cprof_wire_bad(&r->file, field->tag,
				      "a line of a location names "
				      "function %" PRIu64 ", which the file does not have",
				      v[0]);
	err = cprof_profile_grow(&r->lines, r->n_lines, &r->lines_room, 1, sizeof(*r->lines));
	if (err)
		return err;
	r->lines[r->n_lines++] = (struct cprof_line){ function - 1, (int64_t)v[1], (int64_t)v[2] };
	return NULL;
}

static struct cprof_error *read_location(struct reader *r, const struct cprof_wire_field *outer)
{
	struct cprof_location location = { 0 };
	struct cprof_wire message = outer->bytes;
	struct cprof_wire_field field;
	bool more;
	uint64_t id = 0;
	struct cprof_error *err;
	r->n_lines = 0;
	while (!(err = cprof_wire_next(&message, &field, &more)) && more) {
		if (field.number == 0 || field.number > 5)
			continue;
		err = cprof_wire_expect(&field,
					field.number == 4 ? CPROF_WIRE_BYTES : CPROF_WIRE_VARINT,
					&message, TYPE(location));
		if (err)
			return err;
		if (field.number == 1)
			id = field.value;
		else if (field.number == 2)
			location.mapping = get_id(&r->mappings, field.value);
		else if (field.number == 3)
			location.address = field.value;
		else if (field.number == 5)
			location.is_folded = field.value;
		else
			err = read_line(r, &field);
		if (err)
			return err;
	}
	if (!err)
		err = put_id(r, &r->locations, outer->tag, id, r->profile->n_locations, "location");
	if (!err)
		err = keep_id(&r->profile->location_ids, &r->profile->n_location_ids,
			      &r->location_ids_room, r->profile->n_locations, id);
	return err ? err
		   : cprof_profile_add_location(r->profile, &location, r->lines, r->n_lines, NULL);
}

static struct cprof_error *push_location(struct reader *r, const uint8_t *at, uint64_t id)
{
	uint32_t index = get_id(&r->locations, id);
	if (!index)
		return cprof_wire_bad(
			&r->file, at,
			"a sample names location %" PRIu64 ", which the file does not have", id);
	struct cprof_error *err =
		cprof_profile_grow(&r->stack, r->n_stack, &r->stack_room, 1, sizeof(*r->stack));
	if (!err)
		r->stack[r->n_stack++] = index - 1;
	return err;
}

static struct cprof_error *push_value(struct reader *r, const uint8_t *at, uint64_t value)
{
	(void)at;
	struct cprof_error *err =
		cprof_profile_grow(&r->values, r->n_values, &r->values_room, 1, sizeof(*r->values));
	if (!err)
		r->values[r->n_values++] = (int64_t)value;
	return err;
}

/* A repeated number, packed or one by one. */
static struct cprof_error *
read_repeated(struct reader *r, const struct cprof_wire *message, struct cprof_wire_field *field,
	      const ProtobufCMessageDescriptor *type,
	      struct cprof_error *push(struct reader *, const uint8_t *, uint64_t))
{
	if (field->type == CPROF_WIRE_VARINT)
		return push(r, field->tag, field->value);
	if (field->type != CPROF_WIRE_BYTES)
		return cprof_wire_mismatch(field, message, type);
	while (field->bytes.at < field->bytes.end) {
		uint64_t value;
		const uint8_t *at = field->bytes.at;
		if (!cprof_wire_varint(&field->bytes, &value))
			return cprof_wire_bad(&r->file, at,
					      "a packed number is cut off or longer than 10 bytes");
		struct cprof_error *err = push(r, at, value);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *read_label(struct reader *r, const struct cprof_wire_field *field)
{
	uint64_t v[4] = { 0 };
	struct cprof_error *err = read_scalars(field->bytes, TYPE(label), v, 4);
	if (err || (!v[1] && !v[2] && !v[3])) /* neither text nor number: says nothing */
		return err;
	struct cprof_label label = { .is_num = !v[1], .num = v[1] ? 0 : (int64_t)v[2] };
	err = string_of(r, field->tag, v[0], &label.key);
	if (!err)
		err = string_of(r, field->tag, v[1] ? v[1] : v[3], &label.text);
	if (!err)
		err = cprof_profile_grow(&r->labels, r->n_labels, &r->labels_room, 1,
					 sizeof(*r->labels));
	if (!err)
		r->labels[r->n_labels++] = label;
	return err;
}

static struct cprof_error *read_sample(struct reader *r, const struct cprof_wire_field *outer)
{
	struct cprof_wire message = outer->bytes;
	struct cprof_wire_field field;
	bool more;
	struct cprof_error *err;
	r->n_stack = r->n_values = r->n_labels = 0;
	while (!(err = cprof_wire_next(&message, &field, &more)) && more) {
		if (field.number == 1)
			err = read_repeated(r, &message, &field, TYPE(sample), push_location);
		else if (field.number == 2)
			err = read_repeated(r, &message, &field, TYPE(sample), push_value);
		else if (field.number == 3)
			err = cprof_wire_expect(&field, CPROF_WIRE_BYTES, &message, TYPE(sample));
		if (!err && field.number == 3)
			err = read_label(r, &field);
		if (err)
			return err;
	}
	if (!err && r->n_values != r->profile->n_types)
		err = cprof_wire_bad(&r->file, outer->tag,
				     "a sample has %u values, the "
				     "profile %u types",
				     r->n_values, r->profile->n_types);
	if (!err && r->profile->n_types == 0)
		err = cprof_wire_bad(&r->file, outer->tag, "samples, but no sample type");
	return err ? err
		   : cprof_profile_add_sample(r->profile, r->stack, r->n_stack, r->labels,
					      r->n_labels, r->values);
}

static struct cprof_error *push_comment(struct reader *r, const uint8_t *at, uint64_t index)
{
	uint32_t string = 0;
	struct cprof_error *err = string_of(r, at, index, &string);
	return err ? err
		   : cprof_profile_add_comment(r->profile, cprof_profile_text(r->profile, string));
}

/* Of fields 7 to 15 those that are single numbers. */
static struct cprof_error *read_header(struct reader *r, const struct cprof_wire_field *field)
{
	struct cprof_profile *p = r->profile;
	switch (field->number) {
	case 7:
		return string_of(r, field->tag, field->value, &p->drop_frames);
	case 8:
		return string_of(r, field->tag, field->value, &p->keep_frames);
	case 9:
		if (r->time_seen)
			return cprof_wire_bad(
				&r->file, field->tag,
				"a second time_nanos: concatenated profiles detected");
		r->time_seen = field->value != 0;
		p->time_ns = (int64_t)field->value;
		return NULL;
	case 10:
		p->duration_ns = (int64_t)field->value;
		return NULL;
	case 12:
		p->period = (int64_t)field->value;
		return NULL;
	case 14:
		return string_of(r, field->tag, field->value, &p->default_type);
	default:
		return string_of(r, field->tag, field->value, &p->doc_url);
	}
}

static struct cprof_error *read_type(struct reader *r, const struct cprof_wire_field *field)
{
	struct cprof_value_type type;
	struct cprof_error *err = read_value_type(r, field, &type);
	return err ? err
		   : cprof_profile_add_type(r->profile, cprof_profile_text(r->profile, type.type),
					    cprof_profile_text(r->profile, type.unit));
}

/*
 * The file is walked once per pass, because samples come before the tables that they refer to. Each
 * pass takes the fields it knows; the walk itself is a few instructions per message.
 */
enum pass { PASS_STRINGS, PASS_TABLES, PASS_LOCATIONS, PASS_SAMPLES, N_PASSES };

/* clang-format off */
static const struct {
	enum pass pass;
	enum cprof_wire_type type;
} fields[] = {
	[1] = { PASS_TABLES, CPROF_WIRE_BYTES },   [2] = { PASS_SAMPLES, CPROF_WIRE_BYTES },
	[3] = { PASS_TABLES, CPROF_WIRE_BYTES },   [4] = { PASS_LOCATIONS, CPROF_WIRE_BYTES },
	[5] = { PASS_TABLES, CPROF_WIRE_BYTES },   [6] = { PASS_STRINGS, CPROF_WIRE_BYTES },
	[7] = { PASS_TABLES, CPROF_WIRE_VARINT },  [8] = { PASS_TABLES, CPROF_WIRE_VARINT },
	[9] = { PASS_TABLES, CPROF_WIRE_VARINT },  [10] = { PASS_TABLES, CPROF_WIRE_VARINT },
	[11] = { PASS_TABLES, CPROF_WIRE_BYTES },  [12] = { PASS_TABLES, CPROF_WIRE_VARINT },
	[13] = { PASS_TABLES, CPROF_WIRE_VARINT }, [14] = { PASS_TABLES, CPROF_WIRE_VARINT },
	[15] = { PASS_TABLES, CPROF_WIRE_VARINT },
};
/* clang-format on */

static struct cprof_error *read_field(struct reader *r, struct cprof_wire_field *field)
{
	switch (field->number) {
	case 1:
		return read_type(r, field);
	case 2:
		return read_sample(r, field);
	case 3:
		return read_mapping(r, field);
	case 4:
		return read_location(r, field);
	case 5:
		return read_function(r, field);
	case 6:
		return read_string(r, field);
	case 11:
		return read_value_type(r, field, &r->profile->period_type);
	case 13:
		return read_repeated(r, &r->file, field, TYPE(profile), push_comment);
	default:
		return read_header(r, field);
	}
}

static struct cprof_error *read_pass(struct reader *r, enum pass pass)
{
	struct cprof_wire message = r->file;
	struct cprof_wire_field field;
	bool more;
	struct cprof_error *err;
	while (!(err = cprof_wire_next(&message, &field, &more)) && more) {
		if (field.number >= sizeof(fields) / sizeof(fields[0]) ||
		    fields[field.number].pass != pass)
			continue;
		if (field.number != 13)
			err = cprof_wire_expect(&field, fields[field.number].type, &message,
						TYPE(profile));
		if (!err)
			err = read_field(r, &field);
		if (err)
			return err;
	}
	return err;
}

static void reader_deinit(struct reader *r)
{
	struct id_map *maps[] = { &r->mappings, &r->functions, &r->locations };
	for (size_t i = 0; i < 3; i++) {
		free(maps[i]->dense);
		cprof_map64_deinit(&maps[i]->sparse);
	}
	free(r->strings);
	free(r->stack);
	free(r->values);
	free(r->labels);
	free(r->lines);
	cprof_profile_free(r->profile);
}

static struct cprof_error *decode_plain(const uint8_t *bytes, size_t n,
					struct cprof_profile **ret_profile)
{
	if (n == 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "empty input file");
	struct reader r = { .file = { bytes, bytes + n, bytes } };
	struct cprof_error *err = cprof_profile_new(&r.profile);
	for (int pass = 0; !err && pass < N_PASSES; pass++)
		err = read_pass(&r, (enum pass)pass);
	if (!err)
		*ret_profile = cprof_take_ptr(&r.profile);
	reader_deinit(&r);
	return err;
}

struct cprof_error *cprof_pprof_decode(const uint8_t *bytes, size_t n,
				       struct cprof_profile **ret_profile)
{
	if (!cprof_inflate_is_gzip(bytes, n))
		return decode_plain(bytes, n, ret_profile);
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = cprof_inflate(bytes, n, &plain);
	return err ? err : decode_plain(plain.data, plain.len, ret_profile);
}
