/*
 * DPU Edge Coherence Agent: what its own files share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_INTERNAL_H
#define HW_DPU_ECA_INTERNAL_H

#include "hw/pci/pci_device.h"
#include "hw/cxlf/eca.h"

/* Loads of a locked instruction that wait for their stores, of one vCPU. */
typedef struct ECALocked {
    uint32_t gfam;
    unsigned loads;             /* pieces loaded; more than 2 is misaligned */
    unsigned stores;            /* pieces stored so far */
    uint64_t dpa;               /* of the first piece */
    uint64_t end;               /* behind the last piece */
    unsigned size[2];
    uint64_t value[2];
    uint64_t first_store;       /* of a 16-byte operation */
} ECALocked;

struct ECAState {
    PCIDevice parent_obj;

    CXLFabric *fabric;          /* property, or embedded */
    MemoryRegion bar;

    /* Under the BQL. */
    uint32_t host;
    uint8_t *memory[CXLF_MAX_GFAMS];
    ECALocked *locked;          /* one for each vCPU */
    unsigned vcpus;
};

#endif /* HW_DPU_ECA_INTERNAL_H */
