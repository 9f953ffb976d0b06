/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/core_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>

#include "attach/target/thread_regs.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"

#define SEGMENTS_MAX 1000000 /* vm.max_map_count is 65,530 unless raised */
#define SECTIONS_MAX 65536
#define THREADS_MAX  1000000
#define MAPPINGS_MAX 1000000
#define NOTES_MAX    ((size_t)256 << 20)

#define REGS_BYTES (CPROF_THREAD_REGS_WORDS * sizeof(uint64_t))
static_assert(sizeof(elf_gregset_t) >= REGS_BYTES, "pr_reg begins like struct pt_regs");

static struct cprof_error *too_many(const char *what)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: too many %s", what);
}

/* ---- notes ---- */

static struct cprof_error *on_prstatus(struct cprof_core_file *core, const uint8_t *desc, size_t n)
{
	struct elf_prstatus status;
	if (n < sizeof(status))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: NT_PRSTATUS of %zu bytes",
				       n);
	memcpy(&status, desc, sizeof(status));
	if (core->n_threads == THREADS_MAX ||
	    !CPROF_ARRAY_ROOM(core->threads, core->n_threads, core->cap_threads, 1))
		return too_many("threads");
	core->threads[core->n_threads++] = (struct cprof_core_thread){
		.tid = status.pr_pid,
		.regs = desc + offsetof(struct elf_prstatus, pr_reg),
	};
	if (core->n_threads == 1)
		core->signal = status.pr_cursig;
	return NULL;
}

static void on_prpsinfo(struct cprof_core_file *core, const uint8_t *desc, size_t n)
{
	struct elf_prpsinfo info;
	if (n < sizeof(info))
		return;
	memcpy(&info, desc, sizeof(info));
	core->pid = info.pr_pid;
	memcpy(core->comm, info.pr_fname, sizeof(info.pr_fname));
	core->comm[sizeof(info.pr_fname)] = 0;
	cprof_thread_name_clean(core->comm);
}

static void on_auxv(struct cprof_core_file *core, const uint8_t *desc, size_t n)
{
	for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= n; at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t entry;
		memcpy(&entry, desc + at, sizeof(entry));
		if (entry.a_type == AT_NULL)
			return;
		if (entry.a_type == AT_SYSINFO_EHDR)
			core->vdso = entry.a_un.a_val;
		if (entry.a_type == AT_ENTRY)
			core->entry = entry.a_un.a_val;
	}
}

/* u64 count, page size; { u64 start, end, offset in pages }[count]; the paths, each with a zero byte. */
static struct cprof_error *on_file(struct cprof_core_file *core, const uint8_t *desc, size_t n)
{
	uint64_t head[2];
	if (n < sizeof(head))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: NT_FILE of %zu bytes", n);
	memcpy(head, desc, sizeof(head));
	if (head[0] > MAPPINGS_MAX || head[0] > (n - sizeof(head)) / 24)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: NT_FILE is cut off");
	size_t text = sizeof(head) + (size_t)head[0] * 24;
	for (size_t i = 0; i < head[0]; i++) {
		uint64_t range[3];
		memcpy(range, desc + sizeof(head) + i * 24, sizeof(range));
		size_t len = strnlen((const char *)desc + text, n - text);
		if (text + len >= n)
			return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: NT_FILE is cut off");
		if (core->n_mappings == MAPPINGS_MAX ||
		    !CPROF_ARRAY_ROOM(core->mappings, core->n_mappings, core->cap_mappings, 1))
			return too_many("mapped files");
		core->mappings[core->n_mappings++] = (struct cprof_core_mapping){
			.start = range[0],
			.end = range[1],
			.offset = range[2] * head[1],
			.path = (const char *)desc + text,
		};
		text += len + 1;
	}
	return NULL;
}

static struct cprof_error *on_note(struct cprof_core_file *core, const GElf_Nhdr *note,
				   const char *name, const uint8_t *desc)
{
	/* "CORE" with its zero byte; NT_FILE and the others have the same owner. */
	if (note->n_namesz < 4 || memcmp(name, "CORE", 4) != 0)
		return NULL;
	switch (note->n_type) {
	case NT_PRSTATUS:
		return on_prstatus(core, desc, note->n_descsz);
	case NT_PRPSINFO:
		on_prpsinfo(core, desc, note->n_descsz);
		return NULL;
	case NT_AUXV:
		on_auxv(core, desc, note->n_descsz);
		return NULL;
	case NT_FILE:
		return on_file(core, desc, note->n_descsz);
	default:
		return NULL;
	}
}

static struct cprof_error *read_notes(struct cprof_core_file *core, Elf *elf, const GElf_Phdr *phdr)
{
	if (phdr->p_offset > core->n_bytes || phdr->p_filesz > core->n_bytes - phdr->p_offset ||
	    phdr->p_filesz > NOTES_MAX)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: its notes are cut off");
	Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)phdr->p_offset, phdr->p_filesz,
					      phdr->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	GElf_Nhdr note;
	size_t at = 0, next, name, desc;
	struct cprof_error *err = NULL;
	/* The bytes are the file's own, not libelf's copy, so that pointers into them stay good. */
	const uint8_t *bytes = core->bytes + phdr->p_offset;
	while (!err && data && (next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		err = on_note(core, &note, (const char *)bytes + name, bytes + desc);
		at = next;
	}
	return err;
}

/* ---- segments ---- */

static struct cprof_error *add_segment(struct cprof_core_file *core, const GElf_Phdr *phdr)
{
	struct cprof_core_segment segment = {
		.start = phdr->p_vaddr,
		.end = phdr->p_vaddr + phdr->p_memsz,
		.offset = phdr->p_offset,
		.file_size = phdr->p_filesz < phdr->p_memsz ? phdr->p_filesz : phdr->p_memsz,
		.flags = phdr->p_flags,
	};
	if (segment.end <= segment.start)
		return NULL; /* empty, or around the end of the address space */
	uint64_t end;
	if (!__builtin_add_overflow(segment.offset, segment.file_size, &end) &&
	    end > core->whole_bytes)
		core->whole_bytes = end;
	/* A core file that was cut (disk full, ulimit -c) still has its first segments. */
	if (segment.offset > core->n_bytes)
		segment.file_size = 0;
	else if (segment.file_size > core->n_bytes - segment.offset)
		segment.file_size = core->n_bytes - segment.offset;
	if (core->n_segments == SEGMENTS_MAX ||
	    !CPROF_ARRAY_ROOM(core->segments, core->n_segments, core->cap_segments, 1))
		return too_many("segments");
	core->segments[core->n_segments++] = segment;
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct cprof_core_segment *)a)->start;
	uint64_t y = ((const struct cprof_core_segment *)b)->start;
	return (x > y) - (x < y);
}

static int by_mapping_start(const void *a, const void *b)
{
	uint64_t x = ((const struct cprof_core_mapping *)a)->start;
	uint64_t y = ((const struct cprof_core_mapping *)b)->start;
	return (x > y) - (x < y);
}

static struct cprof_error *read_headers(struct cprof_core_file *core, Elf *elf)
{
	size_t n;
	if (elf_getphdrnum(elf, &n) < 0 || n > SEGMENTS_MAX)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: its program headers: %s",
				       elf_errmsg(-1));
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n; i++) {
		GElf_Phdr phdr;
		if (!gelf_getphdr(elf, (int)i, &phdr))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "core file: its program headers are cut off");
		if (phdr.p_type == PT_NOTE)
			err = read_notes(core, elf, &phdr);
		else if (phdr.p_type == PT_LOAD)
			err = add_segment(core, &phdr);
	}
	if (!err && !core->n_threads)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "core file: no threads in it");
	return err;
}

/* ---- open ---- */

static struct cprof_error *check_kind(const uint8_t *bytes, size_t n)
{
	static const struct {
		const char *magic, *with;
		size_t n;
	} packed[] = {
		{ "\x28\xb5\x2f\xfd", "zstd -d", 4 },
		{ "\xfd"
		  "7zXZ",
		  "xz -d", 5 },
		{ "\x1f\x8b", "gzip -d", 2 },
		{ "\x04\x22\x4d\x18", "lz4 -d", 4 },
	};
	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
		if (n >= packed[i].n && memcmp(bytes, packed[i].magic, packed[i].n) == 0)
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"the core file is compressed"),
				"unpack it with %s first; of systemd's, coredumpctl dump -o FILE PID does",
				packed[i].with);
	}
	if (n < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "not a core file");
	Elf64_Ehdr header;
	memcpy(&header, bytes, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != cprof_arch_host()->elf_machine)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "not of this CPU (%s, 64 bit)",
				       cprof_arch_host()->name);
	/* libelf makes room for all sections that a header promises before it looks for them. */
	Elf64_Shdr first = { 0 };
	if (!header.e_shnum && header.e_shoff < n - sizeof(first))
		memcpy(&first, bytes + header.e_shoff, sizeof(first));
	if (first.sh_size > SECTIONS_MAX)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: too many sections");
	if (header.e_type != ET_CORE)
		return cprof_error_hint(cprof_error_new(CPROF_ERR_BAD_DATA,
							"a program or library, not a core file"),
					"the program goes to -exe FILE");
	return NULL;
}

struct cprof_error *cprof_core_file_parse(const void *bytes, size_t n,
					  struct cprof_core_file *ret_core)
{
	struct cprof_core_file core = { .bytes = bytes, .n_bytes = n };
	struct cprof_error *err = check_kind(bytes, n);
	if (err)
		return err;
	elf_version(EV_CURRENT);
	/* libelf reads only; its parameter is not const. */
	Elf *elf = elf_memory((char *)(uintptr_t)bytes, n);
	if (!elf)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "core file: %s", elf_errmsg(-1));
	err = read_headers(&core, elf);
	elf_end(elf);
	if (err) {
		cprof_core_file_deinit(&core);
		return err;
	}
	if (core.n_segments)
		qsort(core.segments, core.n_segments, sizeof(*core.segments), by_start);
	if (core.n_mappings)
		qsort(core.mappings, core.n_mappings, sizeof(*core.mappings), by_mapping_start);
	*ret_core = core;
	return NULL;
}

struct cprof_error *cprof_core_file_open(const char *path, struct cprof_core_file *ret_core)
{
	struct stat st;
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cprof_error_os(errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is not a core file", path);
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return cprof_error_os(errno, "map %s", path);
	struct cprof_error *err = cprof_core_file_parse(bytes, (size_t)st.st_size, ret_core);
	if (err) {
		munmap(bytes, (size_t)st.st_size);
		return cprof_error_wrap(err, "%s", path);
	}
	ret_core->mapped = true;
	return NULL;
}

void cprof_core_file_deinit(struct cprof_core_file *core)
{
	if (core->mapped)
		munmap((void *)(uintptr_t)core->bytes, core->n_bytes);
	free(core->segments);
	free(core->mappings);
	free(core->threads);
	*core = (struct cprof_core_file){ 0 };
}

/* ---- memory ---- */

const struct cprof_core_segment *cprof_core_file_segment(const struct cprof_core_file *core,
							 uint64_t addr)
{
	size_t at = CPROF_SEARCH(i, core->n_segments, core->segments[i].end <= addr);
	return at < core->n_segments && core->segments[at].start <= addr ? &core->segments[at]
									 : NULL;
}

const uint8_t *cprof_core_file_dumped(const struct cprof_core_file *core, uint64_t addr,
				      size_t *ret_n)
{
	const struct cprof_core_segment *segment = cprof_core_file_segment(core, addr);
	if (!segment || addr - segment->start >= segment->file_size)
		return NULL;
	*ret_n = (size_t)(segment->file_size - (addr - segment->start));
	return core->bytes + segment->offset + (addr - segment->start);
}

bool cprof_core_file_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	size_t left;
	const uint8_t *bytes = cprof_core_file_dumped(ctx, addr, &left);
	if (!bytes || left < n)
		return false;
	memcpy(buf, bytes, n);
	return true;
}

/* ---- as a target ---- */

struct cprof_error *cprof_core_file_target(const char *path, struct cprof_target **ret_target)
{
	struct cprof_core_file core;
	struct cprof_error *err = cprof_core_file_open(path, &core);
	if (err)
		return err;
	struct cprof_target *target = calloc(1, sizeof(*target));
	if (!target) {
		cprof_core_file_deinit(&core);
		return cprof_error_no_memory();
	}
	target->pid = core.pid ? core.pid : core.threads[0].tid;
	target->ns_pid = target->pid;
	target->pidfd = -1;
	target->exited = true;
	memcpy(target->comm, core.comm, sizeof(core.comm));
	cprof_core_file_deinit(&core);
	*ret_target = target;
	return NULL;
}
