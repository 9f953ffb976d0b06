/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_grant.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/shell_word.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what is there already ---- */

/* capabilities(7): CAP_SYS_ADMIN is taken for each of those that were split off it. */
static bool lacks(const struct cprof_doctor_host *host, unsigned capability)
{
	return !cprof_doctor_host_has(host, capability) &&
	       !cprof_doctor_host_has(host, CAP_SYS_ADMIN);
}

static bool no_ptrace(const struct cprof_doctor_host *host)
{
	return !host->reached && !cprof_doctor_host_has(host, CAP_SYS_PTRACE);
}

static bool no_dac(const struct cprof_doctor_host *host)
{
	return host->foreign && !cprof_doctor_host_has(host, CAP_DAC_READ_SEARCH) &&
	       !cprof_doctor_host_has(host, CAP_DAC_OVERRIDE);
}

static bool no_admin(const struct cprof_doctor_host *host)
{
	/* The most powerful one is told only where nothing less can be the reason: Linux before 6.13. */
	return lacks(host, CAP_SYS_ADMIN) && !lacks(host, CAP_PERFMON) && !lacks(host, CAP_BPF);
}

static bool no_resource(const struct cprof_doctor_host *host)
{
	return !cprof_doctor_host_has(host, CAP_SYS_RESOURCE);
}

static bool too_paranoid(const struct cprof_doctor_host *host)
{
	return host->paranoid > 1 && !host->foreign && lacks(host, CAP_PERFMON);
}

static bool hides_addresses(const struct cprof_doctor_host *host)
{
	return host->kptr > 0 && lacks(host, CAP_SYSLOG);
}

static bool minds_tracing(const struct cprof_doctor_host *host)
{
	return host->yama > 0 && !host->foreign && no_ptrace(host);
}

static bool own_pids(const struct cprof_doctor_host *host)
{
	return !host->first_pidns;
}

static bool own_users(const struct cprof_doctor_host *host)
{
	return !host->first_userns;
}

static bool is_filtered(const struct cprof_doctor_host *host)
{
	return host->filtered;
}

static bool is_locked(const struct cprof_doctor_host *host)
{
	return host->locked;
}

/* ---- the table ---- */

/* clang-format off */
const struct cprof_doctor_grant cprof_doctor_grants[] = {
	{ CPROF_GRANT_PERFMON, "CAP_PERFMON", "perf events of other users' processes, of whole CPUs, and of kernel code", .capability = CAP_PERFMON },
	{ CPROF_GRANT_BPF, "CAP_BPF", "the filter that keeps one process's samples of a whole CPU: 2 descriptors per CPU for any number of threads; with CAP_PERFMON `-block-method bpf`, `-means bpf` and uprobes", .capability = CAP_BPF },
	{ CPROF_GRANT_PTRACE, "CAP_SYS_PTRACE", "`/proc/PID/maps`, the files below `/proc/PID/root`, and memory of other users' processes; stops (`-mode heap`, `-mode threads -means ptrace`)", .capability = CAP_SYS_PTRACE, .missing = no_ptrace },
	{ CPROF_GRANT_DAC, "CAP_DAC_READ_SEARCH", "`/proc/PID/task/TID/syscall` of other users' processes, which has mode 0400 (`-means proc`, `-block-method proc` and perf's open waits), and files of theirs that only they may read", .capability = CAP_DAC_READ_SEARCH, .missing = no_dac },
	{ CPROF_GRANT_CHECKPOINT, "CAP_CHECKPOINT_RESTORE", "with CAP_DAC_READ_SEARCH `/proc/PID/map_files`: all names of a library or program that was deleted or replaced while it runs (a package upgrade); without them its exported functions have names, from memory, and a warning names the file", .capability = CAP_CHECKPOINT_RESTORE },
	{ CPROF_GRANT_SETID, "CAP_SETUID and CAP_SETGID (root has them)", "files that only their user may read, not even root: on his FUSE mount (sshfs without `allow_root`), or where an NFS server takes root for nobody; and their debug files, where those are refused as well. A child process of ours becomes that user and copies the file to memory, up to 256 MB, which counts as the file's memory ([security.md](security.md)); a file system that does not answer for 3 s, or takes 10 s for a file or 30 s for all, costs the names", .capability = -1, .other = "run as root", .pod = "securityContext: {capabilities: {add: [SETUID, SETGID]}}" },
	{ CPROF_GRANT_SYSLOG, "CAP_SYSLOG, or the two settings below", "names of kernel functions, and lines where its debug package is installed (of its modules for root only); without them kernel frames read `[kernel]`", .capability = CAP_SYSLOG },
	{ CPROF_GRANT_ADMIN, "CAP_SYS_ADMIN", "uprobes on Linux before 6.13 (`-heap-method uprobe`)", .capability = CAP_SYS_ADMIN, .missing = no_admin },
	{ CPROF_GRANT_RESOURCE, "CAP_SYS_RESOURCE", "raising `ulimit -n` beyond its hard limit, for many threads × CPUs", .capability = CAP_SYS_RESOURCE, .missing = no_resource },
	{ CPROF_GRANT_PARANOID, "`kernel.perf_event_paranoid`", "at most 1: time in the kernel, of one's own processes; at most 2: any perf event of one's own processes (the kernel's default is 2, Debian's and Ubuntu's is more)", .capability = -1, .sysctl = "kernel.perf_event_paranoid=1", .missing = too_paranoid },
	{ CPROF_GRANT_KPTR, "`kernel.kptr_restrict`", "0, with `kernel.perf_event_paranoid` at most 1: names of kernel functions for everybody", .capability = -1, .sysctl = "kernel.kptr_restrict=0", .missing = hides_addresses },
	{ CPROF_GRANT_YAMA, "`kernel.yama.ptrace_scope`", "0: memory and stops of one's own processes that were started elsewhere", .capability = -1, .sysctl = "kernel.yama.ptrace_scope=0", .missing = minds_tracing },
	{ CPROF_GRANT_MLOCK, "`kernel.perf_event_mlock_kb`, `ulimit -l`", "memory for rings without root; where it is short, rings are made smaller", .capability = -1, .sysctl = "kernel.perf_event_mlock_kb=4096" },
	{ CPROF_GRANT_RATE, "`kernel.perf_event_max_sample_rate`", "above it the kernel throttles sampling; throttling is counted and told", .capability = -1, .sysctl = "kernel.perf_event_max_sample_rate=100000" },
	{ CPROF_GRANT_HOST_PID, "the host's PID namespace", "thread ids as the kernel knows them (`-block-method bpf`, `-means bpf`), and processes of other containers", .capability = -1, .docker = "--pid=host", .pod = "hostPID: true", .missing = own_pids },
	{ CPROF_GRANT_HOST_USER, "the host's user namespace", "capabilities that the kernel honours: those of a user namespace (rootless containers, `unshare -U`) count only inside it", .capability = -1, .other = "run it on the host, or in a container that is not rootless", .pod = "hostUsers: true", .missing = own_users },
	{ CPROF_GRANT_SECCOMP, "the container's seccomp filter", "`perf_event_open`, `bpf`, `ptrace` and `process_vm_readv`, which a stricter profile than the engine's refuses whatever capabilities there are", .capability = -1, .docker = "--security-opt seccomp=unconfined", .pod = "securityContext: {seccompProfile: {type: Unconfined}}", .missing = is_filtered },
	{ CPROF_GRANT_LOCKDOWN, "lockdown below `confidentiality`", "BPF programs that read, perf events and tracepoints of the kernel", .capability = -1, .other = "start the kernel with lockdown=integrity", .missing = is_locked },
};
/* clang-format on */
const size_t cprof_doctor_n_grants = COUNT(cprof_doctor_grants);

/* ---- choosing ---- */

static bool is_refusal(const struct cprof_error *err)
{
	return err && (err->code == CPROF_ERR_DENIED || err->os_errno == EPERM ||
		       err->os_errno == EACCES || err->os_errno == ENOSYS);
}

/* A capability that is not there is missing, where the row does not know better. */
static bool is_missing(const struct cprof_doctor_grant *grant, const struct cprof_doctor_host *host)
{
	if (grant->missing)
		return grant->missing(host);
	return grant->capability >= 0 && lacks(host, (unsigned)grant->capability);
}

uint32_t cprof_doctor_grants_missing(uint32_t needs, const struct cprof_doctor_host *host,
				     const struct cprof_error *err)
{
	const bool foreign_pids = (needs & CPROF_GRANT_HOST_PID) && own_pids(host);
	if (err && (err->os_errno == EMFILE || err->os_errno == ENFILE))
		return no_resource(host) ? CPROF_GRANT_RESOURCE : 0;
	/* What this machine cannot do is not to be had by any permission. */
	if (err && err->code == CPROF_ERR_UNSUPPORTED && !is_refusal(err) && !foreign_pids)
		return 0;
	if (!host->first_userns)
		needs |= CPROF_GRANT_HOST_USER;
	uint32_t missing = 0;
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if ((needs & grant->bit) && is_missing(grant, host))
			missing |= grant->bit;
	}
	if (!missing && is_refusal(err) && host->filtered)
		missing |= CPROF_GRANT_SECCOMP;
	return missing;
}

/* ---- saying how ---- */

/* "CAP_PERFMON, or ..." to "perfmon". */
static void put_capability(const struct cprof_doctor_grant *grant, const char *before, bool upper,
			   struct cprof_buffer *out)
{
	const char *name = grant->name + strlen("CAP_");
	cprof_buffer_puts(out, before);
	for (; isupper((unsigned char)*name) || *name == '_'; name++)
		cprof_buffer_putc(out, upper ? *name : (char)tolower((unsigned char)*name));
}

/* The capabilities of a set, each behind `joint`, the first behind `start`. True: there was one. */
static bool put_capabilities(uint32_t grants, const char *start, const char *joint, bool upper,
			     struct cprof_buffer *out)
{
	bool any = false;
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if (!(grants & grant->bit) || grant->capability < 0)
			continue;
		put_capability(grant, any ? joint : start, upper, out);
		any = true;
	}
	return any;
}

static uint32_t held(const struct cprof_doctor_host *host)
{
	uint32_t grants = 0;
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if (grant->capability >= 0 &&
		    cprof_doctor_host_has(host, (unsigned)grant->capability))
			grants |= grant->bit;
	}
	return grants;
}

static bool has_capability(uint32_t grants)
{
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		if ((grants & cprof_doctor_grants[i].bit) && cprof_doctor_grants[i].capability >= 0)
			return true;
	}
	return false;
}

uint32_t cprof_doctor_grants_together(uint32_t grants)
{
	uint32_t together = grants;
	for (size_t i = 0; has_capability(grants) && i < cprof_doctor_n_grants; i++) {
		if (cprof_doctor_grants[i].sysctl)
			together &= ~cprof_doctor_grants[i].bit;
	}
	return together;
}

void cprof_doctor_grants_names(uint32_t grants, struct cprof_buffer *out)
{
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const char *name = cprof_doctor_grants[i].name;
		if (!(grants & cprof_doctor_grants[i].bit))
			continue;
		for (; *name && *name != ','; name++) {
			if (*name != '`')
				cprof_buffer_putc(out, *name);
		}
		cprof_buffer_putc(out, '\n');
	}
}

/* A file's capabilities replace those it had; root that lacks some is in a container. */
static void put_setcap(uint32_t grants, const struct cprof_doctor_host *host, const char *program,
		       struct cprof_buffer *out)
{
	if (host->uid == 0 || !has_capability(grants))
		return;
	put_capabilities(grants | held(host), "sudo setcap cap_", ",cap_", false, out);
	cprof_buffer_puts(out, "+ep ");
	cprof_shell_word_put(out, program);
	cprof_buffer_putc(out, '\n');
}

static void put_sysctl(uint32_t grants, struct cprof_buffer *out)
{
	const char *joint = "sudo sysctl ";
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if (!(grants & grant->bit) || !grant->sysctl)
			continue;
		cprof_buffer_printf(out, "%s%s", joint, grant->sysctl);
		joint = " ";
	}
	if (strcmp(joint, " ") == 0)
		cprof_buffer_putc(out, '\n');
}

static void put_docker(uint32_t grants, const struct cprof_doctor_host *host,
		       struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	if (host->uid == 0)
		put_capabilities(grants, " --cap-add=", " --cap-add=", true, &line);
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if ((grants & grant->bit) && grant->docker)
			cprof_buffer_printf(&line, " %s", grant->docker);
	}
	if (line.len)
		cprof_buffer_printf(out, "docker run%s\n", cprof_buffer_text(&line));
}

void cprof_doctor_grants_commands(uint32_t grants, const struct cprof_doctor_host *host,
				  const char *program, struct cprof_buffer *out)
{
	if (!(grants & CPROF_GRANT_HOST_USER)) /* there they would not count */
		put_setcap(grants, host, program, out);
	put_sysctl(grants, out);
	if (!(grants & CPROF_GRANT_HOST_USER))
		put_docker(grants, host, out);
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if ((grants & grant->bit) && grant->other)
			cprof_buffer_printf(out, "%s\n", grant->other);
	}
}

void cprof_doctor_grants_pod(uint32_t grants, struct cprof_buffer *out)
{
	if (put_capabilities(grants, "securityContext: {capabilities: {add: [", ", ", true, out))
		cprof_buffer_puts(out, "]}}\n");
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		if ((grants & grant->bit) && grant->pod)
			cprof_buffer_printf(out, "%s\n", grant->pod);
	}
}

/* ---- the document ---- */

static void put_granted_by(const struct cprof_doctor_grant *grant, struct cprof_buffer *out)
{
	if (grant->capability >= 0) {
		put_capabilities(grant->bit, " `setcap cap_", "", false, out);
		cprof_buffer_puts(out, "+ep`");
	} else if (grant->sysctl) {
		cprof_buffer_printf(out, " `sysctl %s`", grant->sysctl);
	} else if (grant->docker) {
		cprof_buffer_printf(out, " `docker run %s`", grant->docker);
	} else {
		cprof_buffer_printf(out, " %s", grant->other);
	}
}

static void put_pod(const struct cprof_doctor_grant *grant, struct cprof_buffer *out)
{
	if (grant->capability >= 0) {
		put_capabilities(grant->bit, " `capabilities: {add: [", "", true, out);
		cprof_buffer_puts(out, "]}`");
	} else if (grant->pod) {
		cprof_buffer_printf(out, " `%s`", grant->pod);
	}
}

void cprof_doctor_grants_document(struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "| capability or setting | for | granted by | in a pod |\n"
			       "|---|---|---|---|\n");
	for (size_t i = 0; i < cprof_doctor_n_grants; i++) {
		const struct cprof_doctor_grant *grant = &cprof_doctor_grants[i];
		cprof_buffer_printf(out, "| %s | %s |", grant->name, grant->purpose);
		put_granted_by(grant, out);
		cprof_buffer_puts(out, " |");
		put_pod(grant, out);
		cprof_buffer_puts(out, " |\n");
	}
}
