/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/object_file.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "base/path.h"
#include "base/spawn.h"

#define MAX_SEGMENTS 512
#define FD_PATH_MAX  40
#define NEAR_BYTES                                                                                 \
	(64u << 10) /* of code, which objdump decodes in the time that it needs to begin */

struct segment {
	uint64_t offset, file_bytes, file_addr;
};

/* A line of nm. */
struct named {
	uint64_t start;
	char *name; /* without parameters */
};

struct cprof_object_file {
	int fd;     /* owned; whatever becomes of its path, it is what tools are given */
	char *path; /* for messages */
	char *tools;
	struct cprof_mapping mapping; /* its strings are not used */
	struct segment *segments;
	size_t n_segments;
	bool has_names;
	struct named *names; /* of all functions and data, by address; empty until asked for */
	uint32_t n_names, names_room;
};

/* The loadable segments of an ELF file of 64 bits (elf(5)); anything else is refused. */
static struct cprof_error *read_segments(struct cprof_object_file *file)
{
	int fd = file->fd;
	Elf64_Ehdr header;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr) ||
	    header.e_phnum > MAX_SEGMENTS)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is no 64-bit ELF file", file->path);
	file->segments = calloc((size_t)header.e_phnum + 1, sizeof(*file->segments));
	if (!file->segments)
		return cprof_error_no_memory();
	for (size_t i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		off_t at = (off_t)(header.e_phoff + i * sizeof(segment));
		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "%s: program header %zu is cut off", file->path, i);
		if (segment.p_type == PT_LOAD)
			file->segments[file->n_segments++] =
				(struct segment){ segment.p_offset, segment.p_filesz,
						  segment.p_vaddr };
	}
	return NULL;
}

bool cprof_object_file_address(const struct cprof_object_file *file, uint64_t addr,
			       uint64_t *ret_file_addr)
{
	const struct cprof_mapping *m = &file->mapping;
	/* A mapping from nothing to everything says that addresses are the program's own already. */
	if (m->start == 0 && m->offset == 0 && (m->limit == 0 || m->limit == UINT64_MAX)) {
		*ret_file_addr = addr;
		return true;
	}
	uint64_t offset = addr - m->start + m->offset;
	for (size_t i = 0; i < file->n_segments; i++) {
		const struct segment *s = &file->segments[i];
		if (offset >= s->offset && offset - s->offset < s->file_bytes) {
			*ret_file_addr = offset - s->offset + s->file_addr;
			return true;
		}
	}
	return false;
}

/* A profile from elsewhere may name a pipe or a device: they are no programs. -1: nothing there. */
static int open_program(const struct cprof_buffer *path)
{
	return path->failed ? -1 : cprof_foreign_file_open(cprof_buffer_text(path));
}

/* Where the program may have been put for us: DIR/BUILDID/NAME, DIR/NAME, DIR/its whole path. */
static int find_in(const char *dir, size_t n, const char *build_id, const char *path,
		   struct cprof_buffer *out)
{
	const char *tails[] = { build_id, cprof_path_base(path), path };
	for (size_t i = 0; i < 3; i++) {
		if (!*tails[i])
			continue;
		out->len = 0;
		cprof_buffer_append(out, dir, n);
		cprof_buffer_printf(out, "/%s", tails[i]);
		if (i == 0)
			cprof_buffer_printf(out, "/%s", cprof_path_base(path));
		int fd = open_program(out);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static int find_file(const char *build_id, const char *path, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer home = { 0 };
	const char *dirs = getenv("PPROF_BINARY_PATH");
	if (!dirs || !*dirs) {
		cprof_buffer_printf(&home, "%s/pprof/binaries",
				    getenv("HOME") ? getenv("HOME") : "");
		dirs = cprof_buffer_text(&home);
	}
	while (*dirs) {
		size_t n = strcspn(dirs, ":");
		int fd = n ? find_in(dirs, n, build_id, path, out) : -1;
		if (fd >= 0)
			return fd;
		dirs += n + (dirs[n] == ':');
	}
	out->len = 0;
	cprof_buffer_puts(out, path);
	return *path == '/' ? open_program(out) : -1;
}

struct cprof_error *cprof_object_file_open(const struct cprof_profile *profile,
					   const struct cprof_mapping *mapping, const char *tools,
					   struct cprof_object_file **ret_file)
{
	CPROF_AUTO(buffer) struct cprof_buffer path = { 0 };
	const char *name = cprof_profile_text(profile, mapping->filename);
	CPROF_AUTO(close)
	int fd = find_file(cprof_profile_text(profile, mapping->build_id), name, &path);
	if (fd < 0)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_UNSUPPORTED, "the program %s is not here", name),
			"put it in a directory that PPROF_BINARY_PATH names");
	CPROF_AUTO(object_file) struct cprof_object_file *file = calloc(1, sizeof(*file));
	const char *usual = getenv("PPROF_TOOLS");
	if (!*tools && usual)
		tools = usual;
	if (file)
		file->fd = cprof_take_fd(&fd);
	if (!file || !(file->path = strdup(cprof_buffer_text(&path))) ||
	    !(file->tools = strdup(tools)))
		return cprof_error_no_memory();
	file->mapping = *mapping;
	struct cprof_error *err = read_segments(file);
	if (!err)
		*ret_file = cprof_take_ptr(&file);
	return err;
}

static void drop_names(struct cprof_object_file *file)
{
	for (uint32_t i = 0; i < file->n_names; i++)
		free(file->names[i].name);
	free(file->names);
	file->names = NULL;
	file->n_names = file->names_room = 0;
}

void cprof_object_file_close(struct cprof_object_file *file)
{
	if (!file)
		return;
	close(file->fd);
	free(file->path);
	free(file->tools);
	free(file->segments);
	drop_names(file);
	free(file);
}

/* DIR/NAME for the first directory of file->tools that has it, or NAME, to be found in PATH. */
static void find_tool(const struct cprof_object_file *file, const char *name,
		      struct cprof_buffer *out)
{
	for (const char *dirs = file->tools; *dirs;) {
		size_t n = strcspn(dirs, ":,");
		out->len = 0;
		cprof_buffer_append(out, dirs, n);
		cprof_buffer_printf(out, "/%s", name);
		if (access(cprof_buffer_text(out), X_OK) == 0)
			return;
		dirs += n + (dirs[n] != 0);
	}
	out->len = 0;
	cprof_buffer_puts(out, name);
}

/* Where a tool finds what we have looked at. */
static char *fd_path(const struct cprof_object_file *file, char *path)
{
	snprintf(path, FD_PATH_MAX, "/proc/self/fd/%d", file->fd);
	return path;
}

/* Run a tool and hand over each line that it prints. */
static struct cprof_error *run_tool(const struct cprof_object_file *file, const char *name,
				    char **argv, struct cprof_error *line(void *ctx, char *text),
				    void *ctx)
{
	CPROF_AUTO(buffer) struct cprof_buffer tool = { 0 };
	int ends[2];
	find_tool(file, name, &tool);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return cprof_error_os(errno, "pipe");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, file->fd, file->fd); /* and keep it over exec */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	pid_t pid;
	int failed = cprof_spawn(cprof_buffer_text(&tool), &actions, argv, &pid);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (failed) {
		close(ends[0]);
		return cprof_error_hint(
			cprof_error_os(failed, "run %s", cprof_buffer_text(&tool)),
			"apt-get install binutils, or say where it is with the option tools");
	}
	FILE *out = fdopen(ends[0], "re");
	CPROF_AUTO(free) char *text = NULL;
	size_t room = 0;
	struct cprof_error *err = out ? NULL : cprof_error_no_memory();
	while (!err && getline(&text, &room, out) >= 0)
		err = line(ctx, text);
	if (out)
		fclose(out);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!err && status != 0)
		err = cprof_error_new(CPROF_ERR_OS, "%s cannot read %s (status 0x%x)", name,
				      file->path, (unsigned)status);
	return err;
}

/* A symbol ends where the next begins. */
struct symbol_reader {
	struct cprof_regex *regex;
	uint64_t address;
	struct cprof_object_symbol *symbols;
	uint32_t n, room;
	char *name; /* of the group of symbols at one address that is open: the one that matches, or the first */
	uint64_t start;
	bool matches;
};

/* Up to the parameters, as names stand in profiles. */
static void cut_parameters(char *name)
{
	for (char *at = name; (at = strchr(at, '(')); at++) {
		if (strncmp(at, "(anonymous namespace)", 21) == 0)
			continue;
		if (at - name >= 8 && strncmp(at - 8, "operator()", 10) == 0)
			continue;
		*at = 0;
		return;
	}
}

static struct cprof_error *end_symbol(struct symbol_reader *r, uint64_t end)
{
	struct cprof_error *err = NULL;
	if (r->name && (r->matches || (r->address >= r->start && r->address < end))) {
		err = cprof_profile_grow(&r->symbols, r->n, &r->room, 1, sizeof(*r->symbols));
		if (!err)
			r->symbols[r->n++] = (struct cprof_object_symbol){ cprof_take_ptr(&r->name),
									   r->start, end };
	}
	free(r->name);
	r->name = NULL;
	return err;
}

static struct cprof_error *take_symbol(struct symbol_reader *r, uint64_t start, const char *name)
{
	struct cprof_error *err = r->name && start != r->start ? end_symbol(r, start) : NULL;
	bool matches = cprof_regex_match(r->regex, name);
	if (err || (r->name && (r->matches || !matches)))
		return err;
	free(r->name);
	r->name = strdup(name);
	r->start = start;
	r->matches = matches;
	return r->name ? NULL : cprof_error_no_memory();
}

static struct cprof_error *read_name(void *ctx, char *text)
{
	struct cprof_object_file *file = ctx;
	char *at;
	if (!isxdigit((unsigned char)*text))
		return NULL;
	uint64_t start = strtoull(text, &at, 16);
	if (*at != ' ' || !at[1] || at[2] != ' ')
		return NULL;
	char *name = at + 3;
	name[strcspn(name, "\n")] = 0;
	cut_parameters(name);
	struct cprof_error *err = cprof_profile_grow(&file->names, file->n_names, &file->names_room,
						     1, sizeof(*file->names));
	char *copy = err ? NULL : strdup(name);
	if (copy)
		file->names[file->n_names++] = (struct named){ start, copy };
	return err || copy ? err : cprof_error_no_memory();
}

/* nm reads all of a program's symbols whatever it is asked, so it is asked once. */
static struct cprof_error *read_names(struct cprof_object_file *file)
{
	char path[FD_PATH_MAX];
	char *argv[] = { (char[]){ "nm" }, (char[]){ "-n" }, (char[]){ "-C" }, fd_path(file, path),
			 NULL };
	if (file->has_names)
		return NULL;
	struct cprof_error *err = run_tool(file, "nm", argv, read_name, file);
	file->has_names = !err;
	if (err)
		drop_names(file);
	return err;
}

struct cprof_error *cprof_object_file_symbols(struct cprof_object_file *file,
					      struct cprof_regex *regex, uint64_t address,
					      struct cprof_object_symbol **ret_symbols,
					      size_t *ret_n)
{
	struct symbol_reader reader = { .regex = regex, .address = address };
	struct cprof_error *err = read_names(file);
	for (uint32_t i = 0; !err && i < file->n_names; i++)
		err = take_symbol(&reader, file->names[i].start, file->names[i].name);
	if (!err)
		err = end_symbol(&reader, reader.start + 1);
	free(reader.name);
	if (err) {
		cprof_object_symbols_free(reader.symbols, reader.n);
		return err;
	}
	*ret_symbols = reader.symbols;
	*ret_n = reader.n;
	return NULL;
}

void cprof_object_symbols_free(struct cprof_object_symbol *symbols, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(symbols[i].name);
	free(symbols);
}

/* objdump's lines: instructions, and between them the function and source line they belong to. */
struct code_reader {
	const struct cprof_object_range *ranges; /* what is kept */
	size_t n_ranges;
	struct cprof_instruction *at;
	uint32_t n, room;
	char *function, *file;
	int64_t line;
};

static struct cprof_error *replace(char **text, const char *with, size_t n)
{
	free(*text);
	*text = strndup(with, n);
	return *text ? NULL : cprof_error_no_memory();
}

static bool is_kept(const struct code_reader *r, uint64_t file_addr)
{
	for (size_t i = 0; i < r->n_ranges; i++) {
		if (file_addr >= r->ranges[i].start && file_addr < r->ranges[i].end)
			return true;
	}
	return false;
}

static struct cprof_error *add_instruction(struct code_reader *r, uint64_t file_addr,
					   const char *text)
{
	if (!is_kept(r, file_addr))
		return NULL;
	struct cprof_error *err = cprof_profile_grow(&r->at, r->n, &r->room, 1, sizeof(*r->at));
	if (err)
		return err;
	struct cprof_instruction *added = &r->at[r->n++];
	*added = (struct cprof_instruction){ .file_addr = file_addr,
					     .text = strdup(text),
					     .function = strdup(r->function ? r->function : ""),
					     .file = strdup(r->file ? r->file : ""),
					     .line = r->line };
	return added->text && added->function && added->file ? NULL : cprof_error_no_memory();
}

static struct cprof_error *read_code(void *ctx, char *text)
{
	struct code_reader *r = ctx;
	text += strspn(text, " \t");
	size_t n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = 0;
	size_t hex = strspn(text, "0123456789abcdefABCDEF");
	if (hex && text[hex] == ':' && isspace((unsigned char)text[hex + 1]))
		return add_instruction(r, strtoull(text, NULL, 16),
				       text + hex + 1 + strspn(text + hex + 1, " \t"));
	const char *colon = strrchr(text, ':');
	while (colon && !isdigit((unsigned char)colon[1]) && colon > text)
		colon = memrchr(text, ':', (size_t)(colon - text));
	if (colon && isdigit((unsigned char)colon[1])) {
		r->line = strtoll(colon + 1, NULL, 10);
		return replace(&r->file, text, (size_t)(colon - text));
	}
	if (n > 3 && strcmp(text + n - 3, "():") == 0)
		return replace(&r->function, text, n - 3);
	r->line = 0; /* a heading or an empty line: what follows is somewhere else */
	struct cprof_error *err = replace(&r->function, "", 0);
	return err ? err : replace(&r->file, "", 0);
}

static struct cprof_error *run_objdump(const struct cprof_object_file *file, uint64_t start,
				       uint64_t end, bool intel, struct code_reader *reader)
{
	char from[48], to[48], path[FD_PATH_MAX];
	snprintf(from, sizeof(from), "--start-address=0x%lx", (unsigned long)start);
	snprintf(to, sizeof(to), "--stop-address=0x%lx", (unsigned long)end);
	char *argv[] = { (char[]){ "objdump" },
			 (char[]){ "--disassemble" },
			 (char[]){ "--demangle" },
			 (char[]){ "--no-show-raw-insn" },
			 (char[]){ "--line-numbers" },
			 from,
			 to,
			 fd_path(file, path),
			 intel ? (char[]){ "-Mintel" } : NULL,
			 NULL };
	struct cprof_error *err = run_tool(file, "objdump", argv, read_code, reader);
	free(reader->function);
	free(reader->file);
	reader->function = reader->file = NULL;
	reader->line = 0;
	return err;
}

struct cprof_error *cprof_object_file_disassemble(struct cprof_object_file *file,
						  const struct cprof_object_range *ranges, size_t n,
						  bool intel,
						  struct cprof_instruction **ret_instructions,
						  size_t *ret_n)
{
	struct code_reader reader = { .ranges = ranges, .n_ranges = n };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n;) {
		const uint64_t start = ranges[i].start;
		uint64_t end = ranges[i].end;
		for (i++; i < n && ranges[i].start <= end + NEAR_BYTES; i++)
			end = ranges[i].end > end ? ranges[i].end : end;
		err = run_objdump(file, start, end, intel, &reader);
	}
	if (err) {
		cprof_instructions_free(reader.at, reader.n);
		return err;
	}
	*ret_instructions = reader.at;
	*ret_n = reader.n;
	return NULL;
}

void cprof_instructions_free(struct cprof_instruction *instructions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(instructions[i].text);
		free(instructions[i].function);
		free(instructions[i].file);
	}
	free(instructions);
}
