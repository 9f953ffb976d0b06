/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_judge.h"

#include <stdio.h>
#include <stdlib.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_known.h"
#include "attach/heap/code/code_proof.h"
#include "base/cleanup.h"

#define REASON_BYTES  512u
#define FUNCTIONS_MAX 64u

/* ---- frames ---- */

/* The slow path calls the function from a frame of its own, and what lies above the return address is another's there. */
static struct cprof_error *judge_arguments(struct cprof_code_object *object, uint64_t addr,
					   struct cprof_heap_hook *hook)
{
	struct cprof_code_flow flow;
	struct cprof_error *err = cprof_code_flow_find(object, addr, &flow);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_heap_hook_refuse(hook, err->message);
		cprof_error_free(err);
		return NULL;
	}
	if (err)
		return err;
	if (flow.reads_stack_arguments)
		cprof_heap_hook_refuse(hook, "it may read arguments on its caller's stack, which "
					     "a frame between the two would shift");
	cprof_code_flow_deinit(&flow);
	return NULL;
}

/* Exceptions, cancellation and stack switches do not get past a frame that has no unwind table. */
static struct cprof_error *judge_exits(struct cprof_code_object *object, uint64_t addr,
				       struct cprof_heap_hook *hook)
{
	CPROF_AUTO(free) char *why = NULL;
	char reason[REASON_BYTES];
	struct cprof_error *err = cprof_code_proof_returns(object, addr, &why);
	if (err || !why)
		return err;
	snprintf(reason, sizeof(reason),
		 "that it is left by its own return only, and by no exception or jump, cannot be "
		 "shown: %s",
		 why);
	cprof_heap_hook_refuse(hook, reason);
	return NULL;
}

/* ---- registers ---- */

struct spoiling {
	struct cprof_code_object *object;
	uint64_t functions[FUNCTIONS_MAX]; /* those that it is made of, by direct calls */
	size_t n;
};

static void add_function(struct spoiling *spoiling, uint64_t addr)
{
	for (size_t i = 0; i < spoiling->n; i++) {
		if (spoiling->functions[i] == addr)
			return;
	}
	if (spoiling->n < FUNCTIONS_MAX)
		spoiling->functions[spoiling->n++] = addr;
}

/* Does it call what no compiler could see when it was compiled, and come back from there? */
static bool calls_out(struct spoiling *spoiling, const struct cprof_code_flow *flow)
{
	for (size_t i = 0; i < flow->n_calls; i++) {
		const struct cprof_code_call *call = &flow->calls[i];
		if (!call->to && (!call->name || !cprof_code_known_ends(call->name)))
			return true;
		if (call->to)
			add_function(spoiling, call->to);
	}
	return false;
}

/*
 * Then its callers take all registers for spoilt that the ABI lets it spoil, whatever else they know of it (gcc's -fipa-ra
 * gives up at such a call).
 */
static struct cprof_error *spoils_all(struct cprof_code_object *object, uint64_t addr,
				      bool *ret_spoils)
{
	struct spoiling spoiling = { .object = object };
	add_function(&spoiling, addr);
	*ret_spoils = false;
	for (size_t i = 0; !*ret_spoils && i < spoiling.n; i++) {
		struct cprof_code_flow flow;
		struct cprof_error *err =
			cprof_code_flow_find(object, spoiling.functions[i], &flow);
		if (err && err->code == CPROF_ERR_NO_MEMORY)
			return err;
		if (err) {
			cprof_error_free(err);
			continue;
		}
		*ret_spoils = calls_out(&spoiling, &flow);
		cprof_code_flow_deinit(&flow);
	}
	return NULL;
}

/*
 * Known families are compiled for the ABI; a pool may follow a convention of its own (preserve_most), which also those know
 * who call it from elsewhere.
 */
struct cprof_error *cprof_heap_judge_registers(const struct cprof_heap_code *code,
					       struct cprof_heap_hook *hook)
{
	uint64_t addr;
	const char *why;
	hook->light = false;
	if (!hook->entry.known)
		return NULL;
	hook->light = !cprof_heap_code_is_called(code, hook);
	struct cprof_code_object *object = cprof_heap_code_object(code, hook, &addr, &why);
	return hook->light || !object ? NULL : spoils_all(object, addr, &hook->light);
}

/* ---- frames, all of it ---- */

/* Where the function that the slow path calls instead of the hooked one is in the file. */
static uint64_t called(const struct cprof_heap_hook *hook, uint64_t addr)
{
	return hook->entry.throws ? addr + (hook->entry.sister - hook->entry.addr) : addr;
}

struct cprof_error *cprof_heap_judge_frame(const struct cprof_heap_code *code,
					   struct cprof_heap_hook *hook)
{
	uint64_t addr;
	const char *why;
	/* Nothing is called where something is freed, and known families do not throw. */
	if (cprof_shim_frees(hook->entry.kind) || hook->entry.known)
		return NULL;
	struct cprof_code_object *object = cprof_heap_code_object(code, hook, &addr, &why);
	if (!object) {
		cprof_heap_hook_refuse(hook, why);
		return NULL;
	}
	addr = called(hook, addr);
	struct cprof_error *err = judge_exits(object, addr, hook);
	if (!err && hook->state == CPROF_HEAP_HOOK_PLANNED)
		err = judge_arguments(object, addr, hook);
	return err;
}
