/* What the commands share: looking peers up, families, times, columns; and the handlers themselves, one a
 * command, called by exec_step until they return EXEC_DONE. */
#ifndef UNDERLAY_SHOW_H
#define UNDERLAY_SHOW_H

#include <stdint.h>

#include "control/exec.h"
#include "peer.h"
#include "rib/rib.h"

#define SHOW_WIDTH 80

/* The peer that the command's PEER names, by address or description; NULL: exec_fail was called. */
struct peer *show_find_peer(struct exec *e);
/* The families that the command is about: those it names, else both ("ip" alone: IPv4). */
void show_families(const struct exec *e, bool family[FAM_COUNT]);
/* "01:02:03", "1d02h03m", "02w3d04h", as FRR. */
#define UPTIME_STRLEN 16
const char *show_uptime(uint64_t ms, char buf[UPTIME_STRLEN]);
/* "1 second", "8 seconds": rounded up. */
const char *show_seconds(uint64_t ms, char buf[24]);
/* "10.0.0.11" from host order. */
const char *show_router_id(uint32_t id, char buf[ADDR_STRLEN]);
/* Words of text from column `at` on, going on in the next line at the indent where it would pass 80; ends the
 * line. */
void show_wrap(struct writer *w, unsigned at, unsigned indent, const char *text);
/* The state as FRR's summary has it: "Idle (Admin)", "Active", "Established". */
const char *show_peer_state(const struct peer_info *i);
/* A session or an attempt that came as far as BGP has ended: there is a last reset to speak of. */
bool show_was_reset(const struct peer_info *i);
/* One line on why a session is not up. Returns buf. */
const char *show_peer_why(const struct peer *p, const struct peer_info *i, char *buf, size_t size);

/* What to look at then; "" when nothing is known. Borrows from i. */
const char *show_peer_hint(const struct peer *p, const struct peer_info *i);

/* "connected", "conflict with another protocol's route", …: errors of rib_fib_error. */
const char *show_fib_error(int32_t error);
const char *show_fib_hint(int32_t error); /* a clause that explains it */

/* A path as tables and details show it. */
struct path_view {
    const struct rib_path *path;
    const struct attr *attr;
    const struct rib_peer *from;   /* NULL: originated here */
    const struct nexthop *nexthop; /* NULL: originated here */
    bool valid, stale;
    uint32_t index, id; /* in the slab of paths; as it came, RFC 7911 */
    uint32_t sent_id;   /* for who lists what was advertised */
};
struct path_view show_path(const struct rib *r, enum family f, uint32_t path);
/* The next hop in use; all zero for originated routes, as FRR. */
struct ip_addr show_nexthop(const struct path_view *v, enum family f);
const char *show_path_peer(const struct path_view *v,
                           char buf[ADDR_STRLEN]); /* "(unspec)" for originated ones */
/* Why the import refused it: with the rule, if a policy did. Returns buf. */
const char *show_refusal(const struct exec *e, enum family f, const struct prefix *prefix,
                         const struct path_view *v, char *buf, size_t size);
/* The array "nexthops". next: what is shown instead of the path's own (advertised routes), NULL none. */
void json_nexthops(struct exec *e, const struct path_view *v, enum family f, const struct ip_addr *next);
#define AS_PATH_STRLEN 4096

/* A small table whose columns are as wide as what is in them. The last column is left-aligned; it wraps or is
 * cut.
 */
#define TABLE_COLUMNS 10
#define TABLE_CELL    160
struct table {
    unsigned columns, rows, room;
    bool cut_last;
    char (*cells)[TABLE_COLUMNS][TABLE_CELL];
};
bool table_add(struct table *t, const char *const *cells); /* false: out of memory */
void table_print(struct table *t, struct writer *w);       /* the first row is the heading; empties it */

/* A line on the drain, when there is one; JSON: the object "draining". */
void show_drain(struct exec *e);
enum exec_result show_summary(struct exec *e);
enum exec_result show_neighbors(struct exec *e);
enum exec_result show_peer_routes(struct exec *e); /* advertised, received, filtered */
enum exec_result show_bgp(struct exec *e);
enum exec_result show_prefix(struct exec *e); /* show_bgp with a prefix */
enum exec_result show_kernel(struct exec *e);
enum exec_result show_policy(struct exec *e);
enum exec_result show_bfd_peers(struct exec *e);
enum exec_result show_kubernetes(struct exec *e);
enum exec_result show_running(struct exec *e);
enum exec_result show_memory(struct exec *e);
enum exec_result show_version(struct exec *e);

enum exec_result change_clear(struct exec *e);
enum exec_result change_advertise(struct exec *e);
enum exec_result change_withdraw(struct exec *e);
enum exec_result change_shutdown(struct exec *e); /* and its opposite */
enum exec_result change_drain(struct exec *e);    /* and the graceful shutdown alone */
enum exec_result change_undrain(struct exec *e);
enum exec_result change_reload(struct exec *e);
enum exec_result change_restart(struct exec *e);
enum exec_result change_debug(struct exec *e);
enum exec_result show_debug(struct exec *e);
enum exec_result change_log_level(struct exec *e);

static inline bool show_given(const char *text)
{
    return text && *text;
}

#endif
