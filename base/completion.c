/* SPDX-License-Identifier: Apache-2.0 */
#include "base/completion.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What is completed behind an option. */
enum kind { NOTHING, SWITCH, WORDS, FILES, DIRECTORIES, PROCESSES, NAMES_OF_PROCESSES };

struct choice {
	enum kind kind;
	const char *words; /* of WORDS */
};

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = words; (at = strstr(at, word)); at += len) {
		if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	}
	return false;
}

static struct choice choice_of(const struct cprof_option_table *table,
			       const struct cprof_option *row)
{
	static const struct {
		const char *arg;
		enum kind kind;
	} kinds[] = {
		{ "FILE", FILES },    { "DIR", DIRECTORIES },     { "DIRS", DIRECTORIES },
		{ "PID", PROCESSES }, { "PID[,PID]", PROCESSES },
	};
	if (row->kind == CPROF_OPT_SWITCH)
		return (struct choice){ SWITCH, NULL };
	for (size_t i = 0; i < table->n_choices; i++) {
		const struct cprof_option_choices *choices = &table->choices[i];
		if (!has_word(choices->names, row->name))
			continue;
		if (strcmp(choices->words, CPROF_CHOICES_PROCESS_NAMES) == 0)
			return (struct choice){ NAMES_OF_PROCESSES, NULL };
		return (struct choice){ WORDS, choices->words };
	}
	for (size_t i = 0; row->arg && i < COUNT(kinds); i++) {
		if (strcmp(row->arg, kinds[i].arg) == 0)
			return (struct choice){ kinds[i].kind, NULL };
	}
	return (struct choice){ NOTHING, NULL };
}

/* Hidden rows are a heading at the end of the table. */
static size_t n_shown(const struct cprof_option_table *table)
{
	size_t n = 0;
	while (n < table->n_rows &&
	       !(table->rows[n].group && strcmp(table->rows[n].group, "hidden") == 0))
		n++;
	return n;
}

/* `text` inside of single quotes, with a backslash before each of `special`. */
static void put_quoted(struct cprof_buffer *out, const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'') {
			cprof_buffer_puts(out, "'\\''");
			continue;
		}
		if (strchr(special, *text))
			cprof_buffer_putc(out, '\\');
		cprof_buffer_putc(out, *text);
	}
}

/* The program's name as a part of a function's. */
static void put_function(struct cprof_buffer *out, const char *program)
{
	cprof_buffer_putc(out, '_');
	for (; *program; program++)
		cprof_buffer_putc(out, *program == '-' ? '_' : *program);
}

static void put_bash_case(struct cprof_buffer *out, const char *name, struct choice choice)
{
	static const char *const how[] = {
		[FILES] = "_cprof_files -f",
		[DIRECTORIES] = "_cprof_files -d",
		[PROCESSES] = "_cprof_processes",
		[NAMES_OF_PROCESSES] =
			"_cprof_words \"$(cat /proc/[0-9]*/comm 2>/dev/null | sort -u)\"",
		[NOTHING] = ":",
	};
	if (choice.kind == SWITCH)
		return;
	cprof_buffer_printf(out, "\t-%s) ", name);
	if (choice.kind == WORDS)
		cprof_buffer_printf(out, "_cprof_words '%s'", choice.words);
	else
		cprof_buffer_puts(out, how[choice.kind]);
	cprof_buffer_puts(out, " ;;\n");
}

static const char bash_functions[] =
	"# Words, the last of which follows the last comma.\n"
	"_cprof_words() {\n"
	"\tlocal before=${word%\"${word##*,}\"} IFS=$' \\n'\n"
	"\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$1\" -- \"${word##*,}\")\n"
	"}\n\n"
	"_cprof_files() {\n"
	"\tcompopt -o filenames 2>/dev/null\n"
	"\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$word\")\n"
	"}\n\n"
	"# Where several fit, each shows its program.\n"
	"_cprof_processes() {\n"
	"\tlocal before=${word%\"${word##*,}\"} pid comm arguments found=() shown=()\n"
	"\tfor pid in /proc/[0-9]*; do\n"
	"\t\tpid=${pid#/proc/}\n"
	"\t\t[[ $pid == \"${word##*,}\"* && $pid != \"$$\" ]] || continue\n"
	"\t\t{ read -r comm <\"/proc/$pid/comm\" && read -r -d '' -n 1 arguments <\"/proc/$pid/cmdline\"; } 2>/dev/null || continue\n"
	"\t\tfound+=(\"$before$pid\")\n"
	"\t\tshown+=(\"$before$pid(${comm//[^[:alnum:]_.-]/_})\")\n"
	"\tdone\n"
	"\tif [[ ${#found[@]} -eq 1 ]]; then COMPREPLY=(\"${found[@]}\"); else COMPREPLY=(\"${shown[@]}\"); fi\n"
	"}\n\n";

/* -name VALUE, --name VALUE and -name=VALUE; bash makes words of their own of what is around "=". */
static const char bash_words[] =
	"\tlocal word=${COMP_WORDS[COMP_CWORD]} name=${COMP_WORDS[COMP_CWORD-1]} i\n"
	"\tCOMPREPLY=()\n"
	"\tif [[ $word == = ]]; then\n"
	"\t\tword=\n"
	"\telif [[ $name == = && $COMP_CWORD -gt 1 ]]; then\n"
	"\t\tname=${COMP_WORDS[COMP_CWORD-2]}\n"
	"\tfi\n";

static const char bash_command[] = "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
				   "\t\t[[ ${COMP_WORDS[i]} == -- ]] || continue\n"
				   "\t\tif [[ $i -eq $((COMP_CWORD - 1)) ]]; then\n"
				   "\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$word\")\n"
				   "\t\telse\n"
				   "\t\t\t_cprof_files -f\n"
				   "\t\tfi\n"
				   "\t\treturn\n"
				   "\tdone\n";

static void write_bash(const struct cprof_completion *completion, struct cprof_buffer *out)
{
	const struct cprof_option_table *table = completion->options;
	size_t n = n_shown(table);
	cprof_buffer_printf(out, "# bash completion for %s, made from its options.\n\n",
			    completion->program);
	cprof_buffer_puts(out, bash_functions);
	put_function(out, completion->program);
	cprof_buffer_puts(out, "() {\n");
	cprof_buffer_puts(out, bash_words);
	if (completion->takes_command)
		cprof_buffer_puts(out, bash_command);
	cprof_buffer_puts(out, "\t[[ $name == --?* ]] && name=${name#-}\n\tcase $name in\n");
	for (size_t i = 0; i < n; i++)
		put_bash_case(out, table->rows[i].name, choice_of(table, &table->rows[i]));
	cprof_buffer_puts(out, "\t*)\n\t\tif [[ $word == -* ]]; then\n\t\t\t_cprof_words '");
	for (size_t i = 0; i < n; i++)
		cprof_buffer_printf(out, "%s-%s", i ? " " : "", table->rows[i].name);
	cprof_buffer_printf(out, "'\n\t\telse\n\t\t\t%s\n\t\tfi ;;\n\tesac\n}\n\ncomplete -F ",
			    completion->takes_files ? "_cprof_files -f" : ":");
	put_function(out, completion->program);
	cprof_buffer_printf(out, " %s\n", completion->program);
}

static const char zsh_functions[] =
	"_cprof_processes() {\n"
	"\tlocal -a found\n"
	"\tlocal pid comm arguments\n"
	"\tfor pid in /proc/<->; do\n"
	"\t\tpid=${pid#/proc/}\n"
	"\t\t[[ $pid != $$ ]] || continue\n"
	"\t\t{ read -r comm </proc/$pid/comm && read -r -d '' -k 1 -u 0 arguments </proc/$pid/cmdline } 2>/dev/null || continue\n"
	"\t\tfound+=(\"$pid:$comm\")\n"
	"\tdone\n"
	"\t_describe -V process found\n"
	"}\n\n"
	"_cprof_process_names() {\n"
	"\tlocal -aU found\n"
	"\tfound=(${(f)\"$(cat /proc/<->/comm 2>/dev/null)\"})\n"
	"\tcompadd -a found\n"
	"}\n\n";

static void put_zsh_action(struct cprof_buffer *out, struct choice choice)
{
	static const char *const actions[] = {
		[FILES] = "_files",
		[DIRECTORIES] = "_files -/",
		[PROCESSES] = "_sequence _cprof_processes",
		[NAMES_OF_PROCESSES] = "_cprof_process_names",
		[NOTHING] = " ",
	};
	if (choice.kind == WORDS && strchr(choice.words, ','))
		cprof_buffer_puts(out, " ");
	else if (choice.kind == WORDS)
		cprof_buffer_printf(out, "(%s)", choice.words);
	else
		cprof_buffer_puts(out, actions[choice.kind]);
}

static void put_zsh_row(struct cprof_buffer *out, const struct cprof_option *row,
			struct choice choice)
{
	cprof_buffer_printf(out, "\t\t'%s-%s%s[", row->kind == CPROF_OPT_LIST ? "*" : "", row->name,
			    choice.kind == SWITCH ? "" : "=");
	put_quoted(out, row->help, "[]\\");
	cprof_buffer_putc(out, ']');
	if (choice.kind != SWITCH) {
		cprof_buffer_putc(out, ':');
		put_quoted(out, row->arg ? row->arg : "VALUE", ":\\");
		cprof_buffer_putc(out, ':');
		put_zsh_action(out, choice);
	}
	cprof_buffer_puts(out, "' \\\n");
}

static void write_zsh(const struct cprof_completion *completion, struct cprof_buffer *out)
{
	const struct cprof_option_table *table = completion->options;
	cprof_buffer_printf(out, "#compdef %s\n# Made from its options.\n\n", completion->program);
	cprof_buffer_puts(out, zsh_functions);
	cprof_buffer_puts(out, "_arguments \\\n");
	for (size_t i = 0; i < n_shown(table); i++)
		put_zsh_row(out, &table->rows[i], choice_of(table, &table->rows[i]));
	if (completion->takes_files)
		cprof_buffer_puts(out, "\t\t'*:profile:_files'\n");
	else if (completion->takes_command)
		cprof_buffer_puts(out,
				  "\t\t'(-)--[a command to run and profile]:*::command:_normal'\n");
}

static void put_fish_row(struct cprof_buffer *out, const char *program,
			 const struct cprof_option *row, struct choice choice)
{
	static const char *const how[] = {
		[SWITCH] = "",
		[NOTHING] = " -x",
		[FILES] = " -r -F",
		[DIRECTORIES] = " -x -a '(__fish_complete_directories)'",
		[PROCESSES] = " -x -a '(__fish_complete_list , __fish_complete_pids)'",
		[NAMES_OF_PROCESSES] = " -x -a '(cat /proc/*/comm 2>/dev/null | sort -u)'",
	};
	cprof_buffer_printf(out, "complete -c %s -o %s", program, row->name);
	if (choice.kind == WORDS)
		cprof_buffer_printf(out, " -x -a '%s'", choice.words);
	else
		cprof_buffer_puts(out, how[choice.kind]);
	cprof_buffer_puts(out, " -d '");
	for (const char *at = row->help; *at; at++) {
		if (*at == '\'' || *at == '\\')
			cprof_buffer_putc(out, '\\');
		cprof_buffer_putc(out, *at);
	}
	cprof_buffer_puts(out, "'\n");
}

static void write_fish(const struct cprof_completion *completion, struct cprof_buffer *out)
{
	const struct cprof_option_table *table = completion->options;
	cprof_buffer_printf(out, "# fish completion for %s, made from its options.\n",
			    completion->program);
	if (!completion->takes_files)
		cprof_buffer_printf(out, "complete -c %s -f\n", completion->program);
	if (completion->takes_command)
		cprof_buffer_printf(out,
				    "complete -c %s -n 'contains -- -- (commandline -opc)' -x -a "
				    "'(__fish_complete_subcommand --fcs-skip=2)'\n",
				    completion->program);
	for (size_t i = 0; i < n_shown(table); i++)
		put_fish_row(out, completion->program, &table->rows[i],
			     choice_of(table, &table->rows[i]));
}

const char *const cprof_completion_shells = "bash zsh fish";

struct cprof_error *cprof_completion_write(const struct cprof_completion *completion,
					   const char *shell, struct cprof_buffer *out)
{
	static const struct {
		const char *shell;
		void (*write)(const struct cprof_completion *, struct cprof_buffer *);
	} scripts[] = { { "bash", write_bash }, { "zsh", write_zsh }, { "fish", write_fish } };
	for (size_t i = 0; i < COUNT(scripts); i++) {
		if (strcmp(shell, scripts[i].shell) == 0) {
			scripts[i].write(completion, out);
			return cprof_buffer_error(out);
		}
	}
	return cprof_error_new(CPROF_ERR_USAGE, "no completion for the shell \"%s\"; there are: %s",
			       shell, cprof_completion_shells);
}
