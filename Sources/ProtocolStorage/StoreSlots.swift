// What a server has committed in a slot (docs/protocol.md, Anti-entropy), from the store's list of the slot's objects.

import Fingerprint
import ObjectStorage
import QuorumProtocol

extension ProtocolStore {
    private static let objectsPerStep = 1000

    /// The slot's objects of which a version is committed, in the order of their keys, those above `after`, at most
    /// `limit` of as many that are looked at; and whether there are more.
    ///
    /// - Throws: `StorageError` when the index cannot be read, or what it says is no list of objects.
    package func committed(
        inSlot slot: Slot, after: ObjectKey?, limit: Int
    ) throws -> (objects: [CommittedObject], last: ObjectKey?) {
        let listed = try listing(of: slot, after: after, limit: limit)
        let objects = listed.compactMap { object in
            object.committed.map { CommittedObject(key: object.key, timestamp: $0) }
        }
        return (objects, listed.count < limit ? nil : listed.last?.key)
    }

    /// The digest of all of them.
    package func digest(ofSlot slot: Slot) throws -> Digest256 {
        var digesting = SlotDigesting()
        var last: ObjectKey?
        repeat {
            let (objects, next) = try committed(inSlot: slot, after: last, limit: Self.objectsPerStep)
            for object in objects { digesting.take(object) }
            last = next
        } while last != nil
        return digesting.digest
    }

    /// Answers what another server asks.
    ///
    /// - Parameters:
    ///   - keysVersion: of the list of keys by which the server went before it looked.
    ///   - slots: those that both have.
    ///   - digest: that of a slot, remembered or made anew.
    package func answer(
        _ query: SlotQuery, keysVersion: UInt64, slots: (Slot) -> Bool, digest: (Slot) throws -> Digest256
    ) -> Result<SlotAnswer, Refusal> {
        do {
            switch query {
            case .digests(let first, let count):
                let asked = (0..<count).map { Slot(first.rawValue + $0) }.filter(slots)
                return .success(.digests(try asked.map { SlotDigest(slot: $0, digest: try digest($0)) }))
            case .objects(let slot, let last):
                var last = last
                // Objects without a committed version are passed over, however many there are.
                while true {
                    let (objects, next) = try committed(inSlot: slot, after: last, limit: SlotQuery.objectsMax)
                    if !objects.isEmpty || next == nil {
                        return .success(.objects(objects, hasMore: next != nil, keysVersion: keysVersion))
                    }
                    last = next
                }
            }
        } catch {
            _ = lost(.listing(error))
            return .failure(.storageFailed)
        }
    }
}
