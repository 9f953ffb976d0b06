/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_landing.h"

#include <string.h>

#include "symbolize/unwind/cfi_reader.h"

/* Entries of .eh_frame, and calls of one function. */
#define ENTRIES_MAX (8u << 20)
#define CALLS_MAX   (1u << 20)
#define PADS_MAX    (32u << 20) /* and of all of them */

/* What a common information entry says about the tables of its functions. */
struct common {
	uint64_t offset; /* in the section; UINT64_MAX: none was read */
	uint8_t code_encoding, table_encoding;
	bool has_sizes;
};

struct pads {
	struct cprof_code_object *object;
	cprof_code_landing_fn *fn;
	void *ctx;
	const uint8_t *bytes; /* of .eh_frame */
	uint64_t size, addr;
	size_t n; /* calls that were looked at */
	struct common common;
};

/* The reader at `offset` of an entry behind its length; *ret_next is where the next one is. False at the end. */
static bool open_entry(const struct pads *pads, uint64_t offset, struct cprof_cfi_reader *ret_entry,
		       uint64_t *ret_next)
{
	struct cprof_cfi_reader r = cprof_cfi_reader_of(pads->bytes, pads->size);
	if (!cprof_cfi_bytes(&r, offset))
		return false;
	uint64_t length = cprof_cfi_fixed(&r, 4);
	if (r.bad || !length || length == 0xffffffff)
		return false; /* nobody writes entries of more than 4 GiB here */
	const uint8_t *at = cprof_cfi_bytes(&r, length);
	if (!at)
		return false;
	*ret_entry = (struct cprof_cfi_reader){ at, at + length, false };
	*ret_next = (uint64_t)(r.at - pads->bytes);
	return true;
}

static void read_letters(struct cprof_cfi_reader *r, const char *letters, struct common *common)
{
	const struct cprof_cfi_base nowhere = { r->at, 0, 1 };
	for (; *letters && !r->bad; letters++) {
		switch (*letters) {
		case 'R':
			common->code_encoding = cprof_cfi_u8(r);
			break;
		case 'L':
			common->table_encoding = cprof_cfi_u8(r);
			break;
		case 'P':
			cprof_cfi_pointer(r, cprof_cfi_u8(r) & 0x0f, &nowhere);
			break;
		case 'S':
		case 'B':
		case 'G':
			break;
		default:
			r->bad = true;
		}
	}
}

/* The entry at `offset` as a common one; one that cannot be read has no tables. */
static void read_common(struct pads *pads, uint64_t offset)
{
	struct common *common = &pads->common;
	struct cprof_cfi_reader r;
	uint64_t next;
	if (common->offset == offset)
		return;
	*common = (struct common){ offset, CPROF_CFI_PE_ABSPTR, CPROF_CFI_PE_OMIT, false };
	if (!open_entry(pads, offset, &r, &next) || cprof_cfi_fixed(&r, 4) != 0)
		return;
	uint8_t version = cprof_cfi_u8(&r);
	const char *letters = (const char *)r.at;
	const uint8_t *zero = memchr(r.at, 0, cprof_cfi_left(&r));
	if (!zero || letters[0] != 'z')
		return;
	r.at = zero + 1;
	cprof_cfi_uleb(&r);
	cprof_cfi_sleb(&r);
	version == 1 ? (uint64_t)cprof_cfi_u8(&r) : cprof_cfi_uleb(&r);
	cprof_cfi_uleb(&r);
	struct common read = *common;
	read_letters(&r, letters + 1, &read);
	read.has_sizes = true;
	if (!r.bad)
		*common = read;
}

/* One function's table, at `addr`: the pads are counted from the function's start unless it says otherwise. */
static struct cprof_error *read_table(struct pads *pads, uint64_t addr, uint64_t function)
{
	const struct cprof_code_section *section = cprof_code_object_section(pads->object, addr, 1);
	uint64_t n = section ? section->addr + section->size - addr : 0;
	const uint8_t *bytes = cprof_code_object_bytes(pads->object, addr, n);
	struct cprof_cfi_reader r = cprof_cfi_reader_of(bytes, n);
	const struct cprof_cfi_base base = { bytes, addr, 0 };
	struct cprof_error *err = NULL;

	uint8_t encoding = cprof_cfi_u8(&r);
	uint64_t start =
		encoding == CPROF_CFI_PE_OMIT ? function : cprof_cfi_pointer(&r, encoding, &base);
	if (cprof_cfi_u8(&r) != CPROF_CFI_PE_OMIT)
		cprof_cfi_uleb(&r); /* where the types are */
	encoding = cprof_cfi_u8(&r);
	const uint64_t length = cprof_cfi_uleb(&r);
	if (r.bad || length > cprof_cfi_left(&r))
		return NULL;
	r.end = r.at + length;
	for (size_t i = 0; !err && cprof_cfi_left(&r) && i < CALLS_MAX && pads->n < PADS_MAX; i++) {
		pads->n++;
		cprof_cfi_pointer(&r, encoding & 0x0f, &base);
		cprof_cfi_pointer(&r, encoding & 0x0f, &base);
		uint64_t pad = cprof_cfi_pointer(&r, encoding & 0x0f, &base);
		cprof_cfi_uleb(&r);
		if (r.bad)
			break;
		if (pad)
			err = pads->fn(pads->ctx, function, start + pad);
	}
	return err;
}

/* A function's entry, behind its id. */
static struct cprof_error *read_function(struct pads *pads, struct cprof_cfi_reader *r)
{
	const struct common *common = &pads->common;
	const struct cprof_cfi_base base = { pads->bytes, pads->addr, 0 };
	uint64_t function = cprof_cfi_pointer(r, common->code_encoding, &base);
	cprof_cfi_pointer(r, common->code_encoding & 0x0f, &base);
	if (!common->has_sizes || common->table_encoding == CPROF_CFI_PE_OMIT)
		return NULL;
	cprof_cfi_uleb(r);
	const uint8_t *at = r->at;
	/* A distance of 0 is no table, whatever it would be counted from. */
	uint64_t distance = cprof_cfi_pointer(r, common->table_encoding & 0x0f, &base);
	if (r->bad || !distance)
		return NULL;
	r->at = at;
	uint64_t table = cprof_cfi_pointer(r, (uint8_t)(common->table_encoding & 0x7f), &base);
	return r->bad ? NULL : read_table(pads, table, function);
}

static struct cprof_error *read_entries(struct pads *pads)
{
	struct cprof_error *err = NULL;
	uint64_t offset = 0;
	for (size_t i = 0; !err && i < ENTRIES_MAX; i++) {
		struct cprof_cfi_reader r;
		uint64_t next;
		if (!open_entry(pads, offset, &r, &next))
			return NULL;
		const uint64_t here = (uint64_t)(r.at - pads->bytes);
		uint64_t id = cprof_cfi_fixed(&r, 4);
		if (id && id <= here) {
			read_common(pads, here - id);
			err = read_function(pads, &r);
		}
		offset = next;
	}
	return err;
}

struct cprof_error *cprof_code_landing_each(struct cprof_code_object *object,
					    cprof_code_landing_fn *fn, void *ctx)
{
	struct pads pads = {
		.object = object, .fn = fn, .ctx = ctx, .common = { .offset = UINT64_MAX }
	};
	const struct cprof_section *section =
		object->elf && cprof_elf_has_section(object->elf, ".gcc_except_table")
			? cprof_elf_section(object->elf, ".eh_frame")
			: NULL;
	if (!section)
		return NULL;
	pads.bytes = cprof_section_at(section, 0, section->size);
	pads.size = section->size;
	pads.addr = section->addr;
	return pads.bytes ? read_entries(&pads) : NULL;
}
