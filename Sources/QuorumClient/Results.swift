// What operations return.

import ErasureCode
import QuorumProtocol

/// A completed write or deletion.
public struct PutResult: Sendable {
    public let key: ObjectKey
    public let timestamp: Timestamp
    /// Rounds of messages: in the common case 3, or 2 when the client has written the object before.
    public let rounds: Int
    /// The servers that have proved to hold it durably, a quorum; others may, too.
    public let durableAt: [NodeID]
    public let observations: ServerObservations
}

/// What is to know of an object beside its bytes.
public struct ObjectStatus: Sendable {
    public let key: ObjectKey
    public let lengthBytes: UInt64
    public let timestamp: Timestamp
    public let metadata: ObjectMetadata
    /// How it is cut, and where its fragments lie.
    public let layout: ObjectLayout
    /// Rounds of messages, in the common case 1.
    public let rounds: Int
    public let observations: ServerObservations

    /// A tag that changes with the version: the writer's own, or else the version's digest.
    public var etag: String { metadata.etag.isEmpty ? timestamp.digest.description : metadata.etag }
}

/// How an object's value is cut into stripes, and where the fragments of each lie.
public struct ObjectLayout: Sendable, Hashable, CustomStringConvertible {
    public let partCount: Int
    public let stripeCount: UInt64
    /// Of the largest stripe.
    public let stripeSizeBytes: Int
    /// The servers of the object's group, in the order of the fragments' positions.
    public let servers: [NodeID]
    /// What it was made of, in order, where its stripes went ahead of it; else empty. What was stored in one go has one.
    public let parts: [ObjectPart]

    init(_ descriptor: Descriptor, at placement: Placement) {
        servers = placement.nodes
        if let staged = descriptor.staged {
            partCount = staged.parts.count
            stripeCount = staged.stripeCount
            stripeSizeBytes = Int(staged.parts.map(\.stripeSizeBytes).max() ?? 0)
            parts = staged.parts.map { ObjectPart(number: Int($0.attempt.part), lengthBytes: $0.lengthBytes) }
        } else {
            partCount = 1
            stripeCount = UInt64(descriptor.stripes.count)
            stripeSizeBytes = descriptor.stripes.map(\.blockSizeBytes).max() ?? 0
            parts = []
        }
    }

    public var description: String {
        let parts = partCount == 1 ? "" : " in \(partCount) parts"
        return stripeCount == 1 ? "1\(parts)" : "\(stripeCount)\(parts), of at most \(stripeSizeBytes) bytes"
    }
}

/// A part of which an object was made.
public struct ObjectPart: Sendable, Hashable {
    /// From 1, as it was uploaded.
    public let number: Int
    public let lengthBytes: UInt64
}

/// An object that was read, or a range of its bytes.
public struct StoredObject: Sendable {
    /// Those that were asked for.
    public let value: SharedBytes
    /// Of the whole object.
    public let status: ObjectStatus

    package init(value: SharedBytes, status: ObjectStatus) {
        self.value = value
        self.status = status
    }
}
