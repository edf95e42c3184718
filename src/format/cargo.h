/* cargo: Rust crates out of Cargo.lock and out of programs built with cargo-auditable (section ".dep-v0": zlib-packed
 * JSON). Formats: https://doc.rust-lang.org/cargo/reference/resolver.html (Cargo.lock, versions 1 to 4);
 * rust-secure-code/cargo-auditable, PARSING.md.
 */
#ifndef BULKHEAD_FORMAT_CARGO_H
#define BULKHEAD_FORMAT_CARGO_H

#include "base/err.h"
#include "format/package.h"

/* Crates from registries and repositories; the project's own are left out. */
int cargo_lock(struct package_list *list, struct str path, struct str text, struct err *e);
/* Content of the section. What was only needed to build is left out. */
int cargo_audit(struct package_list *list, struct str section, struct err *e);

#endif
