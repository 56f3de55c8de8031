/*
 * Life of a leaf: quiescent points, failure and return
 *
 * An access to a finite or tiered directory is *inside* from its first look
 * at an entry to its last.  What was freed, or left, in epoch e is touched
 * by nobody any more once the epoch is e + 2: the epoch advances from e only
 * when no live host is inside with the parity of e - 1.  Epochs are 64 bits
 * (62 in an entry) and advance at most once per look at all hosts, so they
 * do not wrap in the life of a machine; parities do, which is why an epoch
 * advances by one.  docs/directory.md, "Quiescent points".
 *
 * An access ends in the segment in which it began: a process attaches a leaf
 * that has returned between its accesses only.
 *
 * A leaf that returns is empty and REBUILDING; it withholds accesses until
 * every live host has re-entered what its log says that it has mapped.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_LEAF_H
#define CXLF_LEAF_H

#include "cxlf/directory.h"
#include "cxlf/log.h"

/*
 * cxlf_enter: begin an access of @host at @leaf; cxlf_leave() ends it, with
 * the ticket that was returned.  Never waits; accesses of several threads
 * of a host may overlap.
 */
unsigned cxlf_enter(struct cxlf_directory *directory, unsigned host,
                    uint32_t leaf);
void cxlf_leave(struct cxlf_directory *directory, unsigned host,
                uint32_t leaf, unsigned ticket);

/* cxlf_epoch: what to compare with later: passed when it is 2 more. */
uint64_t cxlf_epoch(const struct cxlf_directory *directory, uint32_t leaf);

/*
 * cxlf_advance: advance the epoch, if every host allows it.  Looks at all
 * hosts.  Any thread, not inside.  Returns whether it is more than before.
 */
bool cxlf_advance(struct cxlf_directory *directory, uint32_t leaf);

enum cxlf_leaf_state cxlf_leaf_get(const struct cxlf_directory *directory,
                                   uint32_t leaf);

/*
 * cxlf_leaf_used: how many entries of @leaf are a unit's that is not in I,
 * or are claimed.  Looks at every entry that was ever touched.  Any thread,
 * not inside; what changes meanwhile may be counted or not.
 */
uint64_t cxlf_leaf_used(const struct cxlf_directory *directory, uint32_t leaf,
                        enum cxlf_kind kind);

/* cxlf_leaf_incarnation: what a grant of before is told by. */
uint32_t cxlf_leaf_incarnation(const struct cxlf_directory *directory,
                               uint32_t leaf);

/*
 * cxlf_leaf_set: by the fabric's owner alone.  REBUILDING begins one more
 * incarnation; an owner that has made the segment anew puts the last one's
 * number into it before.
 */
void cxlf_leaf_set(struct cxlf_directory *directory, uint32_t leaf,
                   enum cxlf_leaf_state state);

/*
 * cxlf_rebuild: re-enter what the log of @host says about @leaf, and note
 * that it is done.  Returns how many pages; *@conflicts (may be NULL) of how
 * many other hosts' logs said otherwise: these are poisoned.
 */
uint64_t cxlf_rebuild(struct cxlf_directory *directory, unsigned host,
                      uint32_t leaf, struct cxlf_log *log,
                      uint64_t *conflicts);

/*
 * cxlf_rebuild_poison: re-enter that the unit at @dpa is poisoned, from the
 * list of the fabric's owner: by it alone, while the leaf is rebuilding.
 * Returns false if there is no such unit, or no room for it.
 */
bool cxlf_rebuild_poison(struct cxlf_directory *directory,
                         enum cxlf_kind kind, uint32_t gfam, uint64_t dpa);

/*
 * cxlf_leaf_resume: UP, if each host of @live (a bit each, of
 * CXLF_MAX_HOSTS) has rebuilt.  By the fabric's owner alone.
 */
bool cxlf_leaf_resume(struct cxlf_directory *directory, uint32_t leaf,
                      const uint64_t live[64]);

#endif /* CXLF_LEAF_H */
