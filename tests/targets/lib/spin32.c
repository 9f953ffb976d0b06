/* SPDX-License-Identifier: Apache-2.0 */
/* spin32 - a 32-bit program without a libc: prints "ready" and sleeps until it is killed. */
static int call(int number, int a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

void _start(void);
void _start(void)
{
	static const char text[] = "ready\n";
	call(4, 1, (int)text, sizeof(text) - 1); /* write */
	for (;;)
		call(29, 0, 0, 0); /* pause */
}
