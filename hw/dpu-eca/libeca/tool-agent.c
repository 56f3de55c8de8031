/*
 * eca: what it shows of the agent, the regions, and commands for pages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "tool.h"

#define MAX_REGIONS     64

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void print_alive(Eca *eca, const EcaInfo *info, bool json)
{
    const char *between = "";
    uint32_t life;

    for (uint32_t host = 0; info->life && host < info->hosts; host++) {
        if (!eca_life(eca, host, &life) && life) {
            printf(json ? "%s{\"host\":%" PRIu32 ",\"incarnation\":%" PRIu32
                   "}" : "%s%" PRIu32 " (%" PRIu32 ")", between, host, life);
            between = json ? "," : ", ";
        }
    }
}

static void info_json(Eca *eca, const EcaInfo *info)
{
    printf("{\"fabric\":%s,\"up\":%s,\"host\":%" PRIu32 ",\"hosts\":%" PRIu32
           ",\"incarnation\":%" PRIu32 ",\"life\":%s,\"epoch\":%" PRIu32
           ",\"leaves\":%" PRIu32 ",\"shards\":%" PRIu32 ",\"uuid\":\"",
           truth(info->fabric), truth(info->up), info->host, info->hosts,
           info->incarnation, truth(info->life), info->epoch, info->leaves,
           info->shards);
    for (int i = 0; i < 16; i++) {
        printf("%02x", info->uuid[i]);
    }
    printf("\",\"gfams\":[");
    for (uint32_t g = 0; g < info->gfams && g < ECA_MAX_GFAMS; g++) {
        printf("%s{\"hot\":%" PRIu64 ",\"bulk\":%" PRIu64 ",\"attached\":%s,"
               "\"software\":%s}", g ? "," : "", info->gfam[g].hot,
               info->gfam[g].bulk, truth(info->gfam[g].attached),
               truth(info->bulk_software >> g & 1));
    }
    printf("],\"alive\":[");
    print_alive(eca, info, true);
    printf("]}\n");
}

static int show_info(const Command *command, const Options *options,
                     Eca *eca, char **arguments)
{
    EcaInfo info;

    (void)command;
    (void)arguments;
    eca_info(eca, &info);
    if (options->json) {
        info_json(eca, &info);
        return EXIT_DONE;
    }
    printf("%s, %s\n", info.fabric ? "fabric" : "file",
           info.up ? "up" : "lost");
    printf("host        %" PRIu32 " of at most %" PRIu32 ", incarnation %"
           PRIu32 "\n", info.host, info.hosts, info.incarnation);
    if (info.fabric) {
        printf("deaths      %" PRIu32 " recovered\n", info.epoch);
    }
    for (uint32_t g = 0; g < info.gfams && g < ECA_MAX_GFAMS; g++) {
        printf("gfam %" PRIu32 "      HOT %" PRIu64 " MiB, BULK %" PRIu64
               " MiB%s%s\n", g, info.gfam[g].hot >> 20,
               info.gfam[g].bulk >> 20,
               info.bulk_software >> g & 1 ? ", BULK not coherent" : "",
               info.gfam[g].attached ? "" : ", not of this host");
    }
    printf("alive       ");
    print_alive(eca, &info, false);
    printf("%s\n", info.life ? "" : "not told by this agent: deaths are not "
           "noticed");
    return EXIT_DONE;
}

static int show_regions(const Command *command, const Options *options,
                        Eca *eca, char **arguments)
{
    EcaRegion regions[MAX_REGIONS];
    int count = eca_regions(regions, MAX_REGIONS);

    (void)command;
    (void)eca;
    (void)arguments;
    if (count < 0) {
        return failed("regions", count);
    }
    printf("%s", options->json ? "[" : "");
    for (int i = 0; i < count && i < MAX_REGIONS; i++) {
        const EcaRegion *region = &regions[i];
        const char *class = region->type == ECA_CLASS_HOT ? "hot" : "bulk";

        if (options->json) {
            printf("%s{\"region\":\"%s\",\"class\":\"%s\",\"device\":\"%s\","
                   "\"bytes\":%" PRIu64 ",\"dpa\":%" PRIu64 "}",
                   i ? "," : "", region->name, class, region->path,
                   region->bytes, region->dpa);
        } else {
            printf("%-10s %-5s %-14s %8" PRIu64 " MiB at DPA 0x%" PRIx64 "\n",
                   region->name, class, region->path, region->bytes >> 20,
                   region->dpa);
        }
    }
    printf("%s", options->json ? "]\n" : "");
    return EXIT_DONE;
}

static int show_counters(const Command *command, const Options *options,
                         Eca *eca, char **arguments)
{
    EcaInfo info;
    uint64_t value;

    (void)command;
    (void)arguments;
    eca_info(eca, &info);
    printf("%s", options->json ? "{" : "");
    for (uint32_t i = 0; i < info.counters && eca_counter_name(i); i++) {
        int error = eca_counter(eca, i, &value);

        if (error) {
            return failed("counters", error);
        }
        printf(options->json ? "%s\"%s\":%" PRIu64 : "%s%-18s %" PRIu64 "\n",
               i && options->json ? "," : "", eca_counter_name(i), value);
    }
    printf("%s", options->json ? "}\n" : "");
    return EXIT_DONE;
}

const Command agent_commands[] = {
    { "info", "", 0, false, show_info, "this host, the fabric, who is alive",
      0 },
    { "regions", "", 0, false, show_regions, "regions and their classes", 0 },
    { "counters", "", 0, false, show_counters, "of this host's agent", 0 },
    { 0 }
};
