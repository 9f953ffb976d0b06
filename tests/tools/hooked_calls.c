/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of a library, called as they are and called hooked, with the same registers, flags, vectors and memory:
 *
 *     hooked_calls SEED FILE [raw]
 *
 * Each function f_N of FILE is patched by the product's own plan and stub, if that does not refuse it; then it and everything in FILE that
 * is named for it (e_N_..., which may jump into its middle) or may call it is run, unhooked and hooked. What differs is a line
 * "DIFFERS ..." and exit status 1; a crash is for the caller to see, who finds the last "at ..." line. With "raw" nobody knows of a result of theirs. In the end: "functions N, refused N,
 * calls N", and how often which refusal.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/heap_code.h"
#include "attach/heap/inject/patch.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "symbolize/names/symbols.h"

#define PAGE      4096u
#define STACK     (64u << 10)
#define ABOVE     512u /* bytes of the caller's stack that a function may look at */
#define SCRATCH   4096u
#define LIVE      16u
#define NONCE     0x5eed5eed5eedull
#define FLAGS     0x8d5ull /* CF PF AF ZF SF OF */
#define ROUNDS    4u
#define WRITABLE  8u
#define REASONS   64u
#define FUNCTIONS 1024u

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, REGS };
static const char *const reg_names[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
					 "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

struct state {
	uint64_t regs[REGS];
	uint64_t flags;
};

struct vectors {
	uint8_t bytes[PAGE];
} __attribute__((aligned(64)));

#define ASM_DATA __attribute__((used, visibility("hidden")))
struct state hooked_before ASM_DATA, hooked_after ASM_DATA;
struct vectors hooked_vectors_before ASM_DATA, hooked_vectors_after ASM_DATA;
uint64_t hooked_target ASM_DATA, hooked_stack ASM_DATA, hooked_stack_after ASM_DATA,
	hooked_own_stack ASM_DATA;
void hooked_call(void);

/* Calls hooked_target on hooked_stack with all registers of _before, and puts what comes back into _after. */
__asm__(".set n_rax,0; .set n_rbx,1; .set n_rcx,2; .set n_rdx,3; .set n_rsi,4; .set n_rdi,5; .set n_rbp,6; .set n_r8,7\n"
	".set n_r9,8; .set n_r10,9; .set n_r11,10; .set n_r12,11; .set n_r13,12; .set n_r14,13; .set n_r15,14\n"
	".pushsection .text\n"
	".globl hooked_call\n.hidden hooked_call\n"
	"hooked_call:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8,%rsp\n"
	"mov %rsp,hooked_own_stack(%rip)\n"
	"mov $7,%eax; xor %edx,%edx; xrstor64 hooked_vectors_before(%rip)\n"
	"mov hooked_stack(%rip),%rsp\n"
	".irp r,rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"mov hooked_before+8*n_\\r(%rip),%\\r\n"
	".endr\n"
	"push hooked_before+120(%rip); popfq\n"
	"call *hooked_target(%rip)\n"
	".irp r,rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"mov %\\r,hooked_after+8*n_\\r(%rip)\n"
	".endr\n"
	"mov %rsp,hooked_stack_after(%rip)\n"
	"pushfq; pop hooked_after+120(%rip)\n"
	"mov hooked_own_stack(%rip),%rsp; cld\n"
	"mov $7,%eax; xor %edx,%edx; xsave64 hooked_vectors_after(%rip)\n"
	"add $8,%rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n"
	".popsection\n");

struct function {
	const char *name; /* borrowed from the file */
	uint64_t addr, end;
};

/* All that a call may change, apart from registers. */
struct world {
	struct {
		uint8_t *at;
		size_t n;
	} writable[WRITABLE];
	size_t n_writable;
	uint8_t *stack, *scratch; /* STACK and SCRATCH bytes */
	uint8_t *first;           /* owned; how all of that was before the call */
	size_t bytes;
};

/* What came of a call. */
struct outcome {
	struct state state;
	struct vectors vectors;
	uint64_t sp;
	uint8_t *memory; /* owned; like world.first */
};

struct bench {
	struct function all[FUNCTIONS];
	size_t n;
	struct world world;
	struct cprof_shim_image *image, *fresh; /* owned; the second is the code as it is built */
	struct cprof_shim_data *data;
	bool raw;
	struct cprof_heap_hooks hooks;
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct outcome plain, hooked;
	char reasons[REASONS][160];
	unsigned reason_n[REASONS];
	size_t n_reasons, refused, calls, differ;
	uint64_t random;
};

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "hooked_calls: %s\n", what);
	exit(2);
}

static void check(struct cprof_error *err)
{
	if (err)
		give_up(err->message);
}

static uint64_t draw(struct bench *bench)
{
	bench->random ^= bench->random << 13;
	bench->random ^= bench->random >> 7;
	bench->random ^= bench->random << 17;
	return bench->random;
}

static void fill(struct bench *bench, void *to, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t word = draw(bench);
		memcpy((uint8_t *)to + i, &word, 8);
	}
}

/* ---- the world around a call ---- */

static int add_writable(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct bench *bench = ctx;
	(void)size;
	if (info->dlpi_addr != bench->all[0].addr)
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
			continue;
		if (bench->world.n_writable == WRITABLE)
			give_up("too many segments");
		bench->world.writable[bench->world.n_writable].at =
			(uint8_t *)info->dlpi_addr + segment->p_vaddr;
		bench->world.writable[bench->world.n_writable++].n = segment->p_memsz;
	}
	return 1;
}

/* The part of it that is read-only after relocation is written to by nobody, and cannot be put back. */
static void leave_out_relro(struct bench *bench)
{
	struct world *world = &bench->world;
	for (size_t i = 0; i < world->n_writable; i++) {
		uint8_t *at = world->writable[i].at, *end = at + world->writable[i].n;
		while (at < end) {
			const struct cprof_map *map = cprof_maps_find(&bench->maps, (uintptr_t)at);
			if (map && (map->prot & PROT_WRITE))
				break;
			at = (uint8_t *)(((uintptr_t)at + PAGE) & ~(uintptr_t)(PAGE - 1));
		}
		world->writable[i].at = at;
		world->writable[i].n = at < end ? (size_t)(end - at) : 0;
	}
}

/* Copy all of the world to `to`, or from `from` back. */
static void save(const struct world *world, uint8_t *to)
{
	for (size_t i = 0; i < world->n_writable; i++) {
		memcpy(to, world->writable[i].at, world->writable[i].n);
		to += world->writable[i].n;
	}
	memcpy(to, world->scratch, SCRATCH);
	memcpy(to + SCRATCH, world->stack + STACK - ABOVE, ABOVE);
}

static void put_back(const struct world *world, const uint8_t *from)
{
	for (size_t i = 0; i < world->n_writable; i++) {
		memcpy(world->writable[i].at, from, world->writable[i].n);
		from += world->writable[i].n;
	}
	memcpy(world->scratch, from, SCRATCH);
	/* What was never written is the same each time as well. */
	memset(world->stack, 0x5a, STACK - ABOVE);
	memcpy(world->stack + STACK - ABOVE, from + SCRATCH, ABOVE);
}

static void world_init(struct bench *bench)
{
	struct world *world = &bench->world;
	leave_out_relro(bench);
	for (size_t i = 0; i < world->n_writable; i++)
		world->bytes += world->writable[i].n;
	world->bytes += SCRATCH + ABOVE;
	world->stack =
		mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	world->scratch =
		mmap(NULL, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	world->first = malloc(world->bytes);
	bench->plain.memory = malloc(world->bytes);
	bench->hooked.memory = malloc(world->bytes);
	if (world->stack == MAP_FAILED || world->scratch == MAP_FAILED || !world->first ||
	    !bench->plain.memory || !bench->hooked.memory)
		give_up("out of memory");
	hooked_stack = (uintptr_t)world->stack + STACK - ABOVE;
}

/* ---- one call ---- */

static void draw_call(struct bench *bench)
{
	uint8_t *bytes = hooked_vectors_before.bytes;
	const uint32_t mxcsr = 0x1f80;
	const uint64_t components = 7;
	fill(bench, hooked_before.regs, sizeof(hooked_before.regs));
	hooked_before.flags = 0x202 | (draw(bench) & FLAGS);
	hooked_before.regs[RDX] = (uintptr_t)bench->world.scratch;
	if (draw(bench) & 1)
		hooked_before.regs[RDI] &= 63;
	if (draw(bench) & 1)
		hooked_before.regs[RSI] &= 63;
	memset(bytes, 0, PAGE);
	memcpy(bytes, "\x7f\x03", 2);
	memcpy(bytes + 24, &mxcsr, sizeof(mxcsr));
	fill(bench, bytes + 160, 256);
	fill(bench, bytes + 576, 256);
	memcpy(bytes + 512, &components, sizeof(components));
	fill(bench, bench->world.scratch, SCRATCH);
	fill(bench, bench->world.stack + STACK - ABOVE, ABOVE);
}

static void run(struct bench *bench, uint64_t addr, struct outcome *outcome)
{
	put_back(&bench->world, bench->world.first);
	hooked_target = addr;
	hooked_call();
	bench->calls++;
	outcome->state = hooked_after;
	outcome->vectors = hooked_vectors_after;
	outcome->sp = hooked_stack_after;
	save(&bench->world, outcome->memory);
}

static void differs(struct bench *bench, const struct function *hooked,
		    const struct function *called, const char *way, const char *what)
{
	bench->differ++;
	printf("DIFFERS %s called while %s is hooked (%s): %s\n", called->name, hooked->name, way,
	       what);
}

/* Both runs leave such addresses behind in registers, and a sampled one has its frame deeper in the stack. */
static bool on_stack(const struct world *world, uint64_t value)
{
	return value - (uintptr_t)world->stack < STACK;
}

/* System V psABI "Register Usage": what a caller counts on who knows no more of the function. */
static bool is_promised(const struct bench *bench, unsigned reg)
{
	return reg == RBX || reg == RBP || reg >= R12 || (reg == RAX && !bench->raw);
}

/* `light`: the function is called by nobody who knows more of it. */
static void compare(struct bench *bench, const struct function *hooked,
		    const struct function *called, const char *way, bool light)
{
	const struct outcome *a = &bench->plain, *b = &bench->hooked;
	for (unsigned i = 0; i < REGS; i++) {
		const uint64_t one = a->state.regs[i], other = b->state.regs[i];
		if (one != other && (!light || is_promised(bench, i)) &&
		    !(on_stack(&bench->world, one) && on_stack(&bench->world, other)))
			differs(bench, hooked, called, way, reg_names[i]);
	}
	if (!light && ((a->state.flags ^ b->state.flags) & FLAGS))
		differs(bench, hooked, called, way, "flags");
	if (a->sp != b->sp)
		differs(bench, hooked, called, way, "rsp");
	if (memcmp(a->vectors.bytes + 24, b->vectors.bytes + 24, 4) != 0 ||
	    memcmp(a->vectors.bytes + 160, b->vectors.bytes + 160, 256) != 0 ||
	    memcmp(a->vectors.bytes + 576, b->vectors.bytes + 576, 256) != 0)
		differs(bench, hooked, called, way, "a vector register");
	if (memcmp(a->memory, b->memory, bench->world.bytes) != 0)
		differs(bench, hooked, called, way, "memory");
}

/* ---- hooking ---- */

static uint64_t thread_pointer(void)
{
	uint64_t tp;
	__asm__("rdfsbase %0" : "=r"(tp));
	return tp;
}

/* The data as if just attached. `fires`: the next call is sampled. */
static void prepare(struct bench *bench, bool fires)
{
	struct cprof_shim_data *data = bench->data;
	const uint64_t tp = thread_pointer();
	struct cprof_shim_slot *slot =
		&data->slots[tp * CPROF_SHIM_HASH >> (64 - CPROF_SHIM_SLOTS_LOG2)];
	data->control = (struct cprof_shim_control){ .magic = NONCE, .enabled = 1, .period = 1000 };
	memset(slot, 0, sizeof(*slot));
	memset(data->flights, 0, sizeof(data->flights));
	memset(data->filter, 0, sizeof(data->filter));
	memset(data->live, 0, LIVE * sizeof(*data->live));
	for (size_t i = 0; i < CPROF_SHIM_CELLS; i++)
		data->cells[i].state = CPROF_SHIM_CELL_FREE;
	slot->key = tp;
	slot->period = 1000;
	slot->left = fires ? 1 : CPROF_SHIM_DORMANT;
}

static void write_code(uint64_t addr, const void *bytes, size_t n)
{
	uint8_t *page = (uint8_t *)(addr & ~(uint64_t)(PAGE - 1));
	if (mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		give_up("the code cannot be written to");
	memcpy((uint8_t *)addr, bytes, n);
}

static uint32_t stub_of(uint32_t kind)
{
	uint32_t n;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	for (uint32_t i = 0; i < n; i++) {
		if (stubs[i].kind == kind)
			return i;
	}
	give_up("no such stub");
}

static void count_reason(struct bench *bench, const char *message)
{
	const char *why = strstr(message, ": ");
	char text[160];
	size_t i;
	bench->refused++;
	snprintf(text, sizeof(text), "%s", why ? why + 2 : message);
	if ((why = strstr(text, ", to byte")))
		text[why - text] = 0;
	for (i = 0; i < bench->n_reasons && strcmp(bench->reasons[i], text) != 0; i++)
		;
	if (i == REASONS)
		return;
	if (i == bench->n_reasons)
		snprintf(bench->reasons[bench->n_reasons++], sizeof(text), "%s", text);
	bench->reason_n[i]++;
}

/* Plan the jump as heap_plan.c does, and put it in place. False: it is refused. */
static bool hook(struct bench *bench, const struct cprof_heap_code *code,
		 struct cprof_heap_hook *hook, bool light)
{
	static const uint8_t arguments[] = { [CPROF_SHIM_ARG0] = 1,
					     [CPROF_SHIM_ARG1] = 2,
					     [CPROF_SHIM_CALLOC] = 3,
					     [CPROF_SHIM_REALLOC] = 3,
					     [CPROF_SHIM_FREE] = 1 };
	uint32_t n;
	const uint32_t kind = hook->entry.kind, number = stub_of(kind);
	const struct cprof_shim_stub *stub = &cprof_heap_blob_stubs(&n)[number];
	uint8_t *base = (uint8_t *)bench->image;
	uint8_t *in = base + (light ? stub->light : stub->stub);
	uint8_t *trampoline = base + (light ? stub->restore : stub->trampoline);
	struct cprof_heap_code_question question = { .code = code, .hook = hook };
	const struct cprof_patch_ways ways = { cprof_heap_code_why_not, &question };
	uint64_t bytes = hook->entry.end - hook->entry.addr;
	if (bytes < CPROF_PATCH_WINDOW)
		bytes = CPROF_PATCH_WINDOW;
	struct cprof_error *err = cprof_patch_plan(
		(const uint8_t *)hook->entry.addr, bytes, hook->entry.addr, (uintptr_t)in,
		(uintptr_t)trampoline, arguments[kind], &ways, &hook->patch);
	if (err) {
		count_reason(bench, err->message);
		cprof_error_free(err);
		return false;
	}
	memcpy(base + sizeof(*bench->fresh), (uint8_t *)bench->fresh + sizeof(*bench->fresh),
	       cprof_heap_blob_image_bytes() - sizeof(*bench->fresh));
	memcpy(in - hook->patch.undo_len, hook->patch.undo, hook->patch.undo_len);
	memcpy(trampoline, hook->patch.trampoline, hook->patch.trampoline_len);
	bench->image->entries[number] =
		(struct cprof_shim_entry){ (uintptr_t)trampoline, (uintptr_t)trampoline };
	return true;
}

/* ---- one function ---- */

/* Is `called` named for `hooked`: e_12_... for f_12? */
static bool belongs(const struct function *called, const struct function *hooked)
{
	const size_t n = strlen(hooked->name + 2);
	return called->name[0] == 'e' && strncmp(called->name + 2, hooked->name + 2, n) == 0 &&
	       called->name[2 + n] == '_';
}

/* For whoever finds that it was the last one. */
static void say(const struct function *called, const struct function *function, const char *way)
{
	printf("at %s, %s: %s\n", called->name, function->name, way);
	fflush(stdout);
}

static void call_both(struct bench *bench, const struct cprof_heap_hook *hooked,
		      const struct function *function, const struct function *called, bool light,
		      bool fires)
{
	const char *way = fires   ? light ? "light, sampled" : "keeping, sampled"
			  : light ? "light"
				  : "keeping";
	const struct cprof_patch *patch = &hooked->patch;
	say(called, function, "not hooked");
	draw_call(bench);
	save(&bench->world, bench->world.first);
	run(bench, called->addr, &bench->plain);
	say(called, function, way);
	prepare(bench, fires);
	write_code(patch->addr, patch->patched, CPROF_PATCH_JUMP);
	run(bench, called->addr, &bench->hooked);
	write_code(patch->addr, patch->original, CPROF_PATCH_JUMP);
	compare(bench, function, called, way, light);
}

static void try_function(struct bench *bench, const struct cprof_heap_code *code, size_t i)
{
	static const uint8_t kinds[] = { CPROF_SHIM_ARG0, CPROF_SHIM_ARG1, CPROF_SHIM_CALLOC,
					 CPROF_SHIM_REALLOC, CPROF_SHIM_FREE };
	struct cprof_heap_hook *one = &bench->hooks.all[i];
	const struct function *function = &bench->all[i];
	struct cprof_code_flow flow;
	const char *why;
	uint64_t addr;
	struct cprof_code_object *object = cprof_heap_code_object(code, one, &addr, &why);
	one->entry.kind = kinds[draw(bench) % sizeof(kinds)];
	const bool light = !cprof_heap_code_is_called(code, one);
	if (!object || !hook(bench, code, one, light))
		return;
	check(cprof_code_flow_find(object, addr, &flow));
	const bool may_fire = !flow.reads_stack_arguments;
	cprof_code_flow_deinit(&flow);
	for (unsigned round = 0; round < ROUNDS; round++) {
		call_both(bench, one, function, function, light, may_fire && round % 2);
		for (size_t k = 0; k < bench->n; k++) {
			const struct function *other = &bench->all[k];
			if (belongs(other, function) || (k != i && draw(bench) % bench->n < 2))
				call_both(bench, one, function, other, light, false);
		}
	}
}

/* ---- all of them ---- */

static void find_functions(struct bench *bench, const char *path, uint64_t base)
{
	struct cprof_module *module;
	struct cprof_code_object *object;
	const struct cprof_symbols *symbols;
	check(cprof_modules_open(&bench->modules, path, &module));
	check(cprof_code_object_new(module, &object));
	check(cprof_code_object_symbols(object, &symbols));
	for (size_t i = 0; i < symbols->n && bench->n < FUNCTIONS; i++) {
		const struct cprof_symbol *symbol = &symbols->all[i];
		if ((strncmp(symbol->name, "f_", 2) != 0 && strncmp(symbol->name, "e_", 2) != 0) ||
		    strchr(symbol->name, '.'))
			continue;
		bench->all[bench->n++] =
			(struct function){ strdup(symbol->name), base + symbol->start,
					   base + symbol->end };
	}
	cprof_code_object_free(object);
	if (!bench->n)
		give_up("no function f_... in it");
}

static void make_hooks(struct bench *bench)
{
	cprof_heap_hooks_init(&bench->hooks, NULL, &bench->maps, &bench->modules);
	bench->hooks.all = calloc(bench->n, sizeof(*bench->hooks.all));
	bench->hooks.n = bench->n;
	if (!bench->hooks.all)
		give_up("out of memory");
	for (size_t i = 0; i < bench->n; i++) {
		struct cprof_heap_hook *one = &bench->hooks.all[i];
		one->entry.addr = bench->all[i].addr;
		one->entry.end = bench->all[i].end;
		one->entry.map = cprof_maps_find(&bench->maps, one->entry.addr);
		if (!one->entry.map)
			give_up("a function is not mapped");
	}
}

/* The stubs near the code, their data anywhere. */
static void make_image(struct bench *bench)
{
	const size_t bytes = cprof_heap_blob_image_bytes();
	const size_t data_bytes =
		sizeof(struct cprof_shim_data) + LIVE * sizeof(struct cprof_shim_live);
	bench->fresh = cprof_heap_blob_copy();
	bench->data = mmap(NULL, data_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench->image = MAP_FAILED;
	for (uint64_t hint = bench->all[0].addr & ~0xfffull, tries = 1;
	     tries < 1024 && bench->image == MAP_FAILED; tries++)
		bench->image = mmap((uint8_t *)hint - (tries << 20), bytes,
				    PROT_READ | PROT_WRITE | PROT_EXEC,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (!bench->fresh || bench->data == MAP_FAILED || bench->image == MAP_FAILED)
		give_up("no room for the stubs");
	memcpy(bench->image, bench->fresh, bytes);
	bench->image->data = (uintptr_t)bench->data;
	bench->image->live_mask = LIVE - 1;
	bench->image->slots = (uintptr_t)bench->data->slots;
	bench->image->filter = (uintptr_t)bench->data->filter;
	bench->image->nonce = NONCE;
	bench->image->size_span = UINT64_MAX;
}

static struct link_map *load(const char *path)
{
	struct link_map *map;
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
		give_up(dlerror());
	return map;
}

static bool read_self(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	memcpy(buf, (const void *)addr, n);
	return true;
}

int main(int argc, char **argv)
{
	static struct bench bench;
	if (argc != 3 && argc != 4)
		give_up("SEED FILE [raw]");
	bench.raw = argc == 4;
	bench.random = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull | 1;
	struct link_map *library = load(argv[2]);
	cprof_modules_init(&bench.modules);
	cprof_maps_init(&bench.maps, getpid(), (struct cprof_memory){ read_self, NULL });
	check(cprof_maps_refresh(&bench.maps));
	bench.all[0].addr = library->l_addr;
	dl_iterate_phdr(add_writable, &bench);
	find_functions(&bench, argv[2], library->l_addr);
	world_init(&bench);
	make_hooks(&bench);
	make_image(&bench);
	struct cprof_heap_code *code;
	check(cprof_heap_code_new(&bench.hooks, 0, &code));
	for (size_t i = 0; i < bench.n; i++) {
		if (bench.all[i].name[0] == 'f')
			try_function(&bench, code, i);
	}
	for (size_t i = 0; i < bench.n_reasons; i++)
		printf("refused %u: %s\n", bench.reason_n[i], bench.reasons[i]);
	printf("functions %zu, refused %zu, calls %zu\n", bench.n, bench.refused, bench.calls);
	cprof_heap_code_free(code);
	return bench.differ != 0;
}
