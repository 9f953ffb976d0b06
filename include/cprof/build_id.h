/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/build_id.h - the number that a linker gives an ELF file, and that tells it from all others.
 *
 * Source of truth: ld(1) "--build-id"; ELF gABI "Note Section".
 */
#ifndef CPROF_BUILD_ID_H
#define CPROF_BUILD_ID_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A SHA-1, what linkers write unless told otherwise; longer ones are taken for none. */
#define CPROF_BUILD_ID_MAX 20

/* Lower-case hex, "" where unknown. `text` has room for 2 * CPROF_BUILD_ID_MAX + 1 bytes. */
const char *cprof_build_id_hex(const uint8_t *build_id, size_t len, char *text);

#ifdef __cplusplus
}
#endif

#endif
