/* attested: a verdict of a pipeline in STATE/attestations/ID.json (scan/attestation.h), for an image that was not
 * scanned here. It counts when every policy that selects the image trusts one of its signatures, it is not from the
 * future, not older than `attested_for`, and still valid. A file that does not hold up is as good as none. */
#ifndef BULKHEAD_GATE_ATTESTED_H
#define BULKHEAD_GATE_ATTESTED_H

#include "gate/decision.h"

/* 0, or -ENOENT: there is none that counts. ret_by: the attester's name. */
int attested_verdict(struct arena *a, const char *state, const struct policy_set *set, const struct gate_question *q,
                     const struct str *names, size_t names_n, struct verdict *ret, struct str *ret_by);

/* Take an attestation into the state directory: its structure is checked, its signatures when a verdict is needed. */
int attested_add(const char *state, const char *file, char image_id[static 72], struct err *e);

#endif
