/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "attach/doctor/doctor_child.h"
#include "attach/doctor/doctor_grant.h"
#include "attach/run/run_log.h"
#include "base/cleanup.h"
#include "cprof/buffer.h"

/* ---- the sum of it ---- */

const char *cprof_doctor_verdict_name(enum cprof_doctor_verdict verdict)
{
	static const char *const names[] = { "works", "works partly", "does not work" };
	return names[verdict];
}

bool cprof_doctor_next_group(const struct cprof_doctor *doctor, size_t *at, size_t *ret_first,
			     size_t *ret_end)
{
	if (*at == doctor->n_findings)
		return false;
	*ret_first = *at;
	do {
		++*at;
	} while (*at < doctor->n_findings &&
		 strcmp(doctor->findings[*at].check->group,
			doctor->findings[*ret_first].check->group) == 0);
	*ret_end = *at;
	return true;
}

/* One means that tells all is enough. Where none of the rows does, each tells something of its own, as with names. */
enum cprof_doctor_verdict cprof_doctor_group_verdict(const struct cprof_doctor *doctor,
						     size_t first, size_t end)
{
	bool any_whole = false, any = false, all = true;
	for (size_t i = first; i < end; i++) {
		const struct cprof_doctor_finding *finding = &doctor->findings[i];
		if (finding->check->extra)
			continue;
		if (finding->check->whole && finding->verdict == CPROF_DOCTOR_WORKS)
			return CPROF_DOCTOR_WORKS;
		any_whole |= finding->check->whole;
		any |= finding->verdict != CPROF_DOCTOR_NOT;
		all &= finding->verdict == CPROF_DOCTOR_WORKS;
	}
	if (!any_whole && all)
		return CPROF_DOCTOR_WORKS;
	return any ? CPROF_DOCTOR_PARTLY : CPROF_DOCTOR_NOT;
}

/* Is there a row in it that counts? */
static bool counts(const struct cprof_doctor *doctor, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		if (!doctor->findings[i].check->extra)
			return true;
	}
	return false;
}

enum cprof_doctor_verdict cprof_doctor_verdict(const struct cprof_doctor *doctor)
{
	bool any = false, all = true;
	for (size_t at = 0, first, end; cprof_doctor_next_group(doctor, &at, &first, &end);) {
		const enum cprof_doctor_verdict verdict =
			cprof_doctor_group_verdict(doctor, first, end);
		if (!counts(doctor, first, end))
			continue;
		any |= verdict != CPROF_DOCTOR_NOT;
		all &= verdict == CPROF_DOCTOR_WORKS;
	}
	for (size_t i = 0; i < doctor->files.n; i++)
		all &= !doctor->files.all[i].functions;
	return all ? CPROF_DOCTOR_WORKS : any ? CPROF_DOCTOR_PARTLY : CPROF_DOCTOR_NOT;
}

uint32_t cprof_doctor_all_grants(const struct cprof_doctor *doctor)
{
	uint32_t grants = 0;
	for (size_t at = 0, first, end; cprof_doctor_next_group(doctor, &at, &first, &end);) {
		if (cprof_doctor_group_verdict(doctor, first, end) == CPROF_DOCTOR_WORKS)
			continue;
		for (size_t i = first; i < end; i++)
			grants |= doctor->findings[i].grants;
	}
	return cprof_doctor_grants_together(grants);
}

/* ---- one row ---- */

static struct cprof_error *put_warnings(const struct cprof_run_log *log, char **ret_text)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	for (size_t i = 0; i < log->n_notes; i++) {
		if (log->notes[i].kind == CPROF_NOTE_WARNING)
			cprof_buffer_printf(&text, "%s%s", text.len ? "; " : "",
					    log->notes[i].text);
	}
	if (!text.len)
		return cprof_buffer_error(&text);
	*ret_text = strdup(cprof_buffer_text(&text));
	return *ret_text ? NULL : cprof_error_no_memory();
}

static bool copy_text(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return !text || *ret_copy;
}

/* `err` is what came of trying, and stays the caller's. */
static struct cprof_error *judge(struct cprof_doctor *doctor, struct cprof_doctor_finding *finding,
				 const struct cprof_error *err, const struct cprof_run_log *log)
{
	struct cprof_doctor_host host = doctor->host;
	host.reached &= !finding->check->others;
	if (err &&
	    (!copy_text(err->message, &finding->why) || !copy_text(err->hint, &finding->hint)))
		return cprof_error_no_memory();
	/* Warnings say what is lacking; of our own process only what was done to it, and of an event how little a moment holds. */
	const bool told = !err && !finding->check->changes && !finding->check->extra;
	struct cprof_error *failed = told ? put_warnings(log, &finding->why) : NULL;
	if (failed)
		return failed;
	finding->verdict = err            ? CPROF_DOCTOR_NOT
			   : finding->why ? CPROF_DOCTOR_PARTLY
					  : CPROF_DOCTOR_WORKS;
	if (finding->verdict != CPROF_DOCTOR_WORKS)
		finding->grants = cprof_doctor_grants_missing(finding->check->needs, &host, err);
	return NULL;
}

/* What ends all of it: the rest is what is found. */
static bool is_fatal(const struct cprof_error *err, struct cprof_target *target)
{
	return err && (err->code == CPROF_ERR_NO_MEMORY ||
		       (err->code == CPROF_ERR_NO_TARGET && !cprof_target_alive(target)));
}

static struct cprof_error *try_one(struct cprof_doctor *doctor,
				   const struct cprof_doctor_patient *patient,
				   const struct cprof_error *denied,
				   const struct cprof_doctor_check *check)
{
	struct cprof_doctor_finding *finding = &doctor->findings[doctor->n_findings];
	struct cprof_run_log log = { 0 };
	finding->check = check;
	if (denied && !check->anyone) {
		doctor->n_findings++;
		return judge(doctor, finding, denied, &log);
	}
	struct cprof_error *err = cprof_doctor_check_try(check, patient, &log);
	if (is_fatal(err, patient->target)) {
		cprof_run_log_deinit(&log);
		return err;
	}
	doctor->n_findings++;
	struct cprof_error *failed = judge(doctor, finding, err, &log);
	cprof_error_free(err);
	cprof_run_log_deinit(&log);
	return failed;
}

/* ---- all of it ---- */

static struct cprof_error *try_all(struct cprof_doctor *doctor,
				   const struct cprof_doctor_patient *patient,
				   const struct cprof_error *denied)
{
	doctor->findings = calloc(cprof_doctor_n_checks, sizeof(*doctor->findings));
	if (!doctor->findings)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < cprof_doctor_n_checks; i++) {
		if (!(cprof_doctor_checks[i].others && patient->named))
			err = try_one(doctor, patient, denied, &cprof_doctor_checks[i]);
	}
	if (!err && patient->named && !denied)
		err = cprof_doctor_files_find(&doctor->files, patient->target,
					      patient->naming.budget);
	return err;
}

static bool may_reach(const struct cprof_target *target)
{
	struct cprof_error *err = cprof_doctor_check_access(target);
	const bool may = !err;
	cprof_error_free(err);
	return may;
}

/* `denied`: of the process that was asked about, which then is not looked at. */
static struct cprof_error *try_on(struct cprof_doctor *doctor,
				  const struct cprof_doctor_request *request,
				  struct cprof_target *target, const struct cprof_error *denied)
{
	struct cprof_doctor_child child = { 0 };
	struct cprof_target *own = NULL;
	struct cprof_error *err = cprof_doctor_child_start(&child);
	if (!err)
		err = cprof_target_open(child.pid, &own);
	if (!err) {
		const struct cprof_doctor_patient patient = {
			.target = target ? target : own,
			.own = own,
			.named = request->pid != 0,
			.naming = request->naming,
		};
		doctor->host.foreign = denied || (target && target->uid != doctor->host.uid);
		doctor->host.reached = !denied && may_reach(patient.target);
		err = try_all(doctor, &patient, denied);
	}
	if (own)
		cprof_target_close(own);
	cprof_doctor_child_end(&child);
	return err;
}

static struct cprof_error *examine(const struct cprof_doctor_request *request,
				   struct cprof_doctor *doctor)
{
	struct cprof_target *target = NULL;
	struct cprof_error *denied = request->pid ? cprof_target_open(request->pid, &target) : NULL;
	if (denied && denied->code != CPROF_ERR_DENIED)
		return denied;
	doctor->pid = request->pid;
	if (target)
		memcpy(doctor->comm, target->comm, sizeof(doctor->comm));
	struct cprof_error *err = try_on(doctor, request, target, denied);
	cprof_error_free(denied);
	if (target)
		cprof_target_close(target);
	return err;
}

struct cprof_error *cprof_doctor_examine(const struct cprof_doctor_request *request,
					 struct cprof_doctor **ret_doctor)
{
	struct cprof_doctor *doctor = calloc(1, sizeof(*doctor));
	if (!doctor)
		return cprof_error_no_memory();
	cprof_doctor_host_read(&doctor->host);
	struct cprof_error *err = examine(request, doctor);
	if (err)
		cprof_doctor_free(doctor);
	else
		*ret_doctor = doctor;
	return err;
}

void cprof_doctor_free(struct cprof_doctor *doctor)
{
	if (!doctor)
		return;
	for (size_t i = 0; i < doctor->n_findings; i++) {
		free(doctor->findings[i].why);
		free(doctor->findings[i].hint);
	}
	cprof_doctor_files_deinit(&doctor->files);
	free(doctor->findings);
	free(doctor);
}
