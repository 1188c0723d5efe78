/* How much memory the store takes, whether it counts that honestly, and what it does when there is none. */
#include <errno.h>
#include <malloc.h>

#include "kube_store_fixture.h"

/* Memory is what malloc says is in use; sanitizers have another malloc, which says nothing. */
static uint64_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Names as clusters have them, three addresses each; slices of so many endpoints for the first services. */
static void fill(struct world *w, unsigned services, unsigned slices, unsigned endpoints)
{
    for (unsigned i = 0; i < services; i++)
        put(w, KUBE_SERVICES,
            json_of("{'metadata': {'name': 'service-%05u', 'namespace': 'team-%u', 'labels': {'app': 'a'}}, "
                    "'spec': "
                    "{'type': 'LoadBalancer', 'clusterIP': '10.96.%u.%u', 'clusterIPs': ['10.96.%u.%u', "
                    "'fd00:10:96::%x'], 'externalTrafficPolicy': 'Local'}, 'status': {'loadBalancer': "
                    "{'ingress': "
                    "[{'ip': '198.18.%u.%u', 'ipMode': 'VIP'}]}}}",
                    i, i % 50, i >> 8, i & 255, i >> 8, i & 255, i + 1, i >> 8, i & 255));
    for (unsigned i = 0; i < slices; i++) {
        json_t *o = json_of(
            "{'metadata': {'name': 'service-%05u-x7z2q', 'namespace': 'team-%u', 'labels': "
            "{'kubernetes.io/service-name': 'service-%05u'}}, 'addressType': 'IPv4', 'endpoints': []}",
            i, i % 50, i);
        for (unsigned e = 0; e < endpoints; e++)
            json_array_append_new(
                json_object_get(o, "endpoints"),
                json_of("{'addresses': ['10.244.%u.%u'], 'nodeName': 'n%u'}", i & 255, e, e + 1));
        put(w, KUBE_SLICES, o);
    }
}

static void measure(unsigned services, unsigned slices, unsigned endpoints)
{
    struct world w;
    uint64_t before = in_use();
    open_world(&w);
    fill(&w, services, slices, endpoints);
    uint64_t used = in_use() - before;
    struct kube_store_counts c = counts(&w);
    CU_ASSERT(c.services == services && c.slices == slices && c.addresses == 3 * services);
    CU_ASSERT(c.pending == c.addresses && c.endpoints == 50000 && c.endpoints_here == slices);
    printf("  %u services, %u slices of %u endpoints: %.2f MB", services, slices, endpoints,
           (double)c.bytes / 1e6);
    printf(used ? ", by mallinfo2 %.2f MB\n" : "\n", (double)used / 1e6);
    CU_ASSERT(c.bytes < 16000000 && used < 16000000);
    if (used)
        CU_ASSERT(c.bytes > used - used / 20 && c.bytes < used + used / 20);
    settle(&w);
    CU_ASSERT_EQUAL(w.judged, 3 * services);
    /* A list that has it all again changes nothing, and one that has nothing leaves nothing. */
    kube_store_list_begin(w.st, KUBE_SERVICES);
    fill(&w, services, 0, 0);
    kube_store_list_end(w.st, KUBE_SERVICES);
    CU_ASSERT(counts(&w).pending == 0 && counts(&w).services == services && counts(&w).bytes == c.bytes);
    for (int kind = KUBE_SERVICES; kind < KUBE_KINDS; kind++) {
        kube_store_list_begin(w.st, (enum kube_kind)kind);
        kube_store_list_end(w.st, (enum kube_kind)kind);
    }
    settle(&w);
    c = counts(&w);
    CU_ASSERT(c.services + c.slices + c.addresses + c.pending == 0 && c.endpoints == 0);
    close_world(&w);
}

static void ten_thousand_services_take_a_few_megabytes(void)
{
    measure(10000, 10000, 5);
    measure(10000, 500, 100);
}

/* Memory that runs out, once: the linker puts these in the place of what the store calls. */
static int fail_in = -1;
static bool fails(void)
{
    return fail_in >= 0 && fail_in-- == 0;
}
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}
void *__real_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
    return fails() ? NULL : __real_tsearch(key, root, compare);
}

/* An object that is there and cannot be taken in is none that the list did not have. */
static void known_object_survives_a_list_without_memory(void)
{
    struct world w;
    open_world(&w);
    put(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    put(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put(&w, KUBE_NODES, json_of("{'metadata': {'name': 'n1'}}"));
    json_t *changed[KUBE_KINDS] = {json_of("{'metadata': {'name': 'n1'}, 'spec': {'unschedulable': true}}"),
                                   service("a", "Cluster", "192.0.2.2"), slice("a-1", "a", "IPv4", 0, 0)};
    for (int kind = 0; kind < KUBE_KINDS; kind++) {
        kube_store_list_begin(w.st, (enum kube_kind)kind);
        fail_in = 0;
        CU_ASSERT_EQUAL(put(&w, (enum kube_kind)kind, changed[kind]), -ENOMEM);
        fail_in = -1;
        kube_store_list_end(w.st, (enum kube_kind)kind);
    }
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    CU_ASSERT(kube_store_node(w.st) && !kube_store_node(w.st)->unschedulable);
    close_world(&w);
}

/* Puts the object, with every single allocation failing in turn. */
static void put_without_memory(struct world *w, enum kube_kind kind, json_t *object)
{
    unsigned failures = 0;
    for (int n = 0;; n++) {
        struct kube_store_counts before = counts(w);
        uint64_t version = kube_store_node_version(w->st);
        fail_in = n;
        int rc = kube_store_put(w->st, kind, object);
        bool failed = fail_in < 0;
        fail_in = -1;
        struct kube_store_counts after = counts(w);
        if (rc == 0 && !failed)
            break;
        failures++;
        if (rc == 0) /* it could do without */
            continue;
        CU_ASSERT_EQUAL(rc, -ENOMEM);
        CU_ASSERT(before.services == after.services && before.slices == after.slices &&
                  before.addresses == after.addresses && before.pending == after.pending &&
                  before.endpoints == after.endpoints && before.nodes == after.nodes);
        CU_ASSERT_EQUAL(kube_store_node_version(w->st), version);
    }
    CU_ASSERT(failures > 0);
    json_decref(object);
}

static void without_memory_nothing_changes(void)
{
    struct world w;
    open_world(&w);
    put_without_memory(&w, KUBE_SLICES, slice("a-1", "a", "IPv4", 1, 0));
    put_without_memory(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.1"));
    CU_ASSERT(judge(&w, "192.0.2.1").advertise);
    put_without_memory(&w, KUBE_SERVICES, service("a", "Local", "192.0.2.2"));
    put_without_memory(&w, KUBE_SERVICES, service("b", "Local", "192.0.2.3"));
    CU_ASSERT(judge(&w, "192.0.2.2").advertise && !judge(&w, "192.0.2.3").advertise);
    put_without_memory(&w, KUBE_SLICES, slice("a-1", "b", "IPv4", 1, 0));
    put_without_memory(&w, KUBE_SLICES, slice("c-1", "c", "IPv4", 1, 0));
    CU_ASSERT(!judge(&w, "192.0.2.2").advertise && judge(&w, "192.0.2.3").advertise);
    put_without_memory(
        &w, KUBE_NODES,
        json_of("{'metadata': {'name': 'n1', 'annotations': {'underlay.io/asn': '65001'}}, 'spec': "
                "{'taints': [{'key': 'a'}], 'podCIDR': '10.244.1.0/24'}}"));
    CU_ASSERT_EQUAL(kube_store_node(w.st)->n_taints, 1);
    /* Where tables grow. */
    char name[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "198.51.%u.%u", i >> 8, i & 255);
        put_without_memory(&w, KUBE_SERVICES, service(name, NULL, name));
    }
    close_world(&w);
}

static const struct unit_case cases[] = {
    UNIT(ten_thousand_services_take_a_few_megabytes),
    UNIT(known_object_survives_a_list_without_memory),
    UNIT(without_memory_nothing_changes),
};
UNIT_MAIN("kube store memory", cases)
