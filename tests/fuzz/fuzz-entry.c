/*
 * Fuzz: a directory as a wild peer may leave it, and events on its units
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz-directory.h"

enum { WRITE_LINE, WRITE_PAGE, WRITE_LIVE, GIVE_UP, ON_LINE, ON_PAGE, ACCESS,
       OPS };

/* Lines that are used lie in UNITS pages, and there are some in each. */
static uint64_t line_address(unsigned n)
{
    return n % UNITS * (directory.topology.line_entries ? CXLF_PAGE :
                        cxlf_topology_grain(&directory.topology)) +
           n / UNITS % 2 * CXLF_LINE;
}

static bool is_result(enum cxlf_result r)
{
    return r == CXLF_OK || r == CXLF_AGAIN || r == CXLF_CORRUPT ||
           r == CXLF_POISONED || r == CXLF_WITHHELD || r == CXLF_BY_PAGE;
}

/* What was done is legal, whatever was there before. */
static void check_move(enum cxlf_kind kind, unsigned host,
                       enum cxlf_event event, const struct cxlf_move *m)
{
    unsigned hosts = directory.topology.hosts;

    MUST(cxlf_line_valid(kind, hosts, m->after));
    if (kind == CXLF_LINE_UNIT && event <= CXLF_STORE) {
        MUST(cxlf_set_has(m->after.holders, host, hosts));
        MUST(event == CXLF_LOAD || m->after.state == CXLF_E ||
             m->after.state == CXLF_M);
    }
}

static void raise_line(unsigned n, unsigned host, enum cxlf_event event)
{
    struct cxlf_move m;
    enum cxlf_result r = cxlf_line_event(&directory, host, 0,
                                         line_address(n), event, &m);
    struct cxlf_line line;

    MUST(is_result(r));
    if (r == CXLF_OK) {
        check_move(CXLF_LINE_UNIT, host, event, &m);
        if (!directory.topology.line_entries) {
            MUST(cxlf_peek(&directory, CXLF_LINE_UNIT, 0, line_address(n),
                           &line));
            MUST(!memcmp(&line, &m.after, sizeof(line)));
        }
    }
}

static void raise_page(unsigned n, unsigned host, enum cxlf_event event)
{
    uint64_t dpa = n % UNITS * CXLF_PAGE;
    struct cxlf_line line;
    struct cxlf_move m;
    enum cxlf_result r = cxlf_page_event(&directory, host, 0, dpa, event,
                                         &m);

    MUST(is_result(r) || (r == CXLF_REFUSED && event == CXLF_PROMOTE));
    if (r == CXLF_OK) {
        check_move(CXLF_PAGE_UNIT, host, event, &m);
        MUST(cxlf_peek(&directory, CXLF_PAGE_UNIT, 0, dpa, &line));
        MUST(!memcmp(&line, &m.after, sizeof(line)));
    }
}

static void give_up(unsigned n, unsigned host)
{
    static const enum cxlf_event events[] = {
        CXLF_EVICT, CXLF_DEATH, CXLF_LOSS
    };
    enum cxlf_event event = events[n % 3];
    uint64_t modified, held = cxlf_give_up(&directory, host, event,
                                           &modified);

    MUST(modified <= held && held <= FINITE + UNITS);
    if (event != CXLF_EVICT) {
        MUST(inside[host].count[0] == 0 && inside[host].count[1] == 0);
    }
}

static void write_live(unsigned n, unsigned host, uint8_t value)
{
    switch (n % 4) {
    case 0:
        live.epoch = value < 128 ? value : UINT64_MAX - (value - 128);
        break;
    case 1:
        live.state = value % 8 ? CXLF_LEAF_UP : value / 8;
        break;
    default:
        inside[host].count[n & 1] = value < 128 ? value : UINT32_MAX;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    make_directory(data[0]);
    /* No more than is written, so that giving up is quick. */
    directory.entries[CXLF_LINE_UNIT] = FINITE;
    for (size_t i = 1; i + 2 < size;) {
        unsigned op = data[i] % OPS, n = data[i] / OPS;
        unsigned host = data[i + 1] % directory.topology.hosts;
        uint8_t value = data[i + 2];
        enum cxlf_event event = value % CXLF_EVENTS;

        i += 3;
        if (op <= WRITE_PAGE && i + 16 <= size) {
            write_entry(n, data + i, op == WRITE_PAGE, value & 1);
            i += 16;
        } else if (op == WRITE_LIVE) {
            write_live(n, host, value);
        } else if (op == GIVE_UP) {
            give_up(n, host);
        } else if (op == ON_LINE) {
            raise_line(n, host, event);
        } else if (op == ON_PAGE) {
            raise_page(n, host, event);
        } else if (op == ACCESS) {
            MUST(is_result(cxlf_access(&directory, host, 0, line_address(n),
                                       event)));
        }
    }
    return 0;
}
