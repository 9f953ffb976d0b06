/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/cfi_reader.h - take numbers out of untrusted DWARF bytes, with the end always in sight.
 *
 * Once a read would pass the end, `bad` is set and every later read gives 0: the caller checks once.
 *
 * Sources: DWARF 5 "Variable Length Data"; LSB Core "DWARF Exception Header Encoding".
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_CFI_READER_H
#define CPROF_SYMBOLIZE_UNWIND_CFI_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cprof_cfi_reader {
	const uint8_t *at, *end;
	bool bad;
};

/* `bytes` may be NULL: then there are none. */
static inline struct cprof_cfi_reader cprof_cfi_reader_of(const uint8_t *bytes, size_t size)
{
	return (struct cprof_cfi_reader){ bytes, bytes ? bytes + size : bytes, false };
}

static inline size_t cprof_cfi_left(const struct cprof_cfi_reader *r)
{
	return (size_t)(r->end - r->at);
}

/* `n` little-endian bytes (1 to 8) as a number. */
static inline uint64_t cprof_cfi_fixed(struct cprof_cfi_reader *r, size_t n)
{
	uint64_t value = 0;
	if (r->bad || cprof_cfi_left(r) < n) {
		r->bad = true;
		return 0;
	}
	memcpy(&value, r->at, n);
	r->at += n;
	return value;
}

static inline uint8_t cprof_cfi_u8(struct cprof_cfi_reader *r)
{
	return (uint8_t)cprof_cfi_fixed(r, 1);
}

static inline int64_t cprof_cfi_sfixed(struct cprof_cfi_reader *r, size_t n)
{
	unsigned shift = (unsigned)(64 - 8 * n);
	return (int64_t)(cprof_cfi_fixed(r, n) << shift) >> shift;
}

/* Bits beyond the 64th are dropped, as every consumer of LEB128 does. */
static inline uint64_t cprof_cfi_uleb(struct cprof_cfi_reader *r)
{
	uint64_t value = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = cprof_cfi_u8(r);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
}

static inline int64_t cprof_cfi_sleb(struct cprof_cfi_reader *r)
{
	uint64_t value = 0;
	for (unsigned shift = 0;;) {
		uint8_t byte = cprof_cfi_u8(r);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && (byte & 0x40))
				value |= UINT64_MAX << shift;
			return (int64_t)value;
		}
	}
}

/* The next `n` bytes, left in place; NULL and bad if they are not there. */
static inline const uint8_t *cprof_cfi_bytes(struct cprof_cfi_reader *r, uint64_t n)
{
	if (r->bad || cprof_cfi_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *bytes = r->at;
	r->at += n;
	return bytes;
}

/* DW_EH_PE_*, with our own prefix: dwarf.h of elfutils has them only since 0.183 and some not at all. */
enum cprof_cfi_encoding {
	CPROF_CFI_PE_ABSPTR = 0x00,
	CPROF_CFI_PE_ULEB128 = 0x01,
	CPROF_CFI_PE_UDATA2 = 0x02,
	CPROF_CFI_PE_UDATA4 = 0x03,
	CPROF_CFI_PE_UDATA8 = 0x04,
	CPROF_CFI_PE_SLEB128 = 0x09,
	CPROF_CFI_PE_SDATA2 = 0x0a,
	CPROF_CFI_PE_SDATA4 = 0x0b,
	CPROF_CFI_PE_SDATA8 = 0x0c,
	CPROF_CFI_PE_PCREL = 0x10,
	CPROF_CFI_PE_DATAREL = 0x30,
	CPROF_CFI_PE_INDIRECT = 0x80,
	CPROF_CFI_PE_OMIT = 0xff,
};

/* What relative pointers are relative to. */
struct cprof_cfi_base {
	const uint8_t *bytes; /* the section */
	uint64_t addr;        /* its address in the file */
	uint64_t data_addr;   /* for DATAREL: the start of .eh_frame_hdr; 0: none */
};

/* A pointer in `encoding`; bad if the encoding is one we cannot follow in a file (indirect, aligned). */
static inline uint64_t cprof_cfi_pointer(struct cprof_cfi_reader *r, uint8_t encoding,
					 const struct cprof_cfi_base *base)
{
	uint64_t here = base->addr + (uint64_t)(r->at - base->bytes), value;
	switch (encoding & 0x0f) {
	case CPROF_CFI_PE_ABSPTR:
	case CPROF_CFI_PE_UDATA8:
	case CPROF_CFI_PE_SDATA8:
		value = cprof_cfi_fixed(r, 8);
		break;
	case CPROF_CFI_PE_ULEB128:
		value = cprof_cfi_uleb(r);
		break;
	case CPROF_CFI_PE_UDATA2:
		value = cprof_cfi_fixed(r, 2);
		break;
	case CPROF_CFI_PE_UDATA4:
		value = cprof_cfi_fixed(r, 4);
		break;
	case CPROF_CFI_PE_SLEB128:
		value = (uint64_t)cprof_cfi_sleb(r);
		break;
	case CPROF_CFI_PE_SDATA2:
		value = (uint64_t)cprof_cfi_sfixed(r, 2);
		break;
	case CPROF_CFI_PE_SDATA4:
		value = (uint64_t)cprof_cfi_sfixed(r, 4);
		break;
	default:
		r->bad = true;
		return 0;
	}
	switch (encoding & 0xf0) {
	case 0:
		return value;
	case CPROF_CFI_PE_PCREL:
		return value + here;
	case CPROF_CFI_PE_DATAREL:
		r->bad = r->bad || !base->data_addr;
		return value + base->data_addr;
	default:
		r->bad = true;
		return 0;
	}
}

#endif
