// What the servers' stores by themselves take of a large object: its fragments, appended and synced by all of them at
// once on the disk that they share, with no network, no checks and no signatures.

import Dispatch
import ErasureCode
import Foundation
import ObjectStorage
import QuorumProtocol
import Synchronization

enum StoreLimit {
    /// Stripes of a large value that a client has under way, so that a server may sync so many at once.
    private static let stripesPerBatch = 4

    /// Bytes of a value a second.
    ///
    /// - Parameters:
    ///   - valueSizeBytes: how much of a value to store.
    ///   - directory: made for it, and removed.
    static func valueBytesPerSecond(
        _ quorums: QuorumConfiguration, stripeSizeBytes: Int, valueSizeBytes: Int, directory: String
    ) throws -> Double {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let stores = try (0..<quorums.serverCount).map { number in
            let path = "\(directory)/\(number)"
            try ObjectStore.create(directory: path, incarnation: 1)
            return try ObjectStore(directory: path)
        }
        let fragment = RandomBytes.block(sizeBytes: stripeSizeBytes / quorums.dataFragmentCount)
        let batchCount = max(1, valueSizeBytes / (stripesPerBatch * stripeSizeBytes))
        let failure = Mutex<(any Error)?>(nil)
        let start = ContinuousClock.now
        DispatchQueue.concurrentPerform(iterations: stores.count) { number in
            do {
                for batch in 0..<batchCount {
                    let mutation = ObjectMutation(
                        key: Array("bench/large".utf8),
                        puts: (0..<stripesPerBatch).map { stripe in
                            PartPut(
                                version: StoredVersion([1]),
                                part: .fragment(
                                    FragmentIndex(UInt8(number)), StripeIndex(UInt32(batch * stripesPerBatch + stripe))),
                                bytes: fragment)
                        })
                    for result in stores[number].apply([mutation]) { try result.get() }
                }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        for store in stores { try store.close() }
        if let failure = failure.withLock({ $0 }) { throw failure }
        return Double(batchCount * stripesPerBatch * stripeSizeBytes) / seconds
    }
}
