#include "runtime/object.h"

#include "base/cleanup.h"
#include "runtime/pin.h"

#include <bpf/bpf.h>
#include <stdarg.h>
#include <stdio.h>

#define CODE(n) extern const unsigned char bpf_##n##_start[], bpf_##n##_end[];
CODE(process)
CODE(trace)
CODE(lsm)
CODE(files)
CODE(network)
CODE(cgroup)
CODE(shell)
CODE(isolation)
CODE(self)
CODE(learn)
CODE(iter)
CODE(probe)
CODE(sink)
#undef CODE

static const struct object objects[] = {
    {"process", bpf_process_start, bpf_process_end, OBJECT_LSM | OBJECT_TRACE, false},
    {"trace", bpf_trace_start, bpf_trace_end, OBJECT_TRACE, false},
    {"lsm", bpf_lsm_start, bpf_lsm_end, OBJECT_LSM, false},
    {"files", bpf_files_start, bpf_files_end, OBJECT_LSM, false},
    {"network", bpf_network_start, bpf_network_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"cgroup", bpf_cgroup_start, bpf_cgroup_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"shell", bpf_shell_start, bpf_shell_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"isolation", bpf_isolation_start, bpf_isolation_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"learn", bpf_learn_start, bpf_learn_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"self", bpf_self_start, bpf_self_end, OBJECT_LSM | OBJECT_TRACE, true},
    {"iter", bpf_iter_start, bpf_iter_end, 0, true},
    {"probe", bpf_probe_start, bpf_probe_end, 0, true},
    {"sink", bpf_sink_start, bpf_sink_end, 0, true},
};

const struct object *object_list(size_t *n)
{
    *n = ARRAY_LEN(objects);
    return objects;
}

const struct object *object_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (!strcmp(objects[i].name, name))
            return &objects[i];
    return NULL;
}

uint64_t object_version(enum sensor_tier tier, unsigned options)
{
    uint64_t h = 0xcbf29ce484222325u ^ tier ^ ((uint64_t)options << 8);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        for (const unsigned char *p = objects[i].start; p < objects[i].end; p++)
            h = (h ^ *p) * 0x100000001b3u;
    return h ? h : 1;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
    return 0;
}

void object_quiet(void)
{
    libbpf_set_print(quiet);
}

/* A pinned map must be asked for in its own size: the telemetry ring's is an option. */
static uint32_t pinned_entries(const char *path, uint32_t otherwise)
{
    _cleanup_close_ int fd = bpf_obj_get(path);
    struct bpf_map_info info = {0};
    uint32_t n = sizeof(info);
    return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &n) == 0 ? info.max_entries : otherwise;
}

int object_open(const struct object *o, const char *maps_dir, size_t ring, struct bpf_object **ret, struct err *e)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = o->name);
    struct bpf_object *obj = bpf_object__open_mem(o->start, (size_t)(o->end - o->start), &opts);
    if (!obj)
        return err_errno(e, "kernel programs '%s'", o->name);
    struct bpf_map *m;
    int r = 0;
    bpf_object__for_each_map(m, obj)
    {
        char path[PIN_PATH];
        if (r || bpf_map__is_internal(m) || !maps_dir)
            continue;
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", maps_dir, bpf_map__name(m)) >= sizeof(path))
            r = err_set(e, ENAMETOOLONG, "%s: path too long", maps_dir);
        else if (bpf_map__set_pin_path(m, path) < 0)
            r = err_errno(e, "%s", path);
        else if (!strcmp(bpf_map__name(m), "telemetry"))
            bpf_map__set_max_entries(m, pinned_entries(path, ring ? (uint32_t)ring : 4u << 20));
    }
    if (r) {
        bpf_object__close(obj);
        return r;
    }
    *ret = obj;
    return 0;
}

int object_load(struct bpf_object *obj, const char *name, struct err *e)
{
    if (bpf_object__load(obj) < 0)
        return err_errno(e, "the kernel refused the programs '%s'", name);
    return 0;
}
