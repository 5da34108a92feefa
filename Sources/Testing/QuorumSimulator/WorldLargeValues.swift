// How a world's clients write and read large values, as the client library does: stripe by stripe, each staged at q
// servers or more before the version is prepared, and fetched one by one once it is found. And what is judged of them.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// A large value all of whose stripes q servers have.
struct StagedUpload {
    let contents: StagedContents
    let bytes: [UInt8]
}

/// A large value on its way.
enum StripeTransfer {
    case staging(Staging)
    case fetching(Fetching)

    struct Staging {
        let upload: StagedUpload
        let stripes: [StripeToStage]
        /// Who has each of them.
        var staged: [PositionSet]
        /// Which one is on its way.
        var current = 0
        /// Whether q servers have all stripes, and the others are brought theirs.
        var isFilling = false
        /// Others that are left alone, since they refuse or say nothing.
        var abandoned: PositionSet = []
        var machine: StripeStager
    }

    struct Fetching {
        let timestamp: Timestamp
        let places: [StripeToFetch]
        let preference: [Position]
        var bytes: [UInt8] = []
        var current: Int
        var machine: StripeFetcher
    }

    /// What befalls either.
    enum Input {
        case start
        case reply(Position, Reply)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }
}

extension StripeTransfer.Input {
    func of<Machine: OperationMachine>(_ machine: Machine.Type) -> Machine.Input {
        switch self {
        case .start: Machine.start
        case .reply(let server, let reply): Machine.reply(reply, from: server)
        case .connected(let server): Machine.connected(server)
        case .hedge: Machine.hedge
        case .retransmit: Machine.retransmit
        case .deadline: Machine.deadline
        }
    }
}

// MARK: - Staging

extension World {
    func beginStaging(
        _ bytes: [UInt8], _ planned: PlannedOperation.Staging, of client: SimulatedClient, _ operation: Int
    ) {
        let key = keys[history[operation].object]
        if planned.discards, let left = client.uploads.removeValue(forKey: key) {
            let upload = left.contents.parts[0].attempt.upload
            discards.insert(upload)
            for position in parameters.quorums.positions {
                send(
                    .discard(Discard(key: key, stager: client.id, upload: upload)), to: position, of: client, operation)
            }
            // What is answered to that is nothing to what follows.
            client.machineNumber += 1
        }
        let (upload, stripes) = upload(bytes, planned, of: client, operation)
        client.transfer = .staging(
            StripeTransfer.Staging(
                upload: upload, stripes: stripes, staged: stripes.map { _ in [] }, machine: stager(stripes[0], key)))
        feed(client, operation, StripeTransfer.Input.start)
    }

    private func stager(_ stripe: StripeToStage, _ key: ObjectKey) -> StripeStager {
        StripeStager(
            parameters: parameters, key: key, stripe: stripe, targets: PositionSet(parameters.quorums.positions),
            need: parameters.quorums.quorum)
    }

    /// A value cut into stripes of one or two parts.
    private func upload(
        _ bytes: [UInt8], _ planned: PlannedOperation.Staging, of client: SimulatedClient, _ operation: Int
    ) -> (StagedUpload, [StripeToStage]) {
        let size = parameters.limits.stripeSizeBytesMax
        let cut = min(planned.firstPartStripes * size, bytes.count)
        let values = [Array(bytes[..<cut]), Array(bytes[cut...])].filter { !$0.isEmpty }
        var parts: [[StripeToStage]] = []
        for (number, value) in values.enumerated() {
            let attempt = AttemptName(
                stager: client.id, upload: UploadID(high: plan.seed, low: UInt64(operation)),
                part: UInt16(4 * number + 1), number: 1)
            parts.append(
                stride(from: 0, to: value.count, by: size).enumerated().map { stripe, start in
                    StripeToStage(
                        block: SharedBytes(value[start..<min(start + size, value.count)]), attempt: attempt,
                        stripeSizeBytes: UInt32(size), stripe: UInt32(stripe), parameters: parameters)
                })
        }
        let isNamed = parts.reduce(0) { $0 + $1.count } <= StagedLimits.namedStripesMax
        let staged = zip(parts, values).map { stripes, value in
            let crossChecksums = stripes.map(\.crossChecksum)
            let page = StripePage(first: 0, stripes: crossChecksums)
            return StagedPart(
                attempt: stripes[0].attempt, lengthBytes: UInt64(value.count), stripeSizeBytes: UInt32(size),
                named: isNamed ? crossChecksums : [], pages: isNamed ? [] : [.sha256(page.bytes(parameters))])
        }
        return (StagedUpload(contents: StagedContents(parts: staged), bytes: bytes), Array(parts.joined()))
    }

    /// Runs an input through what stages or fetches for an operation, unless that is over.
    func feed(_ client: SimulatedClient, _ operation: Int, _ input: StripeTransfer.Input) {
        guard client.operation == operation else { return }
        switch client.transfer {
        case .staging(var staging)?:
            if case .retransmit = input, staging.isFilling {
                let have = staging.staged[staging.current]
                for server in parameters.quorums.positions where !have.contains(server) {
                    staging.abandoned.insert(server)
                }
                stageNext(staging, of: client, operation)
                return
            }
            var effects: [StripeStager.Effect] = []
            check(
                Self.advance(&staging.machine, input.of(StripeStager.self), into: &effects),
                of: "operation \(operation)'s stager")
            client.transfer = .staging(staging)
            perform(effects, of: client, operation)
        case .fetching(var fetching)?:
            var effects: [StripeFetcher.Effect] = []
            check(
                Self.advance(&fetching.machine, input.of(StripeFetcher.self), into: &effects),
                of: "operation \(operation)'s fetcher")
            client.transfer = .fetching(fetching)
            perform(effects, of: client, operation)
        case nil: return
        }
    }

    private func perform(_ effects: [StripeStager.Effect], of client: SimulatedClient, _ operation: Int) {
        let key = keys[history[operation].object]
        for effect in effects {
            switch StripeStager.step(effect, key: key, verifier: client.verifier) {
            case .send(let position, let request): send(request, to: position, of: client, operation)
            case .startHedge: startHedge(client, operation)
            case .finish(.success(let outcome)): staged(outcome, of: client, operation)
            case .finish(.failure(.refused(let phase, let observations))):
                guard case .staging(var staging)? = client.transfer, staging.isFilling else {
                    finish(client, operation, .failed(.refused(phase, observations: observations)))
                    return
                }
                for server in observations.refusing.compactMap({ position(of: $0.server, in: operation) }) {
                    staging.abandoned.insert(server)
                }
                stageNext(staging, of: client, operation)
            case .finish(.failure(let failure)): finish(client, operation, .failed(failure))
            case .work, .encode: preconditionFailure("nothing is to be worked out to stage a stripe")
            }
        }
    }

    private func staged(_ outcome: StageOutcome, of client: SimulatedClient, _ operation: Int) {
        guard case .staging(var staging)? = client.transfer else { return }
        for server in outcome.staged { staging.staged[staging.current].insert(server) }
        stageNext(staging, of: client, operation)
    }

    /// The next stripe that is not where it has to be: at q servers that have all others, then at the others as far as
    /// they can be reached. Then comes the version.
    private func stageNext(_ last: StripeTransfer.Staging, of client: SimulatedClient, _ operation: Int) {
        var staging = last
        client.machineNumber += 1
        let key = keys[history[operation].object]
        let positions = parameters.quorums.positions
        let whole = positions.filter { position in staging.staged.allSatisfy { $0.contains(position) } }
        staging.isFilling = whole.count >= parameters.quorums.quorum
        let count = staging.stripes.count
        for stripe in (1...count).map({ (staging.current + $0) % count }) {
            let lacking = positions.filter {
                !staging.staged[stripe].contains($0) && !(staging.isFilling && staging.abandoned.contains($0))
            }
            guard !lacking.isEmpty else { continue }
            staging.current = stripe
            staging.machine =
                staging.isFilling
                ? StripeStager(
                    parameters: parameters, key: key, stripe: staging.stripes[stripe],
                    targets: PositionSet(lacking), need: lacking.count) : stager(staging.stripes[stripe], key)
            client.transfer = .staging(staging)
            feed(client, operation, StripeTransfer.Input.start)
            return
        }
        client.transfer = nil
        client.uploads[key] = staging.upload
        client.writer = writer(of: client, key, content(staging.upload, operation: operation))
        feed(client, operation, Writer.Input.start)
    }

    func content(_ upload: StagedUpload, operation: Int) -> WriteContent {
        .staged(
            upload.contents, ObjectMetadata(modifiedMilliseconds: UInt64(operation)),
            salt: VersionSalt(high: plan.seed, low: UInt64(operation)))
    }

    /// Whether stripes may expire within the operation that stages them or brings them to servers that lack them. Real
    /// ones are kept for far longer than any operation takes.
    var stripesExpireSoon: Bool { parameters.limits.stagedMilliseconds < 1_000_000 }

    /// Whether an operation may fail with large values although nothing stands in its way any more: what was staged has
    /// expired, or was used up or given back with the version that an earlier operation left; or what is read was
    /// overwritten.
    func mayFail(_ operation: Int, of client: SimulatedClient, _ failure: OperationFailure) -> Bool {
        let recorded = history[operation]
        if recorded.isStaged {
            // A server that could not be reached before the faults ended, and lies of others that had the stripes.
            let isLeft = recorded.isReused || stripesExpireSoon || !recorded.beganHealed
            return isLeft
                && failure.observations.refusing.contains {
                    $0.why.kind == .stripesMissing || recorded.isReused && $0.why.kind == .uploadEnded
                }
        }
        if case .tooFewFragments = failure, client.isFetching { return phase == .working }
        return false
    }
}

extension Transcript {
    /// How an operation ended, in the same words every time.
    static func describe(_ outcome: RecordedOperation.Outcome) -> String {
        guard case .failed(let failure) = outcome else { return "\(outcome)" }
        let refusing = failure.observations.refusing.map { "\($0.server) refuses since \($0.why)" }
        return "failed" + refusing.map { "; \($0)" }.joined()
    }
}

// MARK: - Fetching

extension SimulatedClient {
    /// Whether the operation under way has found a large value, of which not all is to be had perhaps.
    fileprivate var isFetching: Bool {
        if case .fetching? = transfer { true } else { lost != nil }
    }
}

extension World {
    func beginFetching(
        _ staged: StagedContents, _ timestamp: Timestamp, of client: SimulatedClient, _ operation: Int
    ) {
        if let lost = client.lost, case .tooFewFragments(let known, _, _, _) = lost, timestamp <= known {
            return finish(client, operation, .failed(lost))
        }
        let places = staged.parts.flatMap { part in
            (0..<part.stripeCount).map { StripeToFetch(part: part, stripe: $0) }
        }
        let preference = parameters.quorums.positions
        readVersions.insert(timestamp)
        client.reader = nil
        client.machineNumber += 1
        let key = keys[history[operation].object]
        client.transfer = .fetching(
            StripeTransfer.Fetching(
                timestamp: timestamp, places: places, preference: preference, current: 0,
                machine: fetcher(places[0], timestamp, preference, key)))
        feed(client, operation, StripeTransfer.Input.start)
    }

    private func fetcher(
        _ place: StripeToFetch, _ timestamp: Timestamp, _ preference: [Position], _ key: ObjectKey
    ) -> StripeFetcher {
        StripeFetcher(
            parameters: parameters, key: key, timestamp: timestamp, wanted: place, preference: preference,
            endsWhenLost: true)
    }

    private func perform(_ effects: [StripeFetcher.Effect], of client: SimulatedClient, _ operation: Int) {
        let key = keys[history[operation].object]
        let number = client.machineNumber
        for effect in effects {
            // What is verified may end it, and begin the next one.
            guard client.operation == operation, client.machineNumber == number else { return }
            switch StripeFetcher.step(effect, key: key, verifier: client.verifier) {
            case .send(let position, let request): send(request, to: position, of: client, operation)
            case .startHedge: startHedge(client, operation)
            case .work(_, let work):
                guard case .fetching(var fetching)? = client.transfer else { return }
                var further: [StripeFetcher.Effect] = []
                check(
                    Self.advance(&fetching.machine, work(), into: &further), of: "operation \(operation)'s fetcher")
                client.transfer = .fetching(fetching)
                perform(further, of: client, operation)
            case .finish(.success(let outcome)): fetched(outcome, of: client, operation)
            case .finish(.failure(let failure)): notFetched(failure, by: client, operation)
            case .encode: preconditionFailure("nothing is to be encoded to fetch a stripe")
            }
        }
    }

    /// A stripe that is not to be had ends the read, or begins it anew if it was the first.
    private func notFetched(_ failure: OperationFailure, by client: SimulatedClient, _ operation: Int) {
        guard case .tooFewFragments(let timestamp, _, _, _) = failure, case .fetching(let fetching)? = client.transfer,
            nowMicroseconds < client.deadlineMicroseconds, fetching.current == 0
        else { return finish(client, operation, .failed(failure)) }
        client.transfer = nil
        client.machineNumber += 1
        client.lost = failure
        client.reader = Reader(
            parameters: parameters, key: keys[history[operation].object], wantsValue: true,
            preference: parameters.quorums.positions, thoroughReminders: 2, thoroughUpTo: timestamp)
        feed(client, operation, Reader.Input.start)
    }

    private func fetched(_ outcome: FetchOutcome, of client: SimulatedClient, _ operation: Int) {
        guard case .fetching(var fetching)? = client.transfer else { return }
        guard let block = try? outcome.crossChecksum.decode(outcome.fragments) else {
            violation =
                violation ?? Violation(.integrity, "a stripe that operation \(operation) fetched does not decode")
            return
        }
        fetching.bytes += block.array
        fetching.current += 1
        client.machineNumber += 1
        guard fetching.current < fetching.places.count else {
            conclude(
                Observation(timestamp: fetching.timestamp, isTombstone: false, bytes: fetching.bytes), of: operation,
                by: client)
            return
        }
        let key = keys[history[operation].object]
        fetching.machine = fetcher(
            fetching.places[fetching.current], fetching.timestamp, fetching.preference, key)
        client.transfer = .fetching(fetching)
        feed(client, operation, StripeTransfer.Input.start)
    }
}

// MARK: - What is judged

extension World {
    /// What a correct server gives back of what is staged: nothing that a version holds, and nothing that its stager may
    /// still need.
    func judge(_ change: ObjectChange, of server: SimulatedServer) {
        guard !change.stagedDrops.isEmpty, !badServers.contains(server.node), !server.hasDecayed, violation == nil,
            let before = server.disk.lastRecord(change.key)
        else { return }
        for drop in change.stagedDrops {
            guard let attempt = before.attempt(drop.attempt) else { continue }
            let held = attempt.holders.filter { holder in
                change.record.held.contains { $0.timestamp == holder.timestamp }
            }
            if !held.isEmpty {
                violation = Violation(.storage, "\(server.node) gives back \(drop.attempt), which a version holds")
            }
            // An upload is gone on with as a whole.
            let last = before.staged.reduce(0) {
                $1.name.stager == attempt.name.stager && $1.name.upload == attempt.name.upload
                    ? max($0, $1.lastMilliseconds) : $0
            }
            let (due, overflow) = last.addingReportingOverflow(parameters.limits.stagedMilliseconds)
            let isExpired = !overflow && due <= nowMicroseconds / 1000
            let isDone =
                attempt.isSpent || discards.contains(drop.attempt.upload)
                || change.record.highestCommitted?.writer == drop.attempt.stager
            if !isExpired, !isDone, clients.contains(where: { $0.id == drop.attempt.stager }) {
                violation = Violation(.storage, "\(server.node) gives back \(drop.attempt) too early")
            }
        }
    }

    /// What a server that holds a version has not of it; nil when it has everything.
    func lack(of server: SimulatedServer, _ key: ObjectKey, _ timestamp: Timestamp, _ staged: StagedContents) -> String?
    {
        guard let position = parameters.placement(of: key).position(of: server.node) else { return nil }
        for part in staged.parts {
            let holders = server.disk.lastRecord(key)?.attempt(part.attempt)?.holders ?? []
            guard holders.contains(where: { $0.timestamp == timestamp && $0.stripeCount == part.stripeCount }) else {
                return "has not bound \(part.attempt)"
            }
            guard let crossChecksums = crossChecksums(of: part, at: server, key) else {
                return "has other stripes of \(part.attempt)"
            }
            for (stripe, crossChecksum) in crossChecksums.enumerated() {
                let fragment = server.disk.stagedFragment(of: part.attempt, stripe: UInt32(stripe), key: key).value
                let isGood = fragment.map {
                    (try? crossChecksum.verify($0, at: FragmentIndex(position.rawValue))) != nil
                }
                guard isGood == true else { return "lacks stripe \(stripe) of \(part.attempt)" }
            }
        }
        return nil
    }

    /// What a server has staged of a part, if it is what the descriptor says.
    private func crossChecksums(of part: StagedPart, at server: SimulatedServer, _ key: ObjectKey) -> [CrossChecksum]? {
        var bytes = StripePage.header(first: 0, count: Int(part.stripeCount), parameters: parameters)
        for stripe in 0..<part.stripeCount {
            guard let entry = server.disk.stagedEntry(of: part.attempt, stripe: stripe, key: key).value else {
                return nil
            }
            bytes += entry
        }
        guard let page = try? StripePage(decoding: bytes, first: 0, parameters: parameters) else { return nil }
        let isRight = part.named.isEmpty ? part.pages == [.sha256(bytes)] : part.named == page.stripes
        return isRight ? page.stripes : nil
    }

    /// A large value from the correct servers that hold it, whichever m of them are asked; nil when it is poisonous.
    func read(
        _ staged: StagedContents, of key: ObjectKey, at timestamp: Timestamp, _ holders: [SimulatedServer]
    ) -> Result<[UInt8]?, Violation> {
        let m = parameters.quorums.dataFragmentCount
        guard holders.count >= m else {
            return .failure(
                Violation(
                    .durability, "\(holders.count) correct servers hold \(key) at \(timestamp), \(m) are needed"))
        }
        for server in holders {
            if let lack = lack(of: server, key, timestamp, staged) {
                return .failure(Violation(.durability, "\(server.node) holds \(timestamp) of \(key), and \(lack)"))
            }
        }
        let placement = parameters.placement(of: key)
        var value: [UInt8] = []
        for part in staged.parts {
            guard let crossChecksums = crossChecksums(of: part, at: holders[0], key) else { continue }
            for (stripe, crossChecksum) in crossChecksums.enumerated() {
                let fragments = holders.compactMap { server -> VerifiedFragment? in
                    guard let position = placement.position(of: server.node),
                        let bytes = server.disk.stagedFragment(of: part.attempt, stripe: UInt32(stripe), key: key).value
                    else { return nil }
                    return try? crossChecksum.verify(bytes, at: FragmentIndex(position.rawValue))
                }
                let decoded = try? crossChecksum.decode(Array(fragments.prefix(m)))
                if let decoded, crossChecksum.coverage == .hashes, !crossChecksum.matchesEncoding(of: decoded) {
                    return .success(nil)
                }
                guard let first = decoded,
                    let last = try? crossChecksum.decode(Array(fragments.suffix(m))), first == last
                else {
                    return .failure(
                        Violation(.integrity, "stripe \(stripe) of \(key) at \(timestamp) decodes to two values"))
                }
                value += first.array
            }
        }
        return .success(value)
    }
}

extension Violation: Error {}
