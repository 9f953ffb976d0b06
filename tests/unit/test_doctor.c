/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>

#include "attach/doctor/doctor.h"
#include "attach/doctor/doctor_grant.h"
#include "base/cleanup.h"
#include "tests/unit/test.h"

#define BIT(capability) (1ull << (capability))

/* An ordinary user who looks at a process of his own, on a machine as distributions leave it. */
static const struct cprof_doctor_host user = { .first_userns = true,
					       .first_pidns = true,
					       .paranoid = 2,
					       .kptr = 0,
					       .yama = -1,
					       .uid = 1000,
					       .reached = true };

TEST(doctor_reads_capabilities_and_the_filter_of_a_status)
{
	struct cprof_doctor_host host = { .first_userns = true };
	cprof_doctor_host_parse(&host, "Name:\tx\nCapPrm:\tffff\nCapEff:\t000000c000080000\n"
				       "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n");
	CHECK(cprof_doctor_host_has(&host, CAP_SYS_PTRACE));
	CHECK(cprof_doctor_host_has(&host, CAP_PERFMON));
	CHECK(!cprof_doctor_host_has(&host, CAP_SYS_ADMIN));
	CHECK(host.filtered);
	host.first_userns = false;
	CHECK(!cprof_doctor_host_has(&host, CAP_PERFMON));
	cprof_doctor_host_parse(&host, "");
	CHECK_UINT(host.caps, 0);
	CHECK(!host.filtered);
}

static uint32_t missing(uint32_t needs, struct cprof_doctor_host host, enum cprof_error_code code,
			int os_errno)
{
	const struct cprof_error err = { .code = code, .os_errno = os_errno };
	return cprof_doctor_grants_missing(needs, &host, &err);
}

TEST(doctor_names_what_is_missing_and_nothing_that_is_there)
{
	const uint32_t bpf = CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_HOST_PID;
	const uint32_t events =
		CPROF_GRANT_PERFMON | CPROF_GRANT_PTRACE | CPROF_GRANT_PARANOID | CPROF_GRANT_YAMA;
	struct cprof_doctor_host host = user;
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_BPF);
	CHECK_UINT(missing(events, host, CPROF_ERR_DENIED, EACCES),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_PARANOID);
	host.paranoid = 1;
	CHECK_UINT(missing(events, host, CPROF_ERR_DENIED, EACCES), CPROF_GRANT_PERFMON);
	host.reached = false;
	host.yama = 1;
	CHECK_UINT(missing(events, host, CPROF_ERR_DENIED, EPERM),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_PTRACE | CPROF_GRANT_YAMA);
	host.foreign = true; /* no setting lets us look at another user's process */
	CHECK_UINT(missing(events, host, CPROF_ERR_DENIED, EPERM),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_PTRACE);
	host.caps = BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_PTRACE);
	CHECK_UINT(missing(events, host, CPROF_ERR_DENIED, EPERM), 0);
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM), 0);
}

TEST(doctor_blames_what_surrounds_us_where_no_capability_is_missing)
{
	const uint32_t bpf =
		CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_HOST_PID | CPROF_GRANT_LOCKDOWN;
	struct cprof_doctor_host host = user;
	host.caps = BIT(CAP_PERFMON) | BIT(CAP_BPF);
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM), 0);
	host.filtered = true;
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM), CPROF_GRANT_SECCOMP);
	CHECK_UINT(missing(bpf, host, CPROF_ERR_UNSUPPORTED, ENOSYS), CPROF_GRANT_SECCOMP);
	host.locked = true;
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM), CPROF_GRANT_LOCKDOWN);
	host.locked = false;
	host.first_pidns = false;
	CHECK_UINT(missing(bpf, host, CPROF_ERR_UNSUPPORTED, 0), CPROF_GRANT_HOST_PID);
	host.first_userns = false;
	CHECK_UINT(missing(bpf, host, CPROF_ERR_DENIED, EPERM),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_HOST_PID |
			   CPROF_GRANT_HOST_USER);
}

TEST(doctor_grants_nothing_for_what_a_machine_cannot_do)
{
	const uint32_t events = CPROF_GRANT_PERFMON | CPROF_GRANT_PARANOID;
	CHECK_UINT(missing(events, user, CPROF_ERR_UNSUPPORTED, ENOENT), 0);
	CHECK_UINT(missing(events, user, CPROF_ERR_OS, EMFILE), CPROF_GRANT_RESOURCE);
}

TEST(doctor_tells_the_most_powerful_capability_last)
{
	const uint32_t uprobes = CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_ADMIN;
	struct cprof_doctor_host host = user;
	CHECK_UINT(missing(uprobes, host, CPROF_ERR_DENIED, EPERM),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_BPF);
	host.caps = BIT(CAP_PERFMON) | BIT(CAP_BPF);
	CHECK_UINT(missing(uprobes, host, CPROF_ERR_DENIED, EPERM), CPROF_GRANT_ADMIN);
}

TEST(doctor_commands_keep_what_was_granted_before)
{
	static const struct {
		uid_t uid;
		uint64_t caps;
		bool rootless;
		uint32_t grants;
		const char *commands, *pod;
	} rows[] = {
		{ 1000, 0, false, 0, "", "" },
		{ 1000, BIT(CAP_SYS_PTRACE) | BIT(CAP_CHOWN), false,
		  CPROF_GRANT_PERFMON | CPROF_GRANT_PARANOID,
		  "sudo setcap cap_perfmon,cap_sys_ptrace+ep /bin/p\n"
		  "sudo sysctl kernel.perf_event_paranoid=1\n",
		  "securityContext: {capabilities: {add: [PERFMON]}}\n" },
		{ 1000, 0, false, CPROF_GRANT_PARANOID | CPROF_GRANT_KPTR,
		  "sudo sysctl kernel.perf_event_paranoid=1 kernel.kptr_restrict=0\n", "" },
		{ 0, 0, false, CPROF_GRANT_BPF | CPROF_GRANT_SYSLOG | CPROF_GRANT_HOST_PID,
		  "docker run --cap-add=BPF --cap-add=SYSLOG --pid=host\n",
		  "securityContext: {capabilities: {add: [BPF, SYSLOG]}}\nhostPID: true\n" },
		{ 0, 0, true, CPROF_GRANT_BPF | CPROF_GRANT_HOST_USER,
		  "run it on the host, or in a container that is not rootless\n",
		  "securityContext: {capabilities: {add: [BPF]}}\nhostUsers: true\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer commands = { 0 }, pod = { 0 };
		struct cprof_doctor_host host = user;
		host.uid = rows[i].uid;
		host.caps = rows[i].caps;
		host.first_userns = !rows[i].rootless;
		cprof_doctor_grants_commands(rows[i].grants, &host, "/bin/p", &commands);
		cprof_doctor_grants_pod(rows[i].grants, &pod);
		CHECK_STR(cprof_buffer_text(&commands), rows[i].commands);
		CHECK_STR(cprof_buffer_text(&pod), rows[i].pod);
	}
}

TEST(doctor_what_several_rows_lack_is_granted_once)
{
	CHECK_UINT(cprof_doctor_grants_together(CPROF_GRANT_PERFMON | CPROF_GRANT_PARANOID |
						CPROF_GRANT_HOST_PID),
		   CPROF_GRANT_PERFMON | CPROF_GRANT_HOST_PID);
	CHECK_UINT(cprof_doctor_grants_together(CPROF_GRANT_KPTR), CPROF_GRANT_KPTR);
}

TEST(doctor_every_need_of_a_check_has_its_row_among_the_grants)
{
	uint32_t known = 0;
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		CHECK(!(known & cprof_doctor_grants[i].bit));
		known |= cprof_doctor_grants[i].bit;
	}
	for (size_t i = 0; i < cprof_doctor_n_checks; i++)
		CHECK_UINT(cprof_doctor_checks[i].needs & ~known, 0);
}

TEST(doctor_tries_every_mode)
{
	for (size_t i = 0; i < cprof_n_modes; i++) {
		bool found = false;
		for (size_t k = 0; k < cprof_doctor_n_checks; k++)
			found |= strcmp(cprof_doctor_checks[k].group, cprof_modes[i].name) == 0;
		CHECK(found);
	}
}

/* What its rows come to: one letter each, Works, Partly, Not. */
TEST(doctor_a_mode_works_by_any_means_that_tells_all)
{
	static const struct cprof_doctor_check whole = { .group = "a", .whole = true },
					       part = { .group = "a" },
					       extra = { .group = "a", .extra = true };
	static const struct {
		const struct cprof_doctor_check *checks[3];
		const char *found;
		enum cprof_doctor_verdict want;
	} rows[] = {
		{ { &whole, &part, &extra }, "WNN", CPROF_DOCTOR_WORKS },
		{ { &whole, &whole, &part }, "NWN", CPROF_DOCTOR_WORKS },
		{ { &whole, &part, &part }, "NNW", CPROF_DOCTOR_PARTLY },
		{ { &whole, &part, &part }, "PNN", CPROF_DOCTOR_PARTLY },
		{ { &whole, &part, &extra }, "NNW", CPROF_DOCTOR_NOT },
		{ { &part, &part, &part }, "WWW", CPROF_DOCTOR_WORKS },
		{ { &part, &part, &part }, "WWN", CPROF_DOCTOR_PARTLY },
		{ { &part, &part, &part }, "NNN", CPROF_DOCTOR_NOT },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_doctor_finding findings[3] = { 0 };
		for (size_t k = 0; k < 3; k++) {
			findings[k].check = rows[i].checks[k];
			findings[k].verdict = rows[i].found[k] == 'W'   ? CPROF_DOCTOR_WORKS
					      : rows[i].found[k] == 'P' ? CPROF_DOCTOR_PARTLY
									: CPROF_DOCTOR_NOT;
		}
		const struct cprof_doctor doctor = { .findings = findings, .n_findings = 3 };
		CHECK_UINT(cprof_doctor_group_verdict(&doctor, 0, 3), rows[i].want);
		CHECK_UINT(cprof_doctor_verdict(&doctor), rows[i].want);
	}
}
