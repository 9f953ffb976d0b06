/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/label_text.h - somebody else's bytes as the text of a label: fit to be shown, as base/printable.h has it, and no longer than
 * there is room for.
 */
#ifndef CPROF_ATTACH_CONTEXT_LABEL_TEXT_H
#define CPROF_ATTACH_CONTEXT_LABEL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Copy `n` bytes to `to`, which has room for `room` bytes with the zero behind. What does not fit is cut between characters. Returns the
 * length.
 */
size_t cprof_label_text(const uint8_t *bytes, size_t n, char *to, size_t room);

#endif
