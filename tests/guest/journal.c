/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checks slots of a memory for the words of a seed each, then writes others
 * anew, and adds to a counter that all hosts have.  Who starts it keeps a
 * journal of what was confirmed, for tests that kill hosts: a program that
 * ended with status 0 has written what it was told to.  It meets nobody.
 */

#include "common.h"

#define MAX_SLOTS 65536

static uint64_t slot_bytes = 4096, slots = 1024, adds;
static const char *to_check = "", *to_write = "";
static uint8_t *area;
static volatile uint64_t *counter;
static uint64_t wrong_slots, wrong_words, checked, written;
static uint64_t first_slot, first_word, first_found, first_wanted;

static void check_slot(uint64_t slot, uint64_t seed)
{
    volatile uint64_t *words = (uint64_t *)(area + slot * slot_bytes);
    uint64_t wrong = 0, i;

    for (i = 0; i < slot_bytes / 8; i++) {
        uint64_t want = next_random(&seed), found = words[i];

        if (found != want) {
            if (!wrong_words++) {
                first_slot = slot;
                first_word = i;
                first_found = found;
                first_wanted = want;
            }
            wrong++;
        }
    }
    wrong_slots += !!wrong;
    checked++;
}

static void write_slot(uint64_t slot, uint64_t seed)
{
    volatile uint64_t *words = (uint64_t *)(area + slot * slot_bytes);
    uint64_t i;

    for (i = 0; i < slot_bytes / 8; i++) {
        words[i] = next_random(&seed);
    }
    written++;
}

/* Each "SLOT:SEED" of a list with commas. */
static void each(const char *list, void (*act)(uint64_t slot, uint64_t seed))
{
    const char *at = list;

    while (*at) {
        char *end;
        uint64_t slot = strtoull(at, &end, 0), seed;

        if (*end != ':' || slot >= slots) {
            die(EXIT_USAGE, "%s: accepts SLOT:SEED with commas, slots below "
                "%" PRIu64, list, slots);
        }
        seed = strtoull(end + 1, &end, 0);
        act(slot, seed);
        at = *end == ',' ? end + 1 : end;
        if (*end && *end != ',') {
            die(EXIT_USAGE, "%s: accepts SLOT:SEED with commas", list);
        }
    }
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "slot-bytes", .number = &slot_bytes, .help = "of each slot" },
        { "slots", .number = &slots, .help = "how many there are" },
        { "check", .text = &to_check, .help = "SLOT:SEED with commas" },
        { "write", .text = &to_write, .help = "SLOT:SEED with commas" },
        { "adds", .number = &adds, .help = "increments of the counter" },
        { NULL },
    };
    uint64_t i;

    parse(argc, argv, "Checks and writes slots of a memory that hosts share.",
          options);
    if (!slots || slots > MAX_SLOTS || !slot_bytes || slot_bytes % 8) {
        die(EXIT_USAGE, "--slots accepts 1 to %d, --slot-bytes multiples of "
            "8", MAX_SLOTS);
    }
    area = map_area(CONTROL_BYTES + slots * slot_bytes);
    counter = (volatile uint64_t *)area;
    area += CONTROL_BYTES;
    each(to_check, check_slot);
    each(to_write, write_slot);
    for (i = 0; i < adds; i++) {
        __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
    }
    json_begin();
    json_number("checked", checked);
    json_number("written", written);
    json_number("counter", *counter);
    json_number("wrong-slots", wrong_slots);
    json_number("wrong-words", wrong_words);
    if (wrong_words) {
        json_number("slot", first_slot);
        json_number("word", first_word);
        json_number("found", first_found);
        json_number("wanted", first_wanted);
    }
    return json_end(!wrong_words);
}
