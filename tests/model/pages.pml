/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapped holders of one page, written from docs/protocol-messages.md alone.
 *
 * The entry is changed by whole compare-and-swaps, so each `atomic` below that
 * touches it is one of them; one that lost a race has changed nothing and is
 * the same as one that comes later. Hosts may die between any two atomics; the
 * fabric's owner recovers them afterwards.
 *
 * A mailbox is a bag of equal messages. With MAILBOX it is a bit, set late or
 * never, lost, or taken and not cleared. Without, which is smaller and allows
 * more, any message may arrive at any time.
 *
 * HOSTS    2 to 4
 * LINES    lines that the page has in state L; 0: it is never promoted
 * CRASHES  how many deaths there may be
 * REJOIN   a recovered host comes back, with its old mailbox
 * DATA     cached values are modelled; needs no more hosts than 2 to be small
 * MAILBOX  see above; 3 hosts take minutes
 * DRAIN    from any state on, vCPUs stand still, all messages are lost, and no
 *          more are: then all transients must end in a bounded number of steps
 */
#ifndef HOSTS
#define HOSTS 3
#endif
#ifndef LINES
#define LINES 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define ALL ((1 << HOSTS) - 1)
#define B(h) (1 << (h))
#define P(h) B(h)       /* a host in the copyset */

mtype = { I, S, E, L, S_E, E_E, E_S, S_I, E_I, L_I };
/* What a host is in the middle of, under its lock for this page. */
mtype = { idle, inv, data, answer_i, answer_s, map_ro, map_rw, evict };

/* The entry. */
mtype st = I;
byte req;               /* the requester; 0 when stable */
byte set;               /* holders; in a transient, who has not answered */

/* The hosts. */
byte map[HOSTS];        /* 0 none, 1 read-only, 2 writable */
mtype ag[HOSTS] = idle; /* the agent's thread */
mtype vc[HOSTS] = idle; /* the vCPU's (or fault's) thread */
#if defined(MAILBOX) || defined(DRAIN)
bit hint[HOSTS];        /* a BISnp is in the mailbox */
#endif
#ifdef MAILBOX
byte post[HOSTS];       /* BISnp that this host has still to post */
#define send(h) post[h] = set
#define mail(h) hint[h]
#else
#define send(h) skip
#ifdef DRAIN
#define mail(h) (!drain || hint[h])
#else
#define mail(h) true
#endif
#endif
byte dead;              /* cannot take a step any more */
byte known;             /* dead, and recovered by the owner */
byte crashes;
bit drain;
#ifdef DRAIN
byte steps;
#define LIMIT 60
#endif

#if LINES
byte lset[LINES];       /* holders of a line: trapped */
bit lex[LINES];         /* its one holder owns it */
byte acc[HOSTS];        /* 1 + the line that an access is about */
byte quiet;             /* hosts seen outside of accesses since L_I */
#endif

#ifdef DATA
bit mem, last;
bit val[HOSTS];
#endif

#define up(h) (!(dead & B(h)))
#define has(h) (set & P(h))
#define runs(h) (up(h) && !drain)
#define locked(h) (ag[h] != idle || vc[h] != idle)
#define transient (st == S_E || st == E_E || st == E_S || st == S_I || \
                   st == E_I || st == L_I)

/* Properties, by the document's names; see Monitor. */
hidden byte single_writer, data_value, covered, no_orphan, responses_flow,
    quiescence, recovery, legal_entry, lines_or_page, defined_cell;

#ifdef DATA
#define fill(h) val[h] = mem
#define give(h) if :: map[h] == 2 -> mem = val[h] :: else fi
#define lose(h) if :: map[h] == 2 -> last = mem :: else fi; val[h] = 0
#define forget(h) val[h] = 0
#else
#define fill(h) skip
#define give(h) skip
#define lose(h) skip
#define forget(h) skip
#endif

inline become(s, q, c)
{
    set = c; req = q; st = s    /* in this order: c may name req */
}

inline drop(h)
{
    set = set & ~P(h);
    if
    :: set == 0 -> become(I, 0, 0)
    :: else
    fi
}

/* The table, by columns. */
inline ev_load(h)
{
    if
    :: st == I -> become(S, 0, P(h))
    :: st == S -> set = set | P(h)
    :: st == E && !has(h) -> st = E_S; req = h; send(h)
    :: else             /* a hit, or Busy */
    fi
}

inline ev_own(h)
{
    if
    :: st == I -> become(E, 0, P(h))
    :: st == S && set == P(h) -> st = E
    :: st == S && set != P(h) ->
        become(S_E, h, set & ~P(h)); send(h)
    :: st == E && !has(h) -> st = E_E; req = h; send(h)
    :: else
    fi
}

/* RspI; Evict and Death of one who has not answered are the same. */
inline ev_rsp_i(h)
{
    if
    :: (st == S || st == S_I || st == E_I) && has(h) -> drop(h)
    :: st == E && has(h) -> become(I, 0, 0)
    :: st == S_E && has(h) ->
        set = set & ~P(h);
        if
        :: set == 0 -> become(E, 0, P(req))
        :: else
        fi
    :: st == E_E && has(h) -> become(E, 0, P(req))
    :: st == E_S && has(h) -> become(S, 0, P(req))
    :: else             /* stale */
    fi
}

/* An upgrade's requester gives up what it holds, and its request with it. */
inline ev_evict(h)
{
    if
    :: st == S_E && req == h -> become(S, 0, set)
    :: else ->
        defined_cell = has(h); assert(defined_cell);
        ev_rsp_i(h)
    fi
}

inline ev_rsp_s(h)
{
    if
    :: st == E && has(h) -> st = S
    :: st == E_S && has(h) -> become(S, 0, set | P(req))
    :: else             /* stale */
    fi
}

inline ev_recall(h)
{
    if
    :: st == S -> st = S_I; req = h; send(h)
    :: st == E -> st = E_I; req = h; send(h)
#if LINES
    :: st == L -> become(L_I, h, 0); quiet = 0
#endif
    :: else
    fi
}

#if LINES
inline ev_demoted(h)
{
    if
    :: st == L_I && req == h -> become(I, 0, 0)
    fi
}
#endif

inline ev_death(h)
{
    if
    :: transient && req == h ->
        if
        :: st == S_E -> become(S, 0, set)
        :: st == E_E || st == E_S -> become(E, 0, set)
        :: st == S_I -> become(S, 0, set); drop(h)
        :: st == E_I -> become(E, 0, set); drop(h)
        :: st == L_I -> become(L, 0, 0)
        fi
    :: else -> ev_rsp_i(h)
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
    byte t;

end:
    do
    /* The vCPU raises events. Nothing says that it comes back for them. */
    :: atomic { runs(h) && vc[h] == idle -> ev_load(h) }
    :: atomic { runs(h) && vc[h] == idle -> ev_own(h) }
    :: atomic { runs(h) && vc[h] == idle -> ev_recall(h) }
#ifdef MAILBOX
    /* Posting, after the compare-and-swap; the agent posts again. */
    :: atomic { up(h) && post[h] ->
        t = 0;
        do
        :: post[h] & B(t) -> break
        :: else -> t++
        od;
        post[h] = post[h] & ~B(t);
        if
        :: hint[t] = 1
        :: true         /* the mailbox was full, or the message is lost */
        fi;
        t = 0 }
    :: atomic { up(h) && post[h] == 0 && transient && req == h ->
        post[h] = set }
#endif
#ifdef DRAIN
    /* The requester's agent posts again. */
    :: atomic { drain && up(h) && transient && req == h && st != L_I ->
        t = 0;
        do
        :: t < HOSTS ->
            if
            :: has(t) && !hint[t] && ag[t] == idle -> hint[t] = 1; break
            :: else
            fi;
            t++
        :: else -> break
        od;
        t = 0 }
#endif

    /* The agent: takes a message, looks, zaps, answers. */
    :: atomic { up(h) && mail(h) && !locked(h) ->
#ifdef MAILBOX
        if
        :: hint[h] = 0
        :: true         /* doubled: it will come again */
        fi;
#elif defined(DRAIN)
        hint[h] = 0;
#endif
        if
        :: has(h) && (st == S_E || st == E_E || st == S_I || st == E_I) ->
            ag[h] = inv
        :: has(h) && st == E_S -> ag[h] = data
        :: has(h) && st == E_S -> ag[h] = inv
        :: else
        fi;
        step(h)
       }
    :: atomic { up(h) && ag[h] == inv ->
        give(h); forget(h); map[h] = 0; ag[h] = answer_i; step(h) }
    :: atomic { up(h) && ag[h] == data ->
        give(h); map[h] = (map[h] > 1 -> 1 : map[h]); ag[h] = answer_s;
        step(h) }
    :: atomic { up(h) && ag[h] == answer_i ->
        ev_rsp_i(h); ag[h] = idle; step(h) }
    :: atomic { up(h) && ag[h] == answer_s ->
        ev_rsp_s(h); ag[h] = idle; step(h) }

    /* The vCPU's fault: looks, maps. */
    :: atomic { runs(h) && !locked(h) && st == S && has(h) ->
        vc[h] = map_ro }
    :: atomic { runs(h) && !locked(h) && st == E && has(h) ->
        vc[h] = map_rw }
    :: atomic { up(h) && vc[h] == map_ro ->
        if
        :: map[h] == 0 -> fill(h); map[h] = 1
        :: else
        fi;
        vc[h] = idle; step(h) }
    :: atomic { up(h) && vc[h] == map_rw ->
        if
        :: map[h] == 0 -> fill(h)
        :: else
        fi;
        map[h] = 2; vc[h] = idle; step(h) }

    /* It gives the page up by itself. */
    :: atomic { runs(h) && !locked(h) &&
                (map[h] || has(h) || (st == S_E && req == h)) ->
        vc[h] = evict; give(h); forget(h); map[h] = 0 }
    :: atomic { up(h) && vc[h] == evict ->
        ev_evict(h); vc[h] = idle; step(h) }

#ifdef DATA
    /* Native accesses: they ask nobody. */
    :: atomic { runs(h) && map[h] == 2 -> val[h] = !val[h]; last = val[h] }
    :: atomic { runs(h) && map[h] && val[h] != last ->
        data_value = 0; assert(data_value) }
#endif

#if LINES
    /* Promotion, of a page that nobody holds. */
    :: atomic { runs(h) && vc[h] == idle && st == I -> become(L, 0, 0) }
    /* An access to a line: it looks at the page, then changes the line. */
    :: atomic { runs(h) && !acc[h] && vc[h] == idle && st == L ->
        acc[h] = 1 }
#if LINES > 1
    :: atomic { runs(h) && !acc[h] && vc[h] == idle && st == L ->
        acc[h] = 2 }
#endif
    :: atomic { up(h) && acc[h] ->
        if                              /* Load */
        :: lex[acc[h] - 1] && !(lset[acc[h] - 1] & B(h)) -> lex[acc[h] - 1] = 0
        :: else
        fi;
        lset[acc[h] - 1] = lset[acc[h] - 1] | B(h);
        acc[h] = 0; step(h) }
    :: atomic { up(h) && acc[h] ->      /* Store */
        lset[acc[h] - 1] = B(h); lex[acc[h] - 1] = 1;
        acc[h] = 0; step(h) }
    /* Demotion: the requester's agent. */
    :: atomic { up(h) && st == L_I && req == h && quiet != ALL ->
        t = 0;
        do
        :: (quiet & B(t)) -> t++
        :: else -> break
        od;
        if
        :: acc[t] == 0 || (known & B(t)) -> quiet = quiet | B(t); step(h)
        :: else
        fi;
        t = 0 }
    :: atomic { up(h) && st == L_I && req == h && quiet == ALL && lset[0] ->
        lset[0] = 0; lex[0] = 0; step(h) }
#if LINES > 1
    :: atomic { up(h) && st == L_I && req == h && quiet == ALL && lset[1] ->
        lset[1] = 0; lex[1] = 0; step(h) }
#define LINES_HELD (lset[0] || lset[1])
#else
#define LINES_HELD (lset[0])
#endif
    :: atomic { up(h) && st == L_I && req == h && quiet == ALL &&
                !LINES_HELD ->
        ev_demoted(h); quiet = 0; step(h) }
#endif
    od
}

/* A host ends anywhere; its process is gone before it is recovered. */
proctype Owner()
{
    byte h;

end:
    do
#if CRASHES
    :: atomic { crashes < CRASHES ->
        crashes++;
        select (h : 0 .. HOSTS - 1);
        if
        :: up(h) ->
            dead = dead | B(h);
            lose(h);
            map[h] = 0; ag[h] = idle; vc[h] = idle;
#ifdef MAILBOX
            post[h] = 0
#endif
        :: else
        fi;
        h = 0 }
    /* One entry at a time: Death, wherever the host occurs. */
    :: atomic { dead & ~known ->
        h = 0;
        do
        :: dead & ~known & B(h) -> break
        :: else -> h++
        od;
        ev_death(h);
        h = 0 }
       ;
#if LINES
       atomic {
        h = 0;
        do
        :: dead & ~known & B(h) -> break
        :: else -> h++
        od;
        lset[0] = lset[0] & ~B(h); lex[0] = (lset[0] -> lex[0] : 0);
        h = 0 }
       ;
#if LINES > 1
       atomic {
        h = 0;
        do
        :: dead & ~known & B(h) -> break
        :: else -> h++
        od;
        lset[1] = lset[1] & ~B(h); lex[1] = (lset[1] -> lex[1] : 0);
        h = 0 }
       ;
#endif
#endif
       atomic {
        h = 0;
        do
        :: dead & ~known & B(h) -> break
        :: else -> h++
        od;
#if LINES
        acc[h] = 0;
#endif
        known = known | B(h);
        h = 0 }
#ifdef REJOIN
    :: atomic { known ->
        h = 0;
        do
        :: known & B(h) -> break
        :: else -> h++
        od;
        known = known & ~B(h); dead = dead & ~B(h);
        h = 0 }
#endif
#endif
#ifdef DRAIN
    :: atomic { !drain -> drain = 1;
        for (h : 0 .. HOSTS - 1) {
            hint[h] = 0
        }
        h = 0 }
#endif
    :: atomic { false -> skip }
    od
}

#define M1(i) (map[i] == 2 -> 9 : map[i])
/* A requester that upgrades keeps its read-only mapping. */
#define C(h) (map[h] == 0 || has(h) || (st == S_E && req == h && map[h] == 1))
/* A writable mapping is the owner's. */
#define O(h) (map[h] != 2 || (set == P(h) && \
              (st == E || st == E_E || st == E_S || st == E_I)))
#define NAMED (known & (set | (transient -> B(req) : 0)))

#define H2 M1(0) + M1(1)
#define C2 (C(0) && C(1) && O(0) && O(1))
#if HOSTS == 2
#define SINGLE_WRITER (H2 <= 9)
#define COVERED C2
#elif HOSTS == 3
#define SINGLE_WRITER (H2 + M1(2) <= 9)
#define COVERED (C2 && C(2) && O(2))
#else
#define SINGLE_WRITER (H2 + M1(2) + M1(3) <= 9)
#define COVERED (C2 && C(2) && O(2) && C(3) && O(3))
#endif
#define ONE (set && !(set & (set - 1)))
#define LEGAL (((st == I || st == L || st == L_I) && set == 0) || \
               ((st == S || st == S_I) && set) || \
               (st == S_E && set && !has(req)) || \
               ((st == E || st == E_I) && ONE) || \
               ((st == E_E || st == E_S) && ONE && !has(req)))
#define NO_ORPHAN (!transient || !(known & B(req)))
#if LINES > 1
#define LINES_OR_PAGE (st == L || st == L_I || !(lset[0] || lset[1]))
#define L_NAMED (known & (lset[0] | lset[1]))
#elif LINES
#define LINES_OR_PAGE (st == L || st == L_I || !lset[0])
#define L_NAMED (known & lset[0])
#else
#define LINES_OR_PAGE true
#define L_NAMED 0
#endif

/* Executable only where a property does not hold. */
active proctype Monitor()
{
end:
    do
    :: atomic { !SINGLE_WRITER -> single_writer = 0; assert(single_writer) }
    :: atomic { !COVERED -> covered = 0; assert(covered) }
    :: atomic { !LEGAL -> legal_entry = 0; assert(legal_entry) }
    :: atomic { !NO_ORPHAN -> no_orphan = 0; assert(no_orphan) }
    :: atomic { NAMED || L_NAMED -> recovery = 0; assert(recovery) }
    :: atomic { !LINES_OR_PAGE -> lines_or_page = 0; assert(lines_or_page) }
#ifdef DRAIN
    :: atomic { timeout && drain && transient ->
        quiescence = 0; assert(quiescence) }
#endif
    od
}

init
{
    atomic {
        run Host(0);
        run Host(1);
#if HOSTS > 2
        run Host(2);
#endif
#if HOSTS > 3
        run Host(3);
#endif
        run Owner();
    }
}
