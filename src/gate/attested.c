#include "gate/attested.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "gate/subject.h"
#include "scan/attestation.h"

#define CLOCK_SKEW (5 * 60 * TIME_SECOND)

static bool trusts(void *ctx, struct str public_pem)
{
    struct err ignored = ERR_INIT;
    return attestation_check(ctx, public_pem, &ignored) == 0;
}

int attested_verdict(struct arena *a, const char *state, const struct policy_set *set, const struct gate_question *q,
                     const struct str *names, size_t names_n, struct verdict *ret, struct str *ret_by)
{
    struct attestation t;
    struct str text, hex = str_sub(q->image_id, 7, q->image_id.n);
    struct err why = ERR_INIT;
    int64_t counts;
    char *path = arena_printf(a, "%s/attestations/" STR_FMT ".json", state, STR_ARG(hex));
    if (fs_read(a, path, LIMIT_VERDICT, &text, &why) < 0 || attestation_read(a, text, &t, &why) < 0 ||
        !str_eq(t.verdict.image_id, q->image_id) || !policy_attested(set, names, names_n, trusts, &t, &counts, ret_by))
        return -ENOENT;
    const struct verdict *v = &t.verdict;
    if (v->evaluated > q->now + CLOCK_SKEW || q->now - v->evaluated > counts || v->valid_until <= q->now)
        return -ENOENT;
    *ret = *v;
    return 0;
}

int attested_add(const char *state, const char *file, char image_id[static 72], struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8 * LIMIT_VERDICT);
    struct attestation t;
    struct str text;
    int r = fs_read(a, file, LIMIT_VERDICT, &text, e);
    if (r < 0 || (r = attestation_read(a, text, &t, e)) < 0)
        return r;
    if (!image_id_valid(t.verdict.image_id))
        return err_set(e, EBADMSG, "attestation: it is about no image id");
    if ((r = fs_mkdirs(arena_printf(a, "%s/attestations", state), 0700, e)) < 0)
        return r;
    snprintf(image_id, 72, STR_FMT, STR_ARG(t.verdict.image_id));
    return fs_write(arena_printf(a, "%s/attestations/%s.json", state, image_id + 7), text, 0600, e);
}
