/* Changes of the configuration's directory, as editors and Kubernetes make them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"
#include "speaker.h"
#include "speaker_events.h"
#include "unit.h"
#include "watch.h"

static char dir[64], path[96], key[96];
static struct speaker s;
static struct config config;
static struct keyfile file;
static struct timer *deadline;
static unsigned reloads;

void speaker_reload_asked(struct speaker *sp)
{
    (void)sp;
    reloads++;
}

static void on_deadline(void *arg)
{
    loop_stop(arg, 0);
}

static void run(unsigned ms)
{
    timer_set(deadline, ms);
    loop_run(s.loop);
}

/* Until there were so many reloads; more would come in the pause after it. */
static void expect_reloads(unsigned n)
{
    for (unsigned i = 0; i < 500 && reloads < n; i++)
        run(10);
    run(300);
    CU_ASSERT_EQUAL(reloads, n);
}

static void write_file(const char *to, const char *text)
{
    FILE *f = fopen(to, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void begin(bool watch)
{
    strcpy(dir, "/tmp/underlay-watch-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/underlay.yaml", dir);
    snprintf(key, sizeof key, "%s/tor.key", dir);
    write_file(path, "a");
    file = (struct keyfile){.path = key};
    config = (struct config){.watch = watch};
    s = (struct speaker){
        .loop = loop_new(), .config = &config, .config_name = path, .running = true, .keys = {1, &file}};
    deadline = timer_new(s.loop, on_deadline, s.loop);
    reloads = 0;
    s.watch = watch_new(&s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.watch);
}

static void end(void)
{
    char command[96];
    watch_free(s.watch);
    timer_free(deadline);
    loop_free(s.loop);
    snprintf(command, sizeof command, "rm -r %s", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void a_file_that_is_written_is_a_reload(void)
{
    begin(true);
    write_file(path, "b");
    write_file(key, "secret");
    write_file(path, "c");
    expect_reloads(1);
    write_file(key, "other");
    expect_reloads(2);
    end();
}

static void a_file_that_is_renamed_over_it_too(void)
{
    char other[96];
    begin(true);
    snprintf(other, sizeof other, "%s/.underlay.yaml.swp", dir);
    write_file(other, "b");
    run(400);
    CU_ASSERT_EQUAL(reloads, 0); /* somebody else's file */
    CU_ASSERT_EQUAL(rename(other, path), 0);
    expect_reloads(1);
    end();
}

/* As the kubelet does it: a new directory, a new link, and one rename. */
static void a_config_map_that_changes_is_a_reload(void)
{
    char data[96], fresh[96], one[96];
    begin(true);
    snprintf(data, sizeof data, "%s/..data", dir);
    snprintf(fresh, sizeof fresh, "%s/..data_tmp", dir);
    snprintf(one, sizeof one, "%s/..2026_1", dir);
    CU_ASSERT_EQUAL(mkdir(one, 0755), 0);
    CU_ASSERT_EQUAL(symlink("..2026_1", fresh), 0);
    run(400);
    CU_ASSERT_EQUAL(reloads, 0);
    CU_ASSERT_EQUAL(rename(fresh, data), 0);
    expect_reloads(1);
    end();
}

static void changes_without_end_are_a_reload_a_second(void)
{
    begin(true);
    uint64_t start = loop_now_ms(), now;
    while ((now = loop_now_ms()) < start + 2500) {
        write_file(path, "x");
        run(20);
    }
    CU_ASSERT(reloads >= 1 && reloads <= (now - start) / 1000 + 1);
    end();
}

static void a_directory_made_anew_is_watched_again(void)
{
    char aside[80], command[200];
    begin(true);
    snprintf(aside, sizeof aside, "%s.old", dir);
    snprintf(command, sizeof command, "rm -r %s", aside);
    CU_ASSERT_EQUAL(rename(dir, aside), 0);
    CU_ASSERT_EQUAL(mkdir(dir, 0755), 0);
    write_file(path, "b");
    expect_reloads(1);
    write_file(path, "c");
    expect_reloads(2);
    CU_ASSERT_EQUAL(system(command), 0);
    end();
}

static void it_is_off_until_asked_for_and_ends_when_not_any_more(void)
{
    begin(false);
    write_file(path, "b");
    run(400);
    CU_ASSERT_EQUAL(reloads, 0);
    config.watch = true;
    watch_apply(s.watch);
    watch_apply(s.watch);
    write_file(path, "c");
    expect_reloads(1);
    config.watch = false;
    watch_apply(s.watch);
    write_file(path, "d");
    run(400);
    CU_ASSERT_EQUAL(reloads, 1);
    end();
}

static void a_change_during_the_start_is_not_lost(void)
{
    begin(true);
    s.running = false;
    write_file(path, "b");
    run(600);
    CU_ASSERT_EQUAL(reloads, 0);
    s.running = true;
    expect_reloads(1);
    end();
}

static const struct unit_case cases[] = {
    UNIT(a_file_that_is_written_is_a_reload),     UNIT(a_file_that_is_renamed_over_it_too),
    UNIT(a_config_map_that_changes_is_a_reload),  UNIT(changes_without_end_are_a_reload_a_second),
    UNIT(a_directory_made_anew_is_watched_again), UNIT(it_is_off_until_asked_for_and_ends_when_not_any_more),
    UNIT(a_change_during_the_start_is_not_lost),
};
UNIT_MAIN("watch", cases)
