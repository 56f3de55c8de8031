/*
 * DPU Edge Coherence Agent: requests to the fabric's owner and manager
 *
 * docs/specs/dpu-eca.rst, "Mode" and "Requests to the manager".  All functions
 * are called with the BQL held.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_MANAGER_H
#define HW_DPU_ECA_MANAGER_H

#include "hw/cxlf/eca.h"
#include "cxlf/wire.h"

void eca_manager_init(ECAState *s);
void eca_manager_exit(ECAState *s);

/* eca_manager_reset: the guest that has asked is no more. */
void eca_manager_reset(ECAState *s);

/* eca_manager_lost: nobody will answer. */
void eca_manager_lost(ECAState *s);

/* eca_is_request: whether a command is one. */
bool eca_is_request(uint32_t command);

/*
 * eca_manager_ask: ask for @user, which has no other request whose command
 * has not ended; @w's token is chosen here.  Returns ECA_COPY_* of eca-regs.h.
 * eca_manager_status: what came of it, and the request's number.
 * eca_manager_told: the guest has seen that.
 * eca_manager_forget: it will not; the request is withdrawn.
 */
uint32_t eca_manager_ask(ECAState *s, void *user, uint32_t tag,
                         struct cxlf_wire_request *w);
uint32_t eca_manager_status(ECAState *s, void *user, uint64_t *number);
void eca_manager_told(ECAState *s, void *user);
void eca_manager_forget(ECAState *s, void *user);

/* eca_manager_tell: give the guest the answers that it has room for. */
void eca_manager_tell(ECAState *s);

#endif /* HW_DPU_ECA_MANAGER_H */
