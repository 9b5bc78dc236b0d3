/* Which rows a plan need not follow twice. For the planner alone. */
#pragma once

#include "plan.h"

/* Sets `distinct` of the steps whose rows may be alike in all columns that the steps behind them
 * and the answer look at. given: the slots that are bound before the plan runs. */
void plan_find_distinct(struct plan *plan, struct arena *arena, uint32_t given);
