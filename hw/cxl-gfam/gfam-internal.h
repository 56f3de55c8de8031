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
 * DPA is the endpoint's own in all of these files, from 0 on; where it goes
 * to the agent or the directory gfam_dpa() makes it the device's.
 */

/* Takes every access to the endpoint's memory from @dpa on. */
typedef struct GFAMTrap {
    MemoryRegion region;
    CXLGFAM *gfam;
    uint64_t dpa;
    bool open;              /* or all are refused */
} GFAMTrap;

/*
 * A committed decoder's place in its fixed window.  @region covers it all;
 * in it @trap takes every access, and, while the whole decoder path is
 * committed, @direct lies over it: an alias of what may be accessed at native
 * speed, or of the agent's views, which say it page by page.
 */
typedef struct GFAMWindow {
    CXLGFAM *gfam;
    MemoryRegion region;
    GFAMTrap trap;          /* open if the whole path is committed */
    MemoryRegion direct;
    CXLFixedWindow *fw;     /* NULL: not installed */
    hwaddr base;            /* HPA */
    uint64_t size;
    bool mapped;            /* @direct lies over @trap */
} GFAMWindow;

typedef struct GFAMPoison GFAMPoison;

typedef struct GFAMDcd GFAMDcd;

typedef struct GFAMChmu GFAMChmu;

struct CXLGFAM {
    CXLType3Dev parent_obj;

    /* Properties */
    ECAState *eca;
    uint32_t gfam;
    uint32_t ld;            /* GFAM_NO_LD: all of the device */
    bool hot_bypass;

    /* Fixed once realized */
    uint64_t start;         /* DPA of the device at this endpoint's DPA 0 */
    uint64_t hot, bulk;     /* of this endpoint */
    uint64_t dynamic;       /* bytes of dynamic capacity behind them */
    MemoryRegion *view;     /* the agent's, or NULL */

    /* Under the BQL */
    GFAMWindow window[CXL_HDM_DECODER_COUNT];
    Notifier path_notifier;
    Notifier lost_notifier;
    GFAMPoison *poison;
    GFAMDcd *dcd;           /* NULL: no dynamic capacity */
    GFAMChmu *chmu;
    MemoryRegion chmu_bar;
    void (*type3_reg_write)(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size);
};

#define GFAM_NO_LD UINT32_MAX

/* The device's DPA of the endpoint's @dpa. */
static inline uint64_t gfam_dpa(const CXLGFAM *s, uint64_t dpa)
{
    return s->start + dpa;
}

/* All that its DPA goes up to. */
static inline uint64_t gfam_size(const CXLGFAM *s)
{
    return s->hot + s->bulk + s->dynamic;
}

/* What the agent and the fabric know the endpoint by, in its device. */
static inline uint32_t gfam_ld(const CXLGFAM *s)
{
    return s->ld == GFAM_NO_LD ? 0 : s->ld;
}

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

/* gfam-trap.c: accesses that are callbacks */
void gfam_trap_init(GFAMTrap *t, CXLGFAM *s);

/* gfam-poison.c: poison in the device's list and events */
void gfam_poison_init(CXLGFAM *s);
void gfam_poison_exit(CXLGFAM *s);

/* gfam_poison_reset: after every reset, which makes the commands anew. */
void gfam_poison_reset(CXLGFAM *s);

/* gfam_poison_poll: take new records of the fabric.  Main loop, BQL. */
void gfam_poison_poll(CXLGFAM *s);

/*
 * gfam_poison_clear: Clear Poison of the line at @dpa.  If it is poisoned,
 * @data is written (*@written), and the unit is cleared with its last line.
 */
bool gfam_poison_clear(CXLGFAM *s, uint64_t dpa, const uint8_t *data,
                       bool *written);

/*
 * gfam-dcd.c: dynamic capacity, if there is any.  gfam_dcd_reset: after every
 * reset, which makes the commands anew; the effects log is the caller's.
 */
void gfam_dcd_init(CXLGFAM *s);
void gfam_dcd_exit(CXLGFAM *s);
void gfam_dcd_reset(CXLGFAM *s);

/* gfam-chmu.c: the hotness monitoring unit, and its register block */
void gfam_chmu_init(CXLGFAM *s);
void gfam_chmu_exit(CXLGFAM *s);
void gfam_chmu_reset(CXLGFAM *s);

/* gfam-cdat.c */
#define GFAM_DYNAMIC_DSMAS 2    /* handle */

int gfam_build_cdat(CDATSubHeader ***table, void *priv);

/* gfam-memory.c: the memory backend that stands for fabric memory */
HostMemoryBackend *gfam_memory_new(CXLGFAM *s, Error **errp);

#endif /* HW_CXL_GFAM_INTERNAL_H */
