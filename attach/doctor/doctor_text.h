/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_text.h - what the doctor has found, as lines for people.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_TEXT_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_TEXT_H

#include "attach/doctor/doctor.h"
#include "cprof/buffer.h"

/* `program` is our own path, for commands. */
void cprof_doctor_text_put(const struct cprof_doctor *doctor, const char *program,
			   struct cprof_buffer *out);

#endif
