/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/text_line.h - a line of a text that is known by how it begins: /proc/PID/status, limits, meminfo, fdinfo.
 */
#ifndef CPROF_BASE_TEXT_LINE_H
#define CPROF_BASE_TEXT_LINE_H

/* What follows `key` at the beginning of a line of `text`, up to the end of all; NULL: no line begins so. Borrowed. */
const char *cprof_text_line(const char *text, const char *key);

#endif
