/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before everything else by packaging/build-tarball, whose programs run with glibc 2.28: what our sources use that is
 * younger, by what that glibc has. The functions themselves are the kernel's, or the same ones under an older version.
 * What is missing here shows: the script reads from the programs which glibc they need.
 */
#ifndef PACKAGING_TARBALL_OLD_GLIBC_H
#define PACKAGING_TARBALL_OLD_GLIBC_H

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Version 2.29 of these differs from the first one in that errno is set without a wrapper; nobody here reads it. */
__asm__(".symver exp, exp@GLIBC_2.2.5");
__asm__(".symver log, log@GLIBC_2.2.5");
__asm__(".symver log2, log2@GLIBC_2.2.5");
__asm__(".symver pow, pow@GLIBC_2.2.5");

/* glibc 2.30; its header declares it by this name. */
#define gettid() ((pid_t)syscall(SYS_gettid))

/* glibc 2.34. On a kernel before 5.9 it fails with ENOSYS, as the library's does. */
static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

/* glibc 2.32: "SEGV", or NULL. The signals that a core file may be of, and the others that end a process. */
static inline const char *sigabbrev_np(int signal)
{
	static const char *const names[] = {
		[SIGHUP] = "HUP",   [SIGINT] = "INT",	[SIGQUIT] = "QUIT", [SIGILL] = "ILL",
		[SIGTRAP] = "TRAP", [SIGABRT] = "ABRT", [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
		[SIGKILL] = "KILL", [SIGUSR1] = "USR1", [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
		[SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM", [SIGXCPU] = "XCPU",
		[SIGXFSZ] = "XFSZ", [SIGSYS] = "SYS",
	};
	return signal > 0 && signal < (int)(sizeof(names) / sizeof(names[0])) ? names[signal] :
										NULL;
}

#endif
