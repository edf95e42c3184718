/* nuget: .NET packages: APP.deps.json that is published with a program, and packages.lock.json. Projects of the
 * solution itself are left out.
 * Formats: dotnet/sdk documentation/specs/runtime-configuration-file.md; NuGet/Home wiki, "Enable repeatable package
 * restore using a lock file"
 */
#ifndef BULKHEAD_FORMAT_NUGET_H
#define BULKHEAD_FORMAT_NUGET_H

#include "format/package.h"

int nuget_deps(struct package_list *list, struct str path, struct str text, struct err *e);
int nuget_lock(struct package_list *list, struct str path, struct str text, struct err *e);

#endif
