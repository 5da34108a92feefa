import Synchronization

/// What a transfer's progress was told to be.
final class Told: Sendable {
    private let numbers = Mutex<[UInt64]>([])

    var all: [UInt64] { numbers.withLock { $0 } }
    var last: UInt64? { all.last }

    func tell(_ number: UInt64) { numbers.withLock { $0.append(number) } }
}
