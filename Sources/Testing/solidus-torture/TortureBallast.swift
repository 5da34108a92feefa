// What is put to fill the servers' disks: large objects of the torture's own, which have to be readable, and to be
// deleted, while there is no room for puts.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Synchronization

/// Puts objects when the disks are to be filled until that is refused, and deletes them before they get room again.
final class TortureBallast: Sendable {
    struct Counts {
        var stored = 0
        /// While all disks were full.
        var read = 0
        var deleted = 0
        /// What went wrong although no more servers than may be were harmed.
        var findings: [String] = []
    }

    private static let valueSizeBytesMax = 4 << 20
    private static let putsAtATime = 4
    private static let pause = Duration.milliseconds(50)

    private let client: ObjectClient
    private let disks: TortureDisks
    private let prefix: String
    private let counted = Mutex(Counts())
    private let isOver = Mutex(false)

    /// - Parameter prefix: of keys that nobody else uses.
    init(_ client: ObjectClient, _ disks: TortureDisks, prefix: String) {
        self.client = client
        self.disks = disks
        self.prefix = prefix
    }

    var counts: Counts { counted.withLock { $0 } }

    /// Makes `run` return once nothing is left of what it has put.
    func end() { isOver.withLock { $0 = true } }

    /// Follows the disks' phases.
    func run() async {
        var number = 0
        while !isOver.withLock({ $0 }) {
            if disks.phase == .filling {
                await fill(from: &number)
            } else {
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    private func fill(from number: inout Int) async {
        var keys: [ObjectKey] = []
        while disks.phase == .filling, !isOver.withLock({ $0 }) {
            let numbers = number..<(number + Self.putsAtATime)
            number = numbers.upperBound
            keys += await withTaskGroup(of: ObjectKey?.self) { group in
                for number in numbers { group.addTask { await self.put(number) } }
                return await group.reduce(into: []) { keys, key in if let key { keys.append(key) } }
            }
        }
        for key in keys where disks.phase == .full { await read(key) }
        while disks.phase == .full, !isOver.withLock({ $0 }) { try? await Task.sleep(for: Self.pause) }
        for key in keys { await delete(key) }
        disks.becameEmpty()
    }

    private func value(_ key: ObjectKey) -> SharedBytes {
        let size = min(Self.valueSizeBytesMax, client.parameters.limits.stripeSizeBytesMax)
        var generator = TortureGenerator(seed: 0, purpose: "\(key)")
        return SharedBytes(count: size) { target in
            for offset in stride(from: 0, to: size - 7, by: 8) {
                target.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
            }
        }
    }

    /// - Returns: the key when it is stored.
    private func put(_ number: Int) async -> ObjectKey? {
        do {
            let key = try ObjectKey("\(prefix)/\(number)")
            _ = try await client.put(key, value(key))
            counted.withLock { $0.stored += 1 }
            return key
        } catch let error as ClientError {
            switch error {
            case .refused where error.isForFullDisks: disks.becameFull()
            // One server was full and another one harmed: what is done to that one is over soon.
            case .unavailable: break
            default: found("puts were refused while the disks filled up, and not for that", error)
            }
        } catch {
            found("no object can be put", error)
        }
        return nil
    }

    private func read(_ key: ObjectKey) async {
        do {
            let isRight = try await client.get(key).value == value(key)
            if isRight {
                counted.withLock { $0.read += 1 }
            } else {
                counted.withLock { $0.findings.append("\(key) was read as other bytes while all disks were full") }
            }
        } catch {
            found("\(key) could not be read while all disks were full", error)
        }
    }

    private func delete(_ key: ObjectKey) async {
        do {
            _ = try await client.delete(key)
            counted.withLock { $0.deleted += 1 }
        } catch {
            found("\(key) could not be deleted while all disks were full", error)
        }
    }

    private func found(_ what: String, _ error: any Error) {
        counted.withLock { $0.findings.append("\(what): \(error)") }
    }
}

extension ClientError {
    /// Whether an operation was refused for want of room.
    var isForFullDisks: Bool {
        guard case .refused(_, let failure) = self else { return false }
        return failure.observations.refusing.contains { $0.why == .storageFull }
    }
}
