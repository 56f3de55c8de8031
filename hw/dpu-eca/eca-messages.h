/*
 * DPU Edge Coherence Agent: messages to and from other hosts' agents
 *
 * docs/specs/dpu-eca.rst, "Messages"; cxlf/inbox.h.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_MESSAGES_H
#define HW_DPU_ECA_MESSAGES_H

#include "eca-internal.h"

/* eca_messages_init: take none yet.  BQL. */
void eca_messages_init(ECAState *s);

/*
 * eca_message_send: at most ECA_MESSAGE_MAX bytes to a host, this one
 * included.  Returns ECA_COPY_* of eca-regs.h.  BQL; never waits.
 */
uint32_t eca_message_send(ECAState *s, uint32_t host, const void *data,
                          unsigned length);

/* eca_messages_wanted: whether the guest takes messages.  BQL. */
void eca_messages_wanted(ECAState *s, bool wanted);

/* eca_messages_kick: have the agent's thread look for some.  BQL. */
void eca_messages_kick(ECAState *s);

/* eca_messages_take: tell the guest of those that have come.  Its thread. */
void eca_messages_take(ECAState *s);

#endif /* HW_DPU_ECA_MESSAGES_H */
