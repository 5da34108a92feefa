// Reads that show no whole value: ranges and listings. Which write they show is told by its tag, and by every byte or the
// length that they show beside it.

import ErasureCode
import HistoryChecker
import QuorumClient
import QuorumProtocol

/// What a client reads.
enum TortureReading: Sendable {
    case whole
    /// Of what lies between these two parts of the length, whichever comes first.
    case range(Double, Double)
    /// What a listing shows of all objects.
    case listing
}

extension TortureWorkload {
    /// Reads a range, which is a read of the value that it is of.
    func getRange(_ first: Double, _ second: Double, of key: ObjectKey, as client: Int) async {
        let process = processes.withLock { $0[client] }
        recorder.note(process: process, .invoke, .read, key: "\(key)", value: nil)
        do throws(ClientError) {
            let value = try await range(
                min(first, second), max(first, second), of: key, by: clients[client % clients.count])
            progress.completed(
                .read, atNanoseconds: recorder.note(process: process, .ok, .read, key: "\(key)", value: value))
            progress.readRange()
        } catch {
            recorder.note(process: process, .fail, .read, key: "\(key)", value: nil)
            await failed(error, isUnknown: false)
        }
    }

    private func range(
        _ first: Double, _ last: Double, of key: ObjectKey, by store: ObjectClient
    ) async throws(ClientError) -> String? {
        let object: ObjectBytes
        do throws(ClientError) {
            object = try await store.open(key)
        } catch .notFound {
            return nil
        }
        let length = Int(object.status.lengthBytes)
        let bounds = Int(first * Double(length))..<Int(last * Double(length))
        var bytes: [UInt8] = []
        var pieces = object.slice(UInt64(bounds.lowerBound)..<UInt64(bounds.upperBound)).makeAsyncIterator()
        while let piece = try await pieces.next() { bytes += piece.array }
        progress.observed(object.status.observations)
        return TortureValue.name(
            object.status.metadata.etag, of: SharedBytes(bytes), at: bounds, lengthBytes: length, key: "\(key)", sizes)
    }

    /// Lists all objects. Each key is an operation by itself, of a process that does nothing else: what is promised of
    /// a listing is promised of each key.
    func list(as client: Int) async {
        func process(_ index: Int) -> Int { -1 - (client * keys.count + index) }
        for (index, key) in keys.enumerated() {
            recorder.note(process: process(index), .invoke, .list, key: "\(key)", value: nil)
        }
        do throws(ClientError) {
            let shown = try await listed(by: clients[client % clients.count])
            var time: Int64 = 0
            for (index, key) in keys.enumerated() {
                time = recorder.note(process: process(index), .ok, .list, key: "\(key)", value: shown[key])
            }
            progress.completed(.read, atNanoseconds: time)
            progress.listed()
        } catch {
            for (index, key) in keys.enumerated() {
                recorder.note(process: process(index), .fail, .list, key: "\(key)", value: nil)
            }
            await failed(error, isUnknown: false)
        }
    }

    private func listed(by store: ObjectClient) async throws(ClientError) -> [ObjectKey: String] {
        var shown: [ObjectKey: String] = [:]
        // All keys differ behind the last slash only.
        let first = keys[0].bytes
        let prefix = first[...(first.lastIndex(of: UInt8(ascii: "/")) ?? first.startIndex)]
        var entries = try store.list(prefix: Array(prefix)).makeAsyncIterator()
        while let entry = try await entries.next() {
            guard case .object(let object) = entry else { continue }
            let name = object.etag
            let isWhole =
                TortureValue.isName(name)
                && object.lengthBytes == UInt64(TortureValue.bytes(name, key: "\(object.key)", sizes).count)
            shown[object.key] = isWhole ? name : "foreign, called \(name), \(object.lengthBytes) bytes"
        }
        return shown
    }
}
