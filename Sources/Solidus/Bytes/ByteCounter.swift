import Synchronization

/// How many bytes have passed, counted where they pass and read elsewhere.
final class ByteCounter: Sendable {
    private let passed = Atomic<UInt64>(0)

    var count: UInt64 { passed.load(ordering: .relaxed) }

    func add(_ count: Int) { passed.add(UInt64(count), ordering: .relaxed) }
}
