/* struct commit: the thread that writes and syncs one frame at a time.
 *
 * While it works, the loop thread gathers the next frame; that is the whole of group commit. */
#pragma once

#include "log.h"

struct commit;

/* event_fd is written to after each frame. */
struct commit *commit_start(int event_fd);

/* Waits for the frame in hand, then stops the thread and frees. */
void commit_stop(struct commit *commit);

/* Nothing is in hand, so a frame may be handed over. */
bool commit_is_idle(struct commit *commit);

/* Hands the frame over; the thread must be idle. */
void commit_submit(struct commit *commit, struct frame *frame, struct log_place place);

/* The sequence of the last frame that has been synced; 0 when there is none. */
uint64_t commit_synced(struct commit *commit);

/* As commit_synced(), but waits while a frame is in hand. */
uint64_t commit_wait(struct commit *commit);
