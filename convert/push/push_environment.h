/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_environment.h - what the vendors' own agents take from the environment: PYROSCOPE_, OTEL_, DD_, PARCA_.
 *
 * Whoever has set these for another agent need not say it again. They come behind what the user says here, and a secret of
 * one vendor is never sent to another one's server. docs/push.md has the table for people.
 *
 * Sources: OpenTelemetry specification "Environment Variable Specification", "OTLP Exporter Configuration"; the manuals of
 * Pyroscope's and Datadog's clients.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_ENVIRONMENT_H
#define CPROF_CONVERT_PUSH_PUSH_ENVIRONMENT_H

#include "base/option_file.h"
#include "convert/net/tls.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* In the place of a URL: the server that the environment names. */
#define CPROF_PUSH_URL_ENVIRONMENT "env"

/*
 * Append the values that options of `table` have from variables, each with the variable as its origin; empty variables and options that the
 * table does not have are passed over. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_push_environment_values(const struct cprof_option_table *table,
						  struct cprof_option_values *values);

/*
 * Append the URL of the first server that is named there (for cprof_push.url), and its variable to *ret_variable. Errors: USAGE with the
 * names of the variables where there is none.
 */
struct cprof_error *cprof_push_environment_server(struct cprof_buffer *url,
						  const char **ret_variable);

/* Append `url`, or where it is CPROF_PUSH_URL_ENVIRONMENT what the environment names instead. Errors: as above. */
struct cprof_error *cprof_push_environment_url(const char *url, struct cprof_buffer *out);

/*
 * Append what to log in with at `url` (spoken to as `backend`, "auto" or NULL: by the URL), as in cprof_push.auth; nothing where the
 * environment does not say, or the URL is none. *ret_variable, where it is not NULL, is the variable, NULL for nothing.
 */
void cprof_push_environment_auth(const char *url, const char *backend, struct cprof_buffer *auth,
				 const char **ret_variable);

/* The certificates that OTLP's variables name, for an OTLP server, where `tls` has none of its own; what it points to lives as the environment. */
void cprof_push_environment_tls(const char *url, const char *backend, struct cprof_tls *tls);

/* Call `add` for each label, the ones that go before others first: cprof_push.found. */
typedef void cprof_push_environment_label_fn(void *ctx, const char *name, const char *value);
void cprof_push_environment_labels(cprof_push_environment_label_fn *add, void *ctx);

#endif
