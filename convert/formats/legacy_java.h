/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_java.h - the part of Java's profiles that its CPU profiles share: names behind the samples.
 */
#ifndef CPROF_CONVERT_FORMATS_LEGACY_JAVA_H
#define CPROF_CONVERT_FORMATS_LEGACY_JAVA_H

#include "convert/formats/legacy.h"

/*
 * Read "0xADDRESS NAME (FILE:LINE)" lines, beginning with `line` if it is not NULL, name the locations with them,
 * and forget the addresses, which mean nothing outside that process.
 */
struct cprof_error *cprof_legacy_java_names(struct cprof_legacy *legacy, struct cprof_lines *lines,
					    const char *line);

#endif
