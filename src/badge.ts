/**
 * `tallymark/badge`: a number as a small picture for a README or a page, as JSON for shields.io, and the answer to a request for either.
 *
 *     const { status, headers, body } = badgeAnswer(badge({ label: 'views', value: await counter.count('/') }), request.headers['if-none-match'])
 *
 * Runs wherever JavaScript does: nothing of Node's is needed.
 */
export { type BadgeAnswer, badgeAnswer } from './badge/answer.ts'
export { type BadgeColor, badgeColors } from './badge/color.ts'
export { type BadgeEndpoint, type BadgeEndpointOptions, badgeEndpoint } from './badge/endpoint.ts'
export { type BadgeOptions, type BadgeStyle, badge } from './badge/svg.ts'
