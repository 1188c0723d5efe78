/* Memory that will be used at once and whole. */
#ifndef UNDERLAY_PAGES_H
#define UNDERLAY_PAGES_H

#include <stddef.h>

/* As malloc, and for free() or realloc(). Its pages are there already: a fault for each takes longer than
 * what is then written to it, in a virtual machine ten times as long. */
void *pages_alloc(size_t size);

#endif
