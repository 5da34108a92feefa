import Synchronization

/// Hands out 0, 1, 2 and so on; safe to use from any thread.
final class Numbers: Sendable {
    private let count = Atomic<UInt64>(0)

    func next() -> UInt64 { count.wrappingAdd(1, ordering: .relaxed).oldValue }
}
