// The writer's COMMIT, of our own version or of one that was left behind (docs/protocol.md, Write 3).

import Fingerprint

/// A certified version on its way to being committed by a quorum.
struct CommitPhase: Sendable {
    let message: Commit
    /// The version's, for servers that do not have it.
    let descriptor: SealedDescriptor
    /// Whether an earlier run of this client left the version behind; our own goes on afterwards.
    let isRecovery: Bool
    var acknowledged: PositionSet = []

    init(_ message: Commit, of descriptor: SealedDescriptor, isRecovery: Bool) {
        self.message = message
        self.descriptor = descriptor
        self.isRecovery = isRecovery
    }

    var timestamp: Timestamp { message.certificate.timestamp }
}

extension Writer {
    mutating func beginCommit(
        _ certificate: Certificate, of descriptor: SealedDescriptor, isRecovery: Bool, into effects: inout [Effect]
    ) {
        let message = Commit(key: key, certificate: certificate)
        beginRound(.commit(CommitPhase(message, of: descriptor, isRecovery: isRecovery)))
        for server in quorums.positions { effects.append(.send(server, .commit(message))) }
    }

    /// Takes an answer to COMMIT.
    mutating func acknowledged(
        _ timestamp: Timestamp, needsDescriptor: Bool, by server: Position, into effects: inout [Effect]
    ) {
        guard case .commit(var commit) = phase,
            timestamp == commit.timestamp || isPlanted(.anyAcknowledgementCounts)
        else { return }
        if needsDescriptor, !commit.acknowledged.contains(server) {
            let describe = Describe(key: key, timestamp: commit.timestamp, descriptor: commit.descriptor)
            effects.append(.send(server, .describe(describe)))
        }
        commit.acknowledged.insert(server)
        phase = .commit(commit)
        observations.withdrawRefusal(of: server)
        let enough = isPlanted(.oneAcknowledgement) ? 1 : quorums.quorum
        if commit.acknowledged.count >= enough { finish(commit, into: &effects) }
    }

    /// Ends the write, or the recovery: a quorum has committed the version.
    private mutating func finish(_ commit: CommitPhase, into effects: inout [Effect]) {
        let proof = VerifiedCertificate(key: key, certificate: commit.message.certificate)
        if commit.isRecovery {
            goOn(above: proof, into: &effects)
            return
        }
        observations.slow = overdue.map(placement.node(at:))
        finish(
            .success(
                WriteOutcome(timestamp: commit.timestamp, proof: proof, rounds: rounds, observations: observations)),
            into: &effects)
    }

    /// Goes on with our own version after a recovery. Some servers may hold it already, and one write must not be able
    /// to take effect under two timestamps: it gets a new one only if the version that a quorum has just committed is
    /// higher, for then the old one can never surface again.
    private mutating func goOn(above recovered: VerifiedCertificate, into effects: inout [Effect]) {
        guard recovered.timestamp < own.timestamp else {
            beginAnew(into: &effects)
            return
        }
        tally.prove(recovered)
        own.raiseBase(to: recovered.timestamp)
        own.fullness = Fullness()
        observations.refusals = [:]
        resume(into: &effects)
    }
}
