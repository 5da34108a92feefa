// Reading and writing files on threads where waiting for a disk, or for a pipe, keeps nobody else from going on.

import CommandOutcome
import Dispatch
import Synchronization

enum Blocking {
    private static let queue = DispatchQueue(label: "solidus.files", attributes: .concurrent)

    /// Runs `body` on a thread of its own; it is told when its task is cancelled.
    static func run<T: Sendable>(
        _ body: @escaping @Sendable (_ isCancelled: @escaping () -> Bool) throws(Failure) -> T
    ) async throws(Failure) -> T {
        let isCancelled = Flag()
        let result: Result<T, Failure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async {
                    let result = Result { () throws(Failure) in
                        try body { isCancelled.isRaised.load(ordering: .relaxed) }
                    }
                    continuation.resume(returning: result)
                }
            }
        } onCancel: {
            isCancelled.isRaised.store(true, ordering: .relaxed)
        }
        return try result.get()
    }

    private final class Flag: Sendable {
        let isRaised = Atomic(false)
    }
}
