// How many lists of its uncommitted versions a client is given: each takes statements on all of them, and as many
// reads (docs/protocol.md, Fair shares).

/// Which lists each client has been given lately.
struct ListShares: Sendable {
    private struct Interval: Sendable {
        let beganMilliseconds: UInt64
        var objects: Set<ObjectKey> = []
    }

    /// No more than there are clients in the access list.
    private var intervals: [ClientID: Interval] = [:]

    /// Whether the client is given the list of this object now.
    mutating func grant(
        _ key: ObjectKey, to client: ClientID, nowMilliseconds: UInt64, _ limits: ProtocolLimits
    ) -> Bool {
        var interval = intervals[client] ?? Interval(beganMilliseconds: nowMilliseconds)
        if nowMilliseconds >= interval.beganMilliseconds &+ limits.listIntervalMilliseconds {
            interval = Interval(beganMilliseconds: nowMilliseconds)
        }
        guard interval.objects.count < limits.listsPerIntervalMax, interval.objects.insert(key).inserted
        else { return false }
        intervals[client] = interval
        return true
    }
}
