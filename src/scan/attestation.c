#include "scan/attestation.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"

#define SIGNATURES_MAX 16u

static void subject(struct json_writer *w, struct str name, struct str digest)
{
    json_w_object(w);
    json_w_kstr(w, "name", name);
    json_w_kobject(w, "digest");
    json_w_kstr(w, "sha256", str_sub(digest, 7, digest.n));
    json_w_end(w);
    json_w_end(w);
}

static void statement(struct buf *b, const struct inventory *inv, const struct assessment *as)
{
    struct json_writer w = JSON_WRITER(b);
    json_w_object(&w);
    json_w_kstrz(&w, "_type", ATTESTATION_STATEMENT);
    json_w_karray(&w, "subject");
    subject(&w, inv->names_n ? inv->names[0] : inv->target, inv->image_id);
    if (str_starts(inv->digest, STR("sha256:")))
        subject(&w, STR("manifest"), inv->digest);
    json_w_end(&w);
    json_w_kstrz(&w, "predicateType", ATTESTATION_VERDICT);
    json_w_kobject(&w, "predicate");
    json_w_kstr(&w, "scanner", inv->scanner);
    json_w_key(&w, "verdict");
    verdict_write(&w, &as->verdict);
    json_w_end(&w);
    json_w_end(&w);
}

/* DSSE's pre-authentication encoding: type and length are signed as well. */
static struct str encoding(struct arena *a, struct str payload)
{
    return arena_strf(a, "DSSEv1 %zu %s %zu " STR_FMT, strlen(ATTESTATION_TYPE), ATTESTATION_TYPE, payload.n,
                      STR_ARG(payload));
}

int attestation_write(struct buf *b, const struct inventory *inv, const struct assessment *as, const char *key_path,
                      struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * LIMIT_VERDICT);
    _cleanup_(buf_fini) struct buf payload = BUF_INIT(LIMIT_VERDICT);
    struct signature s;
    if (!str_starts(inv->image_id, STR("sha256:")))
        return err_set(e, EINVAL, "only images have an id that can be attested; " STR_FMT " has none",
                       STR_ARG(inv->target));
    statement(&payload, inv, as);
    int r = buf_check(&payload, e);
    if (r < 0)
        return err_wrap(e, "attestation"), r;
    if ((r = sign_bytes(key_path, encoding(a, buf_str(&payload)), &s, e)) < 0)
        return r;
    struct json_writer w = JSON_WRITER(b);
    json_w_object(&w);
    json_w_kstrz(&w, "payloadType", ATTESTATION_TYPE);
    json_w_kstr(&w, "payload", base64_encode(a, buf_str(&payload)));
    json_w_karray(&w, "signatures");
    json_w_object(&w);
    json_w_kstrz(&w, "keyid", s.id);
    json_w_kstr(&w, "sig", base64_encode(a, str_n((const char *)s.bytes, SIGN_SIZE)));
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    buf_putc(b, '\n');
    return 0;
}

static int read_signatures(struct arena *a, const struct json_value *list, struct attestation *ret, struct err *e)
{
    ret->signatures = arena_array(a, SIGNATURES_MAX, sizeof(*ret->signatures));
    JSON_EACH (list, it) {
        struct str id = json_str(json_get(it, "keyid")), sig;
        struct signature *s = &ret->signatures[ret->signatures_n];
        if (ret->signatures_n == SIGNATURES_MAX)
            return err_set(e, E2BIG, "attestation: more than %u signatures", SIGNATURES_MAX);
        if (base64_decode(a, json_str(json_get(it, "sig")), &sig) < 0 || sig.n != SIGN_SIZE || id.n != SIGN_ID - 1)
            continue; /* of a kind that is not ours */
        memcpy(s->bytes, sig.p, SIGN_SIZE);
        memcpy(s->id, id.p, id.n);
        s->id[id.n] = 0;
        ret->signatures_n++;
    }
    return ret->signatures_n ? 0 : err_set(e, EKEYREJECTED, "attestation: no ed25519 signature");
}

static bool about(const struct json_value *subjects, struct str image_id)
{
    JSON_EACH (subjects, it) {
        struct str sha256 = json_str(json_get(json_get(it, "digest"), "sha256"));
        if (sha256.n == 64 && str_eq(sha256, str_sub(image_id, 7, image_id.n)))
            return true;
    }
    return false;
}

int attestation_read(struct arena *a, struct str text, struct attestation *ret, struct err *e)
{
    struct json_value *v, *st;
    int r;
    *ret = (struct attestation){0};
    if ((r = json_parse(a, text, 0, &v, e)) < 0)
        return err_wrap(e, "attestation"), r;
    if (!str_eqc(json_str(json_get(v, "payloadType")), ATTESTATION_TYPE) ||
        base64_decode(a, json_str(json_get(v, "payload")), &ret->payload) < 0 || !ret->payload.n)
        return err_set(e, EBADMSG, "attestation: not a DSSE envelope with an in-toto statement");
    if ((r = read_signatures(a, json_get(v, "signatures"), ret, e)) < 0)
        return r;
    if ((r = json_parse(a, ret->payload, 0, &st, e)) < 0)
        return err_wrap(e, "attestation: statement"), r;
    if (!str_eqc(json_str(json_get(st, "_type")), ATTESTATION_STATEMENT) ||
        !str_eqc(json_str(json_get(st, "predicateType")), ATTESTATION_VERDICT))
        return err_set(e, EBADMSG, "attestation: the statement is not a verdict (%s)", ATTESTATION_VERDICT);
    if ((r = verdict_read(a, json_get(json_get(st, "predicate"), "verdict"), &ret->verdict, e)) < 0)
        return err_wrap(e, "attestation"), r;
    if (!about(json_get(st, "subject"), ret->verdict.image_id))
        return err_set(e, EBADMSG, "attestation: its subject is another image than its verdict's");
    return 0;
}

int attestation_check(const struct attestation *t, struct str public_pem, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * LIMIT_VERDICT);
    struct str message = encoding(a, t->payload);
    int r = err_set(e, EKEYREJECTED, "attestation: not signed");
    for (size_t i = 0; i < t->signatures_n; i++)
        if ((r = sign_check(public_pem, message, &t->signatures[i], e)) == 0)
            return 0;
    return r;
}
