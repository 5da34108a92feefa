// Lies about what is in a bucket, against Listing: what 2f + 1 name alike is there, what none of 2f + 1 names is not,
// and everything else is read. They go beside whatever else a server lies about.

import Fingerprint
import QuorumProtocol

/// Every way in which a server can lie about a bucket.
package enum ListingLie: String, CaseIterable, Sendable {
    /// Leaves out some of what is there.
    case omission
    /// Names objects that never were, versions that nobody wrote, and prefixes without anything below them.
    case invention
    /// Names what it first saw of each object, be it deleted since.
    case staleVersions = "stale-versions"
    /// Names the right versions with other lengths, tags and times.
    case wrongHeads = "wrong-heads"
    /// Names prefixes that are there by keys that are not.
    case falseWitnesses = "false-witnesses"
    /// Tells of hardly anything at a time.
    case noCoverage = "no-coverage"
    /// Tells of hardly anything and says that it is all.
    case endlessCoverage = "endless-coverage"
    /// Answers what was not asked.
    case otherPlaces = "other-places"
    case silence
    /// Any of these, answer by answer, and the truth.
    case mixture
}

/// A server's way of lying about a bucket, around honest answers. It draws from a generator of its own.
package struct ListingLiar {
    private let lie: ListingLie
    private var generator: SeededGenerator
    /// What it first saw of each object.
    private var first: [ObjectKey: LiveVersion] = [:]

    package init(_ lie: ListingLie, seed: UInt64) {
        self.lie = lie
        generator = SeededGenerator(seed: seed &* 0x2545_f491_4f6c_dd1d &+ 11)
    }

    /// What it answers instead; nil for nothing. What it makes up may be no answer at all.
    package mutating func answer(_ query: ListingQuery, _ honest: ListingAnswer) -> ListingAnswer? {
        for listed in honest.objects + honest.prefixes.flatMap(\.witnesses) where first[listed.key] == nil {
            first[listed.key] = listed.live
        }
        guard lie == .mixture else { return answer(query, honest, lie) }
        let drawn = generator.below(ListingLie.allCases.count)
        return ListingLie.allCases[drawn] == .mixture ? honest : answer(query, honest, ListingLie.allCases[drawn])
    }

    private mutating func answer(
        _ query: ListingQuery, _ honest: ListingAnswer, _ lie: ListingLie
    ) -> ListingAnswer? {
        var answer = honest
        switch lie {
        case .omission:
            answer.objects = honest.objects.filter { _ in generator.chance(percent: 50) }
            answer.prefixes = honest.prefixes.filter { _ in generator.chance(percent: 50) }
        case .invention:
            add((0..<generator.within(1...3)).compactMap { invented($0, query) }, to: &answer, query)
        case .staleVersions:
            answer.objects = honest.objects.map { ListedKey($0.key, first[$0.key] ?? $0.live) }
            let gone = first.filter { known in !honest.objects.contains { $0.key == known.key } }
            add(gone.sorted { $0.key < $1.key }.map { ListedKey($0.key, $0.value) }, to: &answer, query)
        case .wrongHeads:
            answer.objects = honest.objects.map { ListedKey($0.key, Self.withOtherHead($0.live)) }
        case .falseWitnesses:
            answer.prefixes = honest.prefixes.map { told in
                let key = try? ObjectKey(bytes: told.prefix + Array("!\(generator.below(3))".utf8))
                return ListedPrefix(told.prefix, witnesses: key.map { [Self.fabricated($0)] } ?? told.witnesses)
            }
        case .noCoverage:
            answer = ListingAnswer()
            answer.below = query.lowest + [0]
        case .endlessCoverage:
            answer.below = nil
            answer.objects = Array(honest.objects.prefix(generator.below(2)))
            answer.prefixes = []
        case .otherPlaces:
            answer.objects = ["aaa/x", "zzz/x"].compactMap { try? ObjectKey($0) }.map(Self.fabricated)
        case .silence:
            return nil
        case .mixture:
            break
        }
        return answer
    }

    /// Enters keys where they belong, as far as there is room: into the objects or as witnesses.
    private func add(_ keys: [ListedKey], to answer: inout ListingAnswer, _ query: ListingQuery) {
        var objects = answer.objects
        for listed in keys where answer.below.map({ listed.key.bytes.lexicographicallyPrecedes($0) }) ?? true {
            guard listed.key.bytes.starts(with: query.prefix),
                !listed.key.bytes.lexicographicallyPrecedes(query.lowest)
            else { continue }
            let hasRoom = objects.count + answer.prefixes.count < query.limit
            if let prefix = query.commonPrefix(of: listed.key) {
                if let place = answer.prefixes.firstIndex(where: { $0.prefix == prefix }) {
                    // The first of a group is what counts.
                    answer.prefixes[place].witnesses = [listed]
                } else if hasRoom {
                    answer.prefixes.append(ListedPrefix(prefix, witnesses: [listed]))
                }
            } else if !objects.contains(where: { $0.key == listed.key }), hasRoom {
                objects.append(listed)
            }
        }
        answer.objects = objects.sorted { $0.key < $1.key }
        answer.prefixes.sort { $0.prefix.lexicographicallyPrecedes($1.prefix) }
    }

    /// A key that never was, or one that is known at a version that nobody wrote; alike at all who make it up.
    private mutating func invented(_ number: Int, _ query: ListingQuery) -> ListedKey? {
        let known = first.keys.sorted()
        let names = ["invented-\(number)", "dir-9/invented-\(number)"]
        let isKnown = generator.chance(percent: 30)
        let name = names[generator.below(names.count)]
        let pick = generator.pick(known)
        if isKnown, let pick { return Self.fabricated(pick) }
        return (try? ObjectKey("\(query.bucket)/\(name)")).map(Self.fabricated)
    }

    private static func fabricated(_ key: ObjectKey) -> ListedKey {
        let timestamp = Timestamp(counter: 1 << 40, writer: ClientID(high: 1, low: 1), digest: .sha256(key.bytes))
        let head = ListedHead(lengthBytes: 1, etag: "", modifiedMilliseconds: 1)
        return ListedKey(key, LiveVersion(timestamp: timestamp, isSound: true, head: head))
    }

    private static func withOtherHead(_ live: LiveVersion) -> LiveVersion {
        LiveVersion(
            timestamp: live.timestamp, isSound: true,
            head: ListedHead(lengthBytes: 99_999, etag: "other", modifiedMilliseconds: 1))
    }
}
