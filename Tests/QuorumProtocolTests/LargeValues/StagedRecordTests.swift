// What a record says of staged stripes: kept in one form, refused in any other, and bounded (docs/storage.md).

import QuorumProtocol
import Testing

@Suite("LargeValues: a record")
struct StagedRecordTests {
    /// A server at which several clients staged this and that at random, and some versions hold of it.
    private func host(_ group: TestGroup, seed: UInt64) -> ReplicaHost {
        var generator = SplitMix64(seed: seed)
        let host = ReplicaHost(group, 0)
        var whole: [TestPart] = []
        for number in 0..<Int.random(in: 1...8, using: &generator) {
            let part = group.part(
                UInt16.random(in: 1...3, using: &generator), of: Bool.random(using: &generator) ? .first : .second,
                by: [.alice, .bob, .zoe].randomElement(using: &generator) ?? .bob, attempt: UInt32(number),
                lengthBytes: Int.random(in: 1...6 * 512, using: &generator), seed: seed)
            let isWhole = Bool.random(using: &generator)
            host.expectStaged(part, part.stripes.indices.filter { _ in isWhole || Bool.random(using: &generator) })
            if isWhole { whole.append(part) }
        }
        for (number, part) in whole.enumerated() {
            let writer: ClientID = Bool.random(using: &generator) ? .alice : .zoe
            host.expectStored(group.version([part], counter: 1, writer: writer, etag: "\(number)"))
        }
        return host
    }

    @Test("comes back from its bytes as it was")
    func roundTrip() throws {
        let group = TestGroup.staging()
        var heldCount = 0
        for seed in 0..<40 as Range<UInt64> {
            let record = host(group, seed: seed).record(.photo)
            let read = try ObjectRecord(decoding: record.bytes)
            #expect(read == record && read.bytes == record.bytes, "seed \(seed)")
            #expect(read.staged == record.staged && read.brokenInvariant == nil, "seed \(seed)")
            heldCount += record.staged.count { !$0.holders.isEmpty }
        }
        #expect(heldCount > 20)
    }

    @Test("cut anywhere, or with a byte changed, is refused or another one in its one form")
    func corrupted() throws {
        let group = TestGroup.staging()
        for seed in 0..<6 as Range<UInt64> {
            let bytes = host(group, seed: seed).record(.photo).bytes
            for count in bytes.indices {
                #expect(throws: MalformedEncoding.self) { try ObjectRecord(decoding: Array(bytes[..<count])) }
            }
            #expect(throws: MalformedEncoding.self) { try ObjectRecord(decoding: bytes + [0]) }
            var generator = SplitMix64(seed: seed)
            var refusedCount = 0
            for position in bytes.indices {
                var altered = bytes
                altered[position] ^= UInt8.random(in: 1...255, using: &generator)
                guard let read = try? ObjectRecord(decoding: altered) else {
                    refusedCount += 1
                    continue
                }
                #expect(read.bytes == altered, "seed \(seed), byte \(position)")
            }
            #expect(refusedCount > 0)
        }
    }

    @Test("takes attempts out of order, empty uploads and holders that are not here for damage")
    func notCanonical() throws {
        let group = TestGroup.staging()
        let host = ReplicaHost(group, 0)
        for number in 1...2 as ClosedRange<UInt32> {
            host.expectStaged(group.part(attempt: number, lengthBytes: 100, seed: UInt64(number)))
        }
        let bytes = host.record(.photo).bytes
        // Each attempt of one run and no holder takes so much, and the last ones are at the end.
        let size = 31 + 8
        #expect(throws: MalformedEncoding.self) {
            let (first, second) = (bytes.suffix(2 * size).prefix(size), bytes.suffix(size))
            _ = try ObjectRecord(decoding: bytes.dropLast(2 * size) + second + first)
        }
        #expect(throws: MalformedEncoding.self) {
            let first = bytes.suffix(2 * size).prefix(size)
            _ = try ObjectRecord(decoding: bytes.dropLast(size) + first)
        }
        // One upload, then as many attempts as there are: none.
        let none = bytes.dropLast(2 * size + 4) + [0, 0, 0, 0]
        #expect(throws: MalformedEncoding.self) { try ObjectRecord(decoding: Array(none)) }
        // The number of holders stands at the very end.
        let held = bytes.dropLast(2) + [0, 1, 0, 0, 0, 0, 0, 1]
        #expect(throws: MalformedEncoding.self) { try ObjectRecord(decoding: Array(held)) }
    }

    @Test("has room for a bounded number of attempts and runs, and leaves others some")
    func bounded() {
        let group = TestGroup.staging { $0.stagedRecordSizeBytesMax = 1600 }
        let host = ReplicaHost(group, 0)
        let scattered = group.part(by: .mallory, lengthBytes: 300 * 512)
        var taken = 0
        for stripe in stride(from: 0, to: 120, by: 2) {
            guard host.stage(scattered, [stripe]) == [.staged] else { break }
            taken += 1
        }
        #expect(taken == 60)
        var attempts = 0
        while attempts < 100,
            host.stage(
                group.part(by: .mallory, attempt: UInt32(attempts + 2), lengthBytes: 100), [0]) == [.staged]
        {
            attempts += 1
        }
        #expect((10...30).contains(attempts))
        host.expectRefused(.stage(scattered.stage(200, for: 0)), from: .mallory, .tooScattered(limit: 60))
        host.expectRefused(
            .stage(group.part(by: .mallory, attempt: 200, lengthBytes: 100).stage(0, for: 0)), from: .mallory,
            .tooManyAttempts(limit: attempts + 1))
        // Others have room, and whoever has begun goes on.
        host.expectStaged(group.part(lengthBytes: 1100))
        host.expectStaged(scattered, [1, 3])
        host.expectStored(group.version([group.part(lengthBytes: 1100)], counter: 1))
        #expect(host.record(.photo).bytes.count < 4096)
    }

    @Test("has room for what versions hold, which is refused for a while when there is none")
    func boundedHolders() {
        let group = TestGroup.staging {
            $0.stagedRecordSizeBytesMax = 1024
            $0.pendingVersionsPerClientMax = 100
        }
        let host = ReplicaHost(group, 0)
        let parts = (1...16).map { group.part(UInt16($0), lengthBytes: 10) }
        for part in parts { host.expectStaged(part) }
        var storedCount = 0
        while storedCount < 20, case .prepared = host.prepare(group.version(parts, counter: 1, etag: "\(storedCount)"))
        {
            storedCount += 1
        }
        #expect((2...10).contains(storedCount))
        #expect(host.prepare(group.version(parts, counter: 1, etag: "more")) == .refused(.busy))
        let next = group.version(.photo, "next", counter: 1, writer: .zoe)
        host.prepare(next)
        host.expectCommitted(next)
        host.pass(toMilliseconds: 100_000)
        // The versions are gone, their stripes are not, and may be named again.
        host.expectStored(group.version(parts, counter: 2, etag: "more"))
    }

    @Test("of a value of the most parts is no larger than a store takes")
    func manyParts() {
        let limits = ProtocolLimits()
        #expect(limits.attemptsMax * (31 + 8) < limits.stagedRecordSizeBytesMax)
        #expect(limits.attemptsPerClientMax * (31 + 8) < limits.stagedRecordSizeBytesMax / 16 * 13)
        // And every part of the largest value held by one version, beside what else a record says.
        let holding = limits.attemptsMax * (31 + 8) + StagedLimits.partsMax * 6
        #expect(holding < limits.stagedRecordSizeBytesMax / 2 * 3)
        #expect(limits.stagedRecordSizeBytesMax / 2 * 3 <= 3 << 18)
    }
}
