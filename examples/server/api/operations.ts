/** Every endpoint of the document, in the order in which it shows them. */
import { dashboardOperations } from '../dashboard/operations.ts'
import { analyticsOperations } from '../routes/analytics.ts'
import { badgeOperations } from '../routes/badges.ts'
import { bucketOperations } from '../routes/buckets.ts'
import { counterOperations } from '../routes/counters.ts'
import { eventOperations } from '../routes/events.ts'
import { healthOperations } from '../routes/health.ts'
import { metricsOperations } from '../routes/metrics.ts'
import { tallyOperations } from '../routes/tally.ts'
import { trackOperations } from '../routes/track.ts'
import { visitOperations } from '../routes/visits.ts'
import type { Operation } from './operation.ts'

export const operations: readonly Operation[] = [
	...visitOperations,
	...trackOperations,
	...eventOperations,
	...counterOperations,
	...analyticsOperations,
	...bucketOperations,
	...badgeOperations,
	...tallyOperations,
	...dashboardOperations,
	...healthOperations,
	...metricsOperations,
]
