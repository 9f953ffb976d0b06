/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/error.h - the one way a cprof function reports failure.
 *
 * A function that can fail returns `struct cprof_error *`: NULL for success, otherwise an error that
 * the caller owns and must pass up, turn into something else, or cprof_error_free(). Results come
 * back through `ret_*` parameters, which are written only on success.
 *
 * Library code (everything outside the programs' own command files) never prints and never exits; it only returns these.
 */
#ifndef CPROF_ERROR_H
#define CPROF_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the caller may decide on. The exit status of the program is a function of this alone. */
enum cprof_error_code {
	CPROF_ERR_NO_MEMORY,   /* allocation failed; always the static error, never allocated */
	CPROF_ERR_OS,          /* a system call failed in a way no code below names */
	CPROF_ERR_NO_TARGET,   /* the process or thread is gone (ESRCH, pidfd readable) */
	CPROF_ERR_DENIED,      /* EPERM/EACCES: paranoid level, ptrace_scope, capabilities */
	CPROF_ERR_UNSUPPORTED, /* this kernel, CPU or libc cannot do it; retrying will not help */
	CPROF_ERR_BAD_DATA,    /* bytes from outside (perf, ELF, pprof, HTTP) break their format */
	CPROF_ERR_USAGE,       /* the command line asks for something that makes no sense */
	CPROF_ERR_EXISTS,      /* the output file is there already and may not be replaced */
	CPROF_ERR_UNDELIVERED, /* a collector did not take the profile; it is kept on disk */
};

struct cprof_error {
	enum cprof_error_code code;
	int os_errno;  /* errno at the failing call, 0 if none was involved */
	char *message; /* what failed, innermost cause last: "attach to 42: PTRACE_SEIZE: ..." */
	char *hint;    /* one sentence telling the user what to do, or NULL */
};

/*
 * Both copy their text, and make it fit for a terminal (base/printable.h): control characters in a name that somebody
 * else chose show as \x1b. On allocation failure they return the static CPROF_ERR_NO_MEMORY error.
 */
struct cprof_error *cprof_error_new(enum cprof_error_code code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));
struct cprof_error *cprof_error_os(int os_errno, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

/* The static out-of-memory error; costs nothing. */
struct cprof_error *cprof_error_no_memory(void)
	__attribute__((returns_nonnull, warn_unused_result));

/* Put "CONTEXT: " before the message, or set the hint. Each takes err and gives it back. */
struct cprof_error *cprof_error_wrap(struct cprof_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), nonnull(1), returns_nonnull, warn_unused_result));
struct cprof_error *cprof_error_hint(struct cprof_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), nonnull(1), returns_nonnull, warn_unused_result));

/* Another one that says the same, for two who both want to own it. */
struct cprof_error *cprof_error_copy(const struct cprof_error *err)
	__attribute__((nonnull(1), returns_nonnull, warn_unused_result));

/*
 * The exit status of either program for `err`: 0 for NULL, 2 usage, 3 no such process, 4 not
 * permitted, 5 not delivered, 1 everything else. docs/exit-status.md lists them for users.
 */
int cprof_error_exit_status(const struct cprof_error *err);

/*
 * clang's analyzer does not read returns_nonnull. Told otherwise, it knows that a function which returns
 * one of these has failed, and does not follow the path on which it had succeeded.
 */
#if defined(__clang_analyzer__) && !defined(CPROF_BASE_ERROR_C)
static inline struct cprof_error *cprof_error_not_null(struct cprof_error *err)
{
	if (!err)
		__builtin_unreachable();
	return err;
}
#define cprof_error_new(...)       cprof_error_not_null(cprof_error_new(__VA_ARGS__))
#define cprof_error_os(...)        cprof_error_not_null(cprof_error_os(__VA_ARGS__))
#define cprof_error_wrap(...)      cprof_error_not_null(cprof_error_wrap(__VA_ARGS__))
#define cprof_error_hint(...)      cprof_error_not_null(cprof_error_hint(__VA_ARGS__))
#define cprof_error_copy(...)      cprof_error_not_null(cprof_error_copy(__VA_ARGS__))
#define cprof_error_no_memory(...) cprof_error_not_null(cprof_error_no_memory(__VA_ARGS__))
#endif

/* NULL is a no-op, and so is the static out-of-memory error. */
void cprof_error_free(struct cprof_error *err);

#ifdef __cplusplus
}
#endif

#endif
