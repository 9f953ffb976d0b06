/* SPDX-License-Identifier: Apache-2.0 */
/* A library that does nothing but call back, for chain_library. */
void lib_call(void (*call)(void *), void *arg);

void lib_call(void (*call)(void *), void *arg)
{
	call(arg);
	__asm__ volatile("" ::: "memory");
}
