/*
 * GFAM device: what its own files share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_GFAM_INTERNAL_H
#define HW_CXL_GFAM_INTERNAL_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_device.h"
#include "hw/cxlf/eca.h"
#include "system/hostmem.h"

#define TYPE_CXL_GFAM "cxl-gfam"
typedef struct CXLGFAM CXLGFAM;
typedef struct CXLGFAMClass CXLGFAMClass;
DECLARE_OBJ_CHECKERS(CXLGFAM, CXLGFAMClass, CXL_GFAM, TYPE_CXL_GFAM)

/*
 * A committed decoder's place in its fixed window.  @region covers it all;
 * in it @trap takes every access, and, while the whole decoder path is
 * committed, @direct maps what may be accessed at native speed over it.
 */
typedef struct GFAMWindow {
    CXLGFAM *gfam;
    MemoryRegion region;
    MemoryRegion trap;
    MemoryRegion direct;
    CXLFixedWindow *fw;     /* NULL: not installed */
    hwaddr base;            /* HPA */
    uint64_t size;
    uint64_t dpa;           /* of the base */
    bool open;              /* the whole path is committed */
    bool mapped;            /* @direct is in @region */
} GFAMWindow;

struct CXLGFAM {
    CXLType3Dev parent_obj;

    /* Properties */
    ECAState *eca;
    uint32_t gfam;
    bool hot_bypass;

    /* Fixed once realized */
    uint64_t hot, bulk;

    /* Under the BQL */
    GFAMWindow window[CXL_HDM_DECODER_COUNT];
    Notifier path_notifier;
    Notifier lost_notifier;
    void (*type3_reg_write)(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size);
};

struct CXLGFAMClass {
    CXLType3Class parent_class;

    void (*parent_realize)(PCIDevice *dev, Error **errp);
    void (*parent_exit)(PCIDevice *dev);
    void (*parent_reset)(DeviceState *dev);
    PCIConfigWriteFunc *parent_config_write;
};

/* gfam-hdm.c: decoders and windows */
void gfam_hdm_init(CXLGFAM *s);
void gfam_hdm_exit(CXLGFAM *s);
void gfam_hdm_close_all(CXLGFAM *s);

/* gfam-cdat.c */
int gfam_build_cdat(CDATSubHeader ***table, void *priv);

/* gfam-memory.c: the memory backend that stands for fabric memory */
HostMemoryBackend *gfam_memory_new(Object *parent, CXLFabric *fabric,
                                   uint32_t gfam, uint64_t size,
                                   Error **errp);

#endif /* HW_CXL_GFAM_INTERNAL_H */
