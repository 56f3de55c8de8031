/*
 * PBR switch: the mailbox of a host's edge port
 *
 * A function beside the upstream port, with a mailbox CCI (CXL r3.1 section
 * 7.2.9.1).  QEMU's own answers from what is in this process; here the switch
 * is the fabric owner's, so a command travels to it, and the doorbell stays
 * set until its answer is there.  docs/fabric-manager.md, "Switch mailbox".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "hw/pci-bridge/cxl_upstream_port.h"
#include "hw/qdev-properties.h"
#include "cxlf/fm.h"
#include "compat.h"
#include "hw/cxlf/fabric.h"
#include "fabric-internal.h"
#include "trace.h"

#define TYPE_CXL_PBR_MAILBOX "cxl-pbr-mailbox"
typedef struct PBRMailbox PBRMailbox;
typedef struct PBRMailboxClass PBRMailboxClass;
DECLARE_OBJ_CHECKERS(PBRMailbox, PBRMailboxClass, CXL_PBR_MAILBOX,
                     TYPE_CXL_PBR_MAILBOX)

#define BACKGROUND_STATUS   0x0002
/* An owner that has not answered for so long will not. */
#define PATIENCE_MS         10000
/* How often a background command is asked for. */
#define POLL_MS             100

QEMU_BUILD_BUG_ON(CXL_MAILBOX_MAX_PAYLOAD_SIZE != CXLF_WIRE_CCI_MAX);

struct PBRMailbox {
    CSWMBCCIDev parent_obj;

    CXLFabric *fabric;
    MemoryRegion region;        /* lies over QEMU's */

    /* All under the BQL; tokens of what is waited for, 0: nothing */
    uint64_t last_token;
    uint64_t command, status;
    uint16_t background;        /* opcode, while it goes on; or 0 */
    QEMUTimer *patience, *poll;
    Notifier heard, lost;
};

struct PBRMailboxClass {
    PCIDeviceClass parent_class;

    void (*parent_realize)(PCIDevice *dev, Error **errp);
    void (*parent_exit)(PCIDevice *dev);
    void (*parent_reset)(DeviceState *dev);
};

static CXLDeviceState *registers(PBRMailbox *s)
{
    return &CXL_SWITCH_MAILBOX_CCI(s)->cxl_dstate;
}

/* Background commands */

static void show_background(PBRMailbox *s, unsigned percent, unsigned result)
{
    uint64_t *reg = registers(s)->mbox_reg_state64;
    uint64_t bg = 0;

    bg = FIELD_DP64(bg, CXL_DEV_BG_CMD_STS, OP, s->background);
    bg = FIELD_DP64(bg, CXL_DEV_BG_CMD_STS, PERCENTAGE_COMP, percent);
    bg = FIELD_DP64(bg, CXL_DEV_BG_CMD_STS, RET_CODE, result);
    reg[R_CXL_DEV_BG_CMD_STS] = bg;
}

static void end_background(PBRMailbox *s, unsigned result)
{
    uint64_t *reg = registers(s)->mbox_reg_state64;

    show_background(s, 100, result);
    s->background = 0;
    ARRAY_FIELD_DP64(reg, CXL_DEV_MAILBOX_STS, BG_OP, 0);
}

static void poll_again(PBRMailbox *s)
{
    timer_mod(s->poll, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + POLL_MS);
}

static void on_status(PBRMailbox *s, const CXLFabricCciAnswer *a)
{
    const uint8_t *p = a->payload;

    s->status = 0;
    if (!s->background) {
        return;
    }
    if (a->code || a->length < 8) {
        /* This host may no longer ask: another one is the primary. */
        end_background(s, a->code ? a->code : CXLF_CCI_INTERNAL_ERROR);
    } else if (lduw_le_p(p + 2) != s->background) {
        /* Another sender's has begun since: ours has ended, none knows how. */
        end_background(s, CXLF_CCI_INTERNAL_ERROR);
    } else if (p[0] & 1) {
        show_background(s, p[0] >> 1, 0);
        poll_again(s);
    } else {
        end_background(s, lduw_le_p(p + 4));
    }
}

static void ask_status(void *opaque)
{
    PBRMailbox *s = opaque;

    if (!s->background) {
        return;
    }
    s->status = ++s->last_token;
    if (!cxl_fabric_cci(s->fabric, s->status, BACKGROUND_STATUS, NULL, 0)) {
        s->status = 0;
        end_background(s, CXLF_CCI_INTERNAL_ERROR);
    }
}

/* Commands */

static void complete(PBRMailbox *s, unsigned code, const void *payload,
                     uint32_t length)
{
    CXLDeviceState *d = registers(s);
    uint64_t *reg = d->mbox_reg_state64;
    uint8_t *to = d->mbox_reg_state + A_CXL_DEV_CMD_PAYLOAD;

    s->command = 0;
    timer_del(s->patience);
    memset(to, 0, CXL_MAILBOX_MAX_PAYLOAD_SIZE);
    if (length) {
        memcpy(to, payload, length);
    }
    ARRAY_FIELD_DP64(reg, CXL_DEV_MAILBOX_CMD, LENGTH, length);
    reg[R_CXL_DEV_MAILBOX_STS] = 0;
    ARRAY_FIELD_DP64(reg, CXL_DEV_MAILBOX_STS, ERRNO, code);
    if (code == CXLF_CCI_BACKGROUND) {
        s->background = reg[R_CXL_DEV_MAILBOX_CMD];
        show_background(s, 0, 0);
        poll_again(s);
    }
    ARRAY_FIELD_DP64(reg, CXL_DEV_MAILBOX_STS, BG_OP, s->background != 0);
    ARRAY_FIELD_DP32(d->mbox_reg_state32, CXL_DEV_MAILBOX_CTRL, DOORBELL, 0);
    trace_pbr_mailbox(DEVICE(s)->id ?: "", reg[R_CXL_DEV_MAILBOX_CMD] &
                      UINT16_MAX, code, length);
}

static void give_up(void *opaque)
{
    PBRMailbox *s = opaque;

    if (s->command) {
        complete(s, CXLF_CCI_INTERNAL_ERROR, NULL, 0);
    }
}

static void on_answer(Notifier *n, void *data)
{
    PBRMailbox *s = container_of(n, PBRMailbox, heard);
    const CXLFabricCciAnswer *a = data;

    if (a->token == s->command) {
        complete(s, a->code, a->payload, a->length);
    } else if (a->token == s->status) {
        on_status(s, a);
    }
}

static void on_lost(Notifier *n, void *data)
{
    PBRMailbox *s = container_of(n, PBRMailbox, lost);

    give_up(s);
    ask_status(s);
}

static void submit(PBRMailbox *s)
{
    CXLDeviceState *d = registers(s);
    uint64_t command = d->mbox_reg_state64[R_CXL_DEV_MAILBOX_CMD];
    uint32_t length = FIELD_EX64(command, CXL_DEV_MAILBOX_CMD, LENGTH);

    if (length > CXL_MAILBOX_MAX_PAYLOAD_SIZE) {
        complete(s, CXLF_CCI_INVALID_LENGTH, NULL, 0);
        return;
    }
    s->command = ++s->last_token;
    timer_mod(s->patience,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PATIENCE_MS);
    if (!cxl_fabric_cci(s->fabric, s->command, command,
                        d->mbox_reg_state + A_CXL_DEV_CMD_PAYLOAD, length)) {
        give_up(s);
    }
}

/* Registers */

static uint64_t mailbox_read(void *opaque, hwaddr offset, unsigned size)
{
    PBRMailbox *s = opaque;

    return ldn_le_p(registers(s)->mbox_reg_state + offset, size);
}

static void mailbox_write(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
    PBRMailbox *s = opaque;
    CXLDeviceState *d = registers(s);

    if (s->command) {
        qemu_log_mask(LOG_GUEST_ERROR, "cxl-pbr-mailbox: write to 0x%"
                      HWADDR_PRIx " while a command goes on\n", offset);
    } else if (offset >= A_CXL_DEV_CMD_PAYLOAD ||
               (offset >= A_CXL_DEV_MAILBOX_CMD &&
                offset < A_CXL_DEV_MAILBOX_STS)) {
        stn_le_p(d->mbox_reg_state + offset, size, value);
    } else if (offset == A_CXL_DEV_MAILBOX_CTRL &&
               FIELD_EX32(value, CXL_DEV_MAILBOX_CTRL, DOORBELL)) {
        ARRAY_FIELD_DP32(d->mbox_reg_state32, CXL_DEV_MAILBOX_CTRL, DOORBELL,
                         1);
        submit(s);
    }
}

static const MemoryRegionOps mailbox_ops = {
    .read = mailbox_read,
    .write = mailbox_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = false,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
};

static void pbr_mailbox_realize(PCIDevice *dev, Error **errp)
{
    ERRP_GUARD();
    PBRMailbox *s = CXL_PBR_MAILBOX(dev);
    CXLDeviceState *d = registers(s);

    if (!s->fabric) {
        error_setg(errp, "'fabric' is not set; it takes the id of the "
                   "cxl-fabric object of this host");
        return;
    }
    if (!s->fabric->attached) {
        error_setg(errp, "'fabric': no agent of this process uses it; add "
                   "-device dpu-eca,fabric=%s before this device",
                   cxl_fabric_id(s->fabric));
        return;
    }
    CXL_PBR_MAILBOX_GET_CLASS(dev)->parent_realize(dev, errp);
    if (*errp) {
        return;
    }
    memory_region_init_io(&s->region, OBJECT(s), &mailbox_ops, s,
                          "pbr-mailbox", CXL_MAILBOX_REGISTERS_LENGTH);
    memory_region_add_subregion_overlap(&d->device_registers,
                                        CXL_MAILBOX_REGISTERS_OFFSET,
                                        &s->region, 1);
    s->patience = timer_new_ms(QEMU_CLOCK_REALTIME, give_up, s);
    s->poll = timer_new_ms(QEMU_CLOCK_REALTIME, ask_status, s);
    s->heard.notify = on_answer;
    cxl_fabric_add_cci_notifier(s->fabric, &s->heard);
    s->lost.notify = on_lost;
    cxl_fabric_add_lost_notifier(s->fabric, &s->lost);
}

static void pbr_mailbox_exit(PCIDevice *dev)
{
    PBRMailbox *s = CXL_PBR_MAILBOX(dev);

    notifier_remove(&s->lost);
    notifier_remove(&s->heard);
    timer_free(s->poll);
    timer_free(s->patience);
    CXL_PBR_MAILBOX_GET_CLASS(dev)->parent_exit(dev);
}

/* Answers that are under way are for nobody then. */
static void pbr_mailbox_reset(DeviceState *dev)
{
    PBRMailbox *s = CXL_PBR_MAILBOX(dev);
    CXLDeviceState *d = registers(s);

    s->command = s->status = 0;
    s->background = 0;
    timer_del(s->patience);
    timer_del(s->poll);
    CXL_PBR_MAILBOX_GET_CLASS(dev)->parent_reset(dev);
    memset(d->mbox_reg_state, 0, sizeof(d->mbox_reg_state));
    /* There are no interrupts. */
    ARRAY_FIELD_DP32(d->mbox_reg_state32, CXL_DEV_MAILBOX_CAP, PAYLOAD_SIZE,
                     CXL_MAILBOX_PAYLOAD_SHIFT);
}

static const Property pbr_mailbox_properties[] = {
    DEFINE_PROP_LINK("fabric", PBRMailbox, fabric, TYPE_CXL_FABRIC,
                     CXLFabric *),
};

static void pbr_mailbox_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    PBRMailboxClass *mc = CXL_PBR_MAILBOX_CLASS(oc);

    mc->parent_realize = pc->realize;
    mc->parent_exit = pc->exit;
    mc->parent_reset = dc->legacy_reset;
    pc->realize = pbr_mailbox_realize;
    pc->exit = pbr_mailbox_exit;
    dc->desc = "CXL PBR Switch, Mailbox of an Upstream Edge Port";
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, pbr_mailbox_reset);
    device_class_set_props(dc, pbr_mailbox_properties);
}

static const TypeInfo pbr_mailbox_info = {
    .name = TYPE_CXL_PBR_MAILBOX,
    .parent = TYPE_CXL_SWITCH_MAILBOX_CCI,
    .instance_size = sizeof(PBRMailbox),
    .class_size = sizeof(PBRMailboxClass),
    .class_init = pbr_mailbox_class_init,
};

static void pbr_mailbox_register(void)
{
    type_register_static(&pbr_mailbox_info);
}

type_init(pbr_mailbox_register)
