/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach/threads/thread_iter.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attach/threads/thread_layout.h"
#include "base/cleanup.h"
#include "cprof/buffer.h"

#define INSNS_MAX   128
#define ROWS_MAX    ((size_t)4 << 20) /* PID_MAX_LIMIT */
#define ROW_BYTES   ((int)sizeof(struct cprof_thread_iter_row))
#define BPF_STACK   512
#define ROW(member) offsetof(struct cprof_thread_iter_row, member)
#define CTX_META    0 /* struct bpf_iter__task */
#define CTX_TASK    8
#define META_SEQ    0 /* struct bpf_iter_meta */
/* The helpers are for programs with a GPL-compatible licence, so this file has the two that wait.bpf.c has. */
#define LICENSE_TEXT "Dual BSD/GPL"

static_assert(sizeof(struct cprof_thread_iter_row) % 8 == 0, "no padding at the end");
static_assert(offsetof(struct cprof_thread_iter_row, voluntary) == 24, "no padding");
static_assert(sizeof(struct cprof_thread_iter_row) < BPF_STACK,
	      "the row is built on the BPF stack");

struct cprof_thread_iter {
	int program_fd, link_fd;
};

/* ---- a very small assembler ---- */

struct code {
	struct bpf_insn insns[INSNS_MAX];
	int n;
};

static void emit(struct code *code, uint8_t opcode, uint8_t dst, uint8_t src, int off, int32_t imm)
{
	struct bpf_insn insn = { .code = opcode, .off = (int16_t)off, .imm = imm };
	insn.dst_reg = (uint8_t)(dst & 15u) & 15u;
	insn.src_reg = (uint8_t)(src & 15u) & 15u;
	if (code->n < INSNS_MAX)
		code->insns[code->n] = insn;
	code->n++;
}

static void load(struct code *code, uint8_t dst, uint8_t src, uint32_t off, uint8_t size)
{
	emit(code, BPF_LDX | BPF_MEM | (size == 8 ? BPF_DW : BPF_W), dst, src, (int)off, 0);
}

static void store(struct code *code, int off, uint8_t src, uint8_t size)
{
	emit(code, BPF_STX | BPF_MEM | (size == 8 ? BPF_DW : BPF_W), BPF_REG_10, src, off, 0);
}

static void add(struct code *code, uint8_t dst, int32_t plus)
{
	emit(code, BPF_ALU64 | BPF_K, dst, 0, 0, plus); /* and BPF_ADD, which is 0 */
}

static void move(struct code *code, uint8_t dst, uint8_t src, uint32_t plus)
{
	emit(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
	if (plus)
		add(code, dst, (int32_t)plus);
}

static void set(struct code *code, uint8_t dst, int32_t value)
{
	emit(code, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void call(struct code *code, int helper)
{
	emit(code, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

/* Copy `n` kernel bytes at register `from` + `off` into the row at `row_offset`. */
static void copy(struct code *code, uint8_t from, uint32_t off, size_t row_offset, size_t n)
{
	move(code, BPF_REG_3, from, off);
	move(code, BPF_REG_1, BPF_REG_10, 0);
	add(code, BPF_REG_1, (int32_t)row_offset - ROW_BYTES);
	set(code, BPF_REG_2, (int32_t)n);
	call(code, BPF_FUNC_probe_read_kernel);
}

/* Fields one by one; their offsets fit the instructions' 16 bits or the kernel refuses. */
static struct cprof_error *emit_fields(struct code *code, const struct cprof_thread_layout *layout)
{
	for (size_t i = 0; i < CPROF_THREAD_LAYOUT_FIELDS; i++) {
		const struct cprof_thread_layout_field *field = &cprof_thread_layout_fields[i];
		if (layout->fields[i] > INT16_MAX)
			return cprof_error_new(CPROF_ERR_UNSUPPORTED,
					       "BPF task iterator: %s lies too far behind",
					       field->path);
		load(code, BPF_REG_0, BPF_REG_7, layout->fields[i], field->size);
		store(code, (int)field->row_offset - ROW_BYTES, BPF_REG_0, field->size);
	}
	return NULL;
}

/* r6 is the context, r7 the task; the row is at r10 - ROW_BYTES. */
static struct cprof_error *assemble(struct code *code, const struct cprof_thread_layout *layout,
				    pid_t pid)
{
	move(code, BPF_REG_6, BPF_REG_1, 0);
	load(code, BPF_REG_7, BPF_REG_6, CTX_TASK, 8);
	int no_task = code->n;
	emit(code, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_7, 0, 0, 0);
	load(code, BPF_REG_0, BPF_REG_7, layout->tgid, 4);
	int other_process = code->n;
	emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, pid);

	struct cprof_error *err = emit_fields(code, layout);
	if (err)
		return err;
	copy(code, BPF_REG_7, layout->comm, ROW(name),
	     sizeof(((struct cprof_thread_iter_row *)0)->name));
	move(code, BPF_REG_1, BPF_REG_7, 0);
	call(code, BPF_FUNC_task_pt_regs);
	move(code, BPF_REG_8, BPF_REG_0, 0);
	copy(code, BPF_REG_8, 0, ROW(regs), CPROF_THREAD_REGS_WORDS * 8);

	load(code, BPF_REG_1, BPF_REG_6, CTX_META, 8);
	load(code, BPF_REG_1, BPF_REG_1, META_SEQ, 8);
	move(code, BPF_REG_2, BPF_REG_10, 0);
	add(code, BPF_REG_2, -ROW_BYTES);
	set(code, BPF_REG_3, ROW_BYTES);
	call(code, BPF_FUNC_seq_write);

	code->insns[no_task].off = (int16_t)(code->n - no_task - 1);
	code->insns[other_process].off = (int16_t)(code->n - other_process - 1);
	set(code, BPF_REG_0, 0);
	emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	if (code->n > INSNS_MAX)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "BPF task iterator: program too long");
	return NULL;
}

static struct cprof_error *load_program(const struct cprof_thread_layout *layout, pid_t pid,
					int *ret_fd)
{
	struct code code = { .n = 0 };
	struct cprof_error *err = assemble(&code, layout, pid);
	if (err)
		return err;
	/* Not const: libbpf 1.5 writes to it. */
	struct bpf_prog_load_opts opts = {
		.sz = sizeof(opts),
		.expected_attach_type = BPF_TRACE_ITER,
		.attach_btf_id = layout->hook,
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "cprof_threads", LICENSE_TEXT, code.insns,
			       (size_t)code.n, &opts);
	if (fd < 0)
		return cprof_error_os(-fd, "BPF task iterator: load");
	*ret_fd = fd;
	return NULL;
}

/* A layout that was kept is tried first; what the kernel refuses it for is that it is another kernel's. */
static struct cprof_error *load_any(const char *cache_dir, pid_t pid, int *ret_fd)
{
	struct cprof_thread_layout layout;
	if (cprof_thread_layout_load(cache_dir, &layout)) {
		struct cprof_error *err = load_program(&layout, pid, ret_fd);
		if (!err)
			return NULL;
		cprof_error_free(err);
	}
	struct cprof_error *err = cprof_thread_layout_read(&layout);
	if (!err)
		err = load_program(&layout, pid, ret_fd);
	if (!err)
		cprof_thread_layout_save(cache_dir, &layout);
	return err;
}

/* From Linux 6.1 the kernel walks only this process; before, all, and the program filters. */
static struct cprof_error *attach(int program_fd, pid_t pid, int *ret_fd)
{
	union bpf_iter_link_info info = { .task = { .pid = (uint32_t)pid } };
	const struct bpf_link_create_opts opts = {
		.sz = sizeof(opts),
		.iter_info = &info,
		.iter_info_len = sizeof(info),
	};
	int fd = bpf_link_create(program_fd, 0, BPF_TRACE_ITER, &opts);
	if (fd == -EINVAL)
		fd = bpf_link_create(program_fd, 0, BPF_TRACE_ITER, NULL);
	if (fd < 0)
		return cprof_error_os(-fd, "BPF task iterator: attach");
	*ret_fd = fd;
	return NULL;
}

struct cprof_error *cprof_thread_iter_open(pid_t pid, const char *cache_dir,
					   struct cprof_thread_iter **ret_iter)
{
	CPROF_AUTO(close) int program_fd = -1;
	CPROF_AUTO(close) int link_fd = -1;
	struct cprof_error *err = load_any(cache_dir, pid, &program_fd);
	if (!err)
		err = attach(program_fd, pid, &link_fd);
	if (err)
		return err;
	struct cprof_thread_iter *iter = malloc(sizeof(*iter));
	if (!iter)
		return cprof_error_no_memory();
	*iter = (struct cprof_thread_iter){ .program_fd = cprof_take_fd(&program_fd),
					    .link_fd = cprof_take_fd(&link_fd) };
	*ret_iter = iter;
	return NULL;
}

void cprof_thread_iter_close(struct cprof_thread_iter *iter)
{
	if (!iter)
		return;
	close(iter->link_fd);
	close(iter->program_fd);
	free(iter);
}

/* One read returns whole rows as far as the kernel's buffer of a few pages holds them; 0 is the end. */
static struct cprof_error *read_rows(int fd, struct cprof_buffer *rows)
{
	for (;;) {
		uint8_t *room =
			cprof_buffer_reserve(rows, 64 * sizeof(struct cprof_thread_iter_row));
		if (!room)
			return cprof_error_no_memory();
		ssize_t n = read(fd, room, 64 * sizeof(struct cprof_thread_iter_row));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return cprof_error_os(errno, "BPF task iterator: read");
		if (n == 0)
			return NULL;
		rows->len += (size_t)n;
		if (rows->len > ROWS_MAX * sizeof(struct cprof_thread_iter_row))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "BPF task iterator: does not end");
	}
}

struct cprof_error *cprof_thread_iter_read(struct cprof_thread_iter *iter,
					   struct cprof_thread_iter_row **ret_rows, size_t *ret_n)
{
	CPROF_AUTO(close) int fd = bpf_iter_create(iter->link_fd);
	if (fd < 0)
		return cprof_error_os(-fd, "BPF task iterator: create");
	CPROF_AUTO(buffer) struct cprof_buffer rows = { 0 };
	struct cprof_error *err = read_rows(fd, &rows);
	if (err)
		return err;
	if (rows.len % sizeof(struct cprof_thread_iter_row))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "BPF task iterator: half a row");
	*ret_n = rows.len / sizeof(struct cprof_thread_iter_row);
	*ret_rows = (struct cprof_thread_iter_row *)(void *)rows.data;
	rows = (struct cprof_buffer){ 0 };
	return NULL;
}

/* include/linux/sched.h: the low bits of __state, as fs/proc/array.c shows them. */
char cprof_thread_iter_state(const struct cprof_thread_iter_row *row)
{
	enum { INTERRUPTIBLE = 1, UNINTERRUPTIBLE = 2, STOPPED = 4, TRACED = 8, PARKED = 0x40 };
	enum { NOLOAD = 0x400, RTLOCK_WAIT = 0x1000, FROZEN = 0x8000 };
	enum { EXIT_DEAD = 0x10, EXIT_ZOMBIE = 0x20 };
	if (row->exit_state & EXIT_ZOMBIE)
		return 'Z';
	if (row->exit_state & EXIT_DEAD)
		return 'X';
	if (row->state & TRACED)
		return 't';
	if (row->state & STOPPED)
		return 'T';
	if (row->state & PARKED)
		return 'P';
	if (row->state & UNINTERRUPTIBLE)
		return row->state & NOLOAD ? 'I' : 'D';
	/* Linux 6.1: states of their own, shown like the one above. */
	if (row->state & (RTLOCK_WAIT | FROZEN))
		return 'D';
	return row->state & INTERRUPTIBLE ? 'S' : 'R';
}
