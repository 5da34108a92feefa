// What listings show is promised to be regular (Lamport, *On interprocess communication*, 1986): of each key a write
// that was complete before the listing began and that no other followed before that, or one that was not complete then
// and had begun when the listing ended. Two listings may disagree about writes that are under way.

/// Judges the listings of one key.
enum RegularListings {
    private struct Write {
        let value: String?
        let invoked: Int64
        /// `.max` when it may take effect at any time.
        let returned: Int64
        /// Nil for the nothing that every key begins with.
        let operation: HistoryOperation?
    }

    static func violations(_ key: String, _ operations: [HistoryOperation]) -> [HistoryViolation] {
        let listings = operations.filter { $0.function == .list }
        guard !listings.isEmpty else { return [] }
        var writes = [Write(value: nil, invoked: .min, returned: .min, operation: nil)]
        for operation in operations where !operation.function.isReading {
            switch operation.outcome {
            case .ok(let time):
                writes.append(
                    Write(
                        value: operation.value, invoked: operation.invokedNanoseconds, returned: time,
                        operation: operation))
            case .unknown:
                writes.append(
                    Write(
                        value: operation.value, invoked: operation.invokedNanoseconds, returned: .max,
                        operation: operation))
            case .failed: break
            }
        }
        return listings.compactMap { violation(key, $0, writes) }
    }

    private static func violation(
        _ key: String, _ listing: HistoryOperation, _ writes: [Write]
    ) -> HistoryViolation? {
        guard case .ok(let ended) = listing.outcome else { return nil }
        let sources = writes.filter { $0.value == listing.value }
        guard !sources.isEmpty else { return .unwritten(listing) }
        // Of those complete before the listing, the one that began last leaves the fewest others standing.
        let latest = writes.filter { $0.returned < listing.invokedNanoseconds }.max { $0.invoked < $1.invoked }
        let isExplained = sources.contains { source in
            source.invoked <= ended && source.returned >= (latest?.invoked ?? .min)
        }
        guard !isExplained else { return nil }
        let involved = (sources + (latest.map { [$0] } ?? [])).compactMap(\.operation)
        return .contradiction(key: key, operations: involved + [listing])
    }
}
