/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each host sends messages of random size to the next one, and receives
 * from the one before it: with two hosts, both ways at once.  The payload
 * goes through one device and the flags through another (or the same).  The
 * receiver checks the checksum that came with a message and every word
 * against the sequence that the sender's seed gives.
 */

#include "common.h"

#define CHANNEL 4096

/* Written by the sender, but for `taken`, each on a line of its own. */
typedef struct Channel {
    volatile uint64_t sent __attribute__((aligned(LINE)));
    volatile uint64_t bytes, sum;
    volatile uint64_t taken __attribute__((aligned(LINE)));
} Channel;

static uint64_t count = 200, max_bytes = 65536, seed = 1;
static const char *payload_dev = "/dev/cxlf/bulk";
static uint64_t payload_offset;
static uint8_t *flags, *payload;
static uint64_t volume;

static uint64_t tag(uint64_t n)
{
    return common.run << 32 | n;
}

/* The bytes of message n of a host, and the state for its words. */
static uint64_t shape(uint64_t host, uint64_t n, uint64_t *state)
{
    *state = seed * 0x9e3779b97f4a7c15ull + (host << 40) + n + 1;
    return 8 + next_random(state) % (max_bytes / 8) * 8;
}

static Channel *channel(uint64_t host)
{
    return (Channel *)(flags + host * CHANNEL);
}

static volatile uint64_t *words(uint64_t host)
{
    return (volatile uint64_t *)(payload + host * max_bytes);
}

static void send_message(uint64_t n)
{
    Channel *to = channel(common.host);
    volatile uint64_t *data = words(common.host);
    uint64_t state, bytes = shape(common.host, n, &state), i;
    Wait wait = { 0 };

    while (to->taken != tag(n - 1)) {
        wait_more(&wait, "the receiver to take message", n - 1);
    }
    for (i = 0; i < bytes / 8; i++) {
        data[i] = next_random(&state);
    }
    to->bytes = bytes;
    to->sum = checksum(data, bytes);
    /* x86 keeps stores in order; the compiler is told to. */
    __asm__ volatile("" : : : "memory");
    to->sent = tag(n);
    volume += bytes;
}

/* Returns how many of the checks of message n failed. */
static uint64_t receive_message(uint64_t from, uint64_t n)
{
    Channel *channel_in = channel(from);
    volatile uint64_t *data = words(from);
    uint64_t state, bytes = shape(from, n, &state), wrong = 0, i;
    Wait wait = { 0 };

    while (channel_in->sent != tag(n)) {
        wait_more(&wait, "message", n);
    }
    __asm__ volatile("" : : : "memory");
    wrong += channel_in->bytes != bytes;
    wrong += channel_in->sum != checksum(data, bytes);
    for (i = 0; i < bytes / 8; i++) {
        wrong += data[i] != next_random(&state);
    }
    __asm__ volatile("" : : : "memory");
    channel_in->taken = tag(n);
    return wrong;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "payload", .text = &payload_dev, .help = "device of the payload; "
          "the flags are in --dev" },
        { "payload-offset", .number = &payload_offset,
          .help = "where the payload begins" },
        { "count", .number = &count, .help = "messages of each host" },
        { "max-bytes", .number = &max_bytes, .help = "largest message" },
        { "seed", .number = &seed, .help = "of sizes and contents" },
        { NULL },
    };
    uint64_t from, n, wrong = 0, start, took;

    parse(argc, argv, "Passes messages with checksums around all hosts.",
          options);
    if (max_bytes < 16 || max_bytes % 8 || payload_offset % LINE) {
        die(EXIT_USAGE, "--max-bytes accepts multiples of 8 from 16, and "
            "--payload-offset multiples of %d", LINE);
    }
    flags = map_area(MAX_HOSTS * CHANNEL);
    if (!strcmp(payload_dev, common.dev)) {
        payload_offset += common.offset + CONTROL_BYTES
            + MAX_HOSTS * CHANNEL;
    }
    payload = map_device(payload_dev, payload_offset
                         + common.hosts * max_bytes) + payload_offset;
    from = (common.host + common.hosts - 1) % common.hosts;
    channel(common.host)->sent = tag(0);
    channel(from)->taken = tag(0);
    rendezvous("cleared");
    start = now_ns();
    for (n = 1; n <= count; n++) {
        send_message(n);
        wrong += receive_message(from, n);
    }
    took = now_ns() - start;
    tell(0, wrong);
    rendezvous("passed");
    wrong = told_sum(0);
    json_begin();
    json_text("payload", payload_dev);
    json_number("messages", count);
    json_number("bytes", volume);
    json_number("wrong", wrong);
    json_number("ns", took);
    rendezvous("checked");
    return json_end(!wrong);
}
