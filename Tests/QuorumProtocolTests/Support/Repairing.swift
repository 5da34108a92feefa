// Servers in memory that repair what they want from each other, as Repairer does it behind sockets: an object's steps
// follow from its record, one after the other.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

final class Repairing {
    /// What a source says instead of what it has; nil is nothing.
    typealias Answer = (_ source: Position, _ request: Request, _ honest: Reply) -> Reply?

    let group: TestGroup
    let hosts: [ReplicaHost]
    var answer: Answer = { _, _, honest in honest }
    /// What was asked of others since the last repair began.
    private(set) var sent: [(source: Position, request: Request)] = []
    private(set) var stepCount = 0
    /// Told before each step.
    var beforeStep: ((_ host: ReplicaHost, _ number: Int) -> Void)?

    init(_ group: TestGroup) {
        self.group = group
        hosts = group.servers.map { ReplicaHost(group, $0) }
    }

    func host(_ server: Position) -> ReplicaHost { hosts[server.offset] }

    /// The stripes that were asked for.
    var fetchedStripes: Set<UInt32> {
        Set(sent.compactMap { if case .fetch(let fetch) = $0.request { fetch.stripe } else { nil } })
    }

    // MARK: Repair

    /// Repairs an object at one server as far as that goes.
    func end(at server: Position, _ key: ObjectKey = .photo, stripesMax: Int = 1) -> RepairEnd {
        let host = host(server)
        var (hasTaken, lateCount) = (false, 0)
        var page: (attempt: AttemptName, page: StripePage)?
        var skipped: Set<Timestamp> = []
        sent = []
        for number in 0..<10_000 {
            beforeStep?(host, number)
            stepCount = number + 1
            let step = host.record(key).repairStep(
                key, node: host.node, skipping: skipped, in: host, stripesMax: stripesMax, group.parameters)
            var found: [RepairedParts]
            switch step {
            case .done where !skipped.isEmpty: return .failed
            case .done:
                if !hasTaken { _ = host.repair([], of: key) }
                return .done
            case .verify, .unreadable: return .failed
            case .lost(let parts):
                host.runToEnd(.lost(key, [parts], answering: nil))
                continue
            case .take(let parts): found = [parts]
            case .version(let timestamp):
                let fetcher = VersionFetcher(
                    parameters: group.parameters, key: key, timestamp: timestamp,
                    preference: preference(of: server), isKnownSound: true)
                guard case .success(let fetched) = run(fetcher, key, by: server),
                    let parts = RepairedParts(fetched, of: timestamp, at: server)
                else {
                    skipped.insert(timestamp)
                    continue
                }
                found = [parts]
            case .stripes(let timestamp, let stripes):
                found = bring(stripes, of: timestamp, key, to: host, page: &page)
                guard !found.isEmpty else {
                    skipped.insert(timestamp)
                    continue
                }
            }
            if case .staged(let descriptor)? = found.first?.parts {
                let timestamp = found[0].timestamp
                if case .failure(.otherStripes) = host.repair(found, of: key) {
                    found = [RepairedParts(.adoption(descriptor), of: timestamp)]
                } else {
                    hasTaken = true
                    continue
                }
            }
            switch host.repair(found, of: key) {
            case .success: (hasTaken, lateCount) = (true, 0)
            case .failure(.storage(.full)): return .full
            case .failure(.notWanted) where lateCount < 3: lateCount += 1
            case .failure: return .failed
            }
        }
        Issue.record("the repair has no end")
        return .failed
    }

    private func preference(of server: Position) -> [Position] { group.servers.filter { $0 != server } + [server] }

    /// Those stripes that the server turns out to have, and as many of the others as are to be had.
    private func bring(
        _ stripes: [StripeToFetch], of timestamp: Timestamp, _ key: ObjectKey, to host: ReplicaHost,
        page: inout (attempt: AttemptName, page: StripePage)?
    ) -> [RepairedParts] {
        var found: [RepairedParts] = []
        for wanted in stripes {
            let known = page.flatMap { $0.attempt == wanted.part.attempt ? $0.page : nil }
            let stripe = RepairedStripe(wanted, of: timestamp, at: host.server)
            if let own = stripe.ownParts(of: key, in: host, page: known, group.parameters) {
                found.append(own)
                continue
            }
            let fetcher = StripeFetcher(
                parameters: group.parameters, key: key, timestamp: nil, wanted: stripe.toFetch(known),
                preference: preference(of: host.server), endsWhenLost: true)
            guard case .success(let outcome) = run(fetcher, key, by: host.server), let parts = stripe.parts(outcome)
            else { return found }
            if let fetched = outcome.page { page = (wanted.part.attempt, fetched) }
            found.append(parts)
        }
        return found
    }

    /// Runs a fetch to its end; time passes when nothing else happens.
    func run<Machine: OperationMachine>(
        _ machine: Machine, _ key: ObjectKey = .photo, by server: Position
    ) -> Result<Machine.Outcome, OperationFailure> {
        var machine = machine
        var times = [Machine.hedge, Machine.retransmit, Machine.retransmit, Machine.retransmit, Machine.deadline]
        var effects: [Machine.Effect] = []
        machine.handle(Machine.start, into: &effects)
        while true {
            guard !effects.isEmpty else {
                machine.handle(times.removeFirst(), into: &effects)
                continue
            }
            switch Machine.step(effects.removeFirst(), key: key, verifier: group.verifier) {
            case .send(let source, let request):
                sent.append((source, request))
                let honest = host(source).answer(request, from: .server(group.node(server)))
                guard let reply = answer(source, request, honest) else { continue }
                machine.handle(Machine.reply(reply, from: source), into: &effects)
            case .work(_, let work), .encode(let work): machine.handle(work(), into: &effects)
            case .startHedge: break
            case .finish(let result): return result
            }
        }
    }

    // MARK: Versions

    /// The version is stored by some, and all know that it is committed.
    func write(_ version: TestVersion, at servers: [Position]) {
        for server in servers { host(server).expectStored(version) }
        for host in hosts { host.expectKnown(version, by: servers) }
    }

    /// The same of a large version.
    func write(_ parts: [TestPart], _ version: TestVersion, at servers: [Position]) {
        for server in servers { for part in parts { host(server).expectStaged(part) } }
        write(version, at: servers)
    }
}

extension ReplicaHost {
    /// What the server wants of the object.
    func wanted(_ key: ObjectKey = .photo) -> Timestamp? { record(key).wanted(key, node: node, group.parameters) }

    /// What it has of a version's fragments.
    func state(_ version: TestVersion) -> HeldFragments? { record(version.key).version(version.timestamp)?.fragments }

    /// The version is committed here, and sound, with its descriptor, whatever its PREPARE did.
    func expectKnown(
        _ version: TestVersion, by signers: [Position]? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let signers = signers.map { Array($0.prefix(group.quorums.quorum)) }
        let enough = (signers?.count ?? 0) < group.quorums.quorum ? nil : signers
        if group.parameters.mode.verifiesLater {
            runToEnd(.found(version.key, group.findings(group.shown([version]), by: server)))
        }
        _ = answer(version.commit(group.certificate(of: version, by: enough)))
        let reply = answer(version.describe)
        #expect(
            reply == .committed(version.timestamp, needsDescriptor: false)
                || record(version.key).committed.map { version.timestamp < $0.timestamp } == true,
            sourceLocation: sourceLocation)
    }

    /// Accounts are the sum over all records.
    func expectCharges(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(accounts.all == Accounts(store.charges).all, sourceLocation: sourceLocation)
    }

    /// Expects that the find is not taken, and that nothing changes by it, also after a restart.
    func expectNotTaken(
        _ found: RepairedParts, _ expected: RepairRefusal, of key: ObjectKey = .photo,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = store
        for _ in 0..<2 {
            let result = repair([found], of: key)
            #expect(result.failure == expected, "\(result)", sourceLocation: sourceLocation)
            #expect(store == before, sourceLocation: sourceLocation)
            expectCharges(sourceLocation: sourceLocation)
            crash()
        }
    }

    func expectTaken(
        _ found: RepairedParts..., of key: ObjectKey = .photo, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let result = repair(found, of: key)
        #expect(result.failure == nil, "\(result)", sourceLocation: sourceLocation)
        expectCharges(sourceLocation: sourceLocation)
    }
}

extension Result where Success == Void, Failure == RepairRefusal {
    var failure: RepairRefusal? { if case .failure(let refusal) = self { refusal } else { nil } }
}

extension TestGroup {
    /// A version whose writer leaves the last f positions out.
    func partial(_ text: String, counter: UInt64) -> TestVersion {
        let whole = version(.photo, text, counter: counter)
        let sealed = SealedDescriptor(
            Descriptor(
                value: .photo, lengthBytes: UInt64(text.utf8.count), stripeSizeBytes: 1 << 16,
                stripes: whole.descriptor.descriptor.stripes, metadata: ObjectMetadata(), parameters: parameters,
                leavesSpares: true))
        return TestVersion(
            timestamp: Timestamp(counter: counter, writer: .alice, digest: sealed.digest), descriptor: sealed,
            fragments: whole.fragments)
    }

    func isSpare(_ server: Position) -> Bool { server.offset >= quorums.serverCount - quorums.faults }
}

extension TestVersion {
    /// The server's fragments, as somebody has verified them.
    func verified(for server: Position) -> [VerifiedFragment] {
        zip(descriptor.descriptor.stripes, fragments[server.offset]).map { crossChecksum, bytes in
            guard let fragment = try? crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue)) else {
                preconditionFailure("the test's fragments are good")
            }
            return fragment
        }
    }

    func found(for server: Position) -> RepairedParts {
        RepairedParts(.fragments(descriptor, verified(for: server)), of: timestamp)
    }

    var foundDescriptor: RepairedParts { RepairedParts(.descriptor(descriptor), of: timestamp) }
    var foundVoid: RepairedParts { RepairedParts(.void(descriptor), of: timestamp) }
    var adoption: RepairedParts { RepairedParts(.adoption(descriptor), of: timestamp) }
    var foundStaged: RepairedParts { RepairedParts(.staged(descriptor), of: timestamp) }
    var voidStripes: RepairedParts { RepairedParts(.voidStripes, of: timestamp) }

    func good(_ part: TestPart, _ stripe: Int) -> RepairedParts {
        RepairedParts(.goodStripe(part.attempt, UInt32(stripe)), of: timestamp)
    }

    func found(_ part: TestPart, _ stripe: Int, for server: Position) -> RepairedParts {
        let crossChecksum = part.crossChecksums[stripe]
        let bytes = part.fragments[stripe][server.offset]
        guard let fragment = try? crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue)) else {
            preconditionFailure("the test's fragments are good")
        }
        return RepairedParts(.stripe(part.attempt, UInt32(stripe), crossChecksum, fragment), of: timestamp)
    }
}

extension TestPart {
    /// The part with a hash at one position of one stripe that no fragment of its block has; everything else is as an
    /// honest writer makes it.
    func void(stripe: Int, at victim: Position, _ group: TestGroup) -> TestPart {
        var (stripes, fragments) = (stripes, fragments)
        let data = fragments[stripe].prefix(group.quorums.dataFragmentCount)
        fragments[stripe][victim.offset] = SharedBytes(fragments[stripe][victim.offset].array.map { ~$0 })
        let crossChecksum = CrossChecksum(
            code: group.quorums.code, blockSizeBytes: blocks[stripe].count,
            hashes: Digest256.fragmentHashes(of: fragments[stripe]), data: data)
        stripes[stripe] = StripeToStage(
            attempt: attempt, stripeSizeBytes: stripeSizeBytes, stripe: UInt32(stripe), crossChecksum: crossChecksum,
            fragments: fragments[stripe])
        return TestPart(
            attempt: attempt, blocks: blocks, stripes: stripes, fragments: fragments, stripeSizeBytes: stripeSizeBytes)
    }
}
