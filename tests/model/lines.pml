/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped holders of lines, written from docs/protocol.md alone: each cell is
 * one compare-and-swap of what was read before, and holders lose a line by it
 * at once. Each host's cache is modelled as hardware would have it, so that a
 * missing `data`, `inv` or `wb` shows as a wrong value.
 *
 * HOSTS   2 or 3
 * LINES   1 or 2
 * CRASHES how many deaths there may be
 */
#ifndef HOSTS
#define HOSTS 3
#endif
#ifndef LINES
#define LINES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

mtype = { I, S, E, M };
mtype = { load, own, store, evict };

mtype st[LINES] = I;
byte set[LINES];
bit mem[LINES];
bit last[LINES];        /* what the last store to a line wrote */

/* Each host's cache: who may do what there, and the value. */
typedef Cache { byte can[LINES]; bit val[LINES] };
Cache cache[HOSTS];     /* can: 0 nothing, 1 load, 2 store */

byte dead, known, crashes;

#define B(h) (1 << (h))
#define up(h) (!(dead & B(h)))

hidden byte single_writer, data_value, covered, recovery, legal_entry,
    undefined_cell;

/* BISnpInv to all but `h`; `wb` says that modified data comes back. */
inline invalidate(h, l, wb)
{
    i = 0;
    do
    :: i < HOSTS ->
        if
        :: i != h && (set[l] & B(i)) ->
            if
            :: wb -> mem[l] = cache[i].val[l]
            :: else
            fi;
            cache[i].can[l] = 0; cache[i].val[l] = 0
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* BISnpData to the owner, which keeps a copy. */
inline snoop_data(l, wb)
{
    i = 0;
    do
    :: i < HOSTS ->
        if
        :: set[l] & B(i) ->
            if
            :: wb -> mem[l] = cache[i].val[l]
            :: else
            fi;
            cache[i].can[l] = 1
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline fill(h, l)
{
    if
    :: !(set[l] & B(h)) -> cache[h].val[l] = mem[l]
    :: else
    fi
}

inline write(h, l)
{
    cache[h].val[l] = !cache[h].val[l]; last[l] = cache[h].val[l]
}

proctype Host(byte h)
{
    byte i, l;
    mtype ev = load;
    mtype was = I;      /* the entry as it was read */
    byte had;

end:
    do
    :: atomic { up(h) ->
        if
        :: l = 0
#if LINES > 1
        :: l = 1
#endif
        fi;
        if
        :: ev = load
        :: ev = own
        :: ev = store
        :: (set[l] & B(h)) -> ev = evict
        fi;
        was = st[l]; had = set[l] }
       ;
       atomic { up(h) ->
        if
        :: st[l] != was || set[l] != had        /* lost a race: Busy */
        :: else ->
            if
            :: ev == load ->
                if
                :: was == I || was == S -> fill(h, l); st[l] = S
                :: was == E && had != B(h) ->
                    snoop_data(l, false); fill(h, l); st[l] = S
                :: was == M && had != B(h) ->
                    snoop_data(l, true); fill(h, l); st[l] = S
                :: (was == E || was == M) && had == B(h)
                fi;
                set[l] = set[l] | B(h);
                if
                :: cache[h].can[l] == 0 -> cache[h].can[l] = 1
                :: else
                fi;
                data_value = (cache[h].val[l] == last[l]);
                assert(data_value)
            :: ev == own || ev == store ->
                if
                :: was == I -> fill(h, l); st[l] = E
                :: was == S ->
                    invalidate(h, l, false); fill(h, l); st[l] = E
                :: was == E && had != B(h) ->
                    invalidate(h, l, false); fill(h, l); st[l] = E
                :: was == M && had != B(h) ->
                    invalidate(h, l, true); fill(h, l); st[l] = E
                :: (was == E || was == M) && had == B(h)
                fi;
                set[l] = B(h); cache[h].can[l] = 2;
                data_value = (cache[h].val[l] == last[l]);
                assert(data_value);
                if
                :: ev == store -> write(h, l); st[l] = M
                :: else
                fi
            :: ev == evict ->
                if
                :: was == M -> mem[l] = cache[h].val[l]; st[l] = I
                :: was == E -> st[l] = I
                :: was == S -> st[l] = (had == B(h) -> I : S)
                :: else -> undefined_cell = 0; assert(undefined_cell)
                fi;
                set[l] = set[l] & ~B(h);
                cache[h].can[l] = 0; cache[h].val[l] = 0
            fi
        fi;
        l = 0; ev = load; was = I; had = 0 }
    od
}

proctype Owner()
{
    byte h;
    byte l;

end:
    do
#if CRASHES
    :: atomic { crashes < CRASHES ->
        crashes++;
        select (h : 0 .. HOSTS - 1);
        dead = dead | B(h) }
       ;
       do
       :: atomic { l < LINES ->
            if
            :: (set[l] & B(h)) && (st[l] == E || st[l] == M) ->
                last[l] = mem[l];       /* what it had modified is lost */
                st[l] = I; set[l] = 0
            :: (set[l] & B(h)) && st[l] == S ->
                set[l] = set[l] & ~B(h);
                st[l] = (set[l] -> S : I)
            :: else
            fi;
            cache[h].can[l] = 0; cache[h].val[l] = 0;
            l++ }
       :: atomic { l == LINES -> l = 0; known = known | B(h); h = 0; break }
       od
#endif
    :: atomic { false -> skip }
    od
}

#define K1(h, l) (cache[h].can[l] == 2 -> 9 : cache[h].can[l])
#define C(h, l) (cache[h].can[l] == 0 || (set[l] & B(h)))
#define ONE(l) (set[l] && !(set[l] & (set[l] - 1)))
#define LEGAL(l) ((st[l] == I && set[l] == 0) || (st[l] == S && set[l]) || \
                  ((st[l] == E || st[l] == M) && ONE(l)))
#if HOSTS == 2
#define WRITER(l) (K1(0, l) + K1(1, l) <= 9)
#define COVERED(l) (C(0, l) && C(1, l))
#else
#define WRITER(l) (K1(0, l) + K1(1, l) + K1(2, l) <= 9)
#define COVERED(l) (C(0, l) && C(1, l) && C(2, l))
#endif

active proctype Monitor()
{
end:
    do
    :: atomic { !WRITER(0) -> single_writer = 0; assert(single_writer) }
    :: atomic { !COVERED(0) -> covered = 0; assert(covered) }
    :: atomic { !LEGAL(0) -> legal_entry = 0; assert(legal_entry) }
    :: atomic { known & set[0] -> recovery = 0; assert(recovery) }
#if LINES > 1
    :: atomic { !WRITER(1) -> single_writer = 0; assert(single_writer) }
    :: atomic { !COVERED(1) -> covered = 0; assert(covered) }
    :: atomic { !LEGAL(1) -> legal_entry = 0; assert(legal_entry) }
    :: atomic { known & set[1] -> recovery = 0; assert(recovery) }
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
