/* ImagePolicy `attesters`: whose signed verdicts stand in for a scan. */
#include "base/time.h"
#include "net/sign.h"
#include "policy/policy_internal.h"

#define ATTESTED_FOR TIME_DAY /* when the policy does not say */

static int read_attester(struct reading *r, const struct yml *v, const char *where, struct image_attester *x)
{
    static const char *const known[] = {"name", "key", NULL};
    char at[60], id[SIGN_ID];
    struct err why = ERR_INIT;
    int rc = read_map(r, v, where, known);
    if (rc < 0)
        return rc;
    if (!yml_get(v, "name") || !yml_get(v, "key"))
        return read_fail(r, v, "%s: an attester has a name and a key", where);
    snprintf(at, sizeof(at), "%s.name", where);
    if ((rc = read_text(r, yml_get(v, "name"), at, &x->name)) < 0)
        return rc;
    snprintf(at, sizeof(at), "%s.key", where);
    if ((rc = read_text(r, yml_get(v, "key"), at, &x->key)) < 0)
        return rc;
    return sign_id(x->key, id, &why) < 0 ? read_fail(r, yml_get(v, "key"), "%s: %s", at, why.msg) : 0;
}

int image_attesters_read(struct reading *r, const struct yml *doc, struct image_policy *p)
{
    const struct yml *list = yml_get(doc, "attesters"), *age = yml_get(doc, "attested_for");
    char at[40];
    int rc;
    p->attested_for = ATTESTED_FOR;
    if (age && (rc = read_duration(r, age, "attested_for", &p->attested_for)) < 0)
        return rc;
    if (age && !list)
        return read_fail(r, age, "attested_for: says nothing without attesters");
    if (list && list->kind != YML_LIST)
        return read_fail(r, list, "attesters: expected a list of {name, key}");
    p->attesters = arena_array(r->a, list ? list->count : 0, sizeof(*p->attesters));
    YML_EACH(list, it)
    {
        snprintf(at, sizeof(at), "attesters[%zu]", p->attesters_n);
        if ((rc = read_attester(r, it, at, &p->attesters[p->attesters_n])) < 0)
            return rc;
        p->attesters_n++;
    }
    return 0;
}

bool policy_attested(const struct policy_set *s, const struct str *names, size_t n, policy_trusts *trusts, void *ctx,
                     int64_t *ret_for, struct str *ret_by)
{
    bool governed = false;
    *ret_for = TIME_NEVER;
    for (size_t i = 0; s && i < s->images_n; i++) {
        const struct image_policy *p = &s->images[i];
        size_t k = 0;
        if (!image_policy_selects(p, names, n))
            continue;
        while (k < p->attesters_n && !trusts(ctx, p->attesters[k].key))
            k++;
        if (k == p->attesters_n)
            return false;
        governed = true;
        *ret_by = p->attesters[k].name;
        *ret_for = p->attested_for < *ret_for ? p->attested_for : *ret_for;
    }
    return governed;
}
