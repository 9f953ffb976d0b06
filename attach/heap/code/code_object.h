/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_object.h - one ELF object as far as its machine code is to be judged.
 *
 * Owns which of its bytes are code and which are data, where functions begin and end, and which words the dynamic linker
 * fills and with what. All addresses are as in the file. What may be concluded of it is code_reach.h's (who comes to a
 * place), code_flow.h's (the ways through a function) and code_proof.h's (how a function may be left).
 *
 * Reads the file, never the target. Sources of truth: ELF gABI "Sections", "Relocation"; System V psABI x86-64 "Relocation
 * Types"; LSB Core "Exception Frames".
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_OBJECT_H
#define CPROF_ATTACH_HEAP_CODE_CODE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/image.h"
#include "cprof/module.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/names/symbols.h"
#include "symbolize/unwind/cfi.h"

/* Bytes that are loaded and come from the file. */
struct cprof_code_section {
	uint64_t addr, size, offset;
	bool executable;
	bool tables; /* of the linker's or the unwinder's, whose meaning is known: no words of the program */
};

/* A word that the dynamic linker fills with the address of a function. */
struct cprof_code_slot {
	uint64_t place;
	uint64_t addr;    /* where that function is in this object; 0: in another one */
	const char *name; /* borrowed from the file; NULL: it has none */
	bool resolver;    /* `addr` is that of an IFUNC's resolver */
};

struct cprof_code_object {
	struct cprof_image *image;           /* borrowed */
	struct cprof_elf *elf;               /* owned; NULL in tests */
	struct cprof_cfi *cfi;               /* borrowed from the module; may be NULL */
	struct cprof_code_section *sections; /* owned; by address */
	size_t n_sections, cap_sections;
	struct cprof_code_slot *slots; /* owned; by place */
	size_t n_slots, cap_slots;
	uint64_t
		*pointers; /* owned; what the linker's relocations make the data point to, sorted */
	size_t n_pointers, cap_pointers;
	uint64_t got; /* _GLOBAL_OFFSET_TABLE_, or 0 */
	bool self_contained; /* it asks for no other object: what is called malloc in it is the C library's */
	bool code_relocated;          /* the dynamic linker writes into its code */
	struct cprof_symbols symbols; /* by cprof_code_object_symbols() */
	bool has_symbols;
};

/*
 * What `module` is made of; it must outlive the object. Errors: UNSUPPORTED (no file, no sections, another CPU),
 * BAD_DATA, NO_MEMORY.
 */
struct cprof_error *cprof_code_object_new(struct cprof_module *module,
					  struct cprof_code_object **ret_object);
void cprof_code_object_free(struct cprof_code_object *object);

/* The section around [addr, addr + n), NULL if there is none. */
const struct cprof_code_section *cprof_code_object_section(const struct cprof_code_object *object,
							   uint64_t addr, uint64_t n);

/* `n` bytes at `addr`, as in the file; NULL where they are not all there. Borrowed until the object is freed. */
const uint8_t *cprof_code_object_bytes(const struct cprof_code_object *object, uint64_t addr,
				       uint64_t n);

/* The object's symbols, read at the first call. Errors: NO_MEMORY. */
struct cprof_error *cprof_code_object_symbols(struct cprof_code_object *object,
					      const struct cprof_symbols **ret_symbols);

/*
 * The function around `addr`, from the unwind information, else from the symbols: [start, end). False where nothing
 * tells. A part that the compiler laid elsewhere (NAME.cold) is a function of its own here.
 */
bool cprof_code_object_function(struct cprof_code_object *object, uint64_t addr,
				uint64_t *ret_start, uint64_t *ret_end);

/* The slot at `place`, NULL if the dynamic linker puts no function there. */
const struct cprof_code_slot *cprof_code_object_slot(const struct cprof_code_object *object,
						     uint64_t place);

/*
 * If the code at `addr` is a mere jump through a slot (an entry of the PLT): that slot; else NULL.
 */
const struct cprof_code_slot *cprof_code_object_plt(const struct cprof_code_object *object,
						    uint64_t addr);

/* Sort what was added by hand (tests) or by _new. */
void cprof_code_object_sort(struct cprof_code_object *object);

/* ---- all of a process ---- */

/* Objects that were asked for, each opened once. A zeroed struct is empty. */
struct cprof_code_objects {
	struct cprof_code_opened {
		struct cprof_module *module;      /* borrowed */
		struct cprof_code_object *object; /* owned */
	} * all;                                  /* owned */
	size_t n, cap;
};

void cprof_code_objects_deinit(struct cprof_code_objects *objects);

/* The object of `module`, which stays ours. Errors as cprof_code_object_new(). */
struct cprof_error *cprof_code_objects_get(struct cprof_code_objects *objects,
					   struct cprof_module *module,
					   struct cprof_code_object **ret_object);

#endif
