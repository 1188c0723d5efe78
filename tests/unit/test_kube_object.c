/* What is read of objects, as text: one line of input, one line of what was understood. Some objects are as a
 * real API server wrote them, less what nobody reads (managedFields). */
#include "kube/object.h"

#include "kube_fixture.h"

static char line[16384];

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    size_t n = strlen(line);
    va_list ap;
    va_start(ap, format);
    vsnprintf(line + n, sizeof line - n, format, ap);
    va_end(ap);
}

static void say_service(const struct kube_service *s)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
    static const char *const kinds[] = {"lb", "ext", "cluster"};
    char text[ADDR_STRLEN];
    say("%s %s", s->name, types[s->type]);
    for (unsigned i = 0; i < s->n_vips; i++)
        say(" %s=%s", kinds[s->vips[i].kind], addr_format(&s->vips[i].addr, text));
    say("%s%s%s%s%s%s", s->headless ? " headless" : "", s->external_local ? " external-local" : "",
        s->internal_local ? " internal-local" : "", s->session_affinity ? " affinity" : "",
        s->selected ? "" : " not-selected", s->wrong_class ? " wrong-class" : "");
    if (s->n_proxied)
        say(" proxied=%u", s->n_proxied);
    if (s->n_unread)
        say(" unread=%u", s->n_unread);
}

static const char *read_service(json_t *object, const struct config_kube *c)
{
    static const struct config_kube any;
    struct kube_service *s = kube_service_parse(object, c ? c : &any);
    line[0] = 0;
    if (s)
        say_service(s);
    else
        say("refused");
    kube_service_free(s);
    json_decref(object);
    return line;
}

static const char *read_slice(json_t *object)
{
    struct kube_slice *s = kube_slice_parse(object, "n1");
    line[0] = 0;
    if (!s)
        say("refused");
    else
        say("%s of %s %s ready %u/%u terminating %u/%u", s->name, s->service ? s->service : "none",
            s->service ? family_name(s->family) : "-", s->endpoints.ready_here, s->endpoints.ready,
            s->endpoints.terminating_here, s->endpoints.terminating);
    kube_slice_free(s);
    json_decref(object);
    return line;
}

static void say_node(const struct kube_node *n)
{
    char text[PREFIX_STRLEN];
    say("%s", n->name);
    for (unsigned i = 0; i < n->n_pod_cidrs; i++)
        say(" pods=%s", prefix_format(&n->pod_cidrs[i], text));
    for (unsigned i = 0; i < n->n_internal_ips; i++)
        say(" ip=%s", addr_format(&n->internal_ips[i], text));
    for (unsigned i = 0; i < n->n_taints; i++)
        say(" taint=%s", n->taints[i]);
    say("%s%s%s%s", n->unschedulable ? " cordoned" : "", n->deleting ? " deleting" : "",
        n->excluded ? " excluded" : "", n->network_unavailable ? " no-network" : "");
    for (int i = 0; i < KUBE_ANNOTATION_COUNT; i++)
        if (n->annotations[i])
            say(" %s=%s", kube_annotation_names[i], n->annotations[i]);
}

static const char *read_node(json_t *object)
{
    struct kube_node *n = kube_node_parse(object);
    line[0] = 0;
    if (n)
        say_node(n);
    else
        say("refused");
    kube_node_free(n);
    json_decref(object);
    return line;
}

static void check(const char *got, const char *wanted)
{
    if (strcmp(got, wanted))
        printf("  got    %s\n  wanted %s\n", got, wanted);
    CU_ASSERT_STRING_EQUAL(got, wanted);
}

/* As kube-apiserver 1.20 wrote them. */
static void services_of_a_real_api_server(void)
{
    static const struct {
        const char *object, *is;
    } rows[] = {
        {"{'kind':'Service','apiVersion':'v1','metadata':{'name':'lb','namespace':'default','uid':'f0e6bc37-"
         "ed34-49d5-"
         "8c60-a653adacc993','resourceVersion':'216','creationTimestamp':'2026-11-29T15:00:25Z'},'spec':{'"
         "ports':[{"
         "'name':'http','protocol':'TCP','port':80,'targetPort':80,'nodePort':31662}],'selector':{'app':'lb'}"
         ","
         "'clusterIP':'10.96.34.210','clusterIPs':['10.96.34.210','fd00:10:96::c290'],'type':'LoadBalancer',"
         "'sessionAffinity':'None','externalTrafficPolicy':'Local','healthCheckNodePort':32075,'ipFamilies':["
         "'IPv4',"
         "'IPv6'],'ipFamilyPolicy':'PreferDualStack'},'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.1'}"
         "]}}}",
         "default/lb LoadBalancer lb=192.0.2.1 cluster=10.96.34.210 cluster=fd00:10:96::c290 external-local"},
        {"{'kind':'Service','metadata':{'name':'none','namespace':'default','labels':{'tier':'db'}},'spec':{'"
         "ports':[{"
         "'protocol':'TCP','port':53,'targetPort':53}],'clusterIP':'None','clusterIPs':['None'],'type':'"
         "ClusterIP',"
         "'externalIPs':['192.0.2.20'],'sessionAffinity':'None','ipFamilies':['IPv4','IPv6'],'ipFamilyPolicy'"
         ":"
         "'RequireDualStack'},'status':{'loadBalancer':{}}}",
         "default/none ClusterIP ext=192.0.2.20 headless"},
        {"{'kind':'Service','metadata':{'name':'elsewhere','namespace':'default'},'spec':{'type':'"
         "ExternalName',"
         "'externalIPs':['192.0.2.21'],'sessionAffinity':'None','externalName':'example.com'},'status':{"
         "'loadBalancer':{}}}",
         "default/elsewhere ExternalName ext=192.0.2.21"},
        /* It does not mind an address twice. */
        {"{'kind':'Service','metadata':{'name':'np','namespace':'default'},'spec':{'ports':[{'protocol':'TCP'"
         ",'port':80,"
         "'targetPort':80,'nodePort':30080}],'clusterIP':'10.96.7.8','clusterIPs':['10.96.7.8'],'type':'"
         "NodePort',"
         "'externalIPs':['192.0.2.22','192.0.2.22'],'sessionAffinity':'ClientIP','sessionAffinityConfig':{'"
         "clientIP':{"
         "'timeoutSeconds':10800}},'externalTrafficPolicy':'Cluster'},'status':{'loadBalancer':{}}}",
         "default/np NodePort ext=192.0.2.22 cluster=10.96.7.8 affinity"},
        {"{'kind':'Service','metadata':{'name':'both','namespace':'default'},'spec':{'clusterIP':'10.96.1.1',"
         "'clusterIPs':['10.96.1.1'],'type':'LoadBalancer','externalIPs':['192.0.2.23'],'sessionAffinity':'"
         "None',"
         "'externalTrafficPolicy':'Cluster'},'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.23'},{'"
         "hostname':"
         "'x.example'},{'ip':'2001:db8::23'}]}}}",
         "default/both LoadBalancer lb=192.0.2.23 lb=2001:db8::23 ext=192.0.2.23 cluster=10.96.1.1"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_service(json_of("%s", rows[i].object), NULL), rows[i].is);
}

/* spec and status of a service d/a. */
static void services_good_and_bad(void)
{
    static const struct {
        const char *spec, *status, *is;
    } rows[] = {
        {"{}", "{}", "d/a ClusterIP headless"},
        {"null", "null", "d/a ClusterIP headless"},
        {"[]", "7", "d/a ClusterIP headless"},
        {"{'clusterIP': '10.96.0.1'}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'clusterIPs': null}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'clusterIPs': []}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIPs': ['10.96.0.1']}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': ''}", "{}", "d/a ClusterIP headless"},
        {"{'clusterIP': '', 'type': 'ExternalName'}", "{}", "d/a ExternalName"},
        {"{'clusterIPs': ['None']}", "{}", "d/a ClusterIP headless"},
        {"{'clusterIP': 7}", "{}", "d/a ClusterIP headless"},
        {"{'clusterIP': '10.96.0.1', 'type': 'Whatever'}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'type': 7}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        /* Traffic policies. */
        {"{'clusterIP': '10.96.0.1', 'externalTrafficPolicy': 'Local', 'internalTrafficPolicy': 'Local'}",
         "{}", "d/a ClusterIP cluster=10.96.0.1 external-local internal-local"},
        {"{'clusterIP': '10.96.0.1', 'externalTrafficPolicy': 'local', 'internalTrafficPolicy': true}", "{}",
         "d/a ClusterIP cluster=10.96.0.1"},
        /* Load balancer addresses, and of which types. */
        {"{'clusterIP': '10.96.0.1'}", "{'loadBalancer': {'ingress': [{'ip': '192.0.2.1'}]}}",
         "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'type': 'NodePort'}",
         "{'loadBalancer': {'ingress': [{'ip': '192.0.2.1'}]}}", "d/a NodePort cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'type': 'LoadBalancer', 'externalIPs': ['192.0.2.1', '192.0.2.2']}",
         "{'loadBalancer': {'ingress': [{'ip': '192.0.2.1', 'ipMode': 'VIP'}, {'ip': '192.0.2.3', 'ipMode': "
         "'Proxy'}, "
         "{'ip': '192.0.2.4', 'ipMode': 7}, {'hostname': 'x', 'ipMode': 'Proxy'}, {}, null, 7, {'ip': 7}]}}",
         "d/a LoadBalancer lb=192.0.2.1 lb=192.0.2.4 ext=192.0.2.1 ext=192.0.2.2 cluster=10.96.0.1 "
         "proxied=1"},
        {"{'clusterIP': '10.96.0.1', 'type': 'LoadBalancer'}",
         "{'loadBalancer': [{'ingress': {'ip': '192.0.2.1'}}]}", "d/a LoadBalancer cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'type': 'LoadBalancer'}",
         "{'loadBalancer': {'ingress': {'ip': '192.0.2.1'}}}", "d/a LoadBalancer cluster=10.96.0.1"},
        /* Addresses. */
        {"{'clusterIP': 'x', 'externalIPs': ['', '192.0.2', '192.0.2.256', '192.0.2.01', ' 192.0.2.1', "
         "'192.0.2.1/32', "
         "'2001:db8::g', 'fe80::1%eth0', '[2001:db8::1]', 7, null, {}, '192.0.2.1\\n', '192.0.2.9']}",
         "{}", "d/a ClusterIP ext=192.0.2.9 unread=14"},
        {"{'clusterIP': '10.96.0.1', 'externalIPs': ['::ffff:192.0.2.1', '192.0.2.1', '2001:DB8:0:0::1', "
         "'2001:db8::1']}",
         "{}", "d/a ClusterIP ext=192.0.2.1 ext=2001:db8::1 cluster=10.96.0.1"},
        /* What will not be advertised is known all the same. */
        {"{'clusterIP': '10.96.0.1', 'externalIPs': ['0.0.0.0', '127.0.0.1', '::', 'ff02::1', '224.0.0.1']}",
         "{}", "d/a ClusterIP ext=0.0.0.0 ext=127.0.0.1 ext=:: ext=ff02::1 ext=224.0.0.1 cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'externalIPs': '192.0.2.1'}", "{}", "d/a ClusterIP cluster=10.96.0.1"},
        {"{'clusterIP': '10.96.0.1', 'externalIPs': {'0': '192.0.2.1'}}", "{}",
         "d/a ClusterIP cluster=10.96.0.1"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_service(json_of("{'metadata': {'name': 'a', 'namespace': 'd'}, 'spec': %s, 'status': %s}",
                                   rows[i].spec, rows[i].status),
                           NULL),
              rows[i].is);
}

static void numbers_of_addresses_have_bounds(void)
{
    json_t *ips = json_array(), *ingress = json_array();
    for (unsigned i = 0; i < 70000; i++) {
        json_array_append_new(ips, json_sprintf("10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255));
        json_array_append_new(ingress, json_pack("{s:s, s:s}", "ip", "192.0.2.1", "ipMode", "Proxy"));
    }
    json_t *o =
        json_of("{'metadata': {'name': 'a', 'namespace': 'd'}, 'spec': {'type': 'LoadBalancer', 'clusterIP': "
                "'10.96.0.1'}, 'status': {'loadBalancer': {}}}");
    json_object_set_new(json_object_get(o, "spec"), "externalIPs", ips);
    json_object_set_new(json_object_get(json_object_get(o, "status"), "loadBalancer"), "ingress", ingress);
    struct config_kube c = {.on = true};
    struct kube_service *s = kube_service_parse(o, &c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->n_vips, KUBE_SERVICE_VIPS_MOST + 1);
    CU_ASSERT_EQUAL(s->n_proxied, UINT16_MAX);
    CU_ASSERT_EQUAL(s->n_unread, UINT16_MAX);
    CU_ASSERT_EQUAL(s->vips[KUBE_SERVICE_VIPS_MOST].kind, KUBE_CLUSTER_IP);
    kube_service_free(s);
    json_decref(o);
}

static void names_are_those_of_kubernetes(void)
{
    char name[256];
    static const struct {
        const char *metadata, *is;
    } rows[] = {
        {"{'name': 'a', 'namespace': 'd'}", "d/a ClusterIP headless"},
        {"{'name': 'a.b-c', 'namespace': 'kube-system'}", "kube-system/a.b-c ClusterIP headless"},
        {"{'name': 'a'}", "refused"},
        {"{'namespace': 'a'}", "refused"},
        {"{'name': '', 'namespace': 'd'}", "refused"},
        {"{'name': 'a', 'namespace': 7}", "refused"},
        {"{'name': 'a/b', 'namespace': 'd'}", "refused"},
        {"{'name': 'a b', 'namespace': 'd'}", "refused"},
        {"{'name': 'a\\u001b[2J', 'namespace': 'd'}", "refused"},
        {"{'name': 'a', 'namespace': 'd/e'}", "refused"},
        {"[]", "refused"},
        {"'a'", "refused"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_service(json_of("{'metadata': %s}", rows[i].metadata), NULL), rows[i].is);
    memset(name, 'n', 254);
    name[254] = 0;
    check(read_service(json_of("{'metadata': {'name': '%s', 'namespace': 'd'}}", name), NULL), "refused");
    check(read_service(json_of("{'metadata': {'name': 'a', 'namespace': '%.64s'}}", name), NULL), "refused");
    CU_ASSERT_EQUAL(strlen(read_service(
                        json_of("{'metadata': {'name': '%s', 'namespace': '%.63s'}}", name + 1, name), NULL)),
                    253 + 1 + 63 + strlen(" ClusterIP headless"));
    check(read_service(json_of("[]"), NULL), "refused");
}

/* Text that the configuration owns elsewhere. */
static char *text(const char *s)
{
    return (char *)s;
}

static void selectors_are_those_of_kubernetes(void)
{
    static const struct {
        const char *labels;
        enum label_operator op;
        const char *key, *values[2];
        bool selected;
    } rows[] = {
        {"{'tier': 'db'}", LABEL_IN, "tier", {"db", "web"}, true},
        {"{'tier': 'web'}", LABEL_IN, "tier", {"db", "web"}, true},
        {"{'tier': 'x'}", LABEL_IN, "tier", {"db", "web"}, false},
        {"{}", LABEL_IN, "tier", {"db", "web"}, false},
        {"{'tier': ''}", LABEL_IN, "tier", {"", "web"}, true},
        {"{'tier': 'db'}", LABEL_NOT_IN, "tier", {"db", "web"}, false},
        {"{'tier': 'x'}", LABEL_NOT_IN, "tier", {"db", "web"}, true},
        {"{}", LABEL_NOT_IN, "tier", {"db", "web"}, true},
        {"null", LABEL_NOT_IN, "tier", {"db", "web"}, true},
        {"{'tier': ''}", LABEL_EXISTS, "tier", {NULL}, true},
        {"{'tier': 'db'}", LABEL_EXISTS, "tier", {NULL}, true},
        {"{'tiers': 'db'}", LABEL_EXISTS, "tier", {NULL}, false},
        {"[]", LABEL_EXISTS, "tier", {NULL}, false},
        {"{'tier': 7}", LABEL_EXISTS, "tier", {NULL}, false},
        {"{'tier': ''}", LABEL_DOES_NOT_EXIST, "tier", {NULL}, false},
        {"{}", LABEL_DOES_NOT_EXIST, "tier", {NULL}, true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *values[] = {text(rows[i].values[0]), text(rows[i].values[1])};
        struct config_label_rule rule = {text(rows[i].key), rows[i].op, values, rows[i].values[1] ? 2 : 0};
        struct config_kube c = {.services.rules = &rule, .services.n_rules = 1};
        check(read_service(
                  json_of("{'metadata': {'name': 'a', 'namespace': 'd', 'labels': %s}}", rows[i].labels), &c),
              rows[i].selected ? "d/a ClusterIP headless" : "d/a ClusterIP headless not-selected");
    }
}

static void all_parts_of_a_selector_must_fit(void)
{
    struct config_label labels[] = {{text("app"), text("x")}, {text("env"), text("")}};
    char *values[] = {text("db")};
    struct config_label_rule rules[] = {{text("tier"), LABEL_NOT_IN, values, 1},
                                        {text("app"), LABEL_EXISTS, NULL, 0}};
    struct config_kube c = {.services = {.labels = labels, .n_labels = 2, .rules = rules, .n_rules = 2}};
    static const struct {
        const char *labels;
        bool selected;
    } rows[] = {
        {"{'app': 'x', 'env': ''}", true},
        {"{'app': 'x', 'env': '', 'tier': 'web', 'more': 'y'}", true},
        {"{'app': 'x', 'env': '', 'tier': 'db'}", false},
        {"{'app': 'x'}", false},
        {"{'app': 'y', 'env': ''}", false},
        {"{}", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_service(
                  json_of("{'metadata': {'name': 'a', 'namespace': 'd', 'labels': %s}}", rows[i].labels), &c),
              rows[i].selected ? "d/a ClusterIP headless" : "d/a ClusterIP headless not-selected");
}

static void class_concerns_load_balancers(void)
{
    static const struct {
        const char *wanted, *spec;
        bool wrong;
    } rows[] = {
        {NULL, "{'type': 'LoadBalancer'}", false},
        {"", "{'type': 'LoadBalancer', 'loadBalancerClass': 'x.io/y'}", false},
        {"x.io/y", "{'type': 'LoadBalancer', 'loadBalancerClass': 'x.io/y'}", false},
        {"x.io/y", "{'type': 'LoadBalancer', 'loadBalancerClass': 'x.io/z'}", true},
        {"x.io/y", "{'type': 'LoadBalancer'}", true},
        {"x.io/y", "{'type': 'LoadBalancer', 'loadBalancerClass': 7}", true},
        {"x.io/y", "{'type': 'NodePort'}", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config_kube c = {.services.load_balancer_class = text(rows[i].wanted)};
        json_t *o = json_of("{'metadata': {'name': 'a', 'namespace': 'd'}, 'spec': %s}", rows[i].spec);
        CU_ASSERT_EQUAL(!!strstr(read_service(o, &c), "wrong-class"), rows[i].wrong);
    }
}

static void services_are_equal_when_all_that_is_read_is(void)
{
    static const char *const others[] = {
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.2'}",
        "{'type': 'NodePort', 'clusterIP': '10.96.0.1'}",
        "{'type': 'LoadBalancer', 'clusterIP': 'None'}",
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.1', 'externalTrafficPolicy': 'Local'}",
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.1', 'internalTrafficPolicy': 'Local'}",
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.1', 'sessionAffinity': 'ClientIP'}",
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.1', 'externalIPs': ['10.96.0.1']}",
        "{'type': 'LoadBalancer', 'clusterIP': '10.96.0.1', 'externalIPs': ['x']}",
    };
    struct config_kube c = {.on = true};
    json_t *o =
        json_of("{'metadata': {'name': 'a', 'namespace': 'd', 'resourceVersion': '7'}, 'spec': {'type': "
                "'LoadBalancer', 'clusterIP': '10.96.0.1', 'ports': []}}");
    struct kube_service *a = kube_service_parse(o, &c), *same = kube_service_parse(o, &c);
    CU_ASSERT(kube_service_equal(a, same));
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        json_t *p = json_of("{'metadata': {'name': 'a', 'namespace': 'd'}, 'spec': %s}", others[i]);
        struct kube_service *b = kube_service_parse(p, &c);
        CU_ASSERT_FALSE(kube_service_equal(a, b));
        CU_ASSERT_FALSE(kube_service_equal(b, a));
        kube_service_free(b);
        json_decref(p);
    }
    kube_service_free(a);
    kube_service_free(same);
    json_decref(o);
}

/* labels, addressType, endpoints of a slice d/s. */
static void slices_good_and_bad(void)
{
#define OF "{'kubernetes.io/service-name': 'a'}"
    static const struct {
        const char *labels, *type, *endpoints, *is;
    } rows[] = {
        /* As in objects that a real API server took. */
        {OF, "'IPv4'",
         "[{'addresses':['10.244.1.5'],'conditions':{'ready':true,'serving':true,'terminating':false},'"
         "nodeName':'n1'},"
         "{'addresses':['10.244.2.7'],'conditions':{'ready':false},'nodeName':'n2'}]",
         "d/s of d/a ipv4 ready 1/1 terminating 0/0"},
        {OF, "'IPv4'",
         "[{'addresses':['10.244.1.6'],'conditions':{'ready':false,'serving':true,'terminating':true},'"
         "nodeName':'n1'},"
         "{'addresses':['10.244.1.7'],'conditions':{}},{'addresses':['10.244.1.8'],'nodeName':'n1'}]",
         "d/s of d/a ipv4 ready 1/2 terminating 1/1"},
        /* Conditions: ready and serving are true and terminating is false unless said. */
        {OF, "'IPv6'", "[{'addresses':['a'],'conditions':{'ready':true,'terminating':true},'nodeName':'n1'}]",
         "d/s of d/a ipv6 ready 1/1 terminating 0/0"}, /* publishNotReadyAddresses */
        {OF, "'IPv6'", "[{'addresses':['a'],'conditions':{'ready':null,'serving':null},'nodeName':'n2'}]",
         "d/s of d/a ipv6 ready 0/1 terminating 0/0"},
        {OF, "'IPv6'", "[{'addresses':['a'],'conditions':{'ready':'false'},'nodeName':'n2'}]",
         "d/s of d/a ipv6 ready 0/1 terminating 0/0"},
        {OF, "'IPv6'", "[{'addresses':['a'],'conditions':[false],'nodeName':'n2'}]",
         "d/s of d/a ipv6 ready 0/1 terminating 0/0"},
        {OF, "'IPv4'",
         "[{'addresses':['a'],'conditions':{'ready':false,'terminating':true},'nodeName':'n1'}]",
         "d/s of d/a ipv4 ready 0/0 terminating 0/0"}, /* serving as ready */
        {OF, "'IPv4'", "[{'addresses':['a'],'conditions':{'ready':false,'serving':true},'nodeName':'n1'}]",
         "d/s of d/a ipv4 ready 0/0 terminating 0/0"},
        {OF, "'IPv4'",
         "[{'addresses':['a'],'conditions':{'ready':false,'serving':false,'terminating':true},'nodeName':'n1'"
         "}]",
         "d/s of d/a ipv4 ready 0/0 terminating 0/0"},
        /* Whose node. */
        {OF, "'IPv4'",
         "[{'addresses':['a'],'nodeName':''},{'addresses':['a'],'nodeName':7},{'addresses':['a'],"
         "'nodeName':'n11'},{'addresses':['a'],'nodeName':'N1'}]",
         "d/s of d/a ipv4 ready 0/4 terminating 0/0"},
        /* What is no endpoint. */
        {OF, "'IPv4'",
         "[7,null,'x',[],{},{'nodeName':'n1'},{'addresses':[],'nodeName':'n1'},{'addresses':'a'}]",
         "d/s of d/a ipv4 ready 0/0 terminating 0/0"},
        {OF, "'IPv4'", "null", "d/s of d/a ipv4 ready 0/0 terminating 0/0"},
        {OF, "'IPv4'", "{}", "d/s of d/a ipv4 ready 0/0 terminating 0/0"},
        /* Of no service. */
        {OF, "'FQDN'", "[{'addresses':['example.com']}]", "d/s of none - ready 0/1 terminating 0/0"},
        {OF, "7", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {OF, "'ipv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {"{}", "'IPv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {"null", "'IPv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {"{'kubernetes.io/service-name': ''}", "'IPv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {"{'kubernetes.io/service-name': 7}", "'IPv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
        {"{'kubernetes.io/service-name': 'x/y'}", "'IPv4'", "[]", "d/s of none - ready 0/0 terminating 0/0"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_slice(
                  json_of("{'metadata': {'name': 's', 'namespace': 'd', 'labels': %s}, 'addressType': %s, "
                          "'endpoints': %s}",
                          rows[i].labels, rows[i].type, rows[i].endpoints)),
              rows[i].is);
    check(read_slice(json_of("{'metadata': {'name': 's', 'labels': " OF "}, 'addressType': 'IPv4'}")),
          "refused");
}

static void endpoints_are_counted_up_to_what_16_bits_hold(void)
{
    static const struct {
        unsigned n;
        const char *is;
    } rows[] = {
        {1000, "d/s of d/a ipv4 ready 1000/1000 terminating 0/0"},
        {70000, "d/s of d/a ipv4 ready 65535/65535 terminating 0/0"},
    };
    for (unsigned i = 0; i < 2; i++) {
        json_t *o = json_of("{'metadata': {'name': 's', 'namespace': 'd', 'labels': " OF
                            "}, 'addressType': 'IPv4', "
                            "'endpoints': []}"),
               *endpoint = json_of("{'addresses': ['10.0.0.1'], 'nodeName': 'n1'}");
        for (unsigned n = 0; n < rows[i].n; n++)
            json_array_append(json_object_get(o, "endpoints"), endpoint);
        json_decref(endpoint);
        check(read_slice(o), rows[i].is);
    }
}

static void node_of_a_real_api_server(void)
{
    check(read_node(json_of(
              "{'kind':'Node','apiVersion':'v1','metadata':{'name':'n1','uid':'44ba5b21-3912-4314-ae54-"
              "d9ec60e765b7',"
              "'resourceVersion':'232','labels':{'kubernetes.io/hostname':'n1','node.kubernetes.io/"
              "exclude-from-external-load-balancers':'false'},'annotations':{'kube-router.io/"
              "peer.ips':'10.0.0.1',"
              "'underlay.io/asn':'65101'}},'spec':{'podCIDR':'10.244.1.0/24','podCIDRs':['10.244.1.0/24',"
              "'fd00:244:1::/64'],'unschedulable':true,'taints':[{'key':'dedicated','value':'infra','effect':"
              "'NoExecute'},{'key':'node.kubernetes.io/"
              "not-ready','effect':'NoSchedule'}]},'status':{'conditions':[{"
              "'type':'NetworkUnavailable','status':'True','lastHeartbeatTime':null,'reason':'x','message':'"
              "m'},{"
              "'type':'Ready','status':'True'}],'addresses':[{'type':'Hostname','address':'n1'},{'type':'"
              "InternalIP',"
              "'address':'10.0.0.11'},{'type':'InternalIP','address':'2001:db8::11'}],'daemonEndpoints':{"
              "'kubeletEndpoint':{'Port':0}},'nodeInfo':{'machineID':'','architecture':''}}}")),
          "n1 pods=10.244.1.0/24 pods=fd00:244:1::/64 ip=10.0.0.11 ip=2001:db8::11 "
          "taint=dedicated=infra:NoExecute "
          "taint=node.kubernetes.io/not-ready:NoSchedule cordoned excluded no-network underlay.io/asn=65101 "
          "kube-router.io/peer.ips=10.0.0.1");
}

/* metadata beside the name, spec, status. */
static void nodes_good_and_bad(void)
{
    static const struct {
        const char *metadata, *spec, *status, *is;
    } rows[] = {
        {"", "null", "null", "n1"},
        {"", "{'podCIDR': '10.1.0.0/24'}", "{}", "n1 pods=10.1.0.0/24"},
        {"", "{'podCIDR': '10.1.0.0/24', 'podCIDRs': []}", "{}", "n1 pods=10.1.0.0/24"},
        {"", "{'podCIDR': '10.1.0.0/24', 'podCIDRs': ['10.2.0.0/24']}", "{}", "n1 pods=10.2.0.0/24"},
        {"", "{'podCIDRs': ['10.2.0.7/24', '10.2.0.0/24', '2001:db8::1/64']}", "{}",
         "n1 pods=10.2.0.0/24 pods=2001:db8::/64"},
        {"",
         "{'podCIDRs': ['0.0.0.0/0', '::/0', '127.0.0.0/8', 'fe80::/64', '224.0.0.0/8', '10.0.0.0', "
         "'10.0.0.0/33', "
         "'x', '', 7, null, '10.0.0.0/08']}",
         "{}", "n1"},
        {"", "{'podCIDRs': '10.2.0.0/24'}", "{}", "n1"},
        {"", "{}",
         "{'addresses': [{'type': 'InternalIP', 'address': '10.0.0.1'}, {'type': 'InternalIP', 'address': "
         "'10.0.0.1'}, "
         "{'type': 'ExternalIP', 'address': '192.0.2.1'}, {'type': 'InternalIP', 'address': 'x'}, {'type': "
         "'InternalIP'}, {'address': '10.0.0.3'}, 7, null, {'type': 'InternalIP', 'address': "
         "'::ffff:10.0.0.4'}]}",
         "n1 ip=10.0.0.1 ip=10.0.0.4"},
        {"", "{'unschedulable': 'true'}", "{}", "n1"},
        {"",
         "{'taints': [{'key': 'a', 'value': '', 'effect': 'NoSchedule'}, {'key': 'a', 'value': 'b'}, {'key': "
         "''}, "
         "{}, 7, {'key': 7}, {'key': 'c', 'value': 7, 'effect': 'NoExecute'}]}",
         "{}", "n1 taint=a:NoSchedule taint=a=b: taint=c:NoExecute"},
        {"", "{'taints': {'key': 'a'}}", "{}", "n1"},
        {", 'deletionTimestamp': '2026-01-01T00:00:00Z'", "{}", "{}", "n1 deleting"},
        {", 'deletionTimestamp': null", "{}", "{}", "n1"},
        {", 'labels': {'node.kubernetes.io/exclude-from-external-load-balancers': ''}", "{}", "{}",
         "n1 excluded"},
        {", 'labels': ['node.kubernetes.io/exclude-from-external-load-balancers']", "{}", "{}", "n1"},
        {"", "{}", "{'conditions': [{'type': 'NetworkUnavailable', 'status': 'False'}]}", "n1"},
        {"", "{}", "{'conditions': [{'type': 'NetworkUnavailable', 'status': true}]}", "n1"},
        {"", "{}", "{'conditions': [7, {'type': 'Ready', 'status': 'True'}]}", "n1"},
        {", 'annotations': {'underlay.io/router-id': '', 'underlay.io/peers': '[]', "
         "'kube-router.io/node.asn': 65000, "
         "'kube-router.io/peer.asns': '1', 'kube-router.io/peer.ports': '2', 'x': 'y'}",
         "{}", "{}",
         "n1 underlay.io/router-id= underlay.io/peers=[] kube-router.io/peer.asns=1 "
         "kube-router.io/peer.ports=2"},
        {", 'annotations': []", "{}", "{}", "n1"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(read_node(json_of("{'metadata': {'name': 'n1'%s}, 'spec': %s, 'status': %s}", rows[i].metadata,
                                rows[i].spec, rows[i].status)),
              rows[i].is);
    check(read_node(json_of("{'metadata': {}}")), "refused");
    check(read_node(json_of("{}")), "refused");
    check(read_node(json_of("[]")), "refused");
}

static void nodes_differ_in_whatever_is_read(void)
{
    static const char *const others[] = {
        "{'metadata': {'name': 'n1'}}",
        "{'metadata': {'name': 'n2'}}",
        "{'metadata': {'name': 'n1', 'deletionTimestamp': 'x'}}",
        "{'metadata': {'name': 'n1', 'labels': {'node.kubernetes.io/exclude-from-external-load-balancers': "
        "'x'}}}",
        "{'metadata': {'name': 'n1', 'annotations': {'underlay.io/asn': '1'}}}",
        "{'metadata': {'name': 'n1', 'annotations': {'underlay.io/asn': '2'}}}",
        "{'metadata': {'name': 'n1'}, 'spec': {'unschedulable': true}}",
        "{'metadata': {'name': 'n1'}, 'spec': {'podCIDR': '10.1.0.0/24'}}",
        "{'metadata': {'name': 'n1'}, 'spec': {'podCIDR': '10.1.0.0/25'}}",
        "{'metadata': {'name': 'n1'}, 'spec': {'taints': [{'key': 'a'}]}}",
        "{'metadata': {'name': 'n1'}, 'spec': {'taints': [{'key': 'b'}]}}",
        "{'metadata': {'name': 'n1'}, 'status': {'addresses': [{'type': 'InternalIP', 'address': "
        "'10.0.0.1'}]}}",
        "{'metadata': {'name': 'n1'}, 'status': {'addresses': [{'type': 'InternalIP', 'address': "
        "'10.0.0.2'}]}}",
        "{'metadata': {'name': 'n1'}, 'status': {'conditions': [{'type': 'NetworkUnavailable', 'status': "
        "'True'}]}}",
    };
    enum { N = sizeof others / sizeof *others };
    struct kube_node *nodes[N];
    for (unsigned i = 0; i < N; i++) {
        json_t *o = json_of("%s", others[i]);
        nodes[i] = kube_node_parse(o);
        json_decref(o);
    }
    for (unsigned i = 0; i < N; i++)
        for (unsigned k = 0; k < N; k++)
            CU_ASSERT_EQUAL(kube_node_equal(nodes[i], nodes[k]), i == k);
    for (unsigned i = 0; i < N; i++)
        kube_node_free(nodes[i]);
}

static void taints_match_by_what_a_pattern_says(void)
{
    static const struct {
        const char *taint, *pattern;
        bool matches;
    } rows[] = {
        {"a=b:NoSchedule", "a", true},
        {"a:NoSchedule", "a", true},
        {"a=b:NoSchedule", "a=b", true},
        {"a=b:NoSchedule", "a=c", false},
        {"a=b:NoSchedule", "a=", false},
        {"a:NoSchedule", "a=", true},
        {"a:NoSchedule", "a=b", false},
        {"a=b:NoSchedule", "a:NoSchedule", true},
        {"a=b:NoSchedule", "a:NoExecute", false},
        {"a=b:NoSchedule", "a=b:NoSchedule", true},
        {"a=b:NoSchedule", "a=b:NoExecute", false},
        {"a=b:NoSchedule", "aa", false},
        {"aa:NoSchedule", "a", false},
        {"x.io/a:NoExecute", "x.io/a", true},
        {"x.io/a:NoExecute", "x.io", false},
        {"a:", "a", true},
        {"a:", "a:", true},
        {"a:NoSchedule", "a:", false},
        {"a:NoSchedule", "", false},
        {"a=b:NoSchedule", "a=b:No", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (kube_taint_matches(rows[i].taint, rows[i].pattern) != rows[i].matches)
            printf("  %s against %s\n", rows[i].taint, rows[i].pattern);
        CU_ASSERT_EQUAL(kube_taint_matches(rows[i].taint, rows[i].pattern), rows[i].matches);
    }
}

static const struct unit_case cases[] = {
    UNIT(services_of_a_real_api_server),
    UNIT(services_good_and_bad),
    UNIT(numbers_of_addresses_have_bounds),
    UNIT(names_are_those_of_kubernetes),
    UNIT(selectors_are_those_of_kubernetes),
    UNIT(all_parts_of_a_selector_must_fit),
    UNIT(class_concerns_load_balancers),
    UNIT(services_are_equal_when_all_that_is_read_is),
    UNIT(slices_good_and_bad),
    UNIT(endpoints_are_counted_up_to_what_16_bits_hold),
    UNIT(node_of_a_real_api_server),
    UNIT(nodes_good_and_bad),
    UNIT(nodes_differ_in_whatever_is_read),
    UNIT(taints_match_by_what_a_pattern_says),
};
UNIT_MAIN("kube object", cases)
