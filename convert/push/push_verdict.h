/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_verdict.h - what an answer of a server means for the profile that was sent to it.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_VERDICT_H
#define CPROF_CONVERT_PUSH_PUSH_VERDICT_H

enum cprof_push_verdict {
	CPROF_PUSH_DELIVERED,
	CPROF_PUSH_AGAIN, /* the server is away or busy, and may be back soon */
	CPROF_PUSH_HELD, /* nothing is wrong with the profile: somebody has to mend the login, the URL or a certificate */
	CPROF_PUSH_REFUSED, /* the profile; the server will say the same again */
};

#endif
