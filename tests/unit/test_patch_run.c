/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are patched and called: they do what they did, and the stub sees what their caller passed. */
#include <sys/mman.h>

#include "attach/heap/inject/patch.h"
#include "tests/unit/test.h"

#define BYTES      4096u
#define STUB       1024u /* offsets in the mapping */
#define TRAMPOLINE 2048u
#define AWAY                                                                                       \
	3072u /* where the kernel would execute the first instruction of a function with a uprobe on it */
#define SEEN (4096u - 64)

/* Two arguments, any beginning; 32 bytes of padding behind. */
#define FUNCTION(name, text)                                                                       \
	__asm__(".pushsection .rodata\n.balign 16\n" #name "_begin:\n" text                        \
		"\n.fill 32, 1, 0x90\n" #name "_end:\n.popsection\n");                             \
	extern const uint8_t name##_begin[], name##_end[];

FUNCTION(pushes, "push %r12; push %rbp; push %rbx; mov %rdi,%rbx; lea (%rbx,%rsi),%rax;"
		 "pop %rbx; pop %rbp; pop %r12; ret")
FUNCTION(push_frame, "push %rbp; mov %rsp,%rbp; mov 8(%rbp),%rax; lea (%rdi,%rsi),%rax; leave; ret")
FUNCTION(tests, "test %rdi,%rdi; je 1f; lea 1(%rdi),%rax; ret; 1: mov $7,%eax; ret")
FUNCTION(compares, "cmp $0x1000,%rdi; ja 1f; lea 1(%rdi),%rax; ret; 1: mov $7,%eax; ret")
FUNCTION(compares_data,
	 "1: cmpb $1,2f(%rip); jne 3f; mov $5,%eax; ret; 2: .byte 1; 3: mov $6,%eax; ret")
FUNCTION(lowers,
	 "sub $0x18,%rsp; mov %rdi,8(%rsp); mov 8(%rsp),%rax; add %rsi,%rax; add $0x18,%rsp; ret")
FUNCTION(lowers_much, "sub $0x188,%rsp; mov %rdi,8(%rsp); mov 8(%rsp),%rax; add $0x188,%rsp; ret")
FUNCTION(lowers_128, "add $-128,%rsp; mov %rdi,8(%rsp); mov 8(%rsp),%rax; sub $-128,%rsp; ret")
FUNCTION(copies, "mov %rsi,%rax; lea (%rax,%rdi),%rax; add $3,%rax; ret")
FUNCTION(copies_low, "mov %edi,%ecx; lea (%rcx,%rsi),%rax; add $3,%rax; ret")
FUNCTION(copies_scratch, "lea 8(%rdi),%r11; lea (%r11,%rsi),%rax; ret")
FUNCTION(clears, "xor %eax,%eax; lea (%rax,%rdi),%rdx; mov %rdx,%rax; ret")
FUNCTION(loads_thread, "mov %fs:0,%rdx; sub %fs:0,%rdx; lea 2(%rdx,%rdi),%rax; ret")
FUNCTION(begins_with_nop, ".byte 0x0f, 0x1f, 0x44, 0, 0; lea (%rdi,%rsi),%rax; inc %rax; ret")
FUNCTION(guarded, "endbr64; push %rbx; mov %rdi,%rbx; lea 4(%rbx),%rax; pop %rbx; ret")
FUNCTION(at_entry, "add $15,%rdi; mov %rdi,%rax; add %rsi,%rax; ret")

static const struct row {
	const char *name;
	const uint8_t *begin, *end;
	uint8_t first;  /* length of the first instruction, if the jump is behind it */
	bool elsewhere; /* it may be executed in another place as it is */
} rows[] = {
#define ROW(name, first, elsewhere)                                                                \
	{                                                                                          \
#name, name##_begin, name##_end, first, elsewhere                                  \
	}
	ROW(pushes, 2, true),       ROW(push_frame, 1, true),      ROW(tests, 3, true),
	ROW(compares, 7, true),     ROW(compares_data, 7, false),  ROW(lowers, 4, true),
	ROW(lowers_much, 7, true),  ROW(lowers_128, 4, true),      ROW(copies, 3, true),
	ROW(copies_low, 2, true),   ROW(copies_scratch, 4, true),  ROW(clears, 2, true),
	ROW(loads_thread, 9, true), ROW(begins_with_nop, 5, true), ROW(guarded, 4, true),
	ROW(at_entry, 0, false),
};

struct seen {
	uint64_t calls, rsp, ret, rdi, rsi;
};

static uint8_t *put(uint8_t *at, const char *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

/* op reg,[rip+...]: 7 bytes. */
static uint8_t *store(uint8_t *at, const char *op, const void *to)
{
	int32_t distance = (int32_t)((const uint8_t *)to - (at + 7));
	at = put(at, op, 3);
	memcpy(at, &distance, sizeof(distance));
	return at + sizeof(distance);
}

static uint8_t *jump(uint8_t *at, const uint8_t *to)
{
	int32_t distance = (int32_t)(to - (at + 5));
	*at = 0xe9;
	memcpy(at + 1, &distance, sizeof(distance));
	return at + 5;
}

/* Notes what it sees, spoils all it may (rax, r10, r11, flags) and goes on. */
static void make_stub(uint8_t *at, struct seen *seen, const uint8_t *to)
{
	at = store(at, "\x48\xff\x05", &seen->calls); /* incq */
	at = store(at, "\x48\x89\x25", &seen->rsp);
	at = store(at, "\x48\x89\x3d", &seen->rdi);
	at = store(at, "\x48\x89\x35", &seen->rsi);
	at = put(at, "\x48\x8b\x04\x24", 4); /* mov (%rsp),%rax */
	at = store(at, "\x48\x89\x05", &seen->ret);
	at = put(at, "\x48\x83\xc8\xff", 4); /* or $-1,%rax */
	at = put(at, "\x49\x83\xca\xff", 4); /* r10 */
	at = put(at, "\x49\x83\xcb\xff", 4); /* r11 */
	jump(at, to);
}

typedef uint64_t function(uint64_t, uint64_t);

static __attribute__((noinline)) uint64_t call(const uint8_t *at, uint64_t a, uint64_t b)
{
	function *f;
	memcpy(&f, &at, sizeof(f));
	return f(a, b) + 1 - 1;
}

/* The calls come from one place, so that stack pointer and return address have to be the same. */
static void compare(const struct row *row, const uint8_t *const *ways, size_t n, struct seen *seen)
{
	static const uint64_t arguments[][2] = {
		{ 0, 0 }, { 1, 9 }, { 100000, 4 }, { 77, 1u << 20 }
	};
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		const uint64_t *a = arguments[i];
		uint64_t want = 0;
		struct seen bare = { 0 };
		for (size_t way = 0; way < n; way++) {
			*seen = (struct seen){ 0 };
			uint64_t got = call(ways[way], a[0], a[1]);
			if (way == 0) { /* the function as it was */
				want = got;
			} else if (way ==
				   1) { /* the stub alone, as if the jump were all there is */
				bare = *seen;
				CHECK_UINT(bare.rdi, a[0]);
			} else if (got != want || memcmp(seen, &bare, sizeof(bare)) != 0) {
				TEST_FAIL("%s(%" PRIu64 ", %" PRIu64 "), way %zu: %" PRIu64
					  ", want %" PRIu64 "; %" PRIu64 " calls, rsp %+" PRId64
					  ", rdi %" PRIu64 ", rsi %" PRIu64,
					  row->name, a[0], a[1], way, got, want, seen->calls,
					  (int64_t)(seen->rsp - bare.rsp), seen->rdi, seen->rsi);
			}
		}
	}
}

/* One mapping holds the function as it was, another the patched one with its stub and its trampoline. */
static void run(const struct row *row, uint8_t *plain, uint8_t *page)
{
	const size_t n = (size_t)(row->end - row->begin);
	struct cprof_patch patch;
	struct seen *seen = (void *)(page + SEEN);
	memset(page, 0xcc, BYTES);
	memcpy(page, row->begin, n);
	memcpy(plain, row->begin, n);
	struct cprof_error *err =
		cprof_patch_plan(page, n, (uintptr_t)page, (uintptr_t)page + STUB,
				 (uintptr_t)page + TRAMPOLINE, 1 | 2, NULL, &patch);
	if (err)
		TEST_FAIL("%s: %s", row->name, err->message);
	CHECK_UINT(patch.addr - (uintptr_t)page, row->first);
	CHECK_UINT(patch.at_entry, row->first == 0);
	memcpy(page + row->first, patch.patched, CPROF_PATCH_JUMP);
	memcpy(page + STUB - patch.undo_len, patch.undo, patch.undo_len);
	memcpy(page + TRAMPOLINE, patch.trampoline, patch.trampoline_len);
	make_stub(page + STUB, seen, page + TRAMPOLINE);

	/* A stub that returns at once, for comparison. */
	uint8_t *bare = page + AWAY + 256, *away = page + AWAY;
	make_stub(bare, seen, page + AWAY + 512);
	page[AWAY + 512] = 0xc3;
	memcpy(away, row->begin, row->first);
	jump(away + row->first, page + row->first);
	const uint8_t *const ways[] = { plain, bare, page, away };
	compare(row, ways, row->elsewhere ? 4 : 3, seen);
}

TEST(patch_leaves_functions_as_they_were_to_their_callers)
{
	uint8_t *pages = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run(&rows[i], pages, pages + BYTES);
	munmap(pages, 2 * BYTES);
}
