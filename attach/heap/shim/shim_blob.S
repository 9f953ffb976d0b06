/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's machine code as built from attach/heap/shim/, carried in our own read-only data. */
	.section .rodata
	.globl	cprof_shim_blob
	.globl	cprof_shim_blob_end
	.p2align 6
cprof_shim_blob:
	.incbin	"shim.bin"
cprof_shim_blob_end:
	.section .note.GNU-stack, "", @progbits
