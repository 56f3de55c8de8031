/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Epochs: when an entry that was freed is used again, and when a demotion
 * takes the lines; written from docs/protocol-messages.md alone.
 *
 * An access counts itself in under the epoch that it has read, and out again.
 * The epoch advances when nobody is inside under the parity that the next one
 * has, which is that of the last one. An advance reads one counter at a time.
 *
 * An entry is freed inside an access. Its stamp is read before the
 * compare-and-swap that frees, and the epoch may advance once in between: so
 * the stamp is one more than what was read. A demotion reads the epoch after
 * the page has left L. Both wait for two advances.
 *
 * THREADS  2 to 4, in turns on two hosts
 * EPOCHS   how far the epoch goes
 * CRASHES  how many deaths of hosts there may be; they come back
 * DEMOTE   a page in L, in place of an entry
 * DRAIN    from any state on no access begins; the epoch must come to its end
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef EPOCHS
#define EPOCHS 6
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define HOSTS 2
#define HOST(t) ((t) & 1)
#define B(n) (1 << (n))
#define ADVANCES 2
#define STAMP(e) ((e) + 1)

mtype = { out, has_read, counted_in, in, freeing, leaving, begin_wait, wait };
mtype = { L, L_I, PAGE };

byte epoch;
byte inside[2 * HOSTS];             /* [host][parity] */
#define INSIDE(h, e) inside[2 * (h) + ((e) & 1)]

/* Threads. */
mtype pc[THREADS] = out;
byte e[THREADS];                    /* the epoch that an access counts under */
byte seen[THREADS];                 /* one that was read later */

byte dead, known, crashes;
bit drain;
#define up(t) (!(dead & B(HOST(t))))

#ifdef DEMOTE
mtype st = L;
byte by;                            /* who demotes */
#else
bit freed;
byte stamp;
#endif
/* Threads inside that have seen the page in L, or the entry in this use. */
byte looked;

hidden byte no_looker, balanced, quiescence;

inline count_out(t)
{
    balanced = INSIDE(HOST(t), e[t]) > 0; assert(balanced);
    INSIDE(HOST(t), e[t])--;
    looked = looked & ~B(t)
}

inline nobody_looks()
{
    no_looker = looked == 0; assert(no_looker)
}

proctype Thread(byte t)
{
end:
    do
    :: atomic { up(t) && pc[t] == out && !drain ->
        e[t] = epoch; pc[t] = has_read }
    :: atomic { up(t) && pc[t] == has_read ->
        INSIDE(HOST(t), e[t])++; pc[t] = counted_in }
    :: atomic { up(t) && pc[t] == counted_in ->
        if
        :: epoch == e[t] -> pc[t] = in
        :: else -> count_out(t); pc[t] = out; e[t] = 0
        fi }
    :: atomic { up(t) && pc[t] == leaving ->
        count_out(t); pc[t] = out; e[t] = 0 }

#ifdef DEMOTE
    :: atomic { up(t) && pc[t] == in ->
        if
        :: st == L -> looked = looked | B(t); pc[t] = leaving
        :: st == L -> st = L_I; by = t; pc[t] = begin_wait
        :: st == PAGE -> st = L; pc[t] = leaving
        :: st == L_I -> pc[t] = leaving
        fi }
    /* Its agent waits outside of the access. */
    :: atomic { up(t) && pc[t] == begin_wait ->
        count_out(t); e[t] = 0; seen[t] = epoch; pc[t] = wait }
    :: atomic { up(t) && pc[t] == wait && epoch >= seen[t] + ADVANCES ->
        nobody_looks(); st = PAGE; by = 0; seen[t] = 0; pc[t] = out }
#else
    :: atomic { up(t) && pc[t] == in ->
        if
        :: !freed -> looked = looked | B(t); pc[t] = leaving
        /* It frees what it looks at, in two steps. */
        :: !freed -> looked = looked | B(t); seen[t] = epoch;
            pc[t] = freeing
        /* It uses what it finds free. */
        :: freed && epoch >= stamp + ADVANCES ->
            nobody_looks();
            freed = 0; stamp = 0; looked = B(t); pc[t] = leaving
        :: freed -> pc[t] = leaving
        fi }
    :: atomic { up(t) && pc[t] == freeing ->
        if
        :: !freed -> freed = 1; stamp = STAMP(seen[t])
        :: else
        fi;
        seen[t] = 0; pc[t] = leaving }
#endif
    od
}

/* Anybody: reads the epoch, then each host's counter, then advances it. */
proctype Advance()
{
    byte was, h;

end:
    do
    :: atomic { epoch < EPOCHS -> was = epoch; h = 0 };
end_wait:
        do
        :: atomic { h < HOSTS &&
                    ((known & B(h)) || INSIDE(h, was + 1) == 0) -> h++ }
        :: atomic { h == HOSTS ->
            epoch = (epoch == was -> was + 1 : epoch); was = 0; h = 0;
            break }
        od
    od
}

/* It ends what a dead host was in, and clears its counts. */
proctype Owner()
{
    byte h, t;

end:
    do
#if CRASHES
    :: atomic { crashes < CRASHES && !drain ->
        crashes++;
        select (h : 0 .. HOSTS - 1);
        dead = dead | B(h);
        for (t : 0 .. THREADS - 1) {
            if
            :: HOST(t) == h ->
                pc[t] = out; e[t] = 0; seen[t] = 0;
                looked = looked & ~B(t)
            :: else
            fi
        }
        t = 0 };
        atomic { true -> known = known | B(h) };
        atomic { true -> INSIDE(h, 0) = 0 };
        atomic { true -> INSIDE(h, 1) = 0 };
#ifdef DEMOTE
        atomic { true ->
            if
            :: st == L_I && HOST(by) == h -> st = L; by = 0
            :: else
            fi };
#endif
        atomic { true -> known = known & ~B(h); dead = dead & ~B(h); h = 0 }
#endif
#ifdef DRAIN
    :: atomic { !drain -> drain = 1 }
#endif
    :: atomic { false -> skip }
    od
}

active proctype Monitor()
{
end:
    do
#ifdef DRAIN
    :: atomic { timeout && drain && epoch != EPOCHS ->
        quiescence = 0; assert(quiescence) }
#endif
    :: atomic { false -> skip }
    od
}

init
{
    atomic {
        run Thread(0);
        run Thread(1);
#if THREADS > 2
        run Thread(2);
#endif
#if THREADS > 3
        run Thread(3);
#endif
        run Advance();
        run Advance();
        run Owner();
    }
}
