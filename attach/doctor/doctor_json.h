/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_json.h - what the doctor has found, as one JSON object for programs.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_JSON_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_JSON_H

#include <stdio.h>

#include "attach/doctor/doctor.h"

/* `program` is our own path, for commands. Whether it was written is the stream's to say. */
void cprof_doctor_json_put(const struct cprof_doctor *doctor, const char *program, FILE *out);

#endif
