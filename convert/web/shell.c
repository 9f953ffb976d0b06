/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/shell.h"

#include <string.h>

#include "convert/output/json.h"
#include "convert/web/web_assets.h"

static void put_types(const struct cprof_profile *p, FILE *out)
{
	fputs(",\"types\":[", out);
	for (uint32_t i = 0; i < p->n_types; i++) {
		fputs(i ? "," : "", out);
		cprof_json_put_string(out, cprof_profile_text(p, p->types[i].type));
	}
	fprintf(out, "],\"type\":%u", p->n_types ? cprof_profile_default_type(p) : 0);
}

static void put_keys(const struct cprof_web_recording *recording, FILE *out)
{
	fputs(",\"keys\":[", out);
	for (uint32_t i = 0; i < recording->n_keys; i++) {
		fputs(i ? "," : "", out);
		cprof_json_put_string(out,
				      cprof_profile_text(recording->profile, recording->keys[i]));
	}
	fprintf(out, "],\"timed\":%s", recording->is_timed ? "true" : "false");
}

static void put_kinds(const struct cprof_web_options *options, FILE *out)
{
	fprintf(out, ",\"live\":%s,\"kinds\":[", options->record ? "true" : "false");
	for (size_t i = 0; options->kinds && options->kinds[i]; i++) {
		fputs(i ? "," : "", out);
		cprof_json_put_string(out, options->kinds[i]);
	}
	fputc(']', out);
}

static void put_state(const struct cprof_shell *shell, FILE *out)
{
	const struct cprof_web_recording *recording =
		cprof_web_recordings_find(shell->recordings, shell->profile);
	fprintf(out, "{\"page\":\"%s\",\"profile\":%u,\"base\":%u,\"program\":", shell->page,
		shell->profile, shell->base);
	cprof_json_put_string(out, shell->options->program);
	fputs(",\"query\":", out);
	cprof_web_query_put(shell->query, out);
	fputs(",\"recordings\":", out);
	cprof_web_recordings_put(shell->recordings, out);
	if (recording) {
		put_types(recording->profile, out);
		put_keys(recording, out);
	}
	put_kinds(shell->options, out);
	fputc('}', out);
}

void cprof_shell_write(const struct cprof_shell *shell, FILE *out)
{
	static const char marker[] = "@STATE@";
	const char *page = cprof_asset_web_page;
	const char *at = memmem(page, cprof_asset_web_page_len, marker, sizeof(marker) - 1);
	if (!at)
		return;
	fwrite(page, 1, (size_t)(at - page), out);
	put_state(shell, out);
	at += sizeof(marker) - 1;
	fwrite(at, 1, cprof_asset_web_page_len - (size_t)(at - page), out);
}

const char *cprof_shell_script_hash(void)
{
	return cprof_asset_web_script_hash;
}

const char *cprof_shell_style_hash(void)
{
	return cprof_asset_web_style_hash;
}
