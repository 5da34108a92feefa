// Claims in the modes that verify later, which name several versions, and frames of the mode that sends whole blocks.

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A claim of several versions")
struct ClaimedVersionsTests {
    private static let modes: [VerificationMode] = [.lazy, .readTime]
    private static let lazy = parameters(mode: .lazy)

    private static func timestamp(_ counter: UInt64) -> Timestamp { Sample.timestamp(counter, of: Sample.tombstone) }

    private static func certificate(_ counter: UInt64, statementCount: UInt16 = 3, pathCount: Int = 1) -> Certificate {
        Sample.certificate(
            timestamp(counter),
            (0..<statementCount).map { Sample.statement($0, pathCount: pathCount) })
    }

    private static func poisonous(_ counter: UInt64, statements: [UInt16] = [1, 3]) -> PoisonousVersion {
        PoisonousVersion(
            timestamp: timestamp(counter), statements: statements.map { Sample.statement($0, .poisonous) })
    }

    /// At least one of each shape.
    private static let claims = [
        CommittedClaim(certificate: nil, unverified: [certificate(1)]),
        CommittedClaim(certificate: certificate(1), unverified: [certificate(2), certificate(3)]),
        CommittedClaim(certificate: nil, poisonous: [poisonous(1)]),
        CommittedClaim(certificate: certificate(1), poisonous: [poisonous(2, statements: []), poisonous(.max)]),
        CommittedClaim(
            certificate: certificate(1), unverified: [certificate(2), certificate(4)],
            poisonous: [poisonous(3), poisonous(5, statements: [0, 1, 2, 3])]),
    ]

    private static func frame(_ claim: CommittedClaim) -> [UInt8] { Message.reply(.timestamp(claim)).frame(number: 1) }

    private func decode(_ frame: [UInt8], _ parameters: ClusterParameters = lazy) throws -> Reply {
        try Reply.decode(ByteBuffer(bytes: frame), parameters: parameters).reply
    }

    @Test("decodes to the same, with or without parts", arguments: modes)
    func roundTrip(mode: VerificationMode) throws {
        for claim in Self.claims {
            let parts = HeldParts(
                timestamp: Self.timestamp(2), position: 1, descriptor: Sample.tombstone, fragments: [])
            #expect(try decode(Self.frame(claim), parameters(mode: mode)) == .timestamp(claim))
            let bare = Message.reply(.version(claim, nil)).frame(number: 1)
            #expect(try decode(bare, parameters(mode: mode)) == .version(claim, nil))
            // The descriptor of another mode's cluster is refused, whatever the claim.
            let foreign = Message.reply(.version(claim, parts)).frame(number: 1)
            #expect(throws: WireError.self) { try decode(foreign, parameters(mode: mode)) }
        }
    }

    @Test(
        "is refused where nothing is verified later", arguments: VerificationMode.allCases.filter { !$0.verifiesLater })
    func otherModes(mode: VerificationMode) {
        for claim in Self.claims {
            #expect(throws: WireError.malformed(.notCanonical(field: "more versions"))) {
                try decode(Self.frame(claim), parameters(mode: mode))
            }
        }
    }

    @Test("is refused when anything is cut off, and when anything follows")
    func truncations() {
        for claim in Self.claims {
            let head = Array(Self.frame(claim).dropFirst(WireLimits.preambleSizeBytes))
            for count in 0..<head.count {
                let cut = QuorumWireTests.frame(.timestampReply, head: Array(head.prefix(count)))
                #expect(throws: WireError.self, "\(count) of \(head.count)") { try decode(cut) }
            }
            let longer = QuorumWireTests.frame(.timestampReply, head: head + [0])
            #expect(throws: WireError.self) { try decode(longer) }
        }
    }

    @Test("is refused when its lists are out of order, repeat a version, or go below what is verified")
    func order() {
        let unverified = "unverified versions' order"
        let poisonous = "poisonous versions' order"
        let bad: [(CommittedClaim, String)] = [
            (CommittedClaim(certificate: nil, unverified: [Self.certificate(3), Self.certificate(2)]), unverified),
            (CommittedClaim(certificate: nil, unverified: [Self.certificate(2), Self.certificate(2)]), unverified),
            (CommittedClaim(certificate: Self.certificate(2), unverified: [Self.certificate(2)]), unverified),
            (CommittedClaim(certificate: Self.certificate(2), unverified: [Self.certificate(1)]), unverified),
            (CommittedClaim(certificate: nil, poisonous: [Self.poisonous(3), Self.poisonous(2)]), poisonous),
            (CommittedClaim(certificate: nil, poisonous: [Self.poisonous(2), Self.poisonous(2)]), poisonous),
            (CommittedClaim(certificate: Self.certificate(2), poisonous: [Self.poisonous(2)]), poisonous),
            (CommittedClaim(certificate: Self.certificate(2), poisonous: [Self.poisonous(1)]), poisonous),
        ]
        for (claim, field) in bad {
            #expect(throws: WireError.malformed(.notCanonical(field: field))) { try decode(Self.frame(claim)) }
        }
    }

    @Test("that says that more follows, and nothing does, is refused")
    func emptyLists() {
        var head = CanonicalEncoder()
        head.append(UInt8(0))
        head.append(UInt8(1))
        head.append(UInt32(0))
        head.append(UInt32(0))
        #expect(throws: WireError.malformed(.notCanonical(field: "more versions"))) {
            try decode(QuorumWireTests.frame(.timestampReply, head: head.bytes))
        }
    }

    @Test("that states more versions than there may be is refused before they are read", arguments: [true, false])
    func countLimits(isPoisonous: Bool) {
        for count in [(1 << 12) + 1, .max] as [UInt32] {
            var head = CanonicalEncoder()
            head.append(UInt8(0))
            head.append(UInt8(1))
            if isPoisonous { head.append(UInt32(0)) }
            head.append(count)
            #expect(throws: WireError.self) {
                try decode(QuorumWireTests.frame(.timestampReply, head: head.bytes))
            }
        }
    }

    @Test("of more poisonous versions than a head has room for keeps the highest of them, and all that is unverified")
    func cut() throws {
        let versions = (2...20_000).map { Self.poisonous(UInt64($0)) }
        let unverified = (30_000..<30_064).map { Self.certificate($0) }
        let claim = CommittedClaim(certificate: Self.certificate(1), unverified: unverified, poisonous: versions)
        guard case .timestamp(let decoded) = try decode(Self.frame(claim)) else {
            Issue.record("another reply")
            return
        }
        #expect(decoded.sound == claim.sound && decoded.unverified == claim.unverified)
        #expect(decoded.poisonous.count > 500 && decoded.poisonous.count < versions.count)
        #expect(decoded.poisonous == Array(versions.suffix(decoded.poisonous.count)))
    }

    @Test(
        "is never too large to be read, however many versions wait and however large the cluster is",
        arguments: [(1, 2), (2, 3), (1, 8), (3, 4), (7, 8)])
    func largest(faults: Int, dataFragmentCount: Int) throws {
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        let parameters = parameters(quorums: quorums, mode: .lazy, limits: ProtocolLimits())
        let quorum = UInt16(quorums.quorum)
        // A server records as many.
        let count = UInt64(2 * parameters.limits.unverifiedVersionsMax)
        // The tree of a group commit of some hundred statements.
        let unverified = (2..<2 + count).map { Self.certificate($0, statementCount: quorum, pathCount: 9) }
        let versions = (1000...6000).map { Self.poisonous(UInt64($0)) }
        let claim = CommittedClaim(
            certificate: Self.certificate(1, statementCount: quorum, pathCount: 9), unverified: unverified,
            poisonous: versions)
        guard case .timestamp(let decoded) = try decode(Self.frame(claim), parameters) else {
            Issue.record("another reply")
            return
        }
        #expect(decoded.unverified == claim.unverified && decoded.poisonous.last == versions.last)
    }
}

@Suite("A frame in the mode full")
struct BlockFrameTests {
    @Test("carries a whole block of the stripe's size, and the bound of frames allows for it")
    func block() throws {
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = 1 << 16
        let full = parameters(mode: .full, limits: limits)
        let value = SharedBytes((0..<1 << 16).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let encoded = EncodedValue(value, key: Sample.key, metadata: ObjectMetadata(), parameters: full)
        for server in full.quorums.positions {
            let request = Request.prepare(
                Prepare(
                    key: Sample.key, timestamp: Sample.timestamp(1, of: encoded.descriptor), position: server,
                    descriptor: encoded.descriptor, fragments: encoded.fragments[server.offset]))
            let frame = Message.request(request).frame(number: 1)
            #expect(frame.count > value.count && frame.count <= WireLimits.frameSizeBytesMax(full))
            #expect(try Request.decode(ByteBuffer(bytes: frame), parameters: full).request == request)
            guard case .prepare(let prepare) = request else { return }
            #expect(prepare.fragments == [value])
        }
        let difference =
            WireLimits.frameSizeBytesMax(full)
            - WireLimits.frameSizeBytesMax(parameters(mode: .fingerprint, limits: limits))
        #expect(difference == value.count / 2, "a block instead of a fragment")
    }
}
