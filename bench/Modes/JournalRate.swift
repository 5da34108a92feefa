// How fast a server's own store takes what PREPAREs bring, with nothing before and behind it: the journal's appends,
// their sync and the index.

import BenchmarkResults
import ErasureCode
import InProcessWork
import ObjectStorage
import QuorumProtocol
import QuorumServer

enum JournalRate {
    /// Appends a second of a new store under `directory`: the median of some spells of `seconds` each.
    ///
    /// An append is one object's record, descriptor and fragment; there are as many to a group commit as clients have
    /// PUTs in flight, all of different objects.
    static func appendsPerSecond(_ workload: Workload, directory: String, seconds: Double) throws -> Double {
        let path = directory + "/journal-rate"
        try ObjectStore.create(directory: path, incarnation: 1)
        let store = try ObjectStore(directory: path)
        let mutation = try mutation(workload)
        var appended = 0
        var rates: [Double] = []
        for _ in 0..<spellCount {
            let clock = ContinuousClock()
            let (first, start) = (appended, clock.now)
            while clock.now - start < .seconds(seconds) {
                let batch = (appended..<appended + workload.clientCount).map { mutation($0) }
                for result in store.apply(batch) { try result.get() }
                appended += batch.count
            }
            rates.append(Double(appended - first) / ((clock.now - start) / .seconds(1)))
        }
        try store.close()
        return median(rates)
    }

    private static let spellCount = 5

    /// What a server stores on accepting a PREPARE of the workload, by the object's number.
    private static func mutation(_ workload: Workload) throws -> (Int) -> ObjectMutation {
        let group = try InProcessGroup(
            faults: workload.faults, dataFragmentCount: workload.dataFragmentCount, mode: .fingerprint)
        let value = group.encoded(RandomBytes.block(sizeBytes: workload.size.bytes), number: 0)
        let timestamp = Timestamp(counter: 1, writer: group.client, digest: value.descriptor.digest)
        var encoder = CanonicalEncoder(reservingBytes: Timestamp.sizeBytes)
        encoder.append(timestamp)
        let version = StoredVersion(encoder.bytes)
        let record = [UInt8](repeating: 0x5a, count: recordSizeBytes)
        let descriptor = SharedBytes(value.descriptor.bytes)
        let fragment = value.fragments[0][0]
        return { number in
            ObjectMutation(
                key: Array("bench/\(number)".utf8), record: .set(record),
                puts: [
                    PartPut(version: version, part: .descriptor, bytes: descriptor),
                    PartPut(version: version, part: .fragment(FragmentIndex(0), StripeIndex(0)), bytes: fragment),
                ])
        }
    }

    /// About what the record of an object with one pending version takes.
    private static let recordSizeBytes = 150
}
