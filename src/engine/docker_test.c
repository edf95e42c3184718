/* The pure parts always; the rest against the engine whose socket is in BULKHEAD_TEST_DOCKER
 * (test/integration/engine.test.ts starts one with the image bb:1, a running container "web" with label app=web, and a
 * stopped one "old"). */
#include "engine/docker.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void references(void **state)
{
    static const struct {
        const char *ref;
        bool valid;
    } t[] = {
        {"bb:1", true},    {"registry.example:5000/team/app@sha256:00", true},
        {"A_b.c-d", true}, {"", false},
        {"/etc", false},   {"a//b", false},
        {"a/../b", false}, {"-v", false},
        {"a b", false},    {"a?x=1", false},
        {"a%2e", false},   {"a\nb", false},
        {"a#b", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (docker_ref_valid(str_c(t[i].ref)) != t[i].valid)
            fail_msg("%s", t[i].ref);
}

static void urls(void **state)
{
    struct docker *d = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(docker_open("unix:///run/x.sock", &d, &e), 0);
    assert_string_equal(docker_url(d), "unix:///run/x.sock");
    assert_int_equal(docker_ping(d, &e), -ECONNREFUSED);
    docker_close(d);
    assert_int_equal(docker_open("/run/x.sock", &d, &e), 0);
    docker_close(d);
    assert_int_equal(docker_open("tcp://127.0.0.1:2375", &d, &e), -EINVAL);
}

static struct docker *engine(void)
{
    struct docker *d;
    const char *url = getenv("BULKHEAD_TEST_DOCKER");
    if (!url)
        skip();
    assert_int_equal(docker_open(url, &d, NULL), 0);
    return d;
}

static void live_facts(void **state)
{
    _cleanup_(docker_closep) struct docker *d = engine();
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct err e = ERR_INIT;
    struct docker_version v;
    struct docker_info i;
    assert_int_equal(docker_ping(d, &e), 0);
    assert_int_equal(docker_version(d, a, &v, &e), 0);
    assert_true(v.version.n && v.api.n && str_eqc(v.os, "linux"));
    assert_int_equal(docker_info(d, a, &i, &e), 0);
    assert_true(i.root_dir.n && i.default_runtime.n && i.runtimes_n > 0);
    assert_int_equal(i.running, 1);
}

static void live_images(void **state)
{
    _cleanup_(docker_closep) struct docker *d = engine();
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct err e = ERR_INIT;
    struct docker_image img, same, *all;
    size_t n;
    assert_int_equal(docker_image_inspect(d, a, STR("bb:1"), &img, &e), 0);
    assert_int_equal(img.tags_n, 1);
    assert_true(str_eqc(img.tags[0], "bb:1"));
    assert_int_equal(docker_image_inspect(d, a, str_sub(img.id, 7, 19), &same, &e), 0);
    assert_true(str_eq(same.id, img.id));
    assert_int_equal(docker_image_inspect(d, a, STR("no-such:1"), &same, &e), -ENOENT);
    assert_int_equal(docker_image_list(d, a, &all, &n, &e), 0);
    assert_true(n >= 1);
}

static int count(void *ctx, const void *p, size_t n, struct err *e)
{
    *(size_t *)ctx += n;
    return *(size_t *)ctx > 100000 ? err_set(e, ENOSPC, "enough") : 0;
}

static void live_export(void **state)
{
    _cleanup_(docker_closep) struct docker *d = engine();
    struct err e = ERR_INIT;
    size_t n = 0;
    assert_int_equal(docker_image_export(d, STR("bb:1"), count, &n, &e), -ENOSPC);
    assert_true(n > 100000);
    assert_int_equal(docker_image_export(d, STR("no-such:1"), count, &n, &e), -ENOENT);
}

static void live_containers(void **state)
{
    _cleanup_(docker_closep) struct docker *d = engine();
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct err e = ERR_INIT;
    struct docker_container web, c, *all;
    size_t n;
    assert_int_equal(docker_container_list(d, a, false, &all, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(docker_container_list(d, a, true, &all, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(docker_container_inspect(d, a, STR("web"), &web, &e), 0);
    assert_true(str_eqc(web.name, "web") && str_eqc(web.image, "bb:1") && str_eqc(web.state, "running") && web.pid > 0);
    assert_true(str_eqc(json_str(json_get(web.labels, "app")), "web"));
    assert_int_equal(docker_container_find(d, a, STR("web"), &c, &e), 0);
    assert_true(str_eq(c.id, web.id) && str_eq(c.image_id, web.image_id));
    assert_int_equal(docker_container_find(d, a, web.id, &c, &e), 0);
    assert_int_equal(docker_container_find(d, a, str_sub(web.id, 0, 10), &c, &e), 0);
    assert_true(str_eq(c.id, web.id));
    assert_int_equal(docker_container_find(d, a, STR("nobody"), &c, &e), -ENOENT);
    assert_int_equal(docker_container_find(d, a, STR("web/json"), &c, &e), -EINVAL);
}

static int first_start(void *ctx, const struct docker_event *ev)
{
    if (!str_eqc(ev->type, "container") || !str_eqc(ev->action, "start"))
        return 0;
    assert_true(str_eqc(json_str(json_get(ev->attributes, "name")), "web"));
    assert_true(ev->time > 0);
    return 7;
}

static void *stop_it(void *follow)
{
    docker_follow_stop(follow);
    return NULL;
}

static void live_events(void **state)
{
    _cleanup_(docker_closep) struct docker *d = engine();
    _cleanup_(docker_follow_closep) struct docker_follow *f = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(docker_follow_open(d, &f, &e), 0);
    assert_int_equal(docker_follow_run(f, time_now() - 3600 * TIME_SECOND, first_start, NULL, &e), 7);
    pthread_t t;
    pthread_create(&t, NULL, stop_it, f);
    assert_int_equal(docker_follow_run(f, 0, first_start, NULL, &e), -ECANCELED);
    pthread_join(t, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),  cmocka_unit_test(urls),        cmocka_unit_test(live_facts),
        cmocka_unit_test(live_images), cmocka_unit_test(live_export), cmocka_unit_test(live_containers),
        cmocka_unit_test(live_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
