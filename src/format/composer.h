/* composer: PHP packages: composer.lock, and vendor/composer/installed.json (a list, or an object with one since 2.0).
 * Packages for development only are left out of the lock, those that are installed count.
 * Format: https://getcomposer.org/doc/01-basic-usage.md; composer
 * src/Composer/Repository/InstalledFilesystemRepository.php
 */
#ifndef BULKHEAD_FORMAT_COMPOSER_H
#define BULKHEAD_FORMAT_COMPOSER_H

#include "format/package.h"

int composer_packages(struct package_list *list, struct str path, struct str text, struct err *e); /* either */

#endif
