/* bulkhead-agent: which of its faces is asked for. */
#include "agent/dialer.h"
#include "agent/engine.h"
#include "agent/loop.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "runtime/try.h"

#include <malloc.h>

static int agent_main(struct config config)
{
    struct err e = ERR_INIT;
    struct loop *l = calloc(1, sizeof(*l));
    struct agent *g = calloc(1, sizeof(*g));
    if (!l || !g)
        abort();
    l->g = g;
    g->config = config;
    pthread_mutex_init(&l->learned.lock, NULL);
    int lock = -1;
    _cleanup_free_ char *lock_path = NULL;
    if (asprintf(&lock_path, "%s/agent.lock", config.state) < 0)
        abort();
    int r = fs_mkdirs(config.state, 0700, &e);
    if (r == 0 && (r = fs_lock(lock_path, &lock, &e)) == -EBUSY)
        err_wrap(&e, "another agent uses this state directory");
    if (r == 0 && (r = setup_all(l, &e)) == 0)
        r = loop_run(l, &e);
    if (r < 0)
        log_error("%s", e.msg);
    setup_undo(l);
    free(g);
    free(l);
    return r < 0 ? r == -EINVAL ? 2 : 3 : 0;
}

/* ---- subcommands ---- */

static int remove_main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct config c;
    struct err e = ERR_INIT;
    if (config_parse(a, argc, argv, &c, &e) < 0) {
        log_error("%s", e.msg);
        return 2;
    }
    if (sensor_remove(c.bpf_dir, &e) < 0) {
        log_error("%s", e.msg);
        return 3;
    }
    printf("removed: nothing of Bulkhead is in the kernel under %s any more\n", c.bpf_dir);
    return 0;
}

int main(int argc, char **argv)
{
    /* Few threads, small and short-lived blocks: one heap, and large blocks go back at once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    if (argc > 1 && !strcmp(argv[1], "uplink"))
        return dialer_main(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "try")) /* runtime/prove.h */
        return try_main();
    log_setup("bulkhead-agent", LOG_INFO_, false);
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        printf("bulkhead-agent %s\n", BULKHEAD_VERSION);
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "doctor"))
        return doctor_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "respond"))
        return respond_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "evidence"))
        return evidence_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "remove"))
        return remove_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "attest"))
        return attest_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "engine"))
        return engine_main(argc - 1, argv + 1);
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct config c;
    struct err e = ERR_INIT;
    if (config_parse(a, argc, argv, &c, &e) < 0) {
        log_error("%s", e.msg);
        return 2;
    }
    if (c.help) {
        config_help(stdout);
        return 0;
    }
    if (geteuid() != 0) {
        log_error("needs root: it loads kernel programs and reads the engine's files");
        return 3;
    }
    log_setup("bulkhead-agent", LOG_INFO_, c.json);
    return agent_main(c);
}
