/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/error.h"
#include "tests/unit/test.h"

#include <errno.h>

TEST(error_os_keeps_errno_and_names_the_ones_callers_act_on)
{
	/* clang-format off */
	static const struct {
		int os_errno;
		enum cprof_error_code want;
	} cases[] = {
		{ ESRCH, CPROF_ERR_NO_TARGET },
		{ EPERM, CPROF_ERR_DENIED },
		{ EACCES, CPROF_ERR_DENIED },
		{ ENOSYS, CPROF_ERR_UNSUPPORTED },
		{ EIO, CPROF_ERR_OS },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_error *err = cprof_error_os(cases[i].os_errno, "PTRACE_SEIZE");
		CHECK_UINT(err->code, cases[i].want);
		CHECK_UINT(err->os_errno, cases[i].os_errno);
		cprof_error_free(err);
	}
}

TEST(error_wrap_puts_context_first_and_hint_stays_apart)
{
	struct cprof_error *err = cprof_error_os(EPERM, "PTRACE_SEIZE");
	err = cprof_error_hint(err, "run as the target's user, or lower kernel.yama.ptrace_scope");
	err = cprof_error_wrap(err, "attach to %d", 42);

	CHECK_STR(err->message, "attach to 42: PTRACE_SEIZE: Operation not permitted");
	CHECK_STR(err->hint, "run as the target's user, or lower kernel.yama.ptrace_scope");
	cprof_error_free(err);
}

TEST(error_out_of_memory_is_static_and_survives_every_call)
{
	struct cprof_error *err = cprof_error_os(ENOMEM, "mmap");
	CHECK(cprof_error_wrap(err, "ring") == err);
	CHECK(cprof_error_hint(err, "x") == err);
	cprof_error_free(err);
	CHECK_STR(err->message, "out of memory");
}

TEST(error_copy_says_the_same_and_is_freed_by_itself)
{
	struct cprof_error *err = cprof_error_hint(cprof_error_os(EACCES, "open"), "be root");
	struct cprof_error *copy = cprof_error_copy(err);
	cprof_error_free(err);
	CHECK_STR(copy->message, "open: Permission denied");
	CHECK_STR(copy->hint, "be root");
	CHECK(copy->code == CPROF_ERR_DENIED && copy->os_errno == EACCES);
	cprof_error_free(copy);
	CHECK(cprof_error_copy(cprof_error_no_memory()) == cprof_error_no_memory());
}
