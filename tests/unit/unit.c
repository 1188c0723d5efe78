/* The runner behind unit.h: one CUnit suite a program, one line a case. Not a framework of its own: CUnit
 * registers, runs and counts; this file only prints so that tests/run can add the totals up. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *skipped_why;
static unsigned passed, failed, skipped;

void unit_skip(const char *why)
{
    skipped_why = why;
}

int unit_make_dir(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(path, size, "%s/unit.XXXXXX", base ? base : "/tmp");
    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    return mkdtemp(path) ? 0 : -errno;
}

static void before_case(const CU_pTest test, const CU_pSuite suite)
{
    (void)test, (void)suite;
    skipped_why = NULL;
}

uint64_t unit_starved_ms(void)
{
    unsigned long long ran, waited = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "re"); /* not there: 0 */
    if (f && fscanf(f, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    if (f)
        fclose(f);
    return waited / 1000000;
}

static void after_case(const CU_pTest test, const CU_pSuite suite, CU_pFailureRecord failure)
{
    (void)suite;
    if (failure) {
        failed++;
        printf("FAIL  %s\n", test->pName);
        for (CU_pFailureRecord f = failure; f; f = f->pNext)
            printf("      %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    } else if (skipped_why) {
        skipped++;
        printf("SKIP  %s: %s\n", test->pName, skipped_why);
    } else {
        passed++;
        printf("ok    %s\n", test->pName);
    }
    fflush(stdout);
}

int unit_main(const char *suite, const struct unit_case *cases, unsigned n)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (unsigned i = 0; s && i < n; i++)
        if (!CU_add_test(s, cases[i].name, cases[i].run))
            s = NULL;
    if (!s) {
        fprintf(stderr, "%s: %s\n", suite, CU_get_error_msg());
        return 2;
    }
    CU_set_test_start_handler(before_case);
    CU_set_test_complete_handler(after_case);
    CU_run_all_tests();
    CU_cleanup_registry();
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || passed + skipped != n ? EXIT_FAILURE : EXIT_SUCCESS;
}
