/* show ip route, show ipv6 route: first what the kernel has of ours, in its own order and streamed from its
 * dump, then what the RIB wants there and the kernel does not have, with the reason. JSON is named as `ip
 * -json route` names it, plus `state`, and `reason` where it is not "installed". */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kernel_routes.h"
#include "control/show.h"
#include "control/walk.h"
#include "fibclient.h"
#include "speaker.h"

struct kernel_show {
    enum family family;
    bool filtered, by_address, found;
    struct prefix want;       /* an address as a host prefix */
    struct kernel_dump *dump; /* NULL: that part is over */
    struct walk *walk;
    uint32_t installed, missing;
    struct kernel_route route, best; /* best: longest match so far */
};

static void show_drop(struct exec *e)
{
    struct kernel_show *k = e->state;
    if (k) {
        kernel_dump_free(k->dump);
        walk_free(k->walk);
    }
    free(k);
}

/* "underlay" for our own number, as etc/rt_protos.d names it; another number as it is. */
static const char *protocol_name(const struct exec *e, char buf[16])
{
    unsigned number = e->s->config->fib.protocol;
    snprintf(buf, 16, "%u", number);
    return number == 87 ? "underlay" : buf;
}

/* As ip prints it: "default", a bare address for host prefixes. */
static const char *destination(const struct prefix *p, char buf[PREFIX_STRLEN])
{
    if (prefix_is_default(p))
        return strcpy(buf, "default");
    if (prefix_is_host(p))
        return addr_format(&p->addr, buf);
    return prefix_format(p, buf);
}

static const char *device(const struct exec *e, uint32_t ifindex, char buf[IF_NAMESIZE])
{
    const struct fib_link *link = fibclient_link(e->s->fib, ifindex);
    if (link)
        snprintf(buf, IF_NAMESIZE, "%s", link->name);
    else if (!if_indextoname(ifindex, buf))
        snprintf(buf, IF_NAMESIZE, "if%" PRIu32, ifindex);
    return buf;
}

static const struct {
    unsigned bit;
    const char *name;
} flag_names[] = {{RTNH_F_DEAD, "dead"},         {RTNH_F_PERVASIVE, "pervasive"},
                  {RTNH_F_ONLINK, "onlink"},     {RTNH_F_OFFLOAD, "offload"},
                  {RTNH_F_LINKDOWN, "linkdown"}, {RTNH_F_UNRESOLVED, "unresolved"}};

static const char *type_name(uint8_t type)
{
    return type == RTN_UNREACHABLE ? "unreachable"
           : type == RTN_BLACKHOLE ? "blackhole"
           : type == RTN_PROHIBIT  ? "prohibit"
                                   : NULL;
}

static void json_flags(struct writer *w, unsigned flags)
{
    writer_array(w, "flags");
    for (unsigned i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (flags & flag_names[i].bit)
            writer_str(w, NULL, flag_names[i].name);
    writer_end(w);
}

static void json_hop(struct exec *e, const struct kernel_show *k, const struct kernel_hop *h)
{
    char name[IF_NAMESIZE];
    if (h->gateway.af && h->gateway.af != family_to_af(k->family)) {
        writer_object(e->w, "via");
        writer_str(e->w, "family", h->gateway.af == AF_INET6 ? "inet6" : "inet");
        writer_addr(e->w, "host", &h->gateway);
        writer_end(e->w);
    } else if (h->gateway.af) {
        writer_addr(e->w, "gateway", &h->gateway);
    }
    if (h->ifindex)
        writer_str(e->w, "dev", device(e, h->ifindex, name));
}

static void json_route(struct exec *e, const struct kernel_show *k, const struct kernel_route *r)
{
    struct writer *w = e->w;
    char dst[PREFIX_STRLEN], protocol[16];
    writer_object(w, NULL);
    if (type_name(r->type))
        writer_str(w, "type", type_name(r->type));
    writer_str(w, "dst", destination(&r->dst, dst));
    if (r->nhid)
        writer_uint(w, "nhid", r->nhid);
    if (r->n_hops == 1)
        json_hop(e, k, &r->hops[0]);
    writer_str(w, "protocol", protocol_name(e, protocol));
    if (r->prefsrc.af)
        writer_addr(w, "prefsrc", &r->prefsrc);
    if (r->metric)
        writer_uint(w, "metric", r->metric);
    json_flags(w, r->n_hops == 1 ? r->hops[0].flags : 0);
    if (r->n_hops > 1) {
        writer_array(w, "nexthops");
        for (unsigned i = 0; i < r->n_hops; i++) {
            writer_object(w, NULL);
            json_hop(e, k, &r->hops[i]);
            writer_uint(w, "weight", r->hops[i].weight);
            json_flags(w, r->hops[i].flags);
            writer_end(w);
        }
        writer_end(w);
    }
    writer_str(w, "state", "installed");
    writer_end(w);
}

struct line {
    char text[512];
    size_t n;
};

static void add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof l->text - l->n)
        l->n += (size_t)n;
}

static void add_hop(struct exec *e, struct line *l, const struct kernel_hop *h)
{
    char text[ADDR_STRLEN];
    if (h->gateway.af)
        add(l, " via %s", addr_format(&h->gateway, text));
    if (h->ifindex)
        add(l, " dev %s", device(e, h->ifindex, text));
    for (unsigned i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (h->flags & flag_names[i].bit)
            add(l, " %s", flag_names[i].name);
}

static void text_route(struct exec *e, const struct kernel_route *r)
{
    struct line l = {.n = 0};
    char text[PREFIX_STRLEN];
    add(&l, "%s%s%s", type_name(r->type) ? type_name(r->type) : "", type_name(r->type) ? " " : "",
        destination(&r->dst, text));
    if (r->n_hops == 1)
        add_hop(e, &l, &r->hops[0]);
    if (r->prefsrc.af)
        add(&l, " src %s", addr_format(&r->prefsrc, text));
    if (r->metric)
        add(&l, " metric %" PRIu32, r->metric);
    show_wrap(e->w, 0, 4, l.text);
    for (unsigned i = 0; r->n_hops > 1 && i < r->n_hops; i++) {
        l = (struct line){.n = 0};
        add_hop(e, &l, &r->hops[i]);
        add(&l, " weight %u", r->hops[i].weight);
        writer_text(e->w, "   ");
        show_wrap(e->w, 3, 8, l.text);
    }
}

static void put_route(struct exec *e, struct kernel_show *k, const struct kernel_route *r)
{
    if (!k->installed++ && !writer_json(e->w)) {
        char protocol[16];
        writer_text(e->w, "%s routes of ours in the kernel (table %" PRIu32 ", protocol %s):\n",
                    k->family ? "IPv6" : "IPv4", e->s->config->fib.table, protocol_name(e, protocol));
    }
    if (writer_json(e->w))
        json_route(e, k, r);
    else
        text_route(e, r);
}

static void end_of_kernel(struct exec *e, struct kernel_show *k)
{
    if (k->found)
        put_route(e, k, &k->best);
    if (kernel_dump_interrupted(k->dump))
        writer_text(e->w, "(the table changed meanwhile; some routes may be missing)\n");
    if (!k->installed && k->filtered)
        writer_text(e->w, "No route of ours in the kernel %s %s\n", k->by_address ? "leads to" : "for",
                    command_arg(e->cmd, "PREFIX"));
    else if (!k->installed)
        writer_text(e->w, "No %s routes of ours in the kernel%s\n", k->family ? "IPv6" : "IPv4",
                    e->s->config->fib.install ? "" : " (fib.install is false)");
    kernel_dump_free(k->dump);
    k->dump = NULL;
    k->walk = walk_new(e->s->rib, k->family);
}

static enum exec_result kernel_step(struct exec *e, struct kernel_show *k)
{
    for (unsigned i = 0; i < WALK_STEP && !writer_full(e->w); i++) {
        int rc = kernel_dump_next(k->dump, &k->route);
        if (rc == -EAGAIN)
            return EXEC_WAIT;
        if (rc < 0)
            return exec_fail(e, STATUS_REFUSED, "cannot read the kernel's routes: %s", strerror(-rc));
        if (!rc) {
            end_of_kernel(e, k);
            break;
        }
        if (!k->filtered || (!k->by_address && prefix_equal(&k->route.dst, &k->want))) {
            put_route(e, k, &k->route);
        } else if (k->by_address && prefix_contains(&k->route.dst, &k->want) &&
                   (!k->found || k->route.dst.len > k->best.dst.len)) {
            k->best = k->route;
            k->found = true;
        }
    }
    return EXEC_MORE;
}

static void put_missing(struct exec *e, struct kernel_show *k, uint32_t index)
{
    const struct rib_entry *entry = rib_entry(e->s->rib, k->family, index);
    struct prefix p;
    char dst[PREFIX_STRLEN], protocol[16];
    if (entry->fib != FIB_PENDING && entry->fib != FIB_FAILED)
        return;
    rib_entry_prefix(e->s->rib, k->family, entry, &p);
    if (k->filtered && !(k->by_address ? prefix_contains(&p, &k->want) : prefix_equal(&p, &k->want)))
        return;
    bool failed = entry->fib == FIB_FAILED;
    const char *why =
        failed ? show_fib_error(rib_fib_error(e->s->rib, k->family, index)) : "waiting for the kernel";
    if (!k->missing++)
        writer_text(e->w, "\nNot in the kernel:\n");
    int32_t error = failed ? rib_fib_error(e->s->rib, k->family, index) : 0;
    struct line l = {.n = 0};
    add(&l, "%s %s", destination(&p, dst), failed ? "failed" : "pending");
    if (failed)
        add(&l, ": %s", why);
    if (failed && k->filtered)
        add(&l, " (%s)", show_fib_hint(error));
    if (!writer_json(e->w))
        show_wrap(e->w, 0, 4, l.text);
    writer_object(e->w, NULL);
    writer_str(e->w, "dst", dst);
    writer_str(e->w, "protocol", protocol_name(e, protocol));
    writer_array(e->w, "flags");
    writer_end(e->w);
    writer_str(e->w, "state", failed ? "failed" : "pending");
    writer_str(e->w, "reason", why);
    writer_end(e->w);
}

static enum exec_result missing_step(struct exec *e, struct kernel_show *k)
{
    if (k->walk && walk_prepare(k->walk))
        return EXEC_MORE;
    if (!k->walk || walk_failed(k->walk))
        return exec_fail(e, STATUS_REFUSED, "out of memory");
    for (unsigned i = 0; i < WALK_STEP && !writer_full(e->w); i++) {
        uint32_t index = walk_next(k->walk);
        if (!index) {
            writer_end(e->w);
            return EXEC_DONE;
        }
        put_missing(e, k, index);
    }
    return EXEC_MORE;
}

/* What the command is restricted to. False: exec_fail was called. */
static bool parse_filter(struct exec *e, struct kernel_show *k)
{
    const char *text = command_arg(e->cmd, "PREFIX");
    char masked[PREFIX_STRLEN];
    struct ip_addr a;
    if (!text)
        return true;
    k->filtered = true;
    k->by_address = !addr_parse(text, &a);
    if (k->by_address)
        k->want = prefix_host(&a);
    int rc = k->by_address ? 0 : prefix_parse(text, false, &k->want);
    if (rc == -EADDRNOTAVAIL)
        exec_fail(e, STATUS_USAGE, "%s has host bits set; did you mean %s?", text,
                  prefix_format(&k->want, masked));
    else if (rc)
        exec_fail(e, STATUS_USAGE, "`%.60s` is neither a prefix nor an address", text);
    else if (addr_family(&k->want.addr) != k->family)
        exec_fail(e, STATUS_USAGE, "%s is not %s; try `show %s route`", text, k->family ? "IPv6" : "IPv4",
                  k->family ? "ip" : "ipv6");
    return !e->error;
}

enum exec_result show_kernel(struct exec *e)
{
    struct kernel_show *k = e->state;
    const struct config *c = e->s->config;
    if (k)
        return k->dump ? kernel_step(e, k) : missing_step(e, k);
    k = exec_state(e, sizeof *k);
    if (!k)
        return EXEC_DONE;
    e->drop = show_drop;
    k->family = e->cmd->row->id == CMD_SHOW_IPV6_ROUTE ? FAM_IPV6 : FAM_IPV4;
    if (!parse_filter(e, k))
        return EXEC_DONE;
    int rc =
        kernel_dump_new(e->s->loop, k->family, c->fib.table, c->fib.protocol, e->wake, e->wake_arg, &k->dump);
    if (rc)
        return exec_fail(e, STATUS_REFUSED, "cannot read the kernel's routes: %s", strerror(-rc));
    writer_array(e->w, NULL);
    return EXEC_MORE;
}
