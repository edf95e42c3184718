/* routes: the tables, expanded. */
#include "base/limits.h"
#include "console/console.h"

#define ROUTE(method, pattern, handler, permission, flags, body)                                                       \
    {method, pattern, handler, PERMISSION_##permission, flags, body},
const struct httpd_route console_routes[] = {
#include "console/routes.tbl.h"
};
#undef ROUTE
#define AGENT_ROUTE(method, pattern, handler, permission, flags, body)                                                 \
    {method, pattern, handler, PERMISSION_##permission, flags, body},
const struct httpd_route console_agent_routes[] = {
#include "console/routes.tbl.h"
};
#undef AGENT_ROUTE

size_t console_routes_count(void)
{
    return ARRAY_LEN(console_routes);
}
size_t console_agent_routes_count(void)
{
    return ARRAY_LEN(console_agent_routes);
}

#define PERMISSION(id, name, ...) {name, {__VA_ARGS__}},
static const struct {
    const char *name;
    bool given[ROLES];
} permissions[] = {
#include "console/permissions.tbl.h"
};
#undef PERMISSION

const char *permission_name(enum permission p)
{
    return permissions[p].name;
}
bool permission_given(enum permission p, enum role r)
{
    return permissions[p].given[r];
}

static const char *const roles[ROLES] = {"admin", "operator", "auditor", "ci"};

const char *role_name(enum role r)
{
    return roles[r];
}

int role_parse(struct str s, enum role *ret, struct err *e)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (str_eqc(s, roles[i])) {
            *ret = i;
            return 0;
        }
    return err_set(e, EINVAL, "role: expected admin, operator, auditor or ci");
}
