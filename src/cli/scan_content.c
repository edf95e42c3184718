#include "cli/scan_content.h"

#include <unistd.h>

int scan_content_open(struct arena *a, struct scan_content *c, struct scan_opts *so, struct err *e)
{
    struct probe_setup *p = &so->probes;
    int r = 0;
    c->session.fd = -1;
    if (c->no_secrets)
        p->off |= 1u << PROBE_secrets;
    if (c->no_checks)
        p->off |= 1u << PROBE_checks;
    if (c->yara_n && (r = malware_load(c->yara, c->yara_n, &c->malware, e)) < 0)
        return err_wrap(e, "--yara"), r;
    if (c->clamd && (r = clamd_connect(c->clamd, &c->session.fd, e)) < 0)
        return r;
    if (c->clamd) {
        pthread_mutex_init(&c->session.lock, NULL);
        p->clamd = &c->session;
    }
    p->malware = c->malware;
    if (c->malware || c->clamd)
        p->key = arena_strf(a, "m" STR_FMT "%s", STR_ARG(c->malware ? malware_revision(c->malware) : STR("")),
                            c->clamd ? "c" : "");
    return 0;
}

void scan_content_close(struct scan_content *c)
{
    malware_free(c->malware);
    if (c->clamd && c->session.fd >= 0)
        close(c->session.fd);
}
