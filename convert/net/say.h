/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/say.h - lines for people while something takes its time: progress, what was left out and why.
 *
 * Libraries print nothing; whoever starts the work says where its lines go.
 */
#ifndef CPROF_CONVERT_NET_SAY_H
#define CPROF_CONVERT_NET_SAY_H

struct cprof_say {
	void (*line)(void *ctx,
		     const char *line); /* without a newline; borrowed for the call; never NULL */
	void *ctx;
};

/* Say one line. Without memory for it nothing is said. */
void cprof_say(const struct cprof_say *say, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
