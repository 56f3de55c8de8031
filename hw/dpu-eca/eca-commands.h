/*
 * DPU Edge Coherence Agent: commands
 *
 * What registers and queues have in common: docs/specs/dpu-eca.rst.  All
 * functions are called with the BQL held.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_COMMANDS_H
#define HW_DPU_ECA_COMMANDS_H

#include "exec/hwaddr.h"
#include "hw/cxlf/eca.h"

typedef enum ECACommandClass {
    ECA_COMMAND_LINES,      /* of private copies */
    ECA_COMMAND_PAGES,
    ECA_COMMAND_RESERVE,
    ECA_COMMAND_MEMORY,     /* that is copied */
    ECA_COMMAND_OTHER,
} ECACommandClass;

ECACommandClass eca_command_class(uint32_t command);

/*
 * eca_check_range: whether commands of a class can work on a range, as
 * ECA_COPY_* of eca-regs.h.  If so, the range becomes whole lines or pages.
 */
uint32_t eca_check_range(ECAState *s, ECACommandClass class, uint32_t gfam,
                         uint64_t *dpa, uint64_t *length);

/*
 * eca_reserve: ask the owner of the fabric for a range, or give one up, for
 * @user; false while another one's request is not answered.
 * eca_reserve_status: what came of it; the answer ends the request.
 * eca_reserve_forget: never mind the answer.
 */
bool eca_reserve(ECAState *s, void *user, bool reserve, uint32_t gfam,
                 uint64_t dpa, uint64_t length);
uint32_t eca_reserve_status(ECAState *s, void *user);
void eca_reserve_forget(ECAState *s, void *user);

/* eca_commands_answered: the owner has answered, or is gone. */
void eca_commands_answered(ECAState *s);

void eca_commands_reset(ECAState *s);

/* Commands by registers */
uint64_t eca_copy_read(ECAState *s, hwaddr offset);
bool eca_copy_write(ECAState *s, hwaddr offset, uint64_t value,
                    unsigned size);

/* eca_copy_unable: this host has no pager, so it can make no copies. */
bool eca_copy_unable(ECAState *s, Error **errp);

#endif /* HW_DPU_ECA_COMMANDS_H */
