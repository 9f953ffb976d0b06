/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/usdt_note.h"

#include <elf.h>
#include <string.h>

#define OWNER "stapsdt" /* with its zero byte */
#define TYPE  3u
#define WORDS 3u

static size_t padded(uint32_t n)
{
	return ((size_t)n + 3) & ~(size_t)3;
}

/* The text at *at, which is moved behind its zero byte; NULL: it does not end. */
static const char *take_text(const uint8_t *bytes, size_t n, size_t *at)
{
	const uint8_t *end = *at < n ? memchr(bytes + *at, 0, n - *at) : NULL;
	if (!end)
		return NULL;
	const char *text = (const char *)bytes + *at;
	*at = (size_t)(end - bytes) + 1;
	return text;
}

static bool read_probe(const uint8_t *bytes, size_t n, struct cprof_usdt_note *note)
{
	uint64_t words[WORDS];
	size_t at = sizeof(words);
	if (n < sizeof(words))
		return false;
	memcpy(words, bytes, sizeof(words));
	note->pc = words[0];
	note->base = words[1];
	note->semaphore = words[2];
	note->provider = take_text(bytes, n, &at);
	note->name = note->provider ? take_text(bytes, n, &at) : NULL;
	note->args = note->name ? take_text(bytes, n, &at) : NULL;
	return note->args != NULL;
}

bool cprof_usdt_note_next(const uint8_t *bytes, size_t n, size_t *at,
			  struct cprof_usdt_note *ret_note)
{
	while (*at < n && n - *at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;
		memcpy(&head, bytes + *at, sizeof(head));
		const size_t owner = *at + sizeof(head), desc = owner + padded(head.n_namesz);
		const size_t left = n - owner;
		if (padded(head.n_namesz) > left || head.n_descsz > left - padded(head.n_namesz))
			return false;
		const size_t behind = desc + padded(head.n_descsz);
		*at = behind < n ? behind : n;
		struct cprof_usdt_note note;
		if (head.n_type == TYPE && head.n_namesz == sizeof(OWNER) &&
		    memcmp(bytes + owner, OWNER, sizeof(OWNER)) == 0 &&
		    read_probe(bytes + desc, head.n_descsz, &note)) {
			*ret_note = note;
			return true;
		}
	}
	return false;
}
