/* The checks of CUnit for fuzz targets, so that these can use the fixtures of the unit tests: one that fails
 * ends the program. */
#ifndef UNDERLAY_FUZZ_CUNIT_H
#define UNDERLAY_FUZZ_CUNIT_H

#include "tests/fuzz/fuzz.h"

#define CU_ASSERT(x)                       FUZZ_CHECK(x)
#define CU_ASSERT_FATAL(x)                 FUZZ_CHECK(x)
#define CU_ASSERT_TRUE(x)                  FUZZ_CHECK(x)
#define CU_ASSERT_TRUE_FATAL(x)            FUZZ_CHECK(x)
#define CU_ASSERT_FALSE(x)                 FUZZ_CHECK(!(x))
#define CU_ASSERT_FALSE_FATAL(x)           FUZZ_CHECK(!(x))
#define CU_ASSERT_EQUAL(a, b)              FUZZ_CHECK((a) == (b))
#define CU_ASSERT_EQUAL_FATAL(a, b)        FUZZ_CHECK((a) == (b))
#define CU_ASSERT_NOT_EQUAL(a, b)          FUZZ_CHECK((a) != (b))
#define CU_ASSERT_NOT_EQUAL_FATAL(a, b)    FUZZ_CHECK((a) != (b))
#define CU_ASSERT_PTR_NULL(p)              FUZZ_CHECK(!(p))
#define CU_ASSERT_PTR_NOT_NULL(p)          FUZZ_CHECK(p)
#define CU_ASSERT_PTR_NOT_NULL_FATAL(p)    FUZZ_CHECK(p)
#define CU_ASSERT_PTR_EQUAL(a, b)          FUZZ_CHECK((a) == (b))
#define CU_ASSERT_STRING_EQUAL(a, b)       FUZZ_CHECK(!strcmp(a, b))
#define CU_ASSERT_STRING_EQUAL_FATAL(a, b) FUZZ_CHECK(!strcmp(a, b))
#define CU_FAIL(what)                      FUZZ_CHECK(!(what))

#endif
