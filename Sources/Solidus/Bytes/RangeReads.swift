// Reading a part of an object into memory.

import ErasureCode
import QuorumClient
import QuorumProtocol

extension ObjectClient {
    /// Reads some of the object's bytes. Of an object of many stripes only those that they touch are moved.
    ///
    /// - Parameter range: which bytes, from 0; cut at the object's end, so `100..<UInt64.max` is all behind the first
    ///   hundred.
    /// - Returns: these bytes, with the status of the whole object.
    /// - Throws: `.notFound`, `.invalidRange` when the range begins behind the end, `.unavailable`, `.refused`,
    ///   `.cancelled`, `.closed`.
    public func get(_ key: ObjectKey, range: Range<UInt64>) async throws(ClientError) -> StoredObject {
        try await measure(
            .get, .object(key), facts: { OperationFacts($0.status, valueBytes: UInt64($0.value.count)) }
        ) { () throws(ClientError) in
            try await rereading { () throws(ClientError) in
                let object = try await open(key, range: range)
                var pieces: [SharedBytes] = []
                var iterator = object.makeAsyncIterator()
                while let piece = try await iterator.next() { pieces.append(piece) }
                return StoredObject(value: Self.joined(pieces), status: object.status)
            }
        }
    }
}
