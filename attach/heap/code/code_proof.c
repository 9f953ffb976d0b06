/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_proof.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_known.h"
#include "base/array.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"

#define FUNCTIONS_MAX 256u

struct proof {
	struct cprof_code_object *object;
	struct cprof_map64 seen;
	uint64_t *waiting; /* owned; functions that are called and were not looked at yet */
	size_t n_waiting, cap_waiting;
	struct cprof_buffer why; /* empty: nothing stands against it */
};

/* Of a function of the object, as people know it. */
static void name_function(struct proof *proof, uint64_t addr)
{
	const struct cprof_symbols *symbols;
	struct cprof_error *err = cprof_code_object_symbols(proof->object, &symbols);
	const struct cprof_symbol *symbol = err ? NULL : cprof_symbols_find(symbols, addr);
	cprof_error_free(err);
	if (symbol && symbol->start == addr)
		cprof_buffer_printf(&proof->why, "%s", symbol->name);
	else
		cprof_buffer_printf(&proof->why, "the function at 0x%llx of its file",
				    (unsigned long long)addr);
}

static void object_to(struct proof *proof, uint64_t function, const char *what, uint64_t at)
{
	if (proof->why.len)
		return;
	name_function(proof, function);
	cprof_buffer_printf(&proof->why, ": %s (at 0x%llx)", what, (unsigned long long)at);
}

/* What is called malloc in an object that has all of the C library in it is the C library's. */
static bool is_known(struct proof *proof, uint64_t addr)
{
	const struct cprof_symbols *symbols;
	if (!proof->object->self_contained)
		return false;
	struct cprof_error *err = cprof_code_object_symbols(proof->object, &symbols);
	const struct cprof_symbol *symbol = err ? NULL : cprof_symbols_find(symbols, addr);
	cprof_error_free(err);
	return symbol && symbol->start == addr && cprof_code_known_returns(symbol->name);
}

static struct cprof_error *wait_for(struct proof *proof, uint64_t addr)
{
	bool new;
	if (!cprof_map64_put(&proof->seen, addr, &new) ||
	    !CPROF_ARRAY_ROOM(proof->waiting, proof->n_waiting, proof->cap_waiting, 1))
		return cprof_error_no_memory();
	if (new)
		proof->waiting[proof->n_waiting++] = addr;
	return NULL;
}

static struct cprof_error *look_at_call(struct proof *proof, uint64_t function,
					const struct cprof_code_call *call)
{
	if (call->to)
		return is_known(proof, call->to) ? NULL : wait_for(proof, call->to);
	if (call->name && cprof_code_known_returns(call->name))
		return NULL;
	if (proof->why.len)
		return NULL;
	name_function(proof, function);
	if (call->name)
		cprof_buffer_printf(&proof->why, " calls %s, which may throw or be cancelled",
				    call->name);
	else
		cprof_buffer_printf(&proof->why, " calls what a pointer leads to (at 0x%llx)",
				    (unsigned long long)call->from);
	return NULL;
}

static struct cprof_error *look_at_flow(struct proof *proof, uint64_t function,
					const struct cprof_code_flow *flow)
{
	struct cprof_error *err = NULL;
	if (flow->stack_trick)
		object_to(proof, function, flow->stack_trick, flow->stack_trick_at);
	for (size_t i = 0; !err && !proof->why.len && i < flow->n_calls; i++)
		err = look_at_call(proof, function, &flow->calls[i]);
	if (flow->lost)
		object_to(proof, function, flow->lost, flow->lost_at);
	return err;
}

static struct cprof_error *look_at(struct proof *proof, uint64_t function)
{
	struct cprof_code_flow flow;
	struct cprof_error *err = cprof_code_flow_find(proof->object, function, &flow);
	if (err && err->code == CPROF_ERR_UNSUPPORTED) {
		cprof_buffer_printf(&proof->why, "%s", err->message);
		cprof_error_free(err);
		return NULL;
	}
	if (err)
		return err;
	err = look_at_flow(proof, function, &flow);
	cprof_code_flow_deinit(&flow);
	return err;
}

struct cprof_error *cprof_code_proof_returns(struct cprof_code_object *object, uint64_t start,
					     char **ret_why)
{
	struct proof proof = { .object = object };
	struct cprof_error *err = wait_for(&proof, start);
	for (size_t n = 0; !err && !proof.why.len && proof.n_waiting; n++) {
		if (n == FUNCTIONS_MAX)
			cprof_buffer_printf(&proof.why, "it calls more than %u functions",
					    FUNCTIONS_MAX);
		else
			err = look_at(&proof, proof.waiting[--proof.n_waiting]);
	}
	cprof_map64_deinit(&proof.seen);
	free(proof.waiting);
	if (!err)
		err = cprof_buffer_error(&proof.why);
	if (err) {
		cprof_buffer_deinit(&proof.why);
		return err;
	}
	*ret_why = proof.why.len ? (char *)proof.why.data : NULL;
	if (!*ret_why)
		cprof_buffer_deinit(&proof.why);
	return NULL;
}
