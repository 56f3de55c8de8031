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
#include "../eca-regs.h"

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

static int show_info(const Options *options, Eca *eca, char **arguments)
{
    EcaInfo info;

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

static int show_regions(const Options *options, Eca *eca, char **arguments)
{
    EcaRegion regions[MAX_REGIONS];
    int count = eca_regions(regions, MAX_REGIONS);

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

static int show_counters(const Options *options, Eca *eca, char **arguments)
{
    EcaInfo info;
    uint64_t value;

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

/* Commands for pages */

const Command page_commands[] = {
    { "flush", "", 0, false, NULL, "write private copies back",
      ECA_COPY_FLUSH },
    { "invalidate", "", 0, false, NULL, "drop private copies",
      ECA_COPY_INVALIDATE },
    { "flush-invalidate", "", 0, false, NULL, "both",
      ECA_COPY_FLUSH | ECA_COPY_INVALIDATE },
    { "acquire-shared", "", 0, false, NULL, "hold the pages, to read",
      ECA_PAGES_SHARED },
    { "acquire-owned", "", 0, false, NULL, "hold the pages, to write",
      ECA_PAGES_OWNED },
    { "release", "", 0, false, NULL, "give the pages and their lines up",
      ECA_PAGES_RELEASE },
    { "promote", "", 0, false, NULL, "track the pages by lines",
      ECA_PAGES_PROMOTE },
    { "demote", "", 0, false, NULL, "own the pages, also those tracked by "
      "lines", ECA_PAGES_DEMOTE },
    { "prefetch", "", 0, false, NULL, "ask for the pages, to read, without a "
      "wait", ECA_PAGES_PREFETCH },
    { "reserve", "", 0, false, NULL, "let no other host use the range",
      ECA_RESERVE },
    { "unreserve", "", 0, false, NULL, "give up this host's reserved ranges "
      "in it", ECA_UNRESERVE },
    { 0 }
};

static const char *const status_names[] = {
    "done", "unknown command", "not a range of this device", "too long",
    "fabric lost", "busy", "not for all pages", "no page ownership",
    "reserved by another host", "no room for more ranges",
    "nothing reserved there",
};

#define STATUS_NAMES    (sizeof(status_names) / sizeof(status_names[0]))

int run_page_command(const Command *command, const Options *options,
                     Eca *eca)
{
    uint64_t size, first, count, length;
    uint32_t status;
    EcaInfo info;
    int error;

    eca_info(eca, &info);
    if (options->gfam >= info.gfams) {
        fprintf(stderr, "eca: --gfam %" PRIu32 ": the fabric has %" PRIu32
                "\n", options->gfam, info.gfams);
        return EXIT_USAGE;
    }
    first = options->type == ECA_CLASS_HOT ? 0 : info.gfam[options->gfam].hot;
    size = options->type == ECA_CLASS_HOT ? info.gfam[options->gfam].hot :
           info.gfam[options->gfam].bulk;
    length = options->has_length ? options->length : size - options->at;
    if (options->at > size || length > size - options->at) {
        fprintf(stderr, "eca: --at, --length: beyond the class's %" PRIu64
                " bytes\n", size);
        return EXIT_USAGE;
    }
    error = eca_command(eca, command->number, options->gfam,
                        first + options->at, length, &status, &count,
                        options->timeout_ms);
    if (error) {
        return failed(command->name, error);
    }
    printf(options->json ? "{\"command\":\"%s\",\"status\":%" PRIu32
           ",\"text\":\"%s\",\"count\":%" PRIu64 "}\n" :
           "%s: %" PRIu32 ", %s; %" PRIu64 " pages or lines\n",
           command->name, status,
           status < STATUS_NAMES ? status_names[status] : "unknown", count);
    return status ? EXIT_NOT_DONE : EXIT_DONE;
}
