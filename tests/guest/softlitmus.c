/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Litmus tests of BULK that is coherent by software, between hosts 0 and 1.
 * Data is in BULK; the hosts take turns, and tell each other of data, by
 * words in HOT, which is coherent.  Without a mode of --sync the results that
 * software mode allows are seen and counted as weak; with all of it none is.
 *
 *   mp        host 0 writes data and tells host 1, which reads it: old data
 *             is weak
 *   mp-line   data and flag in one line of BULK: a word without those that
 *             were written before it is wrong in any mode, and half of a line
 *             in software mode, where lines are copied and written back whole
 *   sb        both write a word of their own and then read the other's: both
 *             old is weak
 *   update    both increment one word by turns: a lost increment is weak
 *   one-line  by turns, each increments a word of its own in one line
 *   two-lines at once, each increments a word in a line of its own, in one
 *             page, and reads the other's in the end
 *
 * --sync none, flush (write back what was written), invalidate (before what
 * another host wrote is read) or both.
 */

#include <dirent.h>
#include <limits.h>
#include "common.h"

/* BAR 0 of dpu-eca: docs/specs/dpu-eca.rst. */
#define ECA_ID          "0x1b36"
#define ECA_DEVICE      "0x0eca"
#define ECA_HOT         0x100
#define ECA_DPA         0x200
#define ECA_LENGTH      0x208
#define ECA_GFAM        0x210
#define ECA_COMMAND     0x214
#define ECA_STATUS      0x218
#define ECA_LINES       0x21c
#define ECA_MODE        0x220
#define ECA_COUNTER     0x400
#define COPY_CONFLICT   32
enum { FLUSH = 1, INVALIDATE = 2 };

/* In HOT: whose turn it is, and how far each host is. */
typedef struct Turns {
    volatile uint64_t at[2][LINE / 8] __attribute__((aligned(LINE)));
} Turns;

/* In BULK; each in a page of its own. */
typedef struct Data {
    volatile uint64_t x __attribute__((aligned(4096)));
    volatile uint64_t y __attribute__((aligned(4096)));
    volatile uint64_t line[LINE / 8] __attribute__((aligned(4096)));
    volatile uint64_t lines[2][LINE / 8] __attribute__((aligned(4096)));
} Data;

typedef struct Result {
    uint64_t weak, wrong, checks, written;
} Result;

static uint64_t count = 200, bulk_offset;
static const char *test = "mp", *sync_by = "both", *bulk = "/dev/cxlf/bulk";
static Turns *turns;
static Data *data;
static volatile uint8_t *bar;
static uint64_t bulk_dpa;
static bool do_flush, do_invalidate;

/* The agent's registers */

static bool reads(const char *device, const char *file, const char *want)
{
    char path[PATH_MAX], text[32] = "";
    FILE *in;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, file);
    in = fopen(path, "r");
    if (!in) {
        return false;
    }
    if (!fgets(text, sizeof(text), in)) {
        text[0] = 0;
    }
    fclose(in);
    return !strncmp(text, want, strlen(want));
}

static void map_bar(void)
{
    DIR *dir = opendir("/sys/bus/pci/devices");
    char path[PATH_MAX];
    struct dirent *entry;
    int fd;

    while (dir && (entry = readdir(dir))) {
        if (!reads(entry->d_name, "vendor", ECA_ID) ||
            !reads(entry->d_name, "device", ECA_DEVICE)) {
            continue;
        }
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable",
                 entry->d_name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) != 1) {
            die(EXIT_USAGE, "%s: %s", path, strerror(errno));
        }
        close(fd);
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
                 entry->d_name);
        fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
        bar = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                         MAP_SHARED, fd, 0);
        if (bar == MAP_FAILED) {
            die(EXIT_USAGE, "%s: %s", path, strerror(errno));
        }
        close(fd);
        closedir(dir);
        return;
    }
    die(EXIT_USAGE, "this guest has no dpu-eca");
}

static volatile uint64_t *reg8(unsigned offset)
{
    return (volatile uint64_t *)(bar + offset);
}

static volatile uint32_t *reg4(unsigned offset)
{
    return (volatile uint32_t *)(bar + offset);
}

static void command(uint32_t what, const volatile void *at, uint64_t length)
{
    *reg8(ECA_DPA) = bulk_dpa + ((const volatile uint8_t *)at -
                                 (volatile uint8_t *)data);
    *reg8(ECA_LENGTH) = length;
    *reg4(ECA_GFAM) = 0;
    *reg4(ECA_COMMAND) = what;
    if (*reg4(ECA_STATUS)) {
        die(EXIT_WRONG, "command %u at %" PRIx64 ": status %u", what,
            *reg8(ECA_DPA), *reg4(ECA_STATUS));
    }
}

static bool software_mode(void)
{
    return *reg4(ECA_MODE) & 1;
}

/* What correct software does. */
static void write_back(const volatile void *at, uint64_t length,
                       Result *result)
{
    if (do_flush) {
        command(FLUSH, at, length);
        result->written += *reg4(ECA_LINES);
    }
}

static void make_fresh(const volatile void *at, uint64_t length)
{
    if (do_invalidate) {
        command(INVALIDATE, at, length);
    }
}

/* Turns */

static void arrive(uint64_t step)
{
    __atomic_store_n(&turns->at[common.host][0], step, __ATOMIC_SEQ_CST);
}

static void await(uint64_t step)
{
    Wait wait = { 0 };

    while (__atomic_load_n(&turns->at[!common.host][0], __ATOMIC_SEQ_CST)
           < step) {
        wait_more(&wait, "the other host at step", step);
    }
}

static void meet(uint64_t step)
{
    arrive(step);
    await(step);
}

/* The tests */

static void message_passing(Result *result)
{
    for (uint64_t i = 1; i <= count; i++) {
        if (common.host == 0) {
            data->x = i;
            write_back(&data->x, 8, result);
            arrive(i);
            await(i);
        } else {
            await(i);
            make_fresh(&data->x, 8);
            result->checks++;
            result->weak += data->x != i;
            result->wrong += data->x > i;
            arrive(i);
        }
    }
}

/*
 * Read the line from its end, while the other host may write it from its
 * start: no word is older than one that was written after it.  Returns the
 * first word.
 */
static uint64_t read_line(bool whole, Result *result)
{
    uint64_t after = data->line[LINE / 8 - 1];

    for (unsigned n = LINE / 8 - 1; n-- > 0; ) {
        uint64_t word = data->line[n];

        result->wrong += whole ? word != after : word < after;
        after = word;
    }
    return after;
}

static void message_in_line(Result *result)
{
    bool whole = software_mode();
    uint64_t last = 0, limit = count * 20;

    if (common.host == 0) {
        for (uint64_t i = 1; i <= count; i++) {
            data->line[0] = i;
            for (unsigned n = 1; n < LINE / 8; n++) {
                data->line[n] = i;
            }
            write_back(data->line, LINE, result);
        }
        arrive(1);
        await(1);
        return;
    }
    while (limit-- && last < count) {
        uint64_t flag;

        make_fresh(data->line, LINE);
        flag = read_line(whole, result);
        result->wrong += flag < last;
        result->checks++;
        last = flag;
        if (turns->at[0][0]) {
            make_fresh(data->line, LINE);
            last = data->line[0];
            break;
        }
    }
    await(1);
    make_fresh(data->line, LINE);
    result->weak += data->line[0] != count;
    arrive(1);
}

static void store_buffering(Result *result)
{
    volatile uint64_t *mine = common.host ? &data->y : &data->x;
    volatile uint64_t *other = common.host ? &data->x : &data->y;
    uint64_t step = 0, read;

    for (uint64_t i = 1; i <= count; i++) {
        meet(++step);
        *mine = i;
        write_back(mine, 8, result);
        make_fresh(other, 8);
        read = *other;
        result->wrong += read > i;
        tell(1, read >= i);
        meet(++step);
        result->checks++;
        result->weak += common.host == 0 && read < i && !told(1, 1);
        meet(++step);
    }
}

/* Host 0 has the odd steps, host 1 the even ones. */
static void by_turns(volatile uint64_t *word, Result *result)
{
    for (uint64_t i = 1; i <= count; i++) {
        if (common.host == 1 || i > 1) {
            await(common.host ? i : i - 1);
        }
        make_fresh(word, 8);
        *word = *word + 1;
        write_back(word, 8, result);
        result->checks++;
        arrive(i);
    }
    await(count);
    make_fresh(word, 8);
}

static void update(Result *result)
{
    by_turns(&data->x, result);
    result->weak += data->x != 2 * count;
    result->wrong += data->x > 2 * count;
}

static void one_line(Result *result)
{
    by_turns(&data->line[common.host], result);
    for (unsigned n = 0; n < 2; n++) {
        result->weak += data->line[n] != count;
    }
}

static void two_lines(Result *result)
{
    volatile uint64_t *mine = &data->lines[common.host][0];

    meet(1);
    for (uint64_t i = 1; i <= count; i++) {
        /* Nobody else writes to it, so nothing has to be invalidated. */
        result->wrong += *mine != i - 1;
        *mine = i;
        write_back(mine, 8, result);
        result->checks++;
    }
    meet(2);
    make_fresh(data->lines[!common.host], 8);
    result->weak += data->lines[!common.host][0] != count;
}

static void run_test(Result *result)
{
    static const struct {
        const char *name;
        void (*run)(Result *result);
    } tests[] = {
        { "mp", message_passing }, { "mp-line", message_in_line },
        { "sb", store_buffering }, { "update", update },
        { "one-line", one_line }, { "two-lines", two_lines },
    };

    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (!strcmp(test, tests[i].name)) {
            if (common.host < 2) {
                tests[i].run(result);
            }
            return;
        }
    }
    die(EXIT_USAGE, "--test %s: accepts mp, mp-line, sb, update, one-line or "
        "two-lines", test);
}

/* Nobody has a copy, and the home is zero. */
static void clear(void)
{
    if (common.host == 0) {
        memset(turns, 0, sizeof(*turns));
        command(INVALIDATE, data, sizeof(*data));
        memset(data, 0, sizeof(*data));
        command(FLUSH | INVALIDATE, data, sizeof(*data));
    }
    rendezvous("cleared");
    command(INVALIDATE, data, sizeof(*data));
    rendezvous("invalidated");
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "test", .text = &test, .help = "mp, mp-line, sb, update, one-line "
          "or two-lines" },
        { "sync", .text = &sync_by, .help = "none, flush, invalidate or "
          "both" },
        { "count", .number = &count, .help = "iterations" },
        { "bulk", .text = &bulk, .help = "the dax device of BULK" },
        { "bulk-offset", .number = &bulk_offset, .help = "where to work" },
        { NULL },
    };
    Result result = { 0 };
    uint64_t before, conflicts, weak, wrong;

    parse(argc, argv, "Litmus tests of memory that is coherent by software.",
          options);
    do_flush = !strcmp(sync_by, "flush") || !strcmp(sync_by, "both");
    do_invalidate = !strcmp(sync_by, "invalidate") ||
                    !strcmp(sync_by, "both");
    if (!do_flush && !do_invalidate && strcmp(sync_by, "none")) {
        die(EXIT_USAGE, "--sync %s: accepts none, flush, invalidate or both",
            sync_by);
    }
    if (common.hosts < 2 || !count || bulk_offset % 4096) {
        die(EXIT_USAGE, "--hosts accepts 2 and more, --count 1 and more, "
            "--bulk-offset multiples of 4096");
    }
    map_bar();
    turns = (Turns *)map_area(sizeof(Turns));
    data = (Data *)(map_device(bulk, bulk_offset + sizeof(Data)) +
                    bulk_offset);
    bulk_dpa = *reg8(ECA_HOT) + bulk_offset;
    rendezvous("mapped");
    clear();
    before = *reg8(ECA_COUNTER + 8 * COPY_CONFLICT);
    run_test(&result);
    if (!do_flush) {
        usleep(300000);     /* so long a line may be dirty, and more */
    }
    conflicts = *reg8(ECA_COUNTER + 8 * COPY_CONFLICT) - before;
    tell(0, result.weak);
    tell(2, result.wrong);
    rendezvous("done");
    weak = told_sum(0);
    wrong = told_sum(2);
    command(INVALIDATE, data, sizeof(*data));
    json_begin();
    json_text("test", test);
    json_text("sync", sync_by);
    json_number("software", software_mode());
    json_number("count", count);
    json_number("checks", result.checks);
    json_number("written", result.written);
    json_number("weak", weak);
    json_number("wrong", wrong);
    json_number("conflicts", conflicts);
    rendezvous("checked");
    return json_end(!wrong && !(weak && do_flush && do_invalidate));
}
