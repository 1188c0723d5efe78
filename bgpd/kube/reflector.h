/* One kind of objects, kept in step with the API server: list in pages, then watch from there, again and
 * again. Reconnects with jittered back-off from the last resourceVersion; a resourceVersion that the server
 * no longer has (410, as status or as event) means a new list, during which nothing is taken away. */
#ifndef UNDERLAY_KUBE_REFLECTOR_H
#define UNDERLAY_KUBE_REFLECTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum kube_kind { KUBE_NODES, KUBE_SERVICES, KUBE_SLICES, KUBE_KINDS };

struct loop;
struct kube_client;
struct reflector;

/* Between list_begin and list_end come all objects there are; what did not come is gone by list_end. A list
 * that broke off is followed by another list_begin without a list_end. Objects are borrowed. A reflector may
 * be told to relist from inside, but not be freed. */
struct reflector_ops {
    void (*list_begin)(void *arg, enum kube_kind kind);
    void (*list_end)(void *arg, enum kube_kind kind);
    void (*put)(void *arg, enum kube_kind kind, const json_t *object);  /* listed, ADDED or MODIFIED */
    void (*gone)(void *arg, enum kube_kind kind, const json_t *object); /* DELETED */
    void (*changed)(void *arg, enum kube_kind kind); /* current, or no longer, or an attempt failed */
};

/* Zero: the defaults. For tests. */
struct reflector_times {
    uint32_t retry_min_ms, retry_max_ms; /* 500, 30000 */
    uint32_t watch_ms; /* 240000; asked of the server as timeoutSeconds, plus up to a quarter */
    uint32_t grace_ms; /* 15000; beyond which a watch has stalled; four of them for a list without a byte */
};
/* field_selector: "metadata.name=NAME", or NULL. Borrows c. NULL: out of memory. */
struct reflector *reflector_new(struct loop *l, struct kube_client *c, enum kube_kind kind,
                                const char *field_selector, const struct reflector_times *times,
                                const struct reflector_ops *ops, void *arg);
void reflector_free(struct reflector *r);
void reflector_start(struct reflector *r);
void reflector_relist(
    struct reflector *r); /* what is known must be seen anew: the filter of what is kept has changed */

/* Another has got through: what waits for its next attempt does not wait for long any more. */
void reflector_hurry(struct reflector *r);

enum reflector_state { REFLECTOR_IDLE, REFLECTOR_LISTING, REFLECTOR_WATCHING, REFLECTOR_WAITING };
struct reflector_info {
    enum reflector_state state;
    bool listed;               /* once complete, in this process */
    bool current;              /* listed, and the watch stands: what is known is what there is */
    uint64_t heard_ms;         /* the last byte, by loop_now_ms; 0 never */
    uint64_t current_until_ms; /* when `current` ended; 0 when it is, or never was */
    uint32_t retry_ms;         /* until the next attempt; 0 none is waited for */
    char version[64];          /* resourceVersion, "" none */
    char error[256];           /* why the last attempt ended; "" none since it is current */
    unsigned attempts;         /* that failed in a row */
    struct {
        uint64_t lists, watches, events, bookmarks, gone, stalls, malformed, failures, bytes;
    } count;
};
void reflector_info(const struct reflector *r, struct reflector_info *out);

#endif
