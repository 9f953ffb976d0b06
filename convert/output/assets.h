/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/assets.h - files that are built into the library: pages that reports are put into.
 */
#ifndef CPROF_CONVERT_OUTPUT_ASSETS_H
#define CPROF_CONVERT_OUTPUT_ASSETS_H

#include <stddef.h>

/* assets/flame joined to one page by assets/join.cmake; its data goes where "@DATA@" stands. */
extern const char cprof_asset_flamegraph[];
extern const size_t cprof_asset_flamegraph_len;

#endif
