/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/ledger_told.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN_MASK (~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT))

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct cprof_error *cprof_ledger_told_open(int fd, size_t bytes, struct cprof_ledger_told *ret)
{
	const size_t page = page_bytes();
	struct cprof_ledger_told told = { .bytes = bytes, .owner = getpid() };
	told.consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (told.consumer == MAP_FAILED)
		return cprof_error_os(errno, "map the ring of the BPF program");
	/* The data is there twice, one behind the other, so that no record is torn. */
	told.producer = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (told.producer == MAP_FAILED) {
		const int why = errno;
		munmap(told.consumer, page);
		return cprof_error_os(why, "map the ring of the BPF program");
	}
	*ret = told;
	return NULL;
}

void cprof_ledger_told_close(struct cprof_ledger_told *told)
{
	if (told->consumer) {
		munmap(told->consumer, page_bytes());
		munmap(told->producer, page_bytes() + 2 * told->bytes);
	}
	*told = (struct cprof_ledger_told){ 0 };
}

/* The record at `next`, whose whole length is *ret_len; NULL with a length: it was taken back; with 0: there is none yet. */
static const struct cprof_ledger_bpf_told *peek(const struct cprof_ledger_told *told,
						uint64_t *ret_len)
{
	const uint64_t end = __atomic_load_n((const uint64_t *)told->producer, __ATOMIC_ACQUIRE);
	const uint8_t *at = (const uint8_t *)told->producer + page_bytes() +
			    (size_t)(told->next & (told->bytes - 1));
	*ret_len = 0;
	if (told->next >= end)
		return NULL;
	const uint32_t len = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
	if (len & BPF_RINGBUF_BUSY_BIT)
		return NULL;
	*ret_len = ((len & LEN_MASK) + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
	return (len & BPF_RINGBUF_DISCARD_BIT) ||
			       (len & LEN_MASK) < sizeof(struct cprof_ledger_bpf_told)
		       ? NULL
		       : (const void *)(at + BPF_RINGBUF_HDR_SZ);
}

struct cprof_error *cprof_ledger_told_drain(struct cprof_ledger_told *told,
					    cprof_ledger_told_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	uint64_t len = 1;
	while (told->consumer && !err && len) {
		const struct cprof_ledger_bpf_told *there = peek(told, &len);
		if (there) {
			const struct cprof_ledger_bpf_told record = *there;
			told->records++;
			err = fn(ctx, &record);
		}
		told->next += len;
		if (len && told->owner == getpid())
			__atomic_store_n((uint64_t *)told->consumer, told->next, __ATOMIC_RELEASE);
	}
	return err;
}
