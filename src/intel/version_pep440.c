/* PEP 440, appendix B, and the order of the `packaging` library. What does not fit it sorts below all that does, among
 * itself as setuptools did before PEP 440. */
#include "base/cleanup.h"
#include "intel/version_parts.h"

struct pep440 {
    struct str epoch, release, pre_number, post_number, dev_number, local;
    char pre; /* 'a' 'b' 'r', 0: none */
    bool post, dev;
};

static bool take_fold(struct str *s, const char *word)
{
    size_t n = strlen(word);
    if (s->n < n || !str_ieq(str_sub(*s, 0, n), str_c(word)))
        return false;
    *s = part_from(*s, n);
    return true;
}

static void take_separator(struct str *s)
{
    if (s->n && (s->p[0] == '.' || s->p[0] == '-' || s->p[0] == '_'))
        *s = part_from(*s, 1);
}

/* [sep] word [sep] [number]; leaves *s alone when no word is there. */
static bool take_part(struct str *s, const char *const *words, size_t n, struct str *ret_number)
{
    struct str rest = *s;
    take_separator(&rest);
    for (size_t i = 0; i < n; i++) {
        struct str behind = rest;
        if (!take_fold(&behind, words[i]))
            continue;
        struct str number = behind;
        take_separator(&number);
        struct str digits = part_digits(&number);
        *s = digits.n ? number : behind;
        *ret_number = digits;
        return true;
    }
    return false;
}

static bool take_pre(struct str *s, struct pep440 *v)
{
    static const struct {
        const char *word;
        char letter;
    } words[] = {{"alpha", 'a'}, {"a", 'a'},  {"beta", 'b'},    {"b", 'b'},
                 {"c", 'r'},     {"rc", 'r'}, {"preview", 'r'}, {"pre", 'r'}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (take_part(s, &words[i].word, 1, &v->pre_number)) {
            v->pre = words[i].letter;
            return true;
        }
    return false;
}

static bool take_post(struct str *s, struct pep440 *v)
{
    static const char *const words[] = {"post", "rev", "r"};
    if (s->n > 1 && s->p[0] == '-' && part_digit(s->p[1])) {
        *s = part_from(*s, 1);
        v->post_number = part_digits(s);
        return true;
    }
    return take_part(s, words, ARRAY_LEN(words), &v->post_number);
}

static bool local_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool sep = s.p[i] == '.' || s.p[i] == '-' || s.p[i] == '_';
        if (!sep && !part_digit(s.p[i]) && !part_alpha(s.p[i]))
            return false;
        if (sep && (i == 0 || i + 1 == s.n || s.p[i - 1] == '.' || s.p[i - 1] == '-' || s.p[i - 1] == '_'))
            return false;
    }
    return s.n > 0;
}

static bool parse(struct str s, struct pep440 *v)
{
    static const char *const dev[] = {"dev"};
    *v = (struct pep440){0};
    take_fold(&s, "v");
    struct str rest = s, digits = part_digits(&rest);
    if (digits.n && part_skip(&rest, '!')) {
        v->epoch = digits;
        s = rest;
    }
    size_t n = 0;
    while (n < s.n && (part_digit(s.p[n]) || (n && s.p[n] == '.' && n + 1 < s.n && part_digit(s.p[n + 1]))))
        n++;
    if (!n)
        return false;
    v->release = str_sub(s, 0, n);
    s = part_from(s, n);
    take_pre(&s, v);
    v->post = take_post(&s, v);
    v->dev = take_part(&s, dev, 1, &v->dev_number);
    if (part_skip(&s, '+')) {
        v->local = s;
        return local_valid(s);
    }
    return !s.n;
}

static int release_cmp(struct str a, struct str b)
{
    while (a.n || b.n) {
        int diff = part_number_cmp(part_digits(&a), part_digits(&b));
        if (diff)
            return diff;
        part_skip(&a, '.');
        part_skip(&b, '.');
    }
    return 0;
}

/* 1.0.dev1 before 1.0a1 before 1.0b1 before 1.0rc1 before 1.0 */
static int pre_rank(const struct pep440 *v)
{
    if (v->pre)
        return v->pre;
    return v->dev && !v->post ? 0 : 'z';
}

static struct str local_segment(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && s->p[n] != '-' && s->p[n] != '_')
        n++;
    struct str segment = {s->p, n};
    *s = part_from(*s, n < s->n ? n + 1 : n);
    return segment;
}

static int local_cmp(struct str a, struct str b)
{
    while (a.n && b.n) {
        struct str x = local_segment(&a), y = local_segment(&b);
        bool xd = part_all_digits(x), yd = part_all_digits(y);
        int diff = xd && yd ? part_number_cmp(x, y) : xd != yd ? (xd ? 1 : -1) : part_text_icmp(x, y);
        if (diff)
            return diff;
    }
    return part_size_cmp(a.n, b.n);
}

static int flag_cmp(bool a, struct str a_number, bool b, struct str b_number, int present)
{
    return a != b ? (a ? present : -present) : part_number_cmp(a_number, b_number);
}

static int compare(const struct pep440 *a, const struct pep440 *b)
{
    int diff;
    if ((diff = part_number_cmp(a->epoch, b->epoch)) || (diff = release_cmp(a->release, b->release)) ||
        (diff = part_sign(pre_rank(a) - pre_rank(b))) || (diff = part_number_cmp(a->pre_number, b->pre_number)) ||
        (diff = flag_cmp(a->post, a->post_number, b->post, b->post_number, 1)) ||
        (diff = flag_cmp(a->dev, a->dev_number, b->dev, b->dev_number, -1)))
        return diff;
    return local_cmp(a->local, b->local);
}

/* ---- before PEP 440: parts that compare as text, "*" before words, numbers padded to eight digits ---- */
enum { LEGACY_PARTS = 256 };
struct legacy {
    struct str part[LEGACY_PARTS];
    size_t n;
};

static struct str legacy_token(struct str *s)
{
    while (s->n) {
        char c = s->p[0];
        size_t n = 1;
        if (c == '.' || c == '-') {
        } else if (part_digit(c)) {
            while (n < s->n && part_digit(s->p[n]))
                n++;
        } else if (part_alpha(c)) {
            while (n < s->n && part_alpha(s->p[n]))
                n++;
        } else {
            *s = part_from(*s, 1);
            continue;
        }
        struct str token = {s->p, n};
        *s = part_from(*s, n);
        return token;
    }
    return STR_NONE;
}

static struct str legacy_word(struct str t)
{
    static const char *const words[][2] = {{"pre", "c"}, {"preview", "c"}, {"-", "final-"}, {"rc", "c"}, {"dev", "@"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(t, str_c(words[i][0])))
            return str_c(words[i][1]);
    return t;
}

static bool legacy_add(struct legacy *l, struct str t)
{
    if (!part_digit(t.p[0])) {
        if (part_text_icmp(t, STR("final")) < 0)
            while (l->n && str_eqc(l->part[l->n - 1], "final-"))
                l->n--;
        while (l->n && part_digit(l->part[l->n - 1].p[0]) && part_zero(l->part[l->n - 1]))
            l->n--;
    }
    if (l->n == LEGACY_PARTS)
        return false;
    l->part[l->n++] = t;
    return true;
}

static bool legacy_parse(struct str s, struct legacy *l)
{
    struct str t;
    l->n = 0;
    while ((t = legacy_token(&s)).p)
        if (!str_eqc(t, ".") && !legacy_add(l, legacy_word(t)))
            return false;
    return l->n && legacy_add(l, STR("final"));
}

static int legacy_cmp(const struct legacy *a, const struct legacy *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        struct str x = a->part[i], y = b->part[i];
        bool xd = part_digit(x.p[0]), yd = part_digit(y.p[0]);
        int diff = xd && yd ? part_number_cmp(x, y) : xd != yd ? (xd ? 1 : -1) : part_text_icmp(x, y);
        if (diff)
            return diff;
    }
    return part_size_cmp(a->n, b->n);
}

int version_pep440(struct str a, struct str b, int *ret)
{
    struct pep440 x, y;
    bool x_ok = parse(a, &x), y_ok = parse(b, &y);
    if (x_ok && y_ok) {
        *ret = compare(&x, &y);
        return 0;
    }
    struct legacy l, m;
    if ((!x_ok && !legacy_parse(a, &l)) || (!y_ok && !legacy_parse(b, &m)))
        return -EINVAL;
    *ret = x_ok ? 1 : y_ok ? -1 : legacy_cmp(&l, &m);
    return 0;
}

bool version_pep440_valid(struct str v)
{
    struct pep440 ignored;
    return parse(v, &ignored);
}
