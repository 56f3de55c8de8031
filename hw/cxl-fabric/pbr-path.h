/*
 * PBR switch ports: the decoder path from a fixed window to an endpoint
 *
 * An endpoint's decoder alone maps nothing: the host bridge's and the
 * upstream port's decoders on the way must be committed to it too.
 * CXL r3.1 sections 8.2.4.20 and 9.18.1.3.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_PBR_PATH_H
#define HW_CXL_FABRIC_PBR_PATH_H

#include "qemu/notify.h"
#include "hw/pci/pci_device.h"
#include "hw/cxl/cxl.h"

/*
 * pbr_path_watch: call @n whenever a decoder of an upstream port or host
 * bridge above an endpoint of this process may have changed.
 * Remove it with notifier_remove().  BQL.
 */
void pbr_path_watch(PCIDevice *endpoint, Notifier *n);

/* pbr_path_changed: tell those who watch.  BQL. */
void pbr_path_changed(void);

/*
 * pbr_path_window: the fixed window that contains @size bytes at @base, or
 * NULL if none contains them wholly, or if a device maps some of them
 * already.  BQL.
 */
CXLFixedWindow *pbr_path_window(hwaddr base, uint64_t size);

/*
 * pbr_path_committed: whether each decoder above @endpoint is committed to
 * it for all of @size bytes at @base in window @fw, not interleaved.  BQL.
 */
bool pbr_path_committed(PCIDevice *endpoint, CXLFixedWindow *fw, hwaddr base,
                        uint64_t size);

/*
 * pbr_path_hook: have the decoders of an upstream port or host bridge tell
 * those who watch.  Its registers must have no special handling yet.  BQL.
 */
void pbr_path_hook(CXLComponentState *cstate);

#endif /* HW_CXL_FABRIC_PBR_PATH_H */
