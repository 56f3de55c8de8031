/*
 * Limits of a topology, and the map from address to home
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/topology.h"

static bool check_gfam(const struct cxlf_gfam *g, uint32_t leaves,
                       const char **why)
{
    if (g->hot < CXLF_CAPACITY_UNIT || g->hot % CXLF_CAPACITY_UNIT ||
        g->hot > CXLF_MAX_HOT) {
        *why = "'hot' must be a multiple of 256 MiB from 256 MiB to 64 GiB";
        return false;
    }
    if (g->bulk % CXLF_CAPACITY_UNIT || g->bulk > CXLF_MAX_BULK) {
        *why = "'bulk' must be a multiple of 256 MiB up to 16 TiB";
        return false;
    }
    if (g->leaf >= leaves) {
        *why = "a GFAM device is attached to a leaf that does not exist";
        return false;
    }
    return true;
}

bool cxlf_topology_check(const struct cxlf_topology *t, const char **why)
{
    if (t->hosts < 1 || t->hosts > CXLF_MAX_HOSTS) {
        *why = "'hosts' must be 1 to 62";
        return false;
    }
    if (t->leaves < 1 || t->leaves > CXLF_MAX_LEAVES) {
        *why = "'leaves' must be 1 to 8";
        return false;
    }
    if (t->shards < 1 || t->shards > CXLF_MAX_SHARDS) {
        *why = "'shards' must be 1 to 16";
        return false;
    }
    if (t->gfams < 1 || t->gfams > CXLF_MAX_GFAMS) {
        *why = "'gfams' must be 1 to 8";
        return false;
    }
    if (cxlf_topology_units(t, CXLF_PAGE_UNIT) >= UINT32_MAX) {
        *why = "the pages of all GFAM devices are too many for the shards: "
               "raise 'leaves' or 'shards', or lower 'bulk'";
        return false;
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        if (!check_gfam(&t->gfam[i], t->leaves, why)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < t->hosts; i++) {
        if (t->host_leaf[i] >= t->leaves) {
            *why = "a host is attached to a leaf that does not exist";
            return false;
        }
    }
    return true;
}

/* Bytes of a device that have units of this kind. */
static uint64_t covered(const struct cxlf_gfam *g, enum cxlf_kind kind)
{
    return kind == CXLF_LINE_UNIT ? g->hot : g->hot + g->bulk;
}

uint64_t cxlf_topology_units(const struct cxlf_topology *t,
                             enum cxlf_kind kind)
{
    uint64_t pages = 0;
    uint64_t shards = (uint64_t)t->leaves * t->shards;

    for (uint32_t i = 0; i < t->gfams; i++) {
        pages += covered(&t->gfam[i], kind) / CXLF_PAGE;
    }
    pages = (pages + shards - 1) / shards;
    return kind == CXLF_LINE_UNIT ? pages * CXLF_LINES_PER_PAGE : pages;
}

bool cxlf_topology_home(const struct cxlf_topology *t, enum cxlf_kind kind,
                        uint32_t gfam, uint64_t dpa, struct cxlf_home *home)
{
    uint64_t pages;
    uint32_t page;

    if (gfam >= t->gfams || dpa >= covered(&t->gfam[gfam], kind)) {
        return false;
    }
    pages = dpa / CXLF_PAGE;
    for (uint32_t i = 0; i < gfam; i++) {
        pages += covered(&t->gfam[i], kind) / CXLF_PAGE;
    }
    if (pages > UINT32_MAX) {
        /* Only with more than 16 TiB; 32-bit division is faster. */
        home->leaf = pages % t->leaves;
        pages /= t->leaves;
        home->shard = pages % t->shards;
        page = pages / t->shards;
    } else {
        page = pages;
        home->leaf = page % t->leaves;
        page /= t->leaves;
        home->shard = page % t->shards;
        page /= t->shards;
    }
    home->unit = kind == CXLF_PAGE_UNIT ? page :
        page * CXLF_LINES_PER_PAGE + dpa % CXLF_PAGE / CXLF_LINE;
    return true;
}
