/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/own_label.h - names of labels that we put on samples ourselves, so that a program's own are not taken for them.
 */
#ifndef CPROF_BASE_OWN_LABEL_H
#define CPROF_BASE_OWN_LABEL_H

#include <stdbool.h>

/* Whether `key` tells threads, processes, locks, waits, ages or times apart: what we found out, and not what a program said. */
bool cprof_is_own_label(const char *key);

/* Whether `key` is the name of a request's id: "trace_id" or "span_id". Source: docs/labels.md. */
bool cprof_is_request_id(const char *key);

#endif
