/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_sampler - an allocator that samples itself and says so by probes otel_memory:alloc and otel_memory:free, as the macros of SystemTap
 * would make them.
 *
 * "every" on its stdin: 120 blocks from each function, every other one freed; "fork": a child that frees and allocates; "odd": samples
 * that cannot be; "wanted": whether the semaphore's probe is switched on; "quit". Before "done" come lines "truth FUNCTION objects bytes
 * live_objects live_bytes": what the weights say. One probe has its arguments in registers, one in memory and constants, one has a
 * semaphore.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS   120
#define NOINLINE __attribute__((noinline))

/* The counter of a probe that is switched on by who wants it. */
__attribute__((section(".probes"), used)) volatile unsigned short otel_memory_alloc_semaphore;

__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"
	"_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n");

#ifdef HEAP_SAMPLER_LONG_NOP
#define PLACE ".byte 0x0f,0x1f,0x44,0x00,0x00"
#else
#define PLACE "nop"
#endif

#define PROBE(name, semaphore, args, ...)                                                          \
	__asm__ volatile("990: " PLACE "\n"                                                        \
			 ".pushsection .note.stapsdt,\"?\",\"note\"\n"                             \
			 ".balign 4\n.4byte 992f-991f, 994f-993f, 3\n"                             \
			 "991: .asciz \"stapsdt\"\n992: .balign 4\n"                               \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n"                       \
			 ".asciz \"otel_memory\"\n.asciz \"" name "\"\n.asciz \"" args "\"\n"      \
			 "994: .balign 4\n.popsection\n"                                           \
			 :                                                                         \
			 : __VA_ARGS__)

/* ---- the allocator; its names are those of a known one ---- */

static NOINLINE void note_by_registers(void *block, size_t n, uint64_t weight)
{
	PROBE("alloc", "0", "8@%0 8@%1 8@%2", "r"(block), "r"(n), "r"(weight));
}

/* Each is where the size of the argument is told by its own. */
struct noted {
	uint32_t unused, n;
	void *block;
};

static NOINLINE void note_by_memory(const struct noted *noted)
{
	PROBE("alloc", "0", "8@8(%0) 4@4(%0) -4@$4096", "r"(noted), "m"(*noted));
}

static NOINLINE void note_if_wanted(void *block, size_t n)
{
	if (otel_memory_alloc_semaphore)
		PROBE("alloc", "otel_memory_alloc_semaphore", "8@%0 8@%1 8@%1", "r"(block), "r"(n));
	__asm__ volatile("");
}

void *je_malloc(size_t n);
void je_free(void *block);
void *je_calloc(size_t n, size_t size);
void *je_valloc(size_t n);

NOINLINE void *je_malloc(size_t n)
{
	void *block = malloc(n);
	note_by_registers(block, n, 3 * n);
	return block;
}

NOINLINE void *je_calloc(size_t n, size_t size)
{
	const struct noted noted = { .n = (uint32_t)(n * size), .block = calloc(n, size) };
	__asm__ volatile("" : : "r"(&noted) : "memory");
	note_by_memory(&noted);
	return noted.block;
}

NOINLINE void *je_valloc(size_t n)
{
	void *block = malloc(n);
	note_if_wanted(block, n);
	return block;
}

NOINLINE void je_free(void *block)
{
	PROBE("free", "0", "8@%0", "r"(block));
	free(block);
}

/* What lies between the functions of an allocator, or near them, is taken for its helpers: its users do not (gcc would put them there; -fno-toplevel-reorder). */
__asm__(".pushsection .text\n.skip 65536, 0xcc\n.popsection\n");

static char line_of_ours[64];

/* ---- who uses it ---- */

#define WAY(name, expression)                                                                      \
	static NOINLINE void *name(size_t n)                                                       \
	{                                                                                          \
		void *block = (expression);                                                        \
		__asm__ volatile("# " #name : "+r"(block));                                        \
		return block;                                                                      \
	}

WAY(by_registers, je_malloc(n))
WAY(by_memory, je_calloc(1, n))
WAY(by_semaphore, je_valloc(n))

static const struct {
	const char *name;
	void *(*way)(size_t n);
} ways[] = { { "by_registers", by_registers },
	     { "by_memory", by_memory },
	     { "by_semaphore", by_semaphore } };

static size_t weight_of(size_t way, size_t n)
{
	return way == 0 ? 3 * n : way == 1 ? 4096 : n;
}

static void every(void)
{
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		size_t objects = 0, bytes = 0, live = 0, live_bytes = 0;
		for (size_t i = 0; i < BLOCKS; i++) {
			const size_t n = 64u << i % 6; /* each a part of 4096 */
			const size_t weight = weight_of(way, n);
			void *block = ways[way].way(n);
			objects += weight / n;
			bytes += weight;
			if (i % 12 < 6) {
				je_free(block);
				continue;
			}
			live += weight / n;
			live_bytes += weight;
		}
		printf("truth %s %zu %zu %zu %zu\n", ways[way].name, objects, bytes, live,
		       live_bytes);
	}
}

/* What no sampler may say: a sample that stands for nothing, one of more than there can be, one of no block. */
static void odd(void)
{
	note_by_registers(line_of_ours, 64, 0);
	note_by_registers(line_of_ours, UINT64_MAX, UINT64_MAX);
	note_by_registers(NULL, 64, 64);
}

static void fork_child(void)
{
	void *mine = je_malloc(100);
	const pid_t child = fork();
	if (!child) {
		je_free(mine);
		for (size_t i = 0; i < 1000; i++)
			je_free(by_registers(64));
		_exit(0);
	}
	int status = -1;
	waitpid(child, &status, 0);
	printf("child %d\n", status);
}

int main(void)
{
	static char line[64], output[4096];
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("pid %d\nready\n", (int)getpid());
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "every\n") == 0)
			every();
		else if (strcmp(line, "fork\n") == 0)
			fork_child();
		else if (strcmp(line, "odd\n") == 0)
			odd();
		else if (strcmp(line, "wanted\n") == 0)
			printf("wanted %u\n", otel_memory_alloc_semaphore);
		else if (strcmp(line, "quit\n") == 0)
			return 0;
		printf("done\n");
	}
	return 0;
}
