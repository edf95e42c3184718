/* pypi: Python distributions that are installed, and what requirement and lock files pin.
 * Formats: https://packaging.python.org/en/latest/specifications/core-metadata/ (METADATA, PKG-INFO); PEP 508 for
 * requirements; poetry.lock, uv.lock and pdm.lock (TOML, [[package]]); Pipfile.lock (JSON).
 */
#ifndef BULKHEAD_FORMAT_PYPI_H
#define BULKHEAD_FORMAT_PYPI_H

#include "format/package.h"

int pypi_metadata(struct package_list *list, struct str path, struct str text, struct err *e);
int pypi_requirements(struct package_list *list, struct str path, struct str text, struct err *e); /* == only */
int pypi_lock(struct package_list *list, struct str path, struct str text, struct err *e);         /* TOML */
int pypi_pipfile(struct package_list *list, struct str path, struct str text, struct err *e);

#endif
