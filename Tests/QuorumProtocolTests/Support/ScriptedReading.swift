// A read, or a server's verification of an object, against servers that are no more than what a test has them say.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// What one server says and holds.
struct ShownServer {
    var claim = CommittedClaim(certificate: nil)
    var held: [TestVersion] = []
    /// What it has of large values.
    var parts: [TestPart] = []
    var proof = Proof.own
    /// What it shows instead from its first FETCH on, if that is something else.
    var afterFetch: [ShownServer] = []
    /// Whether it has lost the fragments of all that it holds.
    var hasLostFragments = false

    /// How a server answers FETCH-CERTIFICATE.
    enum Proof {
        /// With the certificate by which it names the version, if a script made it.
        case own
        /// Not at all.
        case silence
        case nothing
        /// With another one, whatever it claims.
        case other(Certificate)
        /// With another claim than it made before, and this certificate.
        case recanted(CommittedClaim, Certificate?)
    }

    func answer(_ server: Position, _ request: Request, in group: TestGroup) -> Reply? {
        switch request {
        case .read(let read):
            guard read.portion > .timestamp, let timestamp = read.version ?? claim.timestamp,
                let version = held.first(where: { $0.timestamp == timestamp })
            else { return .version(claim, nil) }
            return .version(
                claim,
                HeldParts(
                    timestamp: timestamp, position: server, descriptor: version.descriptor,
                    fragments: read.portion == .fragments && !hasLostFragments ? version.fragments[server.offset] : nil)
            )
        case .certificate(_, let timestamp):
            switch proof {
            case .own: return group.proof(of: claim, asked: timestamp)
            case .silence: return nil
            case .nothing: return .certificate(claim, nil)
            case .other(let certificate): return .certificate(claim, certificate)
            case .recanted(let claim, let certificate): return .certificate(claim, certificate)
            }
        case .commit(let commit):
            let timestamp = commit.certificate.timestamp
            return .committed(timestamp, needsDescriptor: !held.contains { $0.timestamp == timestamp })
        case .describe(let describe): return .committed(describe.timestamp, needsDescriptor: false)
        case .fetch(let fetch):
            let part = parts.first { $0.attempt == fetch.attempt }
            return .fetched(
                FetchedParts(
                    position: server,
                    fragment: fetch.stripe.flatMap { part?.fragments[Int($0)][server.offset] }, page: nil,
                    tag: fetch.tag))
        case .stage, .discard, .listHeld, .restate: return nil
        case .readTimestamp: return .timestamp(claim)
        case .prepare(let prepare):
            let known = max(claim.timestamp?.counter ?? 0, prepare.justification?.timestamp.counter ?? 0)
            guard prepare.timestamp.counter <= known + 1 else {
                return .refused(.justificationRequired(committedCounter: known))
            }
            let isOvertaken = claim.timestamp.map { prepare.timestamp < $0 } ?? false
            let signed = group.statement(
                of: server, prepare.key, prepare.timestamp, isOvertaken ? .superseded : .stored)
            return .prepared(signed, committed: claim.timestamp)
        }
    }
}

/// One read, run in order: every effect is done before the next input.
struct ScriptedReading {
    let group: TestGroup
    var servers: [Position: ShownServer] = [:]
    /// Servers that do not answer.
    var silent: Set<Position> = []
    /// Servers whose answers come when everything else is done.
    var late: Set<Position> = []
    /// Servers whose answers to what they were asked first come after the hedge time.
    var later: Set<Position> = []
    /// Servers that do not get the first FETCH-CERTIFICATE that is sent to them.
    var unreached: Set<Position> = []
    /// Servers that have their fragments again from the first retransmission on.
    var repaired: Set<Position> = []
    /// Servers that refuse whatever they are asked from the first retransmission on.
    var refusing: Set<Position> = []

    init(_ group: TestGroup, everywhere shown: ShownServer = ShownServer()) {
        self.group = group
        for server in group.servers { servers[server] = shown }
    }

    /// A FETCH-CERTIFICATE.
    struct Fetch: Equatable {
        let server: Position
        let timestamp: Timestamp
        /// How often time had passed.
        let waits: Int
    }

    /// What came of a read, and what it wrote back.
    struct End {
        let result: Result<ReadOutcome, OperationFailure>
        let written: [Position: Timestamp]
        /// Who was asked for which version's certificate, in order.
        let fetched: [Fetch]
        /// How often time passed before it ended.
        let waits: Int
        /// Versions that were encoded anew.
        let encoded: [Timestamp]

        var outcome: ReadOutcome? { try? result.get() }
        var found: Timestamp? { outcome?.found.timestamp }

        /// The value found; nil for nothing, for a failure, and for what does not decode.
        var text: String? {
            guard case .version(_, let descriptor, let stripes)? = outcome?.found else { return nil }
            guard let first = stripes.first, let block = try? descriptor.descriptor.stripes[0].decode(first) else {
                return nil
            }
            return String(decoding: block.array, as: UTF8.self)
        }
    }

    func read(
        _ key: ObjectKey = .photo, wantsValue: Bool = true, forVerification: Bool = false,
        preference: [Position]? = nil, thoroughReminders: Int = 0, thoroughUpTo: Timestamp? = nil,
        alwaysWritesBack: Bool = false
    ) -> End {
        var reader = Reader(
            parameters: group.parameters, key: key, wantsValue: wantsValue, preference: preference ?? group.servers,
            forVerification: forVerification, thoroughReminders: thoroughReminders, thoroughUpTo: thoroughUpTo,
            alwaysWritesBack: alwaysWritesBack)
        var written: [Position: Timestamp] = [:]
        var fetched: [Fetch] = []
        var encoded: [Timestamp] = []
        var laterAnswers: [Reader.Input] = []
        var changed: Set<Position> = []
        let inputs = [Reader.Input.start, .hedge, .retransmit, .retransmit, .deadline]
        for (waits, input) in inputs.enumerated() {
            var effects: [Reader.Effect] = []
            var lateAnswers: [Reader.Input] = []
            reader.handle(input, into: &effects)
            if case .hedge = input { (lateAnswers, laterAnswers) = (laterAnswers, []) }
            while !effects.isEmpty || !lateAnswers.isEmpty {
                if effects.isEmpty {
                    reader.handle(lateAnswers.removeFirst(), into: &effects)
                    continue
                }
                let effect = effects.removeFirst()
                if case .finish(let result) = effect {
                    return End(result: result, written: written, fetched: fetched, waits: waits, encoded: encoded)
                }
                if case .send(let server, .certificate(_, let timestamp)) = effect {
                    fetched.append(Fetch(server: server, timestamp: timestamp, waits: waits))
                    if unreached.contains(server), fetched.count(where: { $0.server == server }) == 1 { continue }
                }
                if case .send(let server, .commit(let commit)) = effect {
                    written[server] = commit.certificate.timestamp
                }
                if case .checkEncoding(let timestamp, _) = effect { encoded.append(timestamp) }
                guard let answer = answer(effect, key, isLater: waits >= 2, &changed) else { continue }
                if case .send(let server, _) = effect, late.contains(server) {
                    lateAnswers.append(answer)
                    continue
                }
                if case (.send(let server, _), .start) = (effect, input), later.contains(server) {
                    laterAnswers.append(answer)
                    continue
                }
                reader.handle(answer, into: &effects)
            }
        }
        preconditionFailure("a read does not end at its deadline")
    }

    private func answer(
        _ effect: Reader.Effect, _ key: ObjectKey, isLater: Bool, _ changed: inout Set<Position>
    ) -> Reader.Input? {
        switch Reader.step(effect, key: key, verifier: group.verifier) {
        case .send(let server, let request):
            guard !silent.contains(server), var shown = servers[server] else { return nil }
            if case .fetch = request { changed.insert(server) }
            if changed.contains(server), let later = shown.afterFetch.first { shown = later }
            if isLater, refusing.contains(server) { return .reply(server, .refused(.busy)) }
            if isLater, repaired.contains(server) { shown.hasLostFragments = false }
            guard let reply = shown.answer(server, request, in: group) else { return nil }
            return .reply(server, reply)
        case .work(_, let work), .encode(let work): return work()
        case .startHedge, .finish: return nil
        }
    }
}

extension TestGroup {
    /// What a verification by `server` finds when all servers show the same.
    func findings(_ shown: ShownServer, by server: Position) -> VersionFindings {
        guard let outcome = ScriptedReading(self, everywhere: shown).read(forVerification: true).outcome else {
            preconditionFailure("the script's verification fails")
        }
        return VersionFindings(outcome, by: node(server))
    }

    /// What everybody shows who has these versions committed, the first one of them verified if it is said to be.
    func shown(_ versions: [TestVersion], isFirstVerified: Bool = false) -> ShownServer {
        let certificates = versions.map { certificate(of: $0) }
        return ShownServer(
            claim: CommittedClaim(
                certificate: isFirstVerified ? certificates.first : nil,
                unverified: isFirstVerified ? Array(certificates.dropFirst()) : certificates),
            held: versions)
    }

    /// A version with f + 1 servers' statements that it is poisonous, or those of the servers named.
    func poisonous(_ version: TestVersion, by servers: [Position]? = nil) -> PoisonousVersion {
        PoisonousVersion(
            timestamp: version.timestamp,
            statements: (servers ?? Array(self.servers.prefix(quorums.vouchers))).map {
                statement(of: $0, version.key, version.timestamp, .poisonous)
            })
    }
}

extension Simulation {
    /// The servers verify an object while all that clients do waits.
    func verifyMeanwhile(_ key: ObjectKey = .photo, by servers: [Position]) {
        let verifying = servers.map { startVerification(key, by: $0) }
        hold(allBut: verifying)
        for _ in 0..<6 {
            settle()
            for session in verifying where sessions[session].isRunning { remind(session) }
        }
        release()
    }

    /// Lets only these sessions' messages, and the servers' work, happen.
    func hold(allBut kept: [Int]) {
        holds = { event in
            switch event {
            case .request(_, let session, _), .reply(let session, _, _), .writer(let session, _),
                .reader(let session, _):
                !kept.contains(session)
            case .work, .completion: false
            }
        }
    }
}
