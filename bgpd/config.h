/* The configuration: underlay.yaml as one plain struct with every value resolved (templates applied, defaults
 * filled in). Parsed from memory, never changed afterwards: a reload builds another one and asks config_diff
 * what that means. Times in ms, ports and router id in host order. See underlay.yaml(5) for the keys. */
#ifndef UNDERLAY_CONFIG_H
#define UNDERLAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_kube.h"
#include "log.h"
#include "prefix.h"
#include "rib/export.h"
#include "wire/role.h"

#define CONFIG_MAX_BYTES    (1u << 20)
#define CONFIG_MAX_PEERS    65000
#define CONFIG_MAX_PASSWORD 80 /* TCP_MD5SIG_MAXKEYLEN */

enum asn_kind { ASN_NUMBER, ASN_EXTERNAL, ASN_INTERNAL };
enum import_mode { IMPORT_ALL, IMPORT_NONE, IMPORT_BY_POLICY };
enum on_stop { ON_STOP_WITHDRAW, ON_STOP_PRESERVE };
enum peer_kind { PEER_BY_ADDRESS, PEER_BY_INTERFACE, PEER_BY_RANGE };
enum limit_action { LIMIT_RESTART, LIMIT_STOP, LIMIT_WARN };

/* As in the capability, RFC 7911 section 4. */
enum add_path_mode { ADD_PATH_NONE, ADD_PATH_RECEIVE, ADD_PATH_SEND, ADD_PATH_BOTH };

struct policy;     /* policy.h */
struct config_set; /* config_policy.h */

struct peer_config {
    enum peer_kind kind;
    struct ip_addr address; /* PEER_BY_ADDRESS, else af 0 */
    char interface[16];     /* PEER_BY_INTERFACE, else "" */
    struct prefix range;    /* PEER_BY_RANGE: who connects from it becomes a peer, passive */
    uint32_t limit;         /* of PEER_BY_RANGE: so many at the same time */
    uint32_t
        asn; /* ASN_NUMBER: as given; ASN_INTERNAL: local_asn; ASN_EXTERNAL: 0, any other than local_asn */
    enum asn_kind asn_kind;
    char *description; /* never NULL */
    uint16_t port;
    struct ip_addr local_address; /* af 0: the kernel's choice */
    uint32_t local_asn;           /* what we are to this peer, in OPEN and AS_PATH; router.asn unless given */
    bool passive;
    bool shutdown;
    char password[CONFIG_MAX_PASSWORD +
                  1];           /* "": none. From password or the content of password_file. Secret */
    char *password_file;        /* NULL: none */
    uint8_t ttl_security;       /* GTSM hops; 0: off */
    uint8_t multihop;           /* TTL; 0: off, an eBGP peer is directly connected */
    uint32_t hold_time_ms;      /* 0 or 3 s and more, whole seconds */
    uint32_t keepalive_time_ms; /* a third of hold_time_ms unless given; use the lesser of this and a third of
                                 * the negotiated hold time */
    uint32_t connect_retry_time_ms;
    uint32_t idle_hold_time_ms;
    uint32_t idle_hold_max_ms;   /* >= idle_hold_time_ms */
    uint32_t send_hold_time_ms;  /* 0: the greater of 480 s and twice the negotiated hold time (RFC 9687) */
    bool families[FAM_COUNT];    /* at least one */
    uint8_t allow_own_as;        /* occurrences of our AS accepted in a received AS_PATH */
    enum add_path_mode add_path; /* RFC 7911 */
    bool extended_nexthop;       /* RFC 8950 */
    enum bgp_role role;
    struct {
        bool on;
        uint32_t interval_ms; /* 300 ms: DesiredMinTxInterval and RequiredMinRxInterval (RFC 5880) */
        uint8_t multiplier;   /* 3 */
        bool strict;          /* no BGP session before BFD is up */
    } bfd;
    bool blackhole; /* RFC 7999: host routes with the BLACKHOLE community become blackhole routes */
    struct {
        uint32_t most[FAM_COUNT];  /* 0: no limit; counted as received, filtered included */
        uint8_t warn_percent;      /* 75 */
        enum limit_action action;  /* restart */
        uint32_t restart_after_ms; /* 60 s */
    } max_prefixes;
    enum import_mode import;
    enum export_mode export;
    char *import_policy, *export_policy;              /* names, NULL unless the mode is ..._BY_POLICY */
    const struct policy *import_rules, *export_rules; /* the policies of these names; of struct config */
};

struct config_vip {
    struct prefix prefix;
    struct config_communities communities;
    bool has_med;
    uint32_t med;
    uint32_t weight; /* sent as link bandwidth, so many Mbit/s; 0: none */
    bool bind_lo;    /* a host prefix then */
};

/* Where to listen. port 0: nowhere. */
struct endpoint {
    struct ip_addr addr;
    uint16_t port;
};

struct config {
    bool watch; /* reload when the file changes */
    struct {
        uint32_t asn; /* 0: left to an annotation of the node that is not there; then there are no peers */
        uint32_t id;  /* 0: to be chosen from the node's addresses */
        struct ip_addr *listen;
        unsigned n_listen; /* 0: never listens */
        uint16_t port;
        uint8_t multipath; /* 1..64 */
        bool multipath_as_path_relax;
        bool always_compare_med, med_missing_as_worst; /* router.med */
        struct {
            bool enabled;
            uint32_t restart_time_ms; /* told to peers, whole seconds, at most 4095 s (RFC 4724 section 3) */
            uint32_t stale_time_ms;   /* how long what a restarting peer told us is kept at most */
            uint32_t long_lived_ms;   /* RFC 9494; 0: off */
        } graceful_restart;
        enum on_stop on_stop;
    } router;
    struct peer_config *peers; /* in the order of the file; none twice by peer_config_cmp */
    unsigned n_peers;
    struct {
        struct prefix *pod_cidrs; /* do not overlap */
        struct config_vip *vips;  /* prefixes are unique */
        char **interfaces;
        unsigned n_pod_cidrs, n_vips, n_interfaces;
        struct config_kube kube;
    } advertise;
    struct config_cni cni;
    struct policy **policies; /* in the order of the file; names are unique */
    unsigned n_policies;
    struct config_set *sets; /* as written; the policies hold what they stand for */
    unsigned n_sets;
    struct {
        bool install;
        bool accept_default;
        uint8_t protocol;
        uint32_t table;
        uint32_t metric;
        struct ip_addr prefsrc[FAM_COUNT]; /* af 0: the kernel's choice */
    } fib;
    struct {
        char *socket;
        char *group;
    } control;
    struct {
        struct endpoint listen;
    } metrics;
    struct {
        enum log_level level;
        enum log_format format;
        enum log_target target;
    } log;
};

static inline bool peer_config_is_ibgp(const struct config *c, const struct peer_config *p)
{
    (void)c;
    return p->asn_kind != ASN_EXTERNAL && p->asn == p->local_asn;
}
/* The order of what peers are known by, kind after kind: 0 for one and the same peer in two configurations.
 */
int peer_config_cmp(const struct peer_config *a, const struct peer_config *b);
const struct peer_config *config_find_peer(const struct config *c,
                                           const struct ip_addr *address); /* or NULL */

struct config_overlay; /* config_overlay.h */

/* How config_load reads a password file. Puts at most size bytes into buf and what there was into *len (more
 * than size: too long). Returns 0 or -errno; -ENOKEY: a file that was not named when the daemon started,
 * which needs a restart. */
struct config_files {
    int (*read)(void *arg, const char *path, char *buf, size_t size, size_t *len);
    void *arg;
    const struct config_overlay *overlay; /* settings of this node that are not in the file; NULL: none */
};
/* For processes that may open files themselves (--check, the speaker while it is root). arg is not used. */
int config_read_file(void *arg, const char *path, char *buf, size_t size, size_t *len);

/* Errors of one load, in the order of the file. Each line: "FILE:LINE:COL: KEY: what is wrong, and what would
 * be right", without a newline. Zero-initialise. */
#define CONFIG_MAX_ERRORS 50
struct config_errors {
    struct config_error {
        unsigned line, col;
        char *text;
    } list[CONFIG_MAX_ERRORS];
    unsigned n;     /* in list */
    unsigned total; /* found; those beyond the list are only counted */
};
void config_errors_reset(struct config_errors *e);
/* All of them, one a line, and "... and N more" when there were more. The caller frees it; NULL: out of
 * memory. */
char *config_errors_text(const struct config_errors *e);

/* name is for the messages. 0 and *out (the caller's, config_free), -EINVAL with at least one error, -ENOMEM.
 */
int config_load(const char *name, const char *text, size_t len, const struct config_files *files,
                struct config_errors *errors, struct config **out);
void config_free(struct config *c); /* wipes the secrets; NULL is a no-op */

/* What has to be done about a peer that is in both configurations. */
enum {
    PEER_DIFF_RESET = 0x01,    /* the session must start anew */
    PEER_DIFF_REIMPORT = 0x02, /* import or allow-own-as: judge what was received again */
    PEER_DIFF_REEXPORT = 0x04, /* export */
    PEER_DIFF_ADMIN = 0x08,    /* shutdown */
    PEER_DIFF_OTHER = 0x10,    /* taken over as it is: description, passive, timers of the next attempt */
};
/* 0: the same. *key (may be NULL) gets the first key that forces a reset, else the first that differs, for
 * the log. */
unsigned peer_config_diff(const struct peer_config *before, const struct peer_config *after,
                          const char **key);

/* For a comparison with a configuration of another process: of the keys that force a reset (PEER_DIFF_RESET)
 * the one of number i, and a digest of its value. *key NULL: there are not so many. */
uint64_t peer_config_digest(const struct peer_config *c, unsigned i, const char **key);

enum {
    CONFIG_DIFF_ASN = 0x01, /* router.asn, router.id: all sessions start anew */
    CONFIG_DIFF_ID = 0x02,
    CONFIG_DIFF_DECISION = 0x04, /* router.multipath, router.multipath-as-path-relax, router.med */
    CONFIG_DIFF_ADVERTISE = 0x08,
    CONFIG_DIFF_LOG = 0x10,
    CONFIG_DIFF_PEERS = 0x20,    /* added, removed or changed */
    CONFIG_DIFF_RESTART = 0x40,  /* a key in `restart` */
    CONFIG_DIFF_GRACEFUL = 0x80, /* router.graceful-restart: of the next session and the next loss of one */
    CONFIG_DIFF_WATCH = 0x100,   /* watch */
};
struct config_diff {
    unsigned changes;  /* CONFIG_DIFF_* */
    char restart[256]; /* keys that only a full restart applies: "fib.metric, control.socket"; else "" */
    struct config_peer_diff {
        const struct peer_config *before, *after; /* before NULL: added; after NULL: removed */
        unsigned changes;                         /* PEER_DIFF_*, when both are there */
        const char *key;
    } * peers; /* only those that differ; removed ones first. Borrow from both configurations */
    unsigned n_peers;
};
/* 0 or -ENOMEM. Free what it holds with config_diff_reset. */
int config_diff(const struct config *before, const struct config *after, struct config_diff *out);
void config_diff_reset(struct config_diff *d);

/* The configuration in force as YAML: required keys and those that differ from their default, passwords as
 * "<hidden>". With these put back it loads to the same configuration. The caller frees it; NULL: out of
 * memory. */
char *config_print(const struct config *c);

#endif
