/*
 * convert/formats.h - the report formats; the list itself is in formats.c.
 */
#ifndef CPROF_CONVERT_FORMATS_H
#define CPROF_CONVERT_FORMATS_H

#include "convert/report.h"

extern const struct cprof_format cprof_format_top, cprof_format_text;

#endif
