/* CVSS 4.0, https://www.first.org/cvss/v4.0/specification-document sections 7 and 8: the vector belongs to one of 270
 * macro vectors; its score is that of the macro vector's highest vector, lowered by how far it lies below it in each of
 * the equivalence classes, in proportion to the next lower macro vector. All in tenths; a level is one step. */
#include "base/cleanup.h"
#include "intel/cvss.h"

#include <errno.h>

enum metric { AV, PR, UI, AC, AT, VC, VI, VA, SC, SI, SA, E, CR, IR, AR, METRICS };
enum { EQS = 5, HIGHEST_MAX = 5, NONE = -1 };

/* The values of a metric, worst first: the place is the level. SC, SI, SA begin at S (safety), which only MSI and MSA
 * have. */
static const struct {
    const char *name, *modified, *levels;
    char missing; /* value when it is X or not there; 0: it must be there */
} metrics[METRICS] = {
    [AV] = {"AV", "MAV", "NALP", 0}, [PR] = {"PR", "MPR", "NLH", 0},  [UI] = {"UI", "MUI", "NPA", 0},
    [AC] = {"AC", "MAC", "LH", 0},   [AT] = {"AT", "MAT", "NP", 0},   [VC] = {"VC", "MVC", "HLN", 0},
    [VI] = {"VI", "MVI", "HLN", 0},  [VA] = {"VA", "MVA", "HLN", 0},  [SC] = {"SC", "MSC", "SHLN", 0},
    [SI] = {"SI", "MSI", "SHLN", 0}, [SA] = {"SA", "MSA", "SHLN", 0}, [E] = {"E", NULL, "APU", 'A'},
    [CR] = {"CR", NULL, "HML", 'H'}, [IR] = {"IR", NULL, "HML", 'H'}, [AR] = {"AR", NULL, "HML", 'H'},
};

struct macro {
    int eq[6];
};

static int level_of(enum metric m, struct str value)
{
    for (int i = 0; value.n == 1 && metrics[m].levels[i]; i++)
        if (metrics[m].levels[i] == value.p[0])
            return i;
    return NONE;
}

static int read_levels(struct str vector, int level[static METRICS])
{
    struct str part, key, value;
    int modified[METRICS];
    for (int m = 0; m < METRICS; m++)
        level[m] = modified[m] = NONE;
    while (str_cut(&vector, '/', &part)) {
        if (!str_split(part, ':', &key, &value))
            return -EINVAL;
        for (int m = 0; m < METRICS; m++)
            if (str_eqc(key, metrics[m].name))
                level[m] = level_of((enum metric)m, value);
            else if (metrics[m].modified && str_eqc(key, metrics[m].modified))
                modified[m] = level_of((enum metric)m, value);
    }
    for (int m = 0; m < METRICS; m++) {
        if (level[m] == NONE && !metrics[m].missing)
            return -EINVAL;
        if (modified[m] != NONE)
            level[m] = modified[m];
        if (level[m] == NONE)
            level[m] = 0;
    }
    return 0;
}

static struct macro macro_of(const int l[static METRICS])
{
    struct macro m;
    m.eq[0] = !l[AV] && !l[PR] && !l[UI] ? 0 : l[AV] == 3 || (l[AV] && l[PR] && l[UI]) ? 2 : 1;
    m.eq[1] = l[AC] || l[AT];
    m.eq[2] = !l[VC] && !l[VI] ? 0 : !l[VC] || !l[VI] || !l[VA] ? 1 : 2;
    m.eq[3] = !l[SI] || !l[SA] ? 0 : l[SC] == 1 || l[SI] == 1 || l[SA] == 1 ? 1 : 2;
    m.eq[4] = l[E];
    m.eq[5] = !((!l[CR] && !l[VC]) || (!l[IR] && !l[VI]) || (!l[AR] && !l[VA]));
    return m;
}

/* Tenths; NONE: there is no such macro vector. */
static int macro_score(struct macro m)
{
    static const struct {
        int key, score;
    } table[] = {
#define MACRO(key, score) {key, score},
#include "intel/cvss4.tbl.h"
#undef MACRO
    };
    int key = 1, low = 0, high = (int)ARRAY_LEN(table) - 1;
    for (int i = 0; i < 6; i++)
        key = 10 * key + m.eq[i];
    while (low <= high) {
        int middle = (low + high) / 2;
        if (table[middle].key == key)
            return table[middle].score;
        if (table[middle].key < key)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return NONE;
}

/* The highest vectors of a class (specification, table 24 and following), and its depth: the steps down to its lowest.
 */
struct class
{
    int eq, eq6; /* the class; eq6 only for the third, which is looked at together with the sixth */
    int which[2], depth;
    const char *highest[HIGHEST_MAX]; /* values of the metrics, in their order */
};
static const struct {
    int n;
    enum metric m[6];
} members[EQS] = {
    {3, {AV, PR, UI}}, {2, {AC, AT}}, {6, {VC, VI, VA, CR, IR, AR}}, {3, {SC, SI, SA}}, {1, {E}},
};
static const struct class classes[] = {
    {0, NONE, {0}, 1, {"NNN"}},
    {0, NONE, {1}, 4, {"ANN", "NLN", "NNP"}},
    {0, NONE, {2}, 5, {"PNN", "ALP"}},
    {1, NONE, {0}, 1, {"LN"}},
    {1, NONE, {1}, 2, {"HN", "LP"}},
    {2, 0, {0}, 7, {"HHHHHH"}},
    {2, 1, {0}, 6, {"HHLMMH", "HHHMMM"}},
    {2, 0, {1}, 8, {"LHHHHH", "HLHHHH"}},
    {2, 1, {1}, 8, {"LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM"}},
    {2, 1, {2}, 10, {"LLLHHH"}},
    {3, NONE, {0}, 6, {"HSS"}},
    {3, NONE, {1}, 5, {"HHH"}},
    {3, NONE, {2}, 4, {"LLL"}},
    {4, NONE, {0}, 1, {"A"}},
    {4, NONE, {1}, 1, {"P"}},
    {4, NONE, {2}, 1, {"U"}},
};

static int distance(int eq, const char *highest, const int l[static METRICS])
{
    int sum = 0;
    for (int i = 0; i < members[eq].n; i++) {
        enum metric m = members[eq].m[i];
        int below = l[m] - level_of(m, (struct str){highest + i, 1});
        if (below < 0)
            return NONE;
        sum += below;
    }
    return sum;
}

static bool find_class(int eq, struct macro m, const int l[static METRICS], int *ret_distance, int *ret_depth)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        const struct class *c = &classes[i];
        if (c->eq != eq || c->which[0] != m.eq[eq] || (c->eq6 != NONE && c->eq6 != m.eq[5]))
            continue;
        for (int k = 0; k < HIGHEST_MAX && c->highest[k]; k++)
            if ((*ret_distance = distance(eq, c->highest[k], l)) != NONE) {
                *ret_depth = c->depth;
                return true;
            }
    }
    return false;
}

/* The best score among the next lower macro vectors in this class; NONE: there is none. */
static int next_lower(int eq, struct macro m)
{
    struct macro lower = m;
    lower.eq[eq]++;
    if (eq != 2)
        return macro_score(lower);
    if (m.eq[5] == 1) /* 01 -> 11, 11 -> 21 */
        return macro_score(lower);
    struct macro other = m;
    other.eq[5]++;
    int a = macro_score(other), b = m.eq[2] == 0 ? macro_score(lower) : NONE; /* 10 -> 11; 00 -> 01 or 10 */
    return a > b ? a : b;
}

int cvss4_score(struct str vector, double *ret)
{
    int l[METRICS];
    if (!str_starts(vector, STR("CVSS:4.0/")) || read_levels(str_sub(vector, 9, vector.n), l) < 0)
        return -EINVAL;
    if (l[VC] == 2 && l[VI] == 2 && l[VA] == 2 && l[SC] == 3 && l[SI] == 3 && l[SA] == 3) {
        *ret = 0;
        return 0;
    }
    struct macro m = macro_of(l);
    int score = macro_score(m), n = 0;
    double sum = 0;
    if (score == NONE)
        return -EINVAL;
    for (int eq = 0; eq < EQS; eq++) {
        int lower = next_lower(eq, m), below, depth;
        if (lower == NONE || !find_class(eq, m, l, &below, &depth))
            continue;
        n++;
        if (eq != 4)
            sum += (double)(score - lower) * below / depth;
    }
    double tenths = score - (n ? sum / n : 0);
    *ret = (double)(int64_t)((tenths < 0 ? 0 : tenths) + 0.5 + 1e-6) / 10;
    return 0;
}
