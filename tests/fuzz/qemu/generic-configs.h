/*
 * What QEMU's generic device fuzzer does with our devices
 *
 * Entries of predefined_configs in tests/qtest/fuzz/generic_fuzz_configs.h,
 * which includes this behind the brace of its first: so each begins another.
 * The fuzzer enumerates bus 0 alone, so the devices are there.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .name = "dpu-eca",
        .args = "-machine q35 -nodefaults "
        "-object cxl-fabric,id=fabric0,hosts=2,leaves=1,shards=1,"
        "line-entries=128 "
        "-device dpu-eca,fabric=fabric0",
        .objects = "dpu-eca*",
    },{
        .name = "cxl-gfam",
        .args = "-machine q35,cxl=on -nodefaults "
        "-object cxl-fabric,id=fabric0,hosts=2,leaves=1,shards=1,"
        "line-entries=128 "
        "-device dpu-eca,id=eca0,fabric=fabric0 "
        "-device cxl-gfam,eca=eca0",
        .objects = "cxl-gfam*",
    },{
        .name = "cxl-pbr",
        .args = "-machine q35,cxl=on -nodefaults "
        "-device cxl-pbr-upstream,id=us0,bus=pcie.0 "
        "-device cxl-pbr-downstream,bus=pcie.0,port=1,chassis=0,slot=2",
        .objects = "cxl-pbr*",
    },{
