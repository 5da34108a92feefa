// What holds of the writer and the reader between any two inputs, whatever servers send: anything else is a bug of our
// own. For the simulator and tests.

import Fingerprint

extension Writer {
    /// Which of the writer's invariants is broken, or nil.
    package var brokenInvariant: String? {
        for position in statements.inOrder.indices where !statements.inOrder[position].claim.accepts {
            return "a statement of \(statements.inOrder[position].node) counts that accepts nothing"
        }
        if spares.count > quorums.faults { return "more servers are spared than may fail" }
        switch phase {
        case .encode:
            return memory == .trusted ? nil : "a write that has begun waits for its value"
        case .readTimestamp:
            // Its timestamp will be above whatever is there: there is nothing to doubt.
            return memory == .none || memory == .overtaken ? nil : "a timestamp is read beside a remembered one"
        case .complete, .doubt, .finished:
            return nil
        case .prepare(let timestamp):
            guard let encoded, timestamp.digest == encoded.descriptor.digest, timestamp.writer == writer else {
                return "a timestamp is prepared that does not name this writer's value"
            }
            // The base rises when a higher version is found below our own.
            if timestamp.counter > base.counter &+ 1 { return "the counter is more than one above the base's" }
            if timestamp.counter == 0 || !base.precedes(timestamp) { return "the base is not below our own version" }
            return statements.count < quorums.quorum ? nil : "a certified version is not committed"
        case .commit(let commit, let descriptor, _):
            if commit.certificate.timestamp.digest != descriptor.digest { return "a COMMIT's descriptor is another's" }
            if acknowledged.count >= quorums.quorum { return "a quorum has acknowledged the COMMIT, and it goes on" }
            return brokenCommitInvariant(commit, quorums: quorums)
        }
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
