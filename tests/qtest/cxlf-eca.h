/*
 * Helpers of the CXL fabric's qtests: the agent's interrupts, and modes
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_ECA_H
#define TESTS_CXLF_ECA_H

#include "cxlf-hdm.h"

/* cxlf_msix_on: map the table and enable it; returns how many vectors. */
unsigned cxlf_msix_on(CxlfHost *h);
/* cxlf_msix_vector: a vector writes to the guest's memory, or is masked. */
void cxlf_msix_vector(CxlfHost *h, unsigned n, bool masked);
/* cxlf_msix_message: what it has written; forgets it.  0: nothing. */
uint32_t cxlf_msix_message(CxlfHost *h, unsigned n);
void cxlf_msix_wait(CxlfHost *h, unsigned n);
bool cxlf_msix_pending(CxlfHost *h, unsigned n);

/* cxlf_set_bulk_mode: "coherent" or "software", and wait for it. */
void cxlf_set_bulk_mode(CxlfFabric *f, const char *mode);

#endif /* TESTS_CXLF_ECA_H */
