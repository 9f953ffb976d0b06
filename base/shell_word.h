/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/shell_word.h - a text as one word of a command that people may copy into a shell.
 */
#ifndef CPROF_BASE_SHELL_WORD_H
#define CPROF_BASE_SHELL_WORD_H

#include "cprof/buffer.h"

/*
 * Append `text` so that a POSIX shell takes it as it is, and as nothing but one word ("Quoting" in XCU 2.2). What is not fit
 * for a terminal is written as base/printable.h does, inside of the quotes: such a word is safe, but no longer the same.
 */
void cprof_shell_word_put(struct cprof_buffer *out, const char *text);

#endif
