// How a writer that began with a remembered certificate makes sure that its place in the order is still free
// (docs/protocol.md, Remembered certificates; after Q/U, SOSP 2005).
//
// Its timestamp is one above a version that it knows to be committed. If none of the q servers that sign for it names a
// committed version above its own, no write that had ended before this one began is above it: such a write is committed
// at q servers, and one correct server is among both. A server that does name one may lie, or the version may be
// poisonous. So the writer reads the object as a reader does, which establishes the highest sound version at q servers:
//
// - It is above our own: our own can never surface again, and the write begins anew with READ-TIMESTAMP, under a new
//   timestamp. (Before a quorum has it, our own might yet be committed by a later recovery, beside the new one.)
// - It is below: whatever is above came while we wrote, and the write goes on under its own timestamp. Whoever names
//   something above it from now on says nothing new.
//
// A writer that full servers keep back does the same, whatever it began with (WriterRecovery.swift).

import Fingerprint

extension Writer {
    enum Memory: Sendable {
        /// The write began with READ-TIMESTAMP.
        case none
        /// No server has named a version above our own.
        case trusted
        /// One has.
        case doubtful
        /// What is above our own is concurrent with it.
        case confirmed
        /// A quorum has something above it: the write has begun anew with READ-TIMESTAMP.
        case overtaken
    }

    /// Whether a server's committed version puts our own timestamp in doubt.
    func isDoubtful(beside committed: Timestamp?, of server: Position) -> Bool {
        memory == .trusted && own.timestamp.precedes(committed) && !distrusted.contains(server)
            && !isPlanted(.rememberedUndoubted)
    }

    /// - Parameter thoroughReminders: for how many retransmissions, beyond the hedge time, the read waits for what only
    ///   few servers know; nil: not at all.
    mutating func beginDoubt(thoroughReminders: Int? = nil, into effects: inout [Effect]) {
        memory = .doubtful
        rounds += 1
        hasDetoured = true
        let reader = Reader(
            parameters: parameters, key: key, wantsValue: false, preference: quorums.positions,
            thoroughReminders: isPlanted(.doubtHasty) ? nil : thoroughReminders, thoroughUpTo: own.base.timestamp,
            firstCheck: rounds << 16)
        phase = .doubt(reader)
        examine(.start, into: &effects)
    }

    /// An answer while in doubt: late ones to PREPARE say nothing to a reader.
    mutating func examine(_ reply: Reply, of server: Position, into effects: inout [Effect]) {
        switch reply {
        case .prepared, .timestamp, .staged, .discarded, .held: return
        case .fetched(let parts) where !StripesCheck.hasAsked(for: parts): return
        case .refused(let refusal) where refusal.answersPreparationOnly: return
        case .version, .certificate, .committed, .fetched, .refused: examine(.reply(server, reply), into: &effects)
        }
    }

    /// Runs an input through the reader of a doubt; without one it comes too late.
    mutating func examine(_ input: Reader.Input, into effects: inout [Effect]) {
        guard case .doubt(var reader) = phase else { return }
        if case .reply(let server, .version(let claim, _)) = input { compare(claim, of: server) }
        var asked: [Reader.Effect] = []
        reader.handle(input, into: &asked)
        phase = .doubt(reader)
        for effect in asked {
            switch effect {
            case .send(let server, let request):
                effects.append(.send(server, request))
            case .verifyCertificate(let server, let certificate), .verifyCommitted(let server, let certificate):
                effects.append(.verifyCertificate(server, certificate))
            case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
                effects.append(.verifyFragment(server, timestamp, stripe, crossChecksum, bytes))
            case .checkEncoding(let timestamp, let stripes):
                effects.append(.checkEncoding(timestamp, stripes))
            case .verifyStatement(let server, let signed, let timestamp):
                effects.append(.verifyStatement(server, signed, timestamp))
            case .startHedge:
                effects.append(.startHedge)
            case .finish(let result):
                resolve(result, of: reader, into: &effects)
            }
        }
    }

    /// Who put our own timestamp in doubt was asked after it had named what it named: a correct server's claims never
    /// go down.
    mutating func compare(_ claim: CommittedClaim, of server: Position) {
        guard let alleged, alleged.server == server else { return }
        if claim.highest.precedes(alleged.timestamp) { observations.misbehaviours[server] = .unprovenClaim }
        self.alleged = nil
    }

    private mutating func resolve(
        _ result: Result<ReadOutcome, OperationFailure>, of reader: Reader, into effects: inout [Effect]
    ) {
        switch result {
        case .success(let outcome) where own.timestamp.precedes(outcome.found.timestamp):
            beginAnew(into: &effects)
        case .success(let outcome):
            memory = .confirmed
            observations.misbehaviours.merge(outcome.observations.misbehaviours) { ours, _ in ours }
            if let found = outcome.found.timestamp, found < own.timestamp, own.base.timestamp.precedes(found) {
                tally = reader.tally
                own.raiseBase(to: found)
            }
            if !commitIfCertified(into: &effects) { resume(into: &effects) }
        case .failure(.refused(_, let observations)):
            finish(.failure(.refused(.prepare, observations: observations)), into: &effects)
        case .failure:
            finish(.failure(unavailable()), into: &effects)
        }
    }
}
