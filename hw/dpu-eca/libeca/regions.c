/*
 * libeca: regions and their classes, through libcxl and libdaxctl
 *
 * A GFAM device has HOT from DPA 0 on, and BULK right behind it; how large
 * HOT is says the agent.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "private.h"

#ifdef ECA_HAVE_LIBCXL
#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>

typedef struct Search {
    EcaInfo info;
    EcaRegion *regions;
    unsigned room, count;
} Search;

/* All devices of a fabric have the same HOT and BULK. */
static bool classify(const EcaInfo *info, EcaRegion *region)
{
    for (uint32_t g = 0; g < info->gfams && g < ECA_MAX_GFAMS; g++) {
        uint64_t hot = info->gfam[g].hot;

        if (region->dpa + region->bytes <= hot) {
            region->type = ECA_CLASS_HOT;
            return true;
        }
        if (region->dpa >= hot &&
            region->dpa + region->bytes <= hot + info->gfam[g].bulk) {
            region->type = ECA_CLASS_BULK;
            return true;
        }
    }
    return false;
}

static void look_at(Search *search, struct cxl_region *cxl)
{
    struct cxl_decoder *decoder = cxl_region_get_target_decoder(cxl, 0);
    struct daxctl_region *dax = cxl_region_get_daxctl_region(cxl);
    struct daxctl_dev *device;
    EcaRegion region = { .bytes = cxl_region_get_size(cxl) };

    if (!decoder || !dax) {
        return;
    }
    region.dpa = cxl_decoder_get_dpa_resource(decoder);
    snprintf(region.name, sizeof(region.name), "%s",
             cxl_region_get_devname(cxl));
    if (!classify(&search->info, &region)) {
        return;
    }
    daxctl_dev_foreach(dax, device) {
        /* What is onlined as system memory has no device to map. */
        if (!daxctl_dev_get_size(device) || !daxctl_dev_is_enabled(device) ||
            daxctl_dev_get_memory(device)) {
            continue;
        }
        snprintf(region.path, sizeof(region.path), "/dev/%s",
                 daxctl_dev_get_devname(device));
        region.bytes = daxctl_dev_get_size(device);
        if (search->count < search->room) {
            search->regions[search->count] = region;
        }
        search->count++;
    }
}

int eca_regions(EcaRegion *regions, unsigned room)
{
    Search search = { .regions = regions, .room = room };
    struct cxl_decoder *decoder;
    struct cxl_region *region;
    struct cxl_ctx *context;
    struct cxl_bus *bus;
    Eca *eca;
    int error = eca_open(&eca, NULL);

    if (error) {
        return error;
    }
    eca_info(eca, &search.info);
    eca_close(eca);
    error = cxl_new(&context);
    if (error) {
        return error;
    }
    cxl_bus_foreach(context, bus) {
        cxl_decoder_foreach(cxl_bus_get_port(bus), decoder) {
            cxl_region_foreach(decoder, region) {
                look_at(&search, region);
            }
        }
    }
    cxl_unref(context);
    return search.count;
}

#else

int eca_regions(EcaRegion *regions, unsigned room)
{
    (void)regions;
    (void)room;
    return -ENOTSUP;
}

#endif /* ECA_HAVE_LIBCXL */

#define MAX_REGIONS     64

int eca_find_region(EcaClass type, uint64_t bytes, EcaRegion *region)
{
    EcaRegion found[MAX_REGIONS];
    int count = eca_regions(found, MAX_REGIONS), best = -1;

    for (int i = 0; i < count && i < MAX_REGIONS; i++) {
        if (found[i].type == type && found[i].bytes >= bytes &&
            (best < 0 || found[i].bytes < found[best].bytes)) {
            best = i;
        }
    }
    if (best < 0) {
        return count < 0 ? count : -ENOENT;
    }
    *region = found[best];
    return 0;
}
