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

uint64_t cxlf_topology_shard_lines(const struct cxlf_topology *t)
{
    uint64_t pages = 0;
    uint64_t shards = (uint64_t)t->leaves * t->shards;

    for (uint32_t i = 0; i < t->gfams; i++) {
        pages += t->gfam[i].hot / CXLF_PAGE;
    }
    return (pages + shards - 1) / shards * CXLF_LINES_PER_PAGE;
}

bool cxlf_topology_home(const struct cxlf_topology *t, uint32_t gfam,
                        uint64_t dpa, struct cxlf_home *home)
{
    /* 8 devices of 64 GiB are 2^27 pages, and 32-bit division is faster. */
    uint32_t page;

    if (gfam >= t->gfams || dpa >= t->gfam[gfam].hot) {
        return false;
    }
    page = dpa / CXLF_PAGE;
    for (uint32_t i = 0; i < gfam; i++) {
        page += t->gfam[i].hot / CXLF_PAGE;
    }
    home->leaf = page % t->leaves;
    page /= t->leaves;
    home->shard = page % t->shards;
    page /= t->shards;
    home->line = page * CXLF_LINES_PER_PAGE +
                 dpa % CXLF_PAGE / CXLF_LINE;
    return true;
}
