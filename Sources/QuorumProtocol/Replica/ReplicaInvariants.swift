extension Replica {
    /// Which of the invariants that hold between any two inputs is broken, or nil: a bug of our own, whatever peers
    /// send. For the simulator and tests.
    package var brokenInvariant: String? {
        for place in objects.at.indices where objects.at[place].isOpen {
            // Field by field: an object is too large to be copied after each input of a million runs.
            let isLoaded = objects.at[place].record != nil
            let hasReads = !objects.at[place].reads.isEmpty
            let hasChanges = !objects.at[place].changes.isEmpty
            let isStoring = objects.at[place].isStoring
            if !hasReads, !hasChanges, !isStoring { return "an idle object was not forgotten" }
            if isLoaded, hasReads { return "a read waits although the record is there" }
            if isLoaded, hasChanges, !isStoring { return "a change waits for nothing" }
            if let broken = objects.at[place].record?.brokenInvariant { return broken }
            if let broken = objects.at[place].inFlight?.record.brokenInvariant { return broken }
            if isStoring, objects.at[place].inFlight?.token.place != place {
                return "a change under way is another object's"
            }
        }
        return nil
    }

    /// Traps when an invariant is broken.
    package func checkInvariants() {
        if let brokenInvariant { preconditionFailure(brokenInvariant) }
    }
}
