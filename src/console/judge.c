#include "console/judge.h"

static const char *const kinds[POLICY_KINDS] = {"ImagePolicy", "ContainerPolicy", "AccessPolicy"};

int judge_documents(struct arena *a, struct str text, struct judged_doc **ret, size_t *ret_n, struct str **notices,
                    size_t *notices_n, struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    struct policy_source source = {STR("request"), text, 0};
    int r = policy_set_parse(&source, 1, &set, e);
    if (r < 0)
        return r;
    const struct policy_doc *docs;
    const struct str *said;
    size_t n = policy_set_docs(set, &docs), said_n = policy_set_notices(set, &said);
    struct judged_doc *out = arena_array(a, n ? n : 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] = (struct judged_doc){str_c(kinds[docs[i].kind]), arena_str(a, docs[i].name), arena_str(a, docs[i].text)};
    *notices = arena_array(a, said_n ? said_n : 1, sizeof(**notices));
    for (size_t i = 0; i < said_n; i++)
        (*notices)[i] = arena_str(a, said[i]);
    *notices_n = said_n;
    *ret = out;
    *ret_n = n;
    return 0;
}

int judge_revision(struct arena *a, const struct policy_source *sources, size_t n, struct str *ret, struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    int r = policy_set_parse(sources, n, &set, e);
    if (r < 0)
        return r;
    *ret = arena_str(a, policy_set_revision(set));
    return 0;
}
