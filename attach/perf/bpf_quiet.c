/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_quiet.h"

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

libbpf_print_fn_t cprof_bpf_quiet_begin(void)
{
	return libbpf_set_print(print_nothing);
}

void cprof_bpf_quiet_end(libbpf_print_fn_t before)
{
	libbpf_set_print(before);
}
