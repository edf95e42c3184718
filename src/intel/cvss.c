#include "intel/cvss.h"

#include "base/cleanup.h"

#include <errno.h>

/* Value of one metric ("AV" -> "N"), empty when it is not there. */
static struct str metric(struct str vector, const char *name)
{
    struct str part, key, value;
    while (str_cut(&vector, '/', &part))
        if (str_split(part, ':', &key, &value) && str_eqc(key, name))
            return value;
    return STR_NONE;
}

struct weight {
    char letter;
    double value;
};

static bool weigh(struct str vector, const char *name, const struct weight *w, size_t n, double *ret)
{
    struct str v = metric(vector, name);
    for (size_t i = 0; i < n; i++)
        if (v.n == 1 && v.p[0] == w[i].letter) {
            *ret = w[i].value;
            return true;
        }
    return false;
}
#define WEIGH(name, ret, ...)                                                                                          \
    weigh(vector, name, (const struct weight[]){__VA_ARGS__},                                                          \
          sizeof((const struct weight[]){__VA_ARGS__}) / sizeof(struct weight), ret)

static double power15(double x)
{
    double r = 1;
    for (int i = 0; i < 15; i++)
        r *= x;
    return r;
}

/* Specification of CVSS 3.1, appendix A: the smallest number with one decimal that is not below, free of float noise.
 */
static double round_up(double x)
{
    int64_t n = (int64_t)(x * 100000 + 0.5);
    return n % 10000 == 0 ? (double)n / 100000 : (double)(n / 10000 + 1) / 10;
}

/* https://www.first.org/cvss/v3.1/specification-document section 7.1 */
static int score3(struct str vector, double *ret)
{
    double av, ac, pr, ui, c, i, a;
    struct str scope = metric(vector, "S");
    bool changed = str_eqc(scope, "C");
    if (!WEIGH("AV", &av, {'N', 0.85}, {'A', 0.62}, {'L', 0.55}, {'P', 0.2}) ||
        !WEIGH("AC", &ac, {'L', 0.77}, {'H', 0.44}) ||
        !WEIGH("PR", &pr, {'N', 0.85}, {'L', changed ? 0.68 : 0.62}, {'H', changed ? 0.5 : 0.27}) ||
        !WEIGH("UI", &ui, {'N', 0.85}, {'R', 0.62}) || !WEIGH("C", &c, {'H', 0.56}, {'L', 0.22}, {'N', 0}) ||
        !WEIGH("I", &i, {'H', 0.56}, {'L', 0.22}, {'N', 0}) || !WEIGH("A", &a, {'H', 0.56}, {'L', 0.22}, {'N', 0}) ||
        (!changed && !str_eqc(scope, "U")))
        return -EINVAL;
    double iss = 1 - (1 - c) * (1 - i) * (1 - a);
    double impact = changed ? 7.52 * (iss - 0.029) - 3.25 * power15(iss - 0.02) : 6.42 * iss;
    double exploitability = 8.22 * av * ac * pr * ui;
    double sum = changed ? 1.08 * (impact + exploitability) : impact + exploitability;
    *ret = impact <= 0 ? 0 : round_up(sum > 10 ? 10 : sum);
    return 0;
}

/* https://www.first.org/cvss/v2/guide section 3.2.1 */
static int score2(struct str vector, double *ret)
{
    double av, ac, au, c, i, a;
    if (!WEIGH("AV", &av, {'L', 0.395}, {'A', 0.646}, {'N', 1}) ||
        !WEIGH("AC", &ac, {'H', 0.35}, {'M', 0.61}, {'L', 0.71}) ||
        !WEIGH("Au", &au, {'M', 0.45}, {'S', 0.56}, {'N', 0.704}) ||
        !WEIGH("C", &c, {'N', 0}, {'P', 0.275}, {'C', 0.66}) || !WEIGH("I", &i, {'N', 0}, {'P', 0.275}, {'C', 0.66}) ||
        !WEIGH("A", &a, {'N', 0}, {'P', 0.275}, {'C', 0.66}))
        return -EINVAL;
    double impact = 10.41 * (1 - (1 - c) * (1 - i) * (1 - a));
    double base = (0.6 * impact + 0.4 * 20 * av * ac * au - 1.5) * (impact > 0 ? 1.176 : 0);
    *ret = (double)(int64_t)((base < 0 ? 0 : base) * 10 + 0.5) / 10;
    return 0;
}

int cvss_score(struct str vector, double *ret_score, int *ret_version)
{
    double score;
    int version = str_starts(vector, STR("CVSS:4.")) ? 4 : str_starts(vector, STR("CVSS:3.")) ? 3 : 2;
    if ((version == 4   ? cvss4_score(vector, &score)
         : version == 3 ? score3(vector, &score)
                        : score2(vector, &score)) < 0)
        return -EINVAL;
    *ret_score = score;
    *ret_version = version;
    return 0;
}

enum vuln_severity cvss_severity(double score, int version)
{
    if (score < 0)
        return VULN_UNKNOWN;
    if (version == 2)
        return score < 4 ? VULN_LOW : score < 7 ? VULN_MEDIUM : VULN_HIGH;
    return score < 0.1 ? VULN_NEGLIGIBLE
           : score < 4 ? VULN_LOW
           : score < 7 ? VULN_MEDIUM
           : score < 9 ? VULN_HIGH
                       : VULN_CRITICAL;
}
