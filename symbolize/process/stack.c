/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/stack.h"

const char *cprof_stop_name(enum cprof_stop stop)
{
	switch (stop) {
	case CPROF_STOP_ROOT:
		return "root";
	case CPROF_STOP_DEPTH:
		return "depth";
	case CPROF_STOP_COPY_END:
		return "copy-end";
	case CPROF_STOP_UNREADABLE:
		return "unreadable";
	case CPROF_STOP_NOT_ADVANCING:
		return "not-advancing";
	case CPROF_STOP_NO_MAP:
		return "no-map";
	case CPROF_STOP_NO_RULE:
		return "no-rule";
	case CPROF_STOP_N:
		break;
	}
	return "unknown";
}
