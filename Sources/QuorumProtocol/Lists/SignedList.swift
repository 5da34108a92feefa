// A list as it is signed, kept and sent:
//
//   tag "solidus.list.2" | cluster 16 | kind u8 | version u64 | contents counted | signature 64
//
// The signature (P-256, ECDSA over SHA-256, r ‖ s) is over all before it. Whoever takes a list checks the signature
// before it looks at the contents.

import Crypto

/// A list that the operator has signed.
package struct SignedList<Contents: ClusterList>: Hashable, Sendable {
    package let cluster: ClusterID
    /// Counted from 1.
    package let version: UInt64
    package let contents: Contents
    package let signature: [UInt8]

    private init(cluster: ClusterID, version: UInt64, contents: Contents, signature: [UInt8]) {
        self.cluster = cluster
        self.version = version
        self.contents = contents
        self.signature = signature
    }

    /// Signs.
    package init(
        _ contents: Contents, cluster: ClusterID, version: UInt64, signedBy key: P256.Signing.PrivateKey
    ) throws(SigningError) {
        precondition(version >= 1)
        let message = OperatorSignature.message(
            Contents.kind, cluster: cluster, version: version, contents: Self.bytes(of: contents))
        self.init(
            cluster: cluster, version: version, contents: contents,
            signature: try OperatorSignature.make(message, key))
    }

    /// Takes what is said to be signed.
    ///
    /// - Throws: `wrongSignature`.
    package init(
        _ contents: Contents, cluster: ClusterID, version: UInt64, signature: [UInt8], checkedBy key: OperatorKey
    ) throws(ListError) {
        let message = OperatorSignature.message(
            Contents.kind, cluster: cluster, version: version, contents: Self.bytes(of: contents))
        guard version >= 1, key.isValid(signature, for: message) else {
            throw .wrongSignature(Contents.kind, version: version)
        }
        self.init(cluster: cluster, version: version, contents: contents, signature: signature)
    }

    /// Takes what `OperatorSignature.open` has checked.
    fileprivate init(_ opened: OpenedList) throws(ListError) {
        var decoder = CanonicalDecoder(opened.contents)
        let contents: Contents
        do {
            contents = try Contents(from: &decoder)
        } catch {
            throw .unsound(Contents.kind, version: opened.version, error)
        }
        do {
            try decoder.finish()
        } catch {
            throw .unsound(Contents.kind, version: opened.version, .malformed(error))
        }
        self.init(cluster: opened.cluster, version: opened.version, contents: contents, signature: opened.signature)
    }

    private static func bytes(of contents: Contents) -> [UInt8] {
        var encoder = CanonicalEncoder()
        contents.encode(into: &encoder)
        return encoder.bytes
    }

    /// All of it, as it is sent.
    package var bytes: [UInt8] {
        OperatorSignature.message(
            Contents.kind, cluster: cluster, version: version, contents: Self.bytes(of: contents)) + signature
    }

    /// Whether this is to be taken by somebody who has `known`: false when he has it already.
    ///
    /// - Throws: why it may not be taken.
    package func isNewer(than known: SignedList) throws(ListError) -> Bool {
        guard version >= known.version else {
            throw .rolledBack(Contents.kind, offered: version, known: known.version)
        }
        guard version > known.version else {
            guard contents == known.contents else { throw .forked(Contents.kind, version: version) }
            return false
        }
        if let fault = contents.fault(after: known.contents) {
            throw .unsound(Contents.kind, version: version, fault)
        }
        return true
    }
}

/// Any of the three lists.
package enum AnySignedList: Hashable, Sendable {
    case addresses(SignedList<AddressList>)
    case keys(SignedList<KeyList>)
    case access(SignedList<AccessList>)

    /// The largest list in bytes; it has to fit into a message's head.
    package static let sizeBytesMax = 960 << 10

    package var kind: ListKind {
        switch self {
        case .addresses: .addresses
        case .keys: .keys
        case .access: .access
        }
    }

    package var version: UInt64 {
        switch self {
        case .addresses(let list): list.version
        case .keys(let list): list.version
        case .access(let list): list.version
        }
    }

    package var bytes: [UInt8] {
        switch self {
        case .addresses(let list): list.bytes
        case .keys(let list): list.bytes
        case .access(let list): list.bytes
        }
    }

    /// Why this may not follow `earlier`, whatever the versions; nil when it may, and of lists of two kinds.
    package func fault(after earlier: AnySignedList) -> ListFault? {
        switch (self, earlier) {
        case (.addresses(let list), .addresses(let earlier)): list.contents.fault(after: earlier.contents)
        case (.keys(let list), .keys(let earlier)): list.contents.fault(after: earlier.contents)
        case (.access(let list), .access(let earlier)): list.contents.fault(after: earlier.contents)
        default: nil
        }
    }

    /// A list from its bytes, if they are one of this cluster and signed by its operator.
    package init(decoding bytes: [UInt8], cluster: ClusterID, checkedBy key: OperatorKey) throws(ListError) {
        let opened = try OpenedList(bytes)
        guard key.isValid(opened.signature, for: opened.message) else {
            throw .wrongSignature(opened.kind, version: opened.version)
        }
        guard opened.cluster == cluster else { throw .foreignCluster(opened.kind, opened.cluster) }
        switch opened.kind {
        case .addresses: self = .addresses(try SignedList(opened))
        case .keys: self = .keys(try SignedList(opened))
        case .access: self = .access(try SignedList(opened))
        case .configuration:
            throw .malformed(.unknownValue(field: "kind of list", value: UInt64(opened.kind.rawValue)))
        }
    }

    /// Kind and version that the bytes claim, before anything is checked; nil when they are no list at all.
    package static func claim(of bytes: [UInt8]) -> (kind: ListKind, version: UInt64)? {
        (try? OpenedList(bytes)).map { ($0.kind, $0.version) }
    }
}

/// A list's bytes taken apart; nothing of it is believed yet.
private struct OpenedList {
    let cluster: ClusterID
    let kind: ListKind
    let version: UInt64
    let contents: [UInt8]
    let message: [UInt8]
    let signature: [UInt8]

    init(_ bytes: [UInt8]) throws(ListError) {
        do {
            guard bytes.count <= AnySignedList.sizeBytesMax else {
                throw MalformedEncoding.overLimit(
                    field: "list", value: UInt64(bytes.count), limit: UInt64(AnySignedList.sizeBytesMax))
            }
            var decoder = CanonicalDecoder(bytes)
            try decoder.expect(tag: OperatorSignature.tag, "tag")
            cluster = try decoder.name("cluster")
            let kindValue: UInt8 = try decoder.integer("kind of list")
            guard let kind = ListKind(rawValue: kindValue) else {
                throw MalformedEncoding.unknownValue(field: "kind of list", value: UInt64(kindValue))
            }
            self.kind = kind
            version = try decoder.integer("version")
            guard version >= 1 else { throw MalformedEncoding.notCanonical(field: "version") }
            contents = Array(try decoder.counted("contents", limit: decoder.remaining))
            signature = Array(try decoder.raw(OperatorSignature.sizeBytes, "signature"))
            try decoder.finish()
            message = Array(bytes.dropLast(OperatorSignature.sizeBytes))
        } catch let error as MalformedEncoding {
            throw .malformed(error)
        } catch {
            preconditionFailure("a decoder threw \(error)")
        }
    }
}

/// What the operator signs, and how.
package enum OperatorSignature {
    static let tag = "solidus.list.2"
    package static let sizeBytes = 64

    /// The bytes that are signed.
    package static func message(
        _ kind: ListKind, cluster: ClusterID, version: UInt64, contents: [UInt8]
    ) -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: contents.count + 64)
        encoder.append(tag: tag)
        encoder.append(cluster)
        encoder.append(kind.rawValue)
        encoder.append(version)
        encoder.append(counted: contents)
        return encoder.bytes
    }

    package static func make(
        _ message: [UInt8], _ key: P256.Signing.PrivateKey
    ) throws(SigningError) -> [UInt8] {
        do {
            return Array(try key.signature(for: message).rawRepresentation)
        } catch {
            throw SigningError(reason: "\(error)")
        }
    }
}
