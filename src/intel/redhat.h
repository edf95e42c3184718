/* redhat: the streams of Red Hat's products, by their CPE.
 *
 *     cpe:/o:redhat:enterprise_linux:9::baseos  -> redhat/9            what an image gets by default
 *     cpe:/a:redhat:rhel_eus:9.2::appstream     -> redhat/9.2-eus      (also aus, tus, e4s, els)
 *     cpe:/a:redhat:openshift:4.14::el9         -> redhat/openshift:4.14
 */
#ifndef BULKHEAD_INTEL_REDHAT_H
#define BULKHEAD_INTEL_REDHAT_H

#include "base/arena.h"

struct str redhat_space(struct arena *a, struct str cpe); /* empty: not Red Hat's, or no version */

#endif
