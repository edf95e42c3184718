#include "detect/replay.h"

#include "base/cleanup.h"

#include <errno.h>

#define LINE_ARENA (16u << 20)

void detect_replay_learn(struct processes *tree, const struct detect_subject *s)
{
    struct process p = {
        .pid = s->pid, .ppid = s->ppid, .uid = s->uid, .started = s->started, .exe = s->exe, .args = s->args};
    if (s->pid <= 0 || s->kind != KIND_exec || s->outcome == OUTCOME_prevented || s->outcome == OUTCOME_killed)
        return;
    if (s->container.id.n == IDENTITY_TEXT - 1)
        memcpy(p.id, s->container.id.p, s->container.id.n);
    processes_exec(tree, &p);
}

int detect_replay(const struct detect_rules *rs, const char *path,
                  void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s), void *ctx,
                  struct replay_result *ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LINE_ARENA);
    _cleanup_fclose_ FILE *opened = NULL;
    _cleanup_free_ char *line = NULL;
    FILE *f = stdin;
    size_t cap = 0, at = 0, events = 0;
    ssize_t n;
    int r = 0;
    if (strcmp(path, "-") != 0 && !(f = opened = fopen(path, "re")))
        return err_errno(e, "%s", path);
    struct detector *d = detector_new(rs);
    struct processes *tree = processes_new(0);
    processes_only_told(tree);
    while (r == 0 && (n = getline(&line, &cap, f)) >= 0) {
        struct detect_subject s = {.a = a, .tree = tree};
        struct json_value *v;
        struct str text = str_trim(str_n(line, (size_t)n));
        at++;
        arena_reset(a);
        if (!text.n)
            continue;
        if (text.n > LIMIT_EVENT * 4)
            r = err_set(e, E2BIG, "%s: line %zu: too long for an event", path, at);
        else if ((r = json_parse(a, text, 0, &v, e)) < 0 || (r = detect_subject_json(&s, v, e)) < 0)
            err_wrap(e, "%s: line %zu", path, at);
        if (r < 0)
            break;
        detect_replay_learn(tree, &s);
        detector_run(d, &s, fn, ctx);
        if (s.kind == KIND_exit)
            processes_exit(tree, s.pid);
        events++;
    }
    processes_free(tree);
    detector_free(d);
    if (r == 0)
        ret->events = events;
    return r;
}
