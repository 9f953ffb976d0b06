/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/go_labels.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "attach/context/tls_place.h"
#include "attach/context/tls_symbol.h"
#include "symbolize/elf/elf_file.h"

#define INFO_BYTES  512
#define FLAGS_AT    15
#define FLAG_INLINE 2 /* the version's text follows, since Go 1.18 */
#define TEXT_AT     32
#define G_M         48

/* runtime/runtime2.go of the versions from `minor` on, for a 64-bit CPU. */
static const struct members {
	unsigned minor; /* of 1.minor */
	uint16_t labels, curg;
	enum cprof_context_how how;
} members[] = {
	{ 26, 352, 184, CPROF_CONTEXT_GO_LIST }, { 25, 344, 184, CPROF_CONTEXT_GO_LIST },
	{ 24, 352, 192, CPROF_CONTEXT_GO_LIST }, { 23, 352, 192, CPROF_CONTEXT_GO_MAP },
	{ 21, 344, 192, CPROF_CONTEXT_GO_MAP },  { 17, 360, 192, CPROF_CONTEXT_GO_MAP },
};
#define LAST_KNOWN 26

bool cprof_go_labels_version(const uint8_t *info, size_t n, char *version)
{
	static const char magic[] = "\xff Go buildinf:";
	version[0] = 0;
	if (n <= TEXT_AT || memcmp(info, magic, sizeof(magic) - 1) != 0 ||
	    !(info[FLAGS_AT] & FLAG_INLINE))
		return false;
	const size_t length = info[TEXT_AT]; /* a varint: longer ones have more than one byte */
	if (length > n - TEXT_AT - 1 || length >= CPROF_GO_VERSION)
		return false;
	for (size_t i = 0; i < length; i++) {
		const uint8_t c = info[TEXT_AT + 1 + i];
		version[i] = (char)(c > ' ' && c < 0x7f ? c : '?');
	}
	version[length] = 0;
	return strncmp(version, "go1.", 4) == 0;
}

bool cprof_go_labels_members(const char *version, struct cprof_context_place *ret_place)
{
	unsigned minor;
	if (sscanf(version, "go1.%3u", &minor) != 1 || minor > LAST_KNOWN)
		return false;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (minor < members[i].minor)
			continue;
		*ret_place = (struct cprof_context_place){
			.how = members[i].how,
			.g_m = G_M,
			.m_curg = members[i].curg,
			.g_labels = members[i].labels,
		};
		return true;
	}
	return false;
}

/*
 * With C in it, a symbol says where g is, or the block of thread-local variables is of one word, which is g. Without C there is no block: the runtime
 * lets the thread pointer lead behind a word of its own.
 */
static bool find_g(const struct cprof_module *program, __s64 *ret_offset)
{
	struct cprof_tls_symbol symbol;
	if (!program->arch || program->arch->elf_machine != EM_X86_64)
		return false;
	if (cprof_tls_symbol_find(program, "runtime.tlsg", true, &symbol)) {
		*ret_offset = cprof_tls_place_own(&symbol);
		return true;
	}
	const uint64_t bytes = cprof_tls_symbol_block(program, &symbol);
	*ret_offset = bytes ? cprof_tls_place_own(&symbol) : -(int64_t)sizeof(uint64_t);
	return !bytes || bytes == sizeof(uint64_t);
}

static bool read_info(struct cprof_image *image, uint8_t *info, size_t *ret_n)
{
	struct cprof_elf *elf;
	struct cprof_error *err = cprof_elf_open(image, true, &elf);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	const struct cprof_section *section = cprof_elf_section(elf, ".go.buildinfo");
	const uint64_t n = section && section->size < INFO_BYTES ? section->size : INFO_BYTES;
	const uint8_t *bytes = section ? cprof_section_at(section, 0, n) : NULL;
	if (bytes)
		memcpy(info, bytes, n);
	*ret_n = n;
	cprof_elf_free(elf);
	return bytes;
}

enum cprof_go_answer cprof_go_labels_find(const struct cprof_module *program,
					  struct cprof_context_place *ret_place, char *version)
{
	uint8_t info[INFO_BYTES];
	size_t n;
	version[0] = 0;
	if (!program->image || !read_info(program->image, info, &n))
		return CPROF_GO_NO;
	if (!cprof_go_labels_version(info, n, version) ||
	    !cprof_go_labels_members(version, ret_place) || !find_g(program, &ret_place->offset))
		return CPROF_GO_UNKNOWN;
	return CPROF_GO_FOUND;
}

bool cprof_go_labels_is_go(int fd)
{
	struct cprof_image *image;
	uint8_t info[INFO_BYTES];
	size_t n;
	struct cprof_error *err = cprof_image_open(fd, "a program", NULL, &image);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	const bool is_go = read_info(image, info, &n);
	cprof_image_free(image);
	return is_go;
}
