// One object as servers have it that took a PREPARE and a COMMIT of it: its record, its parts, its line in listings.

import ErasureCode
import ObjectStorage
import ProtocolStorage
import QuorumProtocol

/// The first version of an object, encoded; the certificate is still to come.
struct EncodedObject {
    let key: ObjectKey
    let placement: Placement
    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    /// What each position holds; none of an empty value.
    let fragments: [SharedBytes]
    /// The members of its group that are to have it, in the order of its positions.
    let holders: [NodeID]

    init(
        _ key: ObjectKey, value: SharedBytes, modifiedMilliseconds: UInt64, writer: ClientID,
        parameters: ClusterParameters, isHeld: (NodeID) -> Bool
    ) {
        let encoded = EncodedValue(
            value, key: key, metadata: ObjectMetadata(modifiedMilliseconds: modifiedMilliseconds),
            parameters: parameters)
        self.key = key
        placement = parameters.placement(of: key)
        descriptor = encoded.descriptor
        timestamp = Timestamp(counter: 1, writer: writer, digest: encoded.descriptor.digest)
        if value.count == 0 {
            fragments = []
        } else if parameters.mode.sendsBlocks {
            // What a PREPARE carries there is the block, and each server keeps its fragment.
            fragments = parameters.quorums.code.encode(block: value)
        } else {
            fragments = encoded.fragments.map { $0[0] }
        }
        holders = placement.nodes.filter(isHeld)
    }

    /// What a server says that has stored it.
    func statement(of node: NodeID, _ incarnation: Incarnation) -> Statement {
        Statement(
            scope: placement.scope, node: node, incarnation: incarnation, key: key, timestamp: timestamp,
            claim: .stored)
    }

    /// The record that every holder has of it once it is committed.
    func record(_ certificate: Certificate) -> ObjectRecord {
        let sizeBytes = descriptor.bytes.count + (fragments.first?.count ?? 0)
        var record = ObjectRecord()
        record.committed = CommittedVersion(certificate)
        record.held = [
            HeldVersion(
                timestamp: timestamp, fragments: .held, delivery: descriptor.descriptor.hasStripes ? .prepared : .none,
                head: descriptor.descriptor.listedHead, sizeBytes: UInt64(sizeBytes))
        ]
        return record
    }
}

/// An object that is certified: what each holder stores.
struct SeededObject {
    private let object: EncodedObject
    private let record: [UInt8]
    private let head: FieldChange<[UInt8]>
    private let version: StoredVersion
    /// What a holder charges for it.
    let charges: [ClientCharge]

    init(_ object: EncodedObject, _ certificate: Certificate) {
        let record = object.record(certificate)
        self.object = object
        self.record = record.bytes
        head = record.live.map { .set($0.bytes) } ?? .keep
        version = object.timestamp.storedVersion
        charges = record.charges
    }

    /// Nil for a server that is not to have it.
    func mutation(of node: NodeID) -> ObjectMutation? {
        guard object.holders.contains(node), let position = object.placement.position(of: node) else { return nil }
        var puts = [
            PartPut(version: version, part: .descriptor, bytes: SharedBytes(object.descriptor.bytes))
        ]
        if !object.fragments.isEmpty {
            puts.append(
                PartPut(
                    version: version, part: .fragment(position.fragmentIndex, StripeIndex(0)),
                    bytes: object.fragments[position.offset]))
        }
        return ObjectMutation(
            key: object.key.bytes, slot: object.key.slot.rawValue, record: .set(record), summary: version.bytes,
            head: head, puts: puts, expiry: .clear)
    }
}
