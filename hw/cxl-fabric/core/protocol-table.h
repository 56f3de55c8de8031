/*
 * The protocol, as lists: states, events, messages, actions, and each cell
 *
 * The one place where a cell is written.  A file that includes this one
 * defines before it what it wants to have of
 *   STATE(id, name, units, holders, requester, text)
 *   RELATION(id, name, text)
 *   EVENT(id, name, units, raiser, text, cxl)
 *   MESSAGE(name, channel, text, reference)
 *   ACTION(id, word, text)
 *   CELL(state, relation, event, next, last, wait, actions, text, reference)
 * and gets one of them, without a separator, for each item.  States, events
 * and relations are written without CXLF_, actions as A(id); next, last, wait
 * are those of struct cxlf_cell.  Pairs without a cell are undefined.
 *   units: LINES, PAGES, BOTH, or NEITHER (a state of entries only)
 *   holders: NONE, ONE, SOME (one or more)
 *   requester: NO, ANY, OTHER (than the holders)
 * docs/protocol-table.md is made of this file by tests/check/print-table.c.
 *
 * References: "CXL r3.1" and a section of that specification; "paper" and the
 * sketch in it that the cell follows; "design" and a page of docs/ where this
 * project had to decide.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
/* No include guard: it is included once for each use. */
#ifndef STATE
#define STATE(...)
#endif
#ifndef RELATION
#define RELATION(...)
#endif
#ifndef EVENT
#define EVENT(...)
#endif
#ifndef MESSAGE
#define MESSAGE(...)
#endif
#ifndef ACTION
#define ACTION(...)
#endif
#ifndef CELL
#define CELL(...)
#endif

STATE(I, "I", BOTH, NONE, NO, "no host holds the unit")
STATE(S, "S", BOTH, SOME, NO, "hosts hold it for reading")
STATE(E, "E", BOTH, ONE, NO,
      "its owner may write it; a line: has not; a page: may have")
STATE(M, "M", LINES, ONE, NO, "its owner has written it")
STATE(L, "L", PAGES, NONE, NO,
      "tracked by its lines; no host holds it as a page")
STATE(P, "P", BOTH, NONE, NO, "poisoned: its modified content was lost")
STATE(S_E, "S_E", PAGES, SOME, OTHER,
      "sharers are invalidated, the requester will own")
STATE(E_E, "E_E", PAGES, ONE, OTHER,
      "the owner is invalidated, the requester will own")
STATE(E_S, "E_S", PAGES, ONE, OTHER,
      "the owner is downgraded, the requester will share")
STATE(S_I, "S_I", PAGES, SOME, ANY, "sharers are invalidated: recall")
STATE(E_I, "E_I", PAGES, ONE, ANY, "the owner is invalidated: recall")
STATE(L_I, "L_I", PAGES, NONE, ANY,
      "the requester takes its lines: demotion to a page")
STATE(N, "N", NEITHER, NONE, ANY,
      "new: an entry that its requester has claimed for a unit")
STATE(F, "F", NEITHER, NONE, NO,
      "free: an entry of no unit; its copyset is the epoch of its freeing")

RELATION(STRANGER, "stranger", "neither of the others")
RELATION(HOLDER, "holder", "in the copyset; in a transient: yet to answer")
RELATION(REQUESTER, "requester",
         "of the transient's transaction, and not in the copyset")

EVENT(LOAD, "Load", BOTH, "a host", "it reads", "MemRd, SnpData")
EVENT(OWN, "Own", BOTH, "a host",
      "it will write: a page, or the load of a locked read-modify-write",
      "MemRd, SnpInv; MemInv by a sharer")
EVENT(STORE, "Store", LINES, "a host", "it writes a line",
      "as Own; then the write in the owner's cache")
EVENT(EVICT, "Evict", BOTH, "a host", "it gives the unit up by itself",
      "MemClnEvct; MemWr when modified")
EVENT(RECALL, "Recall", BOTH, "a home that needs room; a change of class",
      "the unit is taken from all", "BISnpInv")
EVENT(PROMOTE, "Promote", PAGES, "a host",
      "a page that nobody holds becomes one of lines", "none")
EVENT(DEMOTED, "Demoted", PAGES, "the requester of L_I",
      "all lines of the page are I", "none")
EVENT(RSP_I, "RspI", PAGES, "a holder's agent",
      "it has zapped its mapping", "BIRspI")
EVENT(RSP_S, "RspS", PAGES, "a holder's agent",
      "it has write-protected its mapping", "BIRspS")
EVENT(DEATH, "Death", BOTH, "the fabric's owner",
      "the unit is taken from a dead host; the data is kept", "none")
EVENT(LOSS, "Loss", BOTH, "the fabric's owner",
      "the same; what the host may have modified is poisoned",
      "MemData with poison from then on")
EVENT(CLEAR, "Clear", BOTH, "a host", "the content is given up for new",
      "Clear Poison (opcode 4302h)")
EVENT(REBUILD_S, "RebuildS", PAGES, "a host, after its leaf's return",
      "its log says that it shares the page", "none")
EVENT(REBUILD_E, "RebuildE", PAGES, "a host, after its leaf's return",
      "its log says that it owns the page", "none")
EVENT(REBUILD_P, "RebuildP", BOTH, "the owner of the fabric, after its leaf's "
      "return", "its list says that the content is lost", "none")

MESSAGE("MemRd", "M2S Req", "Load, Own, Store", "CXL r3.1 3.3.5")
MESSAGE("MemInv", "M2S Req", "Own and Store by a sharer, which has the data",
        "CXL r3.1 3.3.5")
MESSAGE("MemRdData", "M2S Req",
        "not raised: Load says with SnpData what it wants", "CXL r3.1 3.3.5")
MESSAGE("MemClnEvct", "M2S Req", "Evict of what is not modified",
        "CXL r3.1 3.3.5")
MESSAGE("SnpData", "M2S Req, SnpType", "Load: a copy to share",
        "CXL r3.1 3.3.5")
MESSAGE("SnpInv", "M2S Req, SnpType", "Own, Store: the only copy",
        "CXL r3.1 3.3.5")
MESSAGE("SnpCur", "M2S Req, SnpType",
        "not raised: each Load is recorded in the copyset", "CXL r3.1 3.3.5")
MESSAGE("MemWr", "M2S RwD",
        "writeback: Evict from M, and before BIRsp by an owner in M",
        "CXL r3.1 3.3.6")
MESSAGE("BIConflict", "M2S RwD",
        "not raised: a request never passes a snoop, it is Busy",
        "CXL r3.1 3.3.6, 3.5.1.3")
MESSAGE("BIRspI", "M2S BIRsp", "RspI; trapped: part of the transition",
        "CXL r3.1 3.3.7")
MESSAGE("BIRspS", "M2S BIRsp", "RspS; trapped: part of the transition",
        "CXL r3.1 3.3.7")
MESSAGE("BIRspE", "M2S BIRsp",
        "not raised: no snoop here leaves its owner E", "CXL r3.1 3.3.7")
MESSAGE("BISnpInv", "S2M BISnp", "inv: to each other holder; Recall: to all",
        "CXL r3.1 3.3.8")
MESSAGE("BISnpData", "S2M BISnp", "data: to the owner, which keeps S",
        "CXL r3.1 3.3.8")
MESSAGE("BISnpCur", "S2M BISnp",
        "not sent: the home wants to change the holder's state, or nothing",
        "CXL r3.1 3.3.8")
MESSAGE("BISnpInvBlk and others of blocks", "S2M BISnp, M2S BIRsp",
        "not sent: a page is one unit with one entry", "CXL r3.1 3.3.8.1")
MESSAGE("Cmp", "S2M NDR", "ends Evict", "CXL r3.1 3.3.9")
MESSAGE("Cmp-S", "S2M NDR", "grants S: to Load", "CXL r3.1 3.3.9")
MESSAGE("Cmp-E", "S2M NDR", "grants E: to Own and Store", "CXL r3.1 3.3.9")
MESSAGE("Cmp-M", "S2M NDR",
        "not sent: the owner comes to M by its own write", "CXL r3.1 3.3.9")
MESSAGE("BIConflictAck", "S2M NDR", "not sent: see BIConflict",
        "CXL r3.1 3.3.9, 3.5.1.3")
MESSAGE("MemData", "S2M DRS", "with Cmp-S or Cmp-E; poisoned in P",
        "CXL r3.1 3.3.10")

ACTION(BISNP_INV, "inv", "BISnpInv to every other holder; Recall: to all")
ACTION(BISNP_DATA, "data", "BISnpData to the owner, which keeps S")
ACTION(WRITEBACK, "writeback", "the owner's MemWr carries modified data")
ACTION(ADD, "add", "the host joins the copyset")
ACTION(ONLY, "only", "the host becomes the only holder")
ACTION(DROP, "drop", "the host leaves the copyset")
ACTION(GRANT, "grant", "with the last answer, the requester joins")
ACTION(BUSY, "busy", "another transaction runs: come again")
ACTION(STALE, "stale", "an answer to a snoop that is over")
ACTION(READ_HIT, "read-hit", "counted: Load by a holder")
ACTION(WRITE_HIT, "write-hit", "counted: Own or Store by the owner")
ACTION(READ_MISS, "read-miss", "counted: Load by a stranger")
ACTION(WRITE_MISS, "write-miss", "counted: Own or Store by a stranger")
ACTION(UPGRADE, "upgrade", "counted: Own or Store by a sharer")
ACTION(LINES, "lines", "not granted: the access is one to a line of the page")
ACTION(POISONED, "poisoned", "not granted: the content is lost")
ACTION(POISON, "poison", "the content is lost with this transition")
ACTION(CONFLICT, "conflict", "logs contradict each other")
ACTION(OVERFLOW, "overflow",
       "nothing changes: more sharers than a page's copyset can name; in no "
       "cell, but in place of `add` for pages")

#define A(action) CXLF_A_##action

/* Shapes of cells: leads to a state; changes none; waits; drops a holder */
#define TO(state, relation, event, next, actions, text, reference) \
    CELL(state, relation, event, next, next, next, actions, text, reference)
#define KEEP(state, relation, event, actions, text, reference) \
    CELL(state, relation, event, state, state, state, actions, text, \
         reference)
#define WAIT(state, relation, event, next, wait, actions, text, reference) \
    CELL(state, relation, event, next, next, wait, actions, text, reference)
#define LEAVE(state, relation, event, next, last, actions, text, reference) \
    CELL(state, relation, event, next, last, next, A(DROP) | (actions), \
         text, reference)
#define LOST(state, next, last, text) \
    CELL(state, HOLDER, LOSS, next, last, P, A(DROP) | A(POISON), text, \
         R_LOSS)

#define R_LOAD "CXL r3.1 3.3.5 MemRd, SnpData; 3.3.9 Cmp-S"
#define R_OWN "CXL r3.1 3.3.5 MemRd, SnpInv; 3.3.9 Cmp-E"
#define R_UPGRADE "CXL r3.1 3.3.5 MemInv, SnpInv; 3.3.9 Cmp-E"
#define R_INV "CXL r3.1 3.3.8 BISnpInv, 3.3.7 BIRspI"
#define R_DATA "CXL r3.1 3.3.8 BISnpData, 3.3.7 BIRspS"
#define R_WRITEBACK "CXL r3.1 3.3.8 BISnp, 3.3.6 MemWr before 3.3.7 BIRsp"
#define R_CACHE "no message: in the holder's cache"
#define R_CLEAN "CXL r3.1 3.3.5 MemClnEvct, 3.3.9 Cmp"
#define R_DIRTY "CXL r3.1 3.3.6 MemWr, 3.3.9 Cmp"
#define R_RSP_I "CXL r3.1 3.3.7 BIRspI"
#define R_RSP_S "CXL r3.1 3.3.7 BIRspS"
#define R_POISONED "CXL r3.1 3.3.10 MemData with poison"
#define R_CLEAR "CXL r3.1 8.2.9.9.4.3 Clear Poison"
#define R_READ "paper, shared read of HOT; " R_LOAD
#define R_WRITE "paper, coherent write of HOT; " R_OWN
#define R_DEATH "design: docs/protocol.md, Events; paper, failure handling"
#define R_LOSS R_DEATH
#define R_BUSY "design: docs/protocol-messages.md, Who executes the home"
#define R_ANSWER "design: docs/protocol-messages.md, Table for pages"
#define R_LINES "design: docs/protocol-messages.md, Lines and pages"
#define R_REBUILD \
    "design: docs/directory.md, Failure of a leaf; paper, failure " \
    "handling"

/* What a host that is no part of it cannot change */
#define APART(state, relation) \
    KEEP(state, relation, DEATH, 0, "The dead host does not hold it.", \
         R_DEATH) \
    KEEP(state, relation, LOSS, 0, "The dead host does not hold it.", R_LOSS)

/* There is no poison to clear. */
#define CLEAN(state, relation) \
    KEEP(state, relation, CLEAR, 0, "Nothing is poisoned.", R_CLEAR)

/* An answer where none is awaited from this host changes nothing. */
#define STALE_RSP_S(state, relation) \
    KEEP(state, relation, RSP_S, A(STALE), \
         "No write protection is awaited from it.", R_ANSWER)
#define STALE_ANSWERS(state, relation) \
    KEEP(state, relation, RSP_I, A(STALE), \
         "No answer is awaited from it.", R_ANSWER) \
    STALE_RSP_S(state, relation)

/* Requests that meet a transaction come again, whoever makes them. */
#define BUSY_REQUESTS(state, relation) \
    KEEP(state, relation, LOAD, A(BUSY), \
         "A transaction runs; the access comes again.", R_BUSY) \
    KEEP(state, relation, OWN, A(BUSY), \
         "A transaction runs; the access comes again.", R_BUSY) \
    KEEP(state, relation, RECALL, A(BUSY), \
         "A transaction runs; the recall comes again.", R_BUSY) \
    KEEP(state, relation, PROMOTE, A(BUSY), \
         "A transaction runs; the promotion comes again.", R_BUSY)

/*
 * A transient: whoever is no part of it; answers of those that it waits for,
 * the last of which leads to @done; and the end of its requester, after which
 * the others have what they still hold, @back.  Loss of a holder is written
 * for each state: a sharer's is its Death, an owner's poisons.
 */
#define TRANSIENT(state, done, back, on_done, done_text, back_text) \
    BUSY_REQUESTS(state, STRANGER) \
    KEEP(state, STRANGER, EVICT, 0, "It does not hold the page.", R_CLEAN) \
    APART(state, STRANGER) \
    CLEAN(state, STRANGER) \
    STALE_ANSWERS(state, STRANGER) \
    BUSY_REQUESTS(state, HOLDER) \
    LEAVE(state, HOLDER, EVICT, state, done, on_done, \
          "An eviction passes for the answer; " done_text, R_CLEAN) \
    LEAVE(state, HOLDER, RSP_I, state, done, on_done, \
          "It has zapped; " done_text, R_RSP_I) \
    LEAVE(state, HOLDER, DEATH, state, done, on_done, \
          "The dead answer nothing; " done_text, R_DEATH) \
    CLEAN(state, HOLDER) \
    BUSY_REQUESTS(state, REQUESTER) \
    TO(state, REQUESTER, EVICT, back, 0, \
       "The requester withdraws; " back_text, R_ANSWER) \
    TO(state, REQUESTER, DEATH, back, 0, \
       "The requester is dead; " back_text, R_DEATH) \
    TO(state, REQUESTER, LOSS, back, 0, \
       "The requester is dead, and had nothing to lose; " back_text, \
       R_LOSS) \
    CLEAN(state, REQUESTER) \
    STALE_ANSWERS(state, REQUESTER)

#define LOST_SHARER(state, done, on_done, done_text) \
    LEAVE(state, HOLDER, LOSS, state, done, on_done, \
          "A sharer has nothing to lose; " done_text, R_LOSS)
#define LOST_OWNER(state) \
    LOST(state, P, P, \
         "The owner died with what it wrote: the transaction ends without " \
         "a grant.")

/* I: nobody holds the unit, so every host is a stranger. */
TO(I, STRANGER, LOAD, S, A(READ_MISS) | A(ADD),
   "The first sharer.", R_READ)
TO(I, STRANGER, OWN, E, A(WRITE_MISS) | A(ONLY),
   "The host becomes the owner.", R_WRITE)
TO(I, STRANGER, STORE, M, A(WRITE_MISS) | A(ONLY),
   "The host becomes the owner, and writes.", R_WRITE)
KEEP(I, STRANGER, EVICT, 0, "It does not hold the unit.", R_CLEAN)
KEEP(I, STRANGER, RECALL, 0, "There is nobody to take it from.", R_INV)
TO(I, STRANGER, PROMOTE, L, 0, "From now on its lines are tracked.", R_LINES)
APART(I, STRANGER)
CLEAN(I, STRANGER)
STALE_ANSWERS(I, STRANGER)
TO(I, STRANGER, REBUILD_S, S, A(ADD), "The first sharer is back.", R_REBUILD)
TO(I, STRANGER, REBUILD_E, E, A(ONLY), "The owner is back.", R_REBUILD)
TO(I, STRANGER, REBUILD_P, P, A(POISON), "The poison is back.", R_REBUILD)

TO(S, STRANGER, LOAD, S, A(READ_MISS) | A(ADD),
   "One more sharer.", R_READ)
WAIT(S, STRANGER, OWN, E, S_E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY),
     "Sharers are invalidated, then the host owns.", R_WRITE "; " R_INV)
TO(S, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY),
   "Sharers are invalidated, then the host writes.", R_WRITE "; " R_INV)
KEEP(S, STRANGER, EVICT, 0, "It does not hold the unit.", R_CLEAN)
WAIT(S, STRANGER, RECALL, I, S_I, A(BISNP_INV),
     "All sharers are invalidated.", R_INV)
KEEP(S, STRANGER, PROMOTE, A(BUSY), "It must be recalled first.", R_LINES)
APART(S, STRANGER)
CLEAN(S, STRANGER)
STALE_ANSWERS(S, STRANGER)
TO(S, STRANGER, REBUILD_S, S, A(ADD), "One more sharer is back.", R_REBUILD)
TO(S, STRANGER, REBUILD_E, P, A(POISON) | A(CONFLICT),
   "One log says owned, another shared: neither can be trusted.", R_REBUILD)
TO(S, STRANGER, REBUILD_P, P, A(POISON) | A(CONFLICT),
   "A log says held, the owner's list poisoned: neither can be trusted.",
   R_REBUILD)
KEEP(S, HOLDER, LOAD, A(READ_HIT), "A sharer reads.", R_CACHE)
WAIT(S, HOLDER, OWN, E, S_E, A(UPGRADE) | A(BISNP_INV) | A(ONLY),
     "The other sharers are invalidated, then the host owns.",
     R_UPGRADE "; " R_INV)
TO(S, HOLDER, STORE, M, A(UPGRADE) | A(BISNP_INV) | A(ONLY),
   "The other sharers are invalidated, then the host writes.",
   R_UPGRADE "; " R_INV)
LEAVE(S, HOLDER, EVICT, S, I, 0, "A sharer gives its copy up.", R_CLEAN)
WAIT(S, HOLDER, RECALL, I, S_I, A(BISNP_INV),
     "All sharers are invalidated, whoever asks.", R_INV)
KEEP(S, HOLDER, PROMOTE, A(BUSY), "It must be recalled first.", R_LINES)
LEAVE(S, HOLDER, RSP_I, S, I, 0,
      "An answer after its transaction's end: the mapping is gone.", R_ANSWER)
STALE_RSP_S(S, HOLDER)
LEAVE(S, HOLDER, DEATH, S, I, 0, "A dead sharer leaves.", R_DEATH)
LEAVE(S, HOLDER, LOSS, S, I, 0,
      "A dead sharer leaves; it has modified nothing.", R_LOSS)
CLEAN(S, HOLDER)
KEEP(S, HOLDER, REBUILD_S, 0, "It is entered already.", R_REBUILD)
TO(S, HOLDER, REBUILD_E, P, A(POISON) | A(CONFLICT),
   "Its log says both owned and shared: it cannot be trusted.", R_REBUILD)
TO(S, HOLDER, REBUILD_P, P, A(POISON) | A(CONFLICT),
   "A log says held, the owner's list poisoned: neither can be trusted.",
   R_REBUILD)

WAIT(E, STRANGER, LOAD, S, E_S, A(READ_MISS) | A(BISNP_DATA) | A(ADD),
     "The owner is downgraded, and both share.", R_READ "; " R_DATA)
WAIT(E, STRANGER, OWN, E, E_E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY),
     "The owner is invalidated, then the host owns.", R_WRITE "; " R_INV)
TO(E, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY),
   "The owner is invalidated, then the host writes.", R_WRITE "; " R_INV)
KEEP(E, STRANGER, EVICT, 0, "It does not hold the unit.", R_CLEAN)
WAIT(E, STRANGER, RECALL, I, E_I, A(BISNP_INV),
     "The owner is invalidated.", R_INV)
KEEP(E, STRANGER, PROMOTE, A(BUSY), "It must be recalled first.", R_LINES)
APART(E, STRANGER)
CLEAN(E, STRANGER)
STALE_ANSWERS(E, STRANGER)
TO(E, STRANGER, REBUILD_S, P, A(POISON) | A(CONFLICT),
   "One log says shared, another owned: neither can be trusted.", R_REBUILD)
TO(E, STRANGER, REBUILD_E, P, A(POISON) | A(CONFLICT),
   "Two logs say owned: neither can be trusted.", R_REBUILD)
TO(E, STRANGER, REBUILD_P, P, A(POISON) | A(CONFLICT),
   "A log says held, the owner's list poisoned: neither can be trusted.",
   R_REBUILD)
KEEP(E, HOLDER, LOAD, A(READ_HIT), "The owner reads.", R_CACHE)
KEEP(E, HOLDER, OWN, A(WRITE_HIT), "It is the owner.", R_CACHE)
TO(E, HOLDER, STORE, M, A(WRITE_HIT), "The owner writes.", R_CACHE)
LEAVE(E, HOLDER, EVICT, I, I, 0, "The owner gives it up.", R_CLEAN)
WAIT(E, HOLDER, RECALL, I, E_I, A(BISNP_INV),
     "The owner is invalidated, though it asks itself.", R_INV)
KEEP(E, HOLDER, PROMOTE, A(BUSY), "It must be recalled first.", R_LINES)
LEAVE(E, HOLDER, RSP_I, I, I, 0,
      "An answer after its transaction's end: the mapping is gone.", R_ANSWER)
TO(E, HOLDER, RSP_S, S, 0,
   "An answer after its transaction's end: the mapping is read-only.",
   R_ANSWER)
LEAVE(E, HOLDER, DEATH, I, I, 0,
      "A dead owner leaves; what it wrote is kept.", R_DEATH)
LOST(E, I, I,
     "A dead owner leaves: a line is unmodified, and becomes I; a page may "
     "be modified, and is poisoned.")
CLEAN(E, HOLDER)
KEEP(E, HOLDER, REBUILD_S, 0, "It is entered already, as the owner.",
     R_REBUILD)
KEEP(E, HOLDER, REBUILD_E, 0, "It is entered already.", R_REBUILD)
TO(E, HOLDER, REBUILD_P, P, A(POISON) | A(CONFLICT),
   "A log says held, the owner's list poisoned: neither can be trusted.",
   R_REBUILD)

TO(M, STRANGER, LOAD, S,
   A(READ_MISS) | A(BISNP_DATA) | A(WRITEBACK) | A(ADD),
   "The owner writes back, and both share.", R_READ "; " R_WRITEBACK)
TO(M, STRANGER, OWN, E,
   A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY),
   "The owner writes back and is invalidated; then the host owns.",
   R_WRITE "; " R_WRITEBACK)
TO(M, STRANGER, STORE, M,
   A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY),
   "The owner writes back and is invalidated; then the host writes.",
   R_WRITE "; " R_WRITEBACK)
KEEP(M, STRANGER, EVICT, 0, "It does not hold the line.", R_CLEAN)
TO(M, STRANGER, RECALL, I, A(BISNP_INV) | A(WRITEBACK),
   "The owner writes back and is invalidated.", R_WRITEBACK)
APART(M, STRANGER)
CLEAN(M, STRANGER)
KEEP(M, HOLDER, LOAD, A(READ_HIT), "The owner reads.", R_CACHE)
KEEP(M, HOLDER, OWN, A(WRITE_HIT), "It is the owner.", R_CACHE)
KEEP(M, HOLDER, STORE, A(WRITE_HIT), "The owner writes.", R_CACHE)
LEAVE(M, HOLDER, EVICT, I, I, A(WRITEBACK),
      "The owner writes back and gives it up.", R_DIRTY)
TO(M, HOLDER, RECALL, I, A(BISNP_INV) | A(WRITEBACK),
   "The owner writes back and is invalidated, though it asks itself.",
   R_WRITEBACK)
LEAVE(M, HOLDER, DEATH, I, I, 0,
      "A dead owner leaves; what it wrote is kept.", R_DEATH)
LOST(M, P, P, "A dead owner leaves, and what it wrote is lost.")
CLEAN(M, HOLDER)

/* L: nobody holds the page as a page, so every host is a stranger. */
KEEP(L, STRANGER, LOAD, A(LINES), "The line's entry decides.", R_LINES)
KEEP(L, STRANGER, OWN, A(LINES), "The line's entry decides.", R_LINES)
TO(L, STRANGER, RECALL, L_I, 0,
   "Who asks becomes the requester, and takes the lines.", R_LINES)
KEEP(L, STRANGER, PROMOTE, 0, "It is tracked by lines already.", R_LINES)
KEEP(L, STRANGER, DEATH, 0, "Its lines have deaths of their own.", R_DEATH)
KEEP(L, STRANGER, LOSS, 0, "Its lines have losses of their own.", R_LOSS)
KEEP(L, STRANGER, CLEAR, 0, "Its lines are cleared one by one.", R_CLEAR)
STALE_ANSWERS(L, STRANGER)
TO(L, STRANGER, REBUILD_S, S, A(ADD),
   "The first sharer is back: the page was not one of lines.", R_REBUILD)
TO(L, STRANGER, REBUILD_E, E, A(ONLY),
   "The owner is back: the page was not one of lines.", R_REBUILD)
TO(L, STRANGER, REBUILD_P, P, A(POISON), "The poison is back.", R_REBUILD)

/* P: nobody holds what is lost, so every host is a stranger. */
KEEP(P, STRANGER, LOAD, A(POISONED), "The content is lost.", R_POISONED)
KEEP(P, STRANGER, OWN, A(POISONED), "The content is lost.", R_POISONED)
KEEP(P, STRANGER, STORE, A(POISONED),
     "The content is lost; a part of it cannot be written.", R_POISONED)
KEEP(P, STRANGER, EVICT, 0, "It does not hold the unit.", R_CLEAN)
KEEP(P, STRANGER, RECALL, 0, "There is nobody to take it from.", R_INV)
KEEP(P, STRANGER, PROMOTE, A(POISONED),
     "Its lines would be poisoned, all of them.", R_LINES)
APART(P, STRANGER)
TO(P, STRANGER, CLEAR, I, 0, "The content is given up for new.", R_CLEAR)
STALE_ANSWERS(P, STRANGER)
KEEP(P, STRANGER, REBUILD_S, 0, "No log brings the content back.", R_REBUILD)
KEEP(P, STRANGER, REBUILD_E, 0, "No log brings the content back.", R_REBUILD)
KEEP(P, STRANGER, REBUILD_P, 0, "It is entered already.", R_REBUILD)

TRANSIENT(S_E, E, S, A(GRANT), "after the last the requester owns.",
          "sharers that have not answered keep S.")
LOST_SHARER(S_E, E, A(GRANT), "after the last the requester owns.")
STALE_RSP_S(S_E, HOLDER)

TRANSIENT(E_E, E, E, A(GRANT), "the requester owns.",
          "the owner keeps E.")
LOST_OWNER(E_E)
STALE_RSP_S(E_E, HOLDER)

TRANSIENT(E_S, S, E, A(GRANT), "the requester is the first sharer.",
          "the owner keeps E.")
LOST_OWNER(E_S)
TO(E_S, HOLDER, RSP_S, S, A(GRANT),
   "It has write-protected; both share.", R_RSP_S)

TRANSIENT(S_I, I, S, 0, "after the last nobody holds it.",
          "sharers that have not answered keep S.")
LOST_SHARER(S_I, I, 0, "after the last nobody holds it.")
STALE_RSP_S(S_I, HOLDER)

TRANSIENT(E_I, I, E, 0, "nobody holds it.", "the owner keeps E.")
LOST_OWNER(E_I)
STALE_RSP_S(E_I, HOLDER)

/* L_I: the set is empty; who is not the requester is a stranger. */
BUSY_REQUESTS(L_I, STRANGER)
APART(L_I, STRANGER)
CLEAN(L_I, STRANGER)
STALE_ANSWERS(L_I, STRANGER)
BUSY_REQUESTS(L_I, REQUESTER)
TO(L_I, REQUESTER, DEMOTED, I, 0,
   "All lines are taken: it is a page again.", R_LINES)
TO(L_I, REQUESTER, DEATH, L, 0,
   "The requester is dead; lines that it has not taken live on.", R_DEATH)
TO(L_I, REQUESTER, LOSS, L, 0,
   "The requester is dead; lines that it has not taken live on.", R_LOSS)
CLEAN(L_I, REQUESTER)
STALE_ANSWERS(L_I, REQUESTER)

#undef A
#undef TO
#undef KEEP
#undef WAIT
#undef LEAVE
#undef LOST
#undef R_LOAD
#undef R_OWN
#undef R_UPGRADE
#undef R_INV
#undef R_DATA
#undef R_WRITEBACK
#undef R_CACHE
#undef R_CLEAN
#undef R_DIRTY
#undef R_RSP_I
#undef R_RSP_S
#undef R_POISONED
#undef R_CLEAR
#undef R_READ
#undef R_WRITE
#undef R_DEATH
#undef R_LOSS
#undef R_BUSY
#undef R_ANSWER
#undef R_LINES
#undef R_REBUILD
#undef APART
#undef CLEAN
#undef STALE_RSP_S
#undef STALE_ANSWERS
#undef BUSY_REQUESTS
#undef TRANSIENT
#undef LOST_SHARER
#undef LOST_OWNER
#undef STATE
#undef RELATION
#undef EVENT
#undef MESSAGE
#undef ACTION
#undef CELL
