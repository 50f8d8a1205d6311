/* Qualified names: `metric tag=value,tag=value`, tags sorted by key; the one name space.
 *
 * Canonical form: the metric, and if there are tags one space and the tags as key=value joined by commas, sorted by
 * key, each key once. In metric, keys and values a backslash escapes space, comma, = and \ and * itself ("\*" is a
 * star, a bare star is a wildcard and stands only in patterns). A name has no bytes below 0x20, is valid UTF-8, and has
 * at most YD_NAME_SIZE_MAX bytes and YD_NAME_TAGS_MAX tags. A tag may have an empty value ("k="). Any thread. */
#ifndef YARDER_NAME_H
#define YARDER_NAME_H

#include <yarder/batch.h>

#define YD_NAME_TAGS_MAX 64

struct yd_tag {
    struct yd_str key, value; /* as escaped in the name */
};
struct yd_name {
    struct yd_str metric;
    uint32_t tag_count;
    bool sorted; /* tags in canonical order, no duplicates */
    struct yd_tag tags[YD_NAME_TAGS_MAX];
};

/* Splits a name; slices point into `text`, still escaped. Tags may come unsorted, with spaces around delimiters.
 * YD_EFORMAT, YD_ETOOBIG. *ret_offset (may be NULL) is where it went wrong. */
int yd_name_parse(struct yd_str text, struct yd_name *ret_name, size_t *ret_offset);
/* Writes the canonical form: sorts; a key given twice with the same value collapses, with another one is YD_EDUP.
 * `to` holds YD_NAME_SIZE_MAX bytes. */
int yd_name_format(const struct yd_name *name, char *to, size_t *ret_size);
/* parse + format. */
int yd_name_canonical(struct yd_str text, char *to, size_t *ret_size);
/* Escapes / unescapes one component. `to` holds twice the size. */
size_t yd_name_escape(struct yd_str component, char *to);
size_t yd_name_unescape(struct yd_str component, char *to);

/* Patterns: `metric-glob [tag=glob,…]`, globs of * and ? only. A pattern without tags matches a name with any tags
 * ("cpu *" and "cpu" both do); with tags, those must be there and match, others may be too unless the pattern ends in
 * ",!" (exactly these). `*` alone matches everything. Compile once, match often; matching allocates nothing. */
struct yd_pattern;
int yd_pattern_compile(struct yd_str text, struct yd_pattern **ret_pattern);
void yd_pattern_destroy(struct yd_pattern *pattern);
bool yd_pattern_match(const struct yd_pattern *pattern, struct yd_str canonical_name);
/* What every canonical name that matches begins with, perhaps nothing. The pattern's own bytes. */
struct yd_str yd_pattern_prefix(const struct yd_pattern *pattern);

#endif
