// What transfers that are larger than a few kilobytes may have in memory together.

import QuorumClient

struct TransferMemory: Sendable {
    /// Who finds no room in this time is told to come again.
    private static let patience = Duration.seconds(30)
    private static let waitingMax = 4096

    let shares: MemoryShares

    init(sizeBytes: Int) { shares = MemoryShares(sizeBytes: sizeBytes) }

    /// - Throws: `.slowDown` when there is no room for a while.
    func lease(_ wantedBytes: Int) async throws(S3Error) -> MemoryShares.Lease {
        if let lease = shares.leaseAtOnce(wantedBytes) { return lease }
        var lease: MemoryShares.Lease?
        if shares.waitingCount < Self.waitingMax {
            let waiting = Task { [shares] in try? await shares.lease(wantedBytes) }
            let limit = Task {
                try await Task.sleep(for: Self.patience)
                waiting.cancel()
            }
            lease = await withTaskCancellationHandler {
                await waiting.value
            } onCancel: {
                waiting.cancel()
            }
            limit.cancel()
        }
        guard let lease else {
            throw S3Error(.slowDown, "The gateway has no memory for another transfer. Please try again.")
        }
        return lease
    }
}
