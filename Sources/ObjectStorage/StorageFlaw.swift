// Deliberate bugs of the store, to prove that its campaign would see the real ones. They exist only in builds with the
// trait PlantedFlaws; everywhere else `isPlanted` is the constant false and the flawed branch is compiled away.

/// A rule of the store (docs/storage.md) that can be left out on purpose.
package enum StorageFlaw: String, Sendable, CaseIterable {
    /// A batch is acknowledged before it is synced.
    case syncOmitted
    /// The name of a new segment is not made durable before batches go into it.
    case segmentNameUnsynced
    /// What a killed process left in memory is replayed without having been made durable.
    case settleOmitted
    /// The last batch of the journal is accepted although its parts are torn.
    case tornTailAccepted
    /// The remains of a torn batch stay where they are.
    case tornTailLeft
    /// The last whole batch of the journal is not applied, and written over.
    case replayEndsEarly
    /// A damaged batch that others follow counts as the journal's end.
    case rotTakenForTorn
    /// The index's position is not in the same write as what the batch changes.
    case positionApart
    /// Space is given back before the index on the disk knows that it is dead.
    case reclaimBeforeIndexed
    /// A segment is removed before the index on the disk knows that nothing lives there.
    case removalBeforeIndexed
    /// A part is handed out without a look at its checksum.
    case partUnchecked
    /// A part is moved without a look at its checksum, and gets a new one.
    case movedUnchecked
    /// What is moved was looked up a step earlier.
    case movedLate
    /// Parts of the last batch are given back, which then looks torn.
    case lastBatchGivenBack
    /// What the index could be made from is given back at once.
    case factsForgotten
    /// What was said again counts from the end of the round on, not from its beginning.
    case horizonTooLate
    /// Parts are left out of what is said again.
    case partsNotRestated
    /// What frees space may use no more room than what stores.
    case freeingLikeStoring
}

/// Whether the flaw is planted in this run.
@inline(__always)
func isPlanted(_ flaw: StorageFlaw) -> Bool {
    #if PlantedFlaws
        StorageFlaw.planted == flaw
    #else
        false
    #endif
}

#if PlantedFlaws
    extension StorageFlaw {
        /// The one flaw of this run; set before a store runs, and not while one does.
        nonisolated(unsafe) package static var planted: StorageFlaw?
    }
#endif
