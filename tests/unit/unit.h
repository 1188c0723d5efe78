/* A unit test program: a table of cases, run by CUnit. Names say the behaviour. Ends with "N passed, N
 * failed, N skipped" and exit status 0 only when nothing failed. */
#ifndef UNDERLAY_UNIT_H
#define UNDERLAY_UNIT_H

#include <CUnit/CUnit.h>
#include <stddef.h>
#include <stdint.h>

struct unit_case {
    const char *name;
    void (*run)(void);
};
#define UNIT(fn)                                                                                             \
    {                                                                                                        \
#fn, fn                                                                                              \
    }

/* From inside a case that cannot run on this machine; return right after. Shown with the reason. */
void unit_skip(const char *why);

/* Make a directory of one's own below $TMPDIR or /tmp and put its path into path. 0, -ENAMETOOLONG, or
 * another -errno. The test removes it; tests/unit/run.py does when the test dies. */
int unit_make_dir(char *path, size_t size);

/* Milliseconds for which this thread was ready to run and others ran. A wait of a test ends after a time that
 * does not count them, so that a busy machine does not end it before anything could happen. */
uint64_t unit_starved_ms(void);

/* How much longer the same work takes in this build. */
#if defined __SANITIZE_ADDRESS__
#define UNIT_SLOW 3
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define UNIT_SLOW 3
#endif
#endif
#ifndef UNIT_SLOW
#define UNIT_SLOW 1
#endif

/* What to wait on after a wait that began at *starved: the time for which others ran in it. Moves *starved.
 * As in for (ms *= UNIT_SLOW; ms; ms = unit_owed_ms(&starved)) wait(ms); */
static inline unsigned unit_owed_ms(uint64_t *starved)
{
    uint64_t now = unit_starved_ms(), owed = now - *starved;
    *starved = now;
    return (unsigned)owed;
}

int unit_main(const char *suite, const struct unit_case *cases, unsigned n);
#define UNIT_MAIN(suite, cases)                                                                              \
    int main(void)                                                                                           \
    {                                                                                                        \
        return unit_main(suite, cases, sizeof(cases) / sizeof *(cases));                                     \
    }

#endif
