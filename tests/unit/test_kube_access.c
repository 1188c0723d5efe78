/* kubeconfig files as they are, and each thing in one that is refused: a change of one line in a good one,
 * and what is said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "kube/access.h"
#include "unit.h"

#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define KEY  "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

/* The file system. */
static const struct {
    const char *path, *text;
    int error;
} disk[] = {
    {"/etc/k/ca.crt", CERT, 0},          {"/etc/k/client.crt", CERT, 0},
    {"/etc/k/client.key", KEY, 0},       {"/abs/ca.crt", CERT, 0},
    {"/etc/k/token", "abc\n", 0},        {"/etc/k/empty", " \n", 0},
    {"/etc/k/two", "a b\n", 0},          {"/etc/k/locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 0},
    {"/etc/k/forbidden", NULL, -EACCES}, {"/etc/k/new", NULL, -ENOKEY},
};
static char asked[1024];
static const char *config_text;
static size_t config_size;

static int read_file(void *arg, const char *path, char *buf, size_t size, size_t *len)
{
    (void)arg;
    size_t n = strlen(asked);
    snprintf(asked + n, sizeof asked - n, "%s ", path);
    if (!strcmp(path, "/etc/k/config")) {
        *len = config_size;
        memcpy(buf, config_text, config_size < size ? config_size : size);
        return 0;
    }
    for (size_t i = 0; i < sizeof disk / sizeof *disk; i++) {
        if (strcmp(disk[i].path, path))
            continue;
        if (disk[i].error)
            return disk[i].error;
        *len = strlen(disk[i].text);
        memcpy(buf, disk[i].text, *len < size ? *len : size);
        return 0;
    }
    return -ENOENT;
}
static const struct config_files files = {.read = read_file};

static int load(const char *text, struct kube_access *a, char **why)
{
    *asked = 0;
    config_text = text;
    config_size = strlen(text);
    return kube_access_load("/etc/k/config", NULL, 0, &files, a, why);
}

/* Lines of the kubeconfig; a case replaces one of them, or adds to it. */
enum line { TOP, CONTEXT, CLUSTER, CA, USER, CREDENTIALS, LINES };
static const char *const good[LINES] = {
    [TOP] = "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: c\n",
    [CONTEXT] =
        "contexts: [{name: o, context: {}},\n  {name: c, context: {cluster: cl, user: u, namespace: n}}]\n",
    [CLUSTER] = "clusters:\n- name: cl\n  cluster:\n    server: https://10.0.0.1:6443\n",
    [CA] = "    certificate-authority: ca.crt\n",
    [USER] = "users:\n- name: u\n  user:\n",
    [CREDENTIALS] = "    client-certificate: client.crt\n    client-key: client.key\n",
};

static const char *kubeconfig(enum line line, const char *instead)
{
    static char text[4096];
    *text = 0;
    for (int i = 0; i < LINES; i++)
        strcat(text, i == (int)line ? instead : good[i]);
    return text;
}

static struct kube_access expect_good(const char *text)
{
    struct kube_access a;
    char *why;
    int rc = load(text, &a, &why);
    if (rc)
        printf("    %s\n", why);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_PTR_NULL(why);
    return a;
}

static void expect_bad(const char *text, const char *part)
{
    struct kube_access a, none = {0};
    char *why;
    int rc = load(text, &a, &why);
    bool as_said = rc == -EINVAL && why && strstr(why, part) && !strchr(why, '\n');
    if (!as_said)
        printf("    %d %s; wanted %s\n", rc, rc ? why : "", part);
    CU_ASSERT(as_said);
    CU_ASSERT(kube_access_equal(&a, &none));
    free(why);
    kube_access_reset(&a);
}

static void files_are_named_relative_to_the_kubeconfig_and_each_is_asked_for(void)
{
    struct kube_access a = expect_good(kubeconfig(LINES, ""));
    CU_ASSERT_EQUAL(a.n_servers, 1);
    CU_ASSERT_STRING_EQUAL(a.servers[0], "https://10.0.0.1:6443");
    CU_ASSERT_STRING_EQUAL(a.ca.file, "/etc/k/ca.crt");
    CU_ASSERT_STRING_EQUAL(a.cert.file, "/etc/k/client.crt");
    CU_ASSERT_STRING_EQUAL(a.key.file, "/etc/k/client.key");
    CU_ASSERT(!a.ca.text && !a.cert.text && !a.key.text && !a.token.file && !a.token.text &&
              !a.tls_server_name);
    CU_ASSERT_STRING_EQUAL(asked, "/etc/k/config /etc/k/ca.crt /etc/k/client.crt /etc/k/client.key ");
    kube_access_reset(&a);
    a = expect_good(
        kubeconfig(CA, "    certificate-authority: /abs/ca.crt\n    tls-server-name: kubernetes\n"));
    CU_ASSERT_STRING_EQUAL(a.ca.file, "/abs/ca.crt");
    CU_ASSERT_STRING_EQUAL(a.tls_server_name, "kubernetes");
    kube_access_reset(&a);
}

/* "-----BEGIN CERTIFICATE-----\n" and so on */
#define CERT64 "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="
#define KEY64  "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg=="

static void data_in_place_goes_before_files(void)
{
    struct kube_access a =
        expect_good(kubeconfig(CREDENTIALS, "    client-certificate-data: " CERT64 "\n"
                                            "    client-certificate: nowhere\n"
                                            "    client-key-data: |\n      LS0tLS1CRUdJTiBQUklW\n"
                                            "      QVRFIEtFWS0tLS0tCg==\n"));
    CU_ASSERT_STRING_EQUAL(a.cert.text, "-----BEGIN CERTIFICATE-----\n");
    CU_ASSERT_STRING_EQUAL(a.key.text, "-----BEGIN PRIVATE KEY-----\n");
    CU_ASSERT(!a.cert.file && !a.key.file);
    CU_ASSERT_STRING_EQUAL(asked, "/etc/k/config /etc/k/ca.crt ");
    kube_access_reset(&a);
}

static void a_token_is_a_text_or_better_a_file_and_a_certificate_goes_before_both(void)
{
    struct kube_access a = expect_good(kubeconfig(CREDENTIALS, "    token: abc\n"));
    CU_ASSERT_STRING_EQUAL(a.token.text, "abc");
    kube_access_reset(&a);
    a = expect_good(kubeconfig(CREDENTIALS, "    token: abc\n    tokenFile: token\n"));
    CU_ASSERT(!a.token.text && !strcmp(a.token.file, "/etc/k/token"));
    kube_access_reset(&a);
    char text[200];
    snprintf(text, sizeof text, "%s    token: abc\n", good[CREDENTIALS]);
    a = expect_good(kubeconfig(CREDENTIALS, text));
    CU_ASSERT(!a.token.text && a.cert.file);
    kube_access_reset(&a);
}

/* As other clients write what they do not use. */
static void what_is_off_or_empty_is_not_refused(void)
{
    struct kube_access a = expect_good(
        kubeconfig(CA, "    certificate-authority: ca.crt\n    insecure-skip-tls-verify: false\n"
                       "    proxy-url: ''\n    disable-compression: true\n    extensions: [{a: b}]\n"));
    kube_access_reset(&a);
    a = expect_good(
        kubeconfig(CREDENTIALS, "    token: abc\n    exec: null\n    username: \"\"\n    as-groups: []\n"));
    kube_access_reset(&a);
    a = expect_good(
        "{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"a\",\"user\":"
        "\"b\"}}],"
        "\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://[fd00::1]:6443/\","
        "\"certificate-authority\":\"ca.crt\"}}],\"users\":[{\"name\":\"b\",\"user\":{\"token\":\"x\"}}]}");
    CU_ASSERT_STRING_EQUAL(a.servers[0], "https://[fd00::1]:6443/");
    kube_access_reset(&a);
}

static const struct {
    enum line line;
    const char *instead, *part;
} refused[] = {
    {TOP, "kind: Config\n", "current-context: missing; kubectl config use-context NAME sets it"},
    {TOP, "current-context: d\n", "contexts: there is none with the name \"d\""},
    {TOP, "current-context: [c]\n", "current-context: not a text"},
    {CONTEXT, "contexts: {}\n", "contexts: there is none with the name \"c\""},
    {CONTEXT, "contexts: [{name: c}]\n", "contexts[0].context: not a mapping"},
    {CONTEXT, "contexts: [{name: c, context: {user: u}}]\n", "contexts[0].context: cluster is missing"},
    {CONTEXT, "contexts: [{name: c, context: {cluster: cl}}]\n", "contexts[0].context: user is missing"},
    {CONTEXT, "contexts: [{name: c, context: {cluster: no, user: u}}]\n",
     "clusters: there is none with the name \"no\""},
    {CONTEXT, "contexts: [{name: c, context: {cluster: cl, user: no}}]\n",
     "users: there is none with the name \"no\""},
    {CLUSTER, "clusters:\n- name: cl\n  cluster:\n",
     "clusters[0].cluster.server: missing; https://HOST:PORT"},
    {CLUSTER, "clusters:\n- name: cl\n  cluster:\n    server: http://10.0.0.1:8080\n",
     "/etc/k/config:10:13: clusters[0].cluster.server: http://10.0.0.1:8080: http:// would send the token in "
     "the clear"},
    {CA, "", "certificate-authority or certificate-authority-data is missing"},
    {CA, "    certificate-authority: nowhere\n",
     "clusters[0].cluster.certificate-authority: /etc/k/nowhere: No such file or directory"},
    {CA, "    certificate-authority: forbidden\n", "/etc/k/forbidden: Permission denied"},
    {CA, "    certificate-authority: new\n", "/etc/k/new: was not named when the daemon started; restart it"},
    {CA, "    certificate-authority: client.key\n", "/etc/k/client.key: no PEM certificate is in it"},
    {CA, "    certificate-authority-data: '%%%'\n", "certificate-authority-data: not base64 of a text"},
    {CA, "    certificate-authority-data: LS0\n", "not base64 of a text"},
    {CA, "    certificate-authority-data: LS0tLS1C=====\n", "not base64 of a text"},
    {CA, "    certificate-authority-data: AAAA\n", "not base64 of a text"},
    {CA, "    certificate-authority-data: aGVsbG8K\n", "no PEM certificate is in it"},
    {CA, "    certificate-authority: ca.crt\n    insecure-skip-tls-verify: true\n",
     "clusters[0].cluster.insecure-skip-tls-verify: the server is always verified"},
    {CA, "    certificate-authority: ca.crt\n    proxy-url: http://proxy:3128\n",
     "clusters[0].cluster.proxy-url: proxies are not supported"},
    {CREDENTIALS, "    x: y\n",
     "users[0].user: no credentials; client-certificate and client-key, tokenFile, or token"},
    {CREDENTIALS, "    exec: {command: aws}\n", "users[0].user.exec: no program is run for credentials"},
    {CREDENTIALS, "    token: x\n    exec: {command: aws}\n", "exec: no program is run for credentials"},
    {CREDENTIALS, "    auth-provider: {name: gcp}\n",
     "users[0].user.auth-provider: auth providers are not supported"},
    {CREDENTIALS, "    username: u\n    password: p\n",
     "users[0].user.username: passwords are not supported"},
    {CREDENTIALS, "    token: x\n    as: admin\n", "users[0].user.as: impersonation is not supported"},
    {CREDENTIALS, "    token: x\n    as-groups: [a]\n",
     "users[0].user.as-groups: impersonation is not supported"},
    {CREDENTIALS, "    client-certificate: client.crt\n", "client-key is missing"},
    {CREDENTIALS, "    client-key: client.key\n", "client-certificate is missing"},
    {CREDENTIALS, "    client-certificate: client.crt\n    client-key: locked.key\n",
     "/etc/k/locked.key: the key has a password"},
    {CREDENTIALS, "    client-certificate: client.crt\n    client-key: ca.crt\n",
     "no PEM private key is in it"},
    {CREDENTIALS, "    tokenFile: empty\n", "/etc/k/empty: the token is empty"},
    {CREDENTIALS, "    tokenFile: two\n", "/etc/k/two: more than one token is in it"},
    {CREDENTIALS, "    token: \"a\\x01b\"\n", "users[0].user.token: not a token"},
    {CREDENTIALS, "    token: {a: b}\n", "users[0].user.token: not a text"},
};

static void whatever_we_would_not_do_is_refused_by_name(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_bad(kubeconfig(refused[i].line, refused[i].instead), refused[i].part);
}

static void what_is_no_kubeconfig_is_said_so(void)
{
    struct kube_access a;
    char *why, *large = malloc(KUBE_ACCESS_MAX_BYTES + 1);
    expect_bad("", "not a kubeconfig");
    expect_bad("- a\n", "not a kubeconfig");
    expect_bad("a: [", "/etc/k/config:2:1: YAML syntax");
    expect_bad("a: !!binary x\n", "tags are not supported");
    memset(large, 'x', KUBE_ACCESS_MAX_BYTES);
    large[KUBE_ACCESS_MAX_BYTES] = 0;
    expect_bad(large, "larger than 1 MiB");
    free(large);
    CU_ASSERT_EQUAL(kube_access_load("/etc/k/none", NULL, 0, &files, &a, &why), -EINVAL);
    CU_ASSERT_STRING_EQUAL(why, "/etc/k/none: No such file or directory");
    free(why);
}

static void in_a_pod_the_environment_says_where(void)
{
    struct kube_access a;
    char *why;
    unsetenv("KUBERNETES_SERVICE_HOST");
    CU_ASSERT_EQUAL(kube_access_load(NULL, NULL, 0, &files, &a, &why), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "KUBERNETES_SERVICE_HOST is not set; name a kubeconfig"));
    free(why);
    char one[] = "https://10.0.0.1:6443", two[] = "https://10.0.0.2:6443", *servers[] = {one, two};
    CU_ASSERT_EQUAL_FATAL(kube_access_load(NULL, servers, 2, &files, &a, &why),
                          0); /* the configuration does */
    CU_ASSERT(a.n_servers == 2 && a.token.file && !strcmp(a.servers[1], servers[1]));
    kube_access_reset(&a);
    static const struct {
        const char *host, *port, *server;
    } cases[] = {{"10.96.0.1", "443", "https://10.96.0.1:443"},
                 {"fd00::1", "6443", "https://[fd00::1]:6443"},
                 {"kubernetes.default", "", "https://kubernetes.default:443"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        *asked = 0;
        setenv("KUBERNETES_SERVICE_HOST", cases[i].host, 1);
        setenv("KUBERNETES_SERVICE_PORT", cases[i].port, 1);
        CU_ASSERT_EQUAL_FATAL(kube_access_load(NULL, NULL, 0, &files, &a, &why),
                              0); /* the files may come later */
        CU_ASSERT_STRING_EQUAL(a.servers[0], cases[i].server);
        CU_ASSERT_STRING_EQUAL(a.ca.file, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
        CU_ASSERT_STRING_EQUAL(a.token.file, "/var/run/secrets/kubernetes.io/serviceaccount/token");
        CU_ASSERT_STRING_EQUAL(asked, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt "
                                      "/var/run/secrets/kubernetes.io/serviceaccount/token ");
        kube_access_reset(&a);
    }
    setenv("KUBERNETES_SERVICE_PORT", "0", 1);
    CU_ASSERT_EQUAL(kube_access_load(NULL, NULL, 0, &files, &a, &why), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "the port is not a number from 1 to 65535"));
    free(why);
    unsetenv("KUBERNETES_SERVICE_HOST");
}

static const struct {
    const char *text, *host;
    uint16_t port;
    int af;
} servers[] = {
    {"https://10.0.0.1", "10.0.0.1", 443, AF_INET},
    {"https://10.0.0.1:6443", "10.0.0.1", 6443, AF_INET},
    {"https://10.0.0.1:65535/", "10.0.0.1", 65535, AF_INET},
    {"https://[2001:db8::1]", "2001:db8::1", 443, AF_INET6},
    {"https://[::1]:1", "::1", 1, AF_INET6},
    {"https://k8s.example.com:6443", "k8s.example.com", 6443, 0},
    {"https://a", "a", 443, 0},
    {"https://a-1.b.", "a-1.b.", 443, 0},
};
static const struct {
    const char *text, *part;
} no_servers[] = {
    {"", "not of the form"},
    {"10.0.0.1:6443", "not of the form https://HOST[:PORT]"},
    {"http://10.0.0.1", "in the clear"},
    {"https://", "neither a name nor an address"},
    {"https://:443", "neither a name nor an address"},
    {"https://a:0", "the port"},
    {"https://a:65536", "the port"},
    {"https://a:x", "the port"},
    {"https://a:", "the port"},
    {"https://a/k8s/clusters/c-1", "a path after the host is not supported"},
    {"https://a?x", "a path after the host"},
    {"https://2001:db8::1:6443", "an IPv6 address is written in brackets"},
    {"https://[2001:db8::1", "not of the form"},
    {"https://[2001:db8::1]6443", "not of the form"},
    {"https://[10.0.0.1]", "what is in brackets is not an IPv6 address"},
    {"https://[fe80::1%eth0]", "what is in brackets is not an IPv6 address"},
    {"https://user@host", "neither a name nor an address"},
    {"https://a b", "neither a name nor an address"},
    {"https://-a", "neither a name nor an address"},
    {"https://a..b", "neither a name nor an address"},
    {"https://a\r\nX-Evil", "neither a name nor an address"},
};

static void a_server_is_https_and_a_host(void)
{
    struct kube_server s;
    const char *why;
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        CU_ASSERT(kube_server_valid(servers[i].text, &why));
        CU_ASSERT(kube_server_parse(servers[i].text, &s, &why));
        CU_ASSERT_STRING_EQUAL(s.host, servers[i].host);
        CU_ASSERT(s.port == servers[i].port && s.addr.af == servers[i].af);
    }
    for (size_t i = 0; i < sizeof no_servers / sizeof *no_servers; i++) {
        bool refuses = !kube_server_valid(no_servers[i].text, &why) && strstr(why, no_servers[i].part);
        if (!refuses)
            printf("    %s\n", no_servers[i].text);
        CU_ASSERT(refuses);
    }
    char longest[300] = "https://";
    memset(longest + 8, 'a', 280);
    CU_ASSERT_FALSE(kube_server_valid(longest, &why));
}

static void copies_are_equal_until_something_differs(void)
{
    struct kube_access a = expect_good(kubeconfig(CREDENTIALS, "    token: abc\n")), b;
    CU_ASSERT_EQUAL_FATAL(kube_access_copy(&b, &a), 0);
    CU_ASSERT(kube_access_equal(&a, &b));
    b.token.text[0] = 'x';
    CU_ASSERT_FALSE(kube_access_equal(&a, &b));
    b.token.text[0] = 'a';
    b.servers[0][8] = '9';
    CU_ASSERT_FALSE(kube_access_equal(&a, &b));
    b.servers[0][8] = '1';
    CU_ASSERT(kube_access_equal(&a, &b));
    free(b.ca.file);
    b.ca.file = NULL;
    CU_ASSERT_FALSE(kube_access_equal(&a, &b));
    kube_access_reset(&a);
    kube_access_reset(&b);
    kube_access_reset(&b);
}

static const struct unit_case cases[] = {
    UNIT(files_are_named_relative_to_the_kubeconfig_and_each_is_asked_for),
    UNIT(data_in_place_goes_before_files),
    UNIT(a_token_is_a_text_or_better_a_file_and_a_certificate_goes_before_both),
    UNIT(what_is_off_or_empty_is_not_refused),
    UNIT(whatever_we_would_not_do_is_refused_by_name),
    UNIT(what_is_no_kubeconfig_is_said_so),
    UNIT(in_a_pod_the_environment_says_where),
    UNIT(a_server_is_https_and_a_host),
    UNIT(copies_are_equal_until_something_differs),
};
UNIT_MAIN("kube access", cases)
