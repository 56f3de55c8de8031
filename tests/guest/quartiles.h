/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A member of a JSON object for values of which there are many.
 */
#ifndef QUARTILES_H
#define QUARTILES_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* json_quartiles: print @count values, at least one; sorts them. */
static inline void json_quartiles(const char *name, uint64_t *values,
                                  uint64_t count)
{
    qsort(values, count, sizeof(*values), by_size);
    printf(",\"%s\":{\"median\":%" PRIu64 ",\"q1\":%" PRIu64 ",\"q3\":%"
           PRIu64 ",\"p99\":%" PRIu64 "}", name, values[count / 2],
           values[count / 4], values[count * 3 / 4],
           values[count * 99 / 100]);
}

#endif /* QUARTILES_H */
