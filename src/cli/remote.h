/* remote: the console that `bulkhead login` has stored, for the commands that talk to it.
 *
 * Stored in $XDG_CONFIG_HOME/bulkhead/console.json (or ~/.config/...), mode 0600: {url, ca, token, user, expires}. `ca`
 * is the pinned authority, null when the system store vouches for the console. Every connection is verified by one of
 * the two.
 *
 *     struct remote rm;
 *     if ((r = remote_open(a, NULL, &rm, e)) < 0 || (r = remote_get(&rm, a, "/api/v1/agents", &answer, e)) < 0) return
 * r;
 *     ...
 *     remote_close(&rm);
 */
#ifndef BULKHEAD_CLI_REMOTE_H
#define BULKHEAD_CLI_REMOTE_H

#include "base/arena.h"
#include "format/json.h"
#include "net/http.h"

#define REMOTE_ARENA ((size_t)1 << 30)

struct remote {
    struct http *h;
    struct str url, ca, token, user, expires; /* ca empty: the system store */
};

/* url: only that console (--console URL), NULL: the stored one. -ENOENT: not logged in (there). */
int remote_open(struct arena *a, const char *url, struct remote *ret, struct err *e);
void remote_close(struct remote *rm);
int remote_connect(struct remote *rm, struct err *e);                /* opens rm->h for url and ca */
int remote_load(struct arena *a, struct remote *ret, struct err *e); /* reads the file, does not connect */
int remote_store(struct arena *a, const struct remote *rm, struct err *e);
char *remote_file(struct arena *a);

/* A request with a path below the URL; the answer is JSON (NULL: an empty body). Error answers become errors; 401 says
 * to log in again. */
int remote_call(struct remote *rm, struct arena *a, const char *method, const char *path, const char *type,
                struct str body, const struct json_value **ret, struct err *e);
static inline int remote_get(struct remote *rm, struct arena *a, const char *path, const struct json_value **ret,
                             struct err *e)
{
    return remote_call(rm, a, "GET", path, NULL, STR_NONE, ret, e);
}
/* The same with the body as it came, and another Accept. */
int remote_raw(struct remote *rm, struct arena *a, const char *method, const char *path, const char *type,
               struct str body, const char *accept, struct http_response *ret, struct err *e);

/* ---- what the console's commands share ---- */

/* Print "bulkhead COMMAND: story" and give the exit code. */
int command_failed(const char *command, const struct err *e);
/* Wrong usage: "bulkhead COMMAND: story; bulkhead COMMAND --help tells more", 2. */
int command_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "https://host:port" without a trailing slash; https:// is put before a bare host. -EINVAL. */
int url_normal(struct arena *a, const char *url, struct str *ret, struct err *e);
/* A file, or standard input for "-". */
int read_input(struct arena *a, const char *path, size_t max, struct str *ret, struct err *e);

#endif
