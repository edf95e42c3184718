/* java: Maven artifacts in jar, war and ear files, nested ones too (path "app.war!/WEB-INF/lib/a.jar").
 *
 * Identity comes from META-INF/maven/.../pom.properties (several in a jar that others were put into); without one, from
 * the manifest (Implementation-*, Bundle-*); without that, from the file's name, with an empty group, so that no feed
 * matches it. Formats: https://docs.oracle.com/en/java/javase/17/docs/specs/jar/jar.html; Maven's archiver.
 */
#ifndef BULKHEAD_FORMAT_JAVA_H
#define BULKHEAD_FORMAT_JAVA_H

#include "format/package.h"

/* package.path is set. What is nested and damaged is passed over; the archive itself being none is -EBADMSG. */
int java_archive(struct package_list *list, struct str path, struct str bytes, struct err *e);

#endif
