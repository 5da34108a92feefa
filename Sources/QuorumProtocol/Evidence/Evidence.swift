// Evidence: what proves to a third party that a server lied (docs/protocol.md, Evidence). It holds one signed statement
// and all that shows it to be false, so that whoever has the cluster's configuration and list of keys needs nothing
// else.

import Fingerprint

/// What a statement is, that no correct server of the cluster would have signed.
public enum EvidenceKind: UInt8, CaseIterable, Sendable, CustomStringConvertible {
    /// *Stored*, of a version of which no good fragment exists for the signer, or none that it would have accepted.
    case storedVoid = 1
    /// *Poisonous*, of a version whose stripes are all encodings of blocks.
    case calledSoundPoisonous = 2
    /// *Poisonous*, in a mode in which no server says that of anything.
    case foreignClaim = 3
    /// Of an object whose slot is another group's, or in the name of a group that the signer is not in.
    case foreignGroup = 4

    public var description: String {
        switch self {
        case .storedVoid: "stored-void"
        case .calledSoundPoisonous: "called-sound-poisonous"
        case .foreignClaim: "foreign-claim"
        case .foreignGroup: "foreign-group"
        }
    }

    /// For people, as the end of a sentence on a server.
    public var meaning: String {
        switch self {
        case .storedVoid: "signed that it holds and has verified a fragment that cannot exist"
        case .calledSoundPoisonous: "signed that a version is poisonous that is not"
        case .foreignClaim: "signed that a version is poisonous, which no server does in this cluster's mode"
        case .foreignGroup: "signed for an object in the name of a group that does not have it"
        }
    }
}

/// One accusation, with its proof. Nothing of it is believed before `verdict` has judged it.
package struct Evidence: Hashable, Sendable {
    /// A stripe of a version: of which part, and which one there. A version that is not staged has one part.
    package struct StripePlace: Hashable, Sendable {
        /// The part's place in the descriptor, from 0.
        package let part: UInt16
        package let stripe: UInt32

        package init(part: UInt16 = 0, stripe: UInt32) {
            self.part = part
            self.stripe = stripe
        }
    }

    /// What shows the statement to be false. Blocks are a stripe's bytes, as some m of its good fragments decode.
    package enum Proof: Hashable, Sendable {
        /// The version's descriptor, one stripe, the page that names it where the descriptor names pages, its block.
        case void(descriptor: [UInt8], StripePlace, page: [UInt8], block: [UInt8])
        /// The version's descriptor, and the blocks of all its stripes in their order.
        case sound(descriptor: [UInt8], blocks: [[UInt8]])
        /// The statement alone.
        case foreignClaim
        case foreignGroup
    }

    package let cluster: ClusterID
    /// The epoch in whose name the statement is signed, and that epoch's configuration.
    package let epoch: UInt64
    package let configurationDigest: Digest256
    /// The group in whose name it is signed.
    package let group: GroupID
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let statement: SignedStatement
    package let proof: Proof

    /// - Parameter group: in whose name the statement is signed; nil: the one that has the object.
    package init(
        _ statement: SignedStatement, on timestamp: Timestamp, of key: ObjectKey, in configuration: Configuration,
        group: GroupID? = nil, _ proof: Proof
    ) {
        cluster = configuration.cluster
        epoch = configuration.epoch
        configurationDigest = configuration.digest
        self.group = group ?? configuration.group(of: key.slot).id
        self.key = key
        self.timestamp = timestamp
        self.statement = statement
        self.proof = proof
    }

    package var kind: EvidenceKind {
        switch proof {
        case .void: .storedVoid
        case .sound: .calledSoundPoisonous
        case .foreignClaim: .foreignClaim
        case .foreignGroup: .foreignGroup
        }
    }

    /// Tells one lie from another: two pieces of evidence of one name prove the same. Servers keep one of each.
    package var name: String {
        var encoder = CanonicalEncoder()
        encoder.append(cluster)
        encoder.append(epoch)
        encoder.append(group.rawValue)
        encoder.append(counted: key.bytes)
        encoder.append(timestamp)
        let digest = Digest256.sha256(encoder.bytes).bytes.prefix(16).map {
            ($0 < 16 ? "0" : "") + String($0, radix: 16)
        }
        return "\(statement.node.rawValue)-\(statement.incarnation.rawValue)-\(kind)-\(digest.joined())"
    }
}

// MARK: - Canonical bytes

extension Evidence {
    package static let formatTag = "solidus.evidence.1"
    /// The largest block: of a cluster's largest stripe.
    static let blockSizeBytesMax = 64 << 20
    /// A page of the largest group's stripes.
    static let pageSizeBytesMax = 4 << 20
    static let blockCountMax = 1024
    /// The largest file that is looked at.
    package static let sizeBytesMax = 192 << 20

    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 4096)
        encoder.append(tag: Self.formatTag)
        encoder.append(kind.rawValue)
        encoder.append(cluster)
        encoder.append(epoch)
        encoder.append(configurationDigest)
        encoder.append(group.rawValue)
        encoder.append(counted: key.bytes)
        encoder.append(timestamp)
        statement.encode(into: &encoder)
        switch proof {
        case .void(let descriptor, let place, let page, let block):
            encoder.append(counted: descriptor)
            encoder.append(place.part)
            encoder.append(place.stripe)
            encoder.append(counted: page)
            encoder.append(counted: block)
        case .sound(let descriptor, let blocks):
            encoder.append(counted: descriptor)
            encoder.append(UInt16(blocks.count))
            for block in blocks { encoder.append(counted: block) }
        case .foreignClaim, .foreignGroup: break
        }
        return encoder.bytes
    }

    /// What a file says, of which nothing is believed yet.
    ///
    /// - Throws: when the bytes are anything but the exact encoding of one piece of evidence.
    package init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        guard bytes.count <= Self.sizeBytesMax else {
            throw .overLimit(field: "evidence", value: UInt64(bytes.count), limit: UInt64(Self.sizeBytesMax))
        }
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: Self.formatTag, "format of evidence")
        let kindValue: UInt8 = try decoder.integer("kind of evidence")
        guard let kind = EvidenceKind(rawValue: kindValue) else {
            throw .unknownValue(field: "kind of evidence", value: UInt64(kindValue))
        }
        cluster = try decoder.name("cluster")
        epoch = try decoder.integer("epoch")
        configurationDigest = try decoder.digest("configuration")
        group = GroupID(try decoder.integer("group"))
        key = try decoder.objectKey("object key")
        timestamp = try decoder.timestamp("timestamp")
        statement = try SignedStatement(from: &decoder)
        switch kind {
        case .storedVoid:
            let descriptor = Array(try decoder.counted("descriptor", limit: Descriptor.sizeBytesMax))
            let place = StripePlace(part: try decoder.integer("part"), stripe: try decoder.integer("stripe"))
            let page = Array(try decoder.counted("page", limit: Self.pageSizeBytesMax))
            let block = Array(try decoder.counted("block", limit: Self.blockSizeBytesMax))
            proof = .void(descriptor: descriptor, place, page: page, block: block)
        case .calledSoundPoisonous:
            let descriptor = Array(try decoder.counted("descriptor", limit: Descriptor.sizeBytesMax))
            var blocks: [[UInt8]] = []
            for _ in 0..<(try decoder.count("blocks", as: UInt16.self, limit: Self.blockCountMax)) {
                blocks.append(Array(try decoder.counted("block", limit: Self.blockSizeBytesMax)))
            }
            proof = .sound(descriptor: descriptor, blocks: blocks)
        case .foreignClaim: proof = .foreignClaim
        case .foreignGroup: proof = .foreignGroup
        }
        try decoder.finish()
    }
}
