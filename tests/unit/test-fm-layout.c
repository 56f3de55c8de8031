/*
 * Fabric Manager: each command's bytes, and its errors
 *
 * All expected bytes are written out here, from docs/fabric-manager.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-fixture.h"

#define CEL "0d a9 c0 b5 bf 41 4b 78 8f 79 96 b1 62 3b 3f 17"
#define A_UUID "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af"
#define TAG_1 "01 00*15"

static void test_generic(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x0001, "",
            "e5 19 28 a1 00 00 00 00 88 77 66 55 44 33 22 11 0c 00");
    command(f, SLD, 0x0001, "",
            "86 80 93 0d 00 00 00 00 03 00 00 00 00 00 00 00 0c 03");
    refused(f, LEAF, 0x0001, "00", CXLF_CCI_INVALID_LENGTH);
    command(f, LEAF, 0x0002, "", "00*8");
    command(f, LEAF, 0x0003, "", "0c");
    command(f, LEAF, 0x0004, "08", "08");
    command(f, LEAF, 0x0003, "", "08");
    refused(f, LEAF, 0x0004, "07", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0004, "0d", CXLF_CCI_INVALID_INPUT);
    /* The SLD knows six commands, and Set Limit changes configuration. */
    command(f, SLD, 0x0400, "", "01 00 | 00*6 | " CEL " | 18 00 00 00");
    command(f, SLD, 0x0401, CEL " 00 00 00 00 18 00 00 00",
            "01 00 00 00  02 00 00 00  03 00 00 00  04 00 02 00"
            " 00 04 00 00  01 04 00 00");
    command(f, SLD, 0x0401, CEL " 0d 00 00 00 02 00 00 00", "00 02");
    command(f, SLD, 0x0401, CEL " 18 00 00 00 00 00 00 00", "");
    refused(f, SLD, 0x0401, CEL " 18 00 00 00 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, SLD, 0x0401, CEL " 01 00 00 00 ff ff ff ff",
            CXLF_CCI_INVALID_INPUT);
    refused(f, SLD, 0x0401, A_UUID " 00*8", CXLF_CCI_INVALID_LOG);
    refused(f, SLD, 0x0401, A_UUID, CXLF_CCI_INVALID_LENGTH);
    refused(f, 99, 0x0001, "", CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

/* The effects of all that a leaf and an MLD with regions know. */
static void test_effects_log(void)
{
    static const char leaf[] =
        "01 00 00 00  02 00 00 00  03 00 00 00  04 00 02 00"
        " 00 04 00 00  01 04 00 00  00 07 00 00  01 07 02 00"
        " 00 51 00 00  01 51 00 00  02 51 06 00  03 51 06 00"
        " 00 52 00 00  01 52 46 00  02 52 46 00  03 52 00 00"
        " 00 53 06 00  01 53 06 00  02 53 06 00"
        " 00 57 00 00  01 57 06 00  02 57 00 00  03 57 00 00"
        " 04 57 02 00  05 57 00 00  06 57 46 00  07 57 00 00"
        " 08 57 00 00  09 57 06 00  0a 57 00 00  0b 57 06 00"
        " 02 59 06 00";
    static const char gae[] =
        "02 58 00 00  03 58 00 00  04 58 02 00  05 58 00 00"
        " 06 58 02 00  07 58 00 00  08 58 02 00  02 59 06 00";
    static const char mld[] =
        "01 00 00 00  02 00 00 00  03 00 00 00  04 00 02 00"
        " 00 04 00 00  01 04 00 00  00 53 06 00"
        " 00 54 00 00  01 54 00 00  02 54 06 00  03 54 00 00"
        " 04 54 0a 00  05 54 00 00  06 54 00 00  07 54 0a 00"
        " 08 54 00 00  09 54 0a 00"
        " 00 56 00 00  01 56 00 00  02 56 06 00  03 56 00 00"
        " 04 56 06 00  05 56 06 00  06 56 02 00  07 56 06 00"
        " 08 56 00 00";
    static const char gfd[] =
        "01 00 00 00  02 00 00 00  03 00 00 00  04 00 02 00"
        " 00 04 00 00  01 04 00 00  00 07 00 00  01 07 02 00"
        " 0c 49 00 00  0d 49 06 00  13 49 00 00  14 49 06 00";
    Fabric *f = fabric_new();

    command(f, LEAF, 0x0401, CEL " 00 00 00 00 80 00 00 00", leaf);
    refused(f, LEAF, 0x0401, CEL " 00 00 00 00 81 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    /* By a USP with a GAE there is more; the other one has none. */
    f->who.port = 0;
    command(f, LEAF, 0x0400, "", "01 00 | 00*6 | " CEL " | 9c 00 00 00");
    command(f, LEAF, 0x0401, CEL " 7c 00 00 00 20 00 00 00", gae);
    f->who.port = 1;
    command(f, LEAF, 0x0400, "", "01 00 | 00*6 | " CEL " | 80 00 00 00");
    command(f, SPINE, 0x0400, "", "01 00 | 00*6 | " CEL " | 7c 00 00 00");
    command(f, MLD, 0x0401, CEL " 00 00 00 00 68 00 00 00", mld);
    command(f, GFD, 0x0401, CEL " 00 00 00 00 30 00 00 00", gfd);
    /* What has no function is neither there nor in the log. */
    f->fm->ops.drt_set = NULL;
    f->fm->ops.config = NULL;
    command(f, LEAF, 0x0400, "", "01 00 | 00*6 | " CEL " | 74 00 00 00");
    refused(f, LEAF, 0x5103, "00*8", CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5709, "00 00 01 00 00 00 00 00",
            CXLF_CCI_UNSUPPORTED);
    g_assert_cmpstr(cxlf_fm_command_name(0x5201), ==, "Bind vPPB");
    g_assert_cmpstr(cxlf_fm_command_name(0x5204), ==, NULL);
    fabric_free(f);
}

static void test_pbr_component(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x0700, "", "ff 0f | ff 0f | 00*16 | ff 0f | 00*16");
    command(f, LEAF, 0x0701, "00 | 23 01 | " A_UUID " | 42 00",
            "23 01 | " A_UUID " | ff 0f | 00*16");
    command(f, LEAF, 0x0700, "",
            "42 00 | 23 01 | " A_UUID " | ff 0f | 00*16");
    command(f, LEAF, 0x0701, "01 | 24 01 | 55*16 | 00 00",
            "23 01 | " A_UUID " | 24 01 | 55*16");
    command(f, LEAF, 0x0700, "",
            "42 00 | 23 01 | " A_UUID " | 24 01 | 55*16");
    refused(f, LEAF, 0x0701, "04 | 23 01 | " A_UUID " | 42 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "00 | ff 0f | " A_UUID " | 42 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "00 | 23 01 | " A_UUID " | ff 0f",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "00*20", CXLF_CCI_INVALID_LENGTH);
    refused(f, MLD, 0x0700, "", CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

static void test_physical_switch(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x5100, "", "07 00 09 02 | bf 0c 00*30 | 03 00*31"
            " | 08 00 | 02 00 | 04");
    command(f, LEAF, 0x5101, "03 02 07 05", "03 00 00 00"
            " | 02 03 03 00 05 04 10 08 1f 05 04 07 00 04 00 04"
            " | 07 05 05 00 07 14 00 00 00 00 00 00 00 00 00 00"
            " | 05 03 00 00 00 04 00 00 00 00 00 00 00 00 00 00");
    command(f, LEAF, 0x5101, "03 00 03 04", "03 00 00 00"
            " | 00 04 00 00 00 04 00 00 00 00 00 00 00 00 00 00"
            " | 03 03 03 00 04 04 00 00 00 00 00 00 00 00 00 01"
            " | 04 03 05 00 06 04 00 00 00 00 00 00 00 00 00 00");
    refused(f, LEAF, 0x5101, "01 06", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5101, "02 02", CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5101, "", CXLF_CCI_INVALID_LENGTH);
    command(f, LEAF, 0x5102, "05 02", "");
    g_assert_cmpuint(f->port, ==, 5);
    g_assert_cmpuint(f->operation, ==, 2);
    refused(f, LEAF, 0x5102, "05 03", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5102, "06 00", CXLF_CCI_INVALID_INPUT);
    /* read of register 234h, all bytes */
    command(f, LEAF, 0x5103, "02 34 f2 00 00*4", "44 33 22 11");
    g_assert_cmphex(f->config.reg, ==, 0x234);
    g_assert_cmphex(f->config.enables, ==, 0xf);
    g_assert_cmphex(f->config.ld, ==, CXLF_FM_LD_NONE);
    g_assert_false(f->config.write);
    command(f, LEAF, 0x5103, "02 04 30 80 78 56 34 12", "00*4");
    g_assert_cmphex(f->config.data, ==, 0x12345678);
    g_assert_cmphex(f->config.enables, ==, 3);
    g_assert_true(f->config.write);
    refused(f, LEAF, 0x5103, "02 35 f2 00 00*4", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5100, "", CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

static enum cxlf_cci config_read(void *opaque, struct cxlf_fm_config *r)
{
    Fabric *f = opaque;

    return cxlf_fm_config_read(f->fm, r);
}

/* All that is not zero of what @opcode reads at @port (and LD) is in @have. */
static void check_registers(Fabric *f, uint16_t opcode, const char *port,
                            const char *ld, const char *const *have)
{
    for (unsigned reg = 0; reg < 4096; reg += 4) {
        g_autofree char *in = g_strdup_printf("%s %02x f%x 00 %s00*4", port,
                                              reg & 0xff, reg >> 8, ld);
        const char *value = "00*4";

        for (unsigned i = 0; have[i]; i++) {
            g_autofree char *name = g_strdup_printf("%03x: ", reg);

            value = g_str_has_prefix(have[i], name) ? have[i] + 5 : value;
        }
        command(f, LEAF, opcode, in, value);
    }
}

static void test_configuration(void)
{
    static const char *const usp[] = {
        "000: e5 19 28 a1", "004: 00 00 10 00", "008: 00 00 04 06",
        "00c: 00 00 01 00", "034: 40 00 00 00", "040: 10 00 52 00",
        "04c: 00 00 00 01", "100: 03 00 01 00", "104: 88 77 66 55",
        "108: 44 33 22 11", NULL
    };
    /* 16 lanes of speed 5, of which 8 work, with speed 4 */
    static const char *const dsp[] = {
        "000: e5 19 29 a1", "004: 00 00 10 00", "008: 00 00 04 06",
        "00c: 00 00 01 00", "034: 40 00 00 00", "040: 10 00 62 00",
        "04c: 05 01 10 02", "050: 00 00 84 20", "06c: 3e 00 00 00",
        "100: 03 00 01 00", "104: 88 77 66 55", "108: 44 33 22 11", NULL
    };
    static const char *const ld[] = {
        "000: 86 80 93 0d", "004: 00 00 10 00", "008: 00 10 02 05",
        "034: 40 00 00 00", "040: 10 00 02 00", "04c: 05 01 00 00",
        "050: 00 00 84 00", "06c: 3e 00 00 00", "100: 03 00 01 00",
        "104: 02 00 00 00", NULL
    };
    Fabric *f = fabric_new();

    f->fm->ops.config = config_read;
    check_registers(f, 0x5103, "01", "", usp);
    check_registers(f, 0x5103, "02", "", dsp);
    check_registers(f, 0x5301, "02", "03 00 00 00 ", ld);
    f->down[LEAF][2] = true;
    command(f, LEAF, 0x5103, "02 50 f0 00 00*4", "00*4");
    f->down[LEAF][2] = false;
    /* the second and the fourth byte; and a write */
    command(f, LEAF, 0x5103, "02 00 a0 00 00*4", "00 19 00 a1");
    refused(f, LEAF, 0x5103, "02 04 f0 80 07 00 00 00", CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5301, "02 04 f0 80 03 00 00 00 07 00 00 00",
            CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

static void test_virtual_switch(void)
{
    Fabric *f = fabric_new();

    f->at_once = true;
    command_with(f, LEAF, 0x5201, "00 01 02 00 03 00", CXLF_CCI_BACKGROUND,
                 "");
    command(f, LEAF, 0x0002, "", "c8 00 01 52 00 00 00 00");
    command_with(f, LEAF, 0x5201, "00 02 03 00 ff ff", CXLF_CCI_BACKGROUND,
                 "");
    command(f, LEAF, 0x5200, "00 ff 02 00 01", "02 00 00 00"
            " | 00 01 00 04 | 02 00 ff 00 | 03 02 03 00 | 02 03 ff 00"
            " | 00 00 ff 00"
            " | 01 01 01 04 | 02 01 ff 00 | 00 00 ff 00 | 00 00 ff 00"
            " | 00 00 ff 00");
    command(f, LEAF, 0x5200, "01 02 01 00", "01 00 00 00"
            " | 00 01 00 04 | 03 02 03 00 | 02 03 ff 00");
    refused(f, LEAF, 0x5200, "04 ff 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5200, "00 ff 01 02", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5200, "00 ff 02 00", CXLF_CCI_INVALID_LENGTH);
    command(f, LEAF, 0x5203, "00 01 00 00 00 40 00 00 | 61 62*31", "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_AER);
    g_assert_cmphex(f->event.start, ==, 0x4000);
    g_assert_cmphex(f->event.tag[0], ==, 0x61);
    command(f, LEAF, 0x5203, "00 01 00 00 01 00 00 80 | 00*32", "");
    refused(f, LEAF, 0x5203, "00 01 00 00 01 00 00 00 | 00*32",
            CXLF_CCI_INVALID_INPUT);    /* a correctable one */
    refused(f, LEAF, 0x5203, "00 01 00 00 00 c0 00 00 | 00*32",
            CXLF_CCI_INVALID_INPUT);    /* two */
    refused(f, LEAF, 0x5203, "00 03 00 00 00 40 00 00 | 00*32",
            CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

static void test_mld_port(void)
{
    Fabric *f = fabric_new();

    /* Get LD Info of the MLD behind port 2, through a tunnel */
    command(f, LEAF, 0x5300, "02 00 0c 00 | 00 5a 00 00 54 00*7",
            "17 00 00 00 | 01 5a 00 00 54 0b 00 00 00 00 00 00"
            " | 00 00 00 00 01 00 00 00 | 04 00 | 00");
    /* an error of the tunnelled command is inside */
    command(f, LEAF, 0x5300, "02 00 0c 00 | 00 5a 00 04 52 00*7",
            "0c 00 00 00 | 01 5a 00 04 52 00 00 00 03 00 00 00");
    /* two layers: command 4000h with payload 77h to LD 3 */
    command(f, LEAF, 0x5300, "02 00 1d 00 | 00 01 00 00 53 11 00*6"
            " | 03 00 0d 00 | 00 02 00 00 40 01 00*6 | 77",
            "1e 00 00 00 | 01 01 00 00 53 12 00*6"
            " | 0e 00 00 00 | 01 02 00 00 40 02 00*6 | 77 03");
    g_assert_cmpuint(f->lds, ==, 1);
    refused(f, LEAF, 0x5300, "02 00 0b 00 | 00*11", CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5300, "02 00 0d 00 | 00*12", CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5300, "02 00 0c 00 | 01 00*11",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5300, "02 00 0c 00 | 00*5 01 00*6",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5300, "02 01 0c 00 | 00*12", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5300, "05 00 0c 00 | 00*12", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5300, "07 00 0c 00 | 00*12", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5300, "04 00 0c 00 | 00*12", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5300, "00 01 0c 00 | 00*12", CXLF_CCI_INVALID_INPUT);
    refused(f, SLD, 0x5300, "00 00 0c 00 | 00*12", CXLF_CCI_UNSUPPORTED);

    command(f, LEAF, 0x5301, "02 34 f2 00 01 00 00 00 00*4", "44 33 22 11");
    g_assert_cmphex(f->config.reg, ==, 0x234);
    g_assert_cmpuint(f->config.ld, ==, 1);
    refused(f, LEAF, 0x5301, "02 34 f2 00 04 00 00 00 00*4",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5301, "03 34 f2 00 00*8", CXLF_CCI_INVALID_INPUT);
    /* 2 bytes written to, 3 read from LD 2 at 1122334455667788h */
    command(f, LEAF, 0x5302, "02 30 8c 02 00 02 00 88 77 66 55 44 33 22 11"
            " | a0 a1", "00*4");
    g_assert_true(f->access.write);
    g_assert_cmphex(f->access.first, ==, 3);
    g_assert_cmphex(f->access.last, ==, 0xc);
    g_assert_cmpuint(f->access.ld, ==, 2);
    g_assert_cmphex(f->access.address, ==, 0x1122334455667788);
    command(f, LEAF, 0x5302, "02 f0 0f 02 00 03 00 00*8",
            "03 00 00 00 b0 b1 b2");
    g_assert_cmphex(f->access.first, ==, 0xf);
    refused(f, LEAF, 0x5302, "02 f0 0f 02 00 03 00 00*8 00",
            CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5302, "02 f0 0f 02 00 00 00 00*8",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5302, "02 f0 0f 02 00 fd 0f 00*8",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5302, "02 f0 0f 02 00 02 00 ff*8",
            CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

static void count_qos(void *opaque, unsigned component)
{
    Fabric *f = opaque;

    g_assert_cmpuint(component, ==, MLD);
    f->operation++;
}

static uint8_t say_qos(void *opaque, unsigned component)
{
    g_assert_nonnull(opaque);
    return 0x20 + component;
}

static void test_mld(void)
{
    Fabric *f = fabric_new();

    command(f, MLD, 0x5400, "", "00 00 00 00 01 00 00 00 | 04 00 | 00");
    command(f, MLD, 0x5401, "02 ff", "04 00 02 02"
            " | 04 00*15 | 04 00*15");
    command(f, MLD, 0x5401, "00 01", "04 00 00 01 | 04 00*15");
    refused(f, MLD, 0x5401, "04 01", CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5402, "02 01 00 00 | 02 00*7 01 00*7 | 05 00*15",
            "02 01 00 00 | 02 00*7 01 00*7 | 05 00*15");
    command(f, MLD, 0x5401, "00 ff", "04 00 00 04 | 04 00*15"
            " | 02 00*7 01 00*7 | 05 00*15 | 04 00*15");
    refused(f, MLD, 0x5402, "01 01 00 00 | 04 00*15",
            CXLF_CCI_INVALID_INPUT);    /* 4 + 4 + 5 + 4 > 16 */
    refused(f, MLD, 0x5402, "01 01 00 00 | ff*16", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5402, "01 04 00 00 | 00*16", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5402, "00 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5402, "02 01 00 00 | 00*16", CXLF_CCI_INVALID_LENGTH);
    refused(f, SLD, 0x5400, "", CXLF_CCI_UNSUPPORTED);

    refused(f, MLD, 0x5405, "", CXLF_CCI_UNSUPPORTED);
    refused(f, MLD, 0x5404, "01 14 28 08 34 12 40", CXLF_CCI_INVALID_INPUT);
    f->fm->dev[0].qos_capability = 3;
    f->fm->dev[0].backpressure = 17;
    command(f, MLD, 0x5400, "", "00 00 00 00 01 00 00 00 | 04 00 | 03");
    command(f, MLD, 0x5404, "01 14 28 08 34 12 40", "01 14 28 08 34 12 40");
    command(f, MLD, 0x5403, "", "01 14 28 08 34 12 40");
    command(f, MLD, 0x5405, "", "11");
    f->fm->ops.backpressure = say_qos;
    f->fm->ops.qos_set = count_qos;
    command(f, MLD, 0x5405, "", "22");
    refused(f, MLD, 0x5404, "01 28 14 08 34 12 40", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5404, "01 14 65 08 34 12 40", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5404, "01 14 28 10 34 12 40", CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5407, "02 01 | 40 80", "02 01 | 40 80");
    command(f, MLD, 0x5406, "04 00", "04 00 | 00 40 80 00");
    refused(f, MLD, 0x5407, "01 00 | 41", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5406, "04 01", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5406, "00 01", CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5409, "04 00 | ff ff ff 01", "04 00 | ff ff ff 01");
    /* told of what was set, and of nothing else */
    g_assert_cmpuint(f->operation, ==, 2);
    command(f, MLD, 0x5404, "01 14 28 08 34 12 40", "01 14 28 08 34 12 40");
    g_assert_cmpuint(f->operation, ==, 3);
    command(f, MLD, 0x5408, "02 02", "02 02 | ff 01");
    fabric_free(f);
}

static void test_multi_headed(void)
{
    Fabric *f = fabric_new();

    f->fm->dev[2].head[1] = (struct cxlf_fm_link) { 8, 4, 0x1f, 5, 3, 7, 2 };
    command(f, MHD, 0x5500, "01 ff", "04 02 00 00 01 03 00 00 | 01 00 01");
    refused(f, MHD, 0x5500, "04 01", CXLF_CCI_INVALID_INPUT);
    command(f, MHD, 0x5501, "00 02", "02 00 00 00 | 00*9"
            " | 01 08 04 1f 05 03 07 00 02");
    refused(f, MHD, 0x5501, "01 02", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5500, "00 01", CXLF_CCI_UNSUPPORTED);
    /* the LD pool's CCI, through a tunnel in a tunnel */
    command(f, LEAF, 0x5300, "0a 00 1e 00 | 00 01 00 00 53 12 00*6"
            " | 00 01 0e 00 | 00 02 00 00 55 02 00*6 | 03 01",
            "25 00 00 00 | 01 01 00 00 53 19 00*6"
            " | 15 00 00 00 | 01 02 00 00 55 09 00*6"
            " | 04 02 00 00 03 01 00 00 | 01");
    fabric_free(f);
}

#define BASE_0 "00 00 00 00 01 00 00 00"
#define SIZE_2M "00 00 20 00 00 00 00 00"

static void test_dcd(void)
{
    Fabric *f = fabric_new();

    command(f, MLD, 0x5600, "", "04 02 00 00 | 0f 00 | 00 00 | 03 00 | 03 00"
            " | 06 00*7 | 00 00 20 10 00*4 | 00 00 00 10 00*4 | 00*48");
    command(f, MLD, 0x5601, "03 00 08 00", "03 00 02 02"
            " | " BASE_0 " | 04 00*7 | 00 00 00 40 00*4 | " SIZE_2M
            " | 08 00 00 00 | 00 00 00 00"
            " | 00 00 00 40 01 00 00 00 | 02 00*7 | 00 00 00 20 00*4"
            " | 00 00 00 10 00*4 | 00 00 00 00 | 01 00 00 00"
            " | 80 00 00 00 | 80 00 00 00 | 80 00 00 00 | 80 00 00 00");
    refused(f, MLD, 0x5601, "04 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5601, "00 00 01 02", CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5602, "00 00 00 00 | 00 00 00 10 00*4 | 01 00 00 00",
            "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_REGION_CHANGED);
    command(f, MLD, 0x5602, "00 00 00 00 | " SIZE_2M " | 00*4", "");
    refused(f, MLD, 0x5602, "00 00 00 00 | 00 00 40 00 00*4 | 00*4",
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5602, "02 00 00 00 | " SIZE_2M " | 00*4",
            CXLF_CCI_INVALID_INPUT);
    /* prescriptive: one extent with sequence number 5, for host 1 */
    command(f, MLD, 0x5604, "01 00 02 00 | 00*8 | 00*16 | 01 00 00 00 | "
            BASE_0 " | " SIZE_2M " | " TAG_1 " | 05 00 00*6", "");
    command(f, MLD, 0x5603, "01 00 00 00 | 08 00 00 00 | 00 00 00 00",
            "01 00 00 00 | 00*4 | 00*4 | 00*4 | 01 00 00 00 | 00*4");
    command(f, MLD, 0x5608, "00*4 | ff 00 00 00", "01 00 00 00 | 01 00 00 00"
            " | 01 00 00 00 | 03 00 00 00"
            " | " TAG_1 " | 00*4 | 00*32 | 02 00*31");
    g_assert_true(cxlf_fm_dc_answer(f->fm, MLD, 1, 4 * GIB, 2 * MIB, true));
    command(f, MLD, 0x5603, "01 00 00 00 | 08 00 00 00 | 00 00 00 00",
            "01 00 00 00 | 00*4 | 01 00 00 00 | 01 00 00 00 | 02 00 00 00"
            " | 00*4 | " BASE_0 " | " SIZE_2M " | " TAG_1 " | 05 00 00*6");
    command(f, MLD, 0x5606, TAG_1, "");
    command(f, MLD, 0x5608, "00*4 | ff 00 00 00", "02 00 00 00 | 01 00 00 00"
            " | 01 00 00 00 | 03 00 00 00"
            " | " TAG_1 " | 01 00 00 00 | 02 00*31 | 00*32");
    command(f, MLD, 0x5607, TAG_1, "");
    refused(f, MLD, 0x5607, TAG_1, CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5606, "00*16", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5608, "02 00 00 00 | 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5603, "04 00*11", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5603, "01 00 00 00 | 00*4 | 02 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5602, "00 00 00 00 | " SIZE_2M " | 00*4",
            CXLF_CCI_UNSUPPORTED);
    refused(f, SLD, 0x5600, "", CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

static void test_pbr_switch(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x5700, "", "01 00*7 | 01 01 00 01");
    /* crawl out by port to the spine: Identify PBR Switch */
    command(f, LEAF, 0x5701, "07 00 00 00 0c 00 | 00 01 00 00 57 00*7",
            "18 00 00 00 | 01 01 00 00 57 0c 00*6 | 00*8 01 01 00 01");
    refused(f, LEAF, 0x5701, "06 00 00 00 0c 00 | 00*12",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5701, "07 01 00 00 0c 00 | 00*12",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5701, "07 00 02 00 0c 00 | 00*12",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5701, "07 00 00 00 0d 00 | 00*12",
            CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5701, "ff 0f 01 00 0c 00 | 00*12",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5702, "02 05 07", "02 00 00 00 | 05 00*53"
            " | 07 01 ff 0f 07 00 00 00 | e5 19 28 a1 00 00 00 00"
            " | 01 00*7 | 00*30");
    refused(f, LEAF, 0x5702, "01 06", CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5704, "00 00 03 00 | 01 01 00 00 00 | 02 01 04 00 00"
            " | 05 01 02 00 04",
            "");
    /* each LD of the MLD is a target, as instance 1 and its number */
    command(f, LEAF, 0x5703, "00 00 09 00", "11 00 09 00"
            " | 00 00 01 00 00 00 01 01 | 01 00 01 00 01 01 ff 0f"
            " | 02 00 02 00 ff 02 ff 0f"
            " | 02 00 02 01 ff 02 ff 0f | 02 00 02 02 ff 02 ff 0f"
            " | 02 00 02 03 ff 02 ff 0f | 02 00 02 04 ff 02 05 01"
            " | 03 00 02 00 ff 03 ff 0f | 04 00 02 00 ff 04 02 01");
    command(f, LEAF, 0x5703, "0a 00 02 00", "11 00 02 00"
            " | 07 00 00 00 ff 07 ff 0f | 0a 00 02 00 ff 0a ff 0f");
    /* those of the multi-headed device, at the ports of their heads */
    command(f, LEAF, 0x5703, "0c 00 05 00", "11 00 05 00"
            " | 0a 00 02 01 ff 0a ff 0f | 0a 00 02 03 ff 0a ff 0f"
            " | 0b 00 02 00 ff 0b ff 0f"
            " | 0b 00 02 02 ff 0b ff 0f | 0b 00 02 04 ff 0b ff 0f");
    command(f, LEAF, 0x5703, "11 00 01 00", "11 00 00 00");
    refused(f, LEAF, 0x5703, "12 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "00 00 01 00 | 06 01 02 00 05",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "00 00 01 00 | 06 01 03 00 01",
            CXLF_CCI_INVALID_INPUT);    /* an SLD has none */
    refused(f, LEAF, 0x5704, "00 00 01 00 | 05 01 02 00 03",
            CXLF_CCI_INVALID_INPUT);    /* of another LD */
    refused(f, LEAF, 0x5704, "00 00 02 00 | 06 01 02 00 03 | 06 01 02 00 02",
            CXLF_CCI_INVALID_INPUT);
    /* one target gives its PID to another */
    command(f, LEAF, 0x5704, "00 00 02 00 | 06 01 02 00 04 | 05 01 02 00 03",
            "");
    command(f, LEAF, 0x5704, "01 00 01 00 | 05 01 02 00 03", "");
    command(f, LEAF, 0x5703, "05 00 02 00", "11 00 02 00"
            " | 02 00 02 03 ff 02 ff 0f | 02 00 02 04 ff 02 06 01");
    refused(f, LEAF, 0x5704, "00 00 01 00 | 02 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);    /* of another target already */
    refused(f, LEAF, 0x5704, "00 00 01 00 | ff 0f 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "00 00 01 00 | 03 01 06 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "00 00 02 00 | 03 01 02 00 00 | 04 01 02 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "01 00 01 00 | 02 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5704, "02 00 01 00 | 01 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5704, "01 00 01 00 | 01 01 00 00 00", "");
    command(f, LEAF, 0x5703, "00 00 01 00", "11 00 01 00"
            " | 00 00 01 00 00 00 ff 0f");
    f->at_once = true;
    command_with(f, LEAF, 0x5706, "00 00 02 00 | 02 01 00 00"
                 " | 11 00*7 | 21 22 | 33 00*7 | 41 42",
                 CXLF_CCI_BACKGROUND, "");
    g_assert_true(f->binding.by_pid);
    g_assert_cmphex(f->binding.pid, ==, 0x102);
    g_assert_cmpuint(f->binding.device, ==, CXLF_FM_NO_DEVICE);
    command(f, LEAF, 0x5705, "00 02", "02 01 | 00 00"
            " | 11 00*7 | 21 22 | 33 00*7 | 41 42");
    refused(f, LEAF, 0x5705, "00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "00 00 02 00 | 02 01 00*22",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "01 00 01 00 | 02 01 00*22",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "02 00 02 00 | 02 01 00*22",
            CXLF_CCI_INVALID_INPUT);
    command_with(f, LEAF, 0x5706, "01 00 02 00 | 00*24", CXLF_CCI_BACKGROUND,
                 "");
    g_assert_cmpuint(f->erases, ==, 0);
    command(f, LEAF, 0x5705, "00 02", "ff 0f | 00*22");
    command(f, LEAF, 0x5707, "00 00 08 00", "00 00 02 00"
            " | 00 00 00 10 | bf 0c 00*30 | 00*3"
            " | 01 00 04 00 | bf 0c 00*30 | 00*3");
    refused(f, LEAF, 0x5707, "03 00 01 00", CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

static void test_tables(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x5709, "00 00 03 00 10 00 | 01 07 | 02 03 | 00 00", "");
    command(f, LEAF, 0x5708, "00 00 04 00 0f 00",
            "00 00 04 00 0f 00 00 00 | 00 00 | 01 07 | 02 03 | 00 00");
    refused(f, LEAF, 0x5709, "00 00 01 00 10 00 | 01 06",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5709, "00 00 02 00 10 00 | 01 05 | 02 04",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5709, "00 00 01 00 10 00 | 03 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5709, "01 00 01 00 10 00 | 01 07",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5709, "00 00 01 00 00 10 | 01 07",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5709, "00 00 02 00 00 00 | 01 07",
            CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5708, "00 00 ff ff 00 00", CXLF_CCI_INVALID_INPUT);
    /* nothing of what was refused was written */
    g_assert_cmpuint(f->table_writes, ==, 3);
    command(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 03 00 00 00 00 00 0a 08 00 00", "");
    command(f, LEAF, 0x570a, "00 00 02 00 01 00", "00 00 02 00 01 00 | 00*12"
            " | 07 02 03 00 00 00 00 00 0a 08 00 00");
    /* modes are the bits of 5700: random alone */
    refused(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 03 00 00 00 00 00 0a 09 00 00", CXLF_CCI_INVALID_INPUT);
    f->fm->sw[0].modes = 1 << 2 | 1 << 6;
    command(f, LEAF, 0x570b, "00 00 02 00 01 00"
            " | 07 02 03 00 00 00 00 00 0a 0a 00 00"
            " | 07 02 03 00 00 00 00 00 0a 0e 00 00", "");
    refused(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 03 00 00 00 00 00 0a 08 00 00", CXLF_CCI_INVALID_INPUT);
    f->fm->sw[0].modes = 1;
    refused(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 06 00 00 00 00 00 0a 08 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 03 00 00 00 00 00 1a 08 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x570b, "00 00 01 00 02 00"
            " | 07 02 03 00 00 00 00 00 0a 0a 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x570b, "00 00 01 00 04 00"
            " | 07 02 03 00 00 00 00 00 0a 08 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x570a, "00 00 05 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF5, 0x570a, "00 00 01 00 00 00", CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

/* valid decoder 1: HPA 4 GiB to DPA 1 GiB, 512 MiB, 2 ways, way 1 */
#define DECODER "01 00 00 | 00 00 00 00 01 00 00 00 | 00 00 00 40 00*4" \
    " | 00 00 00 20 00*4 | 01 02 01 00"

static void test_gfd(void)
{
    Fabric *f = fabric_new();

    command(f, GFD, 0x490d, "02 00 | 23 01 05 00 00 80 | 25 01 ff ff ff 7f",
            "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_SAT_CHANGED);
    command(f, GFD, 0x490c, "23 01 03 00 00 00", "23 01 03 00 00 00"
            " | 05 00 00 80 | 00*4 | ff ff ff 7f");
    refused(f, GFD, 0x490c, "ff 0f 01 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, GFD, 0x490d, "01 00 | ff 0f 00*4", CXLF_CCI_INVALID_INPUT);
    refused(f, GFD, 0x490d, "02 00 | 00*6", CXLF_CCI_INVALID_LENGTH);
    g_assert_cmpuint(f->rights, ==, 2);
    command(f, GFD, 0x4914, "23 01 01 01 00*4 | 01 " DECODER, "");
    command(f, GFD, 0x4913, "23 01 00 02 00 00", "23 01 00 02 00*4"
            " | 00*32 | 01 " DECODER);
    /* another one for the same address, of the wrong index, too far */
    refused(f, GFD, 0x4914, "23 01 02 01 00*4 | 02 " DECODER,
            CXLF_CCI_INVALID_INPUT);
    command(f, GFD, 0x4914, "24 01 02 01 00*4 | 02 " DECODER, "");
    refused(f, GFD, 0x4914, "23 01 02 01 00*4 | 01 " DECODER,
            CXLF_CCI_INVALID_INPUT);
    refused(f, GFD, 0x4914, "23 01 08 01 00*4 | 08 " DECODER,
            CXLF_CCI_INVALID_INPUT);
    refused(f, GFD, 0x4914, "23 01 01 01 00*4 | 01 01 00 00 | 00*28",
            CXLF_CCI_INVALID_INPUT);
    command(f, GFD, 0x4914, "23 01 01 01 00*4 | 01 00 00 00 | 00*28", "");
    g_assert_cmpuint(f->rights, ==, 5);
    refused(f, LEAF, 0x4913, "23 01 00 02 00 00", CXLF_CCI_UNSUPPORTED);
    /* what the device itself refuses is not kept, nor told */
    f->no_rights = true;
    f->events = 0;
    refused(f, GFD, 0x490d, "01 00 | 23 01 06 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, GFD, 0x4914, "23 01 03 01 00*4 | 03 " DECODER,
            CXLF_CCI_INVALID_INPUT);
    g_assert_cmpuint(f->events, ==, 0);
    command(f, GFD, 0x490c, "23 01 01 00 00 00",
            "23 01 01 00 00 00 | 05 00 00 80");
    command(f, GFD, 0x4913, "23 01 03 01 00 00",
            "23 01 03 01 00*4 | 03 00*31");
    fabric_free(f);
}

#define GIB_64 "00 00 00 00 10 00 00 00"
/* vPPB 1: on, segments of 64 GiB, 4 of them from 64 GiB on */
#define FAST "01 00 01 00 | " GIB_64 " | ff ff ff ff 4f 00 00 00"
#define ALLOW(vector_and_operation, pid) \
    "00 " vector_and_operation " " pid " | 00*20"

/* Host 0's GAE may reach PIDs 5h, 123h and FFEh, and 0 for GIM. */
static Fabric *fabric_with_gae(void)
{
    Fabric *f = fabric_new();

    command(f, LEAF, 0x5902, ALLOW("00", "23 01"), "");
    command(f, LEAF, 0x5902, ALLOW("00", "05 00"), "");
    command(f, LEAF, 0x5902, ALLOW("10", "00 00"), "");
    command(f, LEAF, 0x5902, "00 00 fe 0f | 11*20", "");
    return f;
}

static const struct cxlf_fm_who host_0 = {
    .pid = 0x10, .port = 0, .host = true,
};

static void test_gae(void)
{
    Fabric *f = fabric_with_gae();

    refused(f, LEAF, 0x5902, ALLOW("00", "ff 0f"), CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5902, ALLOW("02", "23 01"), CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5902, ALLOW("20", "23 01"), CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5902, "01 00 23 01 | 00*20", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5902, "02 00 23 01 | 00*20", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5902, "00 00 23 01 | 00*19", CXLF_CCI_INVALID_LENGTH);
    refused(f, SPINE, 0x5902, ALLOW("00", "23 01"), CXLF_CCI_UNSUPPORTED);

    f->who = host_0;
    command(f, LEAF, 0x5802, "00*4 | 00 04 00 00", "20 00*35 08 00*474 40"
            " | 01 00*511");
    command(f, LEAF, 0x5802, "24 00 00 00 | 02 00 00 00", "08 00");
    command(f, LEAF, 0x5802, "00 04 00 00 | 00 00 00 00", "");
    refused(f, LEAF, 0x5802, "00 04 00 00 | 01 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5802, "ff*4 | 01 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5802, "00*4 | ff*4", CXLF_CCI_INVALID_INPUT);
    /* A host has no say in what it may reach. */
    refused(f, LEAF, 0x5902, ALLOW("00", "06 00"), CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

static void test_fast(void)
{
    Fabric *f = fabric_with_gae();

    f->who = host_0;
    command(f, LEAF, 0x5803, "01 00 08 00", "01 00*19 | 10 00 40 00 03 00"
            " | 05 00 23 01 fe 0f");
    command(f, LEAF, 0x5804, FAST, "");
    command(f, LEAF, 0x5803, "01 00 02 00", FAST " | 10 00 40 00 02 00"
            " | 05 00 23 01");
    refused(f, LEAF, 0x5803, "00 00 02 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5803, "04 00 02 00", CXLF_CCI_INVALID_INPUT);
    /* of the USP, too large, not aligned, the other way round, too many */
    refused(f, LEAF, 0x5804, "00 00 01 00 | " GIB_64 " | ff*4 1f 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5804, "02 08 01 00 | 00*4 50 00*3 | ff*4 5f 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5804, "02 01 01 00 | 00*4 50 00*3 | ff*4 5f 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5804, "02 00 01 00 | 00*4 60 00*3 | 00*4 70 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5804, "02 07 01 00 | 00*5 f8 ff ff | ff*5 07 00*2",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5804, "02 00 01 00 | 00*5 01 00*2 | ff*4 0f 02 00*2",
            CXLF_CCI_INVALID_INPUT);
    /* what another one takes; then beside it, of the largest segments */
    refused(f, LEAF, 0x5804, "02 00 01 00 | 00*4 40 00*3 | ff*4 5f 00*3",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5804, "02 07 01 00 | 00*5 08 00*2 | ff*5 0f 00*2", "");
    command(f, LEAF, 0x5804, "02 ff 00 00 | ff*16", "");
    command(f, LEAF, 0x5803, "02 00 00 00", "02 00*19 | 10 00 40 00 00 00");
    fabric_free(f);
}

static void test_segments(void)
{
    Fabric *f = fabric_with_gae();

    f->who = host_0;
    command(f, LEAF, 0x5804, FAST, "");
    command(f, LEAF, 0x5806, "01 00 03 00 01 00 | 01 00 00 00 23 01 00 00"
            " | 01 01 02 00 03 00 00 00 | 03 00 00 00 00 00 00 00", "");
    command(f, LEAF, 0x5805, "01 00 04 00 00 00", "01 00 04 00 | 00*8"
            " | 01 00 00 00 23 01 00 00 | 01 01 02 00 03 00 00 00"
            " | 03 00*7");
    /* not in the GMV, nor in the VTV; flags, reserved, interleave, ... */
    refused(f, LEAF, 0x5806, "01 00 02 00 00 00 | 00*8 | 01 00*3 06 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 03 00*3 05 00*3",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 04 00*7",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 00*3 01 00*4",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 00*7 01",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 01 05 00*6",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 01 01 07 00*5",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 01 00 00 00 | 01 02 00 00 3d 00 00 00",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5806, "01 00 01 00 0f 00 | 01 02 00 00 3c 00 00 00",
            "");
    refused(f, LEAF, 0x5806, "01 00 01 00 10 00 | 00*8",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 00 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5806, "01 00 02 00 00 00 | 00*8",
            CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5805, "01 00 11 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5805, "04 00 01 00 00 00", CXLF_CCI_INVALID_INPUT);

    command(f, LEAF, 0x5808, "01 00 02 00 03 00 | 05 00 | 23 01", "");
    command(f, LEAF, 0x5807, "01 00 04 00 02 00",
            "01 00 04 00 | ff 0f | 05 00 | 23 01 | ff 0f");
    refused(f, LEAF, 0x5808, "01 00 02 00 05 00 | 05 00 | 00 10",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5808, "01 00 01 00 40 00 | 05 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5808, "03 00 01 00 00 00 | 05 00 | 00",
            CXLF_CCI_INVALID_LENGTH);
    refused(f, LEAF, 0x5807, "01 00 41 00 00 00", CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5807, "01 00 01 00 05 00", "01 00 01 00 | ff 0f");
    fabric_free(f);
}

/* What is not there, and answers that have no room. */
static void test_refusals(void)
{
    static const uint16_t absent[] = {
        0x0100, 0x4900, 0x490b, 0x5104, 0x5204, 0x5303, 0x540a, 0x5502,
        0x5609, 0x570c, 0x5716, 0x5800, 0x5801, 0x5802, 0x5808, 0x5809,
        0x5900, 0x5901, 0x5903, 0xffff,
    };
    Fabric *f = fabric_new();
    uint8_t in[4] = { 2, 2, 7 }, out[36];
    size_t n;

    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
        for (unsigned c = LEAF; c <= MHD; c++) {
            refused(f, c, absent[i], "", CXLF_CCI_UNSUPPORTED);
        }
    }
    g_assert_cmphex(cxlf_fm_command(f->fm, &f->who, LEAF, 0x5101, in, 3, out,
                                    35, &n), ==, CXLF_CCI_INVALID_INPUT);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmphex(cxlf_fm_command(f->fm, &f->who, LEAF, 0x5101, in, 3, out,
                                    36, &n), ==, CXLF_CCI_SUCCESS);
    g_assert_cmpuint(n, ==, 36);
    /* a list is cut instead */
    in[0] = 0, in[1] = 0, in[2] = 9, in[3] = 0;
    g_assert_cmphex(cxlf_fm_command(f->fm, &f->who, LEAF, 0x5703, in, 4, out,
                                    27, &n), ==, CXLF_CCI_SUCCESS);
    g_assert_cmpuint(n, ==, 20);
    g_assert_cmpuint(out[2], ==, 2);
    fabric_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fm/layout/generic", test_generic);
    g_test_add_func("/fm/layout/effects-log", test_effects_log);
    g_test_add_func("/fm/layout/pbr-component", test_pbr_component);
    g_test_add_func("/fm/layout/physical-switch", test_physical_switch);
    g_test_add_func("/fm/layout/configuration", test_configuration);
    g_test_add_func("/fm/layout/virtual-switch", test_virtual_switch);
    g_test_add_func("/fm/layout/mld-port", test_mld_port);
    g_test_add_func("/fm/layout/mld", test_mld);
    g_test_add_func("/fm/layout/multi-headed", test_multi_headed);
    g_test_add_func("/fm/layout/dcd", test_dcd);
    g_test_add_func("/fm/layout/pbr-switch", test_pbr_switch);
    g_test_add_func("/fm/layout/tables", test_tables);
    g_test_add_func("/fm/layout/gfd", test_gfd);
    g_test_add_func("/fm/layout/gae", test_gae);
    g_test_add_func("/fm/layout/fast", test_fast);
    g_test_add_func("/fm/layout/segments", test_segments);
    g_test_add_func("/fm/layout/refusals", test_refusals);
    return g_test_run();
}
