/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Insertion into one set of a finite directory, written from the section
 * "Finite directory" of docs/protocol-messages.md alone.
 *
 * A look reads one way at a time; each change of a way is one compare-and-swap
 * of what was read. Generations are left out, so what holds here holds however
 * they wrap. The units are trapped lines: a victim is recalled by one
 * compare-and-swap.
 *
 * HOSTS    2 or 3
 * WAYS     2 or more
 * T0 T1 T2 the tags that the hosts want, 1 or more
 * CRASHES  how many deaths there may be
 * OPS      how often each host accesses; 0: for ever
 */
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef WAYS
#define WAYS 2
#endif
#ifndef T0
#define T0 1
#endif
#ifndef T1
#define T1 1
#endif
#ifndef T2
#define T2 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef OPS
#define OPS 0
#endif

#define NONE 255

mtype = { FREE, N, I, M };

mtype st[WAYS] = FREE;
byte tag[WAYS];
byte who[WAYS];         /* N: who claimed it; M: who holds it */

byte dead;
byte known;
byte crashes;
byte ended;              /* hosts that have made all their accesses */

#define B(h) (1 << (h))
#define ID(h) (h)         /* the claimer that N names */
#define up(h) (!(dead & B(h)))
#define live(w) (st[w] == I || st[w] == M)

#if WAYS == 2
#define ANY_FREE (st[0] == FREE || st[1] == FREE)
#else
#define ANY_FREE (st[0] == FREE || st[1] == FREE || st[2] == FREE)
#endif
#if WAYS == 2
#define ANY_VICTIM (victim(0) || victim(1))
#else
#define ANY_VICTIM (victim(0) || victim(1) || victim(2))
#endif
#define victim(w) (!ANY_FREE && live(w) && tag[w] != want)

/* Properties; see Monitor. */
hidden byte one_entry, recovery;

inline put(w, s, t, h)
{
    st[w] = s; tag[w] = t; who[w] = h
}

proctype Host(byte h; byte want)
{
    byte own = NONE;    /* the way that this host has claimed */
    byte at;            /* the way that it looks at */
    byte seen = NONE;   /* an entry that it has read */
    mtype was;          /* what it read there: state, tag is `want` ... */
    byte by;            /* ... and claimer */
    byte ops;

find:
    /* Look at all ways; an entry with the tag is used, or Busy when N. */
    atomic { up(h) -> at = 0; seen = NONE; own = NONE; was = FREE; by = 0 };
    do
    :: atomic { up(h) && at < WAYS ->
        if
        :: st[at] != FREE && tag[at] == want ->
            seen = at; was = st[at]; by = who[at]
        :: else
        fi;
        at++ }
    :: atomic { up(h) && at == WAYS -> at = 0; break }
    od;
    if
    :: atomic { up(h) && seen != NONE && was == N -> goto find } /* Busy */
    :: atomic { up(h) && seen != NONE && was != N -> goto use }
    :: atomic { up(h) && seen == NONE }
    fi;

claim:
    /* Step 1: a free way, or a victim's. */
    if
    :: atomic { up(h) && st[0] == FREE -> put(0, N, want, ID(h)); own = 0 }
    :: atomic { up(h) && st[1] == FREE -> put(1, N, want, ID(h)); own = 1 }
    :: atomic { up(h) && victim(0) -> put(0, FREE, 0, 0); goto find }
    :: atomic { up(h) && victim(1) -> put(1, FREE, 0, 0); goto find }
#if WAYS > 2
    :: atomic { up(h) && st[2] == FREE -> put(2, N, want, ID(h)); own = 2 }
    :: atomic { up(h) && victim(2) -> put(2, FREE, 0, 0); goto find }
#endif
    /* No way: Busy. */
    :: atomic { up(h) && !ANY_FREE && !ANY_VICTIM -> goto find }
    fi;

look:
    /* Step 2: look at all the other ways. */
    atomic { up(h) -> at = 0; seen = NONE; was = FREE; by = 0 };
    do
    :: atomic { up(h) && at < WAYS ->
        if
        :: at != own && st[at] != FREE && tag[at] == want ->
            seen = at; was = st[at]; by = who[at]; at = 0; break
        :: else
        fi;
        at++ }
    :: atomic { up(h) && at == WAYS -> at = 0; break }
    od;
    if
    :: atomic { up(h) && seen == NONE -> goto move }
    :: atomic { up(h) && seen != NONE && was == N && seen > own ->
        /* A higher way that is new: free it. */
        if
        :: st[seen] == N && tag[seen] == want && who[seen] == by ->
            put(seen, FREE, 0, 0)
        :: else
        fi;
        goto look }
    :: atomic { up(h) && seen != NONE && (was != N || seen < own) ->
        /* Free our own, unless somebody did. */
        if
        :: st[own] == N && tag[own] == want && who[own] == ID(h) ->
            put(own, FREE, 0, 0)
        :: else
        fi;
        goto find }
    fi;

move:
    /* Step 3: the event's own next state. */
    if
    :: atomic { up(h) && st[own] == N && tag[own] == want &&
                who[own] == ID(h) ->
        put(own, M, want, h); own = NONE; goto had }
    :: atomic { up(h) && !(st[own] == N && tag[own] == want &&
                           who[own] == ID(h)) ->
        goto find }
    fi;

use:
    /* An event on an entry that is there: the line is ours. */
    if
    :: atomic { up(h) && st[seen] == was && tag[seen] == want &&
                who[seen] == by ->
        put(seen, M, want, h) }
    :: atomic { up(h) && !(st[seen] == was && tag[seen] == want &&
                           who[seen] == by) ->
        goto find }
    fi;

had:
    atomic { up(h) ->
        seen = NONE; was = FREE; by = 0; own = NONE;
#if OPS
        ops++;
        if
        :: ops < OPS -> goto find
        :: else -> ended = ended | B(h); goto over
        fi
#else
        goto find
#endif
    };
over:
    skip
}

proctype Owner()
{
    byte h;
    byte w;

end:
    do
#if CRASHES
    :: atomic { crashes < CRASHES ->
        crashes++;
        select (h : 0 .. HOSTS - 1);
        dead = dead | B(h) }
       ;
       do
       :: atomic { w < WAYS ->
            if
            :: st[w] == N && who[w] == h -> put(w, FREE, 0, 0)
            :: st[w] == M && who[w] == h -> put(w, I, tag[w], 0)
            :: else
            fi;
            w++ }
       :: atomic { w == WAYS -> w = 0; known = known | B(h); h = 0; break }
       od
#endif
    :: atomic { false -> skip }
    od
}

#define TWICE(v, w) (live(v) && live(w) && tag[v] == tag[w])
#define NAMED(w) ((st[w] == N || st[w] == M) && (known & B(who[w])))
#if WAYS == 2
#define TWO TWICE(0, 1)
#define ANY_NAMED (NAMED(0) || NAMED(1))
#else
#define TWO (TWICE(0, 1) || TWICE(0, 2) || TWICE(1, 2))
#define ANY_NAMED (NAMED(0) || NAMED(1) || NAMED(2))
#endif

active proctype Monitor()
{
end:
    do
    :: atomic { TWO -> one_entry = 0; assert(one_entry) }
    :: atomic { ANY_NAMED -> recovery = 0; assert(recovery) }
    od
}

init
{
    atomic {
        run Host(0, T0);
        run Host(1, T1);
#if HOSTS == 3
        run Host(2, T2);
#endif
        run Owner();
    }
}

/* Whoever lives and is scheduled has its accesses, whatever the others do. */
#if OPS
#define ENDED(h) ((ended | dead) & B(h))
#if HOSTS == 2
ltl quiescence { <> (ENDED(0) && ENDED(1)) }
#else
ltl quiescence { <> (ENDED(0) && ENDED(1) && ENDED(2)) }
#endif
#endif
