/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/inflate_table.h - deflate's codes as tables in which the next bits of the input are looked up.
 *
 * Owns what lengths of codes mean, and refuses those that cannot be. Reading the bits is inflater.h's.
 *
 * Source of truth: RFC 1951 "Use of Huffman coding in the deflate format", "Compressed blocks (length and distance codes)".
 */
#ifndef CPROF_SYMBOLIZE_ELF_INFLATE_TABLE_H
#define CPROF_SYMBOLIZE_ELF_INFLATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPROF_INFLATE_LITLENS   288
#define CPROF_INFLATE_DISTANCES 32
#define CPROF_INFLATE_CODE_MAX  15 /* bits of a code */

/*
 * What a table says of the next bits: a byte to be put out, a base (of a length or distance) with extra bits behind the code, another table for
 * the bits behind these, the end of the block, or, of SPECIAL alone, that there is no such code. The number of bits of the code is in the lowest
 * byte, that of extra bits (or of the other table) in the next four bits, the value (or where the other table begins) in the upper half.
 */
#define ENTRY_LITERAL  (1u << 15)
#define ENTRY_SPECIAL  (1u << 14)
#define ENTRY_TABLE    (1u << 13)
#define ENTRY_END      (1u << 12)
#define ENTRY_BITS(e)  ((e)&0xff)
#define ENTRY_EXTRA(e) ((e) >> 8 & 0xf)
#define ENTRY_VALUE(e) ((e) >> 16)

/* What symbol number `symbol` stands for, without the length of its code. */
typedef uint32_t cprof_inflate_entry_fn(unsigned symbol);
uint32_t cprof_inflate_litlen(unsigned symbol);
uint32_t cprof_inflate_distance(unsigned symbol);
uint32_t cprof_inflate_plain(unsigned symbol);

/*
 * The table of `n` codes of these lengths (0: none), at most CPROF_INFLATE_LITLENS: `bits` are looked up at once, tables of longer codes are behind
 * those. False: there are no such codes, or they take more than `cap` entries.
 */
bool cprof_inflate_table_make(const uint8_t *lens, unsigned n, unsigned bits,
			      cprof_inflate_entry_fn *entry_of, uint32_t *table, size_t cap);

#endif
