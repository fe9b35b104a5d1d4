/* The final design's world (model/final.py) as a SPIN user would write it: by hand, not exported.
 *
 * 2 slots, 3 requests (the first has a leftover thread: party 3), bodies of 2 blocks, 2 buffers,
 * one party that keeps views (party 0), one request that detaches its body (request 0).
 * It reaches exactly the states of model/final.py, which is how one knows that it is the same world.
 * What never happens there (ghost flags, attempts that are always refused) is asserted or left out;
 * so are D1, P1, P2, P3, P4, P7, P8, and that the world ends nowhere but where all is over.
 *
 * SPIN leaves variables out of the state that nobody reads: `owned` is asserted for that reason too.
 *
 *   spin -a final_world.pml
 *   gcc -O2 -DSAFETY -DBFS -DNOREDUCE -o pan pan.c && ./pan -w22
 */
#ifndef SLOTS
#define SLOTS 2
#define REQUESTS 3
#endif
#define LEFTOVER REQUESTS
#define PARTIES (REQUESTS + 1)
#define NOBODY REQUESTS
#define NONE SLOTS

#define S_FREE 0
#define S_OPEN 1
#define S_CLOSING 2
#define L_NONE 0
#define L_COPY 1
#define L_VIEW 2
#define B_FREE 0
#define B_USED 1
#define B_GONE 2
#define NEW 0
#define LIVE 1
#define OVER 2
#define DEAD 3
#define MORE 0
#define ENDED 1
#define CUT 2
#define IDLE 0
#define WAITING 1
#define COPYING 2
#define VIEWING 3
#define DROPPED 4
#define LEFT 5

byte state[SLOTS], gen[SLOTS], leased[SLOTS], held[SLOTS];
byte owner[SLOTS] = NOBODY;
bool waiting[SLOTS], ended[SLOTS], failed[SLOTS], detached[SLOTS], paused[SLOTS];
byte place[2], tag[2] = NOBODY, inside[2] = NONE;
byte phase[REQUESTS], handle[REQUESTS], stamp[REQUESTS], wire[REQUESTS], fed[REQUESTS];
bool reading[REQUESTS], closed[REQUESTS], lost[REQUESTS], owned[REQUESTS];
byte doing[PARTIES], current[PARTIES];
bool called[PARTIES];
byte kept;

#define H(r) handle[r]
#define VALID(r) (stamp[r] == gen[H(r)])
#define OPENED(r) (VALID(r) && state[H(r)] == S_OPEN)
#define ON_LINE(r) (phase[r] == LIVE || phase[r] == OVER)
#define FLOWS(r) (OPENED(r) && !ended[H(r)] && !failed[H(r)])
#define VIEWS(p, k) ((doing[p] == VIEWING || doing[p] == LEFT) && current[p] == k)
#define IF_OTHER(q, p, k) (q != p && VIEWS(q, k))
#if REQUESTS == 3
#define SEEN_BUT(k, p) (IF_OTHER(0, p, k) || IF_OTHER(1, p, k) || IF_OTHER(2, p, k) || IF_OTHER(3, p, k) || kept == k + 1)
#else
#define SEEN_BUT(k, p) (IF_OTHER(0, p, k) || IF_OTHER(1, p, k) || IF_OTHER(2, p, k) || kept == k + 1)
#endif
#define SEEN(k) SEEN_BUT(k, 9)
#define FIRST(s) (inside[0] == s -> 0 : (inside[1] == s -> 1 : 0))
#define HANDLER_MAY(r) (phase[r] == LIVE)
#define LEFTOVER_MAY(r) (phase[r] == LIVE || phase[r] == OVER)
#define VIRGIN(s) (gen[s] == 0 && owner[s] == NOBODY)

#if REQUESTS == 3
#define CALL_THIRD(s) CALL_ONE(2, 2, s);
#else
#define CALL_THIRD(s)
#endif

#define FREE_BLOCK(k, seen) \
  assert(place[k] == B_USED); \
  if \
  :: seen -> place[k] = B_GONE \
  :: else -> place[k] = B_FREE; tag[k] = NOBODY \
  fi; \
  inside[k] = NONE

#define RESUME(s) \
  if \
  :: paused[s] -> paused[s] = false; reading[owner[s]] = true \
  :: else \
  fi

#define RECYCLE(s, seen0, seen1) \
  if :: inside[0] == s -> FREE_BLOCK(0, seen0) :: else fi; \
  if :: inside[1] == s -> FREE_BLOCK(1, seen1) :: else fi; \
  RESUME(s); \
  assert(state[s] != S_FREE); \
  state[s] = S_FREE; gen[s]++; leased[s] = L_NONE; held[s] = 0; owner[s] = NOBODY; \
  waiting[s] = false; ended[s] = false; failed[s] = false; detached[s] = false

#define CALL_ONE(p, r, s) \
  if \
  :: doing[p] == WAITING && H(r) == s && stamp[r] == gen[s] -> called[p] = true \
  :: else \
  fi

#define CALL(s) \
  CALL_ONE(0, 0, s); CALL_ONE(1, 1, s); \
  CALL_THIRD(s) \
  CALL_ONE(LEFTOVER, 0, s)

#define GIVE_UP(r) closed[r] = true; wire[r] = MORE; fed[r] = 0

#define END_VIEW(p, r, seen0, seen1, mine) \
  assert(place[current[p]] != B_FREE && tag[current[p]] == r); \
  if \
  :: place[current[p]] == B_GONE && !(mine) -> place[current[p]] = B_FREE; tag[current[p]] = NOBODY \
  :: else \
  fi; \
  if \
  :: !VALID(r) \
  :: VALID(r) && state[H(r)] == S_CLOSING -> RECYCLE(H(r), seen0, seen1) \
  :: else -> \
     held[H(r)]--; leased[H(r)] = L_NONE; \
     if :: held[H(r)] <= 1 -> RESUME(H(r)) :: else fi; \
     if \
     :: current[p] == 0 -> FREE_BLOCK(0, seen0) \
     :: else -> FREE_BLOCK(1, seen1) \
     fi \
  fi; \
  current[p] = 0

#define BEGIN(r, s, turn, first) \
  :: d_step { phase[r] == NEW && state[s] == S_FREE && (turn) && (first) -> \
     assert(owner[s] == NOBODY); \
     owner[s] = r; state[s] = S_OPEN; phase[r] = LIVE; H(r) = s; stamp[r] = gen[s]; reading[r] = true }

#define FEED(r, k, lowest) \
  :: d_step { ON_LINE(r) && wire[r] == MORE && fed[r] < 2 && reading[r] && (lowest) && (FLOWS(r) || !closed[r]) -> \
     if \
     :: FLOWS(r) -> \
        CALL(H(r)); \
        held[H(r)]++; place[k] = B_USED; tag[k] = r; inside[k] = H(r); \
        if :: held[H(r)] >= 2 -> paused[H(r)] = true; reading[r] = false :: else fi \
     :: else -> lost[r] = true \
     fi; \
     fed[r]++ }

#define FINISH(r) \
  :: d_step { ON_LINE(r) && wire[r] == MORE && (FLOWS(r) || !closed[r]) -> \
     if :: FLOWS(r) -> CALL(H(r)); ended[H(r)] = true :: else -> lost[r] = true fi; \
     wire[r] = ENDED }

#define CUT_OFF(r) \
  :: d_step { ON_LINE(r) && wire[r] == MORE && (FLOWS(r) || !closed[r]) -> \
     if :: FLOWS(r) -> CALL(H(r)); failed[H(r)] = true; RESUME(H(r)) :: else -> lost[r] = true fi; \
     wire[r] = CUT }

#define MAY_LEASE(r) (OPENED(r) && leased[H(r)] == L_NONE && !waiting[H(r)])

#define READ(p, r, may) \
  :: d_step { may(r) && doing[p] == IDLE && MAY_LEASE(r) && !failed[H(r)] && held[H(r)] > 0 -> \
     leased[H(r)] = L_COPY; doing[p] = COPYING; current[p] = FIRST(H(r)) }

#define VIEW(p, r, may) \
  :: d_step { may(r) && doing[p] == IDLE && MAY_LEASE(r) && !failed[H(r)] && held[H(r)] > 0 -> \
     leased[H(r)] = L_VIEW; doing[p] = VIEWING; current[p] = FIRST(H(r)) }

#define SLEEP(p, r, may) \
  :: d_step { may(r) && doing[p] == IDLE && MAY_LEASE(r) && held[H(r)] == 0 && !ended[H(r)] && !failed[H(r)] -> \
     waiting[H(r)] = true; doing[p] = WAITING; called[p] = false }

#define WAKE(p, r, when, lease, does) \
  :: d_step { doing[p] == WAITING && (when) -> \
     called[p] = false; doing[p] = IDLE; \
     if \
     :: VALID(r) -> \
        assert(waiting[H(r)]); \
        waiting[H(r)] = false; \
        if \
        :: held[H(r)] > 0 && !failed[H(r)] -> \
           leased[H(r)] = lease; doing[p] = does; current[p] = FIRST(H(r)) \
        :: else \
        fi \
     :: else \
     fi }

#define COPIED(p, r, f) \
  :: d_step { doing[p] == COPYING -> \
     assert(VALID(r) && place[current[p]] != B_FREE && tag[current[p]] == r); \
     if \
     :: state[H(r)] == S_CLOSING -> RECYCLE(H(r), SEEN(0), SEEN(1)) \
     :: else -> \
        held[H(r)] = held[H(r)] - f; leased[H(r)] = L_NONE; \
        if :: held[H(r)] <= 1 -> RESUME(H(r)) :: else fi; \
        if \
        :: f == 1 && current[p] == 0 -> FREE_BLOCK(0, SEEN(0)) \
        :: f == 1 && current[p] == 1 -> FREE_BLOCK(1, SEEN(1)) \
        :: else \
        fi \
     fi; \
     doing[p] = IDLE; current[p] = 0 }

#define VIEWED(p, r, may) \
  :: d_step { doing[p] == VIEWING && may(r) -> \
     END_VIEW(p, r, SEEN_BUT(0, p), SEEN_BUT(1, p), (current[p] == 0 -> SEEN_BUT(0, p) : SEEN_BUT(1, p))); \
     doing[p] = IDLE }

#define KEEPS(p, r, may) \
  :: d_step { doing[p] == VIEWING && may(r) && kept == 0 -> \
     kept = current[p] + 1; \
     END_VIEW(p, r, SEEN_BUT(0, p), SEEN_BUT(1, p), true); \
     doing[p] = IDLE }

#define FORGET \
  :: d_step { kept > 0 -> \
     kept = kept - 1; \
     assert(place[kept] != B_FREE && tag[kept] == 0); \
     if \
     :: place[kept] == B_GONE && !LOOKED(kept) -> place[kept] = B_FREE; tag[kept] = NOBODY \
     :: else \
     fi; \
     kept = 0 }

#if REQUESTS == 3
#define LOOKED(k) (VIEWS(0, k) || VIEWS(1, k) || VIEWS(2, k) || VIEWS(3, k))
#define DROPPED_ALL(r) (doing[r] == DROPPED && (r != 0 || doing[LEFTOVER] == DROPPED))
#else
#define LOOKED(k) (VIEWS(0, k) || VIEWS(1, k) || VIEWS(2, k))
#define DROPPED_ALL(r) (doing[r] == DROPPED && (r != 0 || doing[LEFTOVER] == DROPPED))
#endif

#define CLOSE(p, r, may) \
  :: d_step { may(r) && (doing[p] == IDLE || doing[p] == VIEWING) && (OPENED(r) || !closed[r]) -> \
     if \
     :: OPENED(r) -> \
        assert(!closed[r]); \
        CALL(H(r)); \
        if \
        :: leased[H(r)] != L_NONE -> state[H(r)] = S_CLOSING; RESUME(H(r)) \
        :: else -> RECYCLE(H(r), SEEN(0), SEEN(1)) \
        fi \
     :: else \
     fi; \
     GIVE_UP(r) }

#define DETACH(r) \
  :: d_step { phase[r] == LIVE && doing[r] == IDLE && OPENED(r) && !detached[H(r)] -> \
     detached[H(r)] = true; owned[r] = true }

#define RELEASE(r) \
  :: d_step { phase[r] == LIVE && (doing[r] == IDLE || doing[r] == VIEWING) -> \
     if \
     :: !VALID(r) -> GIVE_UP(r) \
     :: VALID(r) && state[H(r)] == S_OPEN && detached[H(r)] -> assert(owned[r] && !closed[r]) \
     :: VALID(r) && state[H(r)] != S_OPEN && leased[H(r)] == L_COPY -> GIVE_UP(r) \
     :: VALID(r) && state[H(r)] == S_OPEN && !detached[H(r)] && leased[H(r)] == L_COPY -> \
        CALL(H(r)); state[H(r)] = S_CLOSING; RESUME(H(r)); GIVE_UP(r) \
     :: else -> CALL(H(r)); RECYCLE(H(r), SEEN(0), SEEN(1)); GIVE_UP(r) \
     fi; \
     phase[r] = OVER; \
     if :: doing[r] == IDLE -> doing[r] = DROPPED :: else fi }

#define DROP_VIEW(r) \
  :: d_step { phase[r] == OVER && doing[r] == VIEWING -> doing[r] = LEFT }

#define DRAIN(p, r) \
  :: d_step { doing[p] == LEFT -> \
     END_VIEW(p, r, SEEN_BUT(0, p), SEEN_BUT(1, p), (current[p] == 0 -> SEEN_BUT(0, p) : SEEN_BUT(1, p))); \
     doing[p] = DROPPED }

#define FINALIZE(r) \
  :: d_step { phase[r] == OVER && DROPPED_ALL(r) && (closed[r] || wire[r] != MORE) -> \
     if :: VALID(r) -> CALL(H(r)); RECYCLE(H(r), SEEN(0), SEEN(1)) :: else fi; \
     phase[r] = DEAD; H(r) = 0; stamp[r] = 0; GIVE_UP(r) }

#define LOOP(r) \
  FEED(r, 0, place[0] == B_FREE) \
  FEED(r, 1, place[0] != B_FREE && place[1] == B_FREE) \
  FINISH(r) CUT_OFF(r) RELEASE(r) FINALIZE(r)

#define PARTY(p, r, may) \
  READ(p, r, may) VIEW(p, r, may) SLEEP(p, r, may) \
  WAKE(p, r, called[p], L_COPY, COPYING) WAKE(p, r, called[p], L_VIEW, VIEWING) \
  WAKE(p, r, !called[p], L_COPY, COPYING) COPIED(p, r, 0) COPIED(p, r, 1) \
  VIEWED(p, r, may) CLOSE(p, r, may)

active proctype world() {
  do
  BEGIN(0, 0, true, true)
  BEGIN(1, 0, true, true)
#if SLOTS == 2
  BEGIN(0, 1, true, !(VIRGIN(0) && VIRGIN(1)))
  BEGIN(1, 1, true, !(VIRGIN(0) && VIRGIN(1)))
#endif
#if REQUESTS == 3
  BEGIN(2, 0, phase[1] != NEW, true)
  BEGIN(2, 1, phase[1] != NEW, !(VIRGIN(0) && VIRGIN(1)))
  LOOP(2)
  PARTY(2, 2, HANDLER_MAY)
  DROP_VIEW(2)
  DRAIN(2, 2)
#endif
  LOOP(0)
  LOOP(1)
  PARTY(0, 0, HANDLER_MAY)
  PARTY(1, 1, HANDLER_MAY)
  PARTY(LEFTOVER, 0, LEFTOVER_MAY)
  KEEPS(0, 0, HANDLER_MAY)
  FORGET
  DETACH(0)
  DROP_VIEW(0)
  DROP_VIEW(1)
  :: d_step { phase[0] != NEW && doing[LEFTOVER] == IDLE -> doing[LEFTOVER] = DROPPED }
  DRAIN(0, 0)
  DRAIN(1, 1)
  :: d_step { phase[0] == DEAD && phase[1] == DEAD && phase[REQUESTS - 1] == DEAD && kept == 0 ->
     assert(state[0] == S_FREE && state[SLOTS - 1] == S_FREE && place[0] == B_FREE && place[1] == B_FREE) }
  od
}
