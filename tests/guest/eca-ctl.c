/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gives a command to this host's Edge Coherence Agent, through BAR 0 of its
 * PCI function (docs/specs/dpu-eca.rst), and waits for its end.  Prints one
 * line of JSON.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BAR_SIZE    0x1000
#define PAGE        4096
#define MAGIC       0x31414345u
#define HOST        0x00c
#define GFAMS       0x01c
#define CLASSES(g)  (0x100 + 0x20 * (g))
#define FLAGS(g)    (0x114 + 0x20 * (g))
#define DPA         0x200
#define LENGTH      0x208
#define GFAM        0x210
#define COMMAND     0x214
#define STATUS      0x218
#define DONE_COUNT  0x21c
#define LONGEST     0x224
#define BUSY        5

enum { EXIT_OK = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_WAIT = 3 };

static const struct {
    const char *name;
    uint32_t number;
    bool whole;             /* a range of any length at once */
    const char *help;
} commands[] = {
    { "flush", 1, false, "write private copies back" },
    { "invalidate", 2, false, "drop private copies" },
    { "flush-invalidate", 3, false, "both" },
    { "acquire-shared", 16, false, "hold the pages, to read" },
    { "acquire-owned", 17, false, "hold the pages, to write" },
    { "release", 18, false, "give the pages and their lines up" },
    { "promote", 19, false, "track the pages by lines" },
    { "demote", 20, false, "own the pages, also those tracked by lines" },
    { "prefetch", 21, false, "ask for the pages, to read, without a wait" },
    { "reserve", 22, true, "let no other host use the range" },
    { "unreserve", 23, true, "give up this host's reserved ranges in it" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const status_name[] = {
    "done", "unknown command", "not a range of this device", "too long",
    "fabric lost", "busy", "not for all pages", "no page ownership",
    "reserved by another host", "no room for more ranges",
    "nothing reserved there",
};

static volatile uint8_t *bar;
static uint64_t timeout = 60;

static uint32_t get(unsigned offset)
{
    return *(volatile uint32_t *)(bar + offset);
}

static uint64_t get8(unsigned offset)
{
    return *(volatile uint64_t *)(bar + offset);
}

static void set8(unsigned offset, uint64_t value)
{
    *(volatile uint64_t *)(bar + offset) = value;
}

static void usage(void)
{
    printf("usage: eca-ctl COMMAND [--gfam N] [--class hot|bulk]\n"
           "               [--offset BYTES] [--length BYTES] "
           "[--timeout SECONDS]\n"
           "       eca-ctl info\n\n"
           "Gives a command to this host's Edge Coherence Agent and waits "
           "for its end.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        printf("  %-17s %s\n", commands[i].name, commands[i].help);
    }
    printf("\n"
           "  --gfam      GFAM device (default 0)\n"
           "  --class     what --offset counts in (default bulk)\n"
           "  --offset    where the range begins (default 0)\n"
           "  --length    bytes (default: to the end of the class)\n"
           "  --timeout   seconds to wait for the end (default 60)\n\n"
           "Exit status: 0 done, 1 not done, 2 usage, 3 a wait took too "
           "long.\n");
}

static void fail(int status, const char *what, const char *why)
{
    fprintf(stderr, "eca-ctl: %s: %s\n", what, why);
    exit(status);
}

static uint64_t number(const char *name, const char *word)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(word, &end, 0);
    if (errno || end == word || *end || *word == '-') {
        fail(EXIT_USAGE, name, "accepts a number");
    }
    return value;
}

static bool holds(const char *folder, const char *file, const char *value)
{
    char path[512], have[16] = "";
    FILE *in;

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    in = fopen(path, "r");
    if (in) {
        if (!fgets(have, sizeof(have), in)) {
            have[0] = '\0';
        }
        fclose(in);
    }
    return !strncmp(have, value, strlen(value));
}

/* The function decodes its BAR only when the kernel has enabled it. */
static void enable(const char *folder)
{
    char path[512];
    int fd;

    if (holds(folder, "enable", "1")) {
        return;
    }
    snprintf(path, sizeof(path), "%s/enable", folder);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        fail(EXIT_USAGE, path, strerror(errno));
    }
    close(fd);
}

static void map_bar(void)
{
    char path[512];
    const char *folder = NULL;
    glob_t found;
    void *at;
    int fd;

    if (glob("/sys/bus/pci/devices/*", 0, NULL, &found)) {
        fail(EXIT_USAGE, "/sys/bus/pci/devices", "nothing there");
    }
    for (size_t i = 0; i < found.gl_pathc && !folder; i++) {
        if (holds(found.gl_pathv[i], "vendor", "0x1b36") &&
            holds(found.gl_pathv[i], "device", "0x0eca")) {
            folder = found.gl_pathv[i];
        }
    }
    if (!folder) {
        fail(EXIT_USAGE, "dpu-eca", "this host has none");
    }
    enable(folder);
    snprintf(path, sizeof(path), "%s/resource0", folder);
    fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0) {
        fail(EXIT_USAGE, path, strerror(errno));
    }
    at = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        fail(EXIT_USAGE, path, strerror(errno));
    }
    close(fd);
    globfree(&found);
    bar = at;
    if (get(0) != MAGIC) {
        fail(EXIT_USAGE, "dpu-eca", "its BAR does not say ECA1");
    }
}

static int info(void)
{
    uint32_t gfams = get(GFAMS);

    printf("{\"host\":%" PRIu32 ",\"gfams\":[", get(HOST));
    for (uint32_t g = 0; g < gfams && g < 8; g++) {
        printf("%s{\"hot\":%" PRIu64 ",\"bulk\":%" PRIu64
               ",\"attached\":%s}", g ? "," : "", get8(CLASSES(g)),
               get8(CLASSES(g) + 8), get(FLAGS(g)) & 1 ? "true" : "false");
    }
    printf("]}\n");
    return EXIT_OK;
}

static void wait_for_end(uint64_t until)
{
    struct timespec nap = { .tv_nsec = 1000000 };

    while (get(STATUS) == BUSY) {
        if ((uint64_t)time(NULL) > until) {
            fail(EXIT_WAIT, "waited in vain for", "the end of a command");
        }
        nanosleep(&nap, NULL);
    }
}

static int give(size_t which, uint64_t gfam, uint64_t dpa, uint64_t length)
{
    uint64_t until = time(NULL) + timeout, longest = get(LONGEST), count = 0;
    uint32_t status = 0, worst = 0;

    wait_for_end(until);            /* of somebody else's */
    do {
        uint64_t piece = length, most = longest - dpa % PAGE;

        if (!commands[which].whole && piece > most) {
            piece = most;
        }
        set8(DPA, dpa);
        set8(LENGTH, piece);
        set8(GFAM, (uint64_t)commands[which].number << 32 | gfam);
        wait_for_end(until);
        status = get(STATUS);
        count += get(DONE_COUNT);
        worst = status ? status : worst;
        dpa += piece;
        length -= piece;
    } while (length && (!status || status == 6));
    printf("{\"command\":\"%s\",\"status\":%" PRIu32 ",\"text\":\"%s\","
           "\"count\":%" PRIu64 "}\n", commands[which].name, worst,
           worst < sizeof(status_name) / sizeof(status_name[0]) ?
           status_name[worst] : "?", count);
    return worst ? EXIT_WRONG : EXIT_OK;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "gfam", required_argument, NULL, 'g' },
        { "class", required_argument, NULL, 'c' },
        { "offset", required_argument, NULL, 'o' },
        { "length", required_argument, NULL, 'l' },
        { "timeout", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { 0 }
    };
    uint64_t gfam = 0, offset = 0, length = 0, hot, bulk, size;
    bool has_length = false, is_hot = false;
    size_t which = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'g':
            gfam = number("--gfam", optarg);
            break;
        case 'c':
            is_hot = !strcmp(optarg, "hot");
            if (!is_hot && strcmp(optarg, "bulk")) {
                fail(EXIT_USAGE, "--class", "accepts hot and bulk");
            }
            break;
        case 'o':
            offset = number("--offset", optarg);
            break;
        case 'l':
            length = number("--length", optarg);
            has_length = true;
            break;
        case 't':
            timeout = number("--timeout", optarg);
            break;
        case 'h':
            usage();
            return EXIT_OK;
        default:
            return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fail(EXIT_USAGE, "one command is needed", "see --help");
    }
    if (!strcmp(argv[optind], "info")) {
        map_bar();
        return info();
    }
    while (which < COMMANDS && strcmp(argv[optind], commands[which].name)) {
        which++;
    }
    if (which == COMMANDS) {
        fail(EXIT_USAGE, argv[optind], "no such command; see --help");
    }
    map_bar();
    if (gfam >= get(GFAMS)) {
        fail(EXIT_USAGE, "--gfam", "the fabric has no such device");
    }
    hot = get8(CLASSES(gfam));
    bulk = get8(CLASSES(gfam) + 8);
    size = is_hot ? hot : bulk;
    if (offset > size || (has_length && length > size - offset)) {
        fail(EXIT_USAGE, "--offset, --length", "beyond the class");
    }
    return give(which, gfam, (is_hot ? 0 : hot) + offset,
                has_length ? length : size - offset);
}
