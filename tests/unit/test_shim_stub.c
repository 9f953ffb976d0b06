/* SPDX-License-Identifier: Apache-2.0 */
/* The real stubs in our own process: what a function sees and what its caller gets, register by register, hooked and not. */
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "attach/heap/alloc/pool_code.h"
#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/patch.h"
#include "tests/unit/test.h"

#define PAGE       4096u
#define CODE_BYTES (1u << 20) /* the function in the first page, the image from the second on */
#define LIVE       16u
#define NONCE      0x5eed5eed5eedull
#define FLAGS                                                                                      \
	0x40cd5ull /* all that a program can set, but for the trap flag: CF PF AF ZF SF DF OF AC */
#define ROUNDS 40u

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, REGS };
static const char *const names[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
				     "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "flags" };

struct state {
	uint64_t regs[REGS];
	uint64_t flags;
};

/* What XSAVE saves of x87, SSE and AVX: the legacy area, the header, the upper halves. */
struct vectors {
	uint8_t bytes[4096];
} __attribute__((aligned(64)));

#define ASM_DATA __attribute__((used, visibility("hidden")))

/* For the assembly below. */
struct state shim_test_before ASM_DATA, shim_test_after ASM_DATA;
struct vectors shim_test_vectors_before ASM_DATA, shim_test_vectors_after ASM_DATA;
uint64_t shim_test_target ASM_DATA;
void shim_test_call(void);
extern const uint8_t shim_test_body[], shim_test_body_end[];

/* Calls shim_test_target with all the registers of _before, and puts what comes back into _after. */
__asm__(".pushsection .text\n"
	".globl shim_test_call\n.hidden shim_test_call\n"
	"shim_test_call:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8,%rsp\n"
	"mov $7,%eax; xor %edx,%edx; xrstor64 shim_test_vectors_before(%rip)\n"
	".irp r,rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"mov shim_test_before+8*n_\\r(%rip),%\\r\n"
	".endr\n"
	"push shim_test_before+120(%rip); popfq\n"
	"call *shim_test_target(%rip)\n"
	".irp r,rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"mov %\\r,shim_test_after+8*n_\\r(%rip)\n"
	".endr\n"
	"pushfq; pop shim_test_after+120(%rip)\n"
	"cld; pushfq; andl $~0x40000,(%rsp); popfq\n"
	"mov $7,%eax; xor %edx,%edx; xsave64 shim_test_vectors_after(%rip)\n"
	"add $8,%rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n"
	".popsection\n");

/*
 * The rest of the hooked function, copied behind one of the beginnings: notes all registers and where the stack is at the first
 * address, sets all of them from the second, returns. The addresses are filled in.
 */
__asm__(".set n_rax,0; .set n_rbx,1; .set n_rcx,2; .set n_rdx,3; .set n_rsi,4; .set n_rdi,5; .set n_rbp,6; .set n_r8,7\n"
	".set n_r9,8; .set n_r10,9; .set n_r11,10; .set n_r12,11; .set n_r13,12; .set n_r14,13; .set n_r15,14\n"
	".pushsection .rodata\n"
	".globl shim_test_body\n.hidden shim_test_body\n"
	".globl shim_test_body_end\n.hidden shim_test_body_end\n"
	"shim_test_body:\n"
	"pushfq; push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8; push %rbp\n"
	"push %rdi; push %rsi; push %rdx; push %rcx; push %rbx; push %rax\n"
	"cld; pushfq; andl $~0x40000,(%rsp); popfq\n"
	"movabs $0x1111111111111111,%rdi\n"
	"mov %rsp,%rsi; mov $16,%ecx; rep movsq\n"
	"mov %rsi,%rax; stosq\n"
	"mov %rsi,%rsp\n"
	"movabs $0x2222222222222222,%rax\n"
	"push 120(%rax); popfq\n"
	".irp r,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"mov 8*n_\\r(%rax),%\\r\n"
	".endr\n"
	"mov (%rax),%rax\n"
	"ret\n"
	"shim_test_body_end:\n"
	".popsection\n");

/* What the function noted at its entry, and what it is to leave. */
static struct {
	struct state state;
	uint64_t rsp;
} seen;
static struct state result;

/* -heap-size: not given, the call's own is among them, it is not. */
enum sizes { ALL, THESE, OTHERS };

struct bench {
	enum sizes sizes;
	uint8_t *plain, *hooked; /* the function */
	struct cprof_shim_image *image;
	struct cprof_shim_data *data;
	uint32_t stub;
	uint64_t block; /* what the function returns, and an old block it is given */
};

/* A first instruction that is taken back, one that is done twice, and one that gives way. */
static const struct beginning {
	const char *what, *code;
	size_t n;
} beginnings[] = {
	{ "push", "\x50\x48\x8d\x64\x24\x08\x66\x66\x90", 9 }, /* push %rax; lea 8(%rsp),%rsp */
	{ "nop", "\x0f\x1f\x44\0\0\x0f\x1f\x44\0\0", 10 },
	{ "mov", "\x48\x89\xdb\x4d\x89\xe4\x66\x90", 8 }, /* mov %rbx,%rbx; mov %r12,%r12 */
};

enum way { FAST, MISS, FIRED, FILTER, WAYS };
static const char *const ways[] = { "fast", "miss", "fired", "filter" };

static uint64_t thread_pointer(void)
{
	uint64_t tp;
	__asm__("rdfsbase %0" : "=r"(tp));
	return tp;
}

static uint64_t draw(void)
{
	static uint64_t x = 88172645463325252ull;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void fill(void *to, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t word = draw();
		memcpy((uint8_t *)to + i, &word, 8);
	}
}

static void draw_state(struct state *state)
{
	fill(state->regs, sizeof(state->regs));
	state->flags = 0x202 | (draw() & FLAGS);
}

static void draw_vectors(void)
{
	uint8_t *bytes = shim_test_vectors_before.bytes;
	const uint32_t mxcsr = 0x1f80 | ((uint32_t)draw() & 0x6000); /* rounding */
	const uint64_t components = 7;
	memset(bytes, 0, PAGE);
	memcpy(bytes, "\x7f\x03", 2);
	bytes[4] = 0xff; /* all registers of the x87 are in use */
	memcpy(bytes + 24, &mxcsr, sizeof(mxcsr));
	for (size_t i = 0; i < 8; i++)
		fill(bytes + 32 + 16 * i, 8);
	fill(bytes + 160, 256);
	fill(bytes + 576, 256);
	memcpy(bytes + 512, &components, sizeof(components));
}

static size_t make_function(uint8_t *to, const struct beginning *beginning)
{
	/* Both are labels of one section. */
	/* cppcheck-suppress comparePointers */
	const size_t n = (size_t)(shim_test_body_end - shim_test_body);
	const uint64_t addresses[] = { (uintptr_t)&seen, (uintptr_t)&result };
	memcpy(to, beginning->code, beginning->n);
	memcpy(to + beginning->n, shim_test_body, n);
	for (size_t i = 0; i + 8 <= n; i++) {
		uint8_t *at = to + beginning->n + i;
		if (at[0] == at[7] && (at[0] == 0x11 || at[0] == 0x22) && at[0] == at[3])
			memcpy(at, &addresses[at[0] == 0x22], 8);
	}
	return beginning->n + n;
}

static bool of_kind(uint32_t kind, uint32_t *ret_stub)
{
	uint32_t n;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	for (*ret_stub = 0; *ret_stub < n; ++*ret_stub) {
		if (stubs[*ret_stub].kind == kind)
			return true;
	}
	return false;
}

static bool is_pool(uint32_t kind)
{
	return kind == CPROF_SHIM_POOL || kind == CPROF_SHIM_POOL_REALLOC ||
	       kind == CPROF_SHIM_POOL_FREE;
}

static bool moves(uint32_t kind)
{
	return kind == CPROF_SHIM_REALLOC || kind == CPROF_SHIM_XALLOC ||
	       kind == CPROF_SHIM_POOL_REALLOC;
}

/* The stub's own code, as heap_plan.c enters it. The old block is the first argument, the size the second times the third. */
static void enter_pool(struct bench *bench, uint8_t *light, uint32_t kind)
{
	const struct cprof_shim_pool pool = { .size = { 1, 0 },
					      .times = { 2, 1 },
					      .old = { 0, 0 } };
	uint8_t code[CPROF_POOL_CODE_BYTES];
	cprof_pool_code_make(&pool, code);
	memcpy(light, code, cprof_shim_frees(kind) ? CPROF_SHIM_POOL_OLD_BYTES : sizeof(code));
	bench->image->pools[bench->stub] = pool;
}

/* One function hooked, by a stub of that kind and the upper or the lower way in. */
static void hook(struct bench *bench, uint32_t kind, bool light, const struct beginning *beginning)
{
	uint32_t n;
	uint8_t *base = (uint8_t *)bench->image;
	size_t bytes = make_function(bench->plain, beginning);
	memset(bench->hooked, 0xcc, PAGE);
	make_function(bench->hooked, beginning);
	struct cprof_shim_image *copy = cprof_heap_blob_copy();
	CHECK(copy && of_kind(kind, &bench->stub));
	memcpy(base + sizeof(*copy), (uint8_t *)copy + sizeof(*copy),
	       cprof_heap_blob_image_bytes() - sizeof(*copy));
	free(copy);
	const struct cprof_shim_stub *stub = &cprof_heap_blob_stubs(&n)[bench->stub];
	uint8_t *in = base + (light ? stub->light : stub->stub);
	uint8_t *trampoline = base + (light ? stub->restore : stub->trampoline);
	struct cprof_patch patch;
	struct cprof_error *err =
		cprof_patch_plan(bench->hooked, bytes, (uintptr_t)bench->hooked, (uintptr_t)in,
				 (uintptr_t)trampoline, 7, NULL, &patch);
	if (err)
		TEST_FAIL("%s: %s", beginning->what, err->message);
	if (is_pool(kind))
		enter_pool(bench, base + stub->light, kind);
	if (bench->sizes)
		cprof_heap_blob_sieve(bench->image, bench->stub);
	bench->image->size_min = bench->sizes == OTHERS ? UINT64_MAX : 0;
	bench->image->size_span = bench->sizes == OTHERS ? 0 : UINT64_MAX;
	memcpy(in - patch.undo_len, patch.undo, patch.undo_len);
	memcpy(trampoline, patch.trampoline, patch.trampoline_len);
	memcpy(bench->hooked + (patch.addr - (uintptr_t)bench->hooked), patch.patched,
	       CPROF_PATCH_JUMP);
	bench->image->entries[bench->stub] =
		(struct cprof_shim_entry){ (uintptr_t)trampoline, (uintptr_t)trampoline };
}

/* The data as if just attached, but for what makes the call go that way. */
static void prepare(struct bench *bench, enum way way)
{
	struct cprof_shim_data *data = bench->data;
	const uint64_t tp = thread_pointer(), hash = bench->block * CPROF_SHIM_HASH;
	struct cprof_shim_slot *slot =
		&data->slots[tp * CPROF_SHIM_HASH >> (64 - CPROF_SHIM_SLOTS_LOG2)];
	data->control = (struct cprof_shim_control){ .magic = NONCE, .enabled = 1, .period = 1000 };
	memset(slot, 0, sizeof(*slot));
	memset(data->flights, 0, sizeof(data->flights));
	memset(data->filter, 0, sizeof(data->filter));
	memset(data->live, 0, LIVE * sizeof(*data->live));
	for (size_t i = 0; i < CPROF_SHIM_NEAR; i++)
		data->cells[i].state = CPROF_SHIM_CELL_FREE;
	if (way != MISS) {
		slot->key = tp;
		slot->period = 1000;
		slot->left = way == FIRED ? 1 : CPROF_SHIM_DORMANT;
	}
	if (way == FILTER) {
		data->filter[hash >> CPROF_SHIM_FILTER_SHIFT] = 1;
		data->live[(hash >> 20) & (LIVE - 1)] = (struct cprof_shim_live){ bench->block, 7 };
	}
}

static size_t cells_ready(const struct bench *bench)
{
	size_t n = 0;
	for (size_t i = 0; i < CPROF_SHIM_NEAR; i++)
		n += bench->data->cells[i].state == CPROF_SHIM_CELL_READY;
	return n;
}

/* Registers and flags; `mask` has a bit for each that counts, the flags are the last. */
static void compare(const char *what, const struct state *got, const struct state *want,
		    uint32_t mask)
{
	for (unsigned i = 0; i <= REGS; i++) {
		uint64_t a = i < REGS ? got->regs[i] : got->flags & FLAGS;
		uint64_t b = i < REGS ? want->regs[i] : want->flags & FLAGS;
		if ((mask >> i & 1) && a != b)
			TEST_FAIL("%s: %s is %" PRIx64 ", not %" PRIx64, what, names[i], a, b);
	}
}

static void compare_vectors(const char *what)
{
	const uint8_t *got = shim_test_vectors_after.bytes, *want = shim_test_vectors_before.bytes;
	CHECK(memcmp(got + 24, want + 24, 4) == 0);
	if (memcmp(got, want, 6) != 0 || memcmp(got + 160, want + 160, 256) != 0 ||
	    memcmp(got + 576, want + 576, 256) != 0)
		TEST_FAIL("%s: a vector register or the state of the x87 was changed", what);
	for (size_t i = 0; i < 8; i++) {
		if (memcmp(got + 32 + 16 * i, want + 32 + 16 * i, 10) != 0)
			TEST_FAIL("%s: st(%zu) was changed", what, i);
	}
}

static void run_once(struct bench *bench, uint32_t kind, bool light, enum way way)
{
	char what[64];
	snprintf(what, sizeof(what), "kind %u, %s, %s", kind, light ? "light" : "keeping",
		 ways[way]);
	draw_state(&shim_test_before);
	draw_state(&result);
	draw_vectors();
	bench->block = draw() >> 17 & ~15ull;
	shim_test_before.regs[RDI] = bench->block;
	shim_test_before.regs[RSI] = 1 + draw() % 500;
	shim_test_before.regs[RDX] = (draw() & ~0xffffffffull) | (1 + draw() % 500);
	if (kind != CPROF_SHIM_POSIX_MEMALIGN)
		result.regs[RAX] = bench->block;
	prepare(bench, way);
	shim_test_target = (uintptr_t)bench->plain;
	shim_test_call();
	compare("unhooked", &seen.state, &shim_test_before, 0xffff);
	compare("unhooked", &shim_test_after, &result, 0xffff);
	const uint64_t rsp = seen.rsp;
	memset(&seen, 0, sizeof(seen));
	shim_test_target = (uintptr_t)bench->hooked;
	shim_test_call();
	const uint32_t spoilt = light ? 1u << RAX | 1u << R10 | 1u << R11 | 1u << REGS : 0;
	compare(what, &seen.state, &shim_test_before, 0xffffu & ~spoilt);
	compare(what, &shim_test_after, &result, 0xffff);
	compare_vectors(what);
	CHECK_UINT(seen.rsp % 64, rsp % 64);
	for (size_t i = 0; i < 1u << CPROF_SHIM_FLIGHTS_LOG2; i++)
		CHECK_UINT(bench->data->flights[i].frame, 0);
	if (bench->sizes == OTHERS)
		CHECK_UINT(cells_ready(bench), 0);
	else if (way == FIRED && !cprof_shim_frees(kind) && kind != CPROF_SHIM_POSIX_MEMALIGN &&
		 kind != CPROF_SHIM_XALLOC)
		CHECK_UINT(cells_ready(bench), 1);
	if (way == FILTER && (cprof_shim_frees(kind) || moves(kind)))
		CHECK_UINT(bench->data->filter[bench->block * CPROF_SHIM_HASH >>
					       CPROF_SHIM_FILTER_SHIFT],
			   0);
}

static void bench_init(struct bench *bench)
{
	const size_t data_bytes =
		sizeof(struct cprof_shim_data) + LIVE * sizeof(struct cprof_shim_live);
	uint8_t *code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench->data = mmap(NULL, data_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(code != MAP_FAILED && bench->data != MAP_FAILED &&
	      cprof_heap_blob_image_bytes() + 2 * PAGE <= CODE_BYTES);
	bench->plain = code;
	bench->hooked = code + PAGE;
	bench->image = (struct cprof_shim_image *)(void *)(code + 2 * PAGE);
	*bench->image = (struct cprof_shim_image){
		.data = (uintptr_t)bench->data,
		.live_mask = LIVE - 1,
		.slots = (uintptr_t)bench->data->slots,
		.filter = (uintptr_t)bench->data->filter,
		.nonce = NONCE,
	};
}

static void bench_deinit(struct bench *bench)
{
	munmap(bench->plain, CODE_BYTES);
	munmap(bench->data, sizeof(struct cprof_shim_data) + LIVE * sizeof(struct cprof_shim_live));
}

/* Every kind of stub, keeping registers or not, with each beginning of a function. */
static void run_all(struct bench *bench)
{
	for (uint32_t kind = 0; kind < CPROF_SHIM_KINDS; kind++) {
		for (unsigned light = 0; light < 2; light++) {
			for (size_t b = 0; b < sizeof(beginnings) / sizeof(beginnings[0]); b++) {
				hook(bench, kind, light, &beginnings[b]);
				for (unsigned i = 0; i < ROUNDS; i++)
					run_once(bench, kind, light, (enum way)(i % WAYS));
			}
		}
	}
}

TEST(shim_stub_keeps_every_register_flag_and_vector_on_all_its_ways)
{
	struct bench bench = { .sizes = ALL };
	if (!__builtin_cpu_supports("avx"))
		test_skip("this processor has no AVX to compare");
	bench_init(&bench);
	run_all(&bench);
	bench_deinit(&bench);
}

TEST(shim_stub_with_a_sieve_keeps_them_too_and_samples_the_sizes_that_are_wanted_only)
{
	if (!__builtin_cpu_supports("avx"))
		test_skip("this processor has no AVX to compare");
	for (enum sizes sizes = THESE; sizes <= OTHERS; sizes++) {
		struct bench bench = { .sizes = sizes };
		bench_init(&bench);
		run_all(&bench);
		bench_deinit(&bench);
	}
}

/* Of the general registers the test above tells; others the compiler must not have used at all. */
TEST(shim_code_has_no_instruction_that_knows_of_vectors_or_the_x87)
{
	const uint8_t *blob = (const uint8_t *)cprof_heap_blob_copy();
	uint32_t n;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	const uint32_t end = cprof_heap_blob_code_end();
	size_t instructions = 0;
	ZydisDecoder decoder;
	CHECK(blob && n && stubs);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (uint32_t at = CPROF_SHIM_IMAGE_BYTES; at < end; instructions++) {
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		if (!ZYAN_SUCCESS(
			    ZydisDecoderDecodeFull(&decoder, blob + at, end - at, &insn, operands)))
			TEST_FAIL("no instruction at 0x%x", at);
		for (size_t i = 0; i < insn.operand_count; i++) {
			if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
				continue;
			ZydisRegisterClass class = ZydisRegisterGetClass(operands[i].reg.value);
			CHECK(class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 ||
			      class == ZYDIS_REGCLASS_GPR32 || class == ZYDIS_REGCLASS_GPR64 ||
			      class == ZYDIS_REGCLASS_FLAGS || class == ZYDIS_REGCLASS_IP);
		}
		at += insn.length;
	}
	CHECK(instructions > 2000);
	free((void *)(uintptr_t)blob);
}
