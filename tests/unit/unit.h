/* A unit test program: a table of cases, run by CUnit. Names say the behaviour. Ends with "N passed, N
 * failed, N skipped" and exit status 0 only when nothing failed. */
#ifndef UNDERLAY_UNIT_H
#define UNDERLAY_UNIT_H

#include <CUnit/CUnit.h>
#include <stddef.h>

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

int unit_main(const char *suite, const struct unit_case *cases, unsigned n);
#define UNIT_MAIN(suite, cases)                                                                              \
    int main(void)                                                                                           \
    {                                                                                                        \
        return unit_main(suite, cases, sizeof(cases) / sizeof *(cases));                                     \
    }

#endif
