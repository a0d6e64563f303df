/** For tests of applications and of stores: `tallymark/testing`. Works with any test framework. */

export {
	type FaultMode,
	type FaultTarget,
	FaultyStore,
	type FaultyStoreOptions,
	type SentBatch,
	type StoreOperation,
} from './testing/faulty-store.ts'
export { ManualClock } from './testing/manual-clock.ts'
export { type ContractCase, type StoreContractOptions, type StoreUnderTest, storeContract } from './testing/store-contract.ts'
