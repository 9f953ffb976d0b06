/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/tenant_list.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_put.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/printable_text.h"

#define ID_DIGITS  64
#define UID_CHARS  36 /* of a UUID */
#define CGROUP_MAX 65536

/* ---- containers ---- */

static size_t hex_digits(const char *at)
{
	size_t n = 0;
	while (isxdigit((unsigned char)at[n]) && !isupper((unsigned char)at[n]))
		n++;
	return n;
}

static size_t uid_chars(const char *at)
{
	size_t n = 0;
	while (n < UID_CHARS && (isxdigit((unsigned char)at[n]) || at[n] == '-' || at[n] == '_'))
		n++;
	return n;
}

void cprof_tenant_list_container(const char *cgroup, struct cprof_buffer *id,
				 struct cprof_buffer *pod_uid)
{
	for (const char *pod = strstr(cgroup, "pod"); pod; pod = strstr(pod, "pod")) {
		pod += strlen("pod");
		if (uid_chars(pod) != UID_CHARS)
			continue;
		for (size_t i = 0; i < UID_CHARS; i++)
			cprof_buffer_putc(pod_uid, (char)(pod[i] == '_' ? '-' : pod[i]));
		break;
	}
	for (const char *at = cgroup; *at;) {
		const size_t n = hex_digits(at);
		if (n == ID_DIGITS) {
			cprof_buffer_append(id, at, n);
			return;
		}
		at += n ? n : 1;
	}
}

/* ---- texts ---- */

static void put_html(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || strchr("<>&\"'", *text))
			cprof_buffer_printf(out, "&#%d;", (unsigned char)*text);
		else
			cprof_buffer_putc(out, *text);
	}
}

/* What is no UTF-8 or a control character has become printable before: base/printable.h. */
static void put_json(struct cprof_buffer *out, const char *text)
{
	CPROF_AUTO(buffer) struct cprof_buffer clean = { 0 };
	cprof_printable_puts(&clean, text);
	cprof_json_put(out, cprof_buffer_text(&clean));
}

void cprof_tenant_list_page(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "<html>\n<head>\n<title>targets</title>\n</head>\n<body>\n<table>\n"
			       "<thead><td>Process</td><td>Name</td><td></td></thead>\n");
	for (size_t i = 0; i < tenants->n; i++) {
		const struct cprof_target *target = tenants->all[i]->target;
		cprof_buffer_printf(out, "<tr><td>%d</td><td><a href='/pid/%d/debug/pprof/'>",
				    (int)target->pid, (int)target->pid);
		put_html(out, target->comm);
		cprof_buffer_printf(out, "</a></td><td>%s</td></tr>\n",
				    target->exited ? "has ended" : "");
	}
	cprof_buffer_puts(out, "</table>\n</body>\n</html>\n");
}

void cprof_tenant_list_json(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	cprof_buffer_putc(out, '[');
	for (size_t i = 0; i < tenants->n; i++) {
		const struct cprof_target *target = tenants->all[i]->target;
		cprof_buffer_printf(out, "%s{\"pid\":%d,\"comm\":", i ? ",\n" : "",
				    (int)target->pid);
		put_json(out, target->comm);
		cprof_buffer_printf(out, ",\"alive\":%s,\"path\":\"/pid/%d/debug/pprof/\"}",
				    target->exited ? "false" : "true", (int)target->pid);
	}
	cprof_buffer_puts(out, "]\n");
}

/* ---- discovery ---- */

static void put_label(struct cprof_buffer *out, const char *name, const char *value)
{
	if (!*value)
		return;
	cprof_buffer_printf(out, ",\"%s\":", name);
	put_json(out, value);
}

static void put_exe(struct cprof_buffer *out, pid_t pid)
{
	char path[64], exe[4096];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	const ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return;
	exe[n] = 0;
	put_label(out, "exe", exe);
}

static void put_container(struct cprof_buffer *out, pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 }, id = { 0 }, pod = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	struct cprof_error *err = cprof_file_read(path, CGROUP_MAX, &text);
	if (!err)
		cprof_tenant_list_container(cprof_buffer_text(&text), &id, &pod);
	cprof_error_free(err);
	put_label(out, "container_id", cprof_buffer_text(&id));
	put_label(out, "pod_uid", cprof_buffer_text(&pod));
}

void cprof_tenant_list_discovery(const struct cprof_tenants *tenants, const char *host,
				 struct cprof_buffer *out)
{
	const char *joint = "";
	cprof_buffer_putc(out, '[');
	for (size_t i = 0; i < tenants->n; i++) {
		const struct cprof_target *target = tenants->all[i]->target;
		if (target->exited)
			continue;
		cprof_buffer_printf(out, "%s{\"targets\":[", joint);
		put_json(out, host);
		cprof_buffer_printf(out,
				    "],\"labels\":{\"__profile_path_prefix__\":\"/pid/%d\","
				    "\"__param_pid\":\"%d\",\"pid\":\"%d\"",
				    (int)target->pid, (int)target->pid, (int)target->pid);
		put_label(out, "service_name", target->comm);
		put_label(out, "comm", target->comm);
		put_exe(out, target->pid);
		put_container(out, target->pid);
		cprof_buffer_puts(out, "}}");
		joint = ",\n";
	}
	cprof_buffer_puts(out, "]\n");
}
