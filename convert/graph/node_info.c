/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/node_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"

struct info_maker {
	const struct cprof_report *report;
	struct cprof_profile *profile;
	struct cprof_node_infos *infos;
	struct cprof_map64 by_hash; /* -> info + 1 */
	uint32_t infos_room;
	uint32_t *clean_files; /* string -> string of the cleaned name + 1 */
	bool objects;
};

static uint64_t hash_info(const struct cprof_node_info *info)
{
	uint64_t hash = cprof_hash_mix(info->address, (uint64_t)info->name << 32 | info->file);
	hash = cprof_hash_mix(hash, (uint64_t)info->line);
	if (info->objfile || info->start_line || info->column) {
		hash = cprof_hash_mix(hash, (uint64_t)info->start_line);
		hash = cprof_hash_mix(hash, (uint64_t)info->column << 32 ^ info->objfile);
	}
	return hash;
}

static bool same_info(const struct cprof_node_info *a, const struct cprof_node_info *b)
{
	return a->name == b->name && a->file == b->file && a->objfile == b->objfile &&
	       a->address == b->address && a->start_line == b->start_line && a->line == b->line &&
	       a->column == b->column;
}

static struct cprof_error *find_info(struct info_maker *m, const struct cprof_node_info *info,
				     uint32_t *ret)
{
	uint64_t hash = hash_info(info);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&m->by_hash, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			struct cprof_error *err =
				cprof_profile_grow(&m->infos->all, m->infos->n, &m->infos_room, 1,
						   sizeof(*m->infos->all));
			if (err)
				return err;
			m->infos->all[m->infos->n++] = *info;
			*place = m->infos->n;
		}
		if (same_info(&m->infos->all[*place - 1], info)) {
			*ret = (uint32_t)(*place - 1);
			return NULL;
		}
	}
}

/* A source file's name as reports show it: build prefixes off, then cleaned. */
static struct cprof_error *clean_file(struct info_maker *m, uint32_t file, uint32_t *ret)
{
	*ret = 0;
	if (!file)
		return NULL;
	if (!m->clean_files[file]) {
		const struct cprof_config *config = &m->report->config;
		const char *trimmed = cprof_profile_text(m->profile, file);
		if (!(m->report->format->flags & CPROF_FORMAT_WHOLE_PATHS))
			trimmed = cprof_path_trim(trimmed, config->trim_path, config->source_path);
		CPROF_AUTO(buffer) struct cprof_buffer clean = { 0 };
		if (*trimmed)
			cprof_path_clean(trimmed, &clean);
		uint32_t string;
		struct cprof_error *err = cprof_buffer_error(&clean);
		if (!err)
			err = cprof_profile_string(m->profile, cprof_buffer_text(&clean), &string);
		if (err)
			return err;
		m->clean_files[file] = string + 1;
	}
	*ret = m->clean_files[file] - 1;
	return NULL;
}

static struct cprof_error *line_info(struct info_maker *m, const struct cprof_location *location,
				     const struct cprof_line *line, uint32_t *ret)
{
	uint32_t objfile =
		location->mapping ? m->profile->mappings[location->mapping - 1].filename : 0;
	struct cprof_node_info info = { .address = location->address };
	if (!line) {
		info.objfile = objfile;
		return find_info(m, &info, ret);
	}
	const struct cprof_function *function = &m->profile->functions[line->function];
	info.name = function->name;
	info.line = line->line;
	info.column = line->column;
	if (m->objects || !info.name) {
		info.objfile = objfile;
		info.start_line = function->start_line;
	}
	struct cprof_error *err = clean_file(m, function->filename, &info.file);
	return err ? err : find_info(m, &info, ret);
}

static struct cprof_error *make_infos(struct info_maker *m)
{
	const struct cprof_profile *p = m->profile;
	size_t n = 0;
	for (uint32_t i = 0; i < p->n_locations; i++)
		n += p->locations[i].n_lines ? p->locations[i].n_lines : 1;
	if (n >= UINT32_MAX)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "a profile with %zu lines", n);
	m->infos->slot_of = calloc((size_t)p->n_locations + 1, sizeof(*m->infos->slot_of));
	m->infos->slots = calloc(n + 1, sizeof(*m->infos->slots));
	if (!m->infos->slot_of || !m->infos->slots)
		return cprof_error_no_memory();
	uint32_t at = 0;
	for (uint32_t i = 0; i < p->n_locations; i++) {
		const struct cprof_location *location = &p->locations[i];
		m->infos->slot_of[i] = at;
		struct cprof_error *err = NULL;
		if (!location->n_lines)
			err = line_info(m, location, NULL, &m->infos->slots[at++]);
		for (uint32_t j = 0; !err && j < location->n_lines; j++)
			err = line_info(m, location, &p->lines[location->first_line + j],
					&m->infos->slots[at++]);
		if (err)
			return err;
	}
	m->infos->slot_of[p->n_locations] = at;
	return NULL;
}

struct cprof_error *cprof_node_infos_init(struct cprof_node_infos *infos,
					  const struct cprof_report *report)
{
	*infos = (struct cprof_node_infos){ .profile = report->profile };
	struct info_maker m = { .report = report,
				.profile = report->profile,
				.infos = infos,
				.objects = report->format->flags & CPROF_FORMAT_OBJECTS };
	m.clean_files = calloc(report->profile->strings.len, sizeof(*m.clean_files));
	struct cprof_error *err = m.clean_files ? make_infos(&m) : cprof_error_no_memory();
	free(m.clean_files);
	cprof_map64_deinit(&m.by_hash);
	if (!err) {
		infos->names = calloc((size_t)infos->n + 1, sizeof(*infos->names));
		if (!infos->names)
			err = cprof_error_no_memory();
	}
	return err;
}

void cprof_node_infos_deinit(struct cprof_node_infos *infos)
{
	for (uint32_t i = 0; infos->names && i < infos->n; i++)
		free(infos->names[i]);
	free(infos->names);
	free(infos->all);
	free(infos->slots);
	free(infos->slot_of);
	*infos = (struct cprof_node_infos){ 0 };
}

static void put_part(struct cprof_buffer *out, size_t start, const char *separator)
{
	if (out->len > start)
		cprof_buffer_puts(out, separator);
}

void cprof_node_infos_compose(const struct cprof_node_infos *infos,
			      const struct cprof_node_info *info, const char *name,
			      const char *file, const char *separator, struct cprof_buffer *out)
{
	size_t start = out->len;
	if (info->address)
		cprof_buffer_printf(out, "%016" PRIx64, info->address);
	if (*name) {
		put_part(out, start, separator);
		cprof_buffer_puts(out, name);
	}
	if (info->line || *file) {
		put_part(out, start, separator);
		cprof_buffer_puts(out, file);
		if (info->line)
			cprof_buffer_printf(out, ":%" PRId64, info->line);
		if (info->line && info->column)
			cprof_buffer_printf(out, ":%" PRId64, info->column);
	} else if (!*name) {
		put_part(out, start, separator);
		const char *object = cprof_profile_text(infos->profile, info->objfile);
		if (*object)
			cprof_buffer_printf(out, "[%s]", cprof_path_base(object));
		else
			cprof_buffer_puts(out, "<unknown>");
	}
}

const char *cprof_node_infos_name(struct cprof_node_infos *infos, uint32_t index)
{
	if (!infos->names[index]) {
		const struct cprof_node_info *info = &infos->all[index];
		struct cprof_buffer text = { 0 };
		cprof_node_infos_compose(
			infos, info, cprof_profile_text(infos->profile, info->name),
			cprof_profile_text(infos->profile, info->file), " ", &text);
		infos->names[index] = (char *)text.data;
	}
	return infos->names[index] ? infos->names[index] : "<out of memory>";
}
