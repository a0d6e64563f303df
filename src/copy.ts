/** `tallymark/copy`: the numbers of a namespace into another store, or into a file and back. */
export { type CompareOptions, type CompareReport, compare } from './copy/compare.ts'
export { type CopyOptions, type CopyReport, copy } from './copy/copy.ts'
export type { NumbersOptions, StopSignal } from './copy/opened.ts'
export type { CopyProgress } from './copy/progress.ts'
export { type RestoreOptions, restore } from './copy/restore.ts'
export { type SnapshotOptions, snapshot } from './copy/snapshot.ts'
