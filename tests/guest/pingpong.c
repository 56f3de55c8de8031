/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hosts write one block of memory in turn, so that its ownership goes from
 * each to the next.  Whose turn it is says a word in another memory (the
 * line that --dev has for it), so that a block moves exactly once a turn;
 * with --inside the word is the block's own first one, and what is timed is
 * a line, or a page, that one host writes and the next polls.
 *
 * A page is entered by one locked increment, which returns how often it was
 * passed: what a host finds there is checked, and no read goes before it.
 */

#include "common.h"
#include "quartiles.h"

#define PAGE 4096
#define MAX_COUNT (1 << 20)

static uint64_t count = 1000, bytes = PAGE, block_offset;
static const char *block_dev = "/dev/cxlf/bulk";
static bool inside, fill;
static volatile uint64_t *turn;
static uint8_t *block;
static uint64_t *first, *whole;         /* ns of each turn */

static uint64_t enter(uint8_t *page)
{
    return __atomic_fetch_add((uint64_t *)page, 1, __ATOMIC_SEQ_CST);
}

/* Returns how many pages did not hold what the last turn left. */
static uint64_t take_block(uint64_t number)
{
    uint64_t wrong = enter(block) != number, at, i;

    first[number / common.hosts] = now_ns();
    for (at = 0; at < bytes; at += PAGE) {
        uint64_t end = at + PAGE < bytes ? at + PAGE : bytes;

        if (at) {
            wrong += enter(block + at) != number;
        }
        for (i = at + 8; fill && i < end; i += 8) {
            *(volatile uint64_t *)(block + i) = number;
        }
    }
    return wrong;
}

/* Without a nap, which would be most of what is timed. */
static void await_turn(volatile uint64_t *word, uint64_t number)
{
    uint64_t limit = 0, tries;

    for (tries = 1; *word != number; tries++) {
        if (tries % 256) {
            __builtin_ia32_pause();
            continue;
        }
        sched_yield();
        if (!limit) {
            limit = now_ns() + common.timeout * 1000000000ull;
        } else if (now_ns() > limit) {
            die(EXIT_WAIT, "waited %" PRIu64 " s for turn %" PRIu64,
                common.timeout, number);
        }
    }
}

static uint64_t pass(void)
{
    uint64_t number, wrong = 0, start, i;

    for (i = 0; i < count; i++) {
        number = i * common.hosts + common.host;
        await_turn(inside ? (uint64_t *)block : turn, number);
        start = now_ns();
        if (inside) {
            *(volatile uint64_t *)block = number + 1;
            first[i] = now_ns();
        } else {
            wrong += take_block(number);
        }
        whole[i] = now_ns() - start;
        first[i] -= start;
        if (!inside) {
            *turn = number + 1;
        }
    }
    return wrong;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "block", .text = &block_dev, .help = "device of the block" },
        { "block-offset", .number = &block_offset,
          .help = "where the block begins" },
        { "bytes", .number = &bytes, .help = "of the block" },
        { "count", .number = &count, .help = "turns of each host" },
        { "fill", .flag = &fill, .help = "write all of the block, not a "
          "word of each page" },
        { "inside", .flag = &inside, .help = "the turn is the block's first "
          "word" },
        { NULL },
    };
    uint64_t wrong, start, took, at;

    parse(argc, argv, "Hosts write a block of memory in turn.", options);
    if (!count || count > MAX_COUNT || bytes < LINE || bytes % 8 ||
        block_offset % LINE) {
        die(EXIT_USAGE, "--count accepts 1 to 2^20, --bytes multiples of 8 "
            "from %d, --block-offset multiples of %d", LINE, LINE);
    }
    turn = (volatile uint64_t *)map_area(LINE);
    block = map_device(block_dev, block_offset + bytes) + block_offset;
    first = calloc(count, sizeof(*first));
    whole = calloc(count, sizeof(*whole));
    if (!first || !whole) {
        die(EXIT_USAGE, "no memory for --count %" PRIu64, count);
    }
    rendezvous("mapped");
    if (common.host == 0) {
        *turn = 0;
        for (at = 0; at < bytes; at += PAGE) {
            *(volatile uint64_t *)(block + at) = 0;
        }
    }
    rendezvous("cleared");
    start = now_ns();
    wrong = pass();
    took = now_ns() - start;
    tell(0, wrong);
    rendezvous("passed");
    wrong = told_sum(0);
    json_begin();
    json_number("bytes", bytes);
    json_number("transfers", count * common.hosts);
    json_number("ns", took);
    json_number("wrong", wrong);
    json_quartiles("first-access-ns", first, count);
    json_quartiles("block-ns", whole, count);
    rendezvous("checked");
    return json_end(!wrong);
}
