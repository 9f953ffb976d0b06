#include "convert/net/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "convert/net/curl_api.h"
#include "base/path.h"
#include "convert/profile/pprof_write.h"

#define MAX_BYTES     UINT32_MAX
#define PROGRESS_S    5   /* between two lines of progress */
#define MESSAGE_BYTES 400 /* of a server's own words in an error */

static void say(const struct cprof_load *load, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct cprof_load *load, const char *fmt, ...)
{
	struct cprof_buffer line = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&line, fmt, ap);
	va_end(ap);
	load->say(load->ctx, cprof_buffer_text(&line));
	cprof_buffer_deinit(&line);
}

/* A URL on its way. */
struct transfer {
	const struct cprof_curl_api *api;
	const struct cprof_load *load;
	struct cprof_fetch *fetch;
	CURL *curl;
	bool too_long;
	char why[CURL_ERROR_SIZE];
};

/* All of them. */
struct fetching {
	const struct cprof_curl_api *api; /* NULL until the first URL */
	const struct cprof_load *load;
	CURLM *multi;
	struct transfer *transfers;
	size_t n;
	uint64_t began_mono_ns, said_mono_ns;
};

static size_t take_bytes(char *bytes, size_t one, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	(void)one;
	if (t->fetch->bytes.len + n > MAX_BYTES) {
		t->too_long = true;
		return 0;
	}
	cprof_buffer_append(&t->fetch->bytes, bytes, n);
	return t->fetch->bytes.failed ? 0 : n;
}

static void show_progress(struct fetching *f)
{
	uint64_t mono_ns = cprof_clock_mono_ns();
	if (mono_ns - f->said_mono_ns < PROGRESS_S * CPROF_NS_PER_S)
		return;
	f->said_mono_ns = mono_ns;
	int64_t waited = (int64_t)((mono_ns - f->began_mono_ns) / CPROF_NS_PER_S), longest = 0;
	size_t bytes = 0;
	for (size_t i = 0; i < f->n; i++) {
		bytes += f->transfers[i].fetch->bytes.len;
		longest = f->transfers[i].fetch->url.seconds > longest
				  ? f->transfers[i].fetch->url.seconds
				  : longest;
	}
	if (longest > waited)
		say(f->load, "... %" PRId64 " s to go", longest - waited);
	else if (bytes)
		say(f->load, "... %zu bytes so far", bytes);
	else
		say(f->load, "... waiting for the server, %" PRId64 " s", waited);
}

void cprof_fetch_set_options(const struct cprof_curl_api *api, void *curl,
			     const struct cprof_load *load, bool insecure)
{
	api->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	api->easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	api->easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
	api->easy_setopt(curl, CURLOPT_USERAGENT, "cprof/" CPROF_VERSION);
	api->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (insecure) {
		api->easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		api->easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (load->tls_cert)
		api->easy_setopt(curl, CURLOPT_SSLCERT, load->tls_cert);
	if (load->tls_key)
		api->easy_setopt(curl, CURLOPT_SSLKEY, load->tls_key);
	if (load->tls_ca)
		api->easy_setopt(curl, CURLOPT_CAINFO, load->tls_ca);
}

static void set_options(struct transfer *t)
{
	const struct cprof_curl_api *api = t->api;
	const struct cprof_source_url *url = &t->fetch->url;
	cprof_fetch_set_options(api, t->curl, t->load, url->insecure);
	api->easy_setopt(t->curl, CURLOPT_URL, cprof_buffer_text(&url->text));
	api->easy_setopt(t->curl, CURLOPT_PRIVATE, t);
	api->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	api->easy_setopt(t->curl, CURLOPT_TIMEOUT, (long)url->timeout_s);
	api->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	api->easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
}

/* The server's answer where it is no success; what it says in plain text is shown. */
static struct cprof_error *check_status(const struct cprof_curl_api *api, CURL *curl,
					const struct cprof_buffer *out)
{
	long status = 0;
	char *type = NULL;
	api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	api->easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	if (status == 200)
		return NULL;
	const char *words =
		type && strncmp(type, "text/plain", 10) == 0 ? cprof_buffer_text(out) : "";
	return cprof_error_new(
		CPROF_ERR_OS, "the server answers %ld%s%.*s", status, *words ? ": " : "",
		(int)strcspn(words, "\r\n") < MESSAGE_BYTES ? (int)strcspn(words, "\r\n")
							    : MESSAGE_BYTES,
		words);
}

static struct cprof_error *end_transfer(struct transfer *t, CURLcode code)
{
	const struct cprof_buffer *bytes = &t->fetch->bytes;
	if (t->too_long)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "more than 4 GiB");
	if (bytes->failed)
		return cprof_error_no_memory();
	if (code == CURLE_OK)
		return check_status(t->api, t->curl, bytes);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_OS, "%s", *t->why ? t->why : t->api->easy_strerror(code));
	if (code == CURLE_OPERATION_TIMEDOUT)
		err = cprof_error_hint(err, "-timeout N waits longer; now it was %" PRId64 " s",
				       t->fetch->url.timeout_s);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		err = cprof_error_hint(
			err,
			"-tls_ca FILE names a certificate to trust; https+insecure:// trusts anyone");
	return err;
}

static struct cprof_error *begin_curl(struct fetching *f)
{
	struct cprof_error *err = cprof_curl_api_load(&f->api);
	if (err)
		return err;
	f->multi = f->api->multi_init();
	return f->multi ? NULL : cprof_error_no_memory();
}

static struct cprof_error *begin_transfer(struct fetching *f, struct cprof_fetch *fetch)
{
	struct transfer *t = &f->transfers[f->n];
	*t = (struct transfer){
		.load = f->load, .fetch = fetch, .api = f->api, .curl = f->api->easy_init()
	};
	if (!t->curl || fetch->url.text.failed) {
		f->api->easy_cleanup(t->curl);
		return cprof_error_no_memory();
	}
	f->n++;
	set_options(t);
	f->api->multi_add_handle(f->multi, t->curl);
	say(f->load, "Fetching profile over HTTP from %s", cprof_buffer_text(&fetch->url.text));
	if (fetch->url.seconds)
		say(f->load, "Please wait... (%" PRId64 "s)", fetch->url.seconds);
	return NULL;
}

static void take_ended(struct fetching *f)
{
	int left;
	for (CURLMsg *message; (message = f->api->multi_info_read(f->multi, &left));) {
		struct transfer *t = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		f->api->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		t->fetch->err = end_transfer(t, message->data.result);
	}
}

static struct cprof_error *run_transfers(struct fetching *f)
{
	int running = 0;
	do {
		CURLMcode code = f->api->multi_perform(f->multi, &running);
		if (code == CURLM_OK && running)
			code = f->api->multi_poll(f->multi, NULL, 0, 1000, NULL);
		if (code != CURLM_OK)
			return cprof_error_new(CPROF_ERR_OS, "fetch: %s",
					       f->api->multi_strerror(code));
		take_ended(f);
		if (running)
			show_progress(f);
	} while (running);
	return NULL;
}

static struct cprof_error *begin_all(struct fetching *f, const struct cprof_strings *names,
				     struct cprof_fetch *fetches)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < names->len; i++) {
		fetches[i].is_url = cprof_source_url_read(names->items[i], f->load->seconds,
							  f->load->timeout_s, &fetches[i].url);
		if (fetches[i].is_url && !f->multi)
			err = begin_curl(f);
		if (fetches[i].is_url && !err)
			err = begin_transfer(f, &fetches[i]);
	}
	return err;
}

struct cprof_error *cprof_fetch_all(const struct cprof_load *load,
				    const struct cprof_strings *names,
				    struct cprof_fetch **ret_fetches)
{
	struct fetching f = { .load = load };
	f.began_mono_ns = f.said_mono_ns = cprof_clock_mono_ns();
	struct cprof_fetch *fetches = calloc(names->len + 1, sizeof(*fetches));
	f.transfers = calloc(names->len + 1, sizeof(*f.transfers));
	struct cprof_error *err = fetches && f.transfers ? NULL : cprof_error_no_memory();
	if (!err)
		err = begin_all(&f, names, fetches);
	if (!err && f.n)
		err = run_transfers(&f);
	for (size_t i = 0; i < f.n; i++) {
		f.api->multi_remove_handle(f.multi, f.transfers[i].curl);
		f.api->easy_cleanup(f.transfers[i].curl);
	}
	if (f.multi)
		f.api->multi_cleanup(f.multi);
	free(f.transfers);
	if (err) {
		cprof_fetch_free(fetches, names->len);
		return err;
	}
	*ret_fetches = fetches;
	return NULL;
}

void cprof_fetch_free(struct cprof_fetch *fetches, size_t n)
{
	for (size_t i = 0; fetches && i < n; i++) {
		cprof_buffer_deinit(&fetches[i].url.text);
		cprof_buffer_deinit(&fetches[i].bytes);
		cprof_error_free(fetches[i].err);
	}
	free(fetches);
}

/* mkdir -p, for us alone: profiles tell what a program does. */
static bool make_directories(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
		*at = '/';
		if (failed)
			return false;
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool find_directory(struct cprof_buffer *out)
{
	const char *chosen = getenv("PPROF_TMPDIR"), *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	if (chosen && *chosen)
		cprof_buffer_puts(out, chosen);
	else if (cache && *cache == '/')
		cprof_buffer_printf(out, "%s/cprof", cache);
	else if (home && *home)
		cprof_buffer_printf(out, "%s/.cache/cprof", home);
	else
		cprof_buffer_puts(out, "/tmp/cprof");
	return !out->failed && make_directories((char *)out->data);
}

/* DIR/pprof.PROGRAM.TYPE.TYPE.001.pb.gz, the first number that is free. */
static int create_file(const struct cprof_profile *p, struct cprof_buffer *path)
{
	cprof_buffer_puts(path, "/pprof.");
	if (p->n_mappings && p->mappings[0].filename)
		cprof_buffer_printf(
			path, "%s.",
			cprof_path_base(cprof_profile_text(p, p->mappings[0].filename)));
	for (uint32_t i = 0; i < p->n_types && i < 8; i++) {
		for (const char *at = cprof_profile_text(p, p->types[i].type); *at; at++)
			cprof_buffer_putc(path, *at == '/' ? '_' : *at);
		cprof_buffer_putc(path, '.');
	}
	size_t prefix = path->len;
	for (int i = 1; i < 10000; i++) {
		path->len = prefix;
		cprof_buffer_printf(path, "%03d.pb.gz", i);
		int fd = path->failed ? -1
				      : open(cprof_buffer_text(path),
					     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static bool write_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes += written;
		n -= (size_t)written;
	}
	return true;
}

void cprof_fetch_save(const struct cprof_load *load, const struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer path = { 0 }, bytes = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, 6, &bytes);
	if (err) {
		say(load, "Could not save profile: %s", err->message);
		cprof_error_free(err);
		return;
	}
	CPROF_AUTO(close) int fd = find_directory(&path) ? create_file(profile, &path) : -1;
	if (fd < 0 || !write_all(fd, bytes.data, bytes.len))
		say(load, "Could not save profile in %s: %s", cprof_buffer_text(&path),
		    strerror(errno));
	else
		say(load, "Saved profile in %s", cprof_buffer_text(&path));
}
