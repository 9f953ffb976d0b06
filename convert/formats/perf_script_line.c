/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/formats/perf_script_line.h"

#include <ctype.h>
#include <string.h>

#include "convert/formats/legacy.h"

typedef struct cprof_perf_script_text text;

static text trimmed(const char *at, const char *end)
{
	while (at < end && *at == ' ')
		at++;
	while (at < end && end[-1] == ' ')
		end--;
	return (text){ at, (size_t)(end - at) };
}

static bool is(text t, const char *word)
{
	return t.n == strlen(word) && memcmp(t.at, word, t.n) == 0;
}

/* "TIME:" : digits, a point, digits, a colon, and a blank before it. */
static const char *find_time(const char *line)
{
	for (const char *at = line; (at = strchr(at, ':')); at++) {
		const char *start = at;
		bool point = false;
		while (start > line && (isdigit((unsigned char)start[-1]) || start[-1] == '.'))
			point = *--start == '.' || point;
		if (point && start < at && (start == line || start[-1] == ' '))
			return start;
	}
	return NULL;
}

/* The last "+0x" of a symbol's name begins its offset. */
static size_t without_offset(text name)
{
	for (size_t i = name.n; i-- > 1;) {
		if (name.n - i >= 3 && memcmp(name.at + i, "+0x", 3) == 0)
			return i;
	}
	return name.n;
}

/*
 * The bracket before a frame's file. Names and files have brackets of their own, "f(int) const (/lib/x.so (deleted))",
 * but a file begins with '/' or '[' or is "(inlined)".
 */
static const char *find_file(const char *at, const char *end)
{
	static const char inlined[] = " (inlined)";
	const size_t n = sizeof(inlined) - 1;
	if (end == at || end[-1] != ')')
		return NULL;
	if ((size_t)(end - at) >= n && memcmp(end - n, inlined, n) == 0)
		return end - n + 1;
	const char *last = NULL;
	for (const char *open = end; (open = memrchr(at, '(', (size_t)(open - at)));) {
		if (open == at || open[-1] != ' ')
			continue;
		if (open[1] == '/' || open[1] == '[')
			return open;
		last = last ? last : open;
	}
	return last;
}

/* Branches have a second frame behind it, "=> ADDRESS ...", or the list of those before, "0xFROM/0xTO/...". */
static const char *find_frame_end(const char *at)
{
	const char *to = strstr(at, ") => "), *list = strstr(at, ") 0x");
	if (to || list)
		return (!to || (list && list < to) ? list : to) + 1;
	const char *end = at + strlen(at);
	while (end > at && end[-1] == ' ')
		end--;
	return end;
}

/* "ADDRESS SYMBOL+0xOFFSET (FILE)", of which only the address is sure. */
static bool read_frame(const char *at, struct cprof_perf_script_frame *ret)
{
	at += strspn(at, " \t");
	*ret = (struct cprof_perf_script_frame){ 0 };
	if (!cprof_scan_hex(&at, &ret->address) || (*at && *at != ' '))
		return false;
	const char *end = find_frame_end(at);
	const char *open = find_file(at, end);
	if (open)
		ret->file = (text){ open + 1, (size_t)(end - 1 - open - 1) };
	ret->inlined = is(ret->file, "inlined");
	ret->name = trimmed(at, ret->file.at ? open : end);
	ret->name.n = without_offset(ret->name);
	if (is(ret->name, "[unknown]"))
		ret->name.n = 0;
	return true;
}

/* "COMM PID/TID [CPU]"; names of programs may have blanks and digits in them. */
static void read_who(text who, struct cprof_perf_script_line *ret)
{
	const char *end = who.at + who.n;
	const char *cpu = who.n && end[-1] == ']' ? memrchr(who.at, '[', who.n) : NULL;
	if (cpu)
		who = trimmed(who.at, cpu);
	const char *ids = end = who.at + who.n;
	while (ids > who.at &&
	       (isdigit((unsigned char)ids[-1]) || ids[-1] == '/' || ids[-1] == '-'))
		ids--;
	const char *slash = memchr(ids, '/', (size_t)(end - ids));
	const char *tid = slash ? slash + 1 : ids;
	tid += strspn(tid, " ");
	bool alone = ids == who.at || ids[-1] == ' ';
	ret->has_tid = ids < end && alone && cprof_scan_number(&tid, &ret->tid) && tid == end;
	if (ret->has_tid) {
		who = trimmed(who.at, ids);
		/* "12290/ 12292" and the like leave the first id behind. */
	}
	ret->comm = who;
}

/* "PERIOD EVENT: " or less; what follows is returned. */
static const char *read_event(const char *at, struct cprof_perf_script_line *ret)
{
	const char *start = at + strspn(at, " "), *next = start;
	int64_t period;
	bool number = isdigit((unsigned char)*start) && cprof_scan_number(&next, &period) &&
		      (*next == ' ' || !*next);
	const char *event = number ? next + strspn(next, " ") : start;
	size_t n = strcspn(event, " ");
	if (n < 2 || event[n - 1] != ':') {
		/* A period without an event is the last word; an address would be followed by more. */
		ret->has_period = number && !*event;
		ret->period = ret->has_period ? period : 0;
		return ret->has_period ? event : start;
	}
	ret->has_period = number;
	ret->period = number ? period : 0;
	ret->event = (text){ event, n };
	while (ret->event.n && event[ret->event.n - 1] == ':')
		ret->event.n--;
	return event + n;
}

/* Where no time is printed: "COMM TID [CPU] PERIOD EVENT: ", recognized from its end. */
static bool read_timeless(const char *line, struct cprof_perf_script_line *ret)
{
	const char *end = line + strlen(line);
	while (end > line && end[-1] == ' ')
		end--;
	text who = { line, (size_t)(end - line) };
	if (end > line + 1 && end[-1] == ':') {
		const char *event = memrchr(line, ' ', who.n);
		event = event ? event + 1 : line;
		who = trimmed(line, event);
		read_event(event, ret);
		const char *last = memrchr(who.at, ' ', who.n);
		const char *number = last ? last + 1 : who.at;
		/* Two numbers at the end are the thread and the period, one alone is the thread. */
		const char *before = number;
		while (before > who.at && before[-1] == ' ')
			before--;
		if (before > who.at && (isdigit((unsigned char)before[-1]) || before[-1] == ']') &&
		    cprof_scan_number(&number, &ret->period) && number == who.at + who.n) {
			ret->has_period = true;
			who = trimmed(who.at, before);
		}
	}
	read_who(who, ret);
	return true;
}

/* "syscalls:sys_exit_mmap" has a text of its own behind it; "cycles:u" is an event of the processor. */
static bool is_tracepoint(text event)
{
	const char *colon = event.n ? memchr(event.at, ':', event.n) : NULL;
	if (!colon || colon == event.at)
		return false;
	const char *at = colon + 1, *end = event.at + event.n;
	while (at < end && strchr("ukhGHpPSDeWb", *at))
		at++;
	return at < end;
}

/* The word behind this one, where this one is a number. */
static const char *behind_number(const char *at)
{
	uint64_t number;
	if (!cprof_scan_hex(&at, &number) || *at != ' ')
		return NULL;
	return at + strspn(at, " ");
}

/* "|OP LOAD|LVL L1 hit|...|LCK No", of perf mem: what follows is a number again, of more digits than those within. */
static const char *skip_data_source(const char *at)
{
	while (*at && strspn(at, "0123456789abcdef") < 5) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	return at;
}

/* Behind "-F +addr", "+data_src" and "+weight" numbers stand before the frame's: of several before a name the last is its own. */
static const char *skip_data(const char *at)
{
	at += strspn(at, " ");
	for (const char *next; (next = behind_number(at));) {
		const char *behind = *next == '|' ? NULL : behind_number(next);
		if (*next == '|')
			at = skip_data_source(next);
		else if (behind && *behind && *behind != '(')
			at = next;
		else
			break;
	}
	return at;
}

/* What intel_pt tells of a branch stands between the time and the event. */
static bool is_branch_word(const char *at, size_t n)
{
	static const char words[] = " call return jcc jmp int iret async hw syscall sysret "
				    "tx abrt tr strt end vmentry vmexit (x) ";
	const char *found = n ? memmem(words, sizeof(words) - 1, at, n) : NULL;
	return found && found > words && found[-1] == ' ' && found[n] == ' ';
}

static const char *skip_branch_words(const char *at)
{
	at += strspn(at, " \t");
	for (size_t n; is_branch_word(at, n = strcspn(at, " \t"));) {
		at += n;
		at += strspn(at, " \t");
	}
	return at;
}

/* The frame of a header without callers: what stands behind the event may as well be any other text. */
static bool read_only_frame(const char *at, struct cprof_perf_script_line *ret)
{
	at += strspn(at, " ");
	bool prefix = at[0] == '0' && at[1] == 'x'; /* perf writes addresses without it */
	if (prefix || !read_frame(skip_data(at), &ret->frame))
		return false;
	if (is_tracepoint(ret->event))
		return ret->frame.file.n &&
		       (*ret->frame.file.at == '/' || *ret->frame.file.at == '[');
	return ret->frame.file.n || ret->frame.name.n || ret->frame.address > UINT16_MAX;
}

static bool read_header(const char *line, struct cprof_perf_script_line *ret)
{
	const char *time = *line == '\t' ? NULL : find_time(line);
	if (!time)
		return !isspace((unsigned char)*line) && read_timeless(line, ret);
	ret->has_time = true;
	read_who(trimmed(line, time), ret);
	const char *rest = read_event(skip_branch_words(strchr(time, ':') + 1), ret);
	ret->has_frame = read_only_frame(rest, ret);
	return true;
}

/* "  hot.c:25"; "??:0" and "libc.so.6+0x12" are lines of that kind, too, which say nothing. */
static bool read_source(const char *line, struct cprof_perf_script_line *ret)
{
	if (strncmp(line, "  ", 2) != 0)
		return false;
	line += strspn(line, " ");
	const char *colon = strrchr(line, ':'), *number = colon ? colon + 1 : NULL;
	if (colon && isdigit((unsigned char)*number) && *line != '?' &&
	    cprof_scan_number(&number, &ret->source_line))
		ret->source = (text){ line, (size_t)(colon - line) };
	return *line != 0;
}

void cprof_perf_script_line_read(const char *line, struct cprof_perf_script_line *ret)
{
	*ret = (struct cprof_perf_script_line){ 0 };
	if (!line[strspn(line, " \t")])
		ret->kind = CPROF_PERF_SCRIPT_END;
	else if (*line == '#' || strstr(line, " PERF_RECORD_"))
		ret->kind = CPROF_PERF_SCRIPT_IGNORE;
	else if (read_header(line, ret))
		ret->kind = CPROF_PERF_SCRIPT_HEADER;
	else if (isspace((unsigned char)*line) && read_frame(line, &ret->frame))
		ret->kind = CPROF_PERF_SCRIPT_FRAME;
	else if (read_source(line, ret))
		ret->kind = CPROF_PERF_SCRIPT_SOURCE;
}
