/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/rust_name.h - the plain text of Rust's mangled names ("v0": "_RNvC7mycrate3foo").
 *
 * Ours and not a library's: a name may refer back to its own parts and count up to 2^64 lifetimes, so that forty bytes
 * print as gigabytes or, where libiberty skips a part of a name, run for years without printing anything. Here every
 * step is counted.
 *
 * Source of truth: Rust RFC 2603 and the rustc book's "v0 Symbol Format". Shown as the format's own tools show it
 * without hashes: no crate disambiguators, no types of constants.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_RUST_NAME_H
#define CPROF_SYMBOLIZE_NAMES_RUST_NAME_H

/*
 * The plain name in UTF-8, which the caller frees, or NULL: not of this format, or one that would take more than 64 KiB
 * of text, 65,536 steps, or 400 levels. What follows a dot, which is no part of the name, is left out.
 */
char *cprof_rust_name(const char *mangled);

#endif
