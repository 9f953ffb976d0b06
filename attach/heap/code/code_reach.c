/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_reach.h"

#include <stdlib.h>
#include <string.h>

#include "attach/heap/code/code_landing.h"
#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_near.h"
#include "attach/heap/code/code_steps.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"

#define CHUNK       (256u << 10)
#define BEFORE      4u /* bytes of an instruction that are looked at in front of a distance */
#define TABLE_MAX   (1u << 16)
#define WORD        sizeof(uint32_t)
#define ENDBR_BYTES 4u
/* A file can name the same bytes as often as it likes. More than this is no program. */
#define SCAN_MAX (4ull << 30)
/* So many may turn out to be something else, of those that come to one function; then all are believed. */
#define DOUBTS_MAX 64u

struct search {
	struct cprof_code_object *object;
	struct cprof_code_place *places; /* owned; by address, without overlaps */
	size_t n_places;
	uint64_t low, high; /* around all of them */
	uint64_t data_low, data_high;
	uint64_t code_low, code_high;
	bool fixed; /* its addresses are below 2 GiB, and are those of the process */
	uint64_t
		*bases; /* owned; data whose address is taken, by address: tables may begin there */
	size_t n_bases, cap_bases;
	struct cprof_code_reach
		*itself; /* owned; words of the data that hold distances from themselves */
	size_t n_itself, cap_itself;
	struct cprof_code_reaches *found;
};

static bool in_places(const struct search *search, uint64_t addr)
{
	if (addr - search->low >= search->high - search->low)
		return false;
	size_t at = CPROF_SEARCH(i, search->n_places, search->places[i].end <= addr);
	return at < search->n_places && search->places[at].start <= addr;
}

static struct cprof_error *add(struct search *search, uint64_t from, uint64_t to,
			       enum cprof_code_way way)
{
	struct cprof_code_reaches *found = search->found;
	if (!in_places(search, to))
		return NULL;
	if (!CPROF_ARRAY_ROOM(found->all, found->n, found->cap, 1))
		return cprof_error_no_memory();
	found->all[found->n++] = (struct cprof_code_reach){ from, to, way };
	return NULL;
}

/* ---- code ---- */

static uint32_t word_at(const uint8_t *bytes)
{
	uint32_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Intel SDM Vol. 2 "Opcode Map": is `distance` behind the opcode of a branch, or the mod r/m byte of what is rip-relative? */
static bool is_way(const uint8_t *distance, enum cprof_code_way *ret_way)
{
	const uint8_t last = distance[-1], before = distance[-2];
	*ret_way = CPROF_CODE_WAY_JUMP;
	if (last == 0xe8)
		*ret_way = CPROF_CODE_WAY_CALL;
	if (last == 0xe8 || last == 0xe9 || (before == 0x0f && (last & 0xf0) == 0x80) ||
	    (before == 0xc7 && last == 0xf8))
		return true;
	*ret_way = CPROF_CODE_WAY_ADDRESS;
	return (last & 0xc7) == 0x05;
}

/* mov $address, %register; push $address; movq $address, %register. */
static bool is_immediate(const uint8_t *immediate)
{
	const uint8_t last = immediate[-1];
	return (last & 0xf8) == 0xb8 || last == 0x68 ||
	       (immediate[-2] == 0xc7 && (last & 0xf8) == 0xc0);
}

/* lea distance(%rip), %register */
static bool is_lea(const uint8_t *distance)
{
	return (distance[-1] & 0xc7) == 0x05 && distance[-2] == 0x8d &&
	       (distance[-3] & 0xf8) == 0x48;
}

static struct cprof_error *add_base(struct search *search, uint64_t addr)
{
	if (!CPROF_ARRAY_ROOM(search->bases, search->n_bases, search->cap_bases, 1))
		return cprof_error_no_memory();
	search->bases[search->n_bases++] = addr;
	return NULL;
}

static struct cprof_error *look_at_code(struct search *search, const uint8_t *at, uint64_t addr)
{
	const uint32_t word = word_at(at);
	const uint64_t to = addr + WORD + (uint64_t)(int64_t)(int32_t)word;
	enum cprof_code_way way;
	struct cprof_error *err = NULL;
	if (to - search->low < search->high - search->low && is_way(at, &way))
		err = add(search, addr, to, way);
	else if (to - search->data_low < search->data_high - search->data_low && is_lea(at))
		err = add_base(search, to);
	if (!err && search->fixed && word - search->low < search->high - search->low &&
	    is_immediate(at))
		err = add(search, addr, word, CPROF_CODE_WAY_NUMBER);
	return err;
}

/* `n` bytes at `addr`, with BEFORE bytes in front of them that were looked at. */
static struct cprof_error *look_at_chunk(struct search *search, const uint8_t *bytes, uint64_t addr,
					 size_t n)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i + WORD <= n; i++)
		err = look_at_code(search, bytes + i, addr + i);
	return err;
}

static struct cprof_error *broken(void)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "its file was cut short");
}

/* In pieces and past the image's copy: the code of a browser is 150 MB. */
static struct cprof_error *scan_code(struct search *search,
				     const struct cprof_code_section *section, uint8_t *buf)
{
	struct cprof_error *err = NULL;
	for (uint64_t done = 0; !err && done < section->size; done += CHUNK) {
		uint64_t n = section->size - done;
		uint64_t before = done ? BEFORE : 0;
		if (n > CHUNK + WORD - 1)
			n = CHUNK + WORD - 1;
		memset(buf, 0, BEFORE);
		if (!cprof_image_copy(search->object->image, section->offset + done - before,
				      buf + BEFORE - before, n + before))
			return broken();
		err = look_at_chunk(search, buf + BEFORE, section->addr + done, n);
	}
	return err;
}

/* ---- data ---- */

/* A word that holds a distance from itself; whether it is part of a table of another form is not known yet. */
static struct cprof_error *add_itself(struct search *search, uint64_t from, uint64_t to)
{
	if (!in_places(search, to))
		return NULL;
	if (!CPROF_ARRAY_ROOM(search->itself, search->n_itself, search->cap_itself, 1))
		return cprof_error_no_memory();
	search->itself[search->n_itself++] =
		(struct cprof_code_reach){ from, to, CPROF_CODE_WAY_TABLE };
	return NULL;
}

/* Where addresses are not fixed there is none without a relocation, and these are known. */
static struct cprof_error *look_at_data(struct search *search, const uint8_t *at, uint64_t addr,
					bool whole)
{
	const uint64_t low = search->low, span = search->high - search->low;
	const uint32_t word = word_at(at);
	const uint64_t itself = addr + (uint64_t)(int64_t)(int32_t)word;
	uint64_t value = 0;
	struct cprof_error *err = NULL;
	if (whole)
		memcpy(&value, at, sizeof(value));
	if (search->fixed && (value - low < span || word - low < span))
		err = add(search, addr, word, CPROF_CODE_WAY_POINTER);
	if (!err && whole && search->object->got && value + search->object->got - low < span)
		err = add(search, addr, value + search->object->got, CPROF_CODE_WAY_TABLE);
	if (!err && itself - low < span)
		err = add_itself(search, addr, itself);
	return err;
}

static struct cprof_error *scan_data(struct search *search,
				     const struct cprof_code_section *section, uint8_t *buf)
{
	struct cprof_error *err = NULL;
	for (uint64_t done = 0; !err && done < section->size; done += CHUNK) {
		uint64_t n = section->size - done;
		if (n > CHUNK + WORD)
			n = CHUNK + WORD;
		if (!cprof_image_copy(search->object->image, section->offset + done, buf, n))
			return broken();
		for (size_t i = 0; !err && i + WORD <= n && i < CHUNK; i += WORD)
			err = look_at_data(search, buf + i, section->addr + done + i,
					   i + sizeof(uint64_t) <= n);
	}
	return err;
}

/* What lies in the table is a part of it, whatever it would mean alone. */
static void drop_itself(struct search *search, uint64_t start, uint64_t end)
{
	size_t kept = 0;
	for (size_t i = 0; i < search->n_itself; i++) {
		if (search->itself[i].from < start || search->itself[i].from >= end)
			search->itself[kept++] = search->itself[i];
	}
	search->n_itself = kept;
}

/* A table of distances from its own beginning, up to where it leads out of the code or the next thing begins. */
static struct cprof_error *look_at_table(struct search *search, uint64_t base, uint64_t limit)
{
	struct cprof_error *err = NULL;
	uint64_t at;
	for (at = base; !err && at + WORD <= limit && at - base < TABLE_MAX * WORD; at += WORD) {
		const uint8_t *bytes = cprof_code_object_bytes(search->object, at, WORD);
		if (!bytes)
			break;
		uint64_t to = base + (uint64_t)(int64_t)(int32_t)word_at(bytes);
		if (to - search->code_low >= search->code_high - search->code_low)
			break;
		err = add(search, at, to, CPROF_CODE_WAY_TABLE);
	}
	if (at > base)
		drop_itself(search, base, at);
	return err;
}

static int by_number(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;
	return *a < *b ? -1 : *a > *b;
}

static struct cprof_error *look_at_tables(struct search *search)
{
	struct cprof_error *err = NULL;
	if (search->n_bases)
		qsort(search->bases, search->n_bases, sizeof(*search->bases), by_number);
	for (size_t i = 0; !err && i < search->n_bases; i++) {
		uint64_t base = search->bases[i];
		if (i + 1 < search->n_bases && search->bases[i + 1] == base)
			continue;
		err = look_at_table(search, base,
				    i + 1 < search->n_bases ? search->bases[i + 1]
							    : search->data_high);
	}
	for (size_t i = 0; !err && i < search->n_itself; i++)
		err = add(search, search->itself[i].from, search->itself[i].to,
			  CPROF_CODE_WAY_TABLE);
	return err;
}

/* ---- what else leads to code ---- */

static struct cprof_error *look_at_pointers(struct search *search)
{
	const struct cprof_code_object *object = search->object;
	struct cprof_error *err = NULL;
	size_t at = CPROF_SEARCH(i, object->n_pointers, object->pointers[i] < search->low);
	for (; !err && at < object->n_pointers && object->pointers[at] < search->high; at++)
		err = add(search, 0, object->pointers[at], CPROF_CODE_WAY_POINTER);
	return err;
}

/* A label that only its own file knows is reached by the branches of that file, which are seen. */
static bool may_be_reached(const Elf64_Sym *symbol)
{
	const unsigned type = ELF64_ST_TYPE(symbol->st_info);
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	return type == STT_NOTYPE && ELF64_ST_BIND(symbol->st_info) != STB_LOCAL;
}

static struct cprof_error *look_at_symbols(struct search *search, uint32_t type)
{
	struct cprof_elf *elf = search->object->elf;
	const struct cprof_section *table = elf ? cprof_elf_section_of_type(elf, type) : NULL;
	size_t n = table ? table->size / sizeof(Elf64_Sym) : 0;
	const uint8_t *bytes = table ? cprof_section_at(table, 0, n * sizeof(Elf64_Sym)) : NULL;
	struct cprof_error *err = NULL;
	for (size_t i = 0; bytes && !err && i < n; i++) {
		Elf64_Sym symbol;
		memcpy(&symbol, bytes + i * sizeof(symbol), sizeof(symbol));
		if (symbol.st_value - search->low < search->high - search->low &&
		    may_be_reached(&symbol))
			err = add(search, 0, symbol.st_value, CPROF_CODE_WAY_SYMBOL);
	}
	return err;
}

/* endbr64 */
static struct cprof_error *look_at_marks(struct search *search,
					 const struct cprof_code_place *place)
{
	const uint64_t n = place->end - place->start + ENDBR_BYTES - 1;
	const uint8_t *bytes = cprof_code_object_bytes(search->object, place->start, n);
	struct cprof_error *err = NULL;
	for (uint64_t i = 0; bytes && !err && i + ENDBR_BYTES <= n; i++) {
		if (memcmp(bytes + i, "\xf3\x0f\x1e\xfa", ENDBR_BYTES) == 0)
			err = add(search, place->start + i, place->start + i, CPROF_CODE_WAY_ENDBR);
	}
	return err;
}

static struct cprof_error *found_near(void *ctx, uint64_t from, uint64_t to)
{
	struct search *search = ctx;
	return add(search, from, to, CPROF_CODE_WAY_JUMP);
}

static struct cprof_error *found_landing(void *ctx, uint64_t from, uint64_t to)
{
	struct search *search = ctx;
	return add(search, from, to, CPROF_CODE_WAY_LANDING);
}

/* ---- all of it ---- */

static int by_place(const void *a_, const void *b_)
{
	const struct cprof_code_place *a = a_, *b = b_;
	return a->start < b->start ? -1 : a->start > b->start;
}

/* Those that overlap become one. */
static struct cprof_error *take_places(struct search *search, const struct cprof_code_place *places,
				       size_t n)
{
	size_t kept = 0;
	search->places = malloc((n + 1) * sizeof(*places));
	if (!search->places)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		if (places[i].start < places[i].end)
			search->places[search->n_places++] = places[i];
	}
	if (search->n_places)
		qsort(search->places, search->n_places, sizeof(*places), by_place);
	for (size_t i = 0; i < search->n_places; i++) {
		struct cprof_code_place *last = kept ? &search->places[kept - 1] : NULL;
		if (!last || last->end < search->places[i].start)
			search->places[kept++] = search->places[i];
		else if (last->end < search->places[i].end)
			last->end = search->places[i].end;
	}
	search->n_places = kept;
	if (kept) {
		search->low = search->places[0].start;
		search->high = search->places[kept - 1].end;
	}
	return NULL;
}

static void widen(uint64_t *low, uint64_t *high, const struct cprof_code_section *section)
{
	if (!*high || section->addr < *low)
		*low = section->addr;
	if (section->addr + section->size > *high)
		*high = section->addr + section->size;
}

static void measure(struct search *search)
{
	const struct cprof_code_object *object = search->object;
	for (size_t i = 0; i < object->n_sections; i++) {
		const struct cprof_code_section *section = &object->sections[i];
		if (section->executable)
			widen(&search->code_low, &search->code_high, section);
		else
			widen(&search->data_low, &search->data_high, section);
	}
	search->fixed = object->elf && object->elf->type == ET_EXEC && search->high <= INT32_MAX;
}

static struct cprof_error *scan(struct search *search)
{
	const struct cprof_code_object *object = search->object;
	CPROF_AUTO(free) uint8_t *buf = malloc(BEFORE + CHUNK + WORD);
	struct cprof_error *err = buf ? NULL : cprof_error_no_memory();
	uint64_t left = SCAN_MAX;
	for (size_t i = 0; !err && i < object->n_sections; i++) {
		const struct cprof_code_section *section = &object->sections[i];
		if (section->size > left)
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "its file is too large to be searched");
		left -= section->size;
		if (section->executable)
			err = scan_code(search, section, buf);
		else if (!section->tables)
			err = scan_data(search, section, buf);
	}
	return err;
}

static struct cprof_error *search_all(struct search *search)
{
	measure(search);
	struct cprof_error *err = scan(search);
	if (!err)
		err = look_at_tables(search);
	if (!err)
		err = look_at_pointers(search);
	if (!err)
		err = look_at_symbols(search, SHT_DYNSYM);
	if (!err)
		err = look_at_symbols(search, SHT_SYMTAB);
	if (!err)
		err = cprof_code_landing_each(search->object, found_landing, search);
	for (size_t i = 0; !err && i < search->n_places; i++) {
		const struct cprof_code_place *place = &search->places[i];
		err = look_at_marks(search, place);
		if (!err)
			err = cprof_code_near_each(search->object, place->start, place->end,
						   found_near, search);
	}
	return err;
}

static int by_target(const void *a_, const void *b_)
{
	const struct cprof_code_reach *a = a_, *b = b_;
	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	if (a->way != b->way)
		return a->way < b->way ? -1 : 1;
	return a->from < b->from ? -1 : a->from > b->from;
}

struct cprof_error *cprof_code_reaches_find(struct cprof_code_object *object,
					    const struct cprof_code_place *places, size_t n,
					    struct cprof_code_reaches *ret_reaches)
{
	struct cprof_code_reaches found = { .object = object };
	struct search search = { .object = object, .found = &found };
	struct cprof_error *err = take_places(&search, places, n);
	if (!err && search.n_places)
		err = search_all(&search);
	free(search.places);
	free(search.bases);
	free(search.itself);
	if (err) {
		cprof_code_reaches_deinit(&found);
		return err;
	}
	if (found.n)
		qsort(found.all, found.n, sizeof(*found.all), by_target);
	*ret_reaches = found;
	return NULL;
}

void cprof_code_reaches_deinit(struct cprof_code_reaches *reaches)
{
	free(reaches->all);
	*reaches = (struct cprof_code_reaches){ 0 };
}

/* ---- asking ---- */

/* Where a function jumps into the middle of its own instructions nothing is what it looks like. */
static struct cprof_error *overlaps(struct cprof_code_object *object, uint64_t at,
				    bool *ret_overlaps)
{
	uint64_t start, end;
	struct cprof_code_flow flow;
	*ret_overlaps = true;
	if (!cprof_code_object_function(object, at, &start, &end))
		return NULL;
	struct cprof_error *err = cprof_code_flow_find(object, start, &flow);
	if (err)
		return err;
	*ret_overlaps = flow.overlaps;
	cprof_code_flow_deinit(&flow);
	return NULL;
}

/* Is it what it looks like, and not the middle of something else, or a number that could be an address? */
static struct cprof_error *is_meant(struct cprof_code_object *object,
				    const struct cprof_code_reach *reach, bool *ret_meant)
{
	*ret_meant = true;
	switch (reach->way) {
	case CPROF_CODE_WAY_JUMP:
	case CPROF_CODE_WAY_CALL:
	case CPROF_CODE_WAY_ADDRESS:
	case CPROF_CODE_WAY_NUMBER:
		return cprof_code_steps_confirm(object, reach->from,
						reach->way == CPROF_CODE_WAY_NUMBER)
			       ? NULL
			       : overlaps(object, reach->from, ret_meant);
	case CPROF_CODE_WAY_POINTER:
	case CPROF_CODE_WAY_TABLE:
		/* By the dynamic linker's word, or to where an instruction begins. */
		if (reach->from)
			*ret_meant = cprof_code_steps_begins(object, reach->to);
		return NULL;
	default:
		return NULL;
	}
}

struct cprof_error *cprof_code_reaches_in(const struct cprof_code_reaches *reaches, uint64_t start,
					  uint64_t end, const struct cprof_code_reach **ret_reach)
{
	size_t at = CPROF_SEARCH(i, reaches->n, reaches->all[i].to < start);
	for (size_t n = 0; at < reaches->n && reaches->all[at].to < end; at++, n++) {
		bool meant = true;
		struct cprof_error *err =
			n < DOUBTS_MAX ? is_meant(reaches->object, &reaches->all[at], &meant)
				       : NULL;
		if (err)
			return err;
		if (meant) {
			*ret_reach = &reaches->all[at];
			return NULL;
		}
	}
	*ret_reach = NULL;
	return NULL;
}

bool cprof_code_reaches_call(const struct cprof_code_reaches *reaches, uint64_t start, uint64_t end)
{
	size_t at = CPROF_SEARCH(i, reaches->n, reaches->all[i].to < start);
	for (; at < reaches->n && reaches->all[at].to < end; at++) {
		if (reaches->all[at].way == CPROF_CODE_WAY_JUMP ||
		    reaches->all[at].way == CPROF_CODE_WAY_CALL)
			return true;
	}
	return false;
}

const char *cprof_code_way_name(enum cprof_code_way way)
{
	static const char *const names[] = {
		[CPROF_CODE_WAY_JUMP] = "a jump",
		[CPROF_CODE_WAY_CALL] = "a call",
		[CPROF_CODE_WAY_ADDRESS] = "an instruction that takes its address",
		[CPROF_CODE_WAY_NUMBER] = "an instruction that takes its address",
		[CPROF_CODE_WAY_POINTER] = "a pointer",
		[CPROF_CODE_WAY_TABLE] = "a table of jumps",
		[CPROF_CODE_WAY_LANDING] = "a handler of exceptions",
		[CPROF_CODE_WAY_SYMBOL] = "a symbol",
		[CPROF_CODE_WAY_ENDBR] = "an indirect branch (endbr64)",
	};
	return names[way];
}
