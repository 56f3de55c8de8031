/*
 * DPU Edge Coherence Agent: its DMA engine
 *
 * Copies between a device's memory and the guest's, or another device's,
 * coherent with all other accesses: docs/specs/dpu-eca.rst, "Copies".  A
 * queue asks for the pages of a piece, waits for them, moves what it can, and
 * goes on.  All functions are called with the BQL held, and none waits.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_DMA_H
#define HW_DPU_ECA_DMA_H

#include "eca-internal.h"

typedef struct ECADma {
    uint32_t command;       /* ECA_COPY_OUT and so on of eca-regs.h */
    uint32_t gfam, to_gfam;
    uint64_t dpa;
    uint64_t address;       /* guest physical; the DPA in to_gfam */
    uint64_t length;        /* bytes */
    uint64_t done;          /* bytes */
    unsigned tries;         /* since some were moved */
} ECADma;

#define ECA_DMA_RANGES 2

/* eca_dma_check: whether it can be made, as ECA_COPY_* of eca-regs.h. */
uint32_t eca_dma_check(ECAState *s, const ECADma *dma);

/*
 * eca_dma_pages: the pages that the next piece needs, to be acquired first.
 * Returns how many ranges; 0: nothing has to be asked.
 */
unsigned eca_dma_pages(ECAState *s, const ECADma *dma,
                       ECARange *ranges[ECA_DMA_RANGES]);

/*
 * eca_dma_move: move as much of the piece as this host holds.  Returns
 * ECA_COPY_BUSY until the end.
 */
uint32_t eca_dma_move(ECAState *s, ECADma *dma);

#endif /* HW_DPU_ECA_DMA_H */
