/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A leaf that fails and returns, under mapped holders of one page; written
 * from "Failure of a leaf" of docs/protocol-messages.md alone.
 *
 * Each host logs what it has mapped. A leaf that has failed returns with new,
 * empty memory, and the hosts rebuild its entries from their logs. A host may
 * go on with the old memory until it attaches to the new: so an access that
 * was under way is never told to stop, and can come at any later time. After
 * each change of the log, and before what the change is for, a host looks
 * whether it has attached meanwhile (the steps called check).
 *
 * Messages are hints, so any may arrive at any time.
 *
 * HOSTS    2 or 3
 * CRASHES  how many hosts may die
 * FAILS    how often the leaf may fail, also while it is rebuilt
 * REJOIN   a recovered host comes back
 * DATA     cached values are modelled
 * LOSS     what a dead host may have modified is poisoned, also when its entry
 *          was lost, and stays so when the leaf fails; nobody clears it
 * DRAIN    from any state on, vCPUs stand still and the leaf stays: then it
 *          must come up and all transients end, in a bounded number of steps
 */
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef FAILS
#define FAILS 1
#endif

#define B(h) (1 << (h))
#define NOWHERE 255

mtype = { I, S, E, P, S_E, E_E, E_S, S_I, E_I };
mtype = { idle, zap, drop_log, check_i, answer_i,           /* BISnpInv */
          protect, lower_log, check_s, answer_s,            /* BISnpData */
          raise_log, check_map, install,                    /* a grant */
          zap_own, drop_own, check_evict, raise_evict };    /* eviction */
mtype = { UP, GONE, REBUILDING };

/* The entry, in the leaf's memory of each incarnation. */
#define MEM(i) (i)
mtype st[FAILS + 1] = I;
byte req[FAILS + 1];
byte set[FAILS + 1];

/* The leaf, as the fabric's owner publishes it. */
mtype leaf = UP;
byte cur;                   /* its incarnation */
byte was_up = 1;            /* incarnations that have been up */
byte fails;

/* The hosts: 0 nothing, 1 read-only or S, 2 writable or E. */
byte map[HOSTS];
byte log[HOSTS];
mtype ag[HOSTS] = idle;     /* the agent's thread */
mtype vc[HOSTS] = idle;     /* the vCPU's (or fault's) */
byte want[HOSTS];           /* what the fault has seen that it may map */
byte at[HOSTS];             /* the incarnation that the host has attached */
byte agi[HOSTS], vci[HOSTS];    /* the ones that the threads looked at */
byte reb[HOSTS];            /* rebuilding: 1 has read its log, 2 raised, 3 */
byte redo[HOSTS];           /* what it has read there */
byte dead, known, crashes;
bit drain;
#ifdef DRAIN
byte steps;
#define LIMIT 80
#endif

#ifdef DATA
bit mem, last;
bit val[HOSTS];
#define fill(h) if :: map[h] == 0 -> val[h] = mem :: else fi
#define give(h) if :: map[h] == 2 -> mem = val[h] :: else fi
#define lose(h) if :: map[h] == 2 -> last = mem :: else fi; val[h] = 0
#define forget(h) val[h] = 0
#else
#define fill(h) skip
#define give(h) skip
#define lose(h) skip
#define forget(h) skip
#endif

#ifdef LOSS
bit lost;                   /* somebody died with a writable mapping */
bit kept;                   /* the owner's own log: the page is poisoned */
#endif

#define up(h) (!(dead & B(h)))
#define runs(h) (up(h) && !drain)
#define locked(h) (ag[h] != idle || vc[h] != idle)
#define has(i, h) (set[i] & B(h))
#define trans(i) (st[i] == S_E || st[i] == E_E || st[i] == E_S || \
                  st[i] == S_I || st[i] == E_I)
#define mine MEM(at[h])
/* Something is under way that has looked at an earlier incarnation. */
#define LATE(h) ((ag[h] != idle && agi[h] != at[h]) || \
                 (vc[h] != idle && vci[h] != at[h] && vci[h] != NOWHERE))
/* Accesses are withheld from an incarnation that was never up. */
#define may(h) (was_up & B(at[h]))
#ifdef DRAIN
/* The requester's agent, while it lives, posts again. */
#define mail(h) (!drain || (trans(mine) && has(mine, h) && up(req[mine])))
#else
#define mail(h) true
#endif

hidden byte single_writer, data_value, covered, legal_entry, defined_cell,
    no_conflict, no_orphan, recovery, poison, responses_flow, quiescence;

inline become(i, s, q, c)
{
    set[i] = c; req[i] = q; st[i] = s
}

inline leave(i, h)
{
    set[i] = set[i] & ~B(h);
    if
    :: set[i] == 0 -> become(i, I, 0, 0)
    :: else
    fi
}

inline ev_load(i, h)
{
    if
    :: st[i] == I -> become(i, S, 0, B(h))
    :: st[i] == S -> set[i] = set[i] | B(h)
    :: st[i] == E && !has(i, h) -> st[i] = E_S; req[i] = h
    :: else
    fi
}

inline ev_own(i, h)
{
    if
    :: st[i] == I -> become(i, E, 0, B(h))
    :: st[i] == S && set[i] == B(h) -> st[i] = E
    :: st[i] == S && set[i] != B(h) -> become(i, S_E, h, set[i] & ~B(h))
    :: st[i] == E && !has(i, h) -> st[i] = E_E; req[i] = h
    :: else
    fi
}

inline ev_recall(i, h)
{
    if
    :: st[i] == S -> st[i] = S_I; req[i] = h
    :: st[i] == E -> st[i] = E_I; req[i] = h
    :: else
    fi
}

inline ev_rsp_i(i, h)
{
    if
    :: (st[i] == S || st[i] == S_I || st[i] == E_I) && has(i, h) ->
        leave(i, h)
    :: st[i] == E && has(i, h) -> become(i, I, 0, 0)
    :: st[i] == S_E && has(i, h) ->
        set[i] = set[i] & ~B(h);
        if
        :: set[i] == 0 -> become(i, E, 0, B(req[i]))
        :: else
        fi
    :: st[i] == E_E && has(i, h) -> become(i, E, 0, B(req[i]))
    :: st[i] == E_S && has(i, h) -> become(i, S, 0, B(req[i]))
    :: else
    fi
}

inline ev_rsp_s(i, h)
{
    if
    :: st[i] == E && has(i, h) -> st[i] = S
    :: st[i] == E_S && has(i, h) -> become(i, S, 0, set[i] | B(req[i]))
    :: else
    fi
}

inline ev_evict(i, h)
{
    if
    :: st[i] == S_E && req[i] == h -> become(i, S, 0, set[i])
    :: else ->
        defined_cell = has(i, h); assert(defined_cell);
        ev_rsp_i(i, h)
    fi
}

inline ev_death(i, h)
{
    if
    :: trans(i) && req[i] == h ->
        if
        :: st[i] == S_E -> become(i, S, 0, set[i])
        :: st[i] == E_E || st[i] == E_S -> become(i, E, 0, set[i])
        :: st[i] == S_I -> become(i, S, 0, set[i]); leave(i, h)
        :: st[i] == E_I -> become(i, E, 0, set[i]); lose_owned(i, h)
        fi
    :: else -> lose_owned(i, h)
    fi
}

/* Death, or Loss, of one who is not the requester. */
inline lose_owned(i, h)
{
    if
#ifdef LOSS
    :: has(i, h) && (st[i] == E || st[i] == E_E || st[i] == E_S ||
                     st[i] == E_I) -> become(i, P, 0, 0); kept = 1
#endif
    :: else -> ev_rsp_i(i, h)
    fi
}

inline ev_rebuild(i, h, level)
{
    if
    :: level == 0
    :: level == 1 ->
        no_conflict = st[i] == I || st[i] == S || st[i] == P;
        assert(no_conflict);
        if
        :: st[i] == P
        :: else -> become(i, S, 0, set[i] | B(h))
        fi
    :: level == 2 ->
        no_conflict = st[i] == I; assert(no_conflict);
        become(i, E, 0, B(h))
    fi
}

#ifdef DRAIN
#define step(h) \
    if \
    :: drain -> steps++; responses_flow = steps < LIMIT; \
        assert(responses_flow) \
    :: else \
    fi
#else
#define step(h) skip
#endif

proctype Host(byte h)
{
end:
    do
    /* The vCPU's requests; the page is poisoned, or they are withheld. */
    :: atomic { runs(h) && vc[h] == idle && may(h) -> ev_load(mine, h) }
    :: atomic { runs(h) && vc[h] == idle && may(h) -> ev_own(mine, h) }
    :: atomic { runs(h) && vc[h] == idle && may(h) -> ev_recall(mine, h) }

    /* The agent looks. */
    :: atomic { up(h) && may(h) && !locked(h) && mail(h) ->
        agi[h] = at[h];
        if
        :: has(mine, h) && (st[mine] == S_E || st[mine] == E_E ||
                            st[mine] == S_I || st[mine] == E_I) ->
            ag[h] = zap
        :: has(mine, h) && st[mine] == E_S -> ag[h] = protect
        :: has(mine, h) && st[mine] == E_S -> ag[h] = zap
        :: else -> agi[h] = 0
        fi;
        step(h) }
    :: atomic { up(h) && ag[h] == zap ->
        give(h); forget(h); map[h] = 0; ag[h] = drop_log; step(h) }
    :: atomic { up(h) && ag[h] == drop_log ->
        log[h] = 0; ag[h] = check_i; step(h) }
    :: atomic { up(h) && ag[h] == check_i ->
        ag[h] = (agi[h] == at[h] -> answer_i : idle);
        agi[h] = (ag[h] == idle -> 0 : agi[h]); step(h) }
    :: atomic { up(h) && ag[h] == answer_i ->
        ev_rsp_i(MEM(agi[h]), h); ag[h] = idle; agi[h] = 0; step(h) }
    :: atomic { up(h) && ag[h] == protect ->
        give(h); map[h] = (map[h] > 1 -> 1 : map[h]); ag[h] = lower_log;
        step(h) }
    :: atomic { up(h) && ag[h] == lower_log ->
        log[h] = (log[h] > 1 -> 1 : log[h]); ag[h] = check_s; step(h) }
    :: atomic { up(h) && ag[h] == check_s ->
        ag[h] = (agi[h] == at[h] -> answer_s : idle);
        agi[h] = (ag[h] == idle -> 0 : agi[h]); step(h) }
    :: atomic { up(h) && ag[h] == answer_s ->
        ev_rsp_s(MEM(agi[h]), h); ag[h] = idle; agi[h] = 0; step(h) }

    /* The fault looks, logs, checks, maps. */
    :: atomic { runs(h) && may(h) && !locked(h) && has(mine, h) &&
                (st[mine] == S || st[mine] == E) ->
        vci[h] = at[h]; want[h] = (st[mine] == E -> 2 : 1);
        vc[h] = raise_log }
    :: atomic { up(h) && vc[h] == raise_log ->
        log[h] = (log[h] < want[h] -> want[h] : log[h]); vc[h] = check_map;
        step(h) }
    :: atomic { up(h) && vc[h] == check_map ->
        if
        :: vci[h] == at[h] -> vc[h] = install
        :: else -> log[h] = map[h]; vc[h] = idle; vci[h] = 0; want[h] = 0
        fi;
        step(h) }
    :: atomic { up(h) && vc[h] == install ->
        fill(h);
        map[h] = (map[h] < want[h] -> want[h] : map[h]);
        vc[h] = idle; vci[h] = 0; want[h] = 0; step(h) }

    /* It gives the page up, also while the leaf is gone. */
    :: atomic { runs(h) && !locked(h) &&
                (map[h] || has(mine, h) ||
                 (st[mine] == S_E && req[mine] == h)) ->
        vci[h] = (may(h) -> at[h] : NOWHERE); vc[h] = zap_own }
    :: atomic { up(h) && vc[h] == zap_own ->
        give(h); forget(h); map[h] = 0; vc[h] = drop_own; step(h) }
    :: atomic { up(h) && vc[h] == drop_own ->
        log[h] = 0; vc[h] = check_evict; step(h) }
    /* Begun before the leaf was up: it is over, and the bit, if any, stays. */
    :: atomic { up(h) && vc[h] == check_evict ->
        vc[h] = (vci[h] == at[h] -> raise_evict : idle);
        vci[h] = (vc[h] == idle -> 0 : vci[h]); step(h) }
    :: atomic { up(h) && vc[h] == raise_evict ->
        ev_evict(MEM(vci[h]), h); vc[h] = idle; vci[h] = 0; step(h) }

#ifdef DATA
    :: atomic { runs(h) && map[h] == 2 -> val[h] = !val[h]; last = val[h] }
    :: atomic { runs(h) && map[h] && val[h] != last ->
        data_value = 0; assert(data_value) }
#endif

    /* The leaf has returned. */
    :: atomic { up(h) && leaf == REBUILDING && at[h] != cur ->
        at[h] = cur; reb[h] = 0; step(h) }
    :: atomic { up(h) && leaf == REBUILDING && at[h] == cur && reb[h] == 0 ->
        redo[h] = log[h]; reb[h] = 1; step(h) }
    :: atomic { up(h) && reb[h] == 1 ->
        ev_rebuild(mine, h, redo[h]); redo[h] = 0; reb[h] = 2; step(h) }
    /* Done when what began before has ended: it may have logged since. */
    :: atomic { up(h) && reb[h] == 2 && !LATE(h) -> reb[h] = 3; step(h) }
    od
}

/* The fabric's owner waits for the hosts that are not known to be dead. */
#define READY(h) ((known & B(h)) || (at[h] == cur && reb[h] == 3))
#if HOSTS == 2
#define ALL_READY (READY(0) && READY(1))
#else
#define ALL_READY (READY(0) && READY(1) && READY(2))
#endif
/* The lowest host that is dead and not recovered. */
#define LOWEST ((dead & ~known & 1) -> 0 : ((dead & ~known & 2) -> 1 : 2))

/* No live host uses the first incarnation's memory. */
#define A0(h) ((dead & B(h)) || (at[h] != 0 && \
               (agi[h] != 0 || ag[h] == idle) && \
               (vci[h] != 0 || vc[h] == idle)))
#if HOSTS == 2
#define OLD_UNUSED (MEM(cur) != 0 && A0(0) && A0(1))
#else
#define OLD_UNUSED (MEM(cur) != 0 && A0(0) && A0(1) && A0(2))
#endif

proctype Owner()
{
    byte h;

end:
    do
    :: atomic { fails < FAILS && leaf != GONE && !drain ->
        fails++; cur++; leaf = GONE }
    :: atomic { leaf == GONE ->
        become(MEM(cur), I, 0, 0); leaf = REBUILDING; step(0) }
#ifdef LOSS
       ;
       atomic {
        if
        :: kept -> become(MEM(cur), P, 0, 0)
        :: else
        fi }
#endif
    :: atomic { leaf == REBUILDING && ALL_READY ->
        leaf = UP; was_up = was_up | B(cur); step(0) }
#if CRASHES
    :: atomic { crashes < CRASHES && !drain ->
        crashes++;
        select (h : 0 .. HOSTS - 1);
        if
        :: up(h) ->
            dead = dead | B(h);
#ifdef LOSS
            lost = lost || map[h] == 2;
#endif
            lose(h);
            map[h] = 0; ag[h] = idle; vc[h] = idle; want[h] = 0;
            agi[h] = 0; vci[h] = 0; reb[h] = 0; redo[h] = 0
        :: else
        fi;
        h = 0 }
    :: atomic { dead & ~known ->
        h = LOWEST;
        if
        :: leaf != GONE -> ev_death(MEM(cur), h)
        :: else
        fi;
#ifdef LOSS
        /* What it has not rebuilt, its log tells. */
        if
        :: leaf != UP && log[h] == 2 ->
            kept = 1;
            if
            :: leaf == REBUILDING -> become(MEM(cur), P, 0, 0)
            :: else
            fi
        :: else
        fi;
#endif
        log[h] = 0;
        known = known | B(h);
        step(0);
        h = 0 }
#ifdef REJOIN
    /* It comes back with an empty log, and has nothing to rebuild. */
    :: atomic { known && leaf != GONE ->
        h = ((known & 1) -> 0 : ((known & 2) -> 1 : 2));
        known = known & ~B(h); dead = dead & ~B(h);
        log[h] = 0; at[h] = cur; reb[h] = 3;
        h = 0 }
#endif
#endif
    /* Old memory that nobody is attached to is the same as none. */
    :: d_step { OLD_UNUSED && (st[0] != I || set[0] || req[0]) ->
        st[0] = I; set[0] = 0; req[0] = 0 }
#ifdef DRAIN
    :: atomic { !drain -> drain = 1 }
#endif
    :: atomic { false -> skip }
    od
}

#define M1(i) (map[i] == 2 -> 9 : map[i])
#define now MEM(cur)
#define C(h) (map[h] == 0 || has(now, h) || \
              (st[now] == S_E && req[now] == h && map[h] == 1))
#define O(h) (map[h] != 2 || (set[now] == B(h) && \
              (st[now] == E || st[now] == E_E || st[now] == E_S || \
               st[now] == E_I)))
/* What is logged is at least what is mapped. */
#if HOSTS == 2
#define SINGLE_WRITER (M1(0) + M1(1) <= 9)
#define COVERED (C(0) && C(1) && O(0) && O(1))
#else
#define SINGLE_WRITER (M1(0) + M1(1) + M1(2) <= 9)
#define COVERED (C(0) && C(1) && C(2) && O(0) && O(1) && O(2))
#endif
#define ONE(i) (set[i] && !(set[i] & (set[i] - 1)))
#define LEGAL(i) (((st[i] == I || st[i] == P) && set[i] == 0) || \
                  ((st[i] == S || st[i] == S_I) && set[i]) || \
                  (st[i] == S_E && set[i] && !has(i, req[i])) || \
                  ((st[i] == E || st[i] == E_I) && ONE(i)) || \
                  ((st[i] == E_E || st[i] == E_S) && ONE(i) && \
                   !has(i, req[i])))
#define NAMED (known & (set[now] | (trans(now) -> B(req[now]) : 0)))

active proctype Monitor()
{
end:
    do
    :: atomic { !SINGLE_WRITER -> single_writer = 0; assert(single_writer) }
    :: atomic { leaf == UP && !COVERED -> covered = 0; assert(covered) }
    :: atomic { !LEGAL(now) -> legal_entry = 0; assert(legal_entry) }
    :: atomic { leaf != GONE && trans(now) && (known & B(req[now])) ->
        no_orphan = 0; assert(no_orphan) }
    :: atomic { leaf != GONE && NAMED -> recovery = 0; assert(recovery) }
#ifdef LOSS
    :: atomic { leaf == UP && lost && !(dead & ~known) && st[now] != P ->
        poison = 0; assert(poison) }
#endif
#ifdef DRAIN
    :: atomic { timeout && drain && (leaf != UP || trans(now)) ->
        quiescence = 0; assert(quiescence) }
#endif
    od
}

init
{
    atomic {
        run Host(0);
        run Host(1);
#if HOSTS == 3
        run Host(2);
#endif
        run Owner();
    }
}
