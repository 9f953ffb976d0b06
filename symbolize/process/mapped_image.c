/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/mapped_image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SEGMENTS_MAX 64
#define DYNAMIC_MAX  512 /* entries looked at */
#define NOTES_MAX    3   /* segments of them: the build-id is in one */
#define PIECE        ((size_t)64 << 10)

/* The sections that are added behind everything; their names stand in the last. */
enum { NONE, NOTES, DYNSYM = NOTES + NOTES_MAX, DYNSTR, SHSTRTAB, N_SECTIONS };
static const char section_names[] = "\0.note\0.dynsym\0.dynstr\0.shstrtab";
#define NAME_NOTE     1
#define NAME_DYNSYM   7
#define NAME_DYNSTR   15
#define NAME_SHSTRTAB 23
#define TAIL          (sizeof(Elf64_Shdr) * N_SECTIONS + sizeof(section_names))

struct mapped {
	const struct cprof_memory *memory; /* borrowed */
	uint64_t bias;                     /* run-time address minus address in the file */
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX];
	uint8_t *bytes; /* owned; by offset in the file, TAIL more at the end */
	size_t size;    /* without TAIL; a multiple of 8 */
};

static struct cprof_error *no_elf(void)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "no ELF file lies in the process's memory");
}

static bool read_memory(const struct mapped *m, uint64_t addr, void *buf, size_t n)
{
	return m->memory->read(m->memory->ctx, addr, buf, n);
}

/* ---- where it is ---- */

/* The beginning of the file, at or below `map`; 0: it is not mapped. */
static uint64_t find_start(const struct cprof_maps *maps, const struct cprof_map *map)
{
	uint64_t start = 0;
	for (size_t i = 0; i < maps->n_sorted && maps->sorted[i]->start <= map->start; i++) {
		const struct cprof_map *other = maps->sorted[i];
		if (other->inode == map->inode && other->dev == map->dev && !other->offset)
			start = other->start;
	}
	return start;
}

static bool read_headers(struct mapped *m, uint64_t start)
{
	Elf64_Ehdr *header = &m->header;
	if (!read_memory(m, start, header, sizeof(*header)) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || !header->e_phnum ||
	    header->e_phnum > SEGMENTS_MAX || header->e_phoff > PIECE)
		return false;
	if (!read_memory(m, start + header->e_phoff, m->segments,
			 header->e_phnum * sizeof(*m->segments)))
		return false;
	for (size_t i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *segment = &m->segments[i];
		if (segment->p_type != PT_LOAD)
			continue;
		/* The first one begins where the file does; kernel and loader round down to a page, both alike. */
		m->bias = start - (segment->p_vaddr - segment->p_offset);
		return segment->p_offset < 4096;
	}
	return false;
}

/* Bytes up to the end of the last segment, and of the program headers; 0: nonsense, as where the same ones would be read again and again. */
static size_t size_of(const struct mapped *m, size_t most)
{
	uint64_t size = m->header.e_phoff + m->header.e_phnum * sizeof(Elf64_Phdr), left = most;
	for (size_t i = 0; i < m->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &m->segments[i];
		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_offset > most || segment->p_filesz > most - segment->p_offset ||
		    segment->p_filesz > left)
			return 0;
		left -= segment->p_filesz;
		if (segment->p_offset + segment->p_filesz > size)
			size = segment->p_offset + segment->p_filesz;
	}
	size = (size + 7) & ~7ull;
	return size <= most ? (size_t)size : 0;
}

static void read_segment(struct mapped *m, const Elf64_Phdr *segment)
{
	for (uint64_t at = 0; at < segment->p_filesz; at += PIECE) {
		const uint64_t left = segment->p_filesz - at;
		const size_t n = left < PIECE ? (size_t)left : PIECE;
		uint8_t *to = m->bytes + segment->p_offset + at;
		if (!read_memory(m, m->bias + segment->p_vaddr + at, to, n))
			memset(to, 0, n);
	}
}

/* ---- its dynamic symbols ---- */

/* The bytes at an address in the file, and how many there are; NULL: in no segment. */
static const uint8_t *bytes_at(const struct mapped *m, uint64_t addr, uint64_t *ret_offset,
			       uint64_t *ret_left)
{
	for (size_t i = 0; i < m->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &m->segments[i];
		const uint64_t at = addr - segment->p_vaddr;
		if (segment->p_type != PT_LOAD || addr < segment->p_vaddr ||
		    at >= segment->p_filesz)
			continue;
		*ret_offset = segment->p_offset + at;
		*ret_left = segment->p_filesz - at;
		return m->bytes + *ret_offset;
	}
	return NULL;
}

struct dynamic {
	uint64_t symtab, strtab, strsz, hash, gnu_hash;
};

static struct dynamic read_dynamic(const struct mapped *m)
{
	struct dynamic found = { 0 };
	const struct {
		int64_t tag;
		uint64_t *value;
	} wanted[] = {
		{ DT_SYMTAB, &found.symtab },     { DT_STRTAB, &found.strtab },
		{ DT_STRSZ, &found.strsz },       { DT_HASH, &found.hash },
		{ DT_GNU_HASH, &found.gnu_hash },
	};
	uint64_t offset = 0, left = 0;
	const uint8_t *at = NULL;
	for (size_t i = 0; i < m->header.e_phnum && !at; i++) {
		if (m->segments[i].p_type == PT_DYNAMIC)
			at = bytes_at(m, m->segments[i].p_vaddr, &offset, &left);
	}
	for (size_t i = 0; at && i < DYNAMIC_MAX && left >= sizeof(Elf64_Dyn); i++) {
		Elf64_Dyn entry;
		memcpy(&entry, at, sizeof(entry));
		if (entry.d_tag == DT_NULL)
			break;
		for (size_t w = 0; w < sizeof(wanted) / sizeof(wanted[0]); w++) {
			if (entry.d_tag == wanted[w].tag)
				*wanted[w].value = entry.d_un.d_val;
		}
		at += sizeof(entry);
		left -= sizeof(entry);
	}
	return found;
}

/* glibc has put the run-time address in the place of the file's, others have not. */
static uint64_t in_file(const struct mapped *m, uint64_t addr)
{
	uint64_t offset, left;
	return m->bias && bytes_at(m, addr - m->bias, &offset, &left) ? addr - m->bias : addr;
}

static uint32_t word_at(const uint8_t *bytes, uint64_t index)
{
	uint32_t word;
	memcpy(&word, bytes + index * 4, 4);
	return word;
}

/* Symbols, by the last chain of the table: the highest number in a bucket, and on to the end of its chain. */
static uint64_t count_by_gnu_hash(const uint8_t *table, uint64_t left)
{
	const uint64_t words = left / 4;
	if (words < 4)
		return 0;
	const uint64_t n_buckets = word_at(table, 0), first = word_at(table, 1);
	const uint64_t buckets = 4 + (uint64_t)word_at(table, 2) * 2, chains = buckets + n_buckets;
	uint64_t last = 0;
	for (uint64_t i = buckets; i < chains && i < words; i++)
		last = word_at(table, i) > last ? word_at(table, i) : last;
	if (chains > words || last < first)
		return chains > words ? 0 : first;
	for (uint64_t i = chains + (last - first); i < words; i++, last++) {
		if (word_at(table, i) & 1)
			return last + 1;
	}
	return 0;
}

static uint64_t count_symbols(const struct mapped *m, const struct dynamic *dynamic)
{
	uint64_t offset, left;
	const uint8_t *table =
		dynamic->hash ? bytes_at(m, in_file(m, dynamic->hash), &offset, &left) : NULL;
	if (table && left >= 8)
		return word_at(table, 1);
	table = dynamic->gnu_hash ? bytes_at(m, in_file(m, dynamic->gnu_hash), &offset, &left)
				  : NULL;
	return table ? count_by_gnu_hash(table, left) : 0;
}

/* False: there are none. */
static bool find_symbols(const struct mapped *m, Elf64_Shdr *symbols, Elf64_Shdr *strings)
{
	const struct dynamic dynamic = read_dynamic(m);
	uint64_t left = 0, text_left = 0;
	symbols->sh_addr = in_file(m, dynamic.symtab);
	strings->sh_addr = in_file(m, dynamic.strtab);
	if (!dynamic.symtab || !dynamic.strtab ||
	    !bytes_at(m, symbols->sh_addr, &symbols->sh_offset, &left) ||
	    !bytes_at(m, strings->sh_addr, &strings->sh_offset, &text_left))
		return false;
	const uint64_t n = count_symbols(m, &dynamic), most = left / sizeof(Elf64_Sym);
	symbols->sh_size = (n < most ? n : most) * sizeof(Elf64_Sym);
	strings->sh_size = dynamic.strsz < text_left ? dynamic.strsz : text_left;
	return n > 0;
}

/* ---- the image ---- */

static void put_notes(const struct mapped *m, Elf64_Shdr notes[NOTES_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < m->header.e_phnum && n < NOTES_MAX; i++) {
		const Elf64_Phdr *segment = &m->segments[i];
		uint64_t offset, left;
		if (segment->p_type != PT_NOTE || !bytes_at(m, segment->p_vaddr, &offset, &left))
			continue;
		notes[n++] = (Elf64_Shdr){
			.sh_name = NAME_NOTE,
			.sh_type = SHT_NOTE,
			.sh_flags = SHF_ALLOC,
			.sh_addr = segment->p_vaddr,
			.sh_offset = offset,
			.sh_size = segment->p_filesz < left ? segment->p_filesz : left,
		};
	}
}

static void put_sections(struct mapped *m)
{
	Elf64_Ehdr *header = &m->header;
	Elf64_Shdr sections[N_SECTIONS] = {
		[SHSTRTAB] = { .sh_name = NAME_SHSTRTAB,
			       .sh_type = SHT_STRTAB,
			       .sh_offset = m->size + sizeof(sections),
			       .sh_size = sizeof(section_names) },
	};
	Elf64_Shdr symbols = { .sh_name = NAME_DYNSYM,
			       .sh_type = SHT_DYNSYM,
			       .sh_flags = SHF_ALLOC,
			       .sh_link = DYNSTR,
			       .sh_entsize = sizeof(Elf64_Sym) };
	Elf64_Shdr strings = { .sh_name = NAME_DYNSTR,
			       .sh_type = SHT_STRTAB,
			       .sh_flags = SHF_ALLOC };
	put_notes(m, &sections[NOTES]);
	if (find_symbols(m, &symbols, &strings)) {
		sections[DYNSYM] = symbols;
		sections[DYNSTR] = strings;
	}
	header->e_shoff = m->size;
	header->e_shentsize = sizeof(Elf64_Shdr);
	header->e_shnum = N_SECTIONS;
	header->e_shstrndx = SHSTRTAB;
	memcpy(m->bytes + m->size, sections, sizeof(sections));
	memcpy(m->bytes + m->size + sizeof(sections), section_names, sizeof(section_names));
	memcpy(m->bytes, header, sizeof(*header));
	memcpy(m->bytes + header->e_phoff, m->segments, header->e_phnum * sizeof(*m->segments));
}

struct cprof_error *cprof_mapped_image_read(const struct cprof_maps *maps,
					    const struct cprof_map *map, size_t most,
					    struct cprof_image **ret_image)
{
	struct mapped m = { .memory = &maps->memory };
	const uint64_t start = map->inode ? find_start(maps, map) : 0;
	most = most < CPROF_MAPPED_IMAGE_MAX ? most : CPROF_MAPPED_IMAGE_MAX;
	if (!maps->memory.read)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "there is no process to read from");
	if (!start || !read_headers(&m, start))
		return no_elf();
	m.size = size_of(&m, most);
	if (m.size < sizeof(m.header))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "what is mapped of it is too large to be copied");
	m.bytes = calloc(1, m.size + TAIL);
	if (!m.bytes)
		return cprof_error_no_memory();
	for (size_t i = 0; i < m.header.e_phnum; i++) {
		if (m.segments[i].p_type == PT_LOAD)
			read_segment(&m, &m.segments[i]);
	}
	put_sections(&m);
	return cprof_image_from_bytes(m.bytes, m.size + TAIL, ret_image);
}
