/* rubygems: installed gems (specifications/NAME-VERSION.gemspec, Ruby that RubyGems writes itself) and Gemfile.lock.
 * Formats: rubygems lib/rubygems/specification.rb (to_ruby); bundler lib/bundler/lockfile_parser.rb.
 */
#ifndef BULKHEAD_FORMAT_RUBYGEMS_H
#define BULKHEAD_FORMAT_RUBYGEMS_H

#include "format/package.h"

int rubygems_spec(struct package_list *list, struct str path, struct str text, struct err *e);
/* Gems from servers and repositories; the project's own (PATH) are left out, and so are platforms ("-x86_64-linux"). */
int rubygems_lock(struct package_list *list, struct str path, struct str text, struct err *e);

#endif
