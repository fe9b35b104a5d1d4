/* The counters for SPIN: a loop of guarded steps, each one transition. */
byte at[5];
byte turn;

active proctype counters() {
  do
  :: d_step { at[0] < TOP -> at[0]++; turn = (turn == 6 -> 0 : turn + 1) }
  :: d_step { at[1] < TOP -> at[1]++; turn = (turn == 6 -> 0 : turn + 1) }
  :: d_step { at[2] < TOP -> at[2]++; turn = (turn == 6 -> 0 : turn + 1) }
  :: d_step { at[3] < TOP -> at[3]++; turn = (turn == 6 -> 0 : turn + 1) }
  :: d_step { at[4] < TOP -> at[4]++; turn = (turn == 6 -> 0 : turn + 1) }
  od
}
