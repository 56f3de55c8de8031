/*
 * Limits of a topology, and the map from address to home
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/topology.h"

/* Bytes of a leaf's segment that say which lines of a grain a host has */
#define MAX_PRESENCE (256ull << 30)

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

static bool check_directory(const struct cxlf_topology *t, const char **why)
{
    uint32_t grain = cxlf_topology_grain(t), ways = cxlf_topology_ways(t);

    if (grain < CXLF_LINE || grain > CXLF_PAGE || grain & (grain - 1)) {
        *why = "'grain' must be a power of two from 64 to 4096";
        return false;
    }
    if (ways < CXLF_MIN_WAYS || ways > CXLF_MAX_WAYS) {
        *why = "'ways' must be 2 to 16";
        return false;
    }
    if (t->ways && !t->line_entries) {
        *why = "'ways' needs 'line-entries'";
        return false;
    }
    if (t->line_entries % ways || t->line_entries > 1u << 30) {
        *why = "'line-entries' must be a multiple of 'ways' up to 2^30, or 0 "
               "for one entry for each line of HOT";
        return false;
    }
    if (grain > CXLF_LINE && cxlf_topology_entries(t, CXLF_LINE_UNIT) *
                             t->shards * t->hosts * 8 > MAX_PRESENCE) {
        *why = "with a 'grain' above 64, entries times hosts are too many: "
               "set or lower 'line-entries'";
        return false;
    }
    if (cxlf_topology_units(t, CXLF_LINE_UNIT) >= UINT32_MAX) {
        *why = "a finite directory has lines of BULK, too, and these are too "
               "many for the shards: raise 'leaves', 'shards' or 'grain', or "
               "lower 'bulk'";
        return false;
    }
    return true;
}

bool cxlf_topology_check(const struct cxlf_topology *t, const char **why)
{
    if (t->hosts < 1 || t->hosts > CXLF_MAX_HOSTS) {
        *why = "'hosts' must be 1 to 4095";
        return false;
    }
    if (t->leaves < 1 || t->leaves > CXLF_MAX_LEAVES) {
        *why = "'leaves' must be 1 to 64";
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
    if (!check_directory(t, why)) {
        return false;
    }
    for (uint32_t i = 0; i < t->hosts; i++) {
        if (t->host_leaf[i] >= t->leaves) {
            *why = "a host is attached to a leaf that does not exist";
            return false;
        }
    }
    return true;
}

/* Units of a page. */
static uint32_t per_page(const struct cxlf_topology *t, enum cxlf_kind kind)
{
    return kind == CXLF_PAGE_UNIT ? 1 : CXLF_PAGE / cxlf_topology_grain(t);
}

/* Bytes of a device's BULK that have units of this kind. */
static uint64_t bulk_of(const struct cxlf_topology *t, uint32_t gfam,
                        enum cxlf_kind kind)
{
    return kind == CXLF_LINE_UNIT && t->line_entries == 0 ?
           0 : t->gfam[gfam].bulk;
}

/*
 * Pages are counted through HOT of all devices and then through BULK of all,
 * so a page and its lines have the same number, though not all have lines.
 * Where a class of a device begins in this count, in bytes.
 */
static uint64_t begin_of(const struct cxlf_topology *t, uint32_t gfam,
                         bool bulk)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < (bulk ? t->gfams : gfam); i++) {
        bytes += t->gfam[i].hot;
    }
    for (uint32_t i = 0; bulk && i < gfam; i++) {
        bytes += t->gfam[i].bulk;
    }
    return bytes;
}

uint64_t cxlf_topology_units(const struct cxlf_topology *t,
                             enum cxlf_kind kind)
{
    uint64_t pages = 0;
    uint64_t shards = (uint64_t)t->leaves * t->shards;

    for (uint32_t i = 0; i < t->gfams; i++) {
        pages += (t->gfam[i].hot + bulk_of(t, i, kind)) / CXLF_PAGE;
    }
    pages = (pages + shards - 1) / shards;
    return pages * per_page(t, kind);
}

uint64_t cxlf_topology_entries(const struct cxlf_topology *t,
                               enum cxlf_kind kind)
{
    return kind == CXLF_LINE_UNIT && t->line_entries ?
           t->line_entries : cxlf_topology_units(t, kind);
}

/* Deal @n round @of places; the place, and in @n the number in it. */
static uint32_t deal(uint64_t *n, uint32_t of)
{
    uint32_t place;

    if (!(of & (of - 1))) {
        place = *n & (of - 1);
        *n >>= __builtin_ctz(of);
    } else if (*n > UINT32_MAX) {
        /* Only with more than 16 TiB; 32-bit division is faster. */
        place = *n % of;
        *n /= of;
    } else {
        place = (uint32_t)*n % of;
        *n = (uint32_t)*n / of;
    }
    return place;
}

bool cxlf_topology_home(const struct cxlf_topology *t, enum cxlf_kind kind,
                        uint32_t gfam, uint64_t dpa, struct cxlf_home *home)
{
    uint64_t pages, hot;
    uint32_t page;

    if (gfam >= t->gfams) {
        return false;
    }
    hot = t->gfam[gfam].hot;
    if (dpa < hot) {
        pages = (begin_of(t, gfam, false) + dpa) / CXLF_PAGE;
    } else if (dpa - hot < bulk_of(t, gfam, kind)) {
        pages = (begin_of(t, gfam, true) + dpa - hot) / CXLF_PAGE;
    } else {
        return false;
    }
    home->leaf = deal(&pages, t->leaves);
    home->shard = deal(&pages, t->shards);
    page = pages;
    if (kind == CXLF_PAGE_UNIT) {
        home->unit = page;
    } else {
        unsigned shift = __builtin_ctz(cxlf_topology_grain(t));

        home->unit = page << (12 - shift) | dpa % CXLF_PAGE >> shift;
    }
    return true;
}

bool cxlf_topology_unit(const struct cxlf_topology *t, enum cxlf_kind kind,
                        const struct cxlf_home *home, uint32_t *gfam,
                        uint64_t *dpa)
{
    uint32_t n = per_page(t, kind);
    uint64_t page = ((uint64_t)(home->unit / n) * t->shards + home->shard) *
                    t->leaves + home->leaf;

    for (int bulk = 0; bulk < 2; bulk++) {
        for (*gfam = 0; *gfam < t->gfams; (*gfam)++) {
            uint64_t hot = t->gfam[*gfam].hot;
            uint64_t pages = (bulk ? bulk_of(t, *gfam, kind) : hot) /
                             CXLF_PAGE;

            if (page < pages) {
                *dpa = (bulk ? hot : 0) + page * CXLF_PAGE +
                       home->unit % n * (CXLF_PAGE / n);
                return true;
            }
            page -= pages;
        }
    }
    return false;
}
