// Random histories at one server against a model of what it must have and may have given back
// (docs/protocol.md, Large values).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("LargeValues: random histories")
struct StagedHistoryTests {
    @Test("keep what must be kept, give back the rest, charge for what is there", arguments: 0..<40 as Range<UInt64>)
    func histories(seed: UInt64) {
        let mode = StagingTests.modes[Int(seed % 3)]
        var history = StagedHistory(mode, seed: seed)
        for number in 0..<120 {
            history.step()
            if let wrong = history.wrong {
                Issue.record("seed \(seed), step \(number): \(wrong)\n\(history.story.joined(separator: "\n"))")
                return
            }
        }
        #expect(history.storedCount > 0, "seed \(seed)")
    }
}

/// One history, and what is expected of the server.
private struct StagedHistory {
    private static let stagedMilliseconds: UInt64 = 10_000
    private static let retentionMilliseconds: UInt64 = 500

    /// What the server has acknowledged of a stripe.
    private struct Place: Hashable {
        let attempt: AttemptName
        let stripe: Int
    }

    private let group: TestGroup
    private let host: ReplicaHost
    private var generator: SplitMix64
    private var now: UInt64 = 0
    private(set) var story: [String] = []
    private(set) var storedCount = 0
    /// Which seed's bytes the server has said that it has, and of each attempt when it was staged last.
    private var staged: [Place: UInt64] = [:]
    private var touched: [AttemptName: UInt64] = [:]
    /// Versions that the server signed as stored, with their parts.
    private var versions: [(version: TestVersion, parts: [TestPart])] = []
    private var committed: Timestamp?
    private var supersededAt: [Timestamp: UInt64] = [:]
    /// Attempts whose stagers are done with them.
    private var spent: Set<AttemptName> = []
    private var parts: [AttemptName: [UInt64: TestPart]] = [:]

    init(_ mode: VerificationMode, seed: UInt64) {
        group = .staging(mode) {
            $0.stagedMilliseconds = Self.stagedMilliseconds
            $0.retentionMilliseconds = Self.retentionMilliseconds
            $0.stagedDropsPerChangeMax = seed % 2 == 0 ? 1 : 4096
            $0.pendingVersionsPerClientMax = 3
        }
        host = ReplicaHost(group, Position(UInt8(seed % 4)))
        generator = SplitMix64(seed: seed)
    }

    private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }

    private mutating func client() -> ClientID { [.alice, .bob, .zoe][below(3)] }

    /// One of two versions of an attempt's bytes: three stripes, or two and a short one.
    private mutating func part(of attempt: AttemptName, _ seed: UInt64) -> TestPart {
        if let known = parts[attempt]?[seed] { return known }
        let made = group.part(
            attempt.part, of: attempt.upload, by: attempt.stager, attempt: attempt.number, lengthBytes: 1100,
            seed: UInt64(attempt.number) * 2 + seed)
        parts[attempt, default: [:]][seed] = made
        return made
    }

    private mutating func anyAttempt() -> AttemptName {
        AttemptName(
            stager: client(), upload: below(2) == 0 ? .first : .second, part: UInt16(1 + below(2)),
            number: UInt32(1 + below(2)))
    }

    /// Where nothing tells bytes apart, clients do not stage others under the same name.
    private mutating func otherSeed() -> UInt64 {
        below(5) == 0 && group.parameters.mode.coverage != .nothing ? 1 : 0
    }

    // MARK: What happens

    mutating func step() {
        switch below(20) {
        case 0..<9: stage()
        case 9..<13: prepare()
        case 13..<16: commit()
        case 16: discard()
        case 17: delete()
        case 18:
            now += [1, 200, 600, 4000, 11_000][below(5)]
            story.append("at \(now)")
            // Each change gives back a bounded share.
            for _ in 0..<20 { host.pass(toMilliseconds: now) }
        default:
            story.append("crash")
            host.crash()
            host.pass(toMilliseconds: now)
        }
    }

    private mutating func stage() {
        let attempt = anyAttempt()
        let seed = otherSeed()
        for stripe in below(3)...2 {
            let reply = host.stage(part(of: attempt, seed), [stripe])[0]
            story.append("\(attempt.stager) stages \(stripe) of \(attempt) as \(seed): \(reply)")
            guard reply == .staged else { continue }
            staged[Place(attempt: attempt, stripe: stripe)] = seed
            touched[attempt] = now
        }
    }

    private mutating func prepare() {
        let writer = client()
        // Mostly what was staged; at times what was not.
        let known = Set(staged.keys.map(\.attempt)).sorted()
        let first = known.isEmpty || below(5) == 0 ? anyAttempt() : known[below(known.count)]
        var named = [part(of: first, otherSeed())]
        if first.part == 1, below(3) == 0 {
            let second = AttemptName(
                stager: client(), upload: first.upload, part: 2, number: UInt32(1 + below(2)))
            named.append(part(of: second, 0))
        }
        let counter = (committed?.counter ?? 0) + 1
        let version = group.version(named, counter: counter, writer: writer, etag: "\(story.count)")
        let reply = host.prepare(version)
        story.append("\(writer) prepares \(named.map(\.attempt)): \(reply)")
        guard case .prepared(let statement, _) = reply, statement.claim == .stored else { return }
        storedCount += 1
        versions.append((version, named))
    }

    private mutating func commit() {
        guard let chosen = versions.isEmpty ? nil : versions[below(versions.count)] else { return }
        let reply = host.commit(chosen.version)
        story.append("commit of \(chosen.version.timestamp): \(reply)")
        guard case .committed = reply else { return }
        become(chosen.version.timestamp)
    }

    private mutating func delete() {
        let tombstone = group.version(.photo, nil, counter: (committed?.counter ?? 0) + 1, writer: client())
        guard case .prepared = host.prepare(tombstone), case .committed = host.commit(tombstone) else { return }
        story.append("deletion at \(tombstone.timestamp)")
        become(tombstone.timestamp)
    }

    private mutating func become(_ timestamp: Timestamp) {
        // Also when it comes after a later one.
        for (version, parts) in versions where version.timestamp == timestamp {
            guard let own = parts.first(where: { $0.attempt.stager == timestamp.writer }) else { continue }
            spend { $0.stager == timestamp.writer && $0.upload == own.attempt.upload }
        }
        guard committed.map({ $0 < timestamp }) ?? true else { return }
        committed = timestamp
        for (version, _) in versions where version.timestamp < timestamp && supersededAt[version.timestamp] == nil {
            supersededAt[version.timestamp] = now
        }
    }

    private mutating func discard() {
        let stager = client()
        let upload: UploadID = below(2) == 0 ? .first : .second
        host.discard(upload, as: stager)
        story.append("\(stager) discards \(upload)")
        spend { $0.stager == stager && $0.upload == upload }
    }

    private mutating func spend(_ isMeant: (AttemptName) -> Bool) {
        for attempt in Set(staged.keys.map(\.attempt)) where isMeant(attempt) { spent.insert(attempt) }
    }

    // MARK: What is to be

    /// Versions that must be there: pending ones, the committed one, and superseded ones for their time.
    private func mustHave(_ timestamp: Timestamp) -> Bool {
        supersededAt[timestamp].map { now < $0 + Self.retentionMilliseconds } ?? true
    }

    /// What is wrong, or nil.
    var wrong: String? {
        mutating get {
            let record = host.record(.photo)
            if let broken = record.brokenInvariant { return broken }
            guard host.accounts.all == Accounts(host.store.charges).all else { return "the accounts are not the sum" }
            // However many are retained, the oldest go first, and none of the others.
            let isBounded = record.retained.count >= group.parameters.limits.retainedVersionsMax
            versions = versions.filter { version, _ in
                record.version(version.timestamp) != nil || mustHave(version.timestamp) && !isBounded
            }
            var held: Set<AttemptName> = []
            for (version, parts) in versions {
                guard record.version(version.timestamp)?.holdsFragments == true else {
                    return "\(version.timestamp) is gone"
                }
                for part in parts {
                    held.insert(part.attempt)
                    guard host.has(part) else { return "\(part.attempt) is not what \(version.timestamp) says" }
                }
            }
            for (place, seed) in staged {
                let isExpired = now >= (touched[place.attempt] ?? 0) + Self.stagedMilliseconds
                let attempt = record.attempt(place.attempt)
                if attempt?.stripes.contains(UInt32(place.stripe)) != true {
                    guard spent.contains(place.attempt) || isExpired, !held.contains(place.attempt) else {
                        return "stripe \(place.stripe) of \(place.attempt) is gone"
                    }
                    staged[place] = nil
                    continue
                }
                let expected = part(of: place.attempt, seed).fragments[place.stripe][host.server.offset]
                guard host.fetched(place.attempt, place.stripe)?.fragment == expected else {
                    return "stripe \(place.stripe) of \(place.attempt) is another"
                }
            }
            for attempt in record.staged {
                if !staged.keys.contains(where: { $0.attempt == attempt.name }) {
                    return "\(attempt.name) came from nowhere"
                }
                if attempt.isSpent, !spent.contains(attempt.name) { return "\(attempt.name) is spent too early" }
                let isBounded = group.parameters.limits.stagedDropsPerChangeMax == 1
                if attempt.isSpent, attempt.holders.isEmpty, !isBounded {
                    return "\(attempt.name) is nobody's any more"
                }
            }
            // Names come again after what they named is gone.
            let there = Set(record.staged.map(\.name))
            spent.formIntersection(there)
            return nil
        }
    }
}
