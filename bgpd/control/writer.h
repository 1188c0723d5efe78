/* One writer for every show: text or JSON from the same calls. JSON goes out as it is written (scalars by
 * jansson), so the size of a table never sits in memory; text is for the handler to lay out with writer_text.
 * Output goes to a sink that may ask for a pause: a handler that walks a table checks writer_full between
 * items and goes on later. */
#ifndef UNDERLAY_WRITER_H
#define UNDERLAY_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "prefix.h"

struct evbuffer;
struct writer;
struct writer *writer_new(struct evbuffer *out, bool json); /* borrows out */
void writer_free(struct writer *w);
bool writer_json(const struct writer *w);
bool writer_full(const struct writer *w); /* more than 64 KiB wait in the sink */

/* JSON; no-ops in text mode. key NULL inside arrays and for the root. */
void writer_object(struct writer *w, const char *key);
void writer_array(struct writer *w, const char *key);
void writer_end(struct writer *w);
void writer_str(struct writer *w, const char *key, const char *v);
void writer_int(struct writer *w, const char *key, int64_t v);
void writer_uint(struct writer *w, const char *key, uint64_t v);
void writer_bool(struct writer *w, const char *key, bool v);
void writer_null(struct writer *w, const char *key);
void writer_addr(struct writer *w, const char *key, const struct ip_addr *a);
void writer_prefix(struct writer *w, const char *key, const struct prefix *p);

/* Text; no-op in JSON mode. */
void writer_text(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
