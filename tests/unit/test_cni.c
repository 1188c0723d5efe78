/* The CNI configuration: what it says, and when it is written. The parent and the sources are played here. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fibclient.h"
#include "kube/cni.h"
#include "loop.h"
#include "source/source.h"
#include "speaker.h"
#include "unit.h"

static struct speaker speaker;
static struct config config;
static struct cni *cni;
static struct timer *stop;

/* The parent. */
static struct {
    char file[4096]; /* "": there is none */
    int written;     /* memfd */
    unsigned reads, writes, commits;
    int read_error, write_error, commit_error;
    bool late; /* it answers a commit only when told to */
    void (*cb)(void *arg, int fd, int error);
    void *arg;
} parent;

static struct prefix cidrs[4];
static unsigned n_cidrs;

unsigned sources_pod_cidrs(const struct sources *s, const struct prefix **out)
{
    (void)s;
    *out = cidrs;
    return n_cidrs;
}

int fibclient_open(struct fibclient *c, enum fm_file_role role, uint32_t index,
                   void (*cb)(void *arg, int fd, int error), void *arg)
{
    (void)c;
    CU_ASSERT_EQUAL(role, FM_ROLE_CNI);
    int error = index ? parent.write_error : parent.read_error;
    parent.writes += index == 1;
    parent.reads += index == 0;
    if (!error && !index && !*parent.file)
        error = -ENOENT;
    int fd = error ? -1 : memfd_create("cni", 0);
    if (!error && index)
        parent.written = dup(fd);
    else if (!error)
        CU_ASSERT_FATAL(write(fd, parent.file, strlen(parent.file)) > 0 && !lseek(fd, 0, SEEK_SET));
    cb(arg, fd, error);
    return 0;
}

static void answer_commit(void)
{
    char text[sizeof parent.file] = {0};
    CU_ASSERT_TRUE_FATAL(parent.written >= 0);
    CU_ASSERT_TRUE(pread(parent.written, text, sizeof text - 1, 0) > 0);
    close(parent.written);
    parent.written = -1;
    if (!parent.commit_error)
        memcpy(parent.file, text, sizeof text);
    parent.cb(parent.arg, -1, parent.commit_error);
}

int fibclient_commit(struct fibclient *c, enum fm_file_role role, void (*cb)(void *arg, int fd, int error),
                     void *arg)
{
    (void)c;
    CU_ASSERT_EQUAL(role, FM_ROLE_CNI);
    parent.commits++;
    parent.cb = cb;
    parent.arg = arg;
    if (!parent.late)
        answer_commit();
    return 0;
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void turn(unsigned ms)
{
    timer_set(stop, ms);
    loop_run(speaker.loop);
}

static void set_cidrs(const char *one, const char *two)
{
    n_cidrs = 0;
    if (one)
        CU_ASSERT_FATAL(!prefix_parse(one, false, &cidrs[n_cidrs++]));
    if (two)
        CU_ASSERT_FATAL(!prefix_parse(two, false, &cidrs[n_cidrs++]));
}

static void begin(void)
{
    static char path[] = "/etc/cni/net.d/10-underlay.conflist", bridge[] = "cni0";
    memset(&parent, 0, sizeof parent);
    parent.written = -1;
    config = (struct config){.cni = {.write = path, .bridge = bridge}};
    speaker = (struct speaker){.loop = loop_new(), .config = &config};
    stop = timer_new(speaker.loop, stop_loop, speaker.loop);
    cni = cni_new(&speaker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cni);
    set_cidrs("10.244.7.0/24", "fd00:10:244:7::/64");
}

static void finish(void)
{
    cni_free(cni);
    timer_free(stop);
    loop_free(speaker.loop);
}

static const char *state(void)
{
    static struct cni_info info;
    cni_info(cni, &info);
    CU_ASSERT_EQUAL(info.written, !strcmp(info.state, "written"));
    return info.state;
}

/* What it says */

static json_t *conflist(enum cni_plugin plugin, uint32_t mtu, bool masquerade)
{
    static char bridge[] = "pods";
    struct config_cni c = {.plugin = plugin, .bridge = bridge, .mtu = mtu, .masquerade = masquerade};
    char *text = NULL;
    CU_ASSERT_EQUAL_FATAL(cni_conflist(&c, cidrs, n_cidrs, &text), 0);
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
    free(text);
    return j;
}

static void expect(json_t *list, unsigned plugin, const char *wanted)
{
    json_t *want = json_loads(wanted, 0, NULL),
           *have = json_array_get(json_object_get(list, "plugins"), plugin);
    CU_ASSERT_PTR_NOT_NULL_FATAL(want);
    if (!json_equal(want, have)) {
        char *text = json_dumps(have, 0);
        fprintf(stderr, "have %s\nwant %s\n", text, wanted);
        free(text);
        CU_FAIL("plugin");
    }
    json_decref(want);
}

#define DUAL                                                                                                 \
    "{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":\"10.244.7.0/24\"}],[{\"subnet\":\"fd00:10:244:7::/"  \
    "64\"}]],"                                                                                               \
    "\"routes\":[{\"dst\":\"0.0.0.0/0\"},{\"dst\":\"::/0\"}]}"

static void a_bridge_has_addresses_of_both_families(void)
{
    set_cidrs("10.244.7.0/24", "fd00:10:244:7::/64");
    json_t *j = conflist(CNI_BRIDGE, 1450, false);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "cniVersion")), "0.4.0");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "name")), "underlay");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "plugins")), 2);
    expect(j, 0,
           "{\"type\":\"bridge\",\"bridge\":\"pods\",\"isGateway\":true,\"forceAddress\":true,"
           "\"hairpinMode\":true,\"ipMasq\":false,\"mtu\":1450,\"ipam\":" DUAL "}");
    expect(j, 1, "{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}");
    json_decref(j);
}

static void ptp_leaves_out_what_is_not_set(void)
{
    set_cidrs("10.244.7.0/24", "fd00:10:244:7::/64");
    json_t *j = conflist(CNI_PTP, 0, true);
    expect(j, 0, "{\"type\":\"ptp\",\"ipMasq\":true,\"ipam\":" DUAL "}");
    json_decref(j);
}

static void a_family_without_cidr_gets_no_route(void)
{
    set_cidrs("fd00:10:244:7::/64", NULL);
    json_t *j = conflist(CNI_PTP, 0, false);
    expect(j, 0,
           "{\"type\":\"ptp\",\"ipMasq\":false,\"ipam\":{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":"
           "\"fd00:10:244:7::/64\"}]],\"routes\":[{\"dst\":\"::/0\"}]}}");
    json_decref(j);
}

/* The bridge plugin refuses a second IPv4 gateway address on its bridge. */
static void cidrs_of_a_family_are_one_set_of_ranges(void)
{
    set_cidrs("10.244.7.0/24", "10.244.9.0/24");
    json_t *j = conflist(CNI_PTP, 0, false);
    expect(j, 0,
           "{\"type\":\"ptp\",\"ipMasq\":false,\"ipam\":{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":"
           "\"10.244.7.0/24\"},{\"subnet\":\"10.244.9.0/24\"}]],\"routes\":[{\"dst\":\"0.0.0.0/0\"}]}}");
    json_decref(j);
    j = conflist(CNI_BRIDGE, 0, false);
    json_t *ipam = json_object_get(json_array_get(json_object_get(j, "plugins"), 0), "ipam");
    CU_ASSERT_EQUAL(json_array_size(json_array_get(json_object_get(ipam, "ranges"), 0)), 1);
    json_decref(j);
}

static void without_pod_cidrs_there_is_nothing_to_say(void)
{
    struct config_cni c = {.plugin = CNI_PTP};
    char *text;
    CU_ASSERT_EQUAL(cni_conflist(&c, NULL, 0, &text), -EINVAL);
    CU_ASSERT_PTR_NULL(text);
}

/* When it is written */

static void it_waits_for_the_fib_and_for_pod_cidrs(void)
{
    begin();
    set_cidrs(NULL, NULL);
    cni_update(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "waiting for the FIB");
    speaker.fib_settled = true;
    cni_update(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "waiting for pod CIDRs");
    CU_ASSERT_EQUAL(parent.reads + parent.writes, 0);
    set_cidrs("10.244.7.0/24", NULL);
    cni_update(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "written");
    CU_ASSERT_PTR_NOT_NULL(strstr(parent.file, "10.244.7.0/24"));
    finish();
}

static void off_touches_nothing(void)
{
    begin();
    config.cni.write = NULL;
    speaker.fib_settled = true;
    cni_apply(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "off");
    CU_ASSERT_EQUAL(parent.reads + parent.writes, 0);
    finish();
}

static void what_is_there_already_is_left_alone(void)
{
    begin();
    speaker.fib_settled = true;
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 1);
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.reads, 1); /* known */
    cni_apply(cni);
    turn(5);
    CU_ASSERT_TRUE(parent.reads == 2 && parent.commits == 1); /* looked at */
    CU_ASSERT_STRING_EQUAL(state(), "written");
    *parent.file = 0; /* somebody has removed it */
    cni_apply(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 2);
    finish();
}

static void other_pod_cidrs_are_written_and_none_remove_nothing(void)
{
    begin();
    speaker.fib_settled = true;
    cni_update(cni);
    turn(5);
    set_cidrs("10.244.8.0/24", NULL);
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(parent.file, "10.244.8.0/24"));
    CU_ASSERT_PTR_NULL(strstr(parent.file, "10.244.7.0/24"));
    set_cidrs(NULL, NULL);
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 2);
    CU_ASSERT_STRING_EQUAL(state(), "waiting for pod CIDRs");
    finish();
}

static void a_change_while_it_is_written_is_written_next(void)
{
    begin();
    speaker.fib_settled = true;
    parent.late = true;
    cni_update(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "being written");
    set_cidrs("10.244.8.0/24", NULL);
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 1);
    answer_commit();
    turn(5);
    CU_ASSERT_EQUAL(parent.commits, 2);
    answer_commit();
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "written");
    CU_ASSERT_PTR_NOT_NULL(strstr(parent.file, "10.244.8.0/24"));
    finish();
}

static void an_error_is_told_and_tried_again(void)
{
    begin();
    speaker.fib_settled = true;
    parent.write_error = -EROFS;
    cni_update(cni);
    turn(5);
    CU_ASSERT_PTR_NOT_NULL(strstr(state(), "Read-only file system"));
    cni_update(cni); /* changes nothing, and does not cut the wait short */
    turn(5);
    CU_ASSERT_EQUAL(parent.writes, 1);
    parent.write_error = 0;
    parent.commit_error = -ENOSPC;
    turn(1100);
    CU_ASSERT_PTR_NOT_NULL(strstr(state(), "No space left"));
    CU_ASSERT_EQUAL(parent.writes, 2);
    parent.commit_error = 0;
    set_cidrs("10.244.8.0/24", NULL); /* but another text does */
    cni_update(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "written");
    finish();
}

static void something_else_in_its_place_is_an_error_or_replaced(void)
{
    begin();
    speaker.fib_settled = true;
    parent.read_error = -EINVAL; /* no regular file */
    cni_update(cni);
    turn(5);
    CU_ASSERT_EQUAL(parent.writes, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(state(), "cannot be read"));
    parent.read_error = 0;
    strcpy(parent.file, "{\"name\": \"of another\"}");
    cni_apply(cni);
    turn(5);
    CU_ASSERT_STRING_EQUAL(state(), "written");
    CU_ASSERT_PTR_NOT_NULL(strstr(parent.file, "underlay"));
    finish();
}

static const struct unit_case cases[] = {
    UNIT(a_bridge_has_addresses_of_both_families),
    UNIT(ptp_leaves_out_what_is_not_set),
    UNIT(a_family_without_cidr_gets_no_route),
    UNIT(cidrs_of_a_family_are_one_set_of_ranges),
    UNIT(without_pod_cidrs_there_is_nothing_to_say),
    UNIT(it_waits_for_the_fib_and_for_pod_cidrs),
    UNIT(off_touches_nothing),
    UNIT(what_is_there_already_is_left_alone),
    UNIT(other_pod_cidrs_are_written_and_none_remove_nothing),
    UNIT(a_change_while_it_is_written_is_written_next),
    UNIT(an_error_is_told_and_tried_again),
    UNIT(something_else_in_its_place_is_an_error_or_replaced),
};
UNIT_MAIN("cni", cases)
