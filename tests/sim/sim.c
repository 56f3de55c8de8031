/*
 * One run: memory, the loop over events, and the end
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "sim.h"

#define CHECK_AGES 8192         /* events between looks at ages */

static const uint8_t uuid[16] = "cxlf-simulation";

void sim_post(Sim *s, uint64_t delay, unsigned type, unsigned host,
              uint64_t arg)
{
    Event e = {
        .time = s->now + delay, .host = host, .type = type,
        .life = s->host[host].incarnation, .arg = arg,
    };

    if (!queue_put(&s->queue, e)) {
        sim_fail(s, 0, "memory of the queue", "more than %u events",
                 s->queue.size);
    }
}

uint64_t sim_about(Sim *s, uint64_t mean)
{
    return mean / 2 + 1 + rng_below(&s->rng, mean + 1);
}

uint32_t sim_page_at(const Sim *s, uint32_t gfam, uint64_t dpa)
{
    uint64_t hot = s->t.gfam[0].hot;

    return dpa < hot ? dpa / CXLF_PAGE * s->t.gfams + gfam :
        s->o.hot_pages + (dpa - hot) / CXLF_PAGE * s->t.gfams + gfam;
}

void sim_topology(const Options *o, struct cxlf_topology *t)
{
    *t = (struct cxlf_topology) {
        .hosts = o->hosts, .leaves = o->leaves, .shards = o->shards,
        .gfams = o->gfams, .grain = o->grain,
        .line_entries = o->line_entries,
        .ways = o->line_entries ? o->ways : 0, .tiers = o->tiers,
    };
    for (uint32_t i = 0; i < t->gfams; i++) {
        t->gfam[i] = (struct cxlf_gfam) {
            .hot = CXLF_CAPACITY_UNIT,
            .bulk = o->bulk_pages ? CXLF_CAPACITY_UNIT : 0,
            .leaf = i % o->leaves,
        };
    }
    for (uint32_t i = 0; i < t->hosts; i++) {
        t->host_leaf[i] = i % o->leaves;
    }
}

static bool init_topology(Sim *s, const char **why)
{
    sim_topology(&s->o, &s->t);
    if (s->o.topology) {
        ways_shape(&s->t);
    }
    return cxlf_topology_check(&s->t, why);
}

static bool init_leaves(Sim *s, const char **why)
{
    static const uint64_t none[64];

    s->d.topology = s->t;
    s->leaf_size = cxlf_leaf_size(&s->t);
    for (uint32_t i = 0; i < s->t.leaves; i++) {
        void *at = mmap(NULL, s->leaf_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (at == MAP_FAILED) {
            *why = "not enough memory for the leaves";
            return false;
        }
        s->leaf_memory[i] = at;
        cxlf_leaf_format(at, &s->t, i, uuid);
        if (!cxlf_leaf_attach(&s->d, at, s->leaf_size, i, uuid, why)) {
            return false;
        }
        s->leaf_up[i] = cxlf_leaf_resume(&s->d, i, none);
    }
    return true;
}

static void init_places(Sim *s)
{
    for (uint32_t page = 0; page < s->pages; page++) {
        bool hot = page < s->o.hot_pages;
        uint32_t n = hot ? page : page - s->o.hot_pages;
        Place *at = &s->place[page];
        struct cxlf_home home = { 0 };

        at->gfam = n % s->t.gfams;
        at->dpa = (uint64_t)(n / s->t.gfams) * CXLF_PAGE +
                  (hot ? 0 : s->t.gfam[0].hot);
        cxlf_topology_home(&s->t, CXLF_PAGE_UNIT, at->gfam, at->dpa, &home);
        at->page_leaf = at->line_leaf = home.leaf;
        at->page_shard = at->line_shard = home.shard;
        if (cxlf_topology_home(&s->t, CXLF_LINE_UNIT, at->gfam, at->dpa,
                               &home)) {
            at->line_leaf = home.leaf;
            at->line_shard = home.shard;
        }
        s->truth.page[page].by_lines = hot;
    }
}

static bool init_hosts(Sim *s)
{
    s->host = calloc(s->o.hosts, sizeof(Host));
    for (unsigned i = 0; s->host && i < s->o.hosts; i++) {
        Host *h = &s->host[i];

        h->sim = s;
        h->number = i;
        h->leaf = s->t.host_leaf[i];
        h->cached = malloc(s->o.cache * sizeof(*h->cached));
        h->log_memory = malloc(cxlf_log_size(s->o.log_slots));
        if (!h->cached || !h->log_memory) {
            return false;
        }
    }
    return s->host;
}

static bool init(Sim *s, const Options *o, const char **why)
{
    *why = "not enough memory";
    s->o = *o;
    rng_seed(&s->rng, o->seed);
    s->drop = rng_chance(o->drop);
    s->dup = rng_chance(o->dup);
    s->delay = rng_chance(o->delay);
    s->evict = rng_chance(o->evict);
    s->demote = rng_chance(o->demote);
    s->split = rng_chance(o->split);
    s->bulk = rng_chance(o->bulk);
    s->stray = rng_chance(o->stray);
    s->pages = o->hot_pages + o->bulk_pages;
    s->lines_per_unit = o->grain / CXLF_LINE;
    s->units_per_page = CXLF_PAGE / o->grain;
    s->line_pages = o->tiers && o->line_entries;
    s->history = malloc(HISTORY * sizeof(*s->history));
    s->place = calloc(s->pages, sizeof(*s->place));
    if (!s->history || !s->place || !truth_init(s) ||
        !network_init(s, why) ||
        !workload_init(s) || !queue_init(&s->queue, o->hosts * 64 + 65536) ||
        !init_topology(s, why) || !init_leaves(s, why) || !init_hosts(s)) {
        return false;
    }
    init_places(s);
    return true;
}

/* Keeps what the next run can use again. */
void sim_free(Sim *s)
{
    Queue queue = s->queue;
    uint32_t *zipf = s->zipf;

    for (unsigned i = 0; i < CXLF_MAX_LEAVES; i++) {
        if (s->leaf_memory[i]) {
            munmap(s->leaf_memory[i], s->leaf_size);
        }
    }
    for (unsigned i = 0; s->host && i < s->o.hosts; i++) {
        free(s->host[i].cached);
        free(s->host[i].log_memory);
    }
    truth_free(&s->truth);
    free(s->host);
    free(s->place);
    free(s->history);
    free(s->host_link);
    free(s->leaf_link);
    free(s->home_busy);
    free(s->link);
    memset(s, 0, sizeof(*s));
    s->queue = queue;
    s->zipf = zipf;
}

/* Events of the fabric's owner, which no host's death prevents */
static bool is_owners(unsigned type)
{
    return type >= EV_RECOVER;
}

static void handle(Sim *s, const Event *e)
{
    Host *h = &s->host[e->host];

    switch (e->type) {
    case EV_CPU:
        cpu_event(s, h);
        break;
    case EV_HOME:
        line_home(s, h);
        break;
    case EV_LINE_STEP:
        line_step(s, h);
        break;
    case EV_REQUEST:
        page_request(s, h, e->arg);
        break;
    case EV_MAIL:
        page_mail(s, h, e->arg);
        break;
    case EV_AGAIN:
        page_again(s, h, e->arg);
        break;
    case EV_ANSWER:
        page_answer(s, h);
        break;
    case EV_CLEAR:
        cpu_clear(s, h);
        break;
    case EV_RECOVER:
        host_recover(s, h);
        break;
    case EV_REJOIN:
        host_rejoin(s, h);
        break;
    case EV_LEAF_RETURN:
        leaf_return(s, e->arg);
        break;
    default:
        leaf_rebuild(s, h, e->arg);
        break;
    }
}

static void show_progress(const Sim *s, const struct timespec *start)
{
    struct timespec now;
    double seconds;

    clock_gettime(CLOCK_MONOTONIC, &now);
    seconds = now.tv_sec - start->tv_sec +
              (now.tv_nsec - start->tv_nsec) / 1e9;
    fprintf(stderr, "%.0f%%: %.1f million accesses, %.1f million events, "
            "%.2f million a second, %.3f ms simulated, %lu crashes, %lu MiB"
            "\n", 100.0 * s->issued / s->o.ops, s->issued / 1e6,
            s->stats.events / 1e6, s->stats.events / seconds / 1e6,
            s->now / 1e6, s->stats.crashes, report_peak_memory() >> 20);
}

static void loop(Sim *s)
{
    struct timespec start, last, now;
    uint64_t next_check = s->o.check_every, ages = 0;
    Event e;

    clock_gettime(CLOCK_MONOTONIC, &start);
    last = start;
    while (queue_take(&s->queue, &e)) {
        s->now = e.time;
        if (!is_owners(e.type) && e.life != s->host[e.host].incarnation) {
            continue;
        }
        s->stats.events++;
        handle(s, &e);
        if (!s->stopped_at && s->issued >= s->o.ops) {
            s->stopped_at = s->now;
        }
        if (s->o.check_every && s->stats.events >= next_check) {
            next_check = s->stats.events + s->o.check_every;
            check_all(s, false);
        }
        if (++ages % CHECK_AGES == 0) {
            check_ages(s);
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (!s->o.quiet && now.tv_sec - last.tv_sec >= 2) {
                last = now;
                show_progress(s, &start);
            }
        }
    }
}

bool sim_run(Sim *s, const Options *o)
{
    const char *why;

    if (!init(s, o, &why)) {
        fprintf(stderr, "cxlf-sim: seed %lu: %s\n", o->seed, why);
        snprintf(s->why, sizeof(s->why), "not started");
        return false;
    }
    if (setjmp(s->failed)) {
        return false;
    }
    for (unsigned i = 0; i < o->hosts; i++) {
        host_start(s, &s->host[i]);
        sim_post(s, rng_below(&s->rng, o->think_ns + 100), EV_CPU, i, 0);
    }
    faults_init(s);
    loop(s);
    s->stats.drained_ns = s->now - s->stopped_at;
    check_all(s, true);
    check_counters(s);
    if (s->o.stray > 0 && s->o.crash_leaves && s->pages <= 64) {
        stray_logs(s);
    }
    return true;
}
