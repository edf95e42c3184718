#include "agent/engine.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "gate/register.h"

static const char usage[] =
    "usage: bulkhead-agent engine enable|disable [OPTIONS]\n\n"
    "enable   registers the authorization plugin \"bulkhead\" and bulkhead-runc as default runtime in Docker's "
    "daemon.json\n"
    "         and makes dockerd read it (no restart). The agent must be running, with the plugin's socket open.\n"
    "disable  takes exactly that out again.\n\n"
    "  --engine URL         docker (default: unix:///var/run/docker.sock) or unix:///PATH\n"
    "  --config FILE        daemon.json (default /etc/docker/daemon.json)\n"
    "  --state DIR          the agent's state directory (default /var/lib/bulkhead)\n"
    "  --authz-socket PATH  the plugin's socket (default /run/docker/plugins/bulkhead.sock)\n"
    "  --guard PATH         bulkhead-runc (default: beside this program, else /usr/bin)\n"
    "  --runtime PATH       the real runtime (default: runc)\n"
    "  --bpf-dir DIR        where kernel programs are pinned\n"
    "  --pidfile FILE       of dockerd (default /var/run/docker.pid)\n"
    "  --no-plugin          register the runtime only\n"
    "  --no-reload          only edit the file; dockerd reads it at its next start\n";

int engine_main(int argc, char **argv)
{
    const char *engine = NULL;
    struct register_opts o = {.state = "/var/lib/bulkhead"};
    const struct {
        const char *name;
        const char **value;
        bool *flag;
    } options[] = {
        {"--engine", &engine, NULL},         {"--config", &o.config, NULL},   {"--state", &o.state, NULL},
        {"--authz-socket", &o.socket, NULL}, {"--guard", &o.guard, NULL},     {"--runtime", &o.runtime, NULL},
        {"--bpf-dir", &o.bpf_dir, NULL},     {"--pidfile", &o.pidfile, NULL}, {"--no-plugin", NULL, &o.no_plugin},
        {"--no-reload", NULL, &o.no_reload},
    };
    struct str verb = str_c(argc > 1 ? argv[1] : "");
    if (str_eqc(verb, "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    bool enable = str_eqc(verb, "enable"), known = enable || str_eqc(verb, "disable");
    for (int i = 2; i < argc && known; i++) {
        known = false;
        for (size_t n = 0; n < ARRAY_LEN(options) && !known; n++) {
            if (!str_eqc(str_c(argv[i]), options[n].name))
                continue;
            known = options[n].flag || i + 1 < argc;
            if (options[n].flag)
                *options[n].flag = true;
            else if (known)
                *options[n].value = argv[++i];
        }
    }
    if (!known) {
        fputs(usage, stderr);
        return 2;
    }
    if (engine && !str_eqc(str_c(engine), "docker"))
        o.engine = engine;
    struct err e = ERR_INIT;
    size_t containers = 0;
    int r = enable ? register_enable(&o, &containers, &e) : register_disable(&o, &containers, &e);
    if (r < 0) {
        fprintf(stderr, "bulkhead-agent: engine %s: %s\n", argv[1], e.msg);
        return err_exit_code(-r);
    }
    printf("bulkhead-agent: the gate is %s the engine\n", enable ? "in" : "out of");
    if (containers && enable)
        printf(
            "note: %zu containers were made before; they keep their runtime and start past the guard when the engine "
            "restarts, until they are made anew\n",
            containers);
    else if (containers)
        printf("note: %zu containers were made with the guard; the entry runtimes.bulkhead stays in daemon.json as "
               "another "
               "name of runc, so that they start\n",
               containers);
    return 0;
}
