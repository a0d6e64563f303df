/** How far a rebalance has come, and what came of it. */
import type { TallymarkError } from '../../../errors.ts'
import type { Move } from '../../../hash/placement-plan.ts'
import type { MoveOutcome, MoveStep, MoveTask } from './move.ts'
import type { RebalancePlan, RebalanceReport } from './rebalance.ts'
