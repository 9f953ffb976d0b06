/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_symbolize.c - names for profiles that have only addresses: before a report, or as a command of its own.
 *
 * The glue between a profile and symbolize/, which knows nothing of profiles. A file counts for a mapping only with the
 * mapping's build-id. Older formats know none: then the path has to do, as for the original tool, and that is said.
 *
 * A name that says no more than the address, as "libc.so.6+0x1234", is none: it makes way for a real one.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/new_file.h"
#include "base/printable_text.h"
#include "convert/cli/commands.h"
#include "convert/net/remote_symbols.h"
#include "cprof/pprof_write.h"
#include "cprof/symbolizer.h"
#include "symbolize/names/place_name.h"
#include "symbolize/names/symbol_cache.h"
#include "symbolize/names/symbolizer_names.h"

#define LINES_MAX 64

struct modes {
	bool no_local, no_remote, force;
	bool is_file; /* no mode at all but a profile's name */
	struct cprof_symbolizer_options names;
};

struct naming {
	struct cprof_profile *profile;
	const struct cprof_options *options;
	struct modes modes;
	struct cprof_modules modules;
	struct cprof_symbolizer *symbolizer;
	uint32_t n_wanted, n_named;
	struct cprof_buffer
		by_path; /* files that were believed for their path alone, with commas between them */
};

/* ---- the option's words ---- */

static bool take_word(struct modes *modes, const char *word, size_t len)
{
	static const struct {
		const char *word;
		int demangle; /* -1: says nothing of that */
	} known[] = {
		{ "", -1 },
		{ "none", -1 },
		{ "local", -1 },
		{ "fastlocal", -1 },
		{ "remote", -1 },
		{ "force", -1 },
		{ "no", -1 },
		{ "demangle=default", CPROF_DEMANGLE_SHORT },
		{ "demangle=templates", CPROF_DEMANGLE_TEMPLATES },
		{ "demangle=full", CPROF_DEMANGLE_FULL },
		{ "demangle=none", CPROF_DEMANGLE_NONE },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].word) != len || strncasecmp(known[i].word, word, len) != 0)
			continue;
		bool none = strcmp(known[i].word, "none") == 0 || strcmp(known[i].word, "no") == 0;
		modes->no_local |= none || strcmp(known[i].word, "remote") == 0;
		modes->no_remote |= none || strcmp(known[i].word, "local") == 0 ||
				    strcmp(known[i].word, "fastlocal") == 0;
		modes->force |= strcmp(known[i].word, "force") == 0;
		modes->names.no_lines |= strcmp(known[i].word, "fastlocal") == 0;
		if (known[i].demangle >= 0)
			modes->names.demangle = (enum cprof_demangle)known[i].demangle;
		return true;
	}
	return false;
}

static struct modes parse_modes(const char *text)
{
	struct modes modes = { 0 };
	for (const char *at = text;;) {
		size_t len = strcspn(at, ":");
		if (!take_word(&modes, at, len)) {
			modes = (struct modes){ .is_file = true };
			break;
		}
		if (!at[len])
			break;
		at += len + 1;
	}
	modes.names.no_inlines = modes.names.no_lines;
	return modes;
}

/* ---- files ---- */

static bool is_build(const struct cprof_module *module, const char *build_id)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	cprof_build_id_hex(module->build_id, module->build_id_len, hex);
	return *build_id && strcasecmp(hex, build_id) == 0;
}

/* What is known of the file that a mapping was made from. */
struct wanted_file {
	const char *path, *build_id;
	bool path_will_do; /* no build-id is known, and where the file lay in memory is */
};

/* Sets *ret_module if `path` is the file that is wanted. */
static void try_file(struct naming *naming, const char *path, const struct wanted_file *wanted,
		     struct cprof_module **ret_module)
{
	struct cprof_module *module;
	struct cprof_error *err = cprof_modules_open(&naming->modules, path, &module);
	if (!err && (*wanted->build_id ? is_build(module, wanted->build_id) : wanted->path_will_do))
		*ret_module = module;
	cprof_error_free(err);
	if (!*ret_module || *wanted->build_id)
		return;
	cprof_buffer_puts(&naming->by_path, naming->by_path.len ? ", " : "");
	cprof_printable_puts(&naming->by_path, path);
}

/* As pprof does: below each directory of PPROF_BINARY_PATH by build-id, by base name, by whole path. */
static void try_path(struct naming *naming, const struct wanted_file *wanted,
		     struct cprof_module **ret_module)
{
	const char *dirs = getenv("PPROF_BINARY_PATH"), *slash = strrchr(wanted->path, '/');
	const char *base = slash ? slash + 1 : wanted->path;
	while (dirs && *dirs && !*ret_module) {
		int len = (int)strcspn(dirs, ":");
		char paths[3][4096];
		snprintf(paths[0], sizeof(paths[0]), "%.*s/%s/%s", len, dirs, wanted->build_id,
			 base);
		snprintf(paths[1], sizeof(paths[1]), "%.*s/%s", len, dirs, base);
		snprintf(paths[2], sizeof(paths[2]), "%.*s/%s", len, dirs, wanted->path);
		for (size_t i = *wanted->build_id ? 0 : 1; i < 3 && !*ret_module; i++)
			try_file(naming, paths[i], wanted, ret_module);
		dirs += len + (dirs[len] == ':');
	}
}

/* The file that the user names is believed for that, but for another build-id. */
static void try_program(struct naming *naming, const char *build_id,
			struct cprof_module **ret_module)
{
	struct cprof_module *module;
	struct cprof_error *err =
		cprof_modules_open(&naming->modules, naming->options->program, &module);
	if (!err && (!*build_id || is_build(module, build_id)))
		*ret_module = module;
	cprof_error_free(err);
}

static struct cprof_module *find_module(struct naming *naming, uint32_t number)
{
	const struct cprof_mapping *mapping = &naming->profile->mappings[number];
	const struct wanted_file wanted = {
		.path = cprof_profile_text(naming->profile, mapping->filename),
		.build_id = cprof_profile_text(naming->profile, mapping->build_id),
		.path_will_do = mapping->limit > mapping->start,
	};
	struct cprof_module *module = NULL;
	if (number == 0 && naming->options->program)
		try_program(naming, wanted.build_id, &module);
	if (!module && *wanted.path && (*wanted.build_id || wanted.path_will_do))
		try_path(naming, &wanted, &module);
	if (!module && wanted.path[0] == '/')
		try_file(naming, wanted.path, &wanted, &module);
	return module;
}

/* ---- locations ---- */

static bool file_address(const struct cprof_module *module, const struct cprof_mapping *mapping,
			 uint64_t address, uint64_t *ret_file_addr)
{
	const struct cprof_map map = { .start = mapping->start,
				       .end = mapping->limit,
				       .offset = mapping->offset,
				       .prot = PROT_READ | PROT_EXEC };
	/* A mapping of everything from 0 says that addresses are the file's own. */
	if (!mapping->start && !mapping->offset &&
	    (!mapping->limit || mapping->limit == UINT64_MAX)) {
		*ret_file_addr = address;
		return true;
	}
	return cprof_module_file_addr(module, &map, address, ret_file_addr);
}

static struct cprof_error *make_line(struct naming *naming, const struct cprof_symbol_frame *frame,
				     struct cprof_line *line)
{
	struct cprof_function function = { .start_line = frame->start_line };
	struct cprof_profile *profile = naming->profile;
	struct cprof_error *err = cprof_profile_string(profile, frame->name, &function.name);
	if (!err)
		err = cprof_profile_string(profile, frame->system_name, &function.system_name);
	if (!err)
		err = cprof_profile_string(profile, frame->file, &function.filename);
	line->line = frame->line;
	line->column = frame->column;
	return err ? err : cprof_profile_function(profile, &function, &line->function);
}

static struct cprof_error *set_lines(struct naming *naming, uint32_t index,
				     const struct cprof_symbol_frame *frames, size_t n)
{
	struct cprof_line lines[LINES_MAX];
	struct cprof_error *err = NULL;
	n = n < LINES_MAX ? n : LINES_MAX;
	for (size_t i = 0; i < n && !err; i++)
		err = make_line(naming, &frames[i], &lines[i]);
	return err ? err : cprof_profile_set_lines(naming->profile, index, lines, n);
}

static struct cprof_error *name_location(struct naming *naming, struct cprof_module *module,
					 struct cprof_mapping *mapping, uint32_t index)
{
	const struct cprof_location *location = &naming->profile->locations[index];
	const struct cprof_symbol_frame *frames;
	size_t n;
	uint64_t file_addr;
	naming->n_wanted++;
	if (!file_address(module, mapping, location->address, &file_addr))
		return NULL;
	struct cprof_error *err =
		cprof_symbolizer_file_addr(naming->symbolizer, module, file_addr, &frames, &n);
	if (err)
		return err;
	bool place = n == 1 && !*frames[0].file && cprof_place_name_is(frames[0].name);
	if (place && location->n_lines)
		return NULL; /* as good as what is there */
	err = set_lines(naming, index, frames, n);
	if (err || place)
		return err;
	naming->n_named++;
	mapping->has_functions = true;
	mapping->has_filenames |= *frames[0].file != 0;
	mapping->has_line_numbers |= frames[0].line != 0;
	mapping->has_inline_frames |= n > 1;
	return NULL;
}

/* Has it a name that says more than the address? */
static bool has_name(const struct cprof_profile *p, const struct cprof_location *location)
{
	if (!location->n_lines)
		return false;
	const struct cprof_line *line = &p->lines[location->first_line];
	const struct cprof_function *function = &p->functions[line->function];
	return location->n_lines > 1 || line->line || function->filename ||
	       !cprof_place_name_is(cprof_profile_text(p, function->name));
}

/* The locations of a mapping that lack a name; whoever gave names to it has tried all of it: what is left without a line stays so. */
static size_t find_wanted(const struct naming *naming, uint32_t number, uint32_t *wanted)
{
	const struct cprof_profile *profile = naming->profile;
	const struct cprof_mapping *mapping = &profile->mappings[number];
	bool has_names =
		mapping->has_functions || mapping->has_filenames || mapping->has_line_numbers;
	size_t n = 0;
	for (uint32_t i = 0; i < profile->n_locations; i++) {
		const struct cprof_location *location = &profile->locations[i];
		if (location->mapping == number + 1 &&
		    (naming->modes.force ||
		     (!has_name(profile, location) && !(has_names && !location->n_lines))))
			wanted[n++] = i;
	}
	return n;
}

static struct cprof_error *expect(struct naming *naming, struct cprof_module *module,
				  const struct cprof_mapping *mapping, const uint32_t *wanted,
				  size_t n)
{
	CPROF_AUTO(free) uint64_t *addrs = calloc(n, sizeof(*addrs));
	size_t n_addrs = 0;
	if (!addrs)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++)
		n_addrs +=
			file_address(module, mapping, naming->profile->locations[wanted[i]].address,
				     &addrs[n_addrs]);
	return cprof_symbolizer_expect(naming->symbolizer, module, addrs, n_addrs);
}

static struct cprof_error *name_mapping(struct naming *naming, uint32_t number)
{
	struct cprof_profile *profile = naming->profile;
	struct cprof_mapping *mapping = &profile->mappings[number];
	CPROF_AUTO(free) uint32_t *wanted = calloc(profile->n_locations + 1, sizeof(*wanted));
	if (!wanted)
		return cprof_error_no_memory();
	size_t n = find_wanted(naming, number, wanted);
	struct cprof_module *module = n ? find_module(naming, number) : NULL;
	struct cprof_error *err = module ? expect(naming, module, mapping, wanted, n) : NULL;
	for (size_t i = 0; module && i < n && !err; i++)
		err = name_location(naming, module, mapping, wanted[i]);
	return err;
}

/* Another build at the same path gives wrong names, and a report does not show that. */
static void put_by_path(const struct cprof_buffer *files)
{
	if (files->len)
		cprof_printable_printf(stderr,
				       "The profile has no build-ids: names are right if these are "
				       "still the files that ran: %s\n",
				       cprof_buffer_text(files));
}

/* Files that a profile names are not ours: what they may cost has a bound, and who waits for names is told. */
static void put_left_out(const struct cprof_budget *budget)
{
	for (size_t i = 0; i < budget->n; i++) {
		if (!budget->accounts[i]->over)
			continue;
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_printf(&text, "%s: names are missing: it takes ",
				    budget->accounts[i]->name);
		cprof_account_describe(budget->accounts[i], &text);
		cprof_buffer_puts(&text, "\n");
		cprof_printable_write(stderr, cprof_buffer_text(&text), text.len);
	}
}

/* What elfutils was not asked, and why. */
static void put_library_notes(const struct cprof_symbolizer *symbolizer)
{
	const char *text = symbolizer ? cprof_symbolizer_library_notes(symbolizer) : "";
	cprof_printable_write(stderr, text, strlen(text));
}

static struct cprof_error *name_all(struct naming *naming)
{
	CPROF_AUTO(free) char *cache_dir = cprof_cache_dir_default();
	naming->modes.names.cache_dir = cache_dir;
	cprof_symbolizer_way_parse(naming->options->symbolizer, &naming->modes.names.way);
	cprof_modules_init(&naming->modules);
	struct cprof_error *err =
		cprof_symbolizer_new(&naming->modes.names, &naming->modules, &naming->symbolizer);
	for (uint32_t i = 0; i < naming->profile->n_mappings && !err; i++)
		err = name_mapping(naming, i);
	put_library_notes(naming->symbolizer);
	put_left_out(&naming->modules.budget);
	put_by_path(&naming->by_path);
	cprof_buffer_deinit(&naming->by_path);
	cprof_symbolizer_free(naming->symbolizer);
	cprof_modules_deinit(&naming->modules);
	return err;
}

struct cprof_error *cprof_command_add_names(const struct cprof_options *options,
					    struct cprof_profile *profile)
{
	struct naming naming = { .profile = profile, .options = options };
	naming.modes = parse_modes(options->symbolize);
	return naming.modes.no_local ? NULL : name_all(&naming);
}

struct cprof_error *cprof_command_add_remote_names(void *ctx, const struct cprof_source_url *url,
						   struct cprof_profile *profile)
{
	const struct cprof_options *options = ctx;
	const struct modes modes = parse_modes(options->symbolize);
	/* Files know lines and inlined functions, too, so they come first. */
	struct cprof_error *err = cprof_command_add_names(options, profile);
	if (err || modes.no_remote)
		return err;
	const struct cprof_remote_symbols_request request = { .url = url,
							      .tls = cprof_command_tls(options),
							      .force = modes.force };
	err = cprof_remote_symbols_add(&request, profile);
	if (err) /* a profile without names is better than none */
		cprof_say(&cprof_command_say, "%s", err->message);
	cprof_error_free(err);
	return NULL;
}

/* ---- the command ---- */

static bool wanted(const struct cprof_options *options)
{
	return parse_modes(options->symbolize).is_file;
}

/* "cpu.pb.gz" becomes "cpu.named.pb.gz". */
static char *output_name(const struct cprof_options *options)
{
	static const char suffix[] = ".pb.gz";
	const char *in = options->symbolize;
	size_t len = strlen(in), tail = sizeof(suffix) - 1;
	char *text;
	if (*options->config.output)
		return strdup(options->config.output);
	if (len > tail && strcmp(in + len - tail, suffix) == 0)
		len -= tail;
	return asprintf(&text, "%.*s.named%s", (int)len, in, suffix) < 0 ? NULL : text;
}

/* A name that the user gave is replaced, one that we made is not. */
static struct cprof_error *write_profile(const struct cprof_profile *profile, const char *path,
					 bool replace)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes);
	if (err)
		return err;
	struct cprof_new_file file = { 0 };
	err = cprof_new_file_plan(path, replace ? CPROF_NEW_FILE_REPLACE : CPROF_NEW_FILE_REFUSE,
				  &file);
	if (!err)
		err = cprof_new_file_write(&file, bytes.data, bytes.len, NULL);
	cprof_new_file_deinit(&file);
	if (err && err->code == CPROF_ERR_EXISTS)
		return cprof_error_hint(err, "-output %s replaces it", path);
	return err;
}

/* With a profile to report on, what is no file was meant as a mode. */
static struct cprof_error *check_file(const struct cprof_options *options)
{
	if (!options->sources.len || access(options->symbolize, F_OK) == 0)
		return NULL;
	return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE,
						"-symbolize: \"%s\" is neither a mode nor a file",
						options->symbolize),
				"modes are none, local, fastlocal and remote, with :force and "
				":demangle=none, full, templates or default");
}

static struct cprof_error *run(struct cprof_options *options, struct cprof_profile *unused)
{
	(void)unused;
	struct cprof_error *bad = check_file(options);
	if (bad)
		return bad;
	CPROF_AUTO(free) char *path = output_name(options);
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_strings source = { 0 }, none = { 0 };
	struct cprof_error *err =
		path ? cprof_strings_add(&source, options->symbolize) : cprof_error_no_memory();
	const struct cprof_load load = { .sources = &source,
					 .bases = &none,
					 .seconds = -1,
					 .timeout_s = -1,
					 .all_frames = true,
					 .say = cprof_command_say };
	if (!err)
		err = cprof_load_profile(&load, &profile);
	cprof_strings_deinit(&source);
	struct naming naming = { .profile = profile, .options = options };
	if (!err)
		err = name_all(&naming);
	if (!err)
		err = write_profile(profile, path, *options->config.output != 0);
	if (!err)
		cprof_printable_printf(stderr,
				       "named %u of %u addresses that had a file, written to %s\n",
				       naming.n_named, naming.n_wanted, path);
	return err;
}

const struct cprof_command cprof_command_symbolize = {
	.name = "symbolize",
	.wanted = wanted,
	.run = run,
};
