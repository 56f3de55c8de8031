/*
 * Fabric Manager: configuration registers of ports and LDs
 * (docs/fabric-manager.md, "Configuration registers")
 *
 * Offsets and bits are those of PCI Express: a header, the PCI Express
 * capability, and the Device Serial Number.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define CAPABILITY      0x40u   /* PCI Express, where it is */
#define SERIAL_NUMBER   0x100u
#define DOWNSTREAM_ID   0xa129u /* as QEMU's downstream port says */

enum express_type { TYPE_ENDPOINT = 0, TYPE_UPSTREAM = 5, TYPE_DOWNSTREAM };

static uint32_t speed_and_width(unsigned speed, unsigned width)
{
    return (speed & 0xf) | (width & 0x3f) << 4;
}

/* The header of an LD's function; and that of a port, which is a bridge. */
static uint32_t ld_header(const struct cxlf_fm_component *c, unsigned reg)
{
    switch (reg) {
    case 0x00:
        return c->vendor | (uint32_t)c->device << 16;
    case 0x08:
        return 0x050210u << 8;      /* class: CXL memory */
    default:
        return 0;
    }
}

static uint32_t port_header(const struct cxlf_fm_component *c,
                            const struct cxlf_fm_port *port, unsigned reg)
{
    bool upstream = port->state == CXLF_FM_PORT_USP;

    switch (reg) {
    case 0x00:
        return c->vendor |
               (uint32_t)(upstream ? c->device : DOWNSTREAM_ID) << 16;
    case 0x08:
        return 0x060400u << 8;      /* class: PCI-to-PCI bridge */
    case 0x0c:
        return 1u << 16;            /* header type */
    default:
        return 0;
    }
}

static uint32_t express(const struct cxlf_fm_link *link, bool up,
                        enum express_type type, unsigned number, unsigned reg)
{
    switch (reg) {
    case CAPABILITY:
        return 0x10 | 2u << 16 | (uint32_t)type << 20;
    case CAPABILITY + 0x0c:            /* Link Capabilities; reports activity */
        return speed_and_width(link->max_speed, link->max_width) |
               (type == TYPE_DOWNSTREAM) << 20 | (uint32_t)number << 24;
    case CAPABILITY + 0x10:            /* Link Status, above Link Control */
        return !up ? 0 :
               (speed_and_width(link->speed, link->width) |
                (type == TYPE_DOWNSTREAM) << 13) << 16;
    case CAPABILITY + 0x2c:            /* Link Capabilities 2 */
        return (uint32_t)(link->speeds & 0x7f) << 1;
    default:
        return 0;
    }
}

static uint32_t common(const struct cxlf_fm_component *c, unsigned reg)
{
    switch (reg) {
    case 0x04:
        return 1u << 20;            /* there are capabilities, */
    case 0x34:
        return CAPABILITY;             /* from there on */
    case SERIAL_NUMBER:
        return 3u | 1u << 16;
    case SERIAL_NUMBER + 4:
        return c->serial;
    case SERIAL_NUMBER + 8:
        return c->serial >> 32;
    default:
        return 0;
    }
}

enum cxlf_cci cxlf_fm_config_read(const struct cxlf_fm *fm,
                                  struct cxlf_fm_config *request)
{
    const struct cxlf_fm_component *c = &fm->component[request->component];
    const struct cxlf_fm_port *port = &fm->sw[c->index].port[request->port];
    bool up = fm_port_up(fm, request->component, request->port);
    unsigned reg = request->reg;
    uint32_t value;

    if (request->write) {
        return CXLF_CCI_UNSUPPORTED;
    }
    if (request->ld == CXLF_FM_LD_NONE) {
        value = port_header(c, port, reg) |
                express(&port->link, up, port->state == CXLF_FM_PORT_USP ?
                        TYPE_UPSTREAM : TYPE_DOWNSTREAM, request->port, reg);
    } else {
        c = &fm->component[port->peer - 1];
        value = ld_header(c, reg) |
                express(&port->link, up, TYPE_ENDPOINT, 0, reg);
    }
    value |= common(c, reg);
    request->data = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (request->enables >> i & 1) {
            request->data |= value & 0xffu << 8 * i;
        }
    }
    return CXLF_CCI_SUCCESS;
}
