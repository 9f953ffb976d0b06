/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_text.h"

#include <string.h>

#include "attach/doctor/doctor_grant.h"
#include "base/cleanup.h"
#include "base/printable_text.h"

#define INDENT "                " /* below what a row says */

/* Lines of `text`, the first behind `head`, the others behind `next`. */
static void put_lines(const char *head, const char *next, const char *text,
		      struct cprof_buffer *out)
{
	for (const char *at = text; *at; head = next) {
		const size_t len = strcspn(at, "\n");
		cprof_buffer_printf(out, INDENT "%s", head);
		cprof_printable_put(out, at, len, "");
		cprof_buffer_putc(out, '\n');
		at += len + (at[len] == '\n');
	}
}

static void put_grants(const struct cprof_doctor *doctor, uint32_t grants, const char *program,
		       struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer commands = { 0 }, pod = { 0 };
	cprof_doctor_grants_commands(grants, &doctor->host, program, &commands);
	cprof_doctor_grants_pod(grants, &pod);
	put_lines("grant:  ", "or:     ", cprof_buffer_text(&commands), out);
	put_lines("pod:    ", "        ", cprof_buffer_text(&pod), out);
}

static void put_finding(const struct cprof_doctor *doctor,
			const struct cprof_doctor_finding *finding, const char *program,
			struct cprof_buffer *out)
{
	const struct cprof_doctor_check *check = finding->check;
	cprof_buffer_printf(out, "  %-13s %s: %s\n", check->means,
			    cprof_doctor_verdict_name(finding->verdict), check->tells);
	/* Where it is the process as a whole, that was said already. */
	const bool again = finding > doctor->findings && finding->why && finding[-1].why &&
			   strcmp(finding->why, finding[-1].why) == 0;
	if (finding->why && !again)
		put_lines("why:    ", "        ", finding->why, out);
	/* The hint is of the mode, and wider than what was found to be missing here. */
	if (finding->hint && !finding->grants)
		put_lines("hint:   ", "        ", finding->hint, out);
	put_grants(doctor, finding->grants, program, out);
}

static void put_head(const struct cprof_doctor *doctor, struct cprof_buffer *out)
{
	if (doctor->pid) {
		cprof_buffer_printf(out, "Process %d", (int)doctor->pid);
		if (*doctor->comm) {
			cprof_buffer_puts(out, ", ");
			cprof_printable_puts(out, doctor->comm);
		}
		cprof_buffer_puts(out, ": each mode is tried for a moment. The process is neither "
				       "stopped nor changed;\nwhat would do that "
				       "(heap, threads by ptrace) is tried on a process of our "
				       "own.\n");
	} else {
		cprof_buffer_puts(out, "Each mode is tried for a moment, on a process of our own; "
				       "-p PID says how it is with another.\n");
	}
	cprof_buffer_printf(out, "Linux %s, uid %u\n\n", doctor->host.release,
			    (unsigned)doctor->host.uid);
}

static void put_files(const struct cprof_doctor *doctor, struct cprof_buffer *out)
{
	if (!doctor->files.n)
		return;
	cprof_buffer_puts(out, "files         names that will be missing (-why says more)\n");
	for (size_t i = 0; i < doctor->files.n; i++) {
		const struct cprof_doctor_file *file = &doctor->files.all[i];
		cprof_buffer_puts(out, "  ");
		cprof_printable_puts(out, *file->path ? file->path : "[anonymous memory]");
		cprof_buffer_puts(out, ": ");
		cprof_printable_puts(out, file->lacks);
		cprof_buffer_putc(out, '\n');
		if (file->advice)
			put_lines("grant:  ", "or:     ", file->advice, out);
	}
}

void cprof_doctor_text_put(const struct cprof_doctor *doctor, const char *program,
			   struct cprof_buffer *out)
{
	put_head(doctor, out);
	for (size_t at = 0, first, end; cprof_doctor_next_group(doctor, &at, &first, &end);) {
		cprof_buffer_printf(
			out, "%-13s %s\n", doctor->findings[first].check->group,
			cprof_doctor_verdict_name(cprof_doctor_group_verdict(doctor, first, end)));
		for (size_t i = first; i < end; i++)
			put_finding(doctor, &doctor->findings[i], program, out);
	}
	put_files(doctor, out);
	cprof_buffer_printf(out, "\n%-13s %s\n", "all",
			    cprof_doctor_verdict_name(cprof_doctor_verdict(doctor)));
	put_grants(doctor, cprof_doctor_all_grants(doctor), program, out);
}
