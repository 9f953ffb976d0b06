/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_assets.h - what is built into the library for the web view.
 */
#ifndef CPROF_CONVERT_WEB_WEB_ASSETS_H
#define CPROF_CONVERT_WEB_WEB_ASSETS_H

#include <stddef.h>

/* assets/page.html with its scripts and styles, joined by output/assets/join.cmake; its state goes where "@STATE@" stands. */
extern const char cprof_asset_web_page[];
extern const size_t cprof_asset_web_page_len;

/* The hashes of its script and style, as a Content-Security-Policy names them. */
extern const char cprof_asset_web_script_hash[], cprof_asset_web_style_hash[];

#endif
