/* judge: policies and images, as the rooms policy and scan see them. */
#ifndef BULKHEAD_CONSOLE_JUDGE_H
#define BULKHEAD_CONSOLE_JUDGE_H

#include "console/console.h"
#include "policy/policy.h"

struct intel;

/* Newest revisions that are not deleted: kind, name, revision, text, time, author. ?1: kind or NULL. */
#define POLICIES_IN_FORCE                                                                                              \
    "SELECT p.kind, p.name, p.revision, p.text, p.time, p.author FROM policy p JOIN (SELECT kind, name, "              \
    "max(revision) AS r "                                                                                              \
    "FROM policy GROUP BY kind, name) m ON m.kind = p.kind AND m.name = p.name AND m.r = p.revision "                  \
    "WHERE p.deleted = 0 AND (?1 IS NULL OR p.kind = ?1) ORDER BY p.kind, p.name"

struct judged_doc {
    struct str kind, name, text;
};
/* Documents of a text, each checked whole. notices: what this build does not put into force. */
int judge_documents(struct arena *a, struct str text, struct judged_doc **ret, size_t *ret_n, struct str **notices,
                    size_t *notices_n, struct err *e);
/* An error says that they do not go together. */
int judge_set(const struct policy_source *sources, size_t n, struct err *e);

/* ---- the policies and the intel in force: snapshots that judging borrows ---- */
struct judge *judge_new(void);
void judge_free(struct judge *g);
int judge_policies(struct console *c, const struct policy_source *sources, size_t n, struct arena *a,
                   struct str *ret_revision, struct err *e); /* from now on */
int judge_intel(struct console *c, struct err *e);           /* read STATE/intel.db again; none is fine */
/* The verdict on a scan report, as JSON. */
struct judged {
    struct str verdict;
    bool allow;
    int64_t until;
    struct str keys; /* of its packages (scan/rescan.h) */
    struct verdict v;
};
/* running_since: since when the image runs somewhere, 0: it does not. */
int judge_report(struct console *c, struct arena *a, const struct json_value *report, const struct str *names,
                 size_t names_n, int64_t running_since, struct judged *ret, struct err *e);
/* By others than those in force: for simulations. judge_current() gives those in force. */
struct judge_by {
    struct policy_set *set;
    struct intel *intel;
};
void judge_current(struct console *c, struct judge_by *ret);
void judge_by_fini(struct judge_by *by);
int judge_report_by(const struct judge_by *by, struct arena *a, const struct json_value *report,
                    const struct str *names, size_t names_n, int64_t running_since, struct judged *ret, struct err *e);
/* The set as it would be with these documents in it. */
int judge_draft(struct db *db, struct arena *a, const struct judged_doc *docs, size_t n, struct policy_set **ret,
                struct err *e);

/* What is kept of one image. -ENOENT: no report. */
struct stored_image {
    const struct json_value *report;
    struct str *names;
    size_t names_n;
    int64_t scanned, since; /* since when it runs, 0: it does not */
};
int image_stored(struct console *c, struct arena *a, struct str id, struct stored_image *ret, struct err *e);
int intel_copy_body(struct httpd_request *rq, const char *to, struct err *e);

/* What the step from one database to another changes for the policies in force; for images_intel_changed(). */
struct intel_changes;
int judge_changes(struct console *c, struct intel *old, struct intel *fresh, struct intel_changes *ret, struct err *e);

struct intel_state {
    struct str revision; /* empty: none */
    int64_t size, built, uploaded;
    struct str key; /* PEM; empty: none */
};
void intel_state(struct console *c, struct arena *a, struct intel_state *ret);

#endif
