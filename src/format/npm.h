/* npm: packages installed below node_modules, and the lock files of npm, yarn and pnpm. What a lock file marks as
 * needed for development only, links to local folders and the project itself are left out. Formats:
 * https://docs.npmjs.com/cli/configuring-npm/package-json and package-lock-json (versions 1 to 3); yarnpkg/yarn
 * src/lockfile (v1); yarnpkg/berry (YAML that it writes itself); pnpm/spec lockfile/5.x to 9.0.
 */
#ifndef BULKHEAD_FORMAT_NPM_H
#define BULKHEAD_FORMAT_NPM_H

#include "format/package.h"

int npm_installed(struct package_list *list, struct str path, struct str text, struct err *e); /* package.json */
int npm_lock(struct package_list *list, struct str path, struct str text, struct err *e);
int npm_yarn(struct package_list *list, struct str path, struct str text, struct err *e);
int npm_pnpm(struct package_list *list, struct str path, struct str text, struct err *e);

#endif
