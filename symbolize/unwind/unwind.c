/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"

/* CFI instructions that one walk may run; the longest entry in libLLVM takes 1,154. */
#define STEPS_PER_WALK 200000u
/* How often a walk may go to a stack at a lower address (stackful coroutines, split stacks). */
#define STACK_SWITCHES_MAX 8u
/* Words that compiled Java code may have pushed; the most seen is one. */
#define PUSHED_MAX 8u

struct cprof_error *cprof_unwinder_new(const struct cprof_arch *arch, struct cprof_modules *modules,
				       struct cprof_unwinder **ret_unwinder)
{
	struct cprof_unwinder *unwinder = calloc(1, sizeof(*unwinder));
	if (!unwinder)
		return cprof_error_no_memory();
	unwinder->arch = arch;
	unwinder->modules = modules;
	unwinder->live = malloc(CPROF_WALK_LIVE_BYTES);
	struct cprof_error *err = unwinder->live ? cprof_unwind_rules_init(&unwinder->rules, arch)
						 : cprof_error_no_memory();
	if (err) {
		cprof_unwinder_free(unwinder);
		return err;
	}
	*ret_unwinder = unwinder;
	return NULL;
}

void cprof_unwinder_free(struct cprof_unwinder *unwinder)
{
	if (!unwinder)
		return;
	cprof_unwind_rules_deinit(&unwinder->rules);
	free(unwinder->live);
	free(unwinder);
}

/* ---- mappings ---- */

/*
 * The mapping of `addr`. The shortcut needs no trust: an id that is live and holds the address is the
 * mapping, since live mappings do not overlap.
 */
static struct cprof_map *find_map(struct cprof_walk *w, uint64_t addr)
{
	const struct cprof_maps *maps = w->input->maps;
	uint32_t *id = &w->unwinder->map_ids[(addr >> 12 ^ addr >> 20) & 255];
	if (*id < maps->n_all) {
		struct cprof_map *map = maps->all[*id];
		if (map->live && map->start <= addr && addr < map->end)
			return map;
	}
	struct cprof_map *map = cprof_maps_find(maps, addr);
	if (map)
		*id = map->id;
	return map;
}

const struct cprof_map *cprof_walk_map(struct cprof_walk *w, uint64_t addr,
				       struct cprof_module **ret_module)
{
	struct cprof_map *map = find_map(w, addr);
	*ret_module = NULL;
	if (!map || !(map->prot & PROT_EXEC))
		return NULL;
	*ret_module = map->module;
	if (!map->module) {
		struct cprof_error *err =
			cprof_modules_get(w->unwinder->modules, w->input->maps, map, ret_module);
		cprof_error_free(err);
	}
	return map;
}

/* The rule for `code`, which is in `map` of `module`. */
static const struct cprof_unwind_rule *rule_in(struct cprof_walk *w, struct cprof_code_addr code,
					       const struct cprof_map *map,
					       struct cprof_module *module, bool *ret_after_call)
{
	const struct cprof_unwind_where where = { .code = code,
						  .map = map,
						  .module = module,
						  .pid = w->input->maps->pid,
						  .bytes = &w->code,
						  .java = module ? cprof_walk_java(w, module)
								 : NULL,
						  .memory = &w->input->maps->memory };
	*ret_after_call = false;
	if (!map || !module)
		return NULL;
	return cprof_unwind_rules_get(&w->unwinder->rules, &where, ret_after_call, &w->steps);
}

/* What the code of the current frame tells, whatever its unwind information says; NULL: nothing. */
static const struct cprof_unwind_rule *rule_by_code(struct cprof_walk *w)
{
	const struct cprof_unwind_where where = { .code = w->frame.code,
						  .map = w->frame.map,
						  .module = w->module,
						  .pid = w->input->maps->pid,
						  .bytes = &w->code,
						  .by_code = true };
	bool unused;
	if (!where.map || !where.module)
		return NULL;
	return cprof_unwind_rules_get(&w->unwinder->rules, &where, &unused, &w->steps);
}

bool cprof_walk_rule(struct cprof_walk *w, struct cprof_code_addr code,
		     const struct cprof_unwind_rule **ret_rule, bool *ret_after_call)
{
	struct cprof_module *module;
	const struct cprof_map *map = cprof_walk_map(w, cprof_code_addr_lookup(code), &module);
	*ret_rule = rule_in(w, code, map, module, ret_after_call);
	return map && module;
}

/* ---- one step, by rule ---- */

static bool known(const struct cprof_regs *regs, unsigned reg)
{
	return regs->valid >> reg & 1;
}

static void set_reg(struct cprof_regs *regs, unsigned reg, uint64_t value)
{
	regs->r[reg] = value;
	regs->valid |= 1ull << reg;
}

static bool evaluate(struct cprof_walk *w, int32_t number, const uint64_t *push,
		     uint64_t *ret_value)
{
	const struct cprof_arch *arch = w->unwinder->arch;
	const struct cprof_cfi_machine machine = {
		.regs = &w->regs,
		.pc_column = arch->ra_in_register ? CPROF_ARCH_PC : arch->ra,
		.read = cprof_walk_read,
		.ctx = w,
	};
	return cprof_cfi_evaluate(w->unwinder->rules.exprs[number], push, &machine, ret_value);
}

static bool find_cfa(struct cprof_walk *w, const struct cprof_unwind_rule *rule, uint64_t *ret_cfa)
{
	const struct cprof_regs *regs = &w->regs;
	if (rule->cfa == CPROF_CFA_EXPR)
		return evaluate(w, rule->offset, NULL, ret_cfa);
	if (!known(regs, rule->cfa_reg))
		return false;
	uint64_t cfa = regs->r[rule->cfa_reg] + (uint64_t)(int64_t)rule->offset;
	if (rule->cfa == CPROF_CFA_PLT && (regs->pc & 15) >= (uint64_t)(int64_t)rule->add)
		cfa += 8;
	if (rule->cfa == CPROF_CFA_AHEAD && cfa <= regs->r[w->unwinder->arch->sp])
		cfa = regs->r[w->unwinder->arch->sp] + 8;
	*ret_cfa = cfa;
	return rule->cfa != CPROF_CFA_DEREF || cprof_walk_word(w, cfa, ret_cfa);
}

/* Where a place that is in memory is; false if it is not, or can't be told. */
static bool place_addr(struct cprof_walk *w, const struct cprof_unwind_place *place, uint64_t cfa,
		       uint64_t *ret_addr)
{
	switch (place->from) {
	case CPROF_FROM_CFA:
		*ret_addr = cfa + (uint64_t)(int64_t)place->offset;
		return true;
	case CPROF_FROM_BASE:
		*ret_addr = w->regs.r[place->base] + (uint64_t)(int64_t)place->offset;
		return known(&w->regs, place->base);
	case CPROF_FROM_STORE:
		return evaluate(w, place->offset, &cfa, ret_addr);
	default:
		return false;
	}
}

/* The value of a place that is not in memory. */
static bool place_value(struct cprof_walk *w, const struct cprof_unwind_place *place, uint64_t cfa,
			uint64_t *ret_value)
{
	switch (place->from) {
	case CPROF_IS_CFA:
		*ret_value = cfa + (uint64_t)(int64_t)place->offset;
		return true;
	case CPROF_IS_BASE:
		*ret_value = w->regs.r[place->base] + (uint64_t)(int64_t)place->offset;
		return known(&w->regs, place->base);
	case CPROF_IS_EXPR:
		return evaluate(w, place->offset, &cfa, ret_value);
	default:
		return false;
	}
}

static bool in_memory(const struct cprof_unwind_place *place)
{
	return place->from <= CPROF_FROM_STORE;
}

/* The caller's value of one register; false only where the walk must not go on without. */
static inline bool restore_reg(struct cprof_walk *w, const struct cprof_unwind_place *place,
			       uint64_t cfa, struct cprof_walk_caller *caller)
{
	uint64_t addr = 0, value = 0;
	bool known_place = in_memory(place) ? place_addr(w, place, cfa, &addr)
					    : place_value(w, place, cfa, &value);
	if (!known_place) {
		caller->lost |= 1ull << place->reg;
		return !w->failed;
	}
	if (in_memory(place)) {
		/*
		 * Below sp: in an epilogue that has popped the register already but still says where it was,
		 * the register itself holds the caller's value again. Only where code was interrupted: a frame
		 * that called is in no epilogue, and if its words are lower it is on another stack.
		 */
		if (place->from == CPROF_FROM_CFA && !w->frame.code.is_return &&
		    addr < w->regs.r[w->unwinder->arch->sp])
			return true;
		if (!cprof_walk_word(w, addr, &value))
			return false;
	}
	cprof_walk_caller_set(caller, place->reg, value);
	return true;
}

static bool find_ra(struct cprof_walk *w, const struct cprof_unwind_rule *rule, uint64_t cfa,
		    struct cprof_walk_caller *caller)
{
	uint64_t ra;
	if (rule->ra_stays) {
		if (!known(&w->regs, rule->ra.reg))
			return false;
		ra = w->regs.r[rule->ra.reg];
		/* It told of one call; without having been stored it cannot tell of the next. */
		caller->lost |= 1ull << rule->ra.reg;
	} else if (in_memory(&rule->ra)) {
		if (!place_addr(w, &rule->ra, cfa, &caller->ra_slot) ||
		    !cprof_walk_word(w, caller->ra_slot, &ra))
			return false;
		if (w->unwinder->arch->ra_in_register && rule->ra.reg < CPROF_ARCH_MAX_REGS)
			cprof_walk_caller_set(caller, rule->ra.reg, ra);
	} else if (!place_value(w, &rule->ra, cfa, &ra)) {
		return false;
	}
	caller->pc = ra & w->unwinder->arch->code_addr_mask;
	return true;
}

static bool apply(struct cprof_walk *w, const struct cprof_unwind_rule *rule,
		  struct cprof_walk_caller *caller)
{
	w->failed = false;
	cprof_walk_caller_init(caller, CPROF_FRAME_RULE);
	caller->interrupted = rule->signal;
	caller->is_root = rule->root;
	if (rule->root)
		return true;
	if (!find_cfa(w, rule, &caller->sp) || !find_ra(w, rule, caller->sp, caller))
		return false;
	uint64_t cfa = caller->sp;
	for (unsigned i = 0; i < rule->n_places; i++) {
		if (!restore_reg(w, &rule->places[i], cfa, caller))
			return false;
	}
	return true;
}

/* The caller becomes the frame to be left next. */
static void become(struct cprof_walk *w, const struct cprof_walk_caller *caller)
{
	struct cprof_regs *regs = &w->regs;
	regs->pc = caller->pc;
	regs->valid &= ~caller->lost;
	set_reg(regs, w->unwinder->arch->sp, caller->sp);
	for (unsigned i = 0; i < caller->n_set; i++)
		set_reg(regs, caller->set[i].reg, caller->set[i].value);
}

/* ---- the walk ---- */

static bool push_frame(struct cprof_walk *w)
{
	struct cprof_stack *stack = w->stack;
	if (stack->len == stack->cap)
		return false;
	stack->frames[stack->len++] = w->frame;
	w->unwinder->stats.guessed += w->frame.how == CPROF_FRAME_GUESS;
	w->unwinder->stats.live += w->frame.live;
	return true;
}

static void not_a_return(struct cprof_walk *w)
{
	w->frame.code.is_return = false;
	w->stack->frames[w->stack->len - 1].code.is_return = false;
}

/*
 * Does a function begin at exactly `addr`, or nothing known end there? A return address like that was put on
 * the stack by hand: it is the outermost function of a coroutine, made by makecontext() and its like.
 */
static bool begins_here(struct cprof_walk *w, uint64_t addr)
{
	struct cprof_cfi *cfi;
	struct cprof_cfi_fde fde;
	struct cprof_module *module;
	uint64_t file_addr;
	const struct cprof_map *map = cprof_walk_map(w, addr, &module);
	if (!map || !module || !cprof_module_file_addr(module, map, addr, &file_addr))
		return false;
	struct cprof_error *err = cprof_cfi_get(module, &cfi);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	if (cprof_cfi_find(cfi, file_addr, &fde) && fde.start == file_addr)
		return true;
	return !cprof_cfi_find(cfi, file_addr - 1, &fde);
}

/* The rule at `back` bytes before the innermost frame's address, if it is a signal frame's. */
static const struct cprof_unwind_rule *signal_rule_before(struct cprof_walk *w, uint64_t back)
{
	const struct cprof_unwind_rule *rule;
	bool after_call;
	const struct cprof_code_addr code = { w->frame.code.addr - back, false };
	return cprof_walk_rule(w, code, &rule, &after_call) && rule && rule->signal ? rule : NULL;
}

/*
 * In rt_sigreturn(2), which never returns: the instruction behind it, where the thread seems to be, belongs to somebody else,
 * and the frame is that of the trampoline before it. Told by its tables, which end there, or by its code.
 */
static const struct cprof_unwind_rule *sigreturn_rule(struct cprof_walk *w)
{
	const struct cprof_arch *arch = w->unwinder->arch;
	const uint8_t reg = arch->syscall_pc_reg;
	if (w->stack->len != 1 || w->frame.code.is_return || reg >= CPROF_ARCH_MAX_REGS ||
	    !known(&w->regs, reg) || w->regs.r[reg] != w->frame.code.addr)
		return NULL;
	const struct cprof_unwind_rule *rule = signal_rule_before(w, 1);
	const size_t n = sizeof(arch->sigframe.sigreturns) / sizeof(arch->sigframe.sigreturns[0]);
	for (size_t i = 0; !rule && i < n; i++) {
		if (arch->sigframe.sigreturns[i].n)
			rule = signal_rule_before(w, arch->sigframe.sigreturns[i].n);
	}
	return rule;
}

/*
 * The rule for the current frame; NULL if there is none. A signal's return trampoline was not called, nor was
 * the outermost function of a coroutine: their addresses are what they are.
 */
static const struct cprof_unwind_rule *frame_rule(struct cprof_walk *w)
{
	static const struct cprof_unwind_rule outermost = { .root = true };
	const struct cprof_unwind_rule *rule, *exact;
	struct cprof_code_addr code = w->frame.code;
	bool after_call, unused;
	rule = sigreturn_rule(w);
	if (rule)
		return rule;
	rule = rule_in(w, code, w->frame.map, w->module, &after_call);
	if (!code.is_return || after_call)
		return rule;
	if (rule && rule->signal) {
		not_a_return(w);
		return rule;
	}
	if (!cprof_walk_rule(w, (struct cprof_code_addr){ code.addr, false }, &exact, &unused))
		return rule;
	if (exact && exact->signal) {
		not_a_return(w);
		return exact;
	}
	if (w->frame.how == CPROF_FRAME_RULE && begins_here(w, code.addr)) {
		not_a_return(w);
		return &outermost;
	}
	return rule_in(w, code, w->frame.map, w->module, &after_call);
}

/*
 * Hand-written code may keep its frame's address in a register that calls need not preserve. Further out than
 * the innermost frame that is as good as a guess, though by rule.
 */
static bool doubtful(const struct cprof_walk *w, const struct cprof_unwind_rule *rule)
{
	const struct cprof_arch *arch = w->unwinder->arch;
	uint64_t kept = arch->callee_saved | 1ull << arch->sp | 1ull << arch->fp;
	return w->frame.code.is_return && !rule->root && rule->cfa != CPROF_CFA_EXPR &&
	       !(kept >> rule->cfa_reg & 1);
}

/*
 * With nothing of the sample to compare the live process with: the signal's handler may be over by now. What it has interrupted
 * stands there still, or what does stand there is no return address, most likely.
 */
static bool unanchored(const struct cprof_walk *w)
{
	return w->left_handler && w->n_anchors == 0;
}

/*
 * Hand-written code pushes, and calls its own subroutines, without telling in its unwind information (interpreters do): where it
 * was interrupted, the word that is told to be the return address may be any. If it cannot be one, the code is asked, and
 * believed if it leads to one. A zero there is the end of the stack only if the code agrees.
 */
static void ask_code(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	struct cprof_walk_caller other;
	const struct cprof_unwind_rule *rule = rule_by_code(w);
	if (rule && apply(w, rule, &other)) {
		if (other.pc && cprof_walk_holds(w, &other)) {
			*caller = other;
			caller->how = CPROF_FRAME_GUESS;
		} else if (!other.pc && !caller->pc) {
			caller->is_root = true;
		}
	}
	w->failed = false;
}

/*
 * Compiled Java code pushes within its fixed frame here and there (comparing strings does): where it was interrupted the return
 * address may lie some words further up.
 */
static bool ask_pushed(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	struct cprof_walk_caller other;
	const struct cprof_unwind_rule *rule = frame_rule(w);
	if (!rule || !rule->generated || rule->interpreted)
		return false;
	struct cprof_unwind_rule deeper = *rule;
	for (unsigned i = 0; i < PUSHED_MAX; i++) {
		deeper.offset += 8;
		if (apply(w, &deeper, &other) && other.pc && cprof_walk_holds(w, &other)) {
			*caller = other;
			return true;
		}
	}
	w->failed = false;
	return false;
}

/* Is the frame one that was interrupted, and what its rule says of its caller not to be believed at once? */
static bool is_strange(struct cprof_walk *w, const struct cprof_unwind_rule *rule,
		       const struct cprof_walk_caller *caller)
{
	return !w->frame.code.is_return && !rule->signal && !rule->guessed && !caller->is_root &&
	       !cprof_walk_holds(w, caller);
}

/* The caller by rule; in the live process where the copy does not have it. */
static bool by_rule(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	const struct cprof_unwind_rule *rule = frame_rule(w);
	if (!rule)
		return false;
	if (!apply(w, rule, caller) &&
	    (!w->failed || !cprof_walk_go_live(w) || !apply(w, rule, caller)))
		return false;
	if (rule->guessed)
		caller->how = CPROF_FRAME_GUESS;
	if (rule->interpreted)
		cprof_walk_interpreted(w);
	if (is_strange(w, rule, caller) && !ask_pushed(w, caller))
		ask_code(w, caller);
	if (rule->switches)
		return cprof_walk_called_this(w, caller);
	return (!rule->guessed && !rule->doubted && !doubtful(w, rule) &&
		(!w->live || !unanchored(w) || caller->interrupted)) ||
	       cprof_walk_holds(w, caller);
}

static bool by_guess(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	w->failed = false;
	/* Rules lead to one word, and it is looked at; a guess would find something anywhere. */
	if (w->live && unanchored(w)) {
		w->mismatch = w->failed = true;
		return false;
	}
	if (cprof_walk_guess(w, caller))
		return true;
	return w->failed && !unanchored(w) && cprof_walk_go_live(w) && cprof_walk_guess(w, caller);
}

/* Is the caller's frame further out than the one it called? */
static bool advances(struct cprof_walk *w, const struct cprof_walk_caller *caller)
{
	uint64_t from = w->regs.r[w->unwinder->arch->sp], to = caller->sp;
	if (to > from || caller->interrupted)
		return true;
	/* A leaf that has stored nothing, its return address being in a register. */
	if (to == from)
		return !caller->ra_slot && caller->pc != w->regs.pc;
	return caller->how == CPROF_FRAME_RULE && w->stack_switches++ < STACK_SWITCHES_MAX;
}

/* Move on to `caller`; false when the walk has ended, with the reason in stack->stop. */
static bool move_out(struct cprof_walk *w, const struct cprof_walk_caller *caller)
{
	struct cprof_stack *stack = w->stack;
	if (caller->is_root || caller->pc == 0) {
		bool end = caller->is_root || w->frame.code.is_return;
		stack->stop = end ? CPROF_STOP_ROOT : CPROF_STOP_NO_RULE;
		return false;
	}
	if (!advances(w, caller)) {
		stack->stop = CPROF_STOP_NOT_ADVANCING;
		return false;
	}
	const struct cprof_code_addr code = { caller->pc, !caller->interrupted };
	w->frame = (struct cprof_frame){ .code = code, .how = caller->how, .live = w->live };
	w->frame.map = cprof_walk_map(w, cprof_code_addr_lookup(code), &w->module);
	if (!w->frame.map) {
		stack->stop = CPROF_STOP_NO_MAP;
		return false;
	}
	if (caller->ra_slot)
		cprof_walk_anchor(w, caller->ra_slot, caller->pc);
	/* The frames of a signal's handler, often on a stack of its own, need not last as long as those it has interrupted. */
	if (caller->interrupted) {
		w->left_handler = true;
		w->n_anchors = 0;
	}
	become(w, caller);
	if (!push_frame(w)) {
		stack->stop = CPROF_STOP_DEPTH;
		return false;
	}
	return true;
}

static void walk(struct cprof_walk *w)
{
	struct cprof_walk_caller caller;
	do {
		w->failed = false;
		if (by_rule(w, &caller))
			continue;
		if (w->failed) {
			w->stack->stop = cprof_walk_why_unreadable(w);
			return;
		}
		if (!by_guess(w, &caller)) {
			w->stack->stop =
				w->failed ? cprof_walk_why_unreadable(w) : CPROF_STOP_NO_RULE;
			return;
		}
	} while (move_out(w, &caller));
}

void cprof_unwind(struct cprof_unwinder *unwinder, const struct cprof_unwind_input *input,
		  struct cprof_stack *stack)
{
	struct cprof_walk w = {
		.unwinder = unwinder,
		.input = input,
		.stack = stack,
		.regs = *input->regs,
		.sample_sp = input->regs->r[unwinder->arch->sp],
		.steps = STEPS_PER_WALK,
		.code = { cprof_walk_code, &w },
	};
	if (input->copy && input->copy_size >= sizeof(uint64_t)) {
		w.copy = input->copy;
		w.copy_addr = input->copy_addr;
		w.copy_last = input->copy_size - sizeof(uint64_t);
	}
	w.frame = (struct cprof_frame){ .code = { input->regs->pc, false },
					.how = CPROF_FRAME_SAMPLE };
	w.frame.map = cprof_walk_map(&w, input->regs->pc, &w.module);
	stack->len = 0;
	stack->stop = CPROF_STOP_DEPTH;
	/* A compiler may put other code where some was: what it looks like is believed for a second. */
	unwinder->rules.epoch = (uint32_t)(cprof_clock_ns(CLOCK_MONOTONIC_COARSE) / CPROF_NS_PER_S);
	if (push_frame(&w))
		walk(&w);
	unwinder->stats.walks++;
	unwinder->stats.frames += stack->len;
	unwinder->stats.stops[stack->stop]++;
}
