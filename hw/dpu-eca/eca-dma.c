/*
 * DPU Edge Coherence Agent: its DMA engine
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-commands.h"
#include "eca-dma.h"
#include "eca-regs.h"
#include "eca-ring.h"

/* Pages are asked for, and bytes moved, so many at a time. */
#define PIECE       (256 * 1024)
/* How often a page may be lost before it was used. */
#define TRIES       1000

static bool reads_device(const ECADma *dma)
{
    return dma->command != ECA_COPY_IN;
}

static bool writes_device(const ECADma *dma)
{
    return dma->command != ECA_COPY_OUT;
}

/* The device and DPA that are written. */
static uint32_t to_gfam(const ECADma *dma)
{
    return dma->command == ECA_COPY_ACROSS ? dma->to_gfam : dma->gfam;
}

static uint64_t to_dpa(const ECADma *dma)
{
    return dma->command == ECA_COPY_ACROSS ? dma->address : dma->dpa;
}

static uint32_t check_memory(ECAState *s, uint32_t gfam, uint64_t dpa,
                             uint64_t length)
{
    uint32_t status = eca_check_range(s, ECA_COMMAND_MEMORY, gfam, &dpa,
                                      &length);

    return status == ECA_COPY_DONE && (dpa | length) % CXLF_LINE ?
           ECA_COPY_RANGE : status;
}

uint32_t eca_dma_check(ECAState *s, const ECADma *dma)
{
    uint32_t status = check_memory(s, dma->gfam, dma->dpa, dma->length);

    if (status == ECA_COPY_DONE && dma->command == ECA_COPY_ACROSS) {
        status = check_memory(s, dma->to_gfam, dma->address, dma->length);
    }
    return status;
}

/* From the page of @at to that of its piece's end. */
static void set_range(const ECADma *dma, ECARange *r, uint32_t command,
                      uint32_t gfam, uint64_t at)
{
    uint64_t end = at + MIN(dma->length - dma->done, PIECE);

    r->command = command;
    r->gfam = gfam;
    r->dpa = QEMU_ALIGN_DOWN(at, CXLF_PAGE);
    r->length = QEMU_ALIGN_UP(end, CXLF_PAGE) - r->dpa;
}

unsigned eca_dma_pages(ECAState *s, const ECADma *dma,
                       ECARange *ranges[ECA_DMA_RANGES])
{
    unsigned n = 0;

    if (!s->pager) {
        return 0;
    }
    if (reads_device(dma)) {
        set_range(dma, ranges[n++], ECA_PAGES_SHARED, dma->gfam,
                  dma->dpa + dma->done);
    }
    if (writes_device(dma)) {
        set_range(dma, ranges[n++], ECA_PAGES_OWNED, to_gfam(dma),
                  to_dpa(dma) + dma->done);
    }
    return n;
}

/* How much of @left lies in the page of @dpa. */
static unsigned in_page(uint64_t dpa, uint64_t left)
{
    return MIN(left, CXLF_PAGE - dpa % CXLF_PAGE);
}

/* Move bytes of at most one page each; what came of it. */
static uint32_t move_some(ECAState *s, ECADma *dma)
{
    uint64_t from = dma->dpa + dma->done, to = to_dpa(dma) + dma->done;
    unsigned size = in_page(reads_device(dma) ? from : to,
                            dma->length - dma->done);
    uint64_t buffer[CXLF_PAGE / 8];
    ECAMoved moved = ECA_MOVED;

    if (reads_device(dma)) {
        moved = eca_move(s, dma->gfam, from, buffer, &size, false);
    } else if (!eca_dma_read(s, dma->address + dma->done, buffer, size)) {
        return ECA_COPY_ADDRESS;
    }
    if (size && writes_device(dma)) {
        unsigned written = in_page(to, size);
        ECAMoved last = eca_move(s, to_gfam(dma), to, buffer, &written, true);

        moved = last == ECA_MOVED ? moved : last;
        size = written;
    } else if (size && !eca_dma_write(s, dma->address + dma->done, buffer,
                                      size)) {
        return ECA_COPY_ADDRESS;
    }
    dma->done += size;
    dma->tries = size ? 0 : dma->tries + 1;
    return moved == ECA_MOVED ? ECA_COPY_DONE :
           moved == ECA_MOVE_LATER && dma->tries < TRIES ? ECA_COPY_BUSY :
           !cxl_fabric_is_up(s->fabric) ? ECA_COPY_LOST : ECA_COPY_PARTLY;
}

uint32_t eca_dma_move(ECAState *s, ECADma *dma)
{
    uint64_t end = dma->done + PIECE;
    uint32_t status;

    while (dma->done < dma->length) {
        if (dma->done >= end) {
            return ECA_COPY_BUSY;
        }
        status = move_some(s, dma);
        if (status != ECA_COPY_DONE) {
            return status;
        }
    }
    return ECA_COPY_DONE;
}
