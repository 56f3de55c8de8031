/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checks the CXL regions that /init made, through libcxl: how many there
 * are, their sizes, that they are committed, and that each memory device's
 * DPA space holds HOT at 0 and BULK right behind it.  Prints one line of
 * JSON; exits 1 and says what is off if something is.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cxl/libcxl.h>

#define MAX_FAULTS 16

static char faults[MAX_FAULTS][160];
static unsigned nr_faults;

static const char usage[] =
    "usage: check-regions --hot BYTES --bulk BYTES [--memdevs N]\n"
    "\n"
    "Checks that every CXL memory device has one region of --hot bytes at\n"
    "DPA 0 and one of --bulk bytes right behind it (0: no such region).\n"
    "Exit status: 0 as expected, 1 something is off, 2 usage.\n";

#define FAULT(...)                                                       \
    do {                                                                 \
        if (nr_faults < MAX_FAULTS) {                                    \
            snprintf(faults[nr_faults++], sizeof(faults[0]), __VA_ARGS__); \
        }                                                                \
    } while (0)

/* The kernel's own word on whether a region's decoders are committed. */
static bool is_committed(struct cxl_region *region)
{
    char path[128], value = '0';
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/cxl/devices/%s/commit",
             cxl_region_get_devname(region));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (read(fd, &value, 1) != 1) {
        value = '0';
    }
    close(fd);
    return value == '1';
}

static const char *class_of(uint64_t dpa, uint64_t size, uint64_t hot,
                            uint64_t bulk)
{
    if (hot && dpa == 0 && size == hot) {
        return "hot";
    }
    if (bulk && dpa == hot && size == bulk) {
        return "bulk";
    }
    return NULL;
}

static void check_region(struct cxl_region *region, uint64_t hot,
                         uint64_t bulk, bool first)
{
    const char *name = cxl_region_get_devname(region);
    uint64_t size = cxl_region_get_size(region);
    struct cxl_decoder *decoder = cxl_region_get_target_decoder(region, 0);
    uint64_t dpa = decoder ? cxl_decoder_get_dpa_resource(decoder) : ~0ull;
    uint64_t dpa_size = decoder ? cxl_decoder_get_dpa_size(decoder) : 0;
    struct cxl_memdev *memdev = decoder ? cxl_decoder_get_memdev(decoder)
                                        : NULL;
    const char *kind = class_of(dpa, size, hot, bulk);
    bool committed = is_committed(region);

    printf("%s{\"region\":\"%s\",\"memdev\":\"%s\",\"base\":%" PRIu64
           ",\"size\":%" PRIu64 ",\"dpa\":%" PRIu64 ",\"dpa-size\":%" PRIu64
           ",\"class\":\"%s\",\"committed\":%s}", first ? "" : ",", name,
           memdev ? cxl_memdev_get_devname(memdev) : "",
           (uint64_t)cxl_region_get_resource(region), size, dpa, dpa_size,
           kind ? kind : "", committed ? "true" : "false");

    if (!kind) {
        FAULT("%s: DPA %#" PRIx64 " size %#" PRIx64 " is neither HOT "
              "(0, %#" PRIx64 ") nor BULK (%#" PRIx64 ", %#" PRIx64 ")",
              name, dpa, size, hot, hot, bulk);
    }
    if (dpa_size != size) {
        FAULT("%s: %#" PRIx64 " bytes of DPA behind %#" PRIx64 " bytes",
              name, dpa_size, size);
    }
    if (!committed) {
        FAULT("%s is not committed", name);
    }
    if (!cxl_region_is_enabled(region)) {
        FAULT("%s is not enabled", name);
    }
}

static unsigned check_all(struct cxl_ctx *ctx, uint64_t hot, uint64_t bulk)
{
    struct cxl_bus *bus;
    struct cxl_decoder *decoder;
    struct cxl_region *region;
    unsigned count = 0;

    cxl_bus_foreach(ctx, bus) {
        cxl_decoder_foreach(cxl_bus_get_port(bus), decoder) {
            cxl_region_foreach(decoder, region) {
                check_region(region, hot, bulk, count == 0);
                count++;
            }
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "hot", required_argument, NULL, 'h' },
        { "bulk", required_argument, NULL, 'b' },
        { "memdevs", required_argument, NULL, 'm' },
        { "help", no_argument, NULL, '?' },
        { NULL, 0, NULL, 0 },
    };
    uint64_t hot = 0, bulk = 0;
    unsigned memdevs = 1, want, count, i;
    struct cxl_ctx *ctx;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'h':
            hot = strtoull(optarg, NULL, 0);
            break;
        case 'b':
            bulk = strtoull(optarg, NULL, 0);
            break;
        case 'm':
            memdevs = strtoul(optarg, NULL, 0);
            break;
        default:
            fputs(usage, stdout);
            return optopt ? 2 : 0;
        }
    }
    if (cxl_new(&ctx)) {
        fprintf(stderr, "libcxl cannot start: %s\n", strerror(errno));
        return 1;
    }
    printf("{\"program\":\"check-regions\",\"regions\":[");
    count = check_all(ctx, hot, bulk);
    want = memdevs * (!!hot + !!bulk);
    if (count != want) {
        FAULT("%u regions, not %u", count, want);
    }
    printf("],\"faults\":[");
    for (i = 0; i < nr_faults; i++) {
        printf("%s\"%s\"", i ? "," : "", faults[i]);
    }
    printf("],\"ok\":%s}\n", nr_faults ? "false" : "true");
    cxl_unref(ctx);
    return nr_faults ? 1 : 0;
}
