/*
 * 16-byte compare-and-swap, and a consistent look at a directory entry
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_CORE_ATOMIC16_H
#define CXLF_CORE_ATOMIC16_H

#include <stdbool.h>
#include "cxlf/abi.h"

/*
 * The __sync form is used because, with -mcx16, compilers expand it in
 * place; the __atomic form calls a library that may take a lock, and a lock
 * of one process means nothing to another.  It is a full barrier.
 */
static inline bool cxlf_entry_cas(struct cxlf_entry *entry,
                                  struct cxlf_entry old,
                                  struct cxlf_entry new)
{
    unsigned __int128 was = (unsigned __int128)old.copyset << 64 | old.word;
    unsigned __int128 is = (unsigned __int128)new.copyset << 64 | new.word;

    return __sync_bool_compare_and_swap((unsigned __int128 *)entry, was, is);
}

/*
 * A consistent value of an entry without a locked instruction, so that hits
 * share the cache line between processors.
 *
 * (E0) loads the word, (E1) the copyset, (E2) the word again.  Every change
 * is one compare-and-swap that advances the generation, so equal words
 * around the copyset mean that all three loads saw one value, unless exactly
 * a multiple of 2^14 changes of this entry fell between E0 and E2.  At 20 ns
 * for a change that takes a reader that sleeps 0.3 ms there; such a reader
 * can misjudge a hit, never corrupt an entry, since a change compares all 16
 * bytes.
 */
static inline struct cxlf_entry cxlf_entry_load(const struct cxlf_entry *entry)
{
    struct cxlf_entry seen;
    uint64_t again;

    again = __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE);        /* E0 */
    do {
        seen.word = again;
        seen.copyset = __atomic_load_n(&entry->copyset,
                                       __ATOMIC_ACQUIRE);           /* E1 */
        again = __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE);    /* E2 */
    } while (again != seen.word);
    return seen;
}

#endif /* CXLF_CORE_ATOMIC16_H */
