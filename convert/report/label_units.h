/*
 * convert/report/label_units.h - which unit the numbers of each label key have. report.c's own.
 */
#ifndef CPROF_CONVERT_REPORT_LABEL_UNITS_H
#define CPROF_CONVERT_REPORT_LABEL_UNITS_H

#include "convert/report/report.h"

/*
 * Fill report->label_units: the first unit met with a key; where there is none, "bytes" for the keys
 * that older profiles used for sizes, else the key itself. A key with several units gets a warning.
 */
struct cprof_error *cprof_label_units_find(struct cprof_report *report);

#endif
