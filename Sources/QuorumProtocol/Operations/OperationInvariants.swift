// What holds of the writer and the reader between any two inputs, whatever servers send: anything else is a bug of our
// own. For the simulator and tests.

import Fingerprint

extension Writer {
    /// Which of the writer's invariants is broken, or nil.
    package var brokenInvariant: String? {
        if spares.count > quorums.faults { return "more servers are spared than may fail" }
        if preparation != nil, let broken = brokenPreparationInvariant { return broken }
        switch phase {
        case .encode:
            if preparation != nil { return "a version is prepared whose value is not encoded" }
            return memory == .trusted ? nil : "a write that has begun waits for its value"
        case .readTimestamp:
            if preparation != nil { return "a version is prepared whose timestamp is still to be found" }
            // Its timestamp will be above whatever is there: there is nothing to doubt.
            return memory == .none || memory == .overtaken ? nil : "a timestamp is read beside a remembered one"
        case .prepare:
            if preparation == nil { return "PREPARE is for no version" }
            return own.statements.count < quorums.quorum ? nil : "a certified version is not committed"
        case .complete, .doubt:
            return preparation == nil ? "the write's own version is gone" : nil
        case .commit(let commit):
            if preparation == nil { return "the write's own version is gone" }
            if commit.timestamp.digest != commit.descriptor.digest { return "a COMMIT's descriptor is another's" }
            if commit.acknowledged.count >= quorums.quorum {
                return "a quorum has acknowledged the COMMIT, and it goes on"
            }
            return brokenCommitInvariant(commit.message, quorums: quorums)
        case .finished:
            return nil
        }
    }

    private var brokenPreparationInvariant: String? {
        for position in own.statements.inOrder.indices where !own.statements.inOrder[position].claim.accepts {
            return "a statement of \(own.statements.inOrder[position].node) counts that accepts nothing"
        }
        if own.timestamp.digest != own.descriptor.digest || own.timestamp.writer != writer {
            return "a timestamp is prepared that does not name this writer's value"
        }
        // The base rises when a higher version is found below our own.
        let base = own.base.timestamp
        if own.timestamp.counter > base.counter &+ 1 { return "the counter is more than one above the base's" }
        if own.timestamp.counter == 0 || !base.precedes(own.timestamp) {
            return "the base is not below our own version"
        }
        return nil
    }
}

extension Reader {
    /// Which of the reader's invariants is broken, or nil.
    package var brokenInvariant: String? {
        if statementsUnderWay < 0 { return "more statements were checked than were to be" }
        for place in candidates.at.indices {
            for server in candidates.at[place].verifying where !candidates.at[place].hasFragments(of: server) {
                return "fragments of \(server) are being checked that are not expected"
            }
        }
        switch phase {
        case .read:
            return acknowledged.isEmpty ? nil : "acknowledgements count before anything is written back"
        case .writeBack(let commit):
            // Acknowledged by a quorum or not, it is not the answer while a higher claim is being checked.
            return brokenCommitInvariant(commit, quorums: quorums)
        case .finished:
            return nil
        }
    }
}

private func brokenCommitInvariant(_ commit: Commit, quorums: QuorumConfiguration) -> String? {
    if commit.certificate.statements.count != quorums.quorum { return "a COMMIT's certificate has not q statements" }
    return nil
}
