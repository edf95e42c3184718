/* registry, inside: registry.c transfers, registry_auth.c logs in. */
#ifndef BULKHEAD_ENGINE_REGISTRY_INTERNAL_H
#define BULKHEAD_ENGINE_REGISTRY_INTERNAL_H

#include "engine/registry.h"
#include "net/http.h"

#include <pthread.h>

struct endpoint {
    struct str base;      /* "https://HOST[/PREFIX]" */
    struct image_ref ref; /* its host and our repository */
    bool plain_possible;  /* localhost without TLS set up: http when https does not answer */
    /* under registry.lock */
    bool probed;
    char *authorization; /* value of the header; NULL: none was asked for yet */
    unsigned logins;     /* how often it was made */
};

struct registry {
    struct arena *a;
    struct image_ref ref;
    struct registry_opts o;
    const char *ca, *cert, *key; /* of the registry itself */
    struct endpoint *endpoints;  /* mirrors first */
    size_t endpoints_n;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool cancelled;
    struct registry_conn *conns;
};

struct registry_conn {
    struct registry *reg;
    struct http **https; /* one for each endpoint, and one for everybody else */
    struct registry_conn *next;
};

/* A WWW-Authenticate header, taken apart. */
struct registry_challenge {
    struct str scheme, realm, service, scope;
};
void registry_challenge(struct arena *a, struct str header, struct registry_challenge *ret);

struct str url_origin(struct str url); /* "https://host:port" */
/* Answer a 401: makes the endpoint's authorization. `seen`: the number of logins when the request was made, so that of
 * several threads one logs in. */
int registry_login(struct registry_conn *c, size_t endpoint, struct str challenge, unsigned seen, struct err *e);

void registry_probe(struct registry_conn *c, size_t endpoint);       /* localhost: https first, as Docker does */
int registry_wait(struct registry *r, int64_t pause, struct err *e); /* -ECANCELED */
int64_t registry_asked_pause(const struct http_response *s);         /* Retry-After; 0 none */

#endif
