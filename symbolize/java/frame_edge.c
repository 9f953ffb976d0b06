/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/frame_edge.h"

#include <string.h>

struct code {
	const uint8_t *bytes;
	size_t n;
};

/* One instruction: its first bytes, and how many more follow that may be any. */
struct pattern {
	uint8_t n, more;
	uint8_t bytes[6];
};

static const struct pattern push_rbp = { 1, 0, { 0x55 } };
static const struct pattern pop_rbp = { 1, 0, { 0x5d } };
static const struct pattern ret = { 1, 0, { 0xc3 } };
static const struct pattern makes_room[] = { { 3, 1, { 0x48, 0x83, 0xec } },
					     { 3, 4, { 0x48, 0x81, 0xec } } };
static const struct pattern sets_rbp[] = { { 3, 0, { 0x48, 0x8b, 0xec } },
					   { 3, 0, { 0x48, 0x89, 0xe5 } } };
static const struct pattern saves_rbp[] = { { 4, 1, { 0x48, 0x89, 0x6c, 0x24 } },
					    { 4, 4, { 0x48, 0x89, 0xac, 0x24 } } };

/* Between the frame and the return: is a safepoint wanted? The last of each is left out where it may be in midst of it. */
static const struct pattern polls[] = {
	{ 3, 1, { 0x49, 0x3b, 0x67 } },                                 /* cmp n(%r15),%rsp */
	{ 3, 4, { 0x49, 0x3b, 0xa7 } }, { 2, 4, { 0x0f, 0x87 } },       /* ja */
	{ 3, 1, { 0x4d, 0x8b, 0x57 } },                                 /* mov n(%r15),%r10 */
	{ 3, 4, { 0x4d, 0x8b, 0x97 } }, { 3, 0, { 0x41, 0x85, 0x02 } }, /* test %eax,(%r10) */
	{ 2, 4, { 0x85, 0x05 } },                                       /* test %eax,n(%rip) */
};

/* Where that goes to: the place is kept for the machine, which is called with the frame gone. */
static const struct pattern parks[] = {
	{ 3, 4, { 0x4c, 0x8d, 0x15 } }, /* lea n(%rip),%r10 */
	{ 3, 1, { 0x4d, 0x89, 0x57 } }, /* mov %r10,n(%r15) */
	{ 3, 4, { 0x4d, 0x89, 0x97 } },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t length(const struct pattern *pattern)
{
	return (size_t)pattern->n + pattern->more;
}

static bool is_at(const struct code *code, size_t at, const struct pattern *pattern)
{
	return at <= code->n && length(pattern) <= code->n - at &&
	       memcmp(code->bytes + at, pattern->bytes, pattern->n) == 0;
}

/* The one of `patterns` that is at `at`, NULL: none. */
static const struct pattern *any_at(const struct code *code, size_t at,
				    const struct pattern *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_at(code, at, &patterns[i]))
			return &patterns[i];
	}
	return NULL;
}

/* `end` is right behind one of `patterns`, whose start is put into *ret_start. */
static bool ends_at(const struct code *code, size_t end, const struct pattern *patterns, size_t n,
		    size_t *ret_start)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = length(&patterns[i]);
		if (end >= len && is_at(code, end - len, &patterns[i])) {
			*ret_start = end - len;
			return true;
		}
	}
	return false;
}

/* The caller's frame pointer was pushed right before `at`, and perhaps set. */
static bool pushed_before(const struct code *code, size_t at)
{
	size_t start = at;
	(void)ends_at(code, at, sets_rbp, COUNT(sets_rbp), &start);
	return ends_at(code, start, &push_rbp, 1, &start);
}

/* Room for the frame is made somewhere before `at`: behind a push, or before the frame pointer is stored. */
static bool made_before(const struct code *code, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		const struct pattern *room = any_at(code, i, makes_room, COUNT(makes_room));
		if (!room || i + length(room) > at)
			continue;
		if (pushed_before(code, i) ||
		    any_at(code, i + length(room), saves_rbp, COUNT(saves_rbp)))
			return true;
	}
	return false;
}

static enum cprof_frame_edge at_start(const struct code *code, size_t at)
{
	size_t unused;
	if (any_at(code, at, saves_rbp, COUNT(saves_rbp)) &&
	    ends_at(code, at, makes_room, COUNT(makes_room), &unused))
		return CPROF_EDGE_UNSAVED;
	if (made_before(code, at))
		return CPROF_EDGE_WHOLE;
	return pushed_before(code, at) ? CPROF_EDGE_POINTER : CPROF_EDGE_RETURN;
}

/* Instructions of a poll, perhaps none, and the return. */
static bool returns(const struct code *code, size_t at)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct pattern *poll = any_at(code, at, polls, COUNT(polls));
		if (!poll)
			break;
		at += length(poll);
	}
	return is_at(code, at, &ret);
}

/* On the way to the machine from the poll of a return. */
static bool is_parking(const struct code *code, size_t at)
{
	size_t start = at;
	for (unsigned i = 0; i < 2; i++) {
		const struct pattern *park = any_at(code, at, parks, COUNT(parks));
		if (!park)
			break;
		at += length(park);
	}
	return at < code->n && code->bytes[at] == 0xe9 &&
	       (at > start || ends_at(code, at, parks + 1, 2, &start));
}

enum cprof_frame_edge cprof_frame_edge(const uint8_t *bytes, size_t n, size_t at, bool complete)
{
	const struct code code = { bytes, n };
	if (!complete)
		return at_start(&code, at);
	if (is_at(&code, at, &pop_rbp) && returns(&code, at + 1))
		return CPROF_EDGE_POINTER;
	return returns(&code, at) || is_parking(&code, at) ? CPROF_EDGE_RETURN : CPROF_EDGE_WHOLE;
}
