/* The process as the kernel accounts for it: the speaker, which is the one that grows with what peers send.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/metrics.h"
#include "loop.h"
#include "speaker.h"

static unsigned open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static uint64_t cpu_ms(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u))
        return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void put(struct metrics *w, const char *name, enum metric_type type, const char *unit,
                const char *help, uint64_t value)
{
    metrics_family(w, &(struct metric){name, type, unit, help});
    metrics_put(w, NULL, value);
}

void metrics_process(struct metrics *w, const struct speaker *s)
{
    struct rlimit fds = {0};
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
        size = resident = 0;
    if (f)
        fclose(f);
    getrlimit(RLIMIT_NOFILE, &fds);
    metrics_family(w, &(struct metric){"process_cpu_seconds", METRIC_COUNTER, "seconds",
                                       "Processor time that the speaker has used."});
    metrics_put_milli(w, NULL, cpu_ms());
    put(w, "process_resident_memory_bytes", METRIC_GAUGE, "bytes", "Memory of the speaker that is resident.",
        resident * page);
    put(w, "process_virtual_memory_bytes", METRIC_GAUGE, "bytes", "Address space of the speaker.",
        size * page);
    put(w, "process_open_fds", METRIC_GAUGE, NULL, "Descriptors that the speaker has open.", open_fds());
    put(w, "process_max_fds", METRIC_GAUGE, NULL, "Descriptors that it may have open.",
        (uint64_t)fds.rlim_cur);
    put(w, "process_start_time_seconds", METRIC_GAUGE, "seconds",
        "When the speaker was started, as Unix time.", (uint64_t)s->started_wall);
}
