/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caller.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

bool cprof_caller_parse_id(const char *text, unsigned *ret_id)
{
	char *end;
	if (!text || !isdigit((unsigned char)*text))
		return false;
	errno = 0;
	unsigned long id = strtoul(text, &end, 10);
	if (*end || errno || id >= UINT_MAX)
		return false;
	*ret_id = (unsigned)id;
	return true;
}

/* doas(1) tells the name, pkexec(1) no group. */
static bool find_by_account(uid_t *ret_uid, gid_t *ret_gid)
{
	char room[4096];
	struct passwd entry, *found = NULL;
	unsigned id;
	const char *name = secure_getenv("DOAS_USER");
	if (cprof_caller_parse_id(secure_getenv("PKEXEC_UID"), &id))
		getpwuid_r(id, &entry, room, sizeof(room), &found);
	else if (name && *name)
		getpwnam_r(name, &entry, room, sizeof(room), &found);
	if (!found)
		return false;
	*ret_uid = found->pw_uid;
	*ret_gid = found->pw_gid;
	return true;
}

bool cprof_caller_find(uid_t *ret_uid, gid_t *ret_gid)
{
	uid_t uid = 0;
	gid_t gid = 0;
	if (getuid() != 0 || geteuid() != 0)
		return false;
	if (!(cprof_caller_parse_id(secure_getenv("SUDO_UID"), &uid) &&
	      cprof_caller_parse_id(secure_getenv("SUDO_GID"), &gid)) &&
	    !find_by_account(&uid, &gid))
		return false;
	if (uid == 0)
		return false;
	*ret_uid = uid;
	*ret_gid = gid;
	return true;
}
