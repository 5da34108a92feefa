// Refusals as bytes, and back: code u16, traits u8, then the evidence of that case.

import ErasureCode
import Fingerprint
import QuorumProtocol

extension Refusal {
    private static let pendingVersionsMax = 255
    /// What is kept of the evidence of a reason that this release does not know.
    private static let unknownEvidenceSizeBytesMax = 256

    func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(code)
        encoder.append(traits.rawValue)
        switch self {
        case .notEntitled(let principal, let rights):
            encoder.append(rights.rawValue)
            switch principal {
            case .client(let client):
                encoder.append(UInt8(0))
                encoder.append(client)
            case .server(let server):
                encoder.append(UInt8(1))
                encoder.append(server.rawValue)
            }
        case .foreignTimestamp(let writer, let sender):
            encoder.append(writer)
            encoder.append(sender)
        case .wrongFragmentCount(let got, let expected):
            encoder.append(pair: got, expected)
        case .tooManyStripes(let got, let limit):
            encoder.append(pair: got, limit)
        case .invalidFragment(let stripe, let error):
            encoder.append(stripe.rawValue)
            error.encode(into: &encoder)
        case .justificationRequired(let counter):
            encoder.append(counter)
        case .counterSkipped(let got, let highest):
            encoder.append(got)
            encoder.append(highest)
        case .invalidCertificate(let error):
            error.encode(into: &encoder)
        case .invalidAdmission(let have, let need):
            encoder.append(pair: have, need)
        case .tooManyPending(let versions):
            encoder.append(fitting: versions, countMax: Self.pendingVersionsMax)
        case .tooManyUnverified(let limit):
            encoder.append(UInt32(clamping: limit))
        case .quotaExceeded(let quota, let limit, let used):
            encoder.append(quota.rawValue)
            encoder.append(limit)
            encoder.append(used)
        case .stripesMissing(let missing):
            encoder.append(UInt16(min(missing.count, StagedLimits.missingMax)))
            for run in missing.prefix(StagedLimits.missingMax) {
                encoder.append(run.part)
                encoder.append(run.stripes.lowerBound)
                encoder.append(run.stripes.upperBound)
            }
        case .otherStripeSize(let size, let expected):
            encoder.append(size)
            encoder.append(expected)
        case .tooManyAttempts(let limit), .tooScattered(let limit):
            encoder.append(UInt32(clamping: limit))
        case .unsupported(let type):
            encoder.append(type)
        case .foreignGroup(let group, let expected):
            encoder.append(group.rawValue)
            encoder.append(expected.rawValue)
        case .unknownEpoch(let epoch, let newest):
            encoder.append(epoch)
            encoder.append(newest)
        case .foreignPosition(let position, let expected):
            encoder.append(position.rawValue)
            encoder.append(expected.rawValue)
        case .other(_, _, let evidence):
            encoder.append(raw: evidence)
        case .digestMismatch, .foreignDescriptor, .notCommitted, .busy, .storageFull, .storageFailed, .recordLost,
            .poisonous, .uploadEnded, .stripeHeld, .notHeld, .rebuilding:
            break
        }
    }

    init(from decoder: inout CanonicalDecoder, parameters: ClusterParameters) throws {
        let code: UInt16 = try decoder.integer("refusal")
        let traits = RefusalTraits(rawValue: try decoder.integer("refusal's traits"))
        guard let kind = RefusalKind(rawValue: code) else {
            guard decoder.remaining <= Self.unknownEvidenceSizeBytesMax else {
                throw MalformedEncoding.overLimit(
                    field: "evidence", value: UInt64(decoder.remaining),
                    limit: UInt64(Self.unknownEvidenceSizeBytesMax))
            }
            self = .other(code: code, traits: traits, evidence: Array(try decoder.raw(decoder.remaining, "evidence")))
            return
        }
        switch kind {
        case .notEntitled:
            let rights = Rights(rawValue: try decoder.integer("rights"))
            guard Rights.all.contains(rights) else {
                throw MalformedEncoding.unknownValue(field: "rights", value: UInt64(rights.rawValue))
            }
            let principal: Principal =
                try decoder.flag("principal")
                ? .server(NodeID(try decoder.integer("server"))) : .client(try decoder.name("client"))
            self = .notEntitled(principal, lacksAll: rights)
        case .foreignTimestamp:
            self = .foreignTimestamp(writer: try decoder.name("writer"), sender: try decoder.name("sender"))
        case .digestMismatch: self = .digestMismatch
        case .foreignDescriptor: self = .foreignDescriptor
        case .notCommitted: self = .notCommitted
        case .recordLost: self = .recordLost
        case .wrongFragmentCount:
            let (got, expected) = try decoder.pair("fragments")
            self = .wrongFragmentCount(got: got, expected: expected)
        case .tooManyStripes:
            let (got, limit) = try decoder.pair("stripes")
            self = .tooManyStripes(got: got, limit: limit)
        case .invalidFragment:
            let stripe = StripeIndex(try decoder.integer("stripe"))
            self = .invalidFragment(stripe, try FragmentVerificationError(from: &decoder))
        case .justificationRequired:
            self = .justificationRequired(committedCounter: try decoder.integer("counter"))
        case .counterSkipped:
            self = .counterSkipped(got: try decoder.integer("counter"), highestAllowed: try decoder.integer("counter"))
        case .invalidCertificate:
            self = .invalidCertificate(try CertificateError(from: &decoder))
        case .invalidAdmission:
            let (have, need) = try decoder.pair("admission")
            self = .invalidAdmission(have: have, need: need)
        case .tooManyPending:
            let count = try decoder.count("pending versions", as: UInt8.self, limit: Self.pendingVersionsMax)
            var versions: [PendingVersion] = []
            for _ in 0..<count {
                let timestamp = try decoder.timestamp("pending version")
                let descriptor = try decoder.descriptor(parameters)
                versions.append(
                    PendingVersion(
                        timestamp: timestamp, descriptor: descriptor, statement: try SignedStatement(from: &decoder)))
            }
            self = .tooManyPending(versions)
        case .busy: self = .busy
        case .storageFull: self = .storageFull
        case .storageFailed: self = .storageFailed
        case .poisonous: self = .poisonous
        case .tooManyUnverified:
            let limit: UInt32 = try decoder.integer("limit")
            self = .tooManyUnverified(limit: Int(limit))
        case .quotaExceeded:
            let number: UInt8 = try decoder.integer("quota")
            guard let quota = Quota(rawValue: number) else {
                throw MalformedEncoding.unknownValue(field: "quota", value: UInt64(number))
            }
            let limit: UInt64 = try decoder.integer("limit")
            self = .quotaExceeded(quota, limit: limit, used: try decoder.integer("use"))
        case .stripesMissing:
            let count = try decoder.count("missing stripes", as: UInt16.self, limit: StagedLimits.missingMax)
            var missing: [MissingStripes] = []
            for _ in 0..<count {
                let part: UInt16 = try decoder.integer("part")
                let lower: UInt32 = try decoder.integer("first stripe")
                let upper: UInt32 = try decoder.integer("end of stripes")
                // In order and apart: whoever goes through them does so once, whatever a liar names.
                let isBehind = missing.last.map { ($0.part, $0.stripes.upperBound) <= (part, lower) } ?? true
                guard lower < upper, upper <= StagedLimits.stripesMax, Int(part) < StagedLimits.partsMax, isBehind
                else {
                    throw MalformedEncoding.notCanonical(field: "missing stripes")
                }
                missing.append(MissingStripes(part: part, stripes: lower..<upper))
            }
            self = .stripesMissing(missing)
        case .otherStripeSize:
            self = .otherStripeSize(try decoder.integer("stripe size"), expected: try decoder.integer("stripe size"))
        case .tooManyAttempts:
            let limit: UInt32 = try decoder.integer("limit")
            self = .tooManyAttempts(limit: Int(limit))
        case .tooScattered:
            let limit: UInt32 = try decoder.integer("limit")
            self = .tooScattered(limit: Int(limit))
        case .uploadEnded: self = .uploadEnded
        case .stripeHeld: self = .stripeHeld
        case .notHeld: self = .notHeld
        case .rebuilding: self = .rebuilding
        case .unsupported: self = .unsupported(type: try decoder.integer("message type"))
        case .foreignGroup:
            self = .foreignGroup(
                GroupID(try decoder.integer("group")), expected: GroupID(try decoder.integer("group")))
        case .unknownEpoch:
            self = .unknownEpoch(try decoder.integer("epoch"), newest: try decoder.integer("epoch"))
        case .foreignPosition:
            self = .foreignPosition(
                Position(try decoder.integer("position")), expected: Position(try decoder.integer("position")))
        }
        guard traits == self.traits else { throw MalformedEncoding.notCanonical(field: "refusal's traits") }
    }
}

extension FragmentVerificationError {
    fileprivate func encode(into encoder: inout CanonicalEncoder) {
        switch self {
        case .indexOutOfRange(let index, let fragmentCount):
            encoder.append(UInt8(1))
            encoder.append(index.rawValue)
            encoder.append(UInt32(fragmentCount))
        case .wrongSize(let index, let got, let expected):
            encoder.append(UInt8(2))
            encoder.append(index.rawValue)
            encoder.append(pair: got, expected)
        case .hashMismatch(let index):
            encoder.append(UInt8(3))
            encoder.append(index.rawValue)
        case .fingerprintMismatch(let index):
            encoder.append(UInt8(4))
            encoder.append(index.rawValue)
        case .encodingMismatch:
            encoder.append(UInt8(5))
            encoder.append(UInt8(0))
        }
    }

    fileprivate init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let code: UInt8 = try decoder.integer("fragment error")
        let index = FragmentIndex(try decoder.integer("fragment"))
        switch code {
        case 1:
            let count: UInt32 = try decoder.integer("fragments")
            self = .indexOutOfRange(index, fragmentCount: Int(count))
        case 2:
            let (got, expected) = try decoder.pair("fragment size")
            self = .wrongSize(index, got: got, expected: expected)
        case 3: self = .hashMismatch(index)
        case 4: self = .fingerprintMismatch(index)
        case 5 where index.rawValue == 0: self = .encodingMismatch
        default: throw .unknownValue(field: "fragment error", value: UInt64(code))
        }
    }
}

extension CertificateError {
    fileprivate func encode(into encoder: inout CanonicalEncoder) {
        switch self {
        case .wrongStatementCount(let have, let need):
            encoder.append(UInt8(1))
            encoder.append(pair: have, need)
        case .repeatedServer(let server):
            encoder.append(UInt8(2))
            encoder.append(server.rawValue)
        case .unknownServer(let server):
            encoder.append(UInt8(3))
            encoder.append(server.rawValue)
        case .invalidPath(let server):
            encoder.append(UInt8(4))
            encoder.append(server.rawValue)
        case .invalidSignature(let server):
            encoder.append(UInt8(5))
            encoder.append(server.rawValue)
        case .wrongClaim(let server):
            encoder.append(UInt8(6))
            encoder.append(server.rawValue)
        case .unknownEpoch(let epoch):
            encoder.append(UInt8(7))
            encoder.append(epoch)
        case .foreignGroup(let group, let expected):
            encoder.append(UInt8(8))
            encoder.append(group.rawValue)
            encoder.append(expected.rawValue)
        case .unknownIncarnation(let server, let incarnation):
            encoder.append(UInt8(9))
            encoder.append(server.rawValue)
            encoder.append(incarnation.rawValue)
        case .fenced(let server):
            encoder.append(UInt8(10))
            encoder.append(server.rawValue)
        }
    }

    fileprivate init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let code: UInt8 = try decoder.integer("certificate error")
        switch code {
        case 1:
            let (have, need) = try decoder.pair("statements")
            self = .wrongStatementCount(have: have, need: need)
        case 2: self = .repeatedServer(NodeID(try decoder.integer("server")))
        case 3: self = .unknownServer(NodeID(try decoder.integer("server")))
        case 4: self = .invalidPath(NodeID(try decoder.integer("server")))
        case 5: self = .invalidSignature(NodeID(try decoder.integer("server")))
        case 6: self = .wrongClaim(NodeID(try decoder.integer("server")))
        case 7: self = .unknownEpoch(try decoder.integer("epoch"))
        case 8:
            self = .foreignGroup(
                GroupID(try decoder.integer("group")), expected: GroupID(try decoder.integer("group")))
        case 9:
            self = .unknownIncarnation(
                NodeID(try decoder.integer("server")), Incarnation(try decoder.integer("incarnation")))
        case 10: self = .fenced(NodeID(try decoder.integer("server")))
        default: throw .unknownValue(field: "certificate error", value: UInt64(code))
        }
    }
}

extension CanonicalEncoder {
    /// As many of the versions, from the first, as count and head have room for: with large quorums and descriptors a
    /// client can drive their number at a server beyond both, since each version that it has admitted counts.
    fileprivate mutating func append(fitting versions: [PendingVersion], countMax: Int) {
        var room = WireLimits.headSizeBytesMax - bytes.count - 1
        var listed: [[UInt8]] = []
        for version in versions.prefix(countMax) {
            var entry = CanonicalEncoder()
            entry.append(version.timestamp)
            entry.append(counted: version.descriptor.bytes)
            version.statement.encode(into: &entry)
            guard entry.bytes.count <= room else { break }
            room -= entry.bytes.count
            listed.append(entry.bytes)
        }
        append(UInt8(listed.count))
        for entry in listed { append(raw: entry) }
    }

    /// Two sizes or counts of ours, never negative.
    fileprivate mutating func append(pair first: Int, _ second: Int) {
        append(UInt32(clamping: first))
        append(UInt32(clamping: second))
    }
}

extension CanonicalDecoder {
    fileprivate mutating func pair(_ field: String) throws(MalformedEncoding) -> (Int, Int) {
        let first: UInt32 = try integer(field)
        let second: UInt32 = try integer(field)
        return (Int(first), Int(second))
    }
}
