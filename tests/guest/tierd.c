/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Decides which pages of BULK are tracked by lines.  It reads the hot list
 * of the device's CHMU, which for mapped pages tells those that hosts take
 * from each other, and what the kernel's DAMON sees of this host's own
 * accesses.  A page that stays in the hot list is promoted; one that has
 * left it, and that DAMON does not see in use, is demoted.  The agent makes
 * the changes, and refuses what is beyond the host's quota.
 *
 * DAMON sees pages that the kernel manages: BULK as ordinary memory, but not
 * BULK through a dax device.
 */

#include <dirent.h>
#include "common.h"

#define PAGE            4096
#define PAGE_SHIFT      12
#define MAX_PAGES       4096
#define MAX_REGIONS     4096
#define CONFIG_SIZE     4096
/* Epochs between looks at DAMON, which take one of its own. */
#define DAMON_EVERY     5

/* CHMU: offsets of the block, and of its instance */
#define CHMU_BLOCK      5
#define CHMU_SIZE       0x10000
#define INSTANCE        0x10
#define CAP3            0x18
#define CONF0           0x40
#define CONF1           0x48
#define STATUS          0x60
#define HEAD            0x68
#define TAIL            0x6a
#define BITMAP          0x70
#define CAP0_LIST(cap0) ((unsigned)((cap0) >> 48))
#define BOTH            3ull
#define ENABLE          (1ull << 16)
#define RESET           (1ull << 17)
#define ENABLED         1ull
#define OPERATION       0xffff0000ull
#define OVERFLOWED      (1ull << 40)
#define MS_SCALE        2ull

/* The agent's registers */
#define ECA_ID          0x0eca1b36
#define ECA_GFAM_HOT    0x100
#define ECA_GFAM_BULK   0x108
#define ECA_STRIDE      0x20
#define COMMAND_DPA     0x200
#define COMMAND_LENGTH  0x208
#define COMMAND_GFAM    0x210
#define COMMAND         0x214
#define COMMAND_STATUS  0x218
#define PROMOTE         19
#define DEMOTE          20
#define DONE            0
#define UNKNOWN         1
#define BUSY            5

#define PCI             "/sys/bus/pci/devices"
#define KDAMONDS        "/sys/kernel/mm/damon/admin/kdamonds"
#define KDAMOND         KDAMONDS "/0"
#define CONTEXT         KDAMOND "/contexts/0"
#define SCHEME          CONTEXT "/schemes/0"

typedef struct Page {
    uint64_t dpa;
    uint64_t seen;          /* the last epoch in which it was hot */
    uint64_t count;         /* in it */
    unsigned warm;          /* epochs in a row */
    bool promoted, refused;
} Page;

typedef struct Region {
    uint64_t start, end, accesses;
} Region;

static uint64_t gfam, seconds = 10, epoch_ms = 100, threshold = 8, warm = 2;
static uint64_t cold = 10, quota = 64, sampling;
static const char *damon_mode = "auto";
static bool hot_list;

static volatile uint8_t *chmu, *eca;
static uint64_t hot_bytes, bulk_bytes, bulk_hpa;
static unsigned list_size, list_at, width;
static Page pages[MAX_PAGES];
static unsigned page_count, promoted;
static Region regions[MAX_REGIONS];
static unsigned region_count;
static bool damon, commands = true;
static uint64_t epochs, listed, overflows, promotions, demotions, refusals;
static uint64_t damon_accesses, hottest;

static volatile uint64_t *reg8(unsigned at)
{
    return (volatile uint64_t *)(chmu + INSTANCE + at);
}

static volatile uint16_t *reg2(unsigned at)
{
    return (volatile uint16_t *)(chmu + INSTANCE + at);
}

/* Files */

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) ==
              (ssize_t)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool write_number(const char *path, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    return write_text(path, text);
}

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static uint64_t read_number(const char *path)
{
    char text[64];

    return read_text(path, text, sizeof(text)) ? strtoull(text, NULL, 0) : 0;
}

/* Devices */

static volatile uint8_t *map_bar(const char *name, unsigned bar, size_t size)
{
    char path[300];
    void *at;
    int fd;

    snprintf(path, sizeof(path), PCI "/%s/enable", name);
    if (!read_number(path) && !write_text(path, "1")) {
        die(EXIT_USAGE, "%s: %s", path, strerror(errno));
    }
    snprintf(path, sizeof(path), PCI "/%s/resource%u", name, bar);
    fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    at = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                    MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        die(EXIT_USAGE, "%s: %s", path, strerror(errno));
    }
    close(fd);
    return at;
}

static uint32_t at4(const uint8_t *config, unsigned at)
{
    uint32_t value;

    memcpy(&value, config + at, sizeof(value));
    return value;
}

/* The Register Locator's entry for a CHMU, or 0. */
static uint32_t find_block(const uint8_t *config)
{
    unsigned at = 0x100, limit, i;

    for (limit = 0; at >= 0x100 && at < CONFIG_SIZE - 16 && limit < 64;
         limit++) {
        uint32_t header = at4(config, at), vendor = at4(config, at + 4);
        unsigned end = at + (vendor >> 20);

        if ((header & 0xffff) == 0x23 && (vendor & 0xffff) == 0x1e98 &&
            (at4(config, at + 8) & 0xffff) == 8) {
            for (i = at + 12; i + 8 <= end && end <= CONFIG_SIZE; i += 8) {
                if ((at4(config, i) >> 8 & 0xff) == CHMU_BLOCK) {
                    return at4(config, i);
                }
            }
        }
        at = header >> 20;
    }
    return 0;
}

/* GFAM devices are in the order of their PCI addresses. */
static void find_devices(void)
{
    struct dirent **names;
    uint8_t config[CONFIG_SIZE];
    char path[300];
    int count = scandir(PCI, &names, NULL, alphasort), i;
    uint64_t number = 0;

    for (i = 0; i < count; i++) {
        uint32_t block;
        int fd;

        snprintf(path, sizeof(path), PCI "/%s/config", names[i]->d_name);
        memset(config, 0, sizeof(config));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, config, sizeof(config)) < 64) {
            continue;
        }
        close(fd);
        if (at4(config, 0) == ECA_ID) {
            eca = map_bar(names[i]->d_name, 0, PAGE);
            continue;
        }
        block = find_block(config);
        if (block && number++ == gfam) {
            chmu = map_bar(names[i]->d_name, block & 7, CHMU_SIZE) +
                   (block & 0xffff0000);
        }
    }
    if (!chmu) {
        die(EXIT_USAGE, "--gfam %" PRIu64 ": no such device has a CHMU",
            gfam);
    }
    if (!eca) {
        die(EXIT_USAGE, "this guest has no dpu-eca");
    }
    hot_bytes = *(volatile uint64_t *)(eca + ECA_GFAM_HOT +
                                       gfam * ECA_STRIDE);
    bulk_bytes = *(volatile uint64_t *)(eca + ECA_GFAM_BULK +
                                        gfam * ECA_STRIDE);
}

/* CHMU */

static void operate(uint64_t conf0)
{
    Wait wait = { 0 };

    *reg8(CONF0) = conf0;
    while (*reg8(STATUS) & OPERATION) {
        wait_more(&wait, "the CHMU, operation", conf0);
    }
}

static void start_chmu(void)
{
    uint64_t range, ranges = (hot_bytes + bulk_bytes) >> 28;

    operate(0);
    operate(RESET);
    list_size = CAP0_LIST(*reg8(0));
    list_at = *reg8(CAP3);
    for (range = 0; range < ranges; range += 64) {
        *reg8(BITMAP + range / 8) = ~0ull;
    }
    *reg8(CONF1) = PAGE_SHIFT | sampling << 32 | MS_SCALE << 48 |
                   epoch_ms << 52;
    operate(BOTH | threshold << 32 | ENABLE);
    if (!(*reg8(STATUS) & ENABLED)) {
        die(EXIT_USAGE, "the CHMU refuses this configuration");
    }
    width = *reg8(STATUS) >> 32 & 0xff;
}

/* DAMON */

static bool find_bulk(void)
{
    char path[300], text[4096], name[64], region[64];
    char *line = text;

    if (!read_text("/run/cxlf.regions", text, sizeof(text))) {
        return false;
    }
    for (; line && *line; line = strchr(line, '\n'), line += !!line) {
        char want[16] = "bulk";

        if (gfam) {
            snprintf(want, sizeof(want), "bulk%u", (unsigned)gfam);
        }
        if (sscanf(line, "%63s %63s", name, region) == 2 &&
            !strcmp(name, want)) {
            snprintf(path, sizeof(path), "/sys/bus/cxl/devices/%s/resource",
                     region);
            bulk_hpa = read_number(path);
            return bulk_hpa != 0;
        }
    }
    return false;
}

static const char *start_damon(void)
{
    static const char *const any[] = { "sz", "nr_accesses", "age" };
    char path[300];
    unsigned i;

    if (!strcmp(damon_mode, "off")) {
        return "off";
    }
    if (access(KDAMONDS, W_OK)) {
        return "absent";
    }
    if (!bulk_bytes || !find_bulk()) {
        return "no-bulk";
    }
    write_text(KDAMOND "/state", "off");
    if (!write_text(KDAMONDS "/nr_kdamonds", "1") ||
        !write_text(KDAMOND "/contexts/nr_contexts", "1") ||
        !write_text(CONTEXT "/operations", "paddr")) {
        return "absent";
    }
    write_number(CONTEXT "/monitoring_attrs/intervals/sample_us", 5000);
    write_number(CONTEXT "/monitoring_attrs/intervals/aggr_us",
                 epoch_ms * 1000);
    write_text(CONTEXT "/targets/nr_targets", "1");
    write_text(CONTEXT "/targets/0/regions/nr_regions", "1");
    write_number(CONTEXT "/targets/0/regions/0/start", bulk_hpa);
    write_number(CONTEXT "/targets/0/regions/0/end", bulk_hpa + bulk_bytes);
    write_text(CONTEXT "/schemes/nr_schemes", "1");
    write_text(SCHEME "/action", "stat");
    for (i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
        snprintf(path, sizeof(path), SCHEME "/access_pattern/%s/max", any[i]);
        write_number(path, i == 0 ? 1ull << 60 : UINT32_MAX);
    }
    write_text(SCHEME "/access_pattern/nr_accesses/min", "1");
    damon = write_text(KDAMOND "/state", "on");
    return damon ? "paddr" : "refused";
}

static void read_damon(void)
{
    char path[300];

    if (!damon || epochs % DAMON_EVERY) {
        return;
    }
    region_count = 0;
    if (!write_text(KDAMOND "/state",
                              "update_schemes_tried_regions")) {
        return;
    }
    while (region_count < MAX_REGIONS) {
        Region *r = &regions[region_count];

        snprintf(path, sizeof(path), SCHEME "/tried_regions/%u/start",
                 region_count);
        r->start = read_number(path);
        if (!r->start) {
            break;
        }
        snprintf(path, sizeof(path), SCHEME "/tried_regions/%u/end",
                 region_count);
        r->end = read_number(path);
        snprintf(path, sizeof(path), SCHEME "/tried_regions/%u/nr_accesses",
                 region_count);
        r->accesses = read_number(path);
        damon_accesses += r->accesses;
        region_count++;
    }
}

static bool damon_sees(uint64_t dpa)
{
    uint64_t hpa = bulk_hpa + dpa - hot_bytes;
    unsigned i;

    for (i = 0; i < region_count; i++) {
        if (hpa >= regions[i].start && hpa < regions[i].end) {
            return regions[i].accesses;
        }
    }
    return false;
}

/* Pages */

static Page *page_of(uint64_t dpa)
{
    unsigned i;

    for (i = 0; i < page_count; i++) {
        if (pages[i].dpa == dpa) {
            return &pages[i];
        }
    }
    if (page_count == MAX_PAGES) {
        return NULL;
    }
    pages[page_count] = (Page) { .dpa = dpa };
    return &pages[page_count++];
}

static void read_hot_list(void)
{
    unsigned head = *reg2(HEAD), tail = *reg2(TAIL);

    for (; head != tail; head = (head + 1) % list_size) {
        uint64_t entry = *reg8(list_at + head * 8);
        uint64_t dpa = (entry >> width) << PAGE_SHIFT;
        uint64_t count = entry & ((1ull << width) - 1);
        Page *page;

        listed++;
        if (hot_list) {
            printf("epoch %" PRIu64 " dpa 0x%" PRIx64 " count %" PRIu64 "\n",
                   epochs, dpa, count);
        }
        page = dpa >= hot_bytes ? page_of(dpa) : NULL;
        if (!page) {
            continue;
        }
        page->warm = page->seen + 1 == epochs ? page->warm + 1 : 1;
        page->seen = epochs;
        page->count = count;
        hottest = count > hottest ? count : hottest;
    }
    *reg2(HEAD) = head;
    if (*reg8(STATUS) & OVERFLOWED) {
        overflows++;
        *reg8(STATUS) = OVERFLOWED;
    }
}

static bool command(uint32_t what, uint64_t dpa)
{
    volatile uint32_t *status = (volatile uint32_t *)(eca + COMMAND_STATUS);
    Wait wait = { 0 };

    *(volatile uint64_t *)(eca + COMMAND_DPA) = dpa;
    *(volatile uint64_t *)(eca + COMMAND_LENGTH) = PAGE;
    *(volatile uint32_t *)(eca + COMMAND_GFAM) = gfam;
    *(volatile uint32_t *)(eca + COMMAND) = what;
    while (*status == BUSY) {
        wait_more(&wait, "the agent, command", what);
    }
    if (*status == UNKNOWN) {
        commands = false;       /* of an agent that has none */
    }
    return *status == DONE;
}

static void decide(Page *page)
{
    bool is_hot = page->seen == epochs;

    if (hot_list || !commands) {
        return;
    }
    if (!page->promoted && is_hot && page->warm >= warm &&
        !page->refused && promoted < quota) {
        page->promoted = command(PROMOTE, page->dpa);
        page->refused = !page->promoted && commands;
        refusals += page->refused;
        promotions += page->promoted;
        promoted += page->promoted;
    } else if (page->promoted && epochs - page->seen >= cold &&
               !damon_sees(page->dpa) && command(DEMOTE, page->dpa)) {
        page->promoted = false;
        demotions++;
        promoted--;
        /* There is room again. */
        for (unsigned i = 0; i < page_count; i++) {
            pages[i].refused = false;
        }
    }
}

static void pass_epoch(void)
{
    struct timespec nap = {
        .tv_sec = epoch_ms / 1000, .tv_nsec = epoch_ms % 1000 * 1000000,
    };
    unsigned i;

    nanosleep(&nap, NULL);
    epochs++;
    read_hot_list();
    read_damon();
    for (i = 0; i < page_count; i++) {
        decide(&pages[i]);
    }
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "gfam", .number = &gfam, .help = "number of the GFAM device" },
        { "seconds", .number = &seconds, .help = "how long it works" },
        { "epoch", .number = &epoch_ms, .help = "ms, 1 to 4095" },
        { "threshold", .number = &threshold, .help = "counts in an epoch "
          "that make a page hot" },
        { "warm", .number = &warm, .help = "hot epochs in a row until it is "
          "promoted" },
        { "cold", .number = &cold, .help = "epochs without until it is "
          "demoted" },
        { "quota", .number = &quota, .help = "pages that are promoted at a "
          "time" },
        { "sampling", .number = &sampling, .help = "down-sampling of the "
          "CHMU: n of 2^n" },
        { "damon", .text = &damon_mode, .help = "auto or off" },
        { "hot-list", .flag = &hot_list, .help = "print the hot list, and "
          "change nothing" },
        { NULL },
    };
    const char *how;
    uint64_t limit;

    parse(argc, argv, "Promotes pages of BULK that hosts contend for, and "
          "demotes them when they do not any more.", options);
    if (epoch_ms < 1 || epoch_ms > 4095 || !warm || !cold ||
        (strcmp(damon_mode, "auto") && strcmp(damon_mode, "off"))) {
        die(EXIT_USAGE, "--epoch accepts 1 to 4095, --warm and --cold 1 and "
            "more, --damon auto or off");
    }
    find_devices();
    how = start_damon();
    if (!damon && strcmp(how, "off")) {
        fprintf(stderr, "tierd: DAMON is %s; going on with the hot list "
                "alone\n", how);
    }
    start_chmu();
    limit = now_ns() + seconds * 1000000000ull;
    while (now_ns() < limit) {
        pass_epoch();
    }
    operate(0);
    if (damon) {
        write_text(KDAMOND "/state", "off");
    }
    json_begin();
    json_number("epochs", epochs);
    json_number("listed", listed);
    json_number("overflows", overflows);
    json_number("pages", page_count);
    json_number("hottest", hottest);
    json_number("promoted", promotions);
    json_number("refused", refusals);
    json_number("demoted", demotions);
    json_text("commands", commands ? "yes" : "no");
    json_text("damon", how);
    json_number("damon-accesses", damon_accesses);
    return json_end(true);
}
