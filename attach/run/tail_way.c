/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/tail_way.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "symbolize/names/code_jump.h"

#define JUMPS_MAX      256 /* out of one function; one with more is taken for one that jumps anywhere */
#define FUNCTION_BYTES (64u << 10)  /* a larger one likewise */
#define CODE_BYTES     (128u << 20) /* of a whole run: half a second */
#define LOOKS_MAX      64           /* functions looked into for one way */
#define JUMP_STEPS     8 /* of work (budget.h) for one: where it leads is looked up in three tables */
#define COLD_SUFFIX    ".cold"

/* A function of the process. */
struct spot {
	struct cprof_map *map;
	struct cprof_module *module;
	uint64_t bias; /* run-time address minus file address */
	uint64_t file_addr;
	const struct cprof_symbol *symbol; /* NULL: nameless */
};

struct search {
	struct cprof_tail_ways *ways;
	const struct cprof_maps *maps;
	struct spot goal;
	struct cprof_symbol nameless; /* stands for the first function's, where it has none */
	uint64_t on_way[CPROF_TAIL_WAY_MAX]; /* functions, by run-time address of their start */
	struct cprof_tail_step steps[CPROF_TAIL_WAY_MAX];
	size_t depth;
	unsigned looks;
	size_t found;                        /* ways to the goal */
	struct cprof_tail_way way;           /* the first of them */
	uint64_t starts[CPROF_TAIL_WAY_MAX]; /* and its functions */
	bool forked;                         /* another one goes by other functions */
	bool unknown; /* somebody jumps where only the running program knows */
};

void cprof_tail_ways_init(struct cprof_tail_ways *ways, struct cprof_modules *modules,
			  struct cprof_names_options naming)
{
	*ways = (struct cprof_tail_ways){ .modules = modules,
					  .naming = naming,
					  .code_left = CODE_BYTES };
}

/* ---- what it costs ---- */

/* Whether so much work may still be done on code of `module`; if not, other ways may be left out. */
static bool pay(struct search *s, const struct cprof_module *module, uint64_t steps)
{
	if (module->image &&
	    cprof_account_charge(module->image->account, CPROF_BUDGET_STEPS, steps))
		return true;
	s->unknown = true;
	return false;
}

/* ---- places ---- */

/* Where `addr` is in which file; without its symbol yet. False where there is no file. */
static struct cprof_error *place(struct search *s, struct cprof_map *map, uint64_t addr,
				 struct spot *ret_spot, bool *ret_found)
{
	struct cprof_module *module;
	*ret_found = false;
	if (!map)
		return NULL;
	struct cprof_error *err = cprof_modules_get(s->ways->modules, s->maps, map, &module);
	if (err || module->kind != CPROF_MODULE_FILE)
		return err;
	*ret_spot = (struct spot){ .map = map, .module = module };
	*ret_found = cprof_module_file_addr(module, map, addr, &ret_spot->file_addr);
	ret_spot->bias = addr - ret_spot->file_addr;
	return NULL;
}

static struct cprof_error *find_symbol(struct search *s, struct spot *spot)
{
	struct cprof_names *names;
	struct cprof_error *err = cprof_names_get(spot->module, &s->ways->naming, &names);
	return err ? err : cprof_names_symbol(names, spot->file_addr, &spot->symbol);
}

static size_t length_without_cold(const char *name)
{
	const char *cold = strstr(name, COLD_SUFFIX);
	return cold ? (size_t)(cold - name) : strlen(name);
}

/* The part of a function that compilers put elsewhere bears its name. */
static bool same_function(const struct spot *a, const struct spot *b)
{
	if (a->module != b->module || a->bias != b->bias || !a->symbol || !b->symbol)
		return false;
	const size_t length = length_without_cold(a->symbol->name);
	return a->symbol->start == b->symbol->start ||
	       (length == length_without_cold(b->symbol->name) &&
		strncmp(a->symbol->name, b->symbol->name, length) == 0);
}

/* The word of a linkage table, as it is in the process now; 0 where it cannot be read. */
static uint64_t read_slot(const struct search *s, uint64_t addr)
{
	uint64_t word = 0;
	const struct cprof_memory *memory = &s->maps->memory;
	if (!memory->read || !memory->read(memory->ctx, addr, &word, sizeof(word)))
		return 0;
	return word;
}

/* The run-time address that a jump or call of `from` leads to, linkage tables passed; 0: not known. */
static uint64_t target_of(const struct search *s, const struct spot *from,
			  const struct cprof_code_jump *jump)
{
	struct cprof_code_jump entry = *jump;
	if (jump->kind == CPROF_JUMP_TO && !cprof_code_jump_entry(from->module, jump->to, &entry))
		return jump->to + from->bias;
	return entry.kind == CPROF_JUMP_SLOT ? read_slot(s, entry.to + from->bias) : 0;
}

/*
 * A stripped program's function is known by its unwind information, and so is a piece of one: only what was called is taken for a
 * function.
 */
static struct cprof_error *find_nameless(struct search *s, struct spot *spot)
{
	struct cprof_names *names;
	struct cprof_error *err = cprof_names_get(spot->module, &s->ways->naming, &names);
	if (err || cprof_names_start(names, spot->file_addr) != spot->file_addr)
		return err;
	uint64_t end = spot->file_addr + 1, most = spot->file_addr + FUNCTION_BYTES;
	while (end < most) {
		const uint64_t middle = end + (most - end + 1) / 2;
		if (cprof_names_start(names, middle - 1) == spot->file_addr)
			end = middle;
		else
			most = middle - 1;
	}
	s->nameless = (struct cprof_symbol){ .start = spot->file_addr, .end = end, .name = "" };
	spot->symbol = &s->nameless;
	return NULL;
}

/* The function that begins at `addr`. */
static struct cprof_error *function_at(struct search *s, uint64_t addr, struct spot *ret_spot,
				       bool *ret_found)
{
	struct cprof_error *err =
		place(s, cprof_maps_find(s->maps, addr), addr, ret_spot, ret_found);
	if (!err && *ret_found)
		err = find_symbol(s, ret_spot);
	if (!err && *ret_found && !ret_spot->symbol)
		err = find_nameless(s, ret_spot);
	*ret_found = !err && *ret_found && ret_spot->symbol &&
		     ret_spot->symbol->start == ret_spot->file_addr && !ret_spot->symbol->indirect;
	return err;
}

/* ---- the search ---- */

static bool is_on_way(const struct search *s, uint64_t addr)
{
	for (size_t i = 0; i < s->depth; i++) {
		if (s->on_way[i] == addr)
			return true;
	}
	return false;
}

/* Another way by the same functions may leave one at another place: then it is shown where it begins. */
static void note_way(struct search *s)
{
	if (s->found++ == 0) {
		s->way.n = s->depth;
		memcpy(s->way.steps, s->steps, sizeof(s->steps));
		memcpy(s->starts, s->on_way, sizeof(s->on_way));
		return;
	}
	s->forked |= s->depth != s->way.n;
	for (size_t i = 0; i < s->depth && i < s->way.n; i++) {
		s->forked |= s->on_way[i] != s->starts[i];
		if (s->on_way[i] == s->starts[i] && s->steps[i].addr != s->way.steps[i].addr)
			s->way.steps[i].addr = s->starts[i];
	}
}

static size_t jumps_of(struct search *s, const struct spot *spot, struct cprof_code_jump *jumps)
{
	const uint64_t size = spot->symbol->end - spot->symbol->start;
	if (size > FUNCTION_BYTES || size > s->ways->code_left) {
		s->unknown = true;
		return 0;
	}
	s->ways->code_left -= size;
	if (!pay(s, spot->module, size))
		return 0;
	const size_t n = cprof_code_jump_out(spot->module, spot->symbol->start, spot->symbol->end,
					     jumps, JUMPS_MAX);
	s->unknown |= n == JUMPS_MAX;
	return n;
}

/* What is to be looked into next: a function, or a part of the one before. */
struct task {
	struct spot spot;
	size_t depth;                /* how many have left before it */
	bool part;                   /* of the function last left: NAME.cold */
	struct cprof_tail_step from; /* the jump that leads here, with `depth` > 0 */
};

/* One jump of `task`: the goal, a function to be looked into, or nothing of interest. */
static struct cprof_error *follow(struct search *s, const struct task *task,
				  const struct cprof_code_jump *jump, struct task *ret_next,
				  bool *ret_go)
{
	const struct cprof_tail_step step = { task->spot.map, jump->addr + task->spot.bias };
	*ret_go = false;
	if (!pay(s, task->spot.module, JUMP_STEPS))
		return NULL;
	s->unknown |= jump->kind == CPROF_JUMP_UNKNOWN;
	const uint64_t target = target_of(s, &task->spot, jump);
	bool found;
	struct cprof_error *err =
		target ? place(s, cprof_maps_find(s->maps, target), target, &ret_next->spot, &found)
		       : NULL;
	if (err || !target || !found)
		return err;
	err = find_symbol(s, &ret_next->spot);
	if (err || !ret_next->spot.symbol)
		return err;
	s->steps[s->depth - 1] = step;
	const bool is_start = ret_next->spot.symbol->start == ret_next->spot.file_addr;
	if (is_start && same_function(&ret_next->spot, &s->goal)) {
		note_way(s);
		return NULL;
	}
	ret_next->part = same_function(&ret_next->spot, &task->spot);
	ret_next->depth = s->depth + !ret_next->part;
	*ret_go = s->looks < LOOKS_MAX && ret_next->depth <= CPROF_TAIL_WAY_MAX &&
		  (ret_next->part ? ret_next->spot.symbol != task->spot.symbol && !task->part
				  : is_start && !is_on_way(s, target));
	s->unknown |= s->looks >= LOOKS_MAX;
	return NULL;
}

/* A function on the way, with what is left to be looked at of it. */
struct level {
	struct task task;
	struct cprof_code_jump jumps[JUMPS_MAX];
	size_t n, at;
};

static void enter(struct search *s, struct level *level, const struct task *task)
{
	level->task = *task;
	level->at = 0;
	level->n = jumps_of(s, &task->spot, level->jumps);
	s->looks++;
	s->depth = task->depth;
	if (!task->part)
		s->on_way[s->depth - 1] = task->spot.file_addr + task->spot.bias;
}

/* Depth first; a function and a part of it are two levels. */
static struct cprof_error *search_from(struct search *s, const struct spot *first,
				       struct level *levels)
{
	size_t n = 1;
	enter(s, &levels[0], &(struct task){ .spot = *first, .depth = 1 });
	while (n) {
		struct level *level = &levels[n - 1];
		struct task next;
		bool go;
		s->depth = level->task.depth;
		if (level->at == level->n) {
			n--;
			continue;
		}
		struct cprof_error *err =
			follow(s, &level->task, &level->jumps[level->at++], &next, &go);
		if (err)
			return err;
		if (go)
			enter(s, &levels[n++], &next);
	}
	return NULL;
}

/* ---- what follows of it ---- */

/* Before the dynamic linker has found a function, the call that is to lead there leads to it. */
static bool is_on_its_way(const struct spot *goal)
{
	return strncmp(goal->symbol->name, "_dl_runtime_", strlen("_dl_runtime_")) == 0;
}

static bool is_go(const struct spot *spot)
{
	const struct cprof_names *names = spot->module->names.data;
	return names && names->self && cprof_elf_has_section(names->self, ".gopclntab");
}

/* The first function was called for certain; those behind it only if nobody could have got to the goal by another way. */
static void conclude(const struct search *s, const struct spot *first,
		     struct cprof_tail_way *ret_way)
{
	if (s->found) {
		*ret_way = s->way;
		if (s->forked || s->unknown)
			ret_way->n = 1;
		return;
	}
	/* Go's own switches of stacks look the same. */
	if (!s->unknown || is_go(first) || is_go(&s->goal) ||
	    !(first->symbol->rank & CPROF_SYMBOL_FUNCTION))
		return;
	ret_way->n = 1;
	ret_way->steps[0] = (struct cprof_tail_step){ first->map, first->file_addr + first->bias };
}

static struct cprof_error *search(struct search *s, const struct spot *first,
				  struct cprof_tail_way *ret_way)
{
	/* A function and a part of it are two levels. */
	CPROF_AUTO(free) struct level *levels = calloc(2 * CPROF_TAIL_WAY_MAX, sizeof(*levels));
	struct cprof_error *err = levels ? search_from(s, first, levels) : cprof_error_no_memory();
	if (!err)
		conclude(s, first, ret_way);
	return err;
}

/* The goal's function begins where the call leads, by the unwind information: so it is nearly always, and no symbol is needed. */
static struct cprof_error *is_plain_call(struct search *s, uint64_t target, bool *ret_plain)
{
	struct cprof_names *names;
	struct cprof_error *err = cprof_names_get(s->goal.module, &s->ways->naming, &names);
	if (!err)
		*ret_plain = cprof_names_start(names, s->goal.file_addr) + s->goal.bias == target;
	return err;
}

struct cprof_error *cprof_tail_ways_find(struct cprof_tail_ways *ways,
					 const struct cprof_maps *maps,
					 const struct cprof_tail_step *inner,
					 const struct cprof_tail_step *outer,
					 struct cprof_tail_way *ret_way)
{
	struct search s = { .ways = ways, .maps = maps };
	struct spot caller, first;
	struct cprof_code_jump call;
	bool found, plain = true;
	ret_way->n = 0;
	struct cprof_error *err = place(&s, outer->map, outer->addr, &caller, &found);
	if (err || !found || !cprof_code_jump_call(caller.module, caller.file_addr + 1, &call))
		return err;
	err = place(&s, inner->map, inner->addr, &s.goal, &found);
	const uint64_t target = err || !found ? 0 : target_of(&s, &caller, &call);
	if (!target)
		return err;
	err = is_plain_call(&s, target, &plain);
	if (err || plain)
		return err;
	err = find_symbol(&s, &s.goal);
	if (err || !s.goal.symbol || is_on_its_way(&s.goal))
		return err;
	err = function_at(&s, target, &first, &found);
	if (err || !found || same_function(&first, &s.goal))
		return err;
	return search(&s, &first, ret_way);
}
