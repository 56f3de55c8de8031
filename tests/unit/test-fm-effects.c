/*
 * Fabric Manager: what commands do to a fabric
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-fixture.h"

#define UUID_A "0a*16"
#define UUID_B "0b*16"
#define BIND_LD0 "00 01 02 00 00 00"
#define BIND_LD1 "00 02 02 00 01 00"

static void begins(Fabric *f, uint16_t opcode, const char *in)
{
    command_with(f, LEAF, opcode, in, CXLF_CCI_BACKGROUND, "");
}

static void test_bind(void)
{
    Fabric *f = fabric_new();

    begins(f, 0x5201, BIND_LD0);
    g_assert_cmpuint(f->erases, ==, 0);
    g_assert_cmpuint(f->binding.component, ==, LEAF);
    g_assert_cmpuint(f->binding.device, ==, MLD);
    g_assert_cmpuint(f->binding.vppb, ==, 1);
    /* in progress: the command, the vPPB, the port; a second one must wait */
    command(f, LEAF, 0x0002, "", "65 00 01 52 00 00 00 00");
    command(f, LEAF, 0x5200, "01 01 01 00", "01 00 00 00 | 00 01 00 04"
            " | 01 02 ff 00");
    command(f, LEAF, 0x5101, "01 02", "01 00 00 00"
            " | 02 01 03 00 05 04 10 08 1f 05 04 07 00 04 00 04");
    refused(f, LEAF, 0x5201, BIND_LD1, CXLF_CCI_BUSY);
    refused(f, LEAF, 0x5202, "00 01 00", CXLF_CCI_BUSY);
    refused(f, LEAF, 0x5706, "00*28", CXLF_CCI_BUSY);
    complete(f, BIND, true);
    g_assert_cmpint(f->event.type, ==, CXLF_FM_VPPB_CHANGED);
    command(f, LEAF, 0x0002, "", "c8 00 01 52 00 00 00 00");
    command(f, LEAF, 0x5200, "01 01 01 00", "01 00 00 00 | 00 01 00 04"
            " | 03 02 00 00");
    /* its answer comes again: nothing waits for it */
    g_assert_false(cxlf_fm_complete(f->fm, f->token, false));

    /* the LD, and the vPPB, are taken; and what there is not */
    refused(f, LEAF, 0x5201, "01 01 02 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 01 02 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 00 02 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 04 02 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "02 01 02 00 01 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 02 00 04 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 02 00 ff ff", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 03 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 05 00 ff ff", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 07 00 ff ff", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5201, "00 02 04 00 ff ff", CXLF_CCI_INVALID_INPUT);
    /* LD 1 of the multi-headed device is behind its other head */
    refused(f, LEAF, 0x5201, "00 02 0a 00 01 00", CXLF_CCI_INVALID_INPUT);
    begins(f, 0x5201, "00 02 0b 00 01 00");
    complete(f, BIND, true);
    g_assert_cmpuint(f->binding.device, ==, MHD);
    fabric_free(f);
}

/* Unbound is unbound, and erased; then another host has it. */
static void test_unbind(void)
{
    Fabric *f = fabric_new();

    refused(f, LEAF, 0x5202, "00 01 00", CXLF_CCI_INVALID_INPUT);
    begins(f, 0x5201, BIND_LD1);
    complete(f, BIND, true);
    refused(f, LEAF, 0x5202, "00 02 03", CXLF_CCI_INVALID_INPUT);
    begins(f, 0x5202, "00 02 02");
    g_assert_cmpuint(f->binding.option, ==, 2);
    command(f, LEAF, 0x5101, "01 02", "01 00 00 00"
            " | 02 02 03 00 05 04 10 08 1f 05 04 07 00 04 00 04");
    g_assert_cmpuint(f->erases, ==, 0);
    complete(f, UNBIND, true);
    /* not before it is erased */
    command(f, LEAF, 0x0002, "", "65 00 02 52 00 00 00 00");
    g_assert_cmpuint(f->memory.component, ==, MLD);
    g_assert_cmpuint(f->memory.ld, ==, 1);
    g_assert_cmpuint(f->memory.start, ==, 0);
    g_assert_cmphex(f->memory.length, ==, GIB);
    complete(f, ERASE, true);
    command(f, LEAF, 0x0002, "", "c8 00 02 52 00 00 00 00");
    begins(f, 0x5201, "01 03 02 00 01 00");
    complete(f, BIND, true);
    g_assert_cmpuint(f->erases, ==, 1);
    fabric_free(f);
}

/* An LD's PID: as by its port, whichever leaf the host is at. */
static void test_bind_pid(void)
{
    struct cxlf_fm_binding b = {
        .component = LEAF, .vppb = 1, .by_pid = true, .pid = 0x21,
    };
    Fabric *f = fabric_new();

    /* PIDs 20h and 21h to LDs 0 and 1, 22h to the port of the SLD */
    command(f, LEAF, 0x5704, "00 00 03 00 | 20 00 02 00 01 | 21 00 02 00 02"
            " | 22 00 03 00 00", "");
    begins(f, 0x5706, "00 00 01 00 20 00*23");
    g_assert_true(f->binding.by_pid);
    g_assert_cmpuint(f->binding.device, ==, MLD);
    g_assert_cmpuint(f->binding.ld, ==, 0);
    complete(f, BIND, true);
    command(f, LEAF, 0x5200, "01 01 01 00", "01 00 00 00 | 00 01 00 04"
            " | 04 00 ff 00");
    g_assert_null(cxlf_fm_check(f->fm));
    /* taken, by its port and by its PID */
    refused(f, LEAF, 0x5201, "01 01 02 00 00 00", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "00 01 01 00 20 00*23", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "00 00 01 00 21 00*23", CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5706, "00 01 01 00 ff 0f 00*22",
            CXLF_CCI_INVALID_INPUT);
    /* the LD stays behind its vPPB whatever PID it has meanwhile */
    command(f, LEAF, 0x5704, "00 00 01 00 | 30 00 02 00 01", "");
    begins(f, 0x5706, "01 00 01 00 00*24");
    g_assert_cmpuint(f->binding.option, ==, 1);
    g_assert_cmpuint(f->binding.device, ==, MLD);
    g_assert_cmpuint(f->binding.ld, ==, 0);
    complete(f, UNBIND, true);
    g_assert_cmpuint(f->memory.ld, ==, 0);
    /* it could not be erased, so that is first next time */
    complete(f, ERASE, false);
    begins(f, 0x5706, "00 01 01 00 30 00*23");
    complete(f, ERASE, true);
    complete(f, BIND, true);
    /* Unbind vPPB has the options */
    begins(f, 0x5202, "01 01 02");
    g_assert_true(f->binding.by_pid);
    g_assert_cmpuint(f->binding.option, ==, 2);
    complete(f, UNBIND, false);
    command(f, LEAF, 0x5200, "01 01 01 01", "01 00 00 00 | 01 01 01 04"
            " | 04 00 ff 00");
    g_assert_null(cxlf_fm_check(f->fm));

    /* an SLD, by the PID of its port */
    begins(f, 0x5706, "00 00 02 00 22 00*23");
    g_assert_cmpuint(f->binding.device, ==, SLD);
    g_assert_cmphex(f->binding.ld, ==, CXLF_FM_LD_NONE);
    complete(f, BIND, true);
    refused(f, LEAF, 0x5201, "01 02 03 00 ff ff", CXLF_CCI_INVALID_INPUT);

    /* from the beginning */
    g_assert_true(cxlf_fm_bound(f->fm, &b));
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    b.vppb = 3;
    b.pid = 0x77;               /* nobody's */
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    command(f, LEAF, 0x5705, "00 01", "21 00 | 00*22");
    begins(f, 0x5202, "00 01 00");
    g_assert_cmpuint(f->binding.ld, ==, 1);
    complete(f, UNBIND, true);
    complete(f, ERASE, true);
    command(f, LEAF, 0x5705, "00 01", "ff 0f | 00*22");
    fabric_free(f);
}

/* From the beginning, as by Bind; an LD that a host has was not erased. */
static void test_bound(void)
{
    struct cxlf_fm_binding b = {
        .component = LEAF, .vcs = 0, .vppb = 1, .port = 2, .ld = 1,
    };
    Fabric *f = fabric_new();

    g_assert_true(cxlf_fm_bound(f->fm, &b));
    command(f, LEAF, 0x5200, "01 01 01 00", "01 00 00 00 | 00 01 00 04"
            " | 03 02 01 00");
    g_assert_null(cxlf_fm_check(f->fm));
    g_assert_cmpuint(f->binds, ==, 0);
    g_assert_false(cxlf_fm_bound(f->fm, &b));   /* taken: the vPPB, the LD */
    b.vppb = 2;
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    b.ld = 2;
    b.vppb = 0;
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    b.vppb = 4;
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    b.vppb = 2;
    b.vcs = 2;
    g_assert_false(cxlf_fm_bound(f->fm, &b));
    begins(f, 0x5202, "00 01 01");
    complete(f, UNBIND, true);
    complete(f, ERASE, true);
    refused(f, LEAF, 0x5202, "00 01 01", CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

static uint64_t placed[CXLF_FM_LDS];
static bool has_place;

static bool place(void *opaque, unsigned component, const uint64_t *size)
{
    g_assert_nonnull(opaque);
    g_assert_cmpuint(component, ==, MLD);
    memcpy(placed, size, sizeof(placed));
    return has_place;
}

/* Who places LDs has a say, and knows all sizes in bytes. */
static void test_place(void)
{
    static const char set[] = "01 02 00 00 03 00*7 01 00*7";
    const struct cxlf_fm_device *d;
    Fabric *f = fabric_new();
    uint64_t before;

    f->fm->ops.place = place;
    d = &f->fm->dev[f->fm->component[MLD].index];
    before = d->ld[2].range[0];
    has_place = false;
    refused(f, MLD, 0x5402, set, CXLF_CCI_INVALID_INPUT);
    g_assert_cmpuint(d->ld[2].range[0], ==, before);
    has_place = true;
    command(f, MLD, 0x5402, set, set);
    g_assert_cmpuint(d->ld[2].range[0], ==, 3);
    g_assert_cmphex(placed[2], ==, GIB);
    g_assert_cmphex(placed[0], ==, before * CXLF_FM_UNIT);
    /* What does not fit anyhow is not asked for. */
    placed[2] = 0;
    refused(f, MLD, 0x5402, "01 02 00 00 ff*8 00*8", CXLF_CCI_INVALID_INPUT);
    g_assert_cmphex(placed[2], ==, 0);
    fabric_free(f);
}

static void test_failures(void)
{
    Fabric *f = fabric_new();

    /* shown to nobody, but perhaps seen: it is erased first next time */
    begins(f, 0x5201, BIND_LD0);
    complete(f, BIND, false);
    command(f, LEAF, 0x0002, "", "c8 00 01 52 04 00 00 00");
    begins(f, 0x5201, "01 01 02 00 00 00");
    g_assert_cmpuint(f->binds, ==, 1);
    complete(f, ERASE, false);
    g_assert_cmpuint(f->binds, ==, 1);
    command(f, LEAF, 0x0002, "", "c8 00 01 52 04 00 00 00");
    begins(f, 0x5201, "01 01 02 00 00 00");
    complete(f, ERASE, true);
    complete(f, BIND, true);
    /* what cannot be hidden stays bound */
    begins(f, 0x5202, "01 01 00");
    complete(f, UNBIND, false);
    command(f, LEAF, 0x0002, "", "c8 00 02 52 04 00 00 00");
    command(f, LEAF, 0x5200, "01 01 01 01", "01 00 00 00 | 01 01 01 04"
            " | 03 02 00 00");
    g_assert_cmpuint(f->erases, ==, 2);
    /* hidden, and not erased: unbound, and erased before another has it */
    begins(f, 0x5202, "01 01 00");
    complete(f, UNBIND, true);
    complete(f, ERASE, false);
    command(f, LEAF, 0x0002, "", "c8 00 02 52 04 00 00 00");
    begins(f, 0x5201, BIND_LD0);
    complete(f, ERASE, true);
    complete(f, BIND, true);
    /* an SLD is erased, too */
    begins(f, 0x5201, "00 02 03 00 ff ff");
    complete(f, BIND, true);
    begins(f, 0x5202, "00 02 00");
    complete(f, UNBIND, true);
    g_assert_cmpuint(f->memory.component, ==, SLD);
    g_assert_cmphex(f->memory.length, ==, GIB);
    complete(f, ERASE, true);
    fabric_free(f);
}

/* Memory that went from an LD to another is erased before it is bound. */
static void test_allocations(void)
{
    Fabric *f = fabric_new();

    f->at_once = true;
    begins(f, 0x5201, BIND_LD0);
    refused(f, MLD, 0x5402, "01 00 00 00 | 03 00*15",
            CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5402, "03 00 00 00 | 04 00*15 | 02 00*15 | 06 00*15",
            "03 00 00 00 | 04 00*15 | 02 00*15 | 06 00*15");
    g_assert_cmpuint(f->erases, ==, 0);
    begins(f, 0x5201, BIND_LD1);
    g_assert_cmpuint(f->erases, ==, 1);
    g_assert_cmphex(f->memory.length, ==, 512 * MIB);
    fabric_free(f);
}

static void test_ownership(void)
{
    Fabric *f = fabric_new();

    f->at_once = true;
    begins(f, 0x5201, BIND_LD0);
    f->who.pid = 0x0a;
    command(f, LEAF, 0x0701, "00 | 0a 00 | " UUID_A " | 42 00",
            "0a 00 | " UUID_A " | ff 0f | 00*16");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_OWNER_CHANGED);
    /* another one may look, and be secondary */
    f->who.pid = 0x0b;
    refused(f, LEAF, 0x5100, "", CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x0002, "", CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5201, BIND_LD1, CXLF_CCI_UNSUPPORTED);
    command(f, LEAF, 0x0001, "",
            "e5 19 28 a1 00 00 00 00 88 77 66 55 44 33 22 11 0c 00");
    command(f, LEAF, 0x0401, "0d a9 c0 b5 bf 41 4b 78 8f 79 96 b1 62 3b 3f 17"
            " 00 00 00 00 04 00 00 00", "01 00 00 00");
    refused(f, LEAF, 0x0701, "00 | 0b 00 | " UUID_B " | 43 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "03 | 0b 00 | " UUID_B " | 00 00",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x0701, "01 | 0b 00 | " UUID_B " | 00 00",
            "0a 00 | " UUID_A " | 0b 00 | " UUID_B);
    /* a third is neither, and can change nothing */
    f->who.pid = 0x0c;
    refused(f, LEAF, 0x0701, "01 | 0c 00 | 0c*16 | 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "02 | 0c 00 | " UUID_A " | 00 00",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x0701, "03 | 0b 00 | " UUID_B " | 00 00",
            CXLF_CCI_INVALID_INPUT);
    /* the primary is dead: its secondary takes over, and nothing moves */
    f->who.pid = 0x0b;
    refused(f, LEAF, 0x0701, "03 | 0b 00 | " UUID_A " | 00 00",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x0701, "03 | 0b 00 | " UUID_B " | 00 00",
            "0b 00 | " UUID_B " | ff 0f | 00*16");
    g_assert_cmpuint(f->binds, ==, 1);
    g_assert_cmpuint(f->unbinds + f->erases + f->table_writes, ==, 0);
    command(f, LEAF, 0x5200, "01 01 01 00", "01 00 00 00 | 00 01 00 04"
            " | 03 02 00 00");
    begins(f, 0x5202, "00 01 00");
    /* and has another PID then; its old one is nobody */
    command(f, LEAF, 0x0701, "02 | 1b 00 | " UUID_B " | 00 00",
            "1b 00 | " UUID_B " | ff 0f | 00*16");
    refused(f, LEAF, 0x5100, "", CXLF_CCI_UNSUPPORTED);
    f->who.pid = 0x0a;
    refused(f, LEAF, 0x5201, BIND_LD1, CXLF_CCI_UNSUPPORTED);
    /* the spine has no primary: each component is claimed for itself */
    command(f, SPINE, 0x5700, "", "00*8 | 01 01 00 01");
    fabric_free(f);
}

static void test_host(void)
{
    Fabric *f = fabric_new();

    f->who.host = true;
    command(f, LEAF, 0x0700, "", "ff 0f | ff 0f | 00*16 | ff 0f | 00*16");
    command(f, SLD, 0x0400, "", "01 00 | 00*6 | "
            "0d a9 c0 b5 bf 41 4b 78 8f 79 96 b1 62 3b 3f 17 | 18 00 00 00");
    refused(f, LEAF, 0x0701, "00 | 23 01 | 00*16 | 42 00",
            CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5100, "", CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5201, BIND_LD0, CXLF_CCI_UNSUPPORTED);
    refused(f, LEAF, 0x5300, "02 00 0c 00 | 00 00 00 00 54 00*7",
            CXLF_CCI_UNSUPPORTED);
    refused(f, GFD, 0x490d, "01 00 | 01 00 ff ff ff ff",
            CXLF_CCI_UNSUPPORTED);
    g_assert_cmpuint(f->events + f->binds, ==, 0);
    fabric_free(f);
}

/* The spine's tables lead from leaf 0 to leaf 5, and change on the way. */
static void test_crawl(void)
{
    static const char ask[] =
        "42 00 01 00 0c 00 | 00 01 00 00 07 00*7";
    static const char get_ld_info[] =
        "02 00 0c 00 | 00 5a 00 00 54 00*7";
    static const char answer[] =
        "32 00 00 00 | 01 01 00 00 07 26 00*6"
        " | 42 00 | 23 01 | 00*16 | ff 0f | 00*16";
    Fabric *f = fabric_new();

    command(f, LEAF5, 0x0701, "00 | 23 01 | 00*16 | 42 00",
            "23 01 | 00*16 | ff 0f | 00*16");
    refused(f, LEAF, 0x5701, ask, CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5709, "00 00 01 00 42 00 | 01 07", "");
    refused(f, LEAF, 0x5701, ask, CXLF_CCI_INVALID_INPUT);
    /* from the spine by its second group, whose primary port is 8 */
    command(f, SPINE, 0x570b, "00 00 01 00 01 00 | 07 08 00*6 09 00 00 00",
            "");
    command(f, SPINE, 0x5709, "00 00 01 00 42 00 | 02 01", "");
    command(f, LEAF, 0x5701, ask, answer);
    /* the primary port leads back; it is not taken while its link is down */
    command(f, SPINE, 0x570b, "00 00 01 00 01 00 | 07 08 00*6 01 00 00 00",
            "");
    refused(f, LEAF, 0x5701, ask, CXLF_CCI_INVALID_INPUT);
    f->down[SPINE][7] = true;
    command(f, LEAF, 0x5701, ask, answer);
    f->down[SPINE][8] = true;
    refused(f, LEAF, 0x5701, ask, CXLF_CCI_INVALID_INPUT);
    f->down[SPINE][7] = f->down[SPINE][8] = false;
    /* by its port */
    f->down[LEAF][7] = true;
    refused(f, LEAF, 0x5701, "07 00 00 00 0c 00 | 00 01 00 00 57 00*7",
            CXLF_CCI_INVALID_INPUT);
    f->down[LEAF][7] = false;
    /* which is in Detect then */
    f->down[LEAF][2] = true;
    command(f, LEAF, 0x5101, "01 02", "01 00 00 00 | 02 03 03 00 05 04 10"
            " 08 1f 05 04 00 00 04 00 04");
    /* and nothing reaches the device that is behind it */
    refused(f, LEAF, 0x5300, get_ld_info, CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5301, "02 34 f2 00 01 00 00 00 00*4",
            CXLF_CCI_INVALID_INPUT);
    refused(f, LEAF, 0x5302, "02 f0 0f 02 00 03 00 00*8",
            CXLF_CCI_INVALID_INPUT);
    f->down[LEAF][2] = false;
    command(f, LEAF, 0x5300, get_ld_info,
            "17 00 00 00 | 01 5a 00 00 54 0b 00 00 00 00 00 00"
            " | 00 00 00 00 01 00 00 00 | 04 00 | 00");
    /* tables that lead in a circle end */
    command(f, SPINE, 0x5709, "00 00 01 00 42 00 | 01 07", "");
    refused(f, LEAF, 0x5701, ask, CXLF_CCI_INVALID_INPUT);

    /* two layers reach leaf 5, port by port; three are too many */
    command(f, LEAF, 0x5701, "07 00 00 00 1e 00 | 00 00 00 01 57 12 00*6"
            " | 08 00 00 00 0c 00 | 00 01 00 00 57 00*7",
            "28 00 00 00 | 01 00 00 01 57 1c 00*6"
            " | 18 00 00 00 | 01 01 00 00 57 0c 00*6 | 00*8 01 00 00 01");
    command(f, LEAF, 0x5701, "07 00 00 00 30 00 | 00 00 00 01 57 24 00*6"
            " | 08 00 00 00 1e 00 | 00 00 00 01 57 12 00*6"
            " | 09 00 00 00 0c 00 | 00 01 00 00 57 00*7",
            "1c 00 00 00 | 01 00 00 01 57 10 00*6"
            " | 0c 00 00 00 | 01 00 00 01 57 00 00 00 03 00 00 00");
    fabric_free(f);
}

static void reaches(Fabric *f, uint64_t hpa, unsigned pid)
{
    g_assert_cmphex(cxlf_fm_fast_pid(f->fm, LEAF, 0, hpa), ==, pid);
}

#define NOWHERE     CXLF_FM_PID_NONE
#define SEGMENT     (64 * GIB)

/* Where a host's accesses go by its FASTs, as far as its GAE may. */
static void test_fast(void)
{
    static const struct cxlf_fm_who manager = { .pid = 0x123, .port = 7 };
    static const struct cxlf_fm_who host = { .pid = 0x10, .host = true };
    Fabric *f = fabric_new();

    for (unsigned pid = 5; pid < 9; pid++) {
        g_autofree char *in = g_strdup_printf("00 00 %02x 00 | 00*20", pid);

        command(f, LEAF, 0x5902, in, "");
    }
    f->who = host;
    reaches(f, SEGMENT, NOWHERE);
    /* 4 segments: nothing, PID 5, two ways by 1 KiB to 6 and 7, GIM to 8 */
    command(f, LEAF, 0x5804, "01 00 01 00 | 00*4 10 00*3 | ff*4 4f 00*3", "");
    refused(f, LEAF, 0x5806, "01 00 01 00 03 00 | 03 00*3 08 00*3",
            CXLF_CCI_INVALID_INPUT);
    command(f, LEAF, 0x5806, "01 00 02 00 01 00 | 01 00*3 05 00*3"
            " | 01 01 02 00 03 00*3", "");
    command(f, LEAF, 0x5808, "01 00 02 00 03 00 | 06 00 | 07 00", "");
    reaches(f, SEGMENT - 1, NOWHERE);
    reaches(f, SEGMENT, NOWHERE);
    reaches(f, 2 * SEGMENT - 1, NOWHERE);
    reaches(f, 2 * SEGMENT, 5);
    reaches(f, 3 * SEGMENT - 1, 5);
    reaches(f, 3 * SEGMENT, 6);
    reaches(f, 3 * SEGMENT + 1023, 6);
    reaches(f, 3 * SEGMENT + 1024, 7);
    reaches(f, 3 * SEGMENT + 2048, 6);
    reaches(f, 4 * SEGMENT, NOWHERE);
    reaches(f, 5 * SEGMENT, NOWHERE);
    g_assert_cmphex(cxlf_fm_fast_pid(f->fm, LEAF, 1, 2 * SEGMENT), ==,
                    NOWHERE);
    g_assert_cmphex(cxlf_fm_fast_pid(f->fm, LEAF, 2, 2 * SEGMENT), ==,
                    NOWHERE);

    /* What the Fabric Manager takes away is gone, and comes back by itself. */
    f->who = manager;
    command(f, LEAF, 0x5902, "00 01 07 00 | 00*20", "");
    reaches(f, 3 * SEGMENT, 6);
    reaches(f, 3 * SEGMENT + 1024, NOWHERE);
    command(f, LEAF, 0x5902, "00 00 07 00 | 00*20", "");
    reaches(f, 3 * SEGMENT + 1024, 7);
    command(f, LEAF, 0x5902, "00 01 05 00 | 00*20", "");
    reaches(f, 2 * SEGMENT, NOWHERE);
    /* for GIM another vector counts */
    command(f, LEAF, 0x5902, "00 10 08 00 | 00*20", "");
    f->who = host;
    command(f, LEAF, 0x5806, "01 00 01 00 03 00 | 03 00*3 08 00*3", "");
    reaches(f, 4 * SEGMENT, 8);
    /* a second FAST; and segments do not outlive what they were set for */
    command(f, LEAF, 0x5804, "02 01 01 00 | 00*4 60 00*3 | ff*4 9f 00*3", "");
    command(f, LEAF, 0x5806, "02 00 01 00 01 00 | 01 00*3 06 00*3", "");
    reaches(f, 6 * SEGMENT, NOWHERE);
    reaches(f, 8 * SEGMENT, 6);
    reaches(f, 10 * SEGMENT - 1, 6);
    reaches(f, 10 * SEGMENT, NOWHERE);
    command(f, LEAF, 0x5804, "01 00 01 00 | 00*4 10 00*3 | ff*4 4f 00*3", "");
    reaches(f, 3 * SEGMENT, NOWHERE);
    reaches(f, 8 * SEGMENT, 6);
    command(f, LEAF, 0x5804, "02 00 00 00 | 00*16", "");
    reaches(f, 8 * SEGMENT, NOWHERE);
    /* the primary of the switch has nothing to do with it */
    f->who = manager;
    command(f, LEAF, 0x0701, "00 | 23 01 | " UUID_A " | 42 00",
            "23 01 | " UUID_A " | ff 0f | 00*16");
    f->who = host;
    command(f, LEAF, 0x5802, "00*4 | 01 00 00 00", "c0");
    f->who.port = 1;
    refused(f, LEAF, 0x5802, "00*4 | 01 00 00 00", CXLF_CCI_UNSUPPORTED);
    fabric_free(f);
}

#define DPA_0 "00 00 00 00 01 00 00 00"
#define DPA_2M "00 00 20 00 01 00 00 00"
#define SIZE "00 00 20 00 00 00 00 00"
#define LARGE "00 00 40 00 00 00 00 00"
#define TAG_1 "01 00*15"
#define EXTENT_0 DPA_0 " " SIZE " " TAG_1 " 00*8"
#define EXTENT_1 DPA_2M " " SIZE " " TAG_1 " 00*8"
#define LIST(host, flags) host " 00 " flags " 00 | 00*24 | 01 00 00 00 | "

static void test_dc_add(void)
{
    Fabric *f = fabric_new();

    command(f, MLD, 0x5604, LIST("01", "02") EXTENT_0, "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_DC_ADD);
    g_assert_cmpuint(f->event.a, ==, 1);
    g_assert_cmphex(f->event.start, ==, 4 * GIB);
    g_assert_cmphex(f->event.length, ==, 2 * MIB);
    /* no other host answers, nor for another extent, nor twice */
    g_assert_false(cxlf_fm_dc_answer(f->fm, MLD, 0, 4 * GIB, 2 * MIB, true));
    g_assert_false(cxlf_fm_dc_answer(f->fm, MLD, 1, 4 * GIB, MIB, true));
    g_assert_false(cxlf_fm_dc_give_back(f->fm, MLD, 1, 4 * GIB, 2 * MIB));
    g_assert_true(cxlf_fm_dc_answer(f->fm, MLD, 1, 4 * GIB, 2 * MIB, true));
    g_assert_false(cxlf_fm_dc_answer(f->fm, MLD, 1, 4 * GIB, 2 * MIB, true));
    /* it is used now */
    refused(f, MLD, 0x5604, LIST("00", "02") EXTENT_0,
            CXLF_CCI_INVALID_EXTENTS);
    refused(f, MLD, 0x5604, "00 00 02 00 | 00*24 | 02 00 00 00 | " EXTENT_1
            " | " EXTENT_1, CXLF_CCI_INVALID_EXTENTS);
    refused(f, MLD, 0x5604, LIST("00", "02") "00 00 10 00 01 00*3 " SIZE
            " " TAG_1 " 00*8", CXLF_CCI_INVALID_PA);
    refused(f, MLD, 0x5604, LIST("00", "02") "00*8 " SIZE " " TAG_1 " 00*8",
            CXLF_CCI_INVALID_PA);
    refused(f, MLD, 0x5604, LIST("00", "02") "ff*16 " TAG_1 " 00*8",
            CXLF_CCI_INVALID_PA);
    refused(f, MLD, 0x5604, LIST("04", "02") EXTENT_1,
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5604, LIST("00", "04") EXTENT_1,
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5604, "00 00 02 00 | 00*28", CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5604, LIST("00", "02") "00", CXLF_CCI_INVALID_LENGTH);
    /* the device picks: behind it; not more than there is */
    command(f, MLD, 0x5604, "00 00 00 00 | " LARGE " | 00*16 | 00*4", "");
    g_assert_cmphex(f->event.start, ==, 4 * GIB + 2 * MIB);
    refused(f, MLD, 0x5604, "00 00 01 00 | 00 00 00 40 00*4 | 00*20",
            CXLF_CCI_EXHAUSTED);
    refused(f, MLD, 0x5604, "00 00 01 00 | 00 00 20 40 00*4 | 00*20",
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5604, "00 00 00 02 | " LARGE " | 00*20",
            CXLF_CCI_INVALID_INPUT);
    /* shared with host 2, where that is allowed */
    command(f, MLD, 0x5604, "02 00 03 00 | 00*8 | " TAG_1 " | 00*4", "");
    g_assert_cmpuint(f->event.a, ==, 2);
    refused(f, MLD, 0x5604, "02 00 03 00 | 00*8 | " TAG_1 " | 00*4",
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5604, "03 00 03 01 | 00*8 | " TAG_1 " | 00*4",
            CXLF_CCI_INVALID_INPUT);
    fabric_free(f);
}

/* What nobody has is erased; until then nobody can have it. */
static void test_dc_release(void)
{
    Fabric *f = fabric_new();

    command(f, MLD, 0x5604, LIST("01", "02") EXTENT_0, "");
    refused(f, MLD, 0x5605, LIST("01", "01") EXTENT_0, CXLF_CCI_INVALID_PA);
    g_assert_true(cxlf_fm_dc_answer(f->fm, MLD, 1, 4 * GIB, 2 * MIB, true));
    command(f, MLD, 0x5604, "02 00 03 00 | 00*8 | " TAG_1 " | 00*4", "");
    g_assert_true(cxlf_fm_dc_answer(f->fm, MLD, 2, 4 * GIB, 2 * MIB, true));
    refused(f, MLD, 0x5605, LIST("00", "01") EXTENT_0, CXLF_CCI_INVALID_PA);
    refused(f, MLD, 0x5605, LIST("01", "02") EXTENT_0,
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5605, LIST("01", "41") EXTENT_0,
            CXLF_CCI_INVALID_INPUT);
    refused(f, MLD, 0x5605, "00 00 00 00 | 00*8 | " TAG_1 " | 00*4",
            CXLF_CCI_INVALID_INPUT);
    command(f, MLD, 0x5606, TAG_1, "");
    command(f, MLD, 0x5605, LIST("01", "01") EXTENT_0, "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_DC_RELEASE);
    g_assert_true(cxlf_fm_dc_give_back(f->fm, MLD, 1, 4 * GIB, 2 * MIB));
    g_assert_false(cxlf_fm_dc_give_back(f->fm, MLD, 1, 4 * GIB, 2 * MIB));
    /* by tag, forced: gone; but the Fabric Manager holds it */
    command(f, MLD, 0x5605, "02 00 10 00 | 00*8 | " TAG_1 " | 00*4", "");
    g_assert_cmpint(f->event.type, ==, CXLF_FM_DC_FORCED);
    g_assert_cmpuint(f->erases, ==, 0);
    command(f, MLD, 0x5607, TAG_1, "");
    g_assert_cmpuint(f->memory.component, ==, MLD);
    g_assert_cmpuint(f->memory.ld, ==, CXLF_FM_LD_NONE);
    g_assert_cmphex(f->memory.start, ==, 4 * GIB);
    g_assert_cmphex(f->memory.length, ==, 2 * MIB);
    refused(f, MLD, 0x5604, LIST("00", "02") EXTENT_0,
            CXLF_CCI_INVALID_EXTENTS);
    complete(f, ERASE, true);
    g_assert_false(cxlf_fm_complete(f->fm, f->token, true));
    command(f, MLD, 0x5604, LIST("00", "02") EXTENT_0, "");
    /* refused by its host: nobody's; and never again if it is not erased */
    g_assert_true(cxlf_fm_dc_answer(f->fm, MLD, 0, 4 * GIB, 2 * MIB, false));
    complete(f, ERASE, false);
    refused(f, MLD, 0x5604, LIST("00", "02") EXTENT_0,
            CXLF_CCI_INVALID_EXTENTS);
    fabric_free(f);
}

static void test_dc_full(void)
{
    Fabric *f = fabric_new();

    for (unsigned i = 0; i < CXLF_FM_EXTENTS; i++) {
        command(f, MLD, 0x5604, "00 00 00 00 | " SIZE " | 00*16 | 00*4", "");
    }
    refused(f, MLD, 0x5604, "00 00 00 00 | " SIZE " | 00*16 | 00*4",
            CXLF_CCI_EXHAUSTED);
    refused(f, MLD, 0x5604, LIST("00", "02") "00 00 00 20 01 00*3 " SIZE
            " " TAG_1 " 00*8", CXLF_CCI_EXHAUSTED);
    fabric_free(f);
}

static void test_init(void)
{
    struct cxlf_fm_ops ops = fabric_ops;
    struct cxlf_fm *fm = g_new0(struct cxlf_fm, 1);

    ops.erase = NULL;
    g_assert_false(cxlf_fm_init(fm, &ops, NULL));
    ops = fabric_ops;
    g_assert_true(cxlf_fm_init(fm, &ops, NULL));
    g_assert_cmpint(cxlf_fm_add_device(fm, 0, false, 2, 1, GIB), ==, -1);
    g_assert_cmpint(cxlf_fm_add_device(fm, 0, true, 17, 1, GIB), ==, -1);
    g_assert_cmpint(cxlf_fm_add_device(fm, 0, true, 2, 3, GIB), ==, -1);
    g_assert_cmpint(cxlf_fm_add_device(fm, 0, true, 2, 1, GIB + 1), ==, -1);
    for (unsigned i = 0; i < CXLF_FM_SWITCHES; i++) {
        g_assert_cmpint(cxlf_fm_add_switch(fm, i, 1, 0, 0), ==, i);
    }
    g_assert_cmpint(cxlf_fm_add_switch(fm, 0, 1, 0, 0), ==, -1);
    g_assert_true(cxlf_fm_add_port(fm, 0, 0, CXLF_FM_PORT_USP));
    g_assert_false(cxlf_fm_add_port(fm, 0, 0, CXLF_FM_PORT_USP));
    g_assert_false(cxlf_fm_add_port(fm, 0, 256, CXLF_FM_PORT_USP));
    g_assert_false(cxlf_fm_add_port(fm, 0, 1, CXLF_FM_PORT_BINDING));
    g_assert_false(cxlf_fm_add_port(fm, 99, 1, CXLF_FM_PORT_DSP));
    g_assert_false(cxlf_fm_add_vcs(fm, 0, 64, 0, 2, false));
    g_assert_false(cxlf_fm_add_vcs(fm, 0, 0, 0, 17, false));
    g_assert_true(cxlf_fm_add_vcs(fm, 0, 0, 0, 16, false));
    g_assert_false(cxlf_fm_add_vcs(fm, 0, 1, 0, 2, false));
    for (unsigned i = 0; i < CXLF_FM_GAES; i++) {
        g_assert_true(cxlf_fm_add_port(fm, 2, i, CXLF_FM_PORT_USP));
        g_assert_true(cxlf_fm_add_vcs(fm, 2, i, i, 2, true));
    }
    g_assert_true(cxlf_fm_add_port(fm, 3, 0, CXLF_FM_PORT_USP));
    g_assert_false(cxlf_fm_add_vcs(fm, 3, 0, 0, 2, true));
    g_assert_true(cxlf_fm_add_vcs(fm, 3, 0, 0, 2, false));
    g_assert_true(cxlf_fm_add_port(fm, 0, 1, CXLF_FM_PORT_FABRIC));
    g_assert_true(cxlf_fm_add_port(fm, 0, 2, CXLF_FM_PORT_DSP));
    g_assert_true(cxlf_fm_add_port(fm, 1, 1, CXLF_FM_PORT_FABRIC));
    g_assert_false(cxlf_fm_connect(fm, 0, 1, 0, 1));
    g_assert_false(cxlf_fm_connect(fm, 0, 2, 1, 1));
    g_assert_true(cxlf_fm_connect(fm, 0, 1, 1, 1));
    g_assert_false(cxlf_fm_connect(fm, 1, 1, 0, 1));
    g_assert_false(cxlf_fm_add_region(fm, 0, 0, GIB, 256 * MIB, 0, false));
    g_assert_false(cxlf_fm_add_region(fm, 99, 0, GIB, 256 * MIB, 0, false));
    g_assert_cmpint(cxlf_fm_add_gfd(fm, 1, 17), ==, -1);
    g_free(fm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fm/effects/bind", test_bind);
    g_test_add_func("/fm/effects/unbind", test_unbind);
    g_test_add_func("/fm/effects/bound", test_bound);
    g_test_add_func("/fm/effects/bind-pid", test_bind_pid);
    g_test_add_func("/fm/effects/place", test_place);
    g_test_add_func("/fm/effects/failures", test_failures);
    g_test_add_func("/fm/effects/allocations", test_allocations);
    g_test_add_func("/fm/effects/ownership", test_ownership);
    g_test_add_func("/fm/effects/host", test_host);
    g_test_add_func("/fm/effects/crawl", test_crawl);
    g_test_add_func("/fm/effects/fast", test_fast);
    g_test_add_func("/fm/effects/dc-add", test_dc_add);
    g_test_add_func("/fm/effects/dc-release", test_dc_release);
    g_test_add_func("/fm/effects/dc-full", test_dc_full);
    g_test_add_func("/fm/effects/init", test_init);
    return g_test_run();
}
