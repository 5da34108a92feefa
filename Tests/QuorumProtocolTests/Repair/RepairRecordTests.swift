// What a record says of what is lost or void: kept in one form, and refused in any other (docs/storage.md).

import Fingerprint
import Testing

@testable import QuorumProtocol

@Suite("Repair: a record")
struct RepairRecordTests {
    private static let group = TestGroup.staging()

    private func version(_ counter: UInt64) -> Timestamp {
        Self.group.version(.photo, "\(counter)", counter: counter).timestamp
    }

    private func attempt(
        _ number: UInt32, lost: [Range<UInt32>] = [], isSpent: Bool = false, isRepairs: Bool = false,
        holders: [Timestamp] = []
    ) -> StagedAttempt {
        var attempt = StagedAttempt(
            AttemptName(stager: .alice, upload: .first, part: 1, number: number), stripeSizeBytes: 512,
            stripeChargeBytes: 4352, milliseconds: 7)
        attempt.stripes = StripeRanges(upTo: 20)
        for run in lost { attempt.lost.insert(run) }
        attempt.isSpent = isSpent
        attempt.isRepairs = isRepairs
        attempt.holders = holders.map { StagedAttempt.Holder(timestamp: $0, stripeCount: 20) }
        return attempt
    }

    private func record(
        _ fragments: HeldFragments, delivery: FragmentDelivery = .staged, _ attempts: [StagedAttempt] = []
    )
        -> ObjectRecord
    {
        var record = ObjectRecord()
        record.held = [HeldVersion(timestamp: version(1), fragments: fragments, delivery: delivery, sizeBytes: 9)]
        record.staged = attempts
        return record
    }

    private func refuses(_ bytes: [UInt8]) -> Bool { (try? ObjectRecord(decoding: bytes)) == nil }

    @Test("comes back as it was, with every flag", arguments: 0..<60 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        var record = ObjectRecord()
        record.held = (1...3).map { counter in
            HeldVersion(
                timestamp: version(counter),
                fragments: [.absent, .held, .lost, .void].randomElement(using: &generator) ?? .held,
                delivery: .staged, sizeBytes: UInt64.random(in: 0...(.max), using: &generator))
        }
        record.staged = (0..<6).map { number in
            var lost: [Range<UInt32>] = []
            for first in stride(from: 0, to: 20, by: 5) as StrideTo<UInt32> where generator.chance(percent: 40) {
                lost.append(first..<(first + UInt32.random(in: 1...4, using: &generator)))
            }
            return attempt(
                UInt32(number), lost: lost, isSpent: generator.chance(percent: 50),
                isRepairs: generator.chance(percent: 50),
                holders: record.held.map(\.timestamp).filter { _ in generator.chance(percent: 50) })
        }
        let read = try ObjectRecord(decoding: record.bytes)
        #expect(read == record && read.bytes == record.bytes)
        #expect(zip(read.staged, record.staged).allSatisfy { $0 == $1 && $0.isRepairs == $1.isRepairs })
        #expect(zip(read.staged, record.staged).allSatisfy { $0.lost == $1.lost && $0.isSpent == $1.isSpent })
        #expect(read.held.map(\.fragments) == record.held.map(\.fragments))
    }

    @Test("differs for each state that it tells")
    func distinct() {
        let states: [HeldFragments] = [.absent, .held, .lost, .void]
        #expect(Set(states.map { record($0).bytes }).count == 4)
        var attempts: [StagedAttempt] = []
        for lost in [[], [0..<20], [3..<4], [0..<1, 5..<20]] as [[Range<UInt32>]] {
            for isSpent in [false, true] {
                for isRepairs in [false, true] {
                    attempts.append(attempt(1, lost: lost, isSpent: isSpent, isRepairs: isRepairs))
                }
            }
        }
        #expect(Set(attempts.map { record(.lost, [$0]).bytes }).count == attempts.count)
    }

    /// Where two encodings of one length differ, if it is one byte.
    private func place(_ one: [UInt8], _ other: [UInt8]) -> Int? {
        let places = one.indices.filter { other.indices.contains($0) && one[$0] != other[$0] }
        return one.count == other.count && places.count == 1 ? places[0] : nil
    }

    @Test("with a state that there is none of is refused")
    func states() throws {
        let bytes = record(.absent).bytes
        let fragments = try #require(place(bytes, record(.void).bytes))
        let stripes = try #require(place(bytes, record(.absent, delivery: .prepared).bytes))
        #expect(stripes == fragments + 1)
        for state in 4...255 as ClosedRange<UInt8> {
            var altered = bytes
            altered[fragments] = state
            #expect(refuses(altered))
        }
        for kind in 4...255 as ClosedRange<UInt8> {
            var altered = bytes
            altered[stripes] = kind
            #expect(refuses(altered))
        }
        // What has no stripes is held, and nothing else.
        for state in 0...3 as ClosedRange<UInt8> {
            var altered = bytes
            (altered[fragments], altered[stripes]) = (state, 0)
            #expect(refuses(altered) == (state != 1), "\(state)")
        }
    }

    @Test("with flags that there are none of, or that say lost of nothing, is refused")
    func flags() throws {
        let bytes = record(.absent, [attempt(1)]).bytes
        let flags = try #require(place(bytes, record(.absent, [attempt(1, isSpent: true)]).bytes))
        #expect(place(bytes, record(.absent, [attempt(1, isRepairs: true)]).bytes) == flags)
        for value in 1...255 as ClosedRange<UInt8> {
            var altered = bytes
            altered[flags] = value
            let isKnown = [1, 4, 5].contains(value)
            #expect(refuses(altered) == !isKnown, "\(value)")
        }
        // Damaged, and a count of no runs.
        var altered = bytes
        altered[flags] = 2
        altered.insert(contentsOf: [0, 0], at: flags + 1)
        #expect(refuses(altered))
    }

    @Test("of another format is refused")
    func format() throws {
        let bytes = record(.held).bytes
        let tag = Array("solidus.object.9".utf8)
        // Behind its own length.
        let end = try #require(bytes.indices.first { bytes[..<$0].suffix(tag.count) == tag[...] })
        #expect(end < 20)
        var altered = bytes
        altered[end - 1] = UInt8(ascii: "8")
        #expect(refuses(altered) && !refuses(bytes))
    }

    @Test("cut anywhere, or with a byte changed, is refused or another one in its one form", arguments: 0..<3)
    func corrupted(kind: Int) {
        let lost: [[Range<UInt32>]] = [[], [0..<20], [0..<1, 4..<5, 9..<12, 15..<20]]
        let bytes = record(
            .lost,
            [
                attempt(1, lost: lost[kind], isRepairs: true, holders: [version(1)]),
                attempt(2, isSpent: true, holders: [version(1)]),
            ]
        ).bytes
        for count in bytes.indices { #expect(refuses(Array(bytes[..<count]))) }
        #expect(refuses(bytes + [0]))
        for position in bytes.indices {
            for value in [0, 1, 2, 3, 7, 8, 0x7f, 0xff] as [UInt8] where bytes[position] != value {
                var altered = bytes
                altered[position] = value
                guard let read = try? ObjectRecord(decoding: altered) else { continue }
                #expect(read.bytes == altered, "byte \(position) as \(value)")
            }
        }
    }

    @Test("that names lost stripes which no version holds, or hides them, is broken")
    func invariants() {
        let held = [version(1)]
        #expect(record(.lost, [attempt(1, lost: [0..<3], holders: held)]).brokenInvariant == nil, "it is pending")
        func committed(_ fragments: HeldFragments, _ attempt: StagedAttempt) -> ObjectRecord {
            var record = record(fragments, [attempt])
            let version = Self.group.version(.photo, "1", counter: 1)
            record.committed = CommittedVersion(Self.group.certificate(of: version))
            return record
        }
        #expect(committed(.lost, attempt(1, lost: [0..<3], holders: held)).brokenInvariant == nil)
        #expect(committed(.void, attempt(1, lost: [0..<3], holders: held)).brokenInvariant == nil)
        #expect(committed(.held, attempt(1, holders: held)).brokenInvariant == nil)
        #expect(committed(.held, attempt(1, lost: [0..<3], holders: held)).brokenInvariant != nil)
        #expect(committed(.absent, attempt(1, lost: [0..<3], holders: held)).brokenInvariant != nil)
        #expect(committed(.lost, attempt(1, lost: [0..<3])).brokenInvariant != nil)
    }
}
