/* image_config: the config JSON of an image (image-spec v1.1 config.md; Docker's image JSON is the same), as facts for
 * policies, and the content its layers must have.
 */
#ifndef BULKHEAD_SCAN_IMAGE_CONFIG_H
#define BULKHEAD_SCAN_IMAGE_CONFIG_H

#include "format/json.h"
#include "policy/finding.h"

struct image_layers {
    struct str *diff_ids;   /* sha256:HEX, lowest first */
    struct str *created_by; /* as many; empty where the history does not tell */
    size_t n;
    struct str *history; /* every line, also of steps that made no layer */
    size_t history_n;
};

/* The document as stored in the image. -EBADMSG also where engines could read something else than we (keys that
 * differ only in case). Strings borrow from text or live in the arena. */
int image_config_parse(struct arena *a, struct str text, struct image_config *config, struct image_layers *layers,
                       struct err *e);

/* The facts as the member "config" of reports: one object. */
void image_config_write(struct json_writer *w, const struct image_config *c);
int image_config_read(struct arena *a, const struct json_value *v, struct image_config *ret, struct err *e);

/* Array of strings, capped; absent and null are empty. */
int scan_strings(struct arena *a, const struct json_value *v, const char *what, struct str **ret, size_t *ret_n,
                 struct err *e);
void scan_strings_write(struct json_writer *w, const char *key, const struct str *s, size_t n);

#endif
